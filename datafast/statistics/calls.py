"""The paid replies of an output, in columns of numbers, and what they were of each item.

Cost: one pass over the table, and reading at most `LOOKED_AT` replies in full, spread evenly, to see how they ended. Memory: about 60 bytes
a reply.
"""

from __future__ import annotations

import random
from array import array
from typing import TYPE_CHECKING, Any

from datafast.errors import ReplyError
from datafast.llms.replies.endings import Ending, ending_of
from datafast.llms.replies.formats import decode_reply
from datafast.store.reader import LedgerReader
from datafast.store.records import OWN_CODE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["LOOKED_AT", "Calls"]

LOOKED_AT = 20_000
NOT_LOOKED_AT = -1


class Calls:
    """Columns with an entry for each paid reply, in the order of its item.

    Attributes:
        item, provider, role: numbers; the latter two of `providers` and `roles`.
        retries: requests that were sent again before it came.
        truncated, declined: 1 if it ends at a limit of tokens, or its provider says that it refuses; 0 if not, -1 if it was not
            looked at.
    """

    def __init__(self, ledger: LedgerReader, seed: int) -> None:
        import numpy as np

        columns = _read(ledger)
        self.providers, self.roles = list(columns.providers), list(columns.roles)
        item = np.frombuffer(columns.item, np.int64) if columns.item else np.zeros(0, np.int64)
        order = np.argsort(item, kind="stable")
        self.item = item[order]
        self.provider = _column(columns.provider, np.int32, order)
        self.role = _column(columns.role, np.int32, order)
        self.latency = _column(columns.latency, np.float64, order)
        self.input_tokens = _column(columns.input_tokens, np.int64, order)
        self.output_tokens = _column(columns.output_tokens, np.int64, order)
        self.cost = _column(columns.cost, np.float64, order)
        """NaN where the price is not known."""
        self.retries = (
            _column(columns.attempts, np.int64, order)
            - 1
            + _again(_column(columns.question, np.int64, order), self.item)
        )
        self.truncated, self.declined = _endings(ledger, _column(columns.id, np.int64, order), seed)

    def __len__(self) -> int:
        return len(self.item)

    def of_items(self, items: NDArray[np.int64]) -> NDArray[np.int64]:
        """The numbers of the replies of these items, which are sorted."""
        import numpy as np

        first = np.searchsorted(self.item, items, "left")
        sizes = np.searchsorted(self.item, items, "right") - first
        found: NDArray[np.int64] = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes - first, sizes)
        return found


class _Columns:
    def __init__(self) -> None:
        self.id, self.item, self.question = array("q"), array("q"), array("q")
        self.provider, self.role = array("i"), array("i")
        self.latency, self.cost = array("d"), array("d")
        self.attempts, self.input_tokens, self.output_tokens = array("q"), array("q"), array("q")
        self.providers: dict[str, int] = {}
        self.roles: dict[str, int] = {}


def _read(ledger: LedgerReader) -> _Columns:
    columns = _Columns()
    for call in ledger.scans.calls():
        if not call.attempts:  # nobody was asked
            continue
        columns.id.append(call.id)
        columns.item.append(call.item)
        columns.question.append(int.from_bytes(call.key[:8], "little", signed=True))
        columns.provider.append(columns.providers.setdefault(call.provider, len(columns.providers)))
        columns.role.append(columns.roles.setdefault(call.role, len(columns.roles)))
        columns.latency.append(call.latency_s)
        columns.cost.append(float("nan") if call.cost_usd is None else call.cost_usd)
        columns.attempts.append(call.attempts)
        columns.input_tokens.append(call.input_tokens or 0)
        columns.output_tokens.append(call.output_tokens or 0)
    return columns


def _column(values: array[Any], kind: Any, order: Any) -> Any:
    import numpy as np

    return np.frombuffer(values, kind)[order] if values else np.zeros(0, kind)


def _again(question: Any, item: Any) -> Any:
    """1 for each reply to a question that an earlier one had answered, which was then of no use."""
    import numpy as np

    order = np.lexsort((np.arange(len(item)), question, item))
    again = np.zeros(len(item), np.int64)
    same = (question[order][1:] == question[order][:-1]) & (item[order][1:] == item[order][:-1])
    again[order[1:][same]] = 1
    return again


def _endings(ledger: LedgerReader, ids: Any, seed: int) -> tuple[Any, Any]:
    """Whether replies are truncated, and declined: of all, or of a random sample."""
    import numpy as np

    truncated, declined = np.full(len(ids), NOT_LOOKED_AT, np.int8), np.full(len(ids), NOT_LOOKED_AT, np.int8)
    some = range(len(ids))
    chosen = sorted(random.Random(f"{seed} replies").sample(some, LOOKED_AT)) if len(ids) > LOOKED_AT else some
    places = {int(ids[number]): number for number in chosen}
    for call, raw, wire_format in ledger.scans.raw_replies(sorted(places)):
        if wire_format == OWN_CODE:
            continue
        try:
            reply = decode_reply(raw, wire_format)
        except ReplyError:
            continue
        ending = ending_of(reply.finish_reason, reply.native_finish_reason)
        truncated[places[call]] = ending is Ending.TRUNCATED
        declined[places[call]] = ending is Ending.REFUSED or bool(reply.refusal)
    return truncated, declined

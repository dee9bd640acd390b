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
from datafast.store.scans import ScannedCall

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["LOOKED_AT", "Calls"]

LOOKED_AT = 20_000
_NOT_LOOKED_AT = -1
_KINDS = {
    "id": "q",
    "item": "q",
    "question": "q",
    "provider": "i",
    "role": "i",
    "latency": "d",
    "cost": "d",
    "attempts": "i",
    "input_tokens": "q",
    "output_tokens": "q",
}


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

        columns = _Columns(ledger)
        self.providers, self.roles = list(columns.providers), list(columns.roles)
        self.item = columns.taken("item", np.int64, None)
        order = np.argsort(self.item, kind="stable")
        self.item = self.item[order]
        self.provider = columns.taken("provider", np.int32, order)
        self.role = columns.taken("role", np.int32, order)
        self.latency = columns.taken("latency", np.float64, order)
        self.input_tokens = columns.taken("input_tokens", np.int64, order)
        self.output_tokens = columns.taken("output_tokens", np.int64, order)
        self.cost = columns.taken("cost", np.float64, order)
        """NaN where the price is not known."""
        again = _again(columns.taken("question", np.int64, order), self.item)
        self.retries = columns.taken("attempts", np.int32, order) - 1 + again
        self.truncated, self.declined = _endings(ledger, columns.taken("id", np.int64, order), seed)

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
    """The columns in the order of the table. Each may be taken once, so that there are never two of many of them."""

    def __init__(self, ledger: LedgerReader) -> None:
        self.providers: dict[str, int] = {}
        self.roles: dict[str, int] = {}
        self._columns: dict[str, array[Any]] = {name: array(kind) for name, kind in _KINDS.items()}
        append = [column.append for column in self._columns.values()]
        for call in ledger.scans.calls():
            if call.attempts:  # else nobody was asked
                for add, value in zip(append, self._values(call), strict=True):
                    add(value)

    def _values(self, call: ScannedCall) -> tuple[float, ...]:
        """In the order of `_KINDS`."""
        return (
            call.id,
            call.item,
            int.from_bytes(call.key[:8], "little", signed=True),
            self.providers.setdefault(call.provider, len(self.providers)),
            self.roles.setdefault(call.role, len(self.roles)),
            call.latency_s,
            float("nan") if call.cost_usd is None else call.cost_usd,
            call.attempts,
            call.input_tokens or 0,
            call.output_tokens or 0,
        )

    def taken(self, name: str, kind: Any, order: Any) -> Any:
        """A column, in another order if there is one."""
        import numpy as np

        values = self._columns.pop(name)
        found = np.frombuffer(values, kind) if values else np.zeros(0, kind)
        return found if order is None else found[order]


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

    truncated, declined = np.full(len(ids), _NOT_LOOKED_AT, np.int8), np.full(len(ids), _NOT_LOOKED_AT, np.int8)
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

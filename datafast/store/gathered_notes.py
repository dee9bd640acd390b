"""What ledgers note by name (`meta`), of several ledgers in one.

Each fact is merged in its own way: lists are joined, counts are added up, what has numbers in it gets those of the new ledger. Facts that
this module does not know are taken if all ledgers have them alike.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from datafast.store.calls import NEVER_SENT, name_of
from datafast.store.gathering import Offsets
from datafast.store.ledger import Ledger
from datafast.store.shards import MEMBERS, SHARD

__all__ = ["OfOne", "noted_together"]

_OWN = frozenset(
    [
        "format",
        "opening",
        "renames",
        "new_files",
        "hashed",
        "stop_reason",
        "stop_cause",
        "unsettled",
        "waiting",
        "walks",
        "plan",
        SHARD,
        MEMBERS,
    ]
)
"""What a ledger notes of its own file and of its last run; the new one has its own."""
_ADDED_UP = ("requested", "undecided", "unasked")
_ITEMS = ("cut", "other_reasoning")
_JOINED = ("keys", "versions", "walk_names")


@dataclass
class OfOne:
    """What one ledger notes.

    Attributes:
        ledger: its file; `offsets`: what was added to its numbers; `first_item`: what was added to the ids of its items.
        newest_call: the id of its newest call.
        chosen: the ids of the items that were taken, rising; None for all.
    """

    ledger: Path
    offsets: Offsets
    first_item: int
    newest_call: int
    chosen: Sequence[int] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, ledger: Ledger, *, offsets: Offsets, first_item: int, chosen: Sequence[int] | None = None) -> OfOne:
        return cls(ledger.path, offsets, first_item, ledger.max_id("calls"), chosen, ledger.facts())

    def noted(self, name: str) -> Any:
        """A fact that is JSON; None if it is not there."""
        return orjson.loads(self.facts.get(name) or "null")

    def items_noted(self, name: str) -> Iterator[int]:
        """The items that a fact lists, by their new ids, without those that were not taken."""
        for item in self.noted(name) or ():
            if self.chosen is None:
                yield self.first_item + item
            elif (place := bisect_left(self.chosen, item)) < len(self.chosen) and self.chosen[place] == item:
                yield self.first_item + place + 1


def noted_together(found: Sequence[OfOne], target: Path, *, of_parts: bool = False) -> dict[str, Any]:
    """What the ledger that has all of it notes.

    Args:
        found: of each ledger, in the order in which they were taken.
        target: where the new ledger will be.
        of_parts: whether the new ledger has only a part of what each has.
    """
    names = dict.fromkeys(name for one in found for name in one.facts)
    told: dict[str, Any] = {}
    for name in names:
        values = {one.facts.get(name) for one in found}
        if name not in _OWN and len(values) == 1:
            told[name] = values.pop()
    told |= {name: str(sum(int(one.facts.get(name) or 0) for one in found) or "") for name in _ADDED_UP}
    told |= {name: _json(dict.fromkeys(each for one in found for each in one.noted(name) or ())) for name in _JOINED}
    told |= {name: _json(item for one in found for item in one.items_noted(name)) for name in _ITEMS}
    told[NEVER_SENT] = (
        ""
        if of_parts
        else _json(one.offsets.requests + number for one in found for number in one.noted(NEVER_SENT) or ())
    )
    told["refused"] = _json(each for one in found for each in one.noted("refused") or ())
    told["learned"] = orjson.dumps(
        {k: v for one in reversed(found) for k, v in (one.noted("learned") or {}).items()}
    ).decode()
    told["models"] = "" if of_parts else _models(found)
    told["made_for"] = "" if of_parts else _made_for(found, target)
    # Stages decide about all rows again where not all were decided about by the same.
    told.setdefault("stages", "null")
    for one in found:  # how providers that have batches are made again
        told |= {name: value for name, value in one.facts.items() if name.startswith("provider:")}
    return {name: value for name, value in told.items() if value not in (None, "", "[]", "{}")}


def _json(values: Iterable[Any]) -> str:
    return orjson.dumps(list(values)).decode()


def _models(found: Sequence[OfOne]) -> str:
    """The models that replies name; nothing where not all replies of each ledger were looked at, so that they are looked at again."""
    models: dict[str, dict[str, int]] = {}
    sent: list[float] = []
    for one in found:
        noted = one.noted("models")
        if not one.newest_call:
            continue
        if not isinstance(noted, dict) or noted.get("after") != one.newest_call:
            return ""
        sent += noted["sent"]
        for provider, counts in noted["found"].items():
            of_provider = models.setdefault(provider, {})
            for model, replies in counts.items():
                of_provider[model] = of_provider.get(model, 0) + replies
    after = max((one.offsets.calls + one.newest_call for one in found), default=0)
    told = {"after": after, "found": models, "sent": [min(sent), max(sent)] if sent else []}
    return orjson.dumps(told).decode() if models else ""


def _made_for(found: Sequence[OfOne], target: Path) -> str:
    """For which outputs what was bought; see `CallTables.begin_for`. What was not bought for a certain one counts for all."""
    parts: list[list[Any]] = []
    for one in found:
        own = one.noted("made_for") or []
        starts = [[1, 1, None], *own] if not own or own[0][:2] != [1, 1] else own
        for call, request, name in starts:
            elsewhere = name and name_of(one.ledger.parent / name, target)
            parts.append([one.offsets.calls + call, one.offsets.requests + request, elsewhere])
    return orjson.dumps(parts).decode() if any(part[2] is not None for part in parts) else ""

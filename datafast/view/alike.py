"""Rows that are worth a look side by side: those of the same prompt, and those that are nearly the same."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from datafast.plan.items import row_uuid
from datafast.quality.base import texts_in
from datafast.quality.near_groups import GroupFinder
from datafast.statistics.rows import as_row
from datafast.store.finding_rows import at_byte
from datafast.store.recorded_rows import unaltered
from datafast.view.rendering.values import row_of

if TYPE_CHECKING:
    from datafast.view.found_row import FoundRow
    from datafast.view.outputs import Output

__all__ = ["MOST_COMPARED", "MOST_TWINS", "NearGroup", "NearGroups", "Twin", "near_groups", "same_prompt"]

MOST_TWINS = 12
MOST_COMPARED = 20_000
"""Rows in which those that are nearly the same are looked for: the first ones."""
_MOST_LETTERS = 20_000_000
_GROUPS = 50
_SHOWN = 8
_BEGINNING = 240


@dataclass(frozen=True, slots=True)
class Twin:
    """A row of the same prompt: its uuid, who wrote it, its number among the rows of its item, and what it holds."""

    uuid: str
    provider: str
    number: int
    value: Any
    is_own: bool


def same_prompt(output: Output, row: FoundRow) -> list[Twin]:
    """The rows that answer the same prompt as a row, with the row itself, each provider's in turn; at most a dozen. None of them without
    a ledger.

    Raises:
        OutputError: the ledger cannot be read.
    """
    if row.number is None or not output.has_ledger or not output.is_jsonl:
        return []
    found: list[Twin] = []
    with output.reader() as reader, output.path.open("rb") as source:
        place = at_byte(output.path, reader, row.start)
        if place is None:
            return []
        ids = reader.ids_with_content(place.item.content)
        items = reader.items_of(ids)
        for item_id in ids:
            provider = next((call.provider for call in reader.calls.whole([item_id])), "")
            for append in reader.appends.of(item_id):
                for number, line in (unaltered(source, append) or {}).items():
                    value, is_own = row_of(line), item_id == place.item.id and number == place.number
                    uuid = _named(value) or row_uuid(items[item_id].key, number)
                    found.append(Twin(uuid, _model_of(value) or provider, number, value, is_own))
    # Its own row first, then the same number of other providers' items.
    found.sort(key=lambda twin: (not twin.is_own, abs(twin.number - place.number), twin.number))
    return found[:MOST_TWINS] if len(found) > 1 else []


def _named(row: Any) -> str:
    uuid = row.get("uuid") if isinstance(row, dict) else None
    return uuid if isinstance(uuid, str) else ""


def _model_of(row: Any) -> str:
    model = row.get("model_id") if isinstance(row, dict) else None
    return model if isinstance(model, str) else ""


class NearGroup(NamedTuple):
    """Rows that are nearly the same: their numbers from 1, and how the first of them begins."""

    numbers: list[int]
    beginning: str
    size: int


class NearGroups(NamedTuple):
    """The largest groups, of how many, in how many rows."""

    groups: list[NearGroup]
    number: int
    compared: int


_known: weakref.WeakKeyDictionary[Output, tuple[tuple[int, int], NearGroups]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def near_groups(output: Output) -> NearGroups:
    """The rows that are nearly the same as others, as the stage `near_duplicates` sees it, in the first rows of an output.

    Cost: a second or two, once for each state of the file.

    Raises:
        OSError: the file cannot be read.
    """
    with _lock:
        output.rows.wait()
        state = output.rows.generation, output.rows.size
        known = _known.get(output)
        if known is None or known[0] != state:
            _known[output] = known = state, _found(output)
        return known[1]


def _lines(output: Output) -> Iterator[bytes]:
    for lines in output.rows.scan():
        yield from lines.data.removesuffix(b"\n").split(b"\n")


def _found(output: Output) -> NearGroups:
    finder, letters = GroupFinder(), 0
    beginnings: list[str] = []
    for line in _lines(output):
        if len(beginnings) >= MOST_COMPARED or letters >= _MOST_LETTERS:
            break
        texts = list(texts_in(as_row(line) or {}))
        letters += len(line)
        finder.add(texts)
        beginnings.append(" ".join(" ".join(texts)[: 2 * _BEGINNING].split())[:_BEGINNING])
    groups = finder.found().largest()
    return NearGroups(
        [
            NearGroup([one + 1 for one in group.rows[:_SHOWN]], beginnings[group.rows[0]], len(group.rows))
            for group in groups[:_GROUPS]
        ],
        len(groups),
        len(beginnings),
    )

"""One pass over all rows, into columns of numbers: what groups are then made of.

Memory: about 40 bytes a row and 4 for each field that makes groups, and the sample of texts. Of a field with more than `MOST_VALUES`
different values, those that come later are counted together.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple, TypeAlias

from datafast.plan.items import WorkItem
from datafast.statistics.fields import HEAD, About, Field, Fields
from datafast.statistics.near import NearDuplicates
from datafast.statistics.words import count_words

__all__ = ["DROPPED", "FAILED", "OTHERS", "UNKNOWN", "WRITTEN", "Entries", "FailedRows", "MadeRow", "Watch"]

WRITTEN, DROPPED, FAILED = range(3)
UNKNOWN, OTHERS = -1, -2
"""In the place of the number of a value: there is none, or there are too many."""
MOST_VALUES = 100_000
_CUT = 4_000


class MadeRow(NamedTuple):
    """A row that was made. `why`: the stage and the reason, if it was dropped."""

    row: Mapping[str, Any]
    item: int
    why: tuple[str, str] | None = None


Watch: TypeAlias = Callable[[Fields], Callable[[MadeRow, Sequence[str], int], None]]
"""Gives, for the fields of the rows, what each row of the file is shown to, with its texts and their letters."""


class FailedRows(NamedTuple):
    """Rows of an item that have failed, with the item in the plan if it is known."""

    number: int
    item: int
    category: str
    planned: WorkItem | None


class SampledRow(NamedTuple):
    """A row whose texts are looked at, by its number among the entries. Of long texts only the beginning is kept."""

    entry: int
    texts: list[str]


class Entries:
    """Columns with an entry for each row: written, dropped or failed.

    Args:
        made: rows in the file, then dropped ones.
        failed: failed rows.
        about: what is known of the rows.
        by, text_fields: see `Fields`.
        sample, seed: how many rows' texts are kept, drawn with this seed.
        watch: is shown the rows of the file as they come.

    Attributes:
        fields: the fields that make groups; `codes` has a column for each, of numbers of its `values`.
        outcome, item, why, characters, words, text_hash: the columns; `why` is a number of `reasons` or `categories`.
        sampled: written and dropped rows, in random order.
        near: which written rows are nearly an earlier one.
    """

    def __init__(
        self,
        made: Iterable[MadeRow],
        failed: Sequence[FailedRows],
        about: About,
        *,
        by: Sequence[str],
        text_fields: Sequence[str] | None,
        sample: int,
        seed: int,
        watch: Watch | None = None,
    ) -> None:
        rows = iter(made)
        head = list(islice(rows, HEAD))
        shapes = [one.row for one in head] or [_as_row(one.planned) for one in failed[:HEAD] if one.planned is not None]
        self._fields = Fields(shapes, about, by=by, text_fields=text_fields)
        self.fields: Sequence[Field] = self._fields.groups
        self.outcome, self.item, self.why = array("B"), array("q"), array("i")
        self.characters, self.words, self.text_hash = array("q"), array("q"), array("q")
        self.codes = [array("i") for _ in self.fields]
        self._values: list[dict[str, int]] = [{} for _ in self.fields]
        self._reasons: dict[tuple[str, str], int] = {}
        self._categories: dict[str, int] = {}
        self._rng = random.Random(f"{seed} sample")
        self._size = sample
        self.sampled: list[SampledRow] = []
        self.near = NearDuplicates()
        self._show = None if watch is None else watch(self._fields)
        for one in chain(head, rows):
            self._add_made(one)
        self.near.end()
        self.num_made = len(self.outcome)
        for several in failed:
            self._add_failed(several)
        self._rng.shuffle(self.sampled)

    def __len__(self) -> int:
        return len(self.outcome)

    def is_written(self, row: SampledRow) -> bool:
        """Whether a sampled row is in the file."""
        return self.outcome[row.entry] == WRITTEN

    @property
    def values(self) -> list[list[str]]:
        """The values of each field, by their numbers."""
        return [list(known) for known in self._values]

    @property
    def reasons(self) -> list[tuple[str, str]]:
        return list(self._reasons)

    @property
    def categories(self) -> list[str]:
        return list(self._categories)

    def _add_made(self, made: MadeRow) -> None:
        row = made.row
        texts = self._fields.texts(row)
        self._sample(texts)
        words, letters = sum(map(count_words, texts)), sum(map(len, texts))
        is_written = made.why is None
        if is_written:
            self.near.add(len(self.outcome), texts, words)
            if self._show is not None:
                self._show(made, texts, letters)
        self.outcome.append(WRITTEN if is_written else DROPPED)
        self.item.append(made.item)
        self.why.append(UNKNOWN if made.why is None else self._reasons.setdefault(made.why, len(self._reasons)))
        self.characters.append(letters)
        self.words.append(words)
        self.text_hash.append(hash(tuple(texts)))
        for field, codes, known in zip(self.fields, self.codes, self._values, strict=True):
            codes.append(_code(field.value(row), known))

    def _add_failed(self, failed: FailedRows) -> None:
        category = self._categories.setdefault(failed.category, len(self._categories))
        number = failed.number
        self.outcome.extend([FAILED] * number)
        self.item.extend([failed.item] * number)
        self.why.extend([category] * number)
        for column in (self.characters, self.words, self.text_hash):
            column.extend([0] * number)
        for field, codes, known in zip(self.fields, self.codes, self._values, strict=True):
            value = None if failed.planned is None else field.planned(failed.planned)
            codes.extend([_code(value, known)] * number)

    def _sample(self, texts: list[str]) -> None:
        """Keeps each row so far with the same probability (Vitter 1985, Random Sampling with a Reservoir, algorithm R)."""
        number = len(self.outcome)
        if number < self._size:
            self.sampled.append(SampledRow(number, _cut(texts)))
        elif (place := int(self._rng.random() * (number + 1))) < self._size:
            self.sampled[place] = SampledRow(number, _cut(texts))


def _cut(texts: list[str]) -> list[str]:
    if sum(map(len, texts)) <= _CUT:
        return texts
    left, cut = _CUT, []
    for text in texts:
        cut.append(text[:left])
        left -= len(cut[-1])
        if not left:
            break
    return cut


def _code(value: str | None, known: dict[str, int]) -> int:
    if value is None:
        return UNKNOWN
    code = known.get(value)
    if code is not None:
        return code
    if len(known) >= MOST_VALUES:
        return OTHERS
    known[value] = len(known)
    return len(known) - 1


def _as_row(item: WorkItem) -> dict[str, Any]:
    """What the rows of an item say of it, as far as the plan knows."""
    values = {**item.shown_values, "prompt_index": item.variant.template_index}
    language = values.pop("language", None)
    return {**({} if language is None else {"language": language}), "metadata": values}

"""How much of the text a placeholder decides: how well a small linear model tells its value from the text alone.

A placeholder whose value cannot be told better than by chance is one that the model ignores, or whose values ask for the same.

Method: ridge regression of the values on hashed features of the text (words, pairs of words, punctuation and line breaks, the length),
with the signs and weights of Weinberger et al., "Feature hashing for large scale multitask learning" (ICML 2009), and tf-idf. Its accuracy
is that over five folds, in which all texts of one group (an item, a row of a source) are in the same fold. Chance is what the same model
reaches with the values dealt anew to the groups (Ojala and Garriga, "Permutation tests for studying classifier performance", JMLR 2010),
or what always naming the most frequent value reaches, if that is more. The interval is that of a bootstrap over groups.

Where the text repeats the value, in the words of the prompt, telling it is easy. So the accuracy is told a second time with the words of
all values taken out of the texts.

Limits: a linear model of words finds topics, tones, languages and formats, and not what takes understanding, like whether an answer
is right. Values that come in fewer than five groups, and those beyond the 50 most frequent ones, are left out, and their number is told.
Cost: some seconds for 2,000 texts and five placeholders, and 150 MB.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict

from datafast.plan.items import digest
from datafast.statistics.rows import NO_ITEM

if TYPE_CHECKING:
    import numpy as np

    from datafast.plan.items import WorkItem
    from datafast.statistics.entries import Entries

    Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

__all__ = ["EFFECT_TEXTS", "Observed", "PlaceholderEffect", "effects_in", "effects_of", "words_in"]

EFFECT_TEXTS = 1_000
"""Texts that are looked at; four times as many take eight times as long."""

_FOLDS = 5
_PERMUTATIONS = 40
_DRAWS = 1000
_COLUMNS = 2048
_RIDGE = 1.0
_MOST_VALUES = 50
_MOST_WORDS = 400
_LENGTH_WEIGHT = 0.3
_SOURCES = ("document", "chunk", "row")
"""Dimensions whose values are what items are made of."""
# A letter of a script without spaces is a word, as are a mark of punctuation and a line break.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|[^\w\s]|\n")


class Observed(NamedTuple):
    """A text, the group whose texts are told from each other by nothing but chance, and the values that it was asked for with."""

    text: str
    group: Hashable
    values: Mapping[str, str]


class PlaceholderEffect(BaseModel):
    """How well the value of a placeholder is told from the text.

    Attributes:
        name: the placeholder, or what else was varied: language, topic, template, provider.
        texts: how many texts there were.
        values: how many different values.
        values_left_out: values that are too rare, or too many.
        accuracy: the share of texts whose value is told, with its 95 % interval.
        chance: the same by chance.
        p_value: how often the values dealt anew are told as well; at least 1 in 41.
        accuracy_without_words: the accuracy where the words of the values are taken out of the texts.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    texts: int
    values: int
    values_left_out: int
    accuracy: float
    low: float
    high: float
    chance: float
    p_value: float
    accuracy_without_words: float

    @property
    def effect(self) -> float:
        """The accuracy between chance (0) and all values told (1)."""
        return _between(self.accuracy, self.chance)

    @property
    def effect_without_words(self) -> float:
        """The same with the words of the values taken out."""
        return _between(self.accuracy_without_words, self.chance)

    @property
    def is_at_chance(self) -> bool:
        """Whether the values are told no better than by chance, as far as the texts show."""
        return self.low <= self.chance or self.p_value > 0.05


def _between(accuracy: float, chance: float) -> float:
    return max(0.0, (accuracy - chance) / (1 - chance)) if chance < 1 else 0.0


def words_in(text: str) -> list[str]:
    """The words of a text in any script, its punctuation and its line breaks."""
    return _WORD.findall(text.casefold())


def effects_in(
    entries: Entries,
    *,
    find: Callable[[Sequence[int]], Mapping[int, WorkItem]] = lambda item_ids: {},
    most: int = EFFECT_TEXTS,
    seed: int = 0,
) -> list[PlaceholderEffect]:
    """The effects of all that tells rows apart, in at most so many rows of the sample.

    Rows of one item are a group, and so are those of one row of a source, as far as the plan tells.

    Args:
        find: finds items in the plan by their ids.
    """
    columns = list(zip(entries.fields, entries.codes, entries.values, strict=True))
    rows = list(islice(filter(entries.is_written, entries.sampled), most))
    items = [entries.item[row.entry] for row in rows]
    sources = {
        item_id: source for item_id, item in find(list(dict.fromkeys(items))).items() if (source := _source_of(item))
    }
    observed = []
    for row, item_id in zip(rows, items, strict=True):
        values = {field.name: known[codes[row.entry]] for field, codes, known in columns if codes[row.entry] >= 0}
        group = -row.entry - 1 if item_id == NO_ITEM else sources.get(item_id, item_id)
        observed.append(Observed("\n".join(row.texts), group, values))
    return effects_of(observed, seed=seed)


def _source_of(item: WorkItem) -> bytes | None:
    """What an item is made of, as 16 bytes: a document, of which it may have a chunk, or a row. None if it is made of nothing."""
    made_of = [item.values[name] for name in _SOURCES if name in item.values]
    return digest(*(str(getattr(value, "document", None) or value) for value in made_of)) if made_of else None


def effects_of(observed: Iterable[Observed], *, seed: int = 0) -> list[PlaceholderEffect]:
    """The effect of each placeholder with at least two values that can be told apart.

    Args:
        observed: texts of one sort; a sample of some thousands at most.
        seed: of folds, permutations and bootstrap. The same texts and seed give the same numbers.
    """
    texts = list(observed)
    names = sorted({name for one in texts for name in one.values})
    words = _Words([one.text for one in texts])
    found = (_effect(name, texts, words, seed) for name in names)
    return [one for one in found if one is not None]


def _effect(name: str, texts: Sequence[Observed], words: _Words, seed: int) -> PlaceholderEffect | None:
    import numpy as np

    rows_of = Counter(one.values[name] for one in texts if name in one.values)
    usable = _usable(name, texts, rows_of)
    if len(usable) < 2:
        return None
    number = {value: place for place, value in enumerate(usable)}
    chosen = [place for place, one in enumerate(texts) if one.values.get(name) in number]
    places = np.array(chosen)
    groups = _numbered([texts[place].group for place in chosen])
    test = _Test(np.array([number[texts[place].values[name]] for place in chosen]), groups, len(usable), seed)
    told = test.told(words.features(places))
    masked = words.masked({word for value in usable for word in words_in(value)})
    without = test.told(masked.features(places), permuted=False) if masked is not words else told
    low, high = test.interval(told[0])
    accuracy = float(told[0].mean())
    by_chance = [float(one.mean()) for one in told[1:]]
    return PlaceholderEffect(
        name=name,
        texts=len(chosen),
        values=len(usable),
        values_left_out=len(rows_of) - len(usable),
        accuracy=accuracy,
        low=low,
        high=high,
        chance=max(sum(by_chance) / len(by_chance), max(rows_of[value] for value in usable) / len(chosen)),
        p_value=(1 + sum(one >= accuracy for one in by_chance)) / (1 + len(by_chance)),
        accuracy_without_words=float(without[0].mean()),
    )


def _usable(name: str, texts: Sequence[Observed], rows_of: Mapping[str, int]) -> list[str]:
    """The values that are in enough groups, the most frequent first."""
    groups_of: dict[str, set[Hashable]] = {}
    for one in texts:
        if name in one.values:
            groups_of.setdefault(one.values[name], set()).add(one.group)
    ranked = sorted(rows_of, key=lambda value: (-rows_of[value], value))
    return [value for value in ranked if len(groups_of[value]) >= _FOLDS][:_MOST_VALUES]


def _numbered(groups: Sequence[Hashable]) -> Array:
    import numpy as np

    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(group, len(seen)) for group in groups])


@dataclass
class _Test:
    """Telling the values of one placeholder.

    Attributes:
        labels: the value of each text, by its number.
        groups: the group of each text, by its number.
    """

    labels: Array
    groups: Array
    num_values: int
    seed: int

    @cached_property
    def _dealt(self) -> list[Array]:
        """The values, then the values as they are dealt anew: group by group, so that those of one group mostly stay together."""
        import numpy as np

        rng = np.random.default_rng(self.seed)
        order = np.argsort(self.groups, kind="stable")
        sizes = np.bincount(self.groups)
        starts = np.cumsum(sizes) - sizes
        dealt = [self.labels]
        for _ in range(_PERMUTATIONS):
            shuffled = rng.permutation(len(sizes))
            source = np.concatenate([order[starts[group] : starts[group] + sizes[group]] for group in shuffled])
            labels = np.empty_like(self.labels)
            labels[order] = self.labels[source]
            dealt.append(labels)
        return dealt

    @cached_property
    def _fold_of(self) -> Array:
        """The fold of each text: groups are dealt out value by value, so that each fold has its share of each."""
        import numpy as np

        rng = np.random.default_rng(self.seed + 1)
        first = np.zeros(self.groups.max() + 1, dtype=int)
        first[self.groups[::-1]] = self.labels[::-1]  # the value of the group's first text
        order = np.lexsort((rng.permutation(len(first)), first))
        fold = np.empty(len(first), dtype=int)
        fold[order] = np.arange(len(first)) % _FOLDS
        return fold[self.groups]

    def told(self, features: Array, *, permuted: bool = True) -> list[Array]:
        """Whether each text's value is told, for the values and for those that were dealt anew."""
        import numpy as np

        dealt = self._dealt if permuted else self._dealt[:1]
        wanted = np.concatenate([np.eye(self.num_values, dtype=np.float32)[labels] for labels in dealt], axis=1)
        right = [np.zeros(len(self.labels), dtype=bool) for _ in dealt]
        for fold in range(_FOLDS):
            test = self._fold_of == fold
            mean = wanted[~test].mean(axis=0)
            scores = _predicted(features[~test], wanted[~test] - mean, features[test]) + mean
            for number, labels in enumerate(dealt):
                part = scores[:, number * self.num_values : (number + 1) * self.num_values]
                right[number][test] = part.argmax(axis=1) == labels[test]
        return right

    def interval(self, right: Array) -> tuple[float, float]:
        """The 95 % interval of the share of texts that are told, by drawing groups again."""
        import numpy as np

        rng = np.random.default_rng(self.seed + 2)
        sizes = np.bincount(self.groups)
        hits = np.bincount(self.groups, weights=right)
        kinds, counts = np.unique(np.stack([sizes, hits], axis=1), axis=0, return_counts=True)
        drawn = rng.multinomial(len(sizes), counts / counts.sum(), size=_DRAWS)
        shares = drawn @ kinds[:, 1] / (drawn @ kinds[:, 0])
        low, high = np.quantile(shares, [0.025, 0.975])
        return float(low), float(high)


def _predicted(known: Array, wanted: Array, asked: Array) -> Array:
    """Ridge regression: what is predicted for the rows of `asked`. It solves for columns or for rows, whichever are fewer."""
    import numpy as np

    by_column = known.shape[0] > known.shape[1]
    gram = known.T @ known if by_column else known @ known.T
    gram[np.diag_indices_from(gram)] += _RIDGE
    if by_column:
        return asked @ np.linalg.solve(gram, known.T @ wanted)
    return (asked @ known.T) @ np.linalg.solve(gram, wanted)


class _Words:
    """The features of texts: which words and pairs of words stand in each, by number. Made once; `features` makes numbers of them."""

    def __init__(self, texts: Sequence[str]) -> None:
        import numpy as np

        self._ids: dict[str, int] = {}
        ids = self._ids
        parts: list[Array] = []
        for text in texts:
            words = words_in(text[: _MOST_WORDS * 20])[:_MOST_WORDS]
            parts.append(np.array([ids.setdefault(word, len(ids)) for word in words], dtype=np.int64))
        hashes = np.array([zlib.crc32(word.encode(errors="replace")) for word in ids] or [0], dtype=np.uint64)
        self._texts = np.repeat(np.arange(len(texts)), [len(part) for part in parts])
        self._first = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
        self._second = np.append(self._first[1:], -1)
        self._second[
            np.flatnonzero(np.append(np.diff(self._texts), 1))
        ] = -1  # the last word of a text has none after it
        self._hashes = hashes
        self._length = np.log1p([len(text) for text in texts])
        self._hidden = np.zeros(len(hashes) + 1, dtype=bool)

    def masked(self, words: set[str]) -> _Words:
        """The same without some words, and without the pairs that these are in. The same object if they stand in no text."""
        known = [self._ids[word] for word in words if word in self._ids]
        if not known:
            return self
        masked = object.__new__(_Words)
        masked.__dict__.update(self.__dict__)
        masked._hidden = self._hidden.copy()
        masked._hidden[known] = True
        return masked

    def features(self, places: Array) -> Array:
        """A row of numbers for each of these texts."""
        import numpy as np

        row_of = np.full(len(self._length), -1)
        row_of[places] = np.arange(len(places))
        shown = (row_of[self._texts] >= 0) & ~self._hidden[self._first]
        pairs = shown & (self._second >= 0) & ~self._hidden[self._second]
        rows = np.concatenate([row_of[self._texts[shown]], row_of[self._texts[pairs]]])
        alone = _mixed(self._hashes[self._first[shown]])
        both = _mixed(
            self._hashes[self._first[pairs]] * np.uint64(31) + self._hashes[self._second[pairs]] + np.uint64(7)
        )
        found = _Found.of(rows, np.concatenate([alone, both]), len(places))
        length = self._length[places]
        spread = length.std()
        extra = _LENGTH_WEIGHT * (length - length.mean()) / spread if spread > 0 else np.zeros(len(places))
        return np.concatenate([found.hashed(), extra[:, None].astype(np.float32)], axis=1)


def _mixed(numbers: Array) -> Array:
    """Numbers spread over all 64 bits (the finalizer of splitmix64)."""
    import numpy as np

    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Array = numbers ^ (numbers >> np.uint64(31))
    return mixed


@dataclass
class _Found:
    """How often each feature stands in each row, without those of a single row."""

    rows: Array
    features: Array
    counts: Array
    num_rows: int

    @classmethod
    def of(cls, rows: Array, features: Array, num_rows: int) -> _Found:
        import numpy as np

        _, numbered = np.unique(features, return_inverse=True)
        together, counts = np.unique(numbered * num_rows + rows, return_counts=True)
        return (
            cls(together % num_rows, together // num_rows, counts, num_rows) if num_rows else cls(rows, rows, rows, 0)
        )

    def hashed(self) -> Array:
        """tf-idf, of length 1 in each row, in the columns that features hash to, with signs."""
        import numpy as np

        in_rows = np.bincount(self.features)
        several = in_rows[self.features] > 1
        rows, features, counts = self.rows[several], self.features[several], self.counts[several]
        values = (1 + np.log(counts)) * (1 + np.log(self.num_rows / in_rows[features]))
        norms = np.sqrt(np.bincount(rows, weights=values**2, minlength=self.num_rows))
        values /= norms[rows]
        hashes = _mixed(features.astype(np.uint64) + np.uint64(1))
        signs = np.where(hashes >> np.uint64(63), 1.0, -1.0)
        columns = (hashes % np.uint64(_COLUMNS)).astype(np.int64)
        flat = np.bincount(rows * _COLUMNS + columns, weights=values * signs, minlength=self.num_rows * _COLUMNS)
        return np.asarray(flat.reshape(self.num_rows, _COLUMNS), dtype=np.float32)

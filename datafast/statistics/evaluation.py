"""How near one field of rows comes to another, by several metrics: for each row, and over all with intervals.

Intervals are percentile bootstrap intervals at 95 % (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993): rows are drawn again
1,000 times, with a seed. More than 10,000 rows are drawn in as many groups. Rows count as independent of each other.
Rows without a prediction or a reference are counted, and have no scores. Memory: some numbers a row; the texts are read one after another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.notify import did_you_mean
from datafast._util.user_path import user_path
from datafast.errors import ConfigError
from datafast.html import paragraph, table
from datafast.statistics.metrics import Metric, metric_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from pydantic import BaseModel

__all__ = ["DEFAULT_METRICS", "Evaluation", "Score", "evaluate", "prediction_beside"]

DEFAULT_METRICS = ("exact_match", "edit_similarity", "bleu", "rouge")
_ABOUT_ROWS = ("uuid", "language", "label")
_DRAWS = 1000
_GROUPS = 10_000
_AT_ONCE = 256


@dataclass(frozen=True)
class Score:
    """A score of all rows, from 0 to 1, with its interval at 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Evaluation:
    """What metrics say of a field of rows beside another.

    Attributes:
        prediction: the field that is looked at.
        reference: the field that it is compared with.
        rows: how many rows have scores.
        missing: how many have none, because one of the fields is null or not there.
        scores: the scores over all rows, by name.
        numbers: the numbers of the rows with scores, from 0.
        by_row: their scores, by name.
    """

    prediction: str
    reference: str
    rows: int
    missing: int
    scores: Mapping[str, Score]
    numbers: Sequence[int] = field(repr=False)
    by_row: Mapping[str, Sequence[float]] = field(repr=False)

    def __getitem__(self, name: str) -> Score:
        return self.scores[name]

    def to_dict(self) -> dict[str, Any]:
        """As plain values, without the scores of rows."""
        scores = {name: {"value": one.value, "low": one.low, "high": one.high} for name, one in self.scores.items()}
        return {
            "prediction": self.prediction,
            "reference": self.reference,
            "rows": self.rows,
            "missing": self.missing,
            "scores": scores,
        }

    def to_pandas(self) -> pd.DataFrame:
        """The scores of the rows, a column for each; the index is the number of the row."""
        with foreign_warnings_ignored():
            import pandas as pd

            return pd.DataFrame(dict(self.by_row), index=pd.Index(self.numbers, name="row"))

    def __str__(self) -> str:
        told = [f"{self.prediction} beside {self.reference}: {self._counts}"]
        told += [f"  {name}: {one.value:.3f} ({one.low:.3f} to {one.high:.3f})" for name, one in self.scores.items()]
        return "\n".join(told)

    def _repr_html_(self) -> str:
        """For notebooks: the scores over all rows."""
        rows = ((name, f"{one.value:.3f}", f"{one.low:.3f} to {one.high:.3f}") for name, one in self.scores.items())
        told = f"{self.prediction} beside {self.reference}: {self._counts}"
        return paragraph(told, bold=True) + table(("score", "value", "95 % interval"), rows)

    @property
    def _counts(self) -> str:
        missing = f", {self.missing:,} without a value" if self.missing else ""
        return f"{self.rows:,} rows{missing}"


def evaluate(
    rows: Iterable[Mapping[str, Any]],
    reference: str,
    metrics: Sequence[str | Metric] = DEFAULT_METRICS,
    *,
    prediction: str,
    model: str | Path | None = None,
    seed: int = 0,
) -> Evaluation:
    """Compares two fields of rows.

    Args:
        rows: mappings, read once.
        reference: the field with what `prediction` should be: a text, or a list of texts of which the nearest one counts.
        metrics: names of metrics (`datafast.statistics.metrics`), or metrics.
        prediction: the field that is looked at.
        model: the folder of a model, for bertscore.
        seed: of the intervals.

    Raises:
        ConfigError: there is no such metric or field, it needs a model, or no row has both values.
        MissingExtraError: a metric's library is not installed.
    """
    if isinstance(metrics, str) or not metrics:
        raise ConfigError("metrics: expected a list of metrics, like ['exact_match', 'bleu'].")
    path = None if model is None else user_path(model)
    found = [_Found(metric_of(given, path)) for given in metrics]
    numbers: list[int] = []
    pairs = _Pairs(rows, prediction, reference)
    while part := list(islice(pairs, _AT_ONCE)):
        numbers += [number for number, _, _ in part]
        for one in found:
            one.add([text for _, text, _ in part], [texts for _, _, texts in part])
    if not numbers:
        raise pairs.refusal()
    return Evaluation(
        prediction=prediction,
        reference=reference,
        rows=len(numbers),
        missing=pairs.missing,
        scores={name: score for one in found for name, score in one.scores(seed).items()},
        numbers=numbers,
        by_row={name: values for one in found for name, values in one.by_row.items()},
    )


def prediction_beside(reference: str, row_model: type[BaseModel], given: str | None) -> str:
    """The field that is compared with a reference: the given one, or the only text of the rows beside it.

    Raises:
        ConfigError: there is no such field, or it is not clear which one is meant.
    """
    fields = row_model.model_fields
    for place, name in (("reference", reference), ("prediction", given)):
        if not isinstance(name, str) and (name is not None or place == "reference"):
            raise ConfigError(
                f"{place}: expected the name of a field, got {name!r:.60}. Rows have {', '.join(fields)}."
            )
        if name is not None and name not in fields:
            raise ConfigError(f"Rows have no field {name!r}. {did_you_mean(name, fields)}")
    if given is not None:
        return given
    texts = [
        name
        for name, info in fields.items()
        if info.annotation is str and name != reference and name not in _ABOUT_ROWS and not name.endswith("model_id")
    ]
    if len(texts) != 1:
        found = f"several texts beside {reference}: {', '.join(texts)}" if texts else f"no text beside {reference}"
        raise ConfigError(f"prediction: Rows have {found}. Say which field is compared: prediction=...")
    return texts[0]


class _Pairs:
    """(number, text, references) of the rows that have both."""

    def __init__(self, rows: Iterable[Mapping[str, Any]], prediction: str, reference: str) -> None:
        self.missing = 0
        self._known: dict[str, None] = {}
        self._rows = rows
        self._fields = prediction, reference
        self._made = self._pairs()

    def __iter__(self) -> Iterator[tuple[int, str, list[str]]]:
        return self._made

    def _pairs(self) -> Iterator[tuple[int, str, list[str]]]:
        prediction, reference = self._fields
        for number, row in enumerate(self._rows):
            said, wanted = row.get(prediction), row.get(reference)
            several = wanted if isinstance(wanted, list | tuple) else [wanted]
            references = [_text(each) for each in several if each is not None]
            if said is None or not references:
                self.missing += 1
                self._known.update(dict.fromkeys(row))
            else:
                yield number, _text(said), references

    def refusal(self) -> ConfigError:
        """Why no row could be compared, when all were gone through."""
        for name in self._fields if self._known else ():
            if name not in self._known:
                return ConfigError(f"No row has a field {name!r}. {did_you_mean(name, self._known)}")
        told = " and ".join(self._fields)
        return ConfigError(f"No row has both {told}, so there is nothing to compare. Check the fields.")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return orjson.dumps(value, default=str, option=orjson.OPT_SORT_KEYS).decode()


class _Found:
    """What a metric has found so far."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._sums: list[Sequence[float]] = []
        self.by_row: dict[str, list[float]] = {name: [] for name in metric.scores}

    def add(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> None:
        for row in self._metric.of(predictions, references):
            self._sums.append(row.sums)
            for values, score in zip(self.by_row.values(), row.scores, strict=True):
                values.append(score)

    def scores(self, seed: int) -> dict[str, Score]:
        import numpy as np

        rng = np.random.default_rng(seed)
        groups = _grouped(np.asarray(self._sums, dtype=float), rng)
        drawn = np.asarray([self._total(weights @ groups) for weights in _weights(len(groups), rng)])
        low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
        values = self._total(groups.sum(axis=0))
        return {
            name: Score(float(value), float(least), float(most))
            for name, value, least, most in zip(self._metric.scores, values, low, high, strict=True)
        }

    def _total(self, sums: Any) -> Sequence[float]:
        *told, rows = sums.tolist()
        return self._metric.total(told, rows)


def _grouped(sums: np.ndarray[Any, Any], rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """What was added up for each row, or for groups of rows, with the number of rows behind it."""
    import numpy as np

    counted = np.column_stack([sums, np.ones(len(sums))])
    if len(counted) <= _GROUPS:
        return counted
    made = np.zeros((_GROUPS, counted.shape[1]))
    np.add.at(made, rng.permutation(len(counted)) % _GROUPS, counted)
    return made


def _weights(groups: int, rng: np.random.Generator) -> Iterator[np.ndarray[Any, Any]]:
    """How often each group is drawn, in each draw."""
    import numpy as np

    for _ in range(_DRAWS):
        yield np.bincount(rng.integers(groups, size=groups), minlength=groups)

"""Comparisons of two columns, as chatan writes them: `eval.exact_match("answer", "expected")`.

    dataset({"answer": gen("..."), "expected": "...", "right": eval.exact_match("answer", "expected")})
    ds.evaluate({"right": ds.eval.exact_match("answer", "expected")})
    evaluate({"one": ds_1.eval.bleu_score("a", "b"), "other": ds_2.eval.bleu_score("a", "b")})

The first is a column with the score of each row; the others give the scores of all rows by name, here of one dataset and of several.
`ds.evaluate("expected", prediction="answer")` says more; see `datafast.statistics.evaluation`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from datafast._util.user_path import user_path
from datafast.columns.types.computed import FunctionColumn
from datafast.errors import ConfigError
from datafast.statistics.evaluation import Evaluation
from datafast.statistics.evaluation import evaluate as compared
from datafast.statistics.metrics import Metric, metric_of

__all__ = ["Comparison", "Comparisons", "Evaluates", "eval", "evaluate"]


class Evaluates(Protocol):
    """A dataset with rows to compare."""

    def evaluate(self, reference: str, metrics: Sequence[str | Metric] = ..., **options: Any) -> Evaluation: ...


_ELSEWHERE = {
    "llm_judge": "A column of type judge scores each row: gen.judge('...').",
    "semantic_similarity": "By a model on this machine there is bertscore(a, b, model='folder').",
}


@dataclass(frozen=True)
class Comparison:
    """A metric over two columns.

    Attributes:
        score: the name of its score.
        turned: it is 1 less the score.
        frame: the dataset with the columns; None for a column of a schema.
    """

    metric: str
    score: str
    prediction: str
    reference: str
    turned: bool = False
    model: Path | None = None
    frame: Evaluates | None = None

    @cached_property
    def _made(self) -> Metric:
        return metric_of(self.metric, self.model)

    def column(self) -> FunctionColumn:
        """The column with the score of each row."""
        version = f"{self.metric} {self.score} {self.turned} {self.model or ''}"
        return FunctionColumn(function=self._of_row, inputs=[self.prediction, self.reference], version=version)

    def _of_row(self, prediction: Any, reference: Any) -> float | None:
        if prediction is None or reference is None:
            return None
        row = {"prediction": prediction, "reference": reference}
        found = compared([row], "reference", [self._made], prediction="prediction")
        return self._turned(found.by_row[self.score][0])

    def over_rows(self, frame: Evaluates) -> float:
        """The score of all rows of a dataset."""
        found = frame.evaluate(self.reference, [self._made], prediction=self.prediction)
        return self._turned(found[self.score].value)

    def _turned(self, value: float) -> float:
        return 1 - value if self.turned else value


class Comparisons:
    """The comparisons by name."""

    def __init__(self, frame: Evaluates | None = None) -> None:
        self._frame = frame

    def exact_match(self, prediction: str, reference: str) -> Comparison:
        """1 where the texts are the same."""
        return Comparison("exact_match", "exact_match", prediction, reference, frame=self._frame)

    def edit_distance(self, prediction: str, reference: str) -> Comparison:
        """The Levenshtein distance over the length of the longer text: 0 where they are the same."""
        return Comparison("edit_similarity", "edit_similarity", prediction, reference, turned=True, frame=self._frame)

    def bleu_score(self, prediction: str, reference: str) -> Comparison:
        """BLEU, from 0 to 1."""
        return Comparison("bleu", "bleu", prediction, reference, frame=self._frame)

    def rouge(self, prediction: str, reference: str, kind: str = "rougeL") -> Comparison:
        """ROUGE, from 0 to 1. `kind` is rouge1, rouge2 or rougeL."""
        if kind not in ("rouge1", "rouge2", "rougeL"):
            raise ConfigError(f"kind: expected rouge1, rouge2 or rougeL, got {kind!r}.")
        return Comparison("rouge", kind, prediction, reference, frame=self._frame)

    def bertscore(self, prediction: str, reference: str, *, model: str | Path) -> Comparison:
        """The F of BERTScore by a model on this machine."""
        return Comparison("bertscore", "bertscore", prediction, reference, model=user_path(model), frame=self._frame)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"There is no comparison {name}. {_ELSEWHERE.get(name, 'dir() lists them.')}")


eval = Comparisons()  # noqa: A001 - chatan calls it so


def evaluate(comparisons: Mapping[str, Comparison], frame: Evaluates | None = None) -> dict[str, float]:
    """The score of each comparison, over all rows of its dataset.

    Args:
        frame: the dataset of comparisons that have none.

    Raises:
        ConfigError: what is given is not a comparison, or it has no dataset.
    """
    found: dict[str, float] = {}
    for name, one in comparisons.items():
        if not isinstance(one, Comparison):
            raise ConfigError(f"{name}: expected a comparison like ds.eval.exact_match('a', 'b'), got {one!r:.60}.")
        whose = one.frame or frame
        if whose is None:
            raise ConfigError(f"{name}: It is not said of which dataset. Write ds.eval.{one.metric}(...).")
        found[str(name)] = one.over_rows(whose)
    return found

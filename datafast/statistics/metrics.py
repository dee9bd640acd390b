"""How near a text comes to a reference: metrics by name, each with a score from 0 to 1 for a row and for all rows.

    exact_match      the texts are the same, without spaces around them
    edit_similarity  1 less the Levenshtein distance over the length of the longer text (rapidfuzz)
    bleu             n-grams of 1 to 4 words, with the tokenizer 13a; over all rows that of the corpus, for a row that of the sentence
                     (Papineni et al., ACL 2002; sacrebleu: Post, "A Call for Clarity in Reporting BLEU Scores", WMT 2018)
    rouge            F of words (rouge1), pairs of words (rouge2) and the longest common subsequence (rougeL), without stemming
                     (Lin, "ROUGE", 2004; rouge-score)
    bertscore        precision, recall and F (`bertscore`) of the cosines of token embeddings (Zhang et al., "BERTScore", ICLR 2020)

Where a row has several references, the best one counts; for BLEU all of them do. Limits: `rouge` counts runs of letters and digits in any
script as words, and each letter in scripts without spaces; rouge-score itself drops what is not ASCII. The tokenizer 13a parts no Chinese
or Japanese words, for which `Bleu(tokenize="char")` is made.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from datafast._util.notify import did_you_mean
from datafast.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["METRICS", "BertScore", "Bleu", "EditSimilarity", "ExactMatch", "Metric", "Rouge", "RowScore", "metric_of"]

_WORDS = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u0e00-\u0e7f]|[^\W_\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u0e00-\u0e7f]+"
)
_INSTALL = "Run: pip install 'datafast[metrics]'"


class RowScore(NamedTuple):
    """The scores of a row, and what is added up over rows for the score of all; the same for most metrics."""

    scores: Sequence[float]
    sums: Sequence[float]


class Metric:
    """Base of all metrics. `scores` are the names of its scores."""

    name: ClassVar[str]
    scores: Sequence[str]

    def of(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> list[RowScore]:
        """The scores of some rows; each has one reference or more."""
        return [RowScore(found, found) for found in map(self.row, predictions, references)]

    def row(self, prediction: str, references: Sequence[str]) -> Sequence[float]:
        """The scores of a row, where `of` does not look at several together."""
        raise NotImplementedError(f"{type(self).__name__} scores no single row. Override row() or of().")

    def total(self, sums: Sequence[float], rows: float) -> Sequence[float]:
        """The scores of all rows, from what was added up over them."""
        return [each / rows for each in sums]


class ExactMatch(Metric):
    name = "exact_match"
    scores = ("exact_match",)

    def row(self, prediction: str, references: Sequence[str]) -> Sequence[float]:
        return (float(any(prediction.strip() == reference.strip() for reference in references)),)


class EditSimilarity(Metric):
    name = "edit_similarity"
    scores = ("edit_similarity",)

    def __init__(self) -> None:
        try:
            from rapidfuzz.distance import Levenshtein
        except ImportError:
            raise MissingExtraError(
                f"edit_similarity: It is computed by rapidfuzz, which is not installed. {_INSTALL}"
            ) from None
        self._similarity = Levenshtein.normalized_similarity

    def row(self, prediction: str, references: Sequence[str]) -> Sequence[float]:
        return (max(self._similarity(prediction, reference) for reference in references),)


class Bleu(Metric):
    """Args: tokenize: how sacrebleu parts words: 13a, intl, char, none."""

    name = "bleu"
    scores = ("bleu",)

    def __init__(self, tokenize: str = "13a") -> None:
        try:
            from sacrebleu.metrics.bleu import BLEU
        except ImportError:
            raise MissingExtraError(f"bleu: It is computed by sacrebleu, which is not installed. {_INSTALL}") from None
        self._bleu = BLEU
        self._sentence = BLEU(effective_order=True, tokenize=tokenize)

    def of(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> list[RowScore]:
        found = map(self._sentence.sentence_score, predictions, references)
        return [
            RowScore((each.score / 100,), (*each.counts, *each.totals, each.sys_len, each.ref_len)) for each in found
        ]

    def total(self, sums: Sequence[float], rows: float) -> Sequence[float]:
        numbers = [round(each) for each in sums]
        found = self._bleu.compute_bleu(numbers[:4], numbers[4:8], numbers[8], numbers[9], smooth_method="exp")
        return (found.score / 100,)


class Rouge(Metric):
    name = "rouge"
    scores = ("rouge1", "rouge2", "rougeL")

    def __init__(self) -> None:
        try:
            from rouge_score.rouge_scorer import RougeScorer
        except ImportError:
            raise MissingExtraError(
                f"rouge: It is computed by rouge-score, which is not installed. {_INSTALL}"
            ) from None
        self._scorer = RougeScorer(list(self.scores), tokenizer=_Words())

    def row(self, prediction: str, references: Sequence[str]) -> Sequence[float]:
        found = self._scorer.score_multi(references, prediction)
        return [found[name].fmeasure for name in self.scores]


class _Words:
    def tokenize(self, text: str) -> list[str]:
        return _WORDS.findall(text.lower())


class BertScore(Metric):
    """Args: model: the folder of a model with its tokenizer; layer: the layer whose embeddings are taken, the last one by default."""

    name = "bertscore"
    scores = ("bertscore_precision", "bertscore_recall", "bertscore")

    def __init__(self, model: Path, layer: int = -1) -> None:
        self._where = model, layer

    @cached_property
    def _embeddings(self) -> Any:
        try:
            from datafast.statistics.bert_score import Embeddings
        except ImportError:
            raise MissingExtraError(
                "bertscore: Its model is run by transformers and torch, which are not installed. Run: pip install "
                "'datafast[transformers]'"
            ) from None
        return Embeddings(*self._where)

    def of(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> list[RowScore]:
        pairs = [(said, each) for said, several in zip(predictions, references, strict=True) for each in several]
        found = iter(self._embeddings.scores(pairs))
        rows = (max((next(found) for _ in several), key=lambda one: one[2]) for several in references)
        return [RowScore(row, row) for row in rows]


METRICS = {metric.name: metric for metric in (ExactMatch, EditSimilarity, Bleu, Rouge, BertScore)}


def metric_of(given: str | Metric, model: Path | None) -> Metric:
    """A metric by its name.

    Args:
        model: what a metric of a model asks.

    Raises:
        ConfigError: there is no such metric, or it needs a model.
        MissingExtraError: its library is not installed.
    """
    if isinstance(given, Metric):
        return given
    if given == BertScore.name:
        if model is None:
            raise ConfigError("metrics: bertscore needs a model. Give the folder of one: model='models/bert-base'.")
        return BertScore(model)
    if given not in METRICS:
        raise ConfigError(f"metrics: There is no metric {given!r}. {did_you_mean(given, METRICS)}")
    made: Metric = METRICS[given]()  # type: ignore[call-arg]  # the one with a model was made above
    return made

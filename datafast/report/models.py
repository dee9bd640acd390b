"""What a report is: typed values that its pages show, and that JSON holds in full."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from datafast.statistics.models import Value
from datafast.statistics.result import Statistics

__all__ = [
    "Call",
    "DuplicateGroup",
    "MeanScore",
    "Message",
    "Provenance",
    "Report",
    "RowField",
    "SampleRow",
    "Score",
    "ShownText",
    "SimilarPair",
    "TimeSlot",
    "UseInSlot",
]


class ShownText(Value):
    """A text, or its beginning.

    Attributes:
        letters: how many the whole text has.
    """

    text: str
    letters: int

    @property
    def is_cut(self) -> bool:
        return len(self.text) < self.letters


class RowField(ShownText):
    """A field of a row. What is no text is told line by line, or as JSON."""

    name: str


class Message(ShownText):
    """A message of a prompt."""

    role: str


class Call(Value):
    """A recorded reply, with what was asked.

    Attributes:
        messages: empty where the prompt is not known.
        used: whether it could be used; None if that is not known.
    """

    role: str
    provider: str
    model: str
    attempts: int
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    latency_s: float
    sent_at: str
    used: bool | None
    messages: list[Message]
    said: ShownText


class Provenance(Value):
    """Where a row comes from: what its item is about, the calls for it, and what cannot be told."""

    values: dict[str, str]
    calls: list[Call]
    notes: list[str]


class SampleRow(Value):
    """A row of the file.

    Attributes:
        why: why it is shown: drawn at random, the shortest, ...
        number: its place in the file, from 1.
        characters: of all its texts.
        provenance: None where nothing is recorded of it.
    """

    why: str
    number: int
    uuid: str | None
    characters: int
    fields: list[RowField]
    provenance: Provenance | None = None


class DuplicateGroup(Value):
    """Rows that are nearly the same: the numbers of all, and the texts of the first of them."""

    numbers: list[int]
    texts: list[ShownText]


class SimilarPair(Value):
    """Two rows whose texts differ, and are more alike than those of others that were looked at.

    Attributes:
        similarity: the share of runs of words that both have (Jaccard), from 0 to 1.
    """

    numbers: tuple[int, int]
    similarity: float
    texts: tuple[ShownText, ShownText]


class MeanScore(Value):
    """The mean score of some rows."""

    rows: int
    mean: float


class Score(Value):
    """A score that rows have.

    Attributes:
        name: the field that has it; fields in others are joined with a point.
        lowest, highest: of all rows.
        counts: rows by their score, in rising order: by its value, or by a range where there are many.
        by: the mean in groups, by field and value.
        by_judge: the mean of each judge, where several are named.
        alpha: how far the judges agree (Krippendorff's alpha, interval data); None if it is not known.
        agreement_rows: the rows that it is of.
        note: why the agreement is not known.
    """

    name: str
    rows: int
    mean: float
    lowest: float
    highest: float
    counts: dict[str, int]
    by: dict[str, dict[str, MeanScore]] = Field(default_factory=dict)
    by_judge: dict[str, MeanScore] = Field(default_factory=dict)
    alpha: float | None = None
    agreement_rows: int = 0
    note: str | None = None

    @property
    def title(self) -> str:
        """The name as people say it: `judged score` for `metadata.judged.score`."""
        return self.name.removeprefix("metadata.").replace(".", " ").replace("_", " ")


class UseInSlot(Value):
    """The calls of one provider in one slot of time."""

    calls: int
    retries: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    latency_s: float


class TimeSlot(Value):
    """A slot of time, by when it begins (ISO 8601, UTC), and what each provider did in it."""

    begins: str
    by_provider: dict[str, UseInSlot]


class Report(Value):
    """A file of rows, told for people: what is in it, how good it is, what it cost.

    Attributes:
        format: what this is, for those who read it as JSON.
        title: the name of the file.
        made_at: when the report was made.
        statistics: all numbers.
        over_time: equally long slots from the first call to the last; empty without a ledger.
        slot_s: how long each is.
        duplicates: the largest groups of rows that are nearly the same.
        num_duplicate_groups: how many such groups there are.
        similar: the most similar pair of rows with different texts, if one was found.
        scores: the scores that rows have.
        samples: rows as they are, some drawn at random and some from the extremes.
        notes: what was not looked at in full, in sentences.
    """

    format: Literal["datafast-report-1"] = "datafast-report-1"
    title: str
    made_at: str
    statistics: Statistics
    over_time: list[TimeSlot] = Field(default_factory=list)
    slot_s: float = 0
    duplicates: list[DuplicateGroup] = Field(default_factory=list)
    num_duplicate_groups: int = 0
    similar: SimilarPair | None = None
    scores: list[Score] = Field(default_factory=list)
    samples: list[SampleRow] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """It as plain values."""
        return self.model_dump(mode="json")

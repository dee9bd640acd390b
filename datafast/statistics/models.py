"""What statistics are: typed values that the command line, notebooks, pages and cards show, and that JSON holds in full.

None stands for what is not known, or cannot be said of so few rows: without a ledger nothing is known of calls, for instance.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Copies", "Diversity", "Group", "Grouping", "Histogram", "Rate", "Spread", "Value", "named", "rate_of"]


class Value(BaseModel):
    """Base of all of them."""

    model_config = ConfigDict(frozen=True)


class Rate(Value):
    """How many of some things are so. `share` is `count / of`."""

    count: int
    of: int
    share: float


def rate_of(count: int, of: int) -> Rate | None:
    """A rate; None of nothing."""
    return Rate(count=count, of=of, share=count / of) if of else None


class Histogram(Value):
    """How often values fall between two edges: `counts[n]` of them from `edges[n]` on, below `edges[n + 1]`. The last one includes its
    upper edge. All groups have the same edges."""

    edges: list[float]
    counts: list[int]


class Spread(Value):
    """How numbers are distributed. Percentiles are interpolated between the two nearest numbers."""

    mean: float
    p5: float
    p50: float
    p95: float
    histogram: Histogram


class Diversity(Value):
    """How much texts differ. `datafast.statistics.diversity` has the definitions and their sources.

    Attributes:
        rows: those of the sample that was looked at.
        words: the words in it. Compare only what was measured on about as many.
        distinct_1: different words, as a share of all. Higher is more diverse.
        distinct_2: the same of pairs of words.
        distinct_3: the same of triples of words.
        compression_ratio: size of the texts by their size after gzip. Lower is more diverse.
        self_bleu: how alike a text is to the others, from 0 to 1. Lower is more diverse.
        self_bleu_rows: rows that self-BLEU was measured on.
    """

    rows: int
    words: int
    distinct_1: float | None
    distinct_2: float | None
    distinct_3: float | None
    compression_ratio: float | None
    self_bleu: float | None
    self_bleu_rows: int


class Copies(Value):
    """How much of its prompt stands in a row, on average. `datafast.statistics.copies` has the definitions and their sources.

    Attributes:
        rows: the rows that were looked at, whose prompts are known.
        share: of the words of the prompt, those that the row has too.
        longest_run: words of the prompt that stand in the row in the same order without a gap.
        longest_run_max: the same of the row that has the most.
    """

    rows: int
    share: float
    longest_run: float
    longest_run_max: int


class Group(Value):
    """Rows that have something in common, or all of them.

    Attributes:
        value: what they have in common; None for all rows, for those of which it is not known, and for the rest.
        rows: rows in the file.
        filtered, failed: rows that stages have dropped, and that have failed for good.
        acceptance: `rows / (rows + filtered + failed)`, without rows of prompts that are not in the plan any more; None where there is no
            ledger, so that it is not known what was dropped.
        filtered_by_stage: filtered rows by stage and reason.
        failures: failed rows by category.
        calls: replies that were paid for.
        retries: requests that were sent again, for any reason, before one of these replies came.
        truncated: replies that end at a limit of tokens; of at most 20,000 replies.
        declined: replies of which the provider itself says that they refuse; of the same.
        refusals: rows, written or filtered, in which the stage `refusals` sees a refusal; of those in the sample.
        input_tokens: of all calls for the rows.
        output_tokens: likewise.
        cost_usd: what these calls cost; None if a price is not known.
        cost_per_row_usd: `cost_usd / rows`: what was filtered, failed or had to be asked again is paid by the rows that are there.
        latency_p50_s: seconds from a request to its reply, in the middle of all.
        latency_p95_s: what 95 of 100 replies do not exceed.
        characters: of all texts of a row, for rows in the file.
        words: likewise.
        repeated: rows whose texts are exactly those of another row that is counted already.
        near_duplicates: rows of the file that are nearly the same as an earlier one, whatever group that is in: those that the stage
            `near_duplicates` would drop with its defaults; of the first 200,000 rows, or 20 million words.
        diversity: how much the texts of rows in the file differ.
        copies: how much of their prompts stands in these rows.
    """

    value: str | None = None
    rows: int
    filtered: int = 0
    failed: int = 0
    acceptance: float | None = None
    filtered_by_stage: dict[str, dict[str, int]] = Field(default_factory=dict)
    failures: dict[str, int] = Field(default_factory=dict)
    calls: int | None = None
    retries: int | None = None
    truncated: Rate | None = None
    declined: Rate | None = None
    refusals: Rate | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    cost_per_row_usd: float | None = None
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None
    characters: Spread | None = None
    words: Spread | None = None
    repeated: Rate | None = None
    near_duplicates: Rate | None = None
    diversity: Diversity | None = None
    copies: Copies | None = None


class Grouping(Value):
    """All rows, in groups by one thing.

    Attributes:
        field: the field of the rows, or `provider`, `role` or `template`.
        kind: what the field is.
        overlaps: whether a row may be in several groups: with several roles, a row is one of each provider that its item had a reply of.
            Calls, tokens and cost are then those of the provider's own replies.
        groups: the largest first.
        num_values: how many values there are; those that are not in `groups` are in `others` together.
        unknown: rows that have no such value, or of which it is not known.
    """

    field: str
    kind: Literal["provider", "role", "template", "placeholder", "language", "topic", "label", "field"]
    overlaps: bool = False
    groups: list[Group]
    num_values: int
    others: Group | None = None
    unknown: Group | None = None


def named(grouping: Grouping) -> list[tuple[str, Group]]:
    """All groups with names: the rest and those that are not known have one too."""
    listed = [(str(group.value), group) for group in grouping.groups]
    if grouping.others is not None:
        listed.append((f"{grouping.num_values - len(grouping.groups):,} others", grouping.others))
    if grouping.unknown is not None:
        listed.append(("(not known)", grouping.unknown))
    return listed

"""Small value types that every layer shares."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NotRequired, TypedDict

__all__ = ["Message", "RunReport", "Usage"]


class Message(TypedDict):
    """One chat message, in the shape that OpenAI's chat completions use."""

    role: str
    content: str
    name: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one reply, or of many added up, as the provider counted them.

    `input_tokens` includes `cached_tokens`; `output_tokens` includes `reasoning_tokens`.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What a run did. Rows: `requested = written + filtered + failed + pending`, always.

    Counts of rows are those of the output file after the run; calls, retries, tokens, cost and seconds are this run's own.
    `cost_usd` is None where the price of a model that was called is not known.
    """

    requested: int
    written: int
    filtered: int
    failed: int
    pending: int
    calls: int
    retries: int
    replayed: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    elapsed_s: float
    output_file: str
    simulated: bool
    stop_reason: str | None
    failures: dict[str, int]
    stopped_providers: dict[str, str]
    set_aside: list[str]

    def counts_line(self) -> str:
        """The counts in one sentence, as the console and the errors print them."""
        return (
            f"{self.requested} rows requested: {self.written} written, {self.filtered} filtered, "
            f"{self.failed} failed, {self.pending} pending"
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

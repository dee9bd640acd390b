"""Small value types that every layer shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NotRequired, TypedDict

from datafast.amounts import counted, money
from datafast.html import facts

__all__ = [
    "AsJson",
    "FailedItem",
    "Message",
    "Messages",
    "Pair",
    "Preference",
    "ProviderUsage",
    "RateLimit",
    "RateLimits",
    "RunReport",
    "Steps",
    "StopCause",
    "TargetCount",
    "Usage",
    "target_lines",
]


class AsJson:
    """Marks a field of a row, in `Annotated[list[dict[str, Any]], AsJson]`, that Parquet files hold as one JSON text."""


Messages = list[dict[str, Any]]
"""Chat messages, those with calls of tools and reasoning included, as chat templates take them."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What a row asks and what it answers: texts, or messages."""

    prompt: str | Messages
    completion: str | Messages


@dataclass(frozen=True, slots=True)
class Preference:
    """What a row asks, and the better and the worse answer: texts, or messages."""

    prompt: str | Messages
    chosen: str | Messages
    rejected: str | Messages


@dataclass(frozen=True, slots=True)
class Steps:
    """What a row asks, the steps of its answer, and whether each of them is right."""

    prompt: str
    completions: list[str]
    labels: list[bool]


class Message(TypedDict):
    """One chat message, in the shape that OpenAI's chat completions use."""

    role: str
    content: str
    name: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one reply, or of many added up, as the provider counted them.

    `input_tokens` includes `cached_tokens` (read from a prompt cache) and `cache_write_tokens` (written to one), and the latter those
    that are kept there for longer than usual. `output_tokens` includes `reasoning_tokens`.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0
    long_cache_write_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.long_cache_write_tokens + other.long_cache_write_tokens,
        )


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One limit, as a server told it with an answer. None for what it did not tell.

    Attributes:
        limit: how much it allows, usually in a minute.
        remaining: how much of that is left.
        reset_s: seconds after the answer until all of it is there again.
    """

    limit: int | None = None
    remaining: int | None = None
    reset_s: float | None = None


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What a server told about its limits with an answer; None for those that it did not tell. `tokens` are input and output together."""

    requests: RateLimit | None = None
    tokens: RateLimit | None = None
    input_tokens: RateLimit | None = None
    output_tokens: RateLimit | None = None


@dataclass(slots=True, kw_only=True)
class ProviderUsage:
    """What was used of one provider. `cost_usd` is None if the price of a call is not known."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0

    def add(self, other: ProviderUsage) -> None:
        self.calls += other.calls
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cost_usd = None if self.cost_usd is None or other.cost_usd is None else self.cost_usd + other.cost_usd

    def in_words(self) -> str:
        return (
            f"{self.calls:,} calls, {self.input_tokens:,} tokens in, {self.output_tokens:,} out, {money(self.cost_usd)}"
        )


class StopCause(StrEnum):
    """What ended a run early."""

    INTERRUPTED = "interrupted"
    """Ctrl-C, cancellation, or `Executor.stop`."""
    BUDGET = "budget"
    """The next request could have exceeded a limit of the config."""
    PROVIDER = "provider"
    """A provider that pending rows need cannot be asked any more."""
    ITEM = "item"
    """An item failed, and the config says that the run then stops."""
    PREPARATION = "preparation"
    """A run that has to come first did not bring what is needed."""
    BATCH = "batch"
    """Batches are under way, and the run was not to wait for them (`wait=False`)."""
    ALARM = "alarm"
    """What became of the rows has set off an alarm (`alarms`)."""
    OUTPUT = "output"
    """Rows or replies cannot be saved."""
    UPLOAD = "upload"
    """What a remote output lacks could not be uploaded; it is on this machine."""
    CALLBACK = "callback"
    """An event callback raised."""
    WORKERS = "workers"
    """No worker is left that could go on (`executor: ray`)."""
    FAULT = "fault"
    """A bug in datafast or in a package that extends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetCount:
    """A stratum of `target_rows`, and how many rows of it were accepted.

    Attributes:
        values: what its rows have in common, by field; nothing where all rows count together.
        target: rows that are to be accepted; `accepted` rows are in the file.
        drawn: rows that were asked for and have come, were dropped or have failed.
        acceptance: the share of them that was accepted, with those beyond the target; None before any was drawn.
        given_up: why no more are drawn although some are lacking; None if they are.
    """

    values: dict[str, str]
    target: int
    accepted: int
    drawn: int
    acceptance: float | None = None
    given_up: str | None = None

    @property
    def name(self) -> str:
        return ", ".join(self.values.values()) or "all rows"

    def in_words(self) -> str:
        share = "" if self.acceptance is None else f" ({self.acceptance:.0%} of {self.drawn:,} drawn)"
        end = "" if self.given_up is None else f"; given up: {self.given_up}"
        return f"{self.name}: {self.accepted:,} of {self.target:,} accepted{share}{end}"


def target_lines(targets: Sequence[TargetCount]) -> list[str]:
    """How targets stand, in words: in all, and each one that is not reached."""
    if len(targets) <= 1:
        return [one.in_words() for one in targets]
    accepted, wanted = sum(one.accepted for one in targets), sum(one.target for one in targets)
    reached = sum(one.accepted >= one.target for one in targets)
    whole = f"{accepted:,} of {wanted:,} rows accepted, {reached:,} of {len(targets):,} targets reached"
    return [whole, *(one.in_words() for one in targets if one.accepted < one.target)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What a run did. Rows: `requested = written + filtered + failed + pending`, always.

    `removed` rows are in the file too, because `run.removed` is `keep`; their items are not in the config any more.
    `dropped_again` rows left the file, `returned` ones came back and `changed_again` ones have another text, because the stages under
    `quality` are others than before. `changed_by_stage` counts the rows in the file that each stage has changed.
    `dropped_at_end` and `returned_at_end` count the same of stages that compare rows, which they do at the end of a run.
    `calls_missing` calls, about rows that were decided about by other stages, were not made: until they are, these rows stay as they were.
    Rows are counted over the whole output file; calls, retries, tokens, cost and seconds over this run only.
    `filtered_by_stage` counts filtered rows by stage and reason, `failures` failed rows by category, and `failures_by_provider`
    failed rows by provider and category. `usage_by_provider` are the calls, tokens and cost of each provider that was called.
    `targets` says how each stratum of `target_rows` stands.
    `cost_usd` is None if the price of a model that was called is not known.
    `paused_s` of the seconds it was paused (`RunControl.pause`, an alarm).
    `shard` says which shard it was a run of, like `1/4`; rows are counted over that shard. `decided_at_merge` are the stages that compare
    rows, which decide when shards are put together.
    `stop_reason` says in words why the run ended early, and `stop_cause` what kind of reason it is. Both are None otherwise.
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
    filtered_by_stage: dict[str, dict[str, int]]
    failures: dict[str, int]
    failures_by_provider: dict[str, dict[str, int]]
    stopped_providers: dict[str, str]
    set_aside: list[str]
    stop_cause: StopCause | None = None
    removed: int = 0
    dropped_again: int = 0
    returned: int = 0
    changed_again: int = 0
    changed_by_stage: dict[str, int] = field(default_factory=dict)
    dropped_at_end: int = 0
    returned_at_end: int = 0
    calls_missing: int = 0
    usage_by_provider: dict[str, ProviderUsage] = field(default_factory=dict)
    targets: list[TargetCount] = field(default_factory=list)
    paused_s: float = 0.0
    shard: str | None = None
    decided_at_merge: list[str] = field(default_factory=list)

    @property
    def given_up(self) -> list[TargetCount]:
        """The targets that are not reached and for which no more is drawn."""
        return [target for target in self.targets if target.given_up is not None]

    @property
    def is_short(self) -> bool:
        """Whether rows are missing for good: failed ones; with `target_rows`, where others are drawn for these, those of a target that
        is given up."""
        return bool(self.given_up if self.targets else self.failed)

    def counts_line(self) -> str:
        """The counts in one sentence, as the console and the errors print them."""
        removed = f", and {self.removed:,} removed ones are kept" if self.removed else ""
        return (
            f"{counted(self.requested, 'row')} requested: {self.written:,} written, {self.filtered:,} filtered, "
            f"{self.failed:,} failed, {self.pending:,} pending{removed}"
        )

    def calls_line(self) -> str:
        """The calls in a few words: how many, how many requests were sent again, and what came from replies of earlier runs."""
        again = f", {counted(self.retries, 'request')} sent again" if self.retries else ""
        replayed = f", {self.replayed:,} answered by recorded replies" if self.replayed else ""
        return f"{self.calls:,}{again}{replayed}"

    def time_line(self) -> str:
        """The seconds, and how many of them it was paused."""
        paused = f", {self.paused_s:,.1f} s of it paused" if self.paused_s else ""
        return f"{self.elapsed_s:,.1f} s{paused}"

    def usage_lines(self) -> list[str]:
        """Each provider and what was used of it, in a few words; nothing where there is only one."""
        used = self.usage_by_provider
        return [f"{name}: {usage.in_words()}" for name, usage in used.items()] if len(used) > 1 else []

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def _repr_html_(self) -> str:
        """For notebooks."""
        failures = ", ".join(f"{count:,} {category}" for category, count in self.failures.items())
        lines = [
            ("rows", self.counts_line()),
            *((f"filtered by {stage}", sum(reasons.values())) for stage, reasons in self.filtered_by_stage.items()),
            *((f"changed by {stage}", rows) for stage, rows in self.changed_by_stage.items()),
            ("left the file, by other stages", self.dropped_again),
            ("came back into it", self.returned),
            ("changed in it", self.changed_again),
            ("left the file at the end, compared with others", self.dropped_at_end),
            ("came back into it then", self.returned_at_end),
            ("failed", failures),
            *(("target", line) for line in target_lines(self.targets)),
            ("calls", self.calls_line()),
            ("tokens", f"{self.input_tokens:,} in, {self.output_tokens:,} out"),
            ("cost", money(self.cost_usd)),
            *(("used", line) for line in self.usage_lines()),
            ("time", self.time_line()),
            ("file", f"{self.output_file}{' (these rows are simulated)' if self.simulated else ''}"),
            ("shard", self.shard or ""),
            ("decided when shards are merged", ", ".join(self.decided_at_merge)),
            *(("set aside", path) for path in self.set_aside),
            ("stopped", self.stop_reason or ""),
        ]
        return facts((name, value) for name, value in lines if value)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedItem:
    """An item with rows that failed for good, as recorded in the ledger.

    Attributes:
        key: the item's key, 32 hexadecimal digits.
        uuids: the uuids that its missing rows would have had.
        rows: the number of missing rows; other rows of the item may be in the file.
        values: what distinguishes the item (topic, language, placeholder values ...); empty if the config has changed since,
            because then it is not known.
        category: the reason in one word; see the error reference.
        error: the reason in a sentence.
        provider, role: who was asked.
        attempts: requests that the failing call sent in the run in which it failed; 0 if no single call is to blame.
        prompt: the last message that was sent.
        raw_reply: the last reply as it came, usually a chat completion as JSON; empty if none came.
        failed_at: when, in UTC.
    """

    key: str
    uuids: tuple[str, ...]
    rows: int
    values: Mapping[str, str]
    category: str
    error: str
    provider: str
    role: str
    attempts: int
    prompt: str
    raw_reply: str
    failed_at: datetime

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values; the time in ISO 8601."""
        return {**asdict(self), "uuids": list(self.uuids), "failed_at": self.failed_at.isoformat(timespec="seconds")}

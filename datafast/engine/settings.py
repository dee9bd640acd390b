"""How a run is carried out: settings that may change between two runs of the same plan, and nothing is paid for twice."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from datafast._util.config_model import Accepts, ConfigModel, Seed, UserPath, default_of

__all__ = ["DropReplies", "FanOut", "LedgerConfig", "RayConfig", "RunConfig"]

FanOut = Literal["all", "split", "fallback"]

_TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):[0-5]\d")
_AFTER = re.compile(r"\d+(\.\d+)?[hm]")


def _deadline(text: str) -> str:
    if not (_TIME_OF_DAY.fullmatch(text) or _AFTER.fullmatch(text)):
        raise ValueError('expected a time of day like "18:00", or hours or minutes like "6h" or "90m".')
    return text


class RayConfig(ConfigModel):
    """Where the workers of `executor: ray` are."""

    address: str = "auto"
    """The cluster: `auto` for the one that this machine belongs to, `local` for one on this machine alone that ends with the run, or
    `HOST:PORT` of the head node."""

    num_workers: int | Literal["auto"] = "auto"
    """How many workers. auto: one on each node that has the `resources`; where these ask for GPUs, one for each that many GPUs."""

    resources: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """What a worker reserves: `CPU` (1 by default), `GPU`, `memory` in bytes, or resources of your own."""

    @field_validator("num_workers")
    @classmethod
    def _some(cls, number: int | str) -> int | str:
        if isinstance(number, int) and number < 1:
            raise ValueError("expected at least 1, or auto.")
        return number


BatchDeadline = Annotated[str, AfterValidator(_deadline)]


class DropReplies(ConfigModel):
    """When raw replies are dropped."""

    drop_after: Literal["written"]
    """written: once the rows of their item are in the file and on the disk."""


class LedgerConfig(ConfigModel):
    """Where the ledger is, and how it keeps raw replies."""

    path: Accepts[UserPath | None, str | Path | None] = default_of(None)
    """Its place; by default next to the output file."""

    replies: Accepts[Literal["keep", "compress"] | DropReplies, str | Mapping[str, Any] | DropReplies] = default_of(
        "keep"
    )
    """What becomes of raw replies. keep: they stay as they came. compress: they are packed with zstd (extra `zstd`). `drop_after: written`:
    they are dropped once their rows are written; what then needs them again is refused. It holds for new replies; those that are
    recorded stay as they are."""

    buy_again: bool = False
    """Buy replies once more that were dropped and are needed, because rows were lost, or the config asks for others."""

    @property
    def form(self) -> Literal["keep", "compress", "drop"]:
        """How replies are stored."""
        return self.replies if isinstance(self.replies, str) else "drop"


class RunConfig(ConfigModel):
    """How a run is carried out. Nothing here except `seed` and `fan_out` changes what is generated."""

    max_concurrency: int = Field(default=32, ge=1, le=100_000)
    """Requests in flight at once, over all providers together. A provider's own `max_concurrency` is a further cap.
    Where a provider's is `auto` and this is left out, that provider may have up to 512."""

    seed: Seed = 0
    """Seed of every random choice of values and of `--limit`'s selection. It is not sent to models."""

    fan_out: FanOut = "all"
    """all: every prompt goes to every provider. split: each prompt to one of them, in proportion to their `weight`. fallback:
    each prompt to the first provider, and to the next one while it is paused after errors, or where it has stopped or fails the item.
    So who answers which prompt follows from when errors come."""

    max_retries: int = Field(default=5, ge=0, le=100)
    """How often one request is sent again after a server error, a timeout or a dropped connection while others succeed in between.
    Waiting out an outage or a rate limit (429) does not count; see `max_stall_s`. The first fault never counts, since an outage may
    begin with it: with 0, too, a request is sent again once."""

    retry_delay_s: float = Field(default=1.0, gt=0, le=3600)
    """Seconds to wait at most before a request is sent again for the first time; each further time twice as many. The wait is
    random within that, and never shorter than the server asks for."""

    max_retry_delay_s: float = Field(default=60.0, gt=0, le=86_400)
    """The most seconds that this wait grows to."""

    max_parse_retries: int = Field(default=2, ge=0, le=20)
    """How often a model is asked again, with the reason, when its reply is not what was asked for."""

    max_stall_s: float = Field(default=300.0, gt=0)
    """Seconds for which nothing may succeed at a provider, from the first error, before it is stopped; its rows stay pending for a
    later run. Replies that are merely slow are waited for."""

    budget_usd: float | None = Field(default=None, gt=0)
    """What this output may cost in all, over all its runs. No request is sent that could exceed it; the run then stops and can go
    on with a larger budget. Every provider needs a known price."""

    max_calls: int | None = Field(default=None, ge=1)
    """Requests that may be sent for this output in all, repeated ones included."""

    max_tokens: int | None = Field(default=None, ge=1)
    """Tokens, of prompts and replies together, that this output may use in all."""

    on_truncation: Literal["fail", "keep"] = "fail"
    """What becomes of a free text that was cut at the output-token limit. fail: its row fails. keep: it is taken as it is."""

    top_up: bool = False
    """Ask again for the missing rows when a reply holds fewer than asked."""

    ordered: bool = False
    """Write rows in the order of the plan, not in that of the replies. All providers then go at the pace of the slowest."""

    removed: Literal["move", "keep"] = "move"
    """Rows of items that are not in the config any more. move: into the file `<output>.stale-<time>`. keep: they stay in the output
    file, and are counted apart from the others. It may be changed at any time; the next run moves what was kept."""

    grace_s: float = Field(default=30.0, ge=0)
    """Seconds that calls in flight are given to land after an interruption."""

    mode: Literal["online", "batch"] = "online"
    """online: each request is sent when its turn comes. batch: requests are gathered into batch jobs of their providers, which answer
    within a day and usually at half the price; providers that have no batches are asked online."""

    batch_deadline: BatchDeadline | None = None
    """With `mode: batch`: when to wait no longer, as a time of day ("18:00") or as hours or minutes after the first batch ("6h", "90m").
    What is not back by then is cancelled and asked online at the full price."""

    ledger: Accepts[UserPath | LedgerConfig | None, str | Path | Mapping[str, Any] | LedgerConfig | None] = default_of(
        None
    )
    """The place of the ledger, or a mapping with its `path` and how it keeps `replies`; by default next to the output file. Another place
    is useful if the output is on a network drive. With `--shard`, the folder for the ledgers of all shards."""

    executor: Literal["local", "ray"] = "local"
    """Who works on the items. local: this process. ray: workers on a Ray cluster; this process still has the output, the budget and all
    limits. Needs the extra `ray`."""

    ray: RayConfig = Field(default_factory=RayConfig)
    """Where these workers are."""

    spool: Accepts[UserPath | None, str | Path | None] = default_of(None)
    """The folder in which runs of remote outputs work (`output_file: s3://...`), each in a folder of its own; by default in the cache
    folder of this user. What was not uploaded yet is there alone."""

    parts: Literal["jsonl", "parquet"] = "jsonl"
    """What the rows of a remote output are uploaded as. It may be changed at any time, for the parts that come."""

    upload_every_s: float = Field(default=30.0, ge=0.05, le=86_400)
    """Seconds between two uploads of a remote output: what the death of the machine may cost. The Hub is not written to more often than
    once a minute."""

    lock: Literal["required", "none"] = "required"
    """Whether an output is written to only with a lock that keeps other runs out. none: also without one, where a file system has no
    locks, or the store of a remote output no conditional writes; two runs at once then buy the same rows twice, and damage the output."""

    durability: Literal["normal", "full"] = "normal"
    """What a power cut may cost: the last second (`normal`) or nothing that was committed (`full`, slower). The death of the
    process costs nothing in either."""

    @property
    def ledger_path(self) -> Path | None:
        """The place of the ledger; None for next to the output file."""
        return self.kept.path if isinstance(self.ledger, LedgerConfig) else self.ledger

    @property
    def kept(self) -> LedgerConfig:
        """How the ledger keeps replies."""
        return self.ledger if isinstance(self.ledger, LedgerConfig) else LedgerConfig()

    @property
    def has_budget(self) -> bool:
        return (self.budget_usd, self.max_calls, self.max_tokens) != (None, None, None)

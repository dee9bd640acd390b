"""What the output of a job has: what is left to make, what earlier replies used, and what the config has changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from datafast._util.user_path import is_file
from datafast.engine.changes import Change, change_of
from datafast.engine.expected_usage import TOKENS_PER_TEXT, History, Span
from datafast.engine.pricing import pricing_of
from datafast.engine.remaining import Remaining, per_route, remaining
from datafast.errors import ConfigError, OutputError
from datafast.plan.grid import spread
from datafast.plan.members import members_of
from datafast.store.lock import is_running
from datafast.store.reader import LedgerReader
from datafast.store.records import Sizes, Spent

if TYPE_CHECKING:
    from datafast.engine.job import Job
    from datafast.store.locating import Located

__all__ = ["SAMPLE", "Past", "sampled"]

SAMPLE = 24
_NOTHING = Spent(0.0, 0, 0)


@dataclass(frozen=True, slots=True)
class Past:
    """What an output has, beside the plan of a job.

    Attributes:
        note: why nothing counts as done although there is an output.
        spent, sizes: what was used, and the sizes of replies by provider and role; read only for a job with a budget.
        learned: what runs have learned about their providers.
    """

    left: Remaining
    history: History
    change: Change | None = None
    note: str = ""
    spent: Spent = _NOTHING
    sizes: Mapping[str, Mapping[str, Sizes]] = field(default_factory=dict)
    learned: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, job: Job, tokens_per_text: Span = TOKENS_PER_TEXT) -> Past:
        """Reads it. Nothing is written, and a run on the output is not delayed."""
        plan, ledger = job.plan, job.paths.ledger
        nothing = cls(Remaining(per_route(plan), plan.num_rows), History(tokens_per_text=tokens_per_text))
        if job.fresh or not is_file(ledger) or not members_of(plan):
            return nothing
        try:
            with LedgerReader(ledger) as reader:
                if reader.meta("mode") != ("simulated" if job.simulated else "real"):
                    return nothing  # a run on this output would be refused
                if not is_running(job.paths):
                    reader.take_in(job.paths.journal, pricing_of(job.providers))
                return cls._beside(reader, job, tokens_per_text)
        except (OutputError, ConfigError) as error:
            return replace(nothing, note=f"Nothing counts as done: {error}")

    @classmethod
    def _beside(cls, reader: LedgerReader, job: Job, tokens_per_text: Span) -> Past:
        left = remaining(reader, job)
        past = cls(
            left,
            History.read(reader, num_rows=job.plan[sampled(job)[0]].num_rows, tokens_per_text=tokens_per_text),
            change_of(reader, left, job),
            learned=reader.learned,
        )
        if not job.settings.has_budget:
            return past
        return replace(past, spent=reader.calls.spent(job.buyer), sizes=reader.calls.reply_sizes())

    @property
    def located(self) -> Located | None:
        """Where its items are in the plan, if they had to be looked for."""
        return None if self.left.found is None else self.left.found.located


def sampled(job: Job) -> list[int]:
    """Positions of items that stand for all items of the plan."""
    return spread(job.plan, SAMPLE, seed=job.settings.seed)

"""Says what a changed config does to an output, before a run with it moves or sends anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from datafast._util.notify import warn_user
from datafast.engine.batches.lost import refuse_lost_batches
from datafast.engine.changes import Change, is_changed
from datafast.errors import OutputError
from datafast.logger_config import logger

if TYPE_CHECKING:
    from datafast.engine.estimated import Estimate
    from datafast.engine.job import Job

__all__ = ["tell_change", "tell_change_async"]


def tell_change(job: Job, on_change: Callable[[Estimate], bool] | None) -> Job:
    """Tells `on_change`, or the log, what the plan of a job changes in its output. Nothing if it is the plan of the last run.

    Returns:
        The job, which knows where it has found the items of its output.

    Raises:
        ConfigError: batches are under way that this run could not collect.
        OutputError: `on_change` has said no; nothing was sent, and no file has changed.
    """
    if job.fresh or not is_changed(job):
        return job
    if job.decide_only:
        raise OutputError(
            f"{job.paths.rows}: The config has changed in more than its stages, so rows would leave and others would have to be made. "
            f"Run without --decide-only (decide_only=True); `datafast plan` says what changes."
        )
    refuse_lost_batches(job)
    from datafast.engine.estimate import estimate  # only if there is something to tell
    from datafast.engine.past import Past

    past = Past.read(job)
    ahead = estimate(job, past=past)
    if ahead.change is not None:
        _tell(ahead, ahead.change, job, on_change)
    return replace(job, located=past.located)


def _tell(ahead: Estimate, change: Change, job: Job, on_change: Callable[[Estimate], bool] | None) -> None:
    if on_change is not None:
        if not on_change(ahead):
            raise OutputError(
                f"{job.paths.rows} stays as it is, and nothing was sent. Change the config back, choose another output file, or "
                f"keep rows that leave in the file with run: {{removed: keep}}."
            )
    elif change.removes_paid_rows:
        warn_user(" ".join(ahead.sentences()))
    else:
        logger.info(" ".join(ahead.sentences()))


async def tell_change_async(job: Job, on_change: Callable[[Estimate], bool] | None) -> Job:
    """`tell_change` in a thread, so that the event loop stays free. Where there is no output yet, there is nothing to wait for."""
    return await asyncio.to_thread(tell_change, job, on_change) if job.paths.ledger.is_file() else job

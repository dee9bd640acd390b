"""Batches that a run could not collect, because it does not have their provider. Such a run is refused before anything moves."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import TYPE_CHECKING

from datafast.engine.routes import labels_of
from datafast.errors import ConfigError, OutputError
from datafast.store.batches import under_way
from datafast.store.reader import LedgerReader
from datafast.store.rows import size_of

if TYPE_CHECKING:
    from pathlib import Path

    from datafast.engine.job import Job
    from datafast.store.batches import BatchRow

__all__ = ["lost", "refuse_lost_batches"]


def refuse_lost_batches(job: Job) -> None:
    """Looks whether every open batch of a job's output is of one of its providers.

    Raises:
        ConfigError: one is not.
    """
    if job.fresh or job.simulated or not size_of(job.paths.ledger):
        return  # such a run is refused for another reason, or has no batches
    with contextlib.suppress(OutputError), LedgerReader(job.paths.ledger) as reader:  # told where it is opened
        known = set(labels_of(job.providers).values())
        if missing := [row for row in reader.batches.open() if row.provider not in known]:
            raise lost(job.paths.rows, missing, "the config has this provider no longer")


def lost(output: Path, rows: Collection[BatchRow], why: str) -> ConfigError:
    """The error for batches that cannot be collected."""
    return ConfigError(
        f"{output}: {under_way(list(rows))}, and {why}. Put it back as it was, with the same name and model, until they are collected. "
        f"Or cancel them with `datafast batches {output} --cancel`."
    )

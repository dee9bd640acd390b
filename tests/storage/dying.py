"""A run whose process is killed by the store that it talks to (`ForkServer.run("tests.storage.dying:run", ...)`)."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from datafast.errors import DatafastWarning
from datafast.storage import uploads
from datafast.storage.buckets import Buckets
from datafast.store import group_commit
from tests.storage.remote import dataset, provider

__all__ = ["run", "take_over"]


def run(url: str, spool: str, folder: str, environment: dict[str, str], topics: int, replies: Any) -> None:
    """`replies`: what becomes of them (`run.ledger.replies`). Where they are dropped, this is done as often as may be, and the ledger is
    uploaded once before the end."""
    os.environ.update(environment)
    if replies != "keep":
        uploads._MOST_OFTEN, group_commit._JOURNAL_LIMIT = 1e12, 0  # type: ignore[assignment]
    Path(folder, "pid").write_text(str(os.getpid()))
    warnings.simplefilter("ignore", DatafastWarning)
    made = dataset(
        url,
        Path(spool),
        topics=topics,
        run={"max_concurrency": 2, "upload_every_s": 0.05, "ledger": {"replies": replies}},
    )
    made.generate([provider(Path(folder), latency_s=0.05)])


def take_over(url: str, spool: str, folder: str, environment: dict[str, str], topics: int) -> None:
    """A run on another machine, which finds that the lock has lapsed."""
    os.environ.update(environment)
    Buckets.lease_s = -1.0
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        dataset(url, Path(spool), topics=topics).generate([provider(Path(folder))])
    assert any("takes over" in str(one.message) for one in told)

"""A process that is killed at any request to the store, before it or after it was carried out: readers see whole rows, the same machine
buys at most what was in flight, and another one at most what was not uploaded too."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from datafast._util.remote import remote_url
from datafast.errors import DatafastWarning
from datafast.storage.buckets import Buckets
from datafast.storage.manifest import read_manifest
from tests.servers.s3_server import Asked, S3Proxy
from tests.storage.remote import bought, dataset, provider, rows_there
from tests.support import ForkServer, raw, rows_of, same_rows

TOPICS, IN_FLIGHT = 10, 2
DROPPED = {"drop_after": "written"}


@pytest.fixture
def patient_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Machines that find the lock of a dead one lapsed."""
    monkeypatch.setattr(Buckets, "lease_s", 0.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "replies", "at"),
    [("kill", DROPPED, 0), ("kill-after", DROPPED, 3), ("kill", "keep", 3), ("kill-after", "keep", 0)],
)
def test_a_process_that_is_killed_at_any_request_loses_nothing(
    store: S3Proxy,
    tmp_path: Path,
    children: ForkServer,
    how: Any,
    replies: Any,
    at: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    local = rows_of(raw(tmp_path, topics=TOPICS).generate([provider(tmp_path)]).paths.rows)
    tried, is_alive = 0, False
    while not is_alive:
        at += 1 + at // 3
        tried += 1
        folder = tmp_path / f"{how}-{at}"
        folder.mkdir()
        url = f"s3://{store.bucket}/{how}/{at}/rows.jsonl"
        is_alive = _killed(store, children, url, folder, at, how, replies) == 0
        _check(url, folder, local, monkeypatch)
    assert tried > 5


def _killed(
    store: S3Proxy, children: ForkServer, url: str, folder: Path, at: int | str, how: Any, replies: Any = "keep"
) -> int:
    """`at`: the number of a request, or the name of an object that is put."""
    begin = len(store.asked)

    def plan(asked: Asked) -> Any:
        if at not in (asked.number - begin, asked.key.rpartition("/")[2] if asked.method == "PUT" else None):
            return None
        store.victim = int((folder / "pid").read_text())
        return how

    store.plan = plan
    try:
        return children.run(
            "tests.storage.dying:run",
            url=url,
            spool=str(folder / "spool"),
            folder=str(folder),
            environment=store.environment,
            topics=TOPICS,
            replies=replies,
        )
    finally:
        store.plan = lambda asked: None


def _check(url: str, folder: Path, local: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    place = remote_url(url)
    assert place is not None
    there = rows_there(url)
    read = read_manifest(Buckets(place), url)
    uploaded = 0 if read is None else read[0].last_call
    assert len(there.splitlines()) <= uploaded
    sent = bought(folder)
    assert uploaded <= sent
    with warnings.catch_warnings(), monkeypatch.context() as lapsed:
        warnings.simplefilter("ignore", DatafastWarning)
        lapsed.setattr(Buckets, "lease_s", -1.0)
        elsewhere = folder / "elsewhere"
        elsewhere.mkdir()
        made = dataset(url, elsewhere / "spool", topics=TOPICS).generate([provider(elsewhere)])
        assert bought(elsewhere) == TOPICS - uploaded
        assert same_rows(rows_of(made.paths.rows), local)
        assert made.paths.rows.read_bytes() == rows_there(url)
        lapsed.undo()
        back = dataset(url, folder / "spool", topics=TOPICS).generate([provider(folder)])
    assert bought(folder) == sent
    assert same_rows(rows_of(back.paths.rows), local)


def test_the_same_machine_goes_on_with_its_spool_at_once(store: S3Proxy, tmp_path: Path, children: ForkServer) -> None:
    url = f"s3://{store.bucket}/rows.jsonl"
    local = rows_of(raw(tmp_path, topics=TOPICS).generate([provider(tmp_path)]).paths.rows)
    folder = tmp_path / "here"
    folder.mkdir()
    assert _killed(store, children, url, folder, "manifest.json", "kill-after") != 0
    sent = bought(folder)
    made = dataset(url, folder / "spool", topics=TOPICS).generate([provider(folder)])
    assert bought(folder) <= TOPICS + IN_FLIGHT
    assert bought(folder) - sent <= TOPICS - (sent - IN_FLIGHT)
    assert same_rows(rows_of(made.paths.rows), local)
    assert rows_there(url) == made.paths.rows.read_bytes()

"""Where replies are dropped, and the ledger is too large for each upload: what is uploaded is found elsewhere all the same."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from datafast.errors import RunStopped
from datafast.storage import patient, uploader, uploads
from datafast.storage.buckets import Buckets
from datafast.store import group_commit
from datafast.store.reader import LedgerReader
from tests.running import until, wait_for
from tests.servers.s3_server import Asked, S3Proxy
from tests.storage.conftest import Rounds
from tests.storage.remote import bought, copied, dataset, manifest_at, provider, refused_puts, rows_there, url_of
from tests.support import raw, rows_of, same_rows

TOPICS = 30
DROPS = {"ledger": {"replies": {"drop_after": "written"}}, "max_concurrency": 1, "upload_every_s": 0.05}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/share/rows.jsonl"


@pytest.fixture
def _clears_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal is emptied, and replies dropped, as often as may be."""
    monkeypatch.setattr(group_commit, "_JOURNAL_LIMIT", 0)


@pytest.mark.usefixtures("_clears_often")
@pytest.mark.filterwarnings("ignore::datafast.errors.DatafastWarning")
def test_what_is_newer_than_the_uploaded_ledger_is_found_elsewhere(
    url: str, tmp_path: Path, rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_MOST_OFTEN", 1e12)
    share, seen = tmp_path / "share", tmp_path / "seen"

    def is_newer() -> bool:
        found = manifest_at(url)
        if found.ledger is None or found.rows_bytes <= found.ledger.rows_bytes + 1000:
            return False
        copied(share, seen, found)
        return True

    async def hold(request: Any) -> None:
        if bought(tmp_path) == 6:  # the ledger is uploaded
            await rounds.another()
        if bought(tmp_path) == 20:  # and what came after it
            await until(is_newer)

    dataset(url, tmp_path / "here", topics=TOPICS, run=DROPS).generate([provider(tmp_path, waits=hold)])
    assert bought(tmp_path) == TOPICS
    shutil.rmtree(share)
    seen.rename(share)
    uploaded = manifest_at(url).last_call
    assert len(rows_there(url).splitlines()) <= uploaded
    (tmp_path / "other").mkdir()
    made = dataset(url, tmp_path / "there", topics=TOPICS, run=DROPS).generate([provider(tmp_path / "other")])
    assert bought(tmp_path / "other") == TOPICS - uploaded
    assert same_rows(
        rows_of(made.paths.rows), rows_of(raw(tmp_path, topics=TOPICS).generate([provider(tmp_path)]).paths.rows)
    )
    assert rows_there(url) == made.paths.rows.read_bytes()


@pytest.mark.usefixtures("_clears_often")
def test_an_upload_after_the_end_of_the_run_has_the_rows_whose_replies_were_just_dropped(
    url: str, tmp_path: Path, rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one of those beside the run, which had slept over its end; the last one never comes."""
    monkeypatch.setattr(uploads, "_MOST_OFTEN", 1e12)
    made = dataset(url, tmp_path / "here", topics=TOPICS, run=DROPS)
    share, seen = tmp_path / "share", tmp_path / "seen"
    finish = uploader.Uploader.finish

    async def hold(request: Any) -> None:
        if bought(tmp_path) == 6:
            await rounds.another()

    def finish_late(self: uploader.Uploader, *args: Any, **options: Any) -> bool:
        size = made.paths.rows.stat().st_size
        wait_for(lambda: manifest_at(url).rows_bytes == size)
        copied(share, seen, manifest_at(url))
        return finish(self, *args, **options)

    monkeypatch.setattr(uploader.Uploader, "finish", finish_late)
    made.generate([provider(tmp_path, waits=hold)])
    shutil.rmtree(share)
    seen.rename(share)
    assert not manifest_at(url).ended
    assert len(rows_there(url).splitlines()) == manifest_at(url).last_call == TOPICS
    (tmp_path / "other").mkdir()
    monkeypatch.setattr(uploader.Uploader, "finish", finish)
    dataset(url, tmp_path / "there", topics=TOPICS, run=DROPS).generate([provider(tmp_path / "other")])
    assert bought(tmp_path / "other") == 0


@pytest.mark.usefixtures("_clears_often")
def test_replies_are_dropped_once_an_uploaded_ledger_has_their_rows(
    url: str, tmp_path: Path, rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_MOST_OFTEN", 0)
    made = dataset(url, tmp_path / "here", topics=TOPICS, run=DROPS)
    kept: list[tuple[int, int]] = []

    def reply(request: Any) -> None:
        if made.paths.ledger.exists():
            with LedgerReader(made.paths.ledger) as reader:
                kept.append((reader.max_id("calls"), len(reader.calls.newer(0, TOPICS))))

    def knows_nine() -> bool:
        ledger = manifest_at(url).ledger
        return ledger is not None and ledger.last_call == 9

    async def hold(request: Any) -> None:
        if bought(tmp_path) == 5:  # uploads count from now on
            await rounds.another()
        if bought(tmp_path) == 10:
            await until(knows_nine)

    made.generate([provider(tmp_path, reply=reply, waits=hold, latency_s=0.03)])
    assert max(held for _, held in kept) > 0
    assert any(held < calls - 3 for calls, held in kept)
    with LedgerReader(made.paths.ledger) as reader:
        assert reader.calls.newer(0, 1) == []
    other = dataset(url, tmp_path / "there", topics=TOPICS, run=DROPS).generate([provider(tmp_path)])
    with LedgerReader(other.paths.ledger) as reader:
        assert reader.calls.newer(0, 1) == []
        assert reader.max_id("calls") == bought(tmp_path) == TOPICS


@pytest.mark.usefixtures("_clears_often")
@pytest.mark.filterwarnings("ignore::datafast.errors.DatafastWarning")
def test_what_an_earlier_run_has_dropped_is_uploaded_with_the_ledger_that_knows_it(
    store: S3Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the first upload of the later run fails when its ledger is there, and only its manifest is not."""
    monkeypatch.setattr(uploads, "_MOST_OFTEN", 1e12)
    monkeypatch.setattr(patient, "_FIRST_WAIT_S", 0.0)
    monkeypatch.setattr(uploader, "_FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(Buckets, "lease_s", -1.0)
    url, run = url_of(store), {**DROPS, "max_stall_s": 0.2}
    here = dataset(url, tmp_path / "here", topics=4, run=DROPS).generate([provider(tmp_path)])
    store.plan = lambda asked: "500" if asked.method == "PUT" and "/rows/" in asked.key else None
    with pytest.raises(RunStopped):
        dataset(url, tmp_path / "here", topics=8, run=run).generate([provider(tmp_path)])
    manifests: list[str] = []
    is_due: list[bool] = []  # for each upload that failed, whether there are new rows for the next one
    is_there = threading.Event()

    def plan(asked: Asked) -> Any:
        if asked.method != "PUT" or "probe" in asked.key or "lock" in asked.key:
            return None
        if is_there.is_set():
            return "500"
        if not asked.key.endswith("/manifest.json"):
            return None
        if any(is_due):
            is_there.set()
            return None
        manifests.append(asked.key)
        if len(manifests) % patient.SHORT == 0:
            with LedgerReader(here.paths.ledger) as reader:
                is_due.append(reader.counts().written > 8)
        return "500"

    async def hold(request: Any) -> None:
        if bought(tmp_path) == 20:
            await until(is_there.is_set)

    store.plan = plan
    with pytest.raises(RunStopped):
        dataset(url, tmp_path / "here", topics=TOPICS, run=run).generate([provider(tmp_path, waits=hold)])
    store.plan = lambda asked: None
    assert bought(tmp_path) == TOPICS
    uploaded = manifest_at(url).last_call
    assert 8 < len(rows_there(url).splitlines()) <= uploaded < TOPICS
    (tmp_path / "other").mkdir()
    dataset(url, tmp_path / "there", topics=TOPICS, run=DROPS).generate([provider(tmp_path / "other")])
    assert bought(tmp_path / "other") == TOPICS - uploaded


def test_rows_without_replies_that_were_never_uploaded_are_kept_aside(
    store: S3Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patient, "_FIRST_WAIT_S", 0.0)
    monkeypatch.setattr(Buckets, "lease_s", -1.0)
    url = url_of(store)
    dataset(url, tmp_path / "here", topics=2, run=DROPS).generate([provider(tmp_path)])
    hold = refused_puts(store, tmp_path, lambda key: "/rows/" in key, after=6)
    with pytest.warns(match="upload"), pytest.raises(RunStopped):
        dataset(url, tmp_path / "here", topics=6, run={**DROPS, "max_stall_s": 0.2}).generate(
            [provider(tmp_path, waits=hold)]
        )
    store.plan = lambda asked: None
    dataset(url, tmp_path / "there", topics=3, run=DROPS).generate([provider(tmp_path)])
    with pytest.warns(match="bought again"):
        dataset(url, tmp_path / "here", topics=3, run=DROPS).generate([provider(tmp_path)])
    (aside,) = (tmp_path / "here").glob("*.aside-*")
    assert len(rows_of(aside / "rows.jsonl")) == 6

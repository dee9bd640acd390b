"""Where replies are dropped, and the ledger is too large for each upload: what is uploaded is found elsewhere all the same."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from datafast._util.remote import remote_url
from datafast.storage import uploads
from datafast.storage.manifest import Manifest, read_manifest
from datafast.storage.opening import objects_of
from datafast.store import group_commit
from datafast.store.reader import LedgerReader
from tests.storage.remote import bought, dataset, provider, rows_there
from tests.support import raw, rows_of, same_rows

TOPICS = 30
DROPS = {"ledger": {"replies": {"drop_after": "written"}}, "max_concurrency": 1, "upload_every_s": 0.05}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/share/rows.jsonl"


def _manifest(url: str) -> Manifest:
    place = remote_url(url)
    assert place is not None
    found = read_manifest(objects_of(place), url)
    assert found is not None
    return found[0]


@pytest.fixture
def _clears_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal is emptied, and replies dropped, as often as may be."""
    monkeypatch.setattr(group_commit, "_JOURNAL_LIMIT", 0)


@pytest.mark.usefixtures("_clears_often")
@pytest.mark.filterwarnings("ignore::datafast.errors.DatafastWarning")
def test_what_is_newer_than_the_uploaded_ledger_is_found_elsewhere(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_MOST_OFTEN", 1e12)
    share, seen = tmp_path / "share", tmp_path / "seen"

    def reply(request: Any) -> None:
        if not seen.exists() and (share / "rows.jsonl/manifest.json").exists():
            found = _manifest(url)
            if found.ledger is not None and found.rows_bytes > found.ledger.rows_bytes + 1000:
                shutil.copytree(share, seen, ignore=shutil.ignore_patterns(".*", "*.json"))
                (seen / "rows.jsonl/manifest.json").write_bytes(found.encoded())

    dataset(url, tmp_path / "here", topics=TOPICS, run=DROPS).generate(
        [provider(tmp_path, reply=reply, latency_s=0.03)]
    )
    assert bought(tmp_path) == TOPICS
    shutil.rmtree(share)
    seen.rename(share)
    uploaded = _manifest(url).last_call
    assert len(rows_there(url).splitlines()) <= uploaded
    (tmp_path / "other").mkdir()
    made = dataset(url, tmp_path / "there", topics=TOPICS, run=DROPS).generate([provider(tmp_path / "other")])
    assert bought(tmp_path / "other") == TOPICS - uploaded
    assert same_rows(
        rows_of(made.paths.rows), rows_of(raw(tmp_path, topics=TOPICS).generate([provider(tmp_path)]).paths.rows)
    )
    assert rows_there(url) == made.paths.rows.read_bytes()


@pytest.mark.usefixtures("_clears_often")
def test_replies_are_dropped_once_an_uploaded_ledger_has_their_rows(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_MOST_OFTEN", 0)
    made = dataset(url, tmp_path / "here", topics=TOPICS, run=DROPS)
    kept: list[tuple[int, int]] = []

    def reply(request: Any) -> None:
        if made.paths.ledger.exists():
            with LedgerReader(made.paths.ledger) as reader:
                kept.append((reader.max_id("calls"), len(reader.calls.newer(0, TOPICS))))

    made.generate([provider(tmp_path, reply=reply, latency_s=0.03)])
    assert max(held for _, held in kept) > 0
    assert any(held < calls - 3 for calls, held in kept)
    with LedgerReader(made.paths.ledger) as reader:
        assert reader.calls.newer(0, 1) == []
    other = dataset(url, tmp_path / "there", topics=TOPICS, run=DROPS).generate([provider(tmp_path)])
    with LedgerReader(other.paths.ledger) as reader:
        assert reader.calls.newer(0, 1) == []
        assert reader.max_id("calls") == bought(tmp_path) == TOPICS

"""A machine that goes on in the midst of a run whose ledger is too large for each upload, and whose rows have moved."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from datafast._util.remote import remote_url
from datafast.storage import ledger_parts
from datafast.storage.manifest import read_manifest
from datafast.storage.opening import objects_of
from tests.storage.remote import provider, rows_there
from tests.support import raw, rows_of, same_rows


@pytest.mark.filterwarnings("ignore::datafast.errors.DatafastWarning")
def test_rows_that_moved_are_uploaded_with_the_ledger_that_knows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share, seen = tmp_path / "share", tmp_path / "seen"
    url = f"file://{share}/rows.jsonl"
    place = remote_url(url)
    assert place is not None
    topics = [f"topic {number}" for number in range(30)]
    settings = {"spool": tmp_path / "here", "upload_every_s": 0.05, "max_concurrency": 1}
    raw(tmp_path, topics=topics[:6], run=settings, output_file=url).generate([provider(tmp_path)])
    size = len(rows_there(url))
    monkeypatch.setattr(ledger_parts, "_SMALL_LEDGER", 0)

    def reply(request: Any) -> None:
        found = read_manifest(objects_of(place), url)
        if not seen.exists() and found is not None and found[0].rows_bytes > size:
            shutil.copytree(share, seen)

    seldom = {**settings, "upload_every_s": 0.5}
    raw(tmp_path, topics=topics[3:], run=seldom, output_file=url).generate(
        [provider(tmp_path, reply=reply, latency_s=0.05)]
    )
    assert seen.exists()
    shutil.rmtree(share)
    seen.rename(share)
    (share / "rows.jsonl/lock.json").unlink()
    there = {**settings, "spool": tmp_path / "there"}
    made = raw(tmp_path, topics=topics[3:], run=there, output_file=url).generate([provider(tmp_path)])
    local = raw(tmp_path, topics=topics[3:]).generate([provider(tmp_path)])
    assert same_rows(rows_of(made.paths.rows), rows_of(local.paths.rows))
    assert rows_there(url) == made.paths.rows.read_bytes()

"""A machine that goes on in the midst of a run whose ledger is too large for each upload, and whose rows have moved."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from datafast.storage import ledger_parts
from tests.running import until
from tests.storage.remote import bought, copied, manifest_at, provider, rows_there
from tests.support import raw, rows_of, same_rows


@pytest.mark.filterwarnings("ignore::datafast.errors.DatafastWarning")
def test_rows_that_moved_are_uploaded_with_the_ledger_that_knows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share, seen = tmp_path / "share", tmp_path / "seen"
    url = f"file://{share}/rows.jsonl"
    topics = [f"topic {number}" for number in range(30)]
    settings = {"spool": tmp_path / "here", "upload_every_s": 0.05, "max_concurrency": 1}
    raw(tmp_path, topics=topics[:6], run=settings, output_file=url).generate([provider(tmp_path)])
    size = len(rows_there(url))
    monkeypatch.setattr(ledger_parts, "_SMALL_LEDGER", 0)

    def is_larger() -> bool:
        found = manifest_at(url)
        if found.rows_bytes <= size:
            return False
        copied(share, seen, found)
        return True

    async def hold(request: Any) -> None:
        if bought(tmp_path) == 20:
            await until(is_larger)

    seldom = {**settings, "upload_every_s": 0.5}
    raw(tmp_path, topics=topics[3:], run=seldom, output_file=url).generate([provider(tmp_path, waits=hold)])
    shutil.rmtree(share)
    seen.rename(share)
    there = {**settings, "spool": tmp_path / "there"}
    made = raw(tmp_path, topics=topics[3:], run=there, output_file=url).generate([provider(tmp_path)])
    local = raw(tmp_path, topics=topics[3:]).generate([provider(tmp_path)])
    assert same_rows(rows_of(made.paths.rows), rows_of(local.paths.rows))
    assert rows_there(url) == made.paths.rows.read_bytes()

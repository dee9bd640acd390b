"""What becomes of a remote output when files on this machine are deleted, and what never goes to the store."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from datafast._util.remote import remote_url
from datafast.errors import ConfigError, RunStopped
from datafast.storage.manifest import GRACE, Manifest, RowsPart, read_manifest
from datafast.storage.opening import objects_of
from tests.servers.s3_server import S3Proxy
from tests.storage.remote import bought, dataset, provider, rows_there, url_of


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/share/rows.jsonl"


def test_a_ledger_that_was_deleted_here_is_fetched_and_never_taken_from_the_store(url: str, tmp_path: Path) -> None:
    made = dataset(url, tmp_path / "spool").generate([provider(tmp_path)])
    there = rows_there(url)
    made.paths.ledger.unlink()
    again = dataset(url, tmp_path / "spool").generate([provider(tmp_path)])
    assert bought(tmp_path) == 6
    assert rows_there(url) == again.paths.rows.read_bytes() == there


@pytest.mark.filterwarnings("ignore::datafast.errors.DatafastWarning")
@pytest.mark.parametrize("what", ["ledger", "folder"])
def test_files_that_are_deleted_in_a_run_leave_the_store_as_it_was_and_are_told(
    url: str, tmp_path: Path, what: str
) -> None:
    made = dataset(url, tmp_path / "spool").generate([provider(tmp_path)])
    there = rows_there(url)

    def reply(request: Any) -> None:
        if what == "folder":
            shutil.rmtree(made.paths.rows.parent, ignore_errors=True)
        else:
            made.paths.ledger.unlink(missing_ok=True)

    larger = dataset(url, tmp_path / "spool", topics=7, run={"upload_every_s": 60, "max_stall_s": 0.5})
    with pytest.raises(RunStopped) as raised:
        larger.generate([provider(tmp_path, reply=reply)])
    assert "deleted" in str(raised.value.report.stop_reason)
    assert rows_there(url).startswith(there)
    dataset(url, tmp_path / "spool", topics=7).generate([provider(tmp_path)])
    assert len(rows_there(url).splitlines()) == 7


@pytest.mark.parametrize("name", ["notes-batch-1.jsonl", ".notes.jsonl"])
def test_files_beside_the_rows_are_uploaded_whatever_the_output_is_called(tmp_path: Path, name: str) -> None:
    url = f"file://{tmp_path}/share/{name}"
    made = dataset(url, tmp_path / "here").generate([provider(tmp_path)])
    made.reviews().reject(str(next(iter(made.data_rows)).uuid), "no")
    dataset(url, tmp_path / "here").generate([provider(tmp_path)])
    other = dataset(url, tmp_path / "there").generate([provider(tmp_path)])
    assert other.paths.reviews.read_bytes() == made.paths.reviews.read_bytes()
    place = remote_url(url)
    assert place is not None
    found = read_manifest(objects_of(place), url)
    assert found is not None
    assert {file.file for file in found[0].files} == {f"{name}.manifest.json", f"{name}.reviews"}


def test_a_manifest_does_not_grow_with_what_was_retired_long_ago() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    one = Manifest("rows.jsonl", 0, "t", "w", "h", now)
    for number in range(100):
        part = RowsPart(f"rows/{number}", 1, 1, "", 1)
        one = Manifest("rows.jsonl", number, "t", "w", "h", now, rows=(part,)).after(one, now)
        assert {old.name for old in one.retired if now - old.since <= GRACE} >= {f"rows/{number - 1}"} - {"rows/-1"}
        now += timedelta(minutes=10)
    assert len(one.retired) < 20


def test_a_store_that_may_only_be_read_is_told_before_anything_is_sent(store: S3Proxy, tmp_path: Path) -> None:
    store.plan = lambda asked: "403" if asked.method != "GET" else None
    with pytest.raises(ConfigError, match="credentials"):
        dataset(url_of(store), tmp_path / "spool", run={"lock": "none"}).generate([provider(tmp_path)])
    assert bought(tmp_path) == 0


@pytest.mark.parametrize(
    "url", ["s3://AKIA:hush@bucket/rows.jsonl", "s3://AKIA:hush@bucket", "gs://b/r.jsonl?key=hush"]
)
def test_credentials_in_a_url_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="environment") as error:
        remote_url(url)
    assert "hush" not in str(error.value)

"""Whoever goes on elsewhere from any manifest that ever stood finds what it says: no reply of it is bought again, and no row is lost."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from datafast.engine.batches import service
from datafast.llms import OpenAIProvider
from datafast.llms.base import Request
from datafast.storage import ledger_parts, uploader, uploads
from datafast.storage.folders import Folder
from datafast.storage.manifest import MANIFEST, Manifest
from datafast.store import group_commit
from tests.running import Running, until, wait_for
from tests.servers.batch_server import KEY, BatchServer
from tests.storage.remote import bought, copied, dataset, manifest_at, provider, rows_there
from tests.support import raw, requests_in, rows_of, same_rows

TOPICS = 12
DROPS = {"ledger": {"replies": {"drop_after": "written"}}}
SHORT = {"stage": "length", "field": "text", "min_words": 60}
ALIKE = {"stage": "near_duplicates", "field": "text", "threshold": 0.6}


@pytest.fixture
def stood(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """All manifests that were ever put in place, oldest first."""
    found: list[bytes] = []
    create, replace = Folder.create, Folder.replace

    def created(self: Folder, name: str, data: bytes) -> str:
        version = create(self, name, data)
        found.extend([data] if name == MANIFEST else [])
        return version

    def replaced(self: Folder, name: str, data: bytes, version: str) -> str:
        version = replace(self, name, data, version)
        found.extend([data] if name == MANIFEST else [])
        return version

    monkeypatch.setattr(Folder, "create", created)
    monkeypatch.setattr(Folder, "replace", replaced)
    return found


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/share/rows.jsonl"


def alike(request: Request) -> str | None:
    """Two of six topics have nearly the same text, so that stages that compare rows have what to drop, and one has a short one."""
    number = int(request.messages[-1]["content"].split("topic ")[-1].split(".")[0])
    words = [f"word{number // 6}x{place}" for place in range(10 if number % 6 == 1 else 70)]
    return json.dumps({"texts": [" ".join([*words, f"end{number}"])]}) if number % 6 in {0, 1, 3} else None


@pytest.mark.filterwarnings("ignore::datafast.errors.DatafastWarning")
@pytest.mark.parametrize("copies", ["seldom", "large"])
@pytest.mark.parametrize("drops", [False, True])
@pytest.mark.parametrize(
    "fields",
    [
        {"run": {"ordered": True}},
        {"quality": [SHORT], "regenerate": 2},
        {"quality": [SHORT, ALIKE], "regenerate": 1, "run": {"ordered": True, "removed": "keep"}},
    ],
    ids=["ordered", "made again", "settled"],
)
def test_every_manifest_is_gone_on_with(
    fields: dict[str, Any],
    drops: bool,
    copies: str,
    stood: list[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group_commit, "_JOURNAL_LIMIT", 0)
    if copies == "large":
        monkeypatch.setattr(ledger_parts, "_SMALL_LEDGER", 0)
    monkeypatch.setattr(uploads, "_MOST_OFTEN", 20 if copies == "seldom" else 0)
    run = {**fields.get("run", {}), **(DROPS if drops else {}), "upload_every_s": 0.05, "max_concurrency": 2}
    fields = {**fields, "run": run}
    (tmp_path / "local").mkdir()
    local = raw(tmp_path / "local", topics=TOPICS, **fields).generate([provider(tmp_path / "local", reply=alike)])
    planned = bought(tmp_path / "local")
    assert local.report is not None
    assert bool(local.report.filtered) == ("quality" in fields)
    share = tmp_path / "share"

    async def hold(request: Request) -> None:
        """Of the first replies, each two are uploaded before the next ones come."""
        least = min(4, (bought(tmp_path) - 1) // 2)
        await until(lambda: len(stood) >= least)

    dataset(f"file://{share}/rows.jsonl", tmp_path / "here", topics=TOPICS, **fields).generate(
        [provider(tmp_path, reply=alike, waits=hold, latency_s=0.1)]
    )
    manifests = [Manifest.decoded(data, "") for data in stood]
    assert len(manifests) > 3
    assert manifests[-1].ended
    for number, manifest in enumerate(manifests):
        elsewhere = tmp_path / f"elsewhere-{number}"
        elsewhere.mkdir()
        copied(share, elsewhere / "share", manifest)
        url = f"file://{elsewhere}/share/rows.jsonl"
        seen = rows_there(url).splitlines()
        assert len(seen) == len(set(seen)) <= manifest.last_call, number
        made = dataset(url, elsewhere / "there", topics=TOPICS, **fields).generate([provider(elsewhere, reply=alike)])
        rows = rows_of(made.paths.rows)
        told = (number, len(manifests), manifest.last_call, len(seen))
        assert bought(elsewhere) <= planned - manifest.last_call, (told, requests_in(elsewhere / "requests.log"))
        assert same_rows(rows, rows_of(local.paths.rows)), told
        assert rows_there(url) == made.paths.rows.read_bytes(), told
        assert not any(path.name.endswith("damaged") for path in made.paths.rows.parent.iterdir()), told


@pytest.mark.filterwarnings("ignore::datafast.errors.DatafastWarning")
def test_a_batch_that_was_submitted_is_not_submitted_again_elsewhere(
    stood: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the ledger is too large for each upload."""
    monkeypatch.setattr(ledger_parts, "_SMALL_LEDGER", 0)
    monkeypatch.setattr(uploads, "_MOST_OFTEN", 0)
    monkeypatch.setattr(service, "FIRST_WAIT_S", 0.2)
    monkeypatch.setattr(service, "LONGEST_WAIT_S", 0.2)
    share, run = tmp_path / "share", {"mode": "batch"}
    upload = uploads.Uploads.upload
    noted: list[bool] = []  # for each upload, whether the ledger knew a submitted batch when it began

    def note(self: uploads.Uploads, *, ended: bool) -> bool:
        ledger = self.spool.paths.ledger
        is_noted = ledger_parts.is_made(ledger) and any(one.service_id for one in ledger_parts.batches_of(ledger))
        is_new = upload(self, ended=ended)
        noted.append(is_noted)
        return is_new

    monkeypatch.setattr(uploads.Uploads, "upload", note)
    with BatchServer() as server:
        server.faults.polls = 1_000_000
        model = OpenAIProvider("tiny", api_base=f"{server.url}/v1", api_key=KEY)
        run_here = Running(dataset(f"file://{share}/rows.jsonl", tmp_path / "here", topics=TOPICS, run=run), [model])
        wait_for(lambda: any(noted))
        run_here.control.stop()
        run_here.join()
        server.faults.polls = 0
        before = [manifest for data in stood if not (manifest := Manifest.decoded(data, "")).ended]
        copied(share, tmp_path / "share-2", before[-1])
        url = f"file://{tmp_path}/share-2/rows.jsonl"
        made = dataset(url, tmp_path / "there", topics=TOPICS, run=run).generate([model])
        assert len(rows_of(made.paths.rows)) == TOPICS
        assert len(server.jobs) == 1
        assert set(server.bought.values()) == {1}


@pytest.mark.filterwarnings("ignore::datafast.errors.DatafastWarning")
def test_rows_that_were_made_anew_twice_are_uploaded_as_they_are(
    url: str, stood: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are compared with each other, some are made again, and all are put in order. The last file may have the number of the first,
    which an upload beside the run sees after its end."""
    share, seen = tmp_path / "share", tmp_path / "seen"
    made = dataset(url, tmp_path / "here", topics=60, quality=[ALIKE], regenerate=1, run={"ordered": True})
    finish, upload = uploader.Uploader.finish, uploads.Uploads.upload
    has_ended = threading.Event()

    def upload_once_before_the_end(self: uploads.Uploads, *, ended: bool) -> bool:
        has_rows = self.current is not None and self.current[0].rows_bytes > 0
        return (has_ended.is_set() or not has_rows) and upload(self, ended=ended)

    def finish_late(self: uploader.Uploader, *args: Any, **options: Any) -> bool:
        size = made.paths.rows.stat().st_size
        has_ended.set()
        wait_for(lambda: manifest_at(url).rows_bytes == size)
        copied(share, seen, manifest_at(url))
        return finish(self, *args, **options)

    monkeypatch.setattr(uploads.Uploads, "upload", upload_once_before_the_end)
    asked: set[str] = set()

    def reply(request: Request) -> str | None:
        prompt = request.messages[-1]["content"].split("topic ")[-1].split(".")[0]
        is_first = prompt not in asked
        asked.add(prompt)
        return alike(request) if is_first else None

    async def hold(request: Request) -> None:
        if bought(tmp_path) >= 30:
            await until(lambda: any(Manifest.decoded(data, "").rows_bytes for data in stood))

    monkeypatch.setattr(uploader.Uploader, "finish", finish_late)
    made.generate([provider(tmp_path, reply=reply, waits=hold, latency_s=0.05)])
    assert made.report is not None
    assert made.report.written == 60
    shutil.rmtree(share)
    seen.rename(share)
    assert not manifest_at(url).ended
    assert rows_there(url) == made.paths.rows.read_bytes()

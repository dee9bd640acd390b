"""Remote outputs in folders of network file systems and on the Hub: what a bucket does too, and how conditions of writes hold there."""

from __future__ import annotations

import errno
import multiprocessing
import os
import warnings
from pathlib import Path
from typing import Any

import pytest

from datafast._util.remote import remote_url
from datafast.errors import DatafastWarning, OutputInUseError
from datafast.storage.folders import Folder
from datafast.storage.hub import HubObjects
from datafast.storage.lock import proven
from datafast.storage.objects import Conflict, Missing, Objects, StoreError
from tests.servers.hub_server import Fault, HubServer
from tests.storage.remote import bought, dataset, provider, rows_there
from tests.support import rows_of


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Any:
    with HubServer() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", "hf_test_token")
        monkeypatch.setattr(HubObjects, "least_upload_s", 0.0)
        yield server


@pytest.fixture(params=["file", "hf"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return f"file://{tmp_path}/share/rows.jsonl"
    request.getfixturevalue("hub")
    return "hf://datasets/someone/rows/data/rows.jsonl"


def objects_at(url: str) -> Objects:
    place = remote_url(url)
    assert place is not None
    return Folder(place) if place.scheme == "file" else HubObjects(place)


def test_an_output_goes_on_elsewhere_with_what_is_there(url: str, tmp_path: Path) -> None:
    first = dataset(url, tmp_path / "here").generate([provider(tmp_path)])
    assert rows_there(url) == first.paths.rows.read_bytes()
    other = dataset(url, tmp_path / "there", topics=9).generate([provider(tmp_path)])
    assert bought(tmp_path) == 9
    assert rows_there(url) == other.paths.rows.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DatafastWarning)
        back = dataset(url, tmp_path / "here", topics=4).generate([provider(tmp_path)])
    assert bought(tmp_path) == 9
    assert rows_there(url) == back.paths.rows.read_bytes()
    assert len(rows_of(back.paths.rows)) == 4


def test_conditions_of_writes_hold(url: str) -> None:
    objects = objects_at(url)
    assert proven(objects) is not None
    first = objects.create("a.json", b"1")
    with pytest.raises(Conflict):
        objects.create("a.json", b"2")
    second = objects.replace("a.json", b"3", first)
    with pytest.raises(Conflict):
        objects.replace("a.json", b"4", first)
    assert objects.get("a.json") == (b"3", second)
    objects.put("rows/1", b"x" * 100_000)
    objects.overwrite("a.json", b"5")
    assert objects.get("rows/1")[0] == b"x" * 100_000
    assert {found.name for found in objects.all()} >= {"a.json", "rows/1"}
    objects.remove(["rows/1", "rows/2"])
    with pytest.raises(Missing):
        objects.get("rows/1")


def test_a_second_run_is_kept_out(url: str, tmp_path: Path) -> None:
    told: list[str] = []

    def reply(request: Any) -> None:
        if not told:
            told.append("")
            with pytest.raises(OutputInUseError) as error:
                _lock_of(url, "another")
            told.append(str(error.value))

    dataset(url, tmp_path / "here").generate([provider(tmp_path, reply=reply)])
    assert "is writing to" in told[1]


def _lock_of(url: str, spool: str) -> Any:
    from datafast.storage.lock import RemoteLock

    objects = objects_at(url)
    now = proven(objects)
    assert now is not None
    lock = RemoteLock(objects, url, spool, lambda who: None)
    lock.take(now)
    return lock


def _race(folder: str, number: int, wins: Any) -> None:
    place = remote_url(f"file://{folder}/rows.jsonl")
    assert place is not None
    objects = Folder(place)
    won = 0
    for _ in range(60):
        data, version = objects.get("count")
        try:
            objects.replace("count", b"%d by %d" % (int(data.split()[0]) + 1, number), version)
        except Conflict:
            continue
        won += 1
    wins.put(won)


def test_of_two_processes_one_replaces_a_file_at_a_time(tmp_path: Path) -> None:
    place = remote_url(f"file://{tmp_path}/rows.jsonl")
    assert place is not None
    objects = Folder(place)
    objects.create("count", b"0 by 0")
    context = multiprocessing.get_context("spawn")
    wins: Any = context.Queue()
    racing = [context.Process(target=_race, args=(str(tmp_path), number, wins)) for number in (1, 2)]
    for process in racing:
        process.start()
    won = sum(wins.get() for _ in racing)
    for process in racing:
        process.join()
    assert int(objects.get("count")[0].split()[0]) == won > 60


def test_a_writer_that_died_between_two_steps_is_followed(tmp_path: Path) -> None:
    place = remote_url(f"file://{tmp_path}/rows.jsonl")
    assert place is not None
    objects = Folder(place)
    first = objects.create("a.json", b"1")
    (tmp_path / "rows.jsonl" / f".a.json.after-{first}").write_bytes(b"2")
    data, version = objects.get("a.json")
    assert data == b"2"
    with pytest.raises(Conflict):
        objects.replace("a.json", b"3", first)
    objects.replace("a.json", b"3", version)
    assert objects.get("a.json")[0] == b"3"


def test_one_commit_of_an_upload_has_all_of_it(hub: HubServer, tmp_path: Path) -> None:
    url = "hf://datasets/someone/rows/data/rows.jsonl"
    dataset(url, tmp_path / "here", run={"upload_every_s": 60, "parts": "parquet", "max_stall_s": 9}).generate(
        [provider(tmp_path)]
    )
    repo = hub.repos["someone/rows"]
    assert repo.private
    for files in repo.commits.values():
        if manifest := files.get("data/rows.jsonl/manifest.json"):
            import orjson

            for part in orjson.loads(manifest)["rows"]:
                assert f"data/rows.jsonl/{part['name']}" in files


def test_a_hub_that_fails_now_and_then_gets_everything(hub: HubServer, tmp_path: Path) -> None:
    url = "hf://datasets/someone/rows/data/rows.jsonl"
    hub.faults += [
        Fault("POST .*/commit/", 500, times=2),
        Fault("POST .*/commit/", 500, late=True, skip=2),
        Fault("GET .*/resolve/", 503),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DatafastWarning)
        made = dataset(url, tmp_path / "here").generate([provider(tmp_path)])
    assert rows_there(url) == made.paths.rows.read_bytes()
    assert bought(tmp_path) == 6


def test_an_object_that_is_put_during_a_commit_is_in_the_next_one(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is renewed by another thread than the one that uploads."""
    objects = objects_at("hf://datasets/someone/rows/data/rows.jsonl")
    assert isinstance(objects, HubObjects)
    objects.put("rows/1", b"one")
    commit = objects._hub.api.create_commit

    def slow(*arguments: Any, **options: Any) -> Any:
        made = commit(*arguments, **options)
        objects.put("rows/2", b"two")
        return made

    with monkeypatch.context() as slowed:
        slowed.setattr(objects._hub.api, "create_commit", slow)
        objects.overwrite("lock.json", b"a lock")
    objects.overwrite("manifest.json", b"a manifest")
    assert (objects.get("rows/1")[0], objects.get("rows/2")[0]) == (b"one", b"two")


def test_an_object_and_its_version_are_of_one_commit(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = objects_at("hf://datasets/someone/rows/data/rows.jsonl")
    assert isinstance(objects, HubObjects)
    first = objects.overwrite("a.json", b"1")
    download = objects._hub.api.hf_hub_download

    def late(*arguments: Any, **options: Any) -> Any:
        objects_at("hf://datasets/someone/rows/data/rows.jsonl").overwrite("a.json", b"2")
        return download(*arguments, **options)

    with monkeypatch.context() as delayed:
        delayed.setattr(objects._hub.api, "hf_hub_download", late)
        assert objects.get("a.json") == (b"1", first)


def test_a_file_server_that_is_away_for_a_moment_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = objects_at(f"file://{tmp_path}/rows.jsonl")
    first = objects.create("a.json", b"1")

    def stale(path: Path) -> bytes:
        raise OSError(errno.ESTALE, "Stale file handle")

    with monkeypatch.context() as away:
        away.setattr(Path, "read_bytes", stale)
        for ask in (lambda: objects.get("a.json"), lambda: objects.modified("a.json")):
            with pytest.raises(StoreError, match="Stale"):
                ask()
    second = objects.replace("a.json", b"2", first)
    with monkeypatch.context() as away:
        away.setattr(Path, "glob", lambda *_: stale(tmp_path))
        third = objects.replace("a.json", b"3", second)
    assert objects.get("a.json") == (b"3", third)


def test_a_folder_in_which_no_file_can_be_linked_holds_no_conditions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    assert proven(objects_at(f"file://{tmp_path}/rows.jsonl")) is None

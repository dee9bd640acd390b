"""Whatever state the output is found in: nothing of the user's is overwritten, nothing that was paid for is bought again."""

from __future__ import annotations

import math
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from datafast.engine.events import Event, ItemDone
from datafast.errors import (
    MissingKeyError,
    OutputChangedError,
    OutputError,
    OutputInUseError,
    OutputWriteError,
    RunStopped,
)
from datafast.llms import OpenAICompatibleProvider, OpenAIProvider
from datafast.llms.simulated.provider import SimulatedProvider
from datafast.store.database import unreadable, unwritable
from tests.running import HeldProvider
from tests.servers.fault_server import Answer, FaultServer
from tests.support import ROOT, CountingProvider, assert_balanced, raw, requests_in, rows_of, same_rows, snapshot


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "requests"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A finished output of six items with two rows each."""
    folder = tmp_path / "out"
    dataset = made(folder)
    dataset.generate([SimulatedProvider("m")])
    assert assert_balanced(dataset.report).written == 12
    return folder


def made(folder: Path, **fields: Any) -> Any:
    return raw(folder, num_samples_per_prompt=2, **fields)


def refused(folder: Path, log: Path, error: type[Exception], **options: Any) -> str:
    """Runs, expects this error before any call and every file as it was; returns the message."""
    before = snapshot(folder)
    with pytest.raises(error) as raised:
        made(folder).generate([CountingProvider("m", log=log)], **options)
    after = snapshot(folder)
    assert {name: data for name, (data, _) in before.items()}.items() <= {
        name: data for name, (data, _) in after.items()
    }.items()
    assert not requests_in(log)
    return str(raised.value)


def completed(folder: Path, log: Path, *, calls: int = 0, **options: Any) -> Any:
    """Runs, expects so many calls and every row there."""
    dataset = made(folder)
    dataset.generate([CountingProvider("m", log=log)], **options)
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.pending) == (12, 0, 0)
    assert len(requests_in(log)) == calls
    return dataset


# -- edited by the user


@pytest.mark.parametrize("line", [1, 2, 7, 12])
def test_a_changed_line_is_refused_and_named(out: Path, log: Path, line: int) -> None:
    path = out / "out.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line - 1] = lines[line - 1].replace(b'"language":"en"', b'"language":"xx"')
    path.write_bytes(b"".join(lines))
    message = refused(out, log, OutputChangedError)
    first = line - (line - 1) % 2
    assert f"lines {first}-{first + 1} " in message
    assert "--fresh" in message


def test_a_flipped_byte_is_refused(out: Path, log: Path) -> None:
    path = out / "out.jsonl"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    refused(out, log, OutputChangedError)


def test_a_line_deleted_in_the_middle_is_refused(out: Path, log: Path) -> None:
    path = out / "out.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4] + lines[5:]))
    assert "lines 5-6 " in refused(out, log, OutputChangedError)


def test_windows_line_ends_are_refused(out: Path, log: Path) -> None:
    path = out / "out.jsonl"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert "lines 1-2 " in refused(out, log, OutputChangedError)


def test_an_edit_can_be_kept_by_moving_the_file_away_as_the_message_says(out: Path, log: Path) -> None:
    path = out / "out.jsonl"
    original = rows_of(path)
    path.write_bytes(path.read_bytes().replace(b'"en"', b'"xx"'))
    refused(out, log, OutputChangedError)
    edited = path.read_bytes()
    path.rename(out / "edited.jsonl")
    completed(out, log)
    assert same_rows(rows_of(path), original)
    assert (out / "edited.jsonl").read_bytes() == edited


def test_lines_that_the_user_appended_are_set_aside(out: Path, log: Path) -> None:
    path = out / "out.jsonl"
    before = path.read_bytes()
    with path.open("ab") as file:
        file.write(b'{"mine": 1}\n')
    dataset = completed(out, log)
    assert path.read_bytes() == before
    (tail,) = out.glob("out.jsonl.tail-*")
    assert tail.read_bytes() == b'{"mine": 1}\n'
    assert dataset.report.set_aside == [str(tail)]


@pytest.mark.parametrize("cut", [1, 40, 400, 2000])
def test_a_truncated_file_is_rebuilt_without_a_call(out: Path, log: Path, cut: int) -> None:
    path = out / "out.jsonl"
    original = rows_of(path)
    os.truncate(path, path.stat().st_size - cut)
    completed(out, log)
    assert same_rows(rows_of(path), original)


@pytest.mark.parametrize("how", ["deleted", "emptied"])
def test_a_file_that_is_gone_is_rebuilt_without_a_call(out: Path, log: Path, how: str) -> None:
    path = out / "out.jsonl"
    original = rows_of(path)
    path.unlink()
    if how == "emptied":
        path.touch()
    completed(out, log)
    assert same_rows(rows_of(path), original)


def test_a_rebuilt_file_is_as_good_as_the_first(out: Path, log: Path) -> None:
    """Cut, rebuilt, cut again at another place, rebuilt again: the ledger keeps track of where rows lie."""
    path = out / "out.jsonl"
    original = rows_of(path)
    for cut in (700, 1, 3000):
        os.truncate(path, path.stat().st_size - cut)
        completed(out, log)
        assert same_rows(rows_of(path), original)
    before = snapshot(out, "out.jsonl")
    completed(out, log)
    assert snapshot(out, "out.jsonl") == before


@pytest.mark.parametrize("how", ["deleted", "emptied"])
def test_a_lost_ledger_is_refused_and_the_message_says_what_to_do(out: Path, log: Path, how: str) -> None:
    ledger = out / "out.jsonl.ledger"
    ledger.unlink()
    if how == "emptied":
        ledger.touch()
    message = refused(out, log, OutputChangedError)
    assert "--fresh" in message
    assert "Restore" in message


@pytest.mark.parametrize("where", ["header", "pages", "truncated", "text"])
def test_a_damaged_ledger_is_refused_with_what_to_do(out: Path, log: Path, where: str) -> None:
    ledger = out / "out.jsonl.ledger"
    data = bytearray(ledger.read_bytes())
    if where == "header":
        data[:16] = b"x" * 16
    elif where == "pages":
        data[100:] = b"\xa5" * (len(data) - 100)
    elif where == "truncated":
        del data[len(data) // 2 :]
    else:
        data[:] = b"this is no database" * 400
    ledger.write_bytes(data)
    message = refused(out, log, OutputError)
    assert "ledger" in message
    assert "--fresh" in message


def test_a_refusal_names_what_was_set_aside_before_it(out: Path) -> None:
    with (out / "out.jsonl").open("ab") as file:
        file.write(b'{"mine": 1}\n')
    db = sqlite3.connect(out / "out.jsonl.ledger")
    db.execute("DROP TABLE failures")
    db.commit()
    db.close()
    with pytest.raises(OutputError) as raised:
        made(out).generate([SimulatedProvider("m")])
    (tail,) = out.glob("out.jsonl.tail-*")
    assert f"set aside in {tail}." in str(raised.value)
    assert "Nothing was" not in str(raised.value)


def test_without_room_the_advice_is_to_free_some_and_never_to_buy_all_again() -> None:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE t(x)")
    db.execute("PRAGMA max_page_count = 2")
    with pytest.raises(sqlite3.OperationalError) as full:
        db.execute("INSERT INTO t VALUES (zeroblob(100000))")
    db.close()
    for why in (unreadable, unwritable):
        message = str(why(Path("out.jsonl.ledger"), full.value))
        assert "Free some space and start again. Nothing that was paid for is lost." in message
        assert "--fresh" not in message


def test_a_ledger_of_a_later_format_is_refused(out: Path, log: Path) -> None:
    db = sqlite3.connect(out / "out.jsonl.ledger")
    db.execute("UPDATE meta SET value = '99' WHERE name = 'format'")
    db.commit()
    db.close()
    assert "99" in refused(out, log, OutputError)


def test_a_journal_without_its_ledger_is_refused(tmp_path: Path, log: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "out.jsonl.ledger-replies").write_bytes(b"replies")
    assert "ledger" in refused(folder, log, OutputChangedError)


def test_an_edit_in_the_part_that_is_checked_later_stops_the_run(
    out: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a large file only the end is compared before the run begins; every byte of the rest is compared in a thread."""
    path = out / "out.jsonl"
    original = path.read_bytes()
    monkeypatch.setattr("datafast.store.checking.CHECK_AT_ONCE", 10)
    monkeypatch.setattr("datafast.store.checking.CHECK_FIRST", 1000)
    for place in range(0, len(original), 97):
        data = bytearray(original)
        data[place] ^= 1
        path.write_bytes(data)
        with pytest.raises(OutputChangedError):
            made(out).generate([CountingProvider("m", log=log)])
        assert path.read_bytes() == data
    assert not requests_in(log)


# -- in use


def test_a_second_dataset_on_the_same_output_is_refused(tmp_path: Path, log: Path) -> None:
    refusals: list[str] = []

    def second(event: Event) -> None:
        if isinstance(event, ItemDone) and not threads:
            thread = threading.Thread(target=attempt)
            thread.start()
            threads.append(thread)

    def attempt() -> None:
        try:
            made(tmp_path).generate([CountingProvider("m", log=log)])
        except OutputInUseError as error:
            refusals.append(str(error))
        finally:
            first.lands = math.inf

    threads: list[threading.Thread] = []
    first = HeldProvider("m", log=tmp_path / "first", lands=1)
    dataset = made(tmp_path, topics=30, run={"max_concurrency": 1})
    dataset.generate([first], on_event=second)
    for thread in threads:
        thread.join()
    assert refusals
    assert str(dataset.config.output_file) in refusals[0]
    assert not requests_in(log)
    assert assert_balanced(dataset.report).written == 60


def test_a_second_process_on_the_same_output_is_refused(tmp_path: Path, log: Path) -> None:
    folder = tmp_path / "out"
    script = (
        "from pathlib import Path; from tests.support import raw; from datafast.llms.simulated.provider import SimulatedProvider\n"
        "raw(Path({0!r}), num_samples_per_prompt=2).generate([SimulatedProvider('m', latency_s=60)],"
        " on_event=lambda event: print('started', flush=True))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script.format(str(folder))], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        assert "Another run" in refused(folder, log, OutputInUseError)
    finally:
        process.kill()
        process.communicate()
    completed(folder, log, calls=6)


def test_two_ledgers_cannot_share_one_output(tmp_path: Path, log: Path) -> None:
    """The lock belongs to the rows, not to the ledger."""
    refusals: list[Exception] = []

    def attempt() -> None:
        try:
            made(tmp_path, run={"ledger": tmp_path / "elsewhere"}).generate([CountingProvider("m", log=log)])
        except OutputError as error:
            refusals.append(error)
        finally:
            first.lands = math.inf

    def second(event: Event) -> None:
        if event.type == "run_started":
            threads.append(threading.Thread(target=attempt))
            threads[0].start()

    threads: list[threading.Thread] = []
    first = HeldProvider("m", log=tmp_path / "first", lands=0)
    dataset = made(tmp_path, run={"max_concurrency": 2})
    dataset.generate([first], on_event=second)
    threads[0].join()
    assert len(refusals) == 1
    assert not requests_in(log)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
@pytest.mark.parametrize("kind", ["link", "link to the ledger", "hard link"])
def test_a_file_under_two_names_has_one_lock(tmp_path: Path, out: Path, log: Path, kind: str) -> None:
    other = tmp_path / "other"
    other.mkdir()
    run: dict[str, Any] = {}
    if kind == "link":
        (other / "out.jsonl").symlink_to(out / "out.jsonl")
    elif kind == "hard link":
        (other / "out.jsonl").hardlink_to(out / "out.jsonl")
    else:
        (other / "ledger").symlink_to(out / "out.jsonl.ledger")
        run["ledger"] = other / "ledger"
    refusals: list[str] = []

    def attempt() -> None:
        try:
            with pytest.raises(OutputInUseError) as raised:
                made(other, run=run).generate([CountingProvider("m", log=log)])
            refusals.append(str(raised.value))
        finally:
            first.lands = math.inf

    def second(event: Event) -> None:
        if event.type == "run_started":
            threads.append(threading.Thread(target=attempt))
            threads[0].start()

    threads: list[threading.Thread] = []
    first = HeldProvider("m", log=tmp_path / "first", lands=0)
    made(out, languages={"en": "English", "de": "German"}).generate([first], on_event=second)
    threads[0].join()
    assert "Another run is writing" in refusals[0]
    assert not requests_in(log)


# -- fresh


def test_fresh_starts_over_and_keeps_the_old_files(out: Path, log: Path) -> None:
    before = snapshot(out)
    dataset = completed(out, log, calls=6, fresh=True)
    kept = {path.name.rsplit(".", 2)[0]: path.read_bytes() for path in out.glob("*.bak")}
    assert kept == {name: data for name, (data, _) in before.items()}
    assert sorted(dataset.report.set_aside) == sorted(str(path) for path in out.glob("*.bak"))


def test_fresh_twice_at_once_keeps_both(out: Path, log: Path) -> None:
    completed(out, log, calls=6, fresh=True)
    completed(out, log, calls=12, fresh=True)
    beside = [*out.glob("out.jsonl.ledger*.bak"), *out.glob("out.jsonl.manifest.json.*.bak")]
    assert len(list(out.glob("out.jsonl.*.bak"))) - len(beside) == 2


def test_fresh_takes_over_a_damaged_ledger(out: Path, log: Path) -> None:
    (out / "out.jsonl.ledger").write_bytes(b"damaged")
    completed(out, log, calls=6, fresh=True)


def test_fresh_moves_nothing_when_the_run_cannot_begin(out: Path, log: Path) -> None:
    before = snapshot(out)
    with pytest.raises(MissingKeyError):
        made(out).generate([OpenAIProvider("m")], fresh=True)
    assert snapshot(out) == before


# -- simulated or real


def test_simulated_rows_are_refused_in_an_output_of_real_ones(tmp_path: Path, fault_server: FaultServer) -> None:
    provider = OpenAICompatibleProvider("m", api_base=fault_server.url)
    dataset = made(tmp_path)
    dataset.generate([provider])
    before = snapshot(tmp_path)
    with pytest.raises(OutputError, match="real") as raised:
        dataset.generate([provider], offline=True)
    assert "--output" in str(raised.value)
    assert "--fresh" in str(raised.value)
    assert snapshot(tmp_path).keys() == before.keys()
    assert rows_of(tmp_path / "out.jsonl")[0]["model_id"] == "m"
    assert len(fault_server.requests) == 6


def test_real_rows_are_refused_in_an_output_of_simulated_ones(tmp_path: Path, fault_server: FaultServer) -> None:
    provider = OpenAICompatibleProvider("m", api_base=fault_server.url)
    dataset = made(tmp_path)
    dataset.generate([provider], offline=True)
    assert {row["model_id"] for row in rows_of(tmp_path / "out.jsonl")} == {"simulated/m"}
    with pytest.raises(OutputError, match="simulated"):
        dataset.generate([provider])
    assert not fault_server.requests


def test_an_output_that_holds_nothing_yet_is_neither_simulated_nor_real(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    fault_server.respond = lambda request: Answer(status=401, body={"error": {"message": "no"}})
    provider = OpenAICompatibleProvider("m", api_base=fault_server.url, api_key="wrong")
    dataset = made(tmp_path)
    with pytest.raises(RunStopped):
        dataset.generate([provider])
    dataset.generate([provider], offline=True)
    assert assert_balanced(dataset.report).written == 12


# -- where it cannot be written


def test_the_folder_is_made_when_it_is_missing(tmp_path: Path, log: Path) -> None:
    completed(tmp_path / "a" / "b", log, calls=6)


def test_an_output_below_a_file_is_refused_before_any_call(tmp_path: Path, log: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputWriteError, match="folder"):
        made(tmp_path / "file").generate([CountingProvider("m", log=log)])
    assert (tmp_path / "file").read_text() == "mine"
    assert not requests_in(log)


def test_a_ledger_that_cannot_be_written_is_named_and_not_the_output(tmp_path: Path, log: Path) -> None:
    (tmp_path / "file").write_text("mine")
    elsewhere = tmp_path / "file" / "ledger"
    with pytest.raises(OutputWriteError, match=r"Cannot write to .*file.ledger: .* not a folder.*run\.ledger"):
        raw(tmp_path, run={"ledger": elsewhere}).generate([CountingProvider("m", log=log)])
    assert not requests_in(log)


def test_an_output_that_is_a_folder_is_refused_before_any_call(tmp_path: Path, log: Path) -> None:
    (tmp_path / "out.jsonl").mkdir()
    with pytest.raises(OutputWriteError, match="it is a folder"):
        made(tmp_path).generate([CountingProvider("m", log=log)])
    assert not requests_in(log)


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="needs a file that is a device")
def test_an_output_that_is_a_device_is_refused_before_any_call(tmp_path: Path, log: Path) -> None:
    with pytest.raises(OutputWriteError, match=r"it is not a regular file.*an output file, for example rows\.jsonl\."):
        raw(tmp_path, output_file=Path("/dev/null")).generate([CountingProvider("m", log=log)])
    with pytest.raises(
        OutputWriteError, match=r"not a regular file.*\(run\.ledger\), for example rows\.jsonl\.ledger\."
    ):
        raw(tmp_path, run={"ledger": Path("/dev/null")}).generate([CountingProvider("m", log=log)])
    assert not requests_in(log)
    assert not Path("/dev/null.ledger-lock").exists()


def _limited(folder: Path, log: Path, size: int) -> subprocess.CompletedProcess[str]:
    """A run in a process that may write no file beyond `size` bytes."""
    script = (
        "import resource, sys; from pathlib import Path; from tests.support import raw, CountingProvider\n"
        f"from datafast.errors import RunStopped\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
        f"dataset = raw(Path({str(folder)!r}), topics=300, run={{'max_concurrency': 8}})\n"
        "try:\n"
        f"    dataset.generate([CountingProvider('m', log=Path({str(log)!r}), latency_s=0.002, latency_jitter_s=0.01)])\n"
        "except RunStopped as stopped:\n"
        "    report = stopped.report\n"
        "    print(report.stop_reason, report.written, report.pending, sep='\\n')\n"
        "    sys.exit(4)\n"
    )
    command = [sys.executable, "-W", "error", "-c", script]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on file sizes")
@pytest.mark.parametrize("size", [208_000, 216_000, 230_000, 260_000])
def test_a_full_disk_stops_the_run_at_once_and_loses_no_reply(tmp_path: Path, size: int) -> None:
    log = tmp_path / "requests"
    folder = tmp_path / "out"
    ended = _limited(folder, log, size)
    assert ended.returncode == 4, ended.stderr
    reason, written, pending = ended.stdout.splitlines()
    assert "Cannot write the" in reason
    assert str(folder) in reason
    assert int(written) + int(pending) == 300
    assert int(written) == len(rows_of(folder / "out.jsonl"))
    asked = len(requests_in(log))
    assert 0 < asked < 300
    dataset = raw(folder, topics=300)
    dataset.generate([CountingProvider("m", log=log)])
    assert assert_balanced(dataset.report).written == 300
    # Replies that arrive after the disk is full cannot be kept: those in flight at that moment.
    assert len(requests_in(log)) <= 300 + 8
    assert len(set(requests_in(log))) == 300


def test_a_ledger_that_somebody_locks_stops_the_run_and_loses_no_reply(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup program or an editor of databases may hold the ledger for longer than anybody wants to wait."""
    monkeypatch.setattr("datafast.store.database._BUSY_S", 0.05)
    folder = tmp_path / "out"
    locks: list[sqlite3.Connection] = []

    def lock(event: Event) -> None:
        if isinstance(event, ItemDone) and not locks:
            locks.append(sqlite3.connect(folder / "out.jsonl.ledger", isolation_level=None, check_same_thread=False))
            locks[0].execute("BEGIN IMMEDIATE")

    dataset = made(folder, topics=40)
    with pytest.raises(RunStopped) as stopped:
        dataset.generate([CountingProvider("m", log=log, latency_s=0.01)], on_event=lock)
    assert "ledger" in str(stopped.value)
    locks[0].close()
    lines = (folder / "out.jsonl").read_bytes().splitlines()
    assert len(lines) == len(set(lines))
    dataset = made(folder, topics=40)
    dataset.generate([CountingProvider("m", log=log)])
    assert assert_balanced(dataset.report).written == 80
    assert len(requests_in(log)) == 40


def test_a_copy_of_the_output_goes_on_elsewhere(out: Path, tmp_path: Path, log: Path) -> None:
    shutil.copytree(out, tmp_path / "copy")
    completed(tmp_path / "copy", log)


def test_a_journal_that_cannot_be_removed_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unlink = Path.unlink

    def refuse(self: Path, missing_ok: bool = False) -> None:
        if self.name.endswith("-replies"):
            raise PermissionError(13, "Permission denied", str(self))
        unlink(self, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        dataset = made(tmp_path).generate([SimulatedProvider("m")])
    assert assert_balanced(dataset.report).written == 12
    assert (tmp_path / "out.jsonl.ledger-replies").read_bytes() == b""
    assert made(tmp_path).generate([SimulatedProvider("m")]).report.calls == 0

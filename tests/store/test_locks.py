"""Locks of file systems that are no local disk: as NFS has them, none at all, those of one machine. And ledgers read from elsewhere."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datafast.errors import DatafastWarning, OutputInUseError
from datafast.store import lock, mounts
from datafast.store.holder import Holder, read_holder
from datafast.store.lock import is_held, is_running, take_locks
from datafast.store.mounts import mount_of, mounts_in
from datafast.store.paths import OutputPaths
from datafast.store.reader import LedgerReader
from tests.support import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="these are locks of Unix")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="made for Linux")

CONFIG = """\
kind: raw
output_file: rows.jsonl
document_types: [note]
topics: [{topics}]
languages: {{en: English}}
num_samples_per_prompt: 1
providers: [{{provider: simulated, model_id: demo, latency_s: {latency_s}}}]
run: {{{run}}}
"""


def config(folder: Path, *, topics: int = 4, latency_s: float = 0.0, run: str = "max_concurrency: 4") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.yaml"
    names = ", ".join(f"topic {number}" for number in range(topics))
    path.write_text(CONFIG.format(topics=names, latency_s=latency_s, run=run), encoding="utf-8")
    return path


def started(folder: Path, *before: str, **variables: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", *(before or ["datafast"]), "generate", "config.yaml", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "1000", **variables}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=200)
    return process.returncode, output, errors


def status_of(folder: Path, **variables: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "datafast", "status", "rows.jsonl", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    found: dict[str, Any] = json.loads(subprocess.check_output(command, cwd=folder, env=environment))
    return found


def until_rows(folder: Path, number: int, process: subprocess.Popen[str]) -> None:
    """Waits until a run has written so many rows."""
    rows = folder / "rows.jsonl"
    while not rows.exists() or rows.read_bytes().count(b"\n") < number:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def killed(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


# -- a file system without locks


@on_linux
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_refused_with_what_to_do(tmp_path: Path, number: int) -> None:
    config(tmp_path)
    code, _, errors = ended(started(tmp_path, "tests.without_locks", str(number)))
    assert code == 2
    assert f"error: Cannot lock rows.jsonl.ledger-lock: the file system of {tmp_path} (" in errors
    assert "has no locks, so nothing would keep two runs from writing to rows.jsonl at once." in errors
    assert "set `run: {lock: none, ledger: PATH}`" in errors
    assert not (tmp_path / "rows.jsonl").exists()


@on_linux
def test_without_locks_a_run_goes_on_where_the_user_takes_charge_of_it(tmp_path: Path) -> None:
    config(tmp_path, run="lock: none")
    code, output, errors = ended(started(tmp_path, "tests.without_locks", str(errno.ENOLCK)))
    assert code == 0, errors
    assert json.loads(output)["written"] == 4
    assert "nothing keeps another run from writing to rows.jsonl" in errors
    compact = [sys.executable, "-m", "tests.without_locks", str(errno.ENOLCK), "compact", "rows.jsonl", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert json.loads(subprocess.check_output(compact, cwd=tmp_path, env=environment))["outputs"][0]["converted"] == 0


@on_linux
def test_without_locks_shards_are_merged_where_the_user_takes_charge_of_it(tmp_path: Path) -> None:
    file = config(tmp_path, run="lock: none")
    file.write_text(file.read_text(encoding="utf-8").replace("rows.jsonl", "rows"), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for command in (
        ["generate", "config.yaml", "--shard", "1/2"],
        ["generate", "config.yaml", "--shard", "2/2"],
        ["merge", "rows", "-o", "all.jsonl"],
    ):
        whole = [sys.executable, "-m", "tests.without_locks", str(errno.ENOLCK), *command]
        made = subprocess.run(whole, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
    assert (tmp_path / "all.jsonl").read_bytes().count(b"\n") == 4


def test_without_locks_to_have_none_still_keeps_a_second_run_out(tmp_path: Path) -> None:
    """`run.lock: none` is for file systems that have none."""
    paths = OutputPaths.of(tmp_path / "rows.jsonl")
    with take_locks(paths), pytest.raises(OutputInUseError):
        take_locks(paths, required=False)


# -- locks as NFS has them

_AS_ON_NFS = """
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

/* Linux turns a flock on NFS into a lock of all bytes of the file, which belongs to the open file. To lock it for itself a process must
   be able to write it (flock(2), nfs(5)). */
int flock(int fd, int operation) {
    struct flock bytes = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0, .l_pid = 0};
    int flags = fcntl(fd, F_GETFL);
    if ((operation & ~LOCK_NB) == LOCK_UN) bytes.l_type = F_UNLCK;
    else if ((operation & ~LOCK_NB) == LOCK_SH) bytes.l_type = F_RDLCK;
    else if ((flags & O_ACCMODE) == O_RDONLY) { errno = EBADF; return -1; }
    return fcntl(fd, operation & LOCK_NB ? F_OFD_SETLK : F_OFD_SETLKW, &bytes);
}
"""


@pytest.fixture(scope="module")
def as_on_nfs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables with which a process has the locks of NFS."""
    if sys.platform != "linux" or (compiler := shutil.which("gcc") or shutil.which("cc")) is None:
        pytest.skip("needs a C compiler on Linux")
    folder = tmp_path_factory.mktemp("nfs")
    (folder / "flock.c").write_text(_AS_ON_NFS, encoding="utf-8")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", "flock.so", "flock.c"], cwd=folder, check=True)
    return {"LD_PRELOAD": str(folder / "flock.so")}


def test_on_nfs_a_second_run_is_refused_with_who_has_the_output(tmp_path: Path, as_on_nfs: dict[str, str]) -> None:
    config(tmp_path, topics=600, latency_s=0.5, run="max_concurrency: 1")
    first = started(tmp_path, **as_on_nfs)
    until_rows(tmp_path, 1, first)
    code, _, errors = ended(started(tmp_path, **as_on_nfs))
    told = status_of(tmp_path, **as_on_nfs)
    killed(first)
    assert code == 2
    assert told["running"]
    assert told["run_by"].startswith(f"process {first.pid} on {os.uname().nodename}, since 2")
    told = status_of(tmp_path, **as_on_nfs)
    assert (told["running"], told["run_by"]) == (False, None)
    assert f"Another run is writing to rows.jsonl: process {first.pid} on {os.uname().nodename}, since 2" in errors
    assert "file server" not in errors  # it is a process of this machine


def test_on_nfs_a_hard_link_to_the_rows_is_the_same_output(tmp_path: Path, as_on_nfs: dict[str, str]) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    config(one, topics=3)
    assert ended(started(one, **as_on_nfs))[0] == 0
    config(one, topics=600, latency_s=0.5, run="max_concurrency: 1")
    config(other)
    (other / "rows.jsonl").hardlink_to(one / "rows.jsonl")
    first = started(one, **as_on_nfs)
    until_rows(one, 4, first)
    code, _, errors = ended(started(other, **as_on_nfs))
    killed(first)
    assert code == 2
    assert "Another run is writing to rows.jsonl." in errors


def test_on_nfs_a_killed_run_leaves_no_lock_and_buys_nothing_twice(tmp_path: Path, as_on_nfs: dict[str, str]) -> None:
    config(tmp_path, topics=400, latency_s=0.2, run="max_concurrency: 2")
    first = started(tmp_path, **as_on_nfs)
    until_rows(tmp_path, 4, first)
    killed(first)
    paths = OutputPaths.of(tmp_path / "rows.jsonl")
    assert read_holder(paths.locks[0]) is not None  # it could not sign off
    assert not is_running(paths)
    config(tmp_path, topics=400)
    code, output, errors = ended(started(tmp_path, **as_on_nfs))
    assert code == 0, errors
    report = json.loads(output)
    assert report["written"] == 400
    assert report["calls"] <= 396
    assert read_holder(paths.locks[0]) is None


# -- locks that other machines do not see

_TABLE = """\
28 1 0:27 / / rw,relatime - overlay overlay rw,lowerdir=/lower,upperdir=/rw/u,workdir=/rw/w
37 28 0:30 / /proc/fs/nfsd rw,relatime - nfsd nfsd rw
40 28 0:32 / {folder} rw,relatime shared:7 - {type} 10.0.1.1:/ rw,vers=3,{options},addr=10.0.1.1
41 28 0:33 / /mnt/with\\040space rw,relatime - nfs4 10.0.2.1:/ rw,vers=4.2,local_lock=none,addr=10.0.2.1
"""


def mounted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, options: str) -> Path:
    """A folder that lies on such a file system, as far as the table of mounts says."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    table = tmp_path / "mountinfo"
    table.write_text(_TABLE.format(folder=folder, type=kind, options=options), encoding="utf-8")
    monkeypatch.setattr(mounts, "_TABLE", table)
    return folder


def test_the_table_of_mounts_is_read_with_its_escapes_and_options() -> None:
    found = mounts_in(_TABLE.format(folder="/mnt/a", type="nfs", options="nolock,local_lock=all"))
    assert [(str(mount.point), mount.type) for mount in found[2:]] == [("/mnt/a", "nfs"), ("/mnt/with space", "nfs4")]
    assert [mount.local_locks for mount in found] == ["", "", "nfs with local_lock=all", ""]
    assert mounts_in("nothing of the kind\n\n36 35 98:0 / /x rw -") == []


@on_linux
def test_a_file_is_on_the_deepest_mount_above_it(tmp_path: Path) -> None:
    found = mount_of(tmp_path / "not" / "there" / "yet")
    assert found is not None
    assert tmp_path.is_relative_to(found.point)
    assert mount_of(Path("/proc/self/stat")) == mount_of(Path("/proc"))
    assert mount_of(Path("/proc")) != found


def foreign(file: Path) -> Holder:
    """Signs a lock file as a run of another machine does."""
    holder = Holder(pid=4711, host="node17", since="2026-11-27 06:00:00 UTC", view="another-kernel 50")
    file.write_text(json.dumps(holder.__dict__), encoding="utf-8")
    return holder


@pytest.mark.parametrize(
    ("kind", "options"),
    [("nfs", "nolock"), ("nfs4", "local_lock=flock"), ("cifs", "nobrl"), ("fuse.sshfs", "allow_other")],
)
def test_where_locks_end_at_the_machine_a_run_of_another_one_that_has_not_signed_off_is_not_overrun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, options: str
) -> None:
    folder = mounted(monkeypatch, tmp_path, kind, options)
    paths = OutputPaths.of(folder / "rows.jsonl")
    with pytest.warns(DatafastWarning, match=rf"^Locks on {folder} \({kind}.*do not reach other machines"):
        take_locks(paths).close()
    foreign(paths.locks[0])
    assert is_running(paths)
    with pytest.raises(OutputInUseError) as raised:
        take_locks(paths)
    assert "not signed off: process 4711 on node17, since 2026-11-27 06:00:00 UTC." in str(raised.value)
    assert f"If it has ended, delete {paths.locks[0]} and start again." in str(raised.value)
    paths.locks[0].unlink()
    with pytest.warns(DatafastWarning):
        take_locks(paths).close()


@pytest.mark.parametrize(("kind", "options"), [("nfs4", "local_lock=none"), ("lustre", "flock"), ("ext4", "noatime")])
def test_where_the_lock_can_be_had_whoever_signed_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, options: str
) -> None:
    paths = OutputPaths.of(mounted(monkeypatch, tmp_path, kind, options) / "rows.jsonl")
    foreign(paths.locks[0])
    assert not is_running(paths)
    with take_locks(paths):
        holder = read_holder(paths.locks[0])
        assert holder is not None
        assert holder.pid == os.getpid()
        assert is_held(paths.locks[0])
    assert read_holder(paths.locks[0]) is None


def test_who_has_a_lock_is_known_to_everybody_who_asks_for_it(tmp_path: Path) -> None:
    paths = OutputPaths.of(tmp_path / "rows.jsonl")
    with take_locks(paths):
        for _ in range(2):
            with pytest.raises(OutputInUseError, match=rf"writing to .*: process {os.getpid()} on "):
                take_locks(paths)


def test_a_lock_file_that_was_deleted_is_no_lock(tmp_path: Path) -> None:
    paths = OutputPaths.of(tmp_path / "rows.jsonl")
    with take_locks(paths):
        paths.locks[0].unlink()
        with take_locks(paths), pytest.raises(OutputInUseError):
            take_locks(paths)


def test_a_lock_of_another_machine_is_waited_for_because_the_machine_may_be_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = OutputPaths.of(tmp_path / "rows.jsonl")
    held = take_locks(paths)
    foreign(paths.locks[0])
    ends = threading.Timer(0.5, held.close)
    told = lock.warn_user

    def tell(message: str) -> None:
        told(message)
        ends.start()

    monkeypatch.setattr(lock, "warn_user", tell)
    with pytest.warns(
        DatafastWarning, match=r"^Another run has .*: process 4711 on node17.* Waiting for at most 120 s"
    ):
        taken = take_locks(paths)
    ends.join()
    with taken:
        holder = read_holder(paths.locks[0])
        assert holder is not None
        assert holder.pid == os.getpid()


def test_a_lock_of_another_machine_that_is_not_given_back_is_told_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_LEASE_S", 0.5)
    paths = OutputPaths.of(tmp_path / "rows.jsonl")
    with take_locks(paths):
        foreign(paths.locks[0])
        with (
            pytest.warns(DatafastWarning),
            pytest.raises(OutputInUseError, match=r"writing to .* process 4711 on node17"),
        ):
            take_locks(paths)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"pid": 1}', "\x00" * 5000, '{"pid": "x", "host": 1, "since": 2, "view": 3}']
)
def test_a_lock_file_that_says_nothing_is_only_a_lock(tmp_path: Path, text: str) -> None:
    paths = OutputPaths.of(tmp_path / "rows.jsonl")
    paths.locks[0].write_text(text, encoding="utf-8")
    assert read_holder(paths.locks[0]) is None
    take_locks(paths).close()


# -- a ledger that a run of another machine is writing


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """A run that goes on, whose lock file says that it is one of another machine."""
    config(tmp_path, topics=3000, latency_s=0.02, run="max_concurrency: 8")
    process = started(tmp_path)
    try:
        until_rows(tmp_path, 20, process)
        foreign(OutputPaths.of(tmp_path / "rows.jsonl").locks[0])
        yield tmp_path / "rows.jsonl", process
    finally:
        if process.poll() is None:
            killed(process)


def test_a_ledger_that_another_machine_writes_is_read_whole_while_the_run_goes_on(
    elsewhere: tuple[Path, subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, process = elsewhere
    copies = rows.parent / "copies"
    copies.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(copies))
    written, before = [], read_holder(OutputPaths.of(rows).locks[0])
    while process.poll() is None:
        with LedgerReader(OutputPaths.of(rows).ledger) as ledger:
            was_copied = bool(list(copies.iterdir()))
            counts = ledger.counts()
            assert ledger.appends.committed_size() <= rows.stat().st_size
            assert ledger._db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if was_copied:
            written.append(counts.written)
        assert not list(copies.iterdir())
    code, output, errors = ended(process)
    assert code == 0, errors
    assert json.loads(output)["written"] == 3000
    assert before is not None
    assert len(set(written)) >= 3
    assert written == sorted(written)


def test_where_there_is_no_room_for_the_copy_it_is_told(
    elsewhere: tuple[Path, subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from datafast.errors import OutputError
    from datafast.store import copied

    rows, _ = elsewhere

    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(copied.shutil, "copyfile", full)
    with pytest.raises(OutputError, match=r"No space left on device.* writes it \(process 4711 on node17.* set TMPDIR"):
        LedgerReader(OutputPaths.of(rows).ledger)

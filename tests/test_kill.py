"""`kill -9` at any moment: nothing paid for is lost, nothing is paid for twice but what was in flight."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datafast.llms.simulated.provider import SimulatedProvider
from tests.support import (
    CountingProvider,
    ForkServer,
    assert_balanced,
    fork_server,
    one_of_two,
    preference,
    raw,
    requests_in,
    roles,
    rows_of,
    same_rows,
)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")

APPEND = "datafast.store.append_file:AppendFile.append"
IN_A_RUN = [
    (APPEND, "before"),
    (APPEND, "half"),
    (APPEND, "after"),
    ("datafast.store.ledger:Ledger.put_items", "before"),
    ("datafast.store.calls:CallTables.put", "after"),
    ("datafast.store.appends:AppendTable.put", "after"),
    ("datafast.store.group_commit:GroupCommit.flush", "after"),
]
AT_THE_END = [
    ("datafast.store.ledger:Ledger.checkpoint", "before"),
    ("datafast.store.ledger:Ledger.checkpoint", "after"),
    ("datafast.store.append_file:AppendFile.clear", "after"),
    ("datafast.store.writer:Store.close", "before"),
    ("pathlib:Path.unlink", "after"),
]
AT_THE_START = [
    ("datafast.store.recovery:read_unrecorded", "before"),
    ("datafast.store.ledger:Ledger.add_item_if_new", "after"),
    ("datafast.store.ledger:Ledger.checkpoint", "before"),
    ("datafast.store.ledger:Ledger.checkpoint", "after"),
    ("datafast.store.append_file:AppendFile.clear", "after"),
    ("datafast.store.rows:os.fsync", "after"),
    ("datafast.store.recovery:split_off_tail", "after"),
    ("datafast.store.ledger:Ledger.forget_appends_after", "after"),
    ("datafast.store.recovery:match", "after"),
    ("datafast.store.writer:Store.__init__", "before"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with fork_server() as running:
        yield running


def uncut(folder: Path, **fields: Any) -> list[dict[str, Any]]:
    dataset = raw(folder / "uncut", **fields)
    dataset.generate([SimulatedProvider("m")])
    return rows_of(dataset.config.output_file)


@pytest.mark.parametrize("concurrency", [8, 16])
def test_thirty_kills_lose_nothing_and_repeat_only_what_was_in_flight(
    tmp_path: Path, server: ForkServer, concurrency: int
) -> None:
    log, chance = tmp_path / "requests", random.Random(concurrency)
    fields: dict[str, Any] = {"topics": 300, "run": {"max_concurrency": concurrency}}
    run = {"folder": str(tmp_path), "log": str(log), **fields}
    kills = 0
    for _ in range(30):
        delay = chance.uniform(0.0, 0.36 / concurrency)
        code = server.run("tests.support:counting_raw_run", kill_after_s=delay, **run)
        assert code in (0, -signal.SIGKILL)
        kills += code == -signal.SIGKILL
    assert kills > 5
    assert server.run("tests.support:counting_raw_run", kill_after_s=None, **run) == 0
    assert same_rows(rows_of(tmp_path / "out.jsonl"), uncut(tmp_path, **fields))
    requests = requests_in(log)
    assert len(set(requests)) == 300
    assert len(requests) <= 300 + kills * concurrency
    assert max(Counter(requests).values()) <= 1 + kills


def test_kills_between_the_calls_of_an_item_repeat_only_what_was_in_flight(tmp_path: Path, server: ForkServer) -> None:
    log, chance = tmp_path / "requests", random.Random(3)
    documents, concurrency = 24, 8
    fields: dict[str, Any] = {"documents": documents, "run": {"max_concurrency": concurrency}}
    run = {"folder": str(tmp_path), "log": str(log), **fields}
    kills = 0
    for _ in range(12):
        delay = chance.uniform(0.005, 0.06)
        code = server.run("tests.support:counting_preference_run", kill_after_s=delay, **run)
        assert code in (0, -signal.SIGKILL)
        kills += code == -signal.SIGKILL
    assert kills > 3
    assert server.run("tests.support:counting_preference_run", kill_after_s=None, **run) == 0
    dataset = preference(tmp_path / "uncut", **fields)
    dataset.generate_roles(roles(SimulatedProvider("m")))
    assert same_rows(rows_of(tmp_path / "out.jsonl"), rows_of(dataset.config.output_file))
    needed = documents * (1 + 2 * 2 + 2 * 2)
    assert needed <= len(requests_in(log)) <= needed + kills * concurrency


def _resumes(folder: Path, log: Path, *, repeated_at_most: int, **fields: Any) -> None:
    """A run to the end, and what must be true after it."""
    dataset = raw(folder, **fields)
    dataset.generate([CountingProvider("m", log=log)])
    assert assert_balanced(dataset.report).pending == 0
    assert same_rows(rows_of(folder / "out.jsonl"), uncut(folder, **fields))
    requests = requests_in(log)
    assert len(set(requests)) <= len(requests) <= len(set(requests)) + repeated_at_most


@pytest.mark.parametrize("nth", [1, 2, 7, 30])
@pytest.mark.parametrize(("point", "when"), IN_A_RUN)
def test_a_crash_in_the_middle_of_saving_is_repaired(
    tmp_path: Path, server: ForkServer, point: str, when: str, nth: int
) -> None:
    log = tmp_path / "requests"
    fields: dict[str, Any] = {"topics": 40, "run": {"max_concurrency": 4}}
    code = server.run(
        "tests.support:crashing_run", folder=str(tmp_path), log=str(log), point=point, when=when, nth=nth, **fields
    )
    assert code in (0, 9)
    _resumes(tmp_path, log, repeated_at_most=4 if code else 0, **fields)


@pytest.mark.parametrize(("point", "when"), AT_THE_END)
def test_a_crash_while_the_run_closes_its_files_repeats_no_call(
    tmp_path: Path, server: ForkServer, point: str, when: str
) -> None:
    log = tmp_path / "requests"
    code = server.run(
        "tests.support:crashing_run", folder=str(tmp_path), log=str(log), point=point, when=when, topics=12
    )
    assert code == 9
    _resumes(tmp_path, log, repeated_at_most=0, topics=12)
    assert not list(tmp_path.glob("*-replies"))


@pytest.mark.parametrize(("point", "when"), AT_THE_START)
def test_a_crash_while_a_crash_is_repaired_is_repaired(
    tmp_path: Path, server: ForkServer, point: str, when: str
) -> None:
    """The first crash leaves a journal and rows beyond what is committed; a user cuts some others off."""
    log = tmp_path / "requests"
    crash = {"folder": str(tmp_path), "log": str(log), "topics": 40, "run": {"max_concurrency": 4}}
    first = "datafast.store.appends:AppendTable.put"
    assert server.run("tests.support:crashing_run", point=first, when="after", nth=6, **crash) == 9
    asked = len(requests_in(log))
    if "forget" in point:
        lines = (tmp_path / "out.jsonl").read_bytes().splitlines(keepends=True)
        (tmp_path / "out.jsonl").write_bytes(b"".join(lines[:2]))
    assert server.run("tests.support:crashing_run", point=point, when=when, **crash) == 9
    assert len(requests_in(log)) == asked
    _resumes(tmp_path, log, repeated_at_most=4, topics=40, run={"max_concurrency": 4})


@pytest.mark.parametrize(
    ("point", "when"),
    [
        ("datafast.store.ledger:Ledger.raise_generation", "before"),
        ("datafast.store.ledger:Ledger.raise_generation", "after"),
        ("datafast.store.recovery:match", "before"),
        (APPEND, "half"),
        (APPEND, "after"),
        ("datafast.store.appends:AppendTable.put", "after"),
        ("datafast.store.writer:Store.close", "before"),
    ],
)
def test_a_crash_while_failed_items_are_retried_repeats_only_what_was_in_flight(
    tmp_path: Path, server: ForkServer, point: str, when: str
) -> None:
    log = tmp_path / "requests"
    fields: dict[str, Any] = {"topics": 12, "num_samples_per_prompt": 2, "run": {"max_concurrency": 4}}
    provider = CountingProvider("m", log=log, reply=one_of_two)
    dataset = raw(tmp_path, **fields)
    dataset.generate([provider])
    assert assert_balanced(dataset.report).failed == 6
    code = server.run(
        "tests.support:crashing_run",
        folder=str(tmp_path),
        log=str(log),
        point=point,
        when=when,
        options={"retry_failed": True},
        short=True,
        **fields,
    )
    assert code == 9
    dataset = raw(tmp_path, **fields)
    dataset.generate([provider], retry_failed=True)
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed) == (24, 0)
    assert 12 + 6 <= len(requests_in(log)) <= 12 + 6 + 4


def test_ctrl_c_lets_what_is_in_flight_land_and_repeats_no_call(tmp_path: Path, server: ForkServer) -> None:
    log = tmp_path / "requests"
    fields: dict[str, Any] = {"topics": 300, "run": {"max_concurrency": 8}}
    code = server.run("tests.support:interrupted_raw_run", folder=str(tmp_path), log=str(log), at=60, **fields)
    assert code == 130
    assert 0 < len(requests_in(log)) < 300
    assert len(rows_of(tmp_path / "out.jsonl")) == len(requests_in(log))
    _resumes(tmp_path, log, repeated_at_most=0, **fields)


@pytest.mark.parametrize("nth", [1, 3])
@pytest.mark.parametrize(
    ("point", "when"),
    [
        ("datafast.store.ledger:Ledger.checkpoint", "before"),
        ("datafast.store.ledger:Ledger.checkpoint", "after"),
        ("datafast.store.append_file:AppendFile.clear", "after"),
        (APPEND, "half"),
        ("datafast.store.appends:AppendTable.put", "after"),
    ],
)
def test_a_crash_while_the_journal_is_emptied_in_mid_run_is_repaired(
    tmp_path: Path, server: ForkServer, point: str, when: str, nth: int
) -> None:
    log = tmp_path / "requests"
    fields: dict[str, Any] = {"topics": 40, "run": {"max_concurrency": 4}}
    crash = {"folder": str(tmp_path), "log": str(log), "point": point, "when": when, **fields}
    assert server.run("tests.support:crashing_run", nth=nth, journal_limit=3000, **crash) == 9
    assert 0 < len(requests_in(log)) < 40
    _resumes(tmp_path, log, repeated_at_most=4, **fields)


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
@pytest.mark.parametrize("crashed_before", [False, True])
def test_a_crash_while_fresh_moves_files_loses_none(
    tmp_path: Path, server: ForkServer, nth: int, crashed_before: bool
) -> None:
    """Every row and every reply is still there, in the file itself or in a file kept aside."""
    log, folder = tmp_path / "requests", tmp_path / "out"
    crash: dict[str, Any] = {"folder": str(folder), "log": str(log), "topics": 12, "when": "after"}
    first = "datafast.store.appends:AppendTable.put" if crashed_before else "datafast.store.writer:Store.close"
    server.run("tests.support:crashing_run", point=first, nth=2 if crashed_before else 1, **crash)
    # A lock says who has it, which is another process each time.
    passing = ("-shm", "-lock")
    before = [path.read_bytes() for path in folder.iterdir() if path.stat().st_size and not path.name.endswith(passing)]
    server.run("tests.support:crashing_run", point="pathlib:Path.rename", nth=nth, options={"fresh": True}, **crash)
    after = [path.read_bytes() for path in folder.iterdir()]
    assert all(content in after for content in before)
    dataset = raw(folder, topics=12).generate([CountingProvider("m", log=log)], fresh=True)
    assert assert_balanced(dataset.report).written == 12
    kept = [path.read_bytes() for path in folder.iterdir()]
    assert all(any(content in other for other in kept) for content in before)

"""Ledgers of an earlier format: read as they are, migrated by the first run, good after a crash in the middle of that."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.datasets import RawDataset
from datafast.errors import OutputError
from datafast.store.ledger import Ledger
from datafast.store.migrations import FORMAT, MIGRATIONS
from datafast.store.reader import LedgerReader
from tests.support import (
    CountingProvider,
    ForkServer,
    assert_balanced,
    die_at,
    fork_server,
    raw,
    requests_in,
    rows_of,
    snapshot,
)

CASE = Path(__file__).parent.parent / "data" / "outputs-0.1.0" / "raw-failed" / "made"
STATEMENTS = sum(map(len, MIGRATIONS[1:]))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The ledger of an output that version 0.1.0 made."""
    path = tmp_path / "out.jsonl.ledger"
    with closing(sqlite3.connect(path)) as database:
        database.executescript((CASE / "out-jsonl.ledger.sql").read_text("utf-8"))
        database.execute("PRAGMA journal_mode=WAL")
    return path


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with fork_server() as running:
        yield running


def content(path: Path) -> dict[str, Any]:
    """The tables of a ledger, and what is in them."""
    with closing(sqlite3.connect(path)) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1").fetchall()
        return {name: database.execute(f"SELECT * FROM {name}").fetchall() for (name,) in tables}


def shape(path: Path) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(path)) as database:
        things = database.execute("SELECT type, name FROM sqlite_master ORDER BY 1, 2").fetchall()
        return {
            f"{kind} {name}": [column[1:] for column in database.execute(f"PRAGMA table_info({name})")]
            for kind, name in things
        }


def test_a_migrated_ledger_is_like_a_new_one(old: Path, tmp_path: Path) -> None:
    Ledger(old).close()
    Ledger(tmp_path / "new").close()
    assert shape(old) == shape(tmp_path / "new")


def test_a_migration_loses_nothing(old: Path) -> None:
    before = content(old)
    Ledger(old).close()
    after = content(old)
    for name in set(before) - {"meta"}:
        width = len(before[name][0]) if before[name] else 0
        assert [row[:width] for row in after[name]] == before[name]
    changed = dict(after["meta"])
    assert {**dict(before["meta"]), "format": str(FORMAT), "keys": '["1"]'} == changed


def test_reading_changes_nothing_and_finds_the_same(old: Path) -> None:
    before = old.read_bytes()
    with LedgerReader(old) as reader:
        found = (
            reader.counts(),
            list(reader.items()),
            reader.failure_counts(),
            reader.calls.totals(),
            reader.key_versions,
        )
        assert reader.filtered.counts() == {}
    assert old.read_bytes() == before
    Ledger(old).close()
    with LedgerReader(old) as reader:
        assert found == (
            reader.counts(),
            list(reader.items()),
            reader.failure_counts(),
            reader.calls.totals(),
            reader.key_versions,
        )


@pytest.mark.parametrize("found", range(1, FORMAT))
def test_a_ledger_of_each_format_has_no_batches_before_it_knows_them(
    old: Path, monkeypatch: pytest.MonkeyPatch, found: int
) -> None:
    monkeypatch.setattr("datafast.store.migrations.FORMAT", found)
    Ledger(old).close()
    monkeypatch.undo()
    with LedgerReader(old) as reader:
        assert reader.meta("format") == str(found)
        assert reader.batches.all() == reader.batches.open() == []
        assert reader.batches.open_sums() == (0, 0.0, 0)
        assert reader.calls.spent(Path()).open_calls == 0


@pytest.mark.parametrize(("step", "number"), [(at, n) for at in range(1, FORMAT) for n in range(len(MIGRATIONS[at]))])
def test_a_step_that_cannot_be_finished_leaves_the_ledger_as_it_was(
    old: Path, monkeypatch: pytest.MonkeyPatch, step: int, number: int
) -> None:
    monkeypatch.setattr("datafast.store.migrations.FORMAT", step)
    Ledger(old).close()
    monkeypatch.undo()
    before = content(old)
    broken = [list(statements) for statements in MIGRATIONS]
    broken[step][number] = "INSERT INTO nowhere VALUES(1)"
    monkeypatch.setattr("datafast.store.migrations.MIGRATIONS", broken)
    with pytest.raises(OutputError, match="Cannot write the ledger"):
        Ledger(old)
    assert content(old) == before
    monkeypatch.undo()
    Ledger(old).close()
    assert dict(content(old)["meta"])["format"] == str(FORMAT)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked child")
@pytest.mark.parametrize("number", range(STATEMENTS + 8))
@pytest.mark.parametrize("fresh", [False, True])
def test_a_process_that_dies_at_any_statement_leaves_a_ledger_of_one_format_or_the_next(
    old: Path, tmp_path: Path, server: ForkServer, number: int, fresh: bool
) -> None:
    path = tmp_path / "new" if fresh else old
    code = server.run("tests.store.test_migrations:open_and_die", path=str(path), number=number)
    assert code == 9 if number < STATEMENTS else code in {0, 9}
    if path.exists():
        with LedgerReader(path) as reader:
            assert reader.meta("format") in map(str, [FORMAT] if fresh else range(1, FORMAT + 1))
            assert (reader.counts().failed > 0) is not fresh
    Ledger(path).close()
    with LedgerReader(path) as reader:
        assert reader.meta("format") == str(FORMAT)
        assert reader.key_versions == ([] if fresh else ["1"])


def open_and_die(path: str, number: int) -> None:
    """Opens a ledger in a process that is gone when its statement of this number begins."""
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect
    begun = 0

    def count(statement: str) -> None:
        nonlocal begun
        begun += 1
        if begun > number:
            os._exit(9)

    def watched(*arguments: Any, **options: Any) -> sqlite3.Connection:
        database = connect(*arguments, **options)
        database.set_trace_callback(count)
        return database

    sqlite3.connect = watched  # type: ignore[assignment]
    Ledger(Path(path)).close()


# -- formats that are not known


def newer(folder: Path, found: str) -> RawDataset:
    """An output whose ledger says that it has another format."""
    dataset = raw(folder).generate([CountingProvider("m", log=folder / "log")])
    with closing(sqlite3.connect(folder / "out.jsonl.ledger")) as database, database:
        database.execute("UPDATE meta SET value = ? WHERE name = 'format'", (found,))
    return dataset


def test_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    dataset = newer(tmp_path, "99")
    before = snapshot(tmp_path)
    with pytest.raises(OutputError, match=rf"has format 99, .* knows formats up to {FORMAT}\. .*Update datafast"):
        dataset.generate([CountingProvider("m", log=tmp_path / "log")])
    result = CliRunner().invoke(cli, ["status", str(tmp_path / "out.jsonl")])
    assert result.exit_code == 2
    assert "has format 99" in result.output
    assert {name: data for name, (data, _) in snapshot(tmp_path).items() if name.endswith(("ledger", "jsonl"))} == {
        name: data for name, (data, _) in before.items() if name.endswith(("ledger", "jsonl"))
    }


def test_a_ledger_that_names_no_format_is_refused(tmp_path: Path) -> None:
    dataset = newer(tmp_path, "what?")
    with pytest.raises(OutputError, match="does not say which format it has"):
        dataset.generate([CountingProvider("m", log=tmp_path / "log")])


# -- wire formats of replies


def test_each_reply_is_recorded_with_its_wire_format(tmp_path: Path) -> None:
    raw(tmp_path).generate([CountingProvider("m", log=tmp_path / "log")])
    with closing(sqlite3.connect(tmp_path / "out.jsonl.ledger")) as database:
        assert set(database.execute("SELECT format FROM calls")) == {(None,)}  # the usual one


def test_a_reply_in_an_unknown_wire_format_is_refused_by_name_and_kept(tmp_path: Path) -> None:
    log = tmp_path / "log"
    raw(tmp_path).generate([CountingProvider("m", log=log)])
    with closing(sqlite3.connect(tmp_path / "out.jsonl.ledger")) as database, database:
        database.execute("UPDATE calls SET format = 'messages-9'")
    (tmp_path / "out.jsonl").unlink()
    asked = len(requests_in(log))
    with pytest.raises(OutputError, match=r"format 'messages-9', .* reads .*chat_completions"):
        raw(tmp_path).generate([CountingProvider("m", log=log)])
    assert len(requests_in(log)) == asked
    with closing(sqlite3.connect(tmp_path / "out.jsonl.ledger")) as database, database:
        database.execute("UPDATE calls SET format = 'chat_completions'")
    report = assert_balanced(raw(tmp_path).generate([CountingProvider("m", log=log)]).report)
    assert (report.written, report.calls) == (6, 0)


def test_a_reply_that_only_the_journal_holds_keeps_its_wire_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A back end of another format, whose replies are read by a decoder of its own."""
    import dataclasses

    from datafast.llms.replies import formats
    from datafast.llms.replies.completion import decode_completion

    class Reversed(CountingProvider):
        def open(self, *, max_connections: int) -> Any:
            inner = super().open(max_connections=max_connections)
            complete = inner.complete

            async def reverse(request: Any) -> Any:
                response = await complete(request)
                return dataclasses.replace(response, raw=response.raw[::-1], format="reversed")

            inner.complete = reverse
            return inner

    table = {**formats.DECODERS, "reversed": lambda body: decode_completion(body[::-1])}
    monkeypatch.setattr(formats, "DECODERS", table)
    log = tmp_path / "log"
    raw(tmp_path).generate([Reversed("m", log=log)])
    first = rows_of(tmp_path / "out.jsonl")
    with closing(sqlite3.connect(tmp_path / "out.jsonl.ledger")) as database, database:
        assert set(database.execute("SELECT format FROM calls")) == {("reversed",)}
        calls = database.execute("SELECT * FROM calls").fetchall()
        names = [column[1] for column in database.execute("PRAGMA table_info(calls)")]
        items = {row[0]: row for row in database.execute("SELECT id, key, content, position, num_rows FROM items")}
        for table_name in ("calls", "items", "appends"):
            database.execute(f"DELETE FROM {table_name}")
    _write_journal(
        tmp_path / "out.jsonl.ledger-replies", [dict(zip(names[:-1], call[:-1], strict=True)) for call in calls], items
    )
    (tmp_path / "out.jsonl").unlink()
    report = assert_balanced(raw(tmp_path).generate([Reversed("m", log=log)]).report)
    assert (report.written, report.calls) == (6, 0)
    assert sorted(map(json.dumps, rows_of(tmp_path / "out.jsonl"))) == sorted(map(json.dumps, first))


def _write_journal(path: Path, calls: list[dict[str, Any]], items: dict[int, tuple[Any, ...]]) -> None:
    """What a run leaves that was killed before its first commit."""
    from datafast.store.journal import Journal
    from datafast.store.journal_records import journal_header
    from datafast.store.records import CallRow, ItemRecord, ItemState

    journal = Journal(path)
    for values in calls:
        call = CallRow(**values)
        number, key, content_of, position, num_rows = items[call.item]
        item = ItemRecord(number, key, content_of, position, ItemState.OPEN, 0, num_rows)
        journal.record(journal_header(call, item), call.raw)
    journal.close()


# -- a ledger that is made


def make_and_die(path: str, point: str, when: str, nth: int) -> None:
    """Run in a forked child."""
    die_at(point, when, nth)
    Ledger(Path(path)).close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
@pytest.mark.parametrize(
    ("point", "when", "nth"),
    [
        ("sqlite3:connect", "before", 1),
        ("sqlite3:connect", "after", 1),
        ("datafast.store.migrations:_take", "before", 1),
        ("datafast.store.migrations:_take", "after", 1),
        ("pathlib:Path.replace", "before", 1),
        ("pathlib:Path.replace", "after", 1),
        ("sqlite3:connect", "before", 2),
        ("sqlite3:connect", "after", 2),
    ],
)
def test_a_ledger_is_there_whole_or_not_at_all_whenever_the_run_that_makes_it_is_killed(
    server: ForkServer, tmp_path: Path, point: str, when: str, nth: int
) -> None:
    path = tmp_path / "out.jsonl.ledger"
    code = server.run("tests.store.test_migrations:make_and_die", path=str(path), point=point, when=when, nth=nth)
    assert code == 9
    if path.exists():
        with LedgerReader(path) as reader:
            assert reader.counts().written == 0
    report = raw(tmp_path, topics=3).generate([CountingProvider("m", log=tmp_path / "log")]).report
    assert report is not None
    assert report.written == 3
    assert [one.name for one in tmp_path.iterdir() if one.name.endswith("-new")] == []


def test_the_log_of_a_ledger_that_was_deleted_is_no_part_of_the_next(tmp_path: Path) -> None:
    path, kept = tmp_path / "out.jsonl.ledger", tmp_path / "kept"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE stray(id)")
        kept.write_bytes(path.with_name(f"{path.name}-wal").read_bytes())
    path.unlink()
    kept.rename(path.with_name(f"{path.name}-wal"))
    Ledger(path).close()
    assert "stray" not in content(path)
    assert content(path)["meta"]


def test_a_ledger_is_made_where_a_link_leads(tmp_path: Path) -> None:
    place = tmp_path / "there"
    (tmp_path / "link").symlink_to(place)
    Ledger(tmp_path / "link").close()
    assert (tmp_path / "link").is_symlink()
    assert content(place)["meta"]

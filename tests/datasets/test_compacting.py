"""`compact`: what the ledger has afterwards, that rows and money stay, and what a kill leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datafast.cli.main import cli
from datafast.datasets import compacting
from datafast.datasets.compacting import Compacted, compact
from datafast.datasets.resharding import reshard
from datafast.datasets.shards import merge
from datafast.errors import (
    ConfigError,
    OutputChangedError,
    OutputError,
    OutputInUseError,
    OutputWriteError,
)
from datafast.llms.base import Request
from datafast.store.ledger import Ledger
from datafast.store.lock import take_locks
from datafast.store.paths import OutputPaths
from datafast.store.reader import LedgerReader
from datafast.store.records import CallRow, ItemRecord, ItemState
from datafast.store.reply_conversion import Wanted
from tests.support import (
    CountingProvider,
    ForkServer,
    assert_balanced,
    die_at,
    fork_server,
    raw,
    requests_in,
    rows_of,
    short_waits,
    snapshot,
)

COMPRESS: dict[str, Any] = {"replies": "compress"}
DROP: dict[str, Any] = {"replies": {"drop_after": "written"}}
REPLIES: dict[str, Any] = {"keep": {"replies": "keep"}, "compress": COMPRESS, "drop": DROP}
STORED = {"keep": None, "compress": 1, "drop": 2}


@pytest.fixture(autouse=True)
def waits_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    short_waits(monkeypatch)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "requests"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def made(folder: Path, form: str = "keep", **fields: Any) -> Any:
    return raw(folder, run={"ledger": REPLIES[form], **fields.pop("run", {})}, **fields)


def forms(out: Path) -> set[int | None]:
    with closing(sqlite3.connect(out.with_name(f"{out.name}.ledger"))) as db:
        return {how for (how,) in db.execute("SELECT stored FROM calls")}


def replies(out: Path) -> dict[bytes, list[bytes]]:
    with LedgerReader(out.with_name(f"{out.name}.ledger")) as ledger:
        return {item.key: [call.raw for call in ledger.calls.whole([item.id])] for item in ledger.items()}


def done(given: Compacted | None) -> Compacted:
    assert given is not None
    return given


# -- forms


@pytest.mark.parametrize("before", REPLIES)
@pytest.mark.parametrize("after", REPLIES)
def test_every_form_becomes_every_other_and_the_next_run_buys_nothing(
    tmp_path: Path, log: Path, out: Path, before: str, after: str
) -> None:
    provider = CountingProvider("m", log=log)
    made(tmp_path, before, topics=30).generate([provider])
    rows, known = out.read_bytes(), replies(out)
    told = done(compact(out, replies=after))  # type: ignore[arg-type]
    assert told.converted == (0 if before in {after, "drop"} else 30)
    assert told.dropped == (30 if after == "drop" != before else 0)
    assert forms(out) == {2 if before == "drop" else STORED[after]}
    assert out.read_bytes() == rows
    if after != "drop":
        assert replies(out) == known
    again = made(tmp_path, after, topics=32).generate([provider])
    assert assert_balanced(again.report).calls == 2
    assert out.read_bytes().startswith(rows)
    with LedgerReader(tmp_path / "out.jsonl.ledger") as ledger:
        assert ledger.calls.totals().calls == 32


def test_rows_that_are_lost_come_back_from_packed_replies(tmp_path: Path, log: Path, out: Path) -> None:
    """More than a dictionary is made of. The ledger gets smaller."""
    provider = CountingProvider("m", log=log)
    made(tmp_path, topics=900, run={"ordered": True}).generate([provider])
    rows, known = out.read_bytes(), replies(out)
    told = done(compact(out, replies="compress"))
    assert told.ledger_after < 0.7 * told.ledger_before
    assert told.ledger_after == (tmp_path / "out.jsonl.ledger").stat().st_size
    with closing(sqlite3.connect(tmp_path / "out.jsonl.ledger")) as db:
        assert db.execute("SELECT count(*) FROM dictionaries").fetchone() == (1,)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert replies(out) == known
    out.unlink()
    again = made(tmp_path, topics=900, run={"ordered": True}).generate([provider])
    assert assert_balanced(again.report).calls == 0
    assert out.read_bytes() == rows
    assert done(compact(out)).converted == 900
    assert replies(out) == known


def test_the_form_is_that_of_the_config_where_none_is_given(tmp_path: Path, log: Path, out: Path) -> None:
    provider = CountingProvider("m", log=log)
    made(tmp_path, topics=4).generate([provider])
    assert done(compact(out)).replies == "keep"
    made(tmp_path, "compress", topics=4).generate([provider])
    assert done(compact(out)).converted == 4
    assert forms(out) == {1}
    made(tmp_path, "drop", topics=4).generate([provider])
    assert done(compact(out)).dropped == 4


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bodies=st.lists(st.binary(max_size=300) | st.text(max_size=80).map(str.encode), min_size=1, max_size=30),
    order=st.lists(st.sampled_from(["keep", "compress"]), min_size=1, max_size=4),
)
def test_whatever_a_reply_is_it_is_the_same_in_every_form(
    tmp_path: Path, bodies: list[bytes], order: list[Any]
) -> None:
    path = tmp_path / f"{os.urandom(6).hex()}.ledger"
    with closing(Ledger(path)) as ledger:
        with ledger.transaction():
            ledger.put_items([ItemRecord(1, b"k" * 16, b"c" * 16, 0, ItemState.DONE, 0, 1, 1)])
            ledger.calls.put(
                CallRow(number, 1, b"%d" % number, 0, "writer", "p", "m", 1.0, 0.5, 1, body)
                for number, body in enumerate(bodies, 1)
            )
        for form in order:
            ledger.conversion.convert(Wanted(form=form))
            ledger.shrink()
            assert [call.raw for call in ledger.calls.whole([1])] == bodies


# -- what is dropped, and what is not


def test_only_replies_of_rows_that_are_written_are_dropped(tmp_path: Path, log: Path, out: Path) -> None:
    def answer(request: Request) -> Any:
        return "not what was asked" if "topic 1" in request.messages[0]["content"] else None

    made(tmp_path, topics=4).generate([CountingProvider("m", log=log, reply=answer)])
    assert done(compact(out, replies="drop")).dropped == 3
    with LedgerReader(tmp_path / "out.jsonl.ledger") as ledger:
        for item in ledger.items():
            assert all(call.is_dropped == (item.state is ItemState.DONE) for call in ledger.calls.whole([item.id]))
    asked = len(requests_in(log))
    again = made(tmp_path, "drop", topics=4).generate([CountingProvider("m", log=log)], retry_failed=True)
    assert assert_balanced(again.report).written == 4
    assert len(requests_in(log)) == asked + 1
    assert not any(any(found) for found in replies(out).values())


def test_what_judges_said_is_kept(tmp_path: Path, log: Path, out: Path) -> None:
    judge = CountingProvider("judge", log=log)
    stage: dict[str, Any] = {"stage": "judge", "providers": [judge], "keep_if": "score >= 3"}
    made(tmp_path, topics=12, quality=[stage]).generate([CountingProvider("m", log=log)])
    done(compact(out, replies="drop"))
    with LedgerReader(tmp_path / "out.jsonl.ledger") as ledger:
        calls = ledger.calls.whole([item.id for item in ledger.items()])
    assert {call.role for call in calls if call.is_dropped}.isdisjoint(
        call.role for call in calls if not call.is_dropped
    )
    assert any(not call.is_dropped for call in calls)
    asked = len(requests_in(log))
    stage["keep_if"] = "score >= 5"
    assert assert_balanced(
        made(tmp_path, "drop", topics=12, quality=[stage]).generate([CountingProvider("m", log=log)]).report
    )
    assert len(requests_in(log)) == asked


def test_rows_without_replies_are_not_bought_again_without_a_word(tmp_path: Path, log: Path, out: Path) -> None:
    made(tmp_path).generate([CountingProvider("m", log=log)])
    done(compact(out, replies="drop"))
    out.unlink()
    with pytest.raises(OutputError, match=r"replies of 6 items were dropped.*buy_again"):
        made(tmp_path).generate([CountingProvider("m", log=log)])
    assert len(requests_in(log)) == 6


def test_replies_of_items_that_left_the_config_go_where_that_is_asked(tmp_path: Path, log: Path, out: Path) -> None:
    provider = CountingProvider("m", log=log)
    made(tmp_path, topics=6).generate([provider])
    made(tmp_path, topics=4).generate([provider])
    assert done(compact(out, replies="drop")).dropped == 4
    assert sum(any(found) for found in replies(out).values()) == 2
    assert done(compact(out, replies="compress")).converted == 2
    told = done(compact(out, replies="compress", drop_unused=True))
    assert (told.dropped, told.converted) == (2, 2)
    assert not any(any(found) for found in replies(out).values())
    assert assert_balanced(made(tmp_path, topics=4).generate([provider]).report).calls == 0
    with LedgerReader(tmp_path / "out.jsonl.ledger") as ledger:
        assert ledger.calls.totals().calls == 6


def test_replies_stay_as_long_as_rows_may_be_made_again(tmp_path: Path, log: Path, out: Path) -> None:
    stage = {"stage": "keep_if", "expression": "uuid[0] in '01234567' or metadata.topic != 'topic 1'"}
    dataset = made(tmp_path, topics=8, quality=[stage], regenerate=2)
    dataset.generate([CountingProvider("m", log=log)], limit=5)
    known = replies(out)
    with pytest.raises(OutputError, match=r"3 rows may still be made again.*Nothing was dropped"):
        compact(out, replies="drop")
    assert replies(out) == known
    dataset.generate([CountingProvider("m", log=log)])
    assert done(compact(out, replies="drop")).dropped >= 8
    assert dataset.generate([CountingProvider("m", log=log)]).report.calls == 0


def test_nothing_is_dropped_of_rows_that_were_changed(tmp_path: Path, log: Path, out: Path) -> None:
    made(tmp_path).generate([CountingProvider("m", log=log)])
    known = replies(out)
    data = out.read_bytes()
    out.write_bytes(data[:50] + b"~" + data[51:])
    with pytest.raises(OutputChangedError):
        compact(out, replies="drop")
    assert replies(out) == known


# -- refused


def test_what_cannot_be_compacted_is_refused_in_words(tmp_path: Path, log: Path, out: Path) -> None:
    for name, error, words in (
        ("s3://bucket/rows.jsonl", ConfigError, "is not on this machine"),
        (tmp_path, ConfigError, "is a folder"),
        (tmp_path / "nowhere.jsonl", OutputError, "has no ledger"),
    ):
        with pytest.raises(error, match=words):
            compact(name)
    assert not list(tmp_path.iterdir())
    made(tmp_path).generate([CountingProvider("m", log=log)])
    before = snapshot(tmp_path)
    with take_locks(OutputPaths.of(out)), pytest.raises(OutputInUseError, match="Another run is writing"):
        compact(out, replies="compress")
    assert snapshot(tmp_path) == before


def test_too_little_room_is_told_and_costs_nothing(
    tmp_path: Path, log: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path).generate([CountingProvider("m", log=log)])
    known = replies(out)
    with monkeypatch.context() as patch:
        patch.setattr(compacting.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 90, 10))  # type: ignore[attr-defined]
        with pytest.raises(OutputWriteError, match=r"no room to write .* anew: that takes .* and 10 are free"):
            compact(out, replies="compress")
    assert replies(out) == known
    assert done(compact(out, replies="compress")).converted == 0
    assert made(tmp_path).generate([CountingProvider("m", log=log)]).report.calls == 0


# -- kills


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with fork_server() as running:
        yield running


def dying_run(folder: str, log: str, at: int) -> None:
    seen = iter(range(1, 10_000))

    def answer(request: Request) -> None:
        if next(seen) == at:
            os._exit(9)

    provider = CountingProvider("m", log=Path(log), reply=answer, latency_s=0.003)
    raw(Path(folder), topics=60, run={"max_concurrency": 4}).generate([provider])


def compact_that_dies_within_the_last_step(folder: str, at: int) -> None:
    """SQLite writes the ledger anew, and the process is killed while it does."""
    calls = iter(range(1, 10**9))

    def strike() -> int:
        if next(calls) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    shrink = Ledger.shrink

    def fatal(ledger: Ledger) -> None:
        ledger._db.set_progress_handler(strike, 10)
        shrink(ledger)

    Ledger.shrink = fatal  # type: ignore[method-assign]
    compact(Path(folder) / "out.jsonl", replies="compress")


def dying_compact(folder: str, form: Any, point: str, when: str, nth: int) -> None:
    from datafast.store import reply_conversion

    reply_conversion._STEP = 10
    die_at(point, when, nth)
    compact(Path(folder) / "out.jsonl", replies=form)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
@pytest.mark.parametrize("form", ["compress", "drop"])
def test_a_compact_that_dies_anywhere_costs_nothing(tmp_path: Path, log: Path, server: ForkServer, form: Any) -> None:
    """A killed run has left replies in its journal alone. The compact dies in the repair, within and between parts, before and after the
    ledger is written anew."""
    folder = tmp_path / "out"
    folder.mkdir()
    out = folder / "out.jsonl"
    server.run("tests.datasets.test_compacting:dying_run", folder=str(folder), log=str(log), at=45)
    assert (folder / "out.jsonl.ledger-replies").stat().st_size
    put = "datafast.store.reply_conversion:Conversion._put"
    moments = [
        ("datafast.store.recovery:replay_journal", "after", 1),
        (put, "before", 7),
        (put, "after", 16),
        ("datafast.store.reply_conversion:Conversion._after", "before", 4),
        ("datafast.store.ledger:Ledger.shrink", "before", 1),
        ("datafast.store.ledger:Ledger.shrink", "after", 1),
    ]
    for point, when, nth in moments:
        code = server.run(
            "tests.datasets.test_compacting:dying_compact",
            folder=str(folder),
            form=form,
            point=point,
            when=when,
            nth=nth,
        )
        assert code == 9, (point, when)
    asked = len(requests_in(log))
    told = done(compact(out, replies=form))
    assert told.converted == 0
    assert told.journal_after == 0
    assert not (folder / "out.jsonl.ledger-replies").exists()
    report = assert_balanced(made(folder, form, topics=60).generate([CountingProvider("m", log=log)]).report)
    assert report.written == 60
    assert len(requests_in(log)) == asked + report.calls
    assert len(requests_in(log)) <= 60 + 4
    with closing(sqlite3.connect(folder / "out.jsonl.ledger")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
def test_a_kill_while_the_ledger_is_written_anew_leaves_it_whole(
    tmp_path: Path, log: Path, out: Path, server: ForkServer
) -> None:
    made(tmp_path, topics=200).generate([CountingProvider("m", log=log)])
    known = replies(out)
    for at in (1, 40, 200, 400):
        function = "tests.datasets.test_compacting:compact_that_dies_within_the_last_step"
        assert server.run(function, folder=str(tmp_path), at=at) == -signal.SIGKILL
        assert replies(out) == known
    assert done(compact(out, replies="compress")).converted == 0
    assert replies(out) == known
    with closing(sqlite3.connect(tmp_path / "out.jsonl.ledger")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert made(tmp_path, topics=200).generate([CountingProvider("m", log=log)]).report.calls == 0


# -- the command


def datafast(*words: str, code: int = 0) -> Any:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == code, result.output
    return result


def test_the_command_says_what_it_did_and_asks_before_it_drops(tmp_path: Path, log: Path, out: Path) -> None:
    made(tmp_path).generate([CountingProvider("m", log=log)])
    said = datafast("compact", str(out), "--replies", "compress").output
    assert "compress: 6 replies converted" in said
    assert "bytes before" in said
    told = datafast("compact", str(out), "--replies", "drop", code=2).output
    assert "6 replies of 6 items would be dropped" in told
    assert "cannot be built again" in told
    assert "Say --yes" in told
    assert forms(out) == {1}
    uuid = rows_of(out)[0]["uuid"]
    (call,) = json.loads(datafast("explain", str(out), uuid, "--json").stdout)["calls"]
    assert call["said"]
    assert not call["dropped"]
    datafast("report", str(out), "-o", str(tmp_path / "report.html"))
    datafast("replay", f"{out}.manifest.json", "-o", str(tmp_path / "again.jsonl"))
    assert (tmp_path / "again.jsonl").read_bytes() == out.read_bytes()
    (one,) = json.loads(datafast("compact", str(out), "--replies", "drop", "--yes", "--json").stdout)["outputs"]
    assert (one["replies"], one["dropped"], one["shard"]) == ("drop", 6, None)
    assert one["ledger_after"] == (tmp_path / "out.jsonl.ledger").stat().st_size
    (call,) = json.loads(datafast("explain", str(out), uuid, "--json").stdout)["calls"]
    assert call["dropped"]


def test_the_command_refuses_what_is_no_output_here(tmp_path: Path, log: Path, out: Path) -> None:
    assert "is not on this machine" in datafast("compact", "s3://bucket/rows.jsonl", code=2).output
    assert "There is no file" in datafast("compact", str(tmp_path / "none.jsonl"), code=2).output
    made(tmp_path).generate([CountingProvider("m", log=log)])
    with take_locks(OutputPaths.of(out)):
        error = json.loads(datafast("compact", str(out), "--json", code=2).stdout)["error"]
    assert error["type"] == "OutputInUseError"


# -- shards


@pytest.mark.parametrize("form", ["compress", "drop"])
def test_shards_that_were_compacted_are_divided_anew_and_merged(tmp_path: Path, log: Path, form: Any) -> None:
    provider = CountingProvider("m", log=log)
    ordered = {"ordered": True, "ledger": REPLIES[form]}
    raw(tmp_path / "whole", topics=40, run={"ordered": True}).generate([CountingProvider("m", log=tmp_path / "other")])
    dataset = raw(tmp_path, topics=40, output_file=tmp_path / "rows", run={**ordered, "ledger": None})
    for number in (1, 2, 3):
        dataset.generate([provider], shard=(number, 3))
    told = json.loads(datafast("compact", str(tmp_path / "rows"), "--replies", form, "--yes", "--json").stdout)
    assert [one["shard"] for one in told["outputs"]] == ["1/3", "2/3", "3/3"]
    assert sum(one["converted"] for one in told["outputs"]) == 40
    reshard(tmp_path / "rows", 2)
    for number in (1, 2):
        again = dataset.generate([provider], shard=(number, 2))
        assert again.report.calls == 0
    merged = merge(tmp_path / "rows", tmp_path / "all.jsonl")
    assert merged.lacks == []
    assert len(requests_in(log)) == 40
    plain = {row["uuid"]: row["text"] for row in rows_of(tmp_path / "whole" / "out.jsonl")}
    assert [row["uuid"] for row in rows_of(tmp_path / "all.jsonl")] == list(plain)
    assert forms(tmp_path / "all.jsonl") == {STORED[form]}
    found = replies(tmp_path / "all.jsonl")
    assert len(found) == 40
    for said in found.values():
        assert all(bool(one) == (form == "compress") for one in said)
        assert all("choices" in json.loads(one) for one in said if one)


def test_dictionaries_of_one_number_are_told_and_unpacking_helps(tmp_path: Path, log: Path) -> None:
    dataset = raw(tmp_path, topics=8, output_file=tmp_path / "rows")
    for number in (1, 2):
        dataset.generate([CountingProvider("m", log=log)], shard=(number, 2))
    shards = sorted((tmp_path / "rows").glob("*.jsonl"))
    for number, path in enumerate(shards):
        with closing(sqlite3.connect(path.with_name(f"{path.name}.ledger"))) as db:
            db.execute("INSERT INTO dictionaries VALUES(5, ?)", (b"%d" % number,))
            db.commit()
    with pytest.raises(OutputError, match=r"datafast compact .* --replies keep"):
        merge(tmp_path / "rows", tmp_path / "all.jsonl")
    assert not (tmp_path / "all.jsonl").exists()
    done(compact(shards[1], replies="keep"))
    assert merge(tmp_path / "rows", tmp_path / "all.jsonl").lacks == []

"""Replies that are packed, or dropped once their rows are written: what still works, and what is refused in words."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.errors import ConfigError, ErrorKind, OutputError, ProviderError
from datafast.llms.base import Request
from datafast.schema.config import RunConfig
from datafast.store.ledger import Ledger
from datafast.store.reader import LedgerReader
from datafast.store.records import ItemState
from datafast.store.reply_forms import Packer, Unpacker
from tests.support import (
    CountingProvider,
    ForkServer,
    assert_balanced,
    fork_server,
    preference,
    raw,
    requests_in,
    roles,
    rows_of,
    same_rows,
    short_waits,
)

COMPRESS: dict[str, Any] = {"replies": "compress"}
DROP: dict[str, Any] = {"replies": {"drop_after": "written"}}
FORMS = [{"replies": "keep"}, COMPRESS, DROP]


@pytest.fixture(autouse=True)
def waits_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    short_waits(monkeypatch)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "requests"


def made(folder: Path, form: dict[str, Any], **fields: Any) -> Any:
    return raw(folder, run={"ledger": form, **fields.pop("run", {})}, **fields)


def stored(folder: Path) -> list[tuple[int | None, bytes]]:
    with closing(sqlite3.connect(folder / "out.jsonl.ledger")) as db:
        return db.execute("SELECT stored, raw FROM calls ORDER BY id").fetchall()


def waiting(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "out.jsonl.ledger")) as db:
        return int(db.execute("SELECT count(*) FROM replies").fetchone()[0])


# -- the setting


def test_a_ledger_is_a_path_or_a_mapping() -> None:
    assert RunConfig().ledger_path is None
    assert RunConfig(ledger="a/b").ledger_path == Path("a/b")
    assert RunConfig(ledger={"path": "a/b", **DROP}).ledger_path == Path("a/b")
    assert RunConfig(ledger={"path": "a/b", **DROP}).kept.form == "drop"
    assert RunConfig(ledger=COMPRESS).ledger_path is None
    assert RunConfig(ledger=COMPRESS).kept.form == "compress"
    assert RunConfig(ledger="a").kept.form == "keep"
    for wrong in ({"replies": "zip"}, {"replies": {"drop_after": "read"}}, {"reply": "keep"}):
        with pytest.raises(ValueError, match="ledger"):
            RunConfig(ledger=wrong)
    again = RunConfig.model_validate_json(RunConfig(ledger={"path": "a/b", **DROP}).model_dump_json())
    assert again == RunConfig(ledger={"path": "a/b", **DROP})


def test_a_ledger_stands_where_the_mapping_says(tmp_path: Path, log: Path) -> None:
    made(tmp_path, {"path": tmp_path / "elsewhere" / "l", **COMPRESS}).generate([CountingProvider("m", log=log)])
    assert (tmp_path / "elsewhere" / "l").is_file()
    assert not (tmp_path / "out.jsonl.ledger").exists()


# -- all forms


@pytest.mark.parametrize("form", FORMS)
def test_rows_are_the_same_in_every_form_and_nothing_is_bought_twice(tmp_path: Path, log: Path, form: Any) -> None:
    raw(tmp_path / "plain", topics=30).generate([CountingProvider("m", log=tmp_path / "other")])
    made(tmp_path, form, topics=30).generate([CountingProvider("m", log=log)], limit=11)
    dataset = made(tmp_path, form, topics=30).generate([CountingProvider("m", log=log)])
    assert assert_balanced(dataset.report).written == 30
    assert len(requests_in(log)) == 30
    assert same_rows(rows_of(tmp_path / "out.jsonl"), rows_of(tmp_path / "plain" / "out.jsonl"))
    again = made(tmp_path, form, topics=30).generate([CountingProvider("m", log=log)])
    assert again.report.calls == 0
    with LedgerReader(tmp_path / "out.jsonl.ledger") as ledger:
        totals = ledger.calls.totals()
        assert totals.calls == 30
        assert totals.output_tokens > 0


def test_packed_replies_come_back_as_they_came(tmp_path: Path, log: Path) -> None:
    """More than a dictionary is made of, so some are packed with it and some without."""
    raw(tmp_path / "plain", topics=600).generate([CountingProvider("m", log=tmp_path / "other")])
    made(tmp_path, COMPRESS, topics=600).generate([CountingProvider("m", log=log)])
    assert {how for how, _ in stored(tmp_path)} == {1}

    def replies(folder: Path) -> dict[bytes, bytes]:
        with LedgerReader(folder / "out.jsonl.ledger") as ledger:
            items = {item.id: item.key for item in ledger.items()}
            return {items[call.item]: call.raw for call in ledger.calls.whole(list(items))}

    packed, plain = replies(tmp_path), replies(tmp_path / "plain")
    assert packed.keys() == plain.keys()
    assert {key: json.loads(one)["choices"] for key, one in packed.items()} == {
        key: json.loads(one)["choices"] for key, one in plain.items()
    }
    with closing(sqlite3.connect(tmp_path / "out.jsonl.ledger")) as db:
        assert db.execute("SELECT count(*) FROM dictionaries").fetchone() == (1,)
    assert sum(len(one) for _, one in stored(tmp_path)) < 0.6 * sum(map(len, plain.values()))
    (tmp_path / "out.jsonl").unlink()
    dataset = made(tmp_path, COMPRESS, topics=600).generate([CountingProvider("m", log=log)])
    assert assert_balanced(dataset.report).calls == 0
    assert dataset.report.replayed == 600


def test_a_ledger_may_have_replies_of_all_forms(tmp_path: Path, log: Path) -> None:
    provider = CountingProvider("m", log=log)
    for number, form in enumerate(FORMS, 1):
        made(tmp_path, form, topics=4 * number).generate([provider])
    assert [how for how, _ in stored(tmp_path)] == [None] * 4 + [1] * 4 + [2] * 4
    assert [bool(reply) for _, reply in stored(tmp_path)] == [True] * 8 + [False] * 4
    with LedgerReader(tmp_path / "out.jsonl.ledger") as ledger:
        calls = ledger.calls.whole([item.id for item in ledger.items()])
        assert [call.is_dropped for call in calls] == [False] * 8 + [True] * 4
        assert all(call.raw.startswith(b"{") for call in calls[:8])
        scanned = list(ledger.scans.replies())
        assert [reply is None for _, _, reply, *_ in scanned] == [False] * 8 + [True] * 4


def test_what_is_handed_on_is_each_reply_as_it_came(tmp_path: Path, log: Path) -> None:
    """Remote outputs upload these. Dropped ones are left out, also where a whole page of them was dropped."""
    provider = CountingProvider("m", log=log)
    for number, form in enumerate([DROP, COMPRESS, {"replies": "keep"}], 1):
        made(tmp_path, form, topics=4 * number).generate([provider])
    with LedgerReader(tmp_path / "out.jsonl.ledger") as ledger:
        newer = [*ledger.calls.newer(0, 3), *ledger.calls.newer(7, 100)]
        assert [call.id for call in newer] == list(range(5, 13))
        assert [call.raw for call in newer] == [call.raw for call in ledger.calls.whole([call.item for call in newer])]
        assert all(json.loads(call.raw)["choices"] for call in newer)


def test_a_secret_is_found_in_packed_replies(tmp_path: Path, log: Path) -> None:
    def answer(request: Request) -> str:
        return json.dumps({"texts": ["the word is xyzzy-plugh"]})

    made(tmp_path, COMPRESS, topics=3).generate([CountingProvider("m", log=log, reply=answer)])
    with closing(Ledger(tmp_path / "out.jsonl.ledger")) as ledger:
        assert any(b"xyzzy-plugh" in text for text in ledger.contents())


def test_what_packs_is_asked_for_by_name(tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, COMPRESS, topics=3).generate([CountingProvider("m", log=log)])
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setitem(sys.modules, "compression", None)
    with pytest.raises(ConfigError, match=r"pip install 'datafast\[zstd\]'"):
        made(tmp_path / "new", COMPRESS).generate([CountingProvider("m", log=log)])
    with LedgerReader(tmp_path / "out.jsonl.ledger") as ledger, pytest.raises(OutputError, match=r"datafast\[zstd\]"):
        ledger.calls.of(1)


@pytest.mark.parametrize("given", [b"", b"x", os.urandom(2000), b'{"a": 1}' * 10_000])
def test_whatever_is_packed_is_unpacked(tmp_path: Path, given: bytes) -> None:
    with closing(Ledger(tmp_path / "l")) as ledger, ledger.transaction():
        packer, unpacker = Packer(ledger._db), Unpacker(ledger._db)
        packed = [packer.pack(given + b"%d" % number) for number in range(900)]
        assert [unpacker.reply(1, one) for one in packed] == [given + b"%d" % number for number in range(900)]


# -- dropped ones


def test_only_replies_of_rows_that_are_written_are_dropped(tmp_path: Path, log: Path) -> None:
    def answer(request: Request) -> Any:
        if "topic 1" in request.messages[0]["content"]:
            return "not what was asked"
        return None

    made(tmp_path, DROP, topics=4).generate([CountingProvider("m", log=log, reply=answer)])
    with LedgerReader(tmp_path / "out.jsonl.ledger") as ledger:
        for item in ledger.items():
            calls = ledger.calls.whole([item.id])
            assert calls
            assert all(call.is_dropped == (item.state is ItemState.DONE) for call in calls)
        (failed,) = ledger.failure_ids()
        assert ledger.failed([failed])[0][0].raw
    retried = made(tmp_path, DROP, topics=4).generate([CountingProvider("m", log=log)], retry_failed=True)
    assert assert_balanced(retried.report).written == 4
    assert waiting(tmp_path) == 0


def test_replies_of_items_with_several_calls_are_dropped_when_all_rows_are_written(tmp_path: Path, log: Path) -> None:
    provider = CountingProvider("m", log=log, latency_s=0.05)
    preference(tmp_path, run={"ledger": DROP}).generate(roles(provider))
    assert all(how == 2 and not reply for how, reply in stored(tmp_path))
    assert waiting(tmp_path) == 0


def test_rows_that_were_lost_are_not_bought_again_without_a_word(tmp_path: Path, log: Path) -> None:
    made(tmp_path, DROP).generate([CountingProvider("m", log=log)])
    rows = (tmp_path / "out.jsonl").read_bytes()
    asked = len(requests_in(log))
    (tmp_path / "out.jsonl").unlink()
    for _ in range(2):
        with pytest.raises(OutputError, match=r"6 items of .* lost rows.*replies of 6 items were dropped.*buy_again"):
            made(tmp_path, DROP).generate([CountingProvider("m", log=log)])
    assert len(requests_in(log)) == asked
    (tmp_path / "out.jsonl").write_bytes(rows)
    assert made(tmp_path, DROP).generate([CountingProvider("m", log=log)]).report.calls == 0
    (tmp_path / "out.jsonl").unlink()
    again = made(tmp_path, {**DROP, "buy_again": True}).generate([CountingProvider("m", log=log)])
    assert assert_balanced(again.report).calls == 6
    assert len(rows_of(tmp_path / "out.jsonl")) == 6


def test_a_config_that_needs_dropped_replies_is_refused(tmp_path: Path, log: Path) -> None:
    provider = CountingProvider("m", log=log)
    made(tmp_path, DROP).generate([provider])
    rows, asked = (tmp_path / "out.jsonl").read_bytes(), len(requests_in(log))
    with pytest.raises(OutputError, match="reasoning elsewhere, and replies were dropped"):
        made(tmp_path, DROP, reasoning="metadata").generate([provider])
    assert len(requests_in(log)) == asked
    back = made(tmp_path, DROP).generate([provider])
    assert back.report.calls == 0
    assert (tmp_path / "out.jsonl").read_bytes() == rows


def test_stages_that_ask_no_model_decide_without_replies(tmp_path: Path, log: Path) -> None:
    provider = CountingProvider("m", log=log)
    made(tmp_path, DROP, topics=20).generate([provider])
    before = rows_of(tmp_path / "out.jsonl")
    longest = max(len(row["text"].split()) for row in before)
    strict = made(tmp_path, DROP, topics=20, quality=[{"stage": "length", "max_words": longest - 1}]).generate(
        [provider]
    )
    assert assert_balanced(strict.report).filtered
    back = made(tmp_path, DROP, topics=20).generate([provider])
    assert rows_of(tmp_path / "out.jsonl") == before
    assert back.report.calls == 0


def test_what_judges_said_is_kept(tmp_path: Path, log: Path) -> None:
    """Verdicts are views of what judges have said, so another threshold decides without a call."""

    judge = CountingProvider("judge", log=log)
    stage: dict[str, Any] = {"stage": "judge", "providers": [judge], "keep_if": "score >= 3"}
    first = made(tmp_path, DROP, topics=12, quality=[stage]).generate([CountingProvider("m", log=log)])
    assert assert_balanced(first.report).pending == 0
    with LedgerReader(tmp_path / "out.jsonl.ledger") as ledger:
        calls = ledger.calls.whole([item.id for item in ledger.items()])
    assert {call.role for call in calls if not call.is_dropped} != {call.role for call in calls if call.is_dropped}
    asked = len(requests_in(log))
    stage["keep_if"] = "score >= 5"
    second = made(tmp_path, DROP, topics=12, quality=[stage]).generate([CountingProvider("m", log=log)])
    assert assert_balanced(second.report).filtered > first.report.filtered
    assert len(requests_in(log)) == asked


def test_a_stage_that_would_ask_models_about_rows_without_replies_is_refused(tmp_path: Path, log: Path) -> None:
    provider, judge = CountingProvider("m", log=log), CountingProvider("judge", log=log)
    made(tmp_path, DROP).generate([provider])
    with pytest.raises(OutputError, match=r"ask models about rows of 6 items whose replies were dropped"):
        made(tmp_path, DROP, quality=[{"stage": "judge", "providers": [judge]}]).generate([provider])
    assert made(tmp_path, DROP).generate([provider]).report.calls == 0
    assert len(requests_in(log)) == 6


def test_rows_are_made_again_and_then_dropped_too(tmp_path: Path, log: Path) -> None:
    """As long as stages may have rows made again, all replies stay."""
    stage = {"stage": "keep_if", "expression": "uuid[0] in '01234567' or metadata.topic != 'topic 1'"}
    dataset = made(tmp_path, DROP, topics=8, quality=[stage], regenerate=2).generate([CountingProvider("m", log=log)])
    assert assert_balanced(dataset.report).pending == 0
    assert waiting(tmp_path) == 0
    assert made(tmp_path, DROP, topics=8, quality=[stage], regenerate=2).generate(
        [CountingProvider("m", log=log)]
    ).report.calls == 0  # fmt: skip


def test_explain_and_replay_say_that_replies_were_dropped(tmp_path: Path, log: Path) -> None:
    made(tmp_path, DROP).generate([CountingProvider("m", log=log)])
    out = tmp_path / "out.jsonl"
    uuid = rows_of(out)[0]["uuid"]
    told = CliRunner().invoke(cli, ["explain", str(out), uuid, "--json"])
    assert told.exit_code == 0, told.output
    (call,) = json.loads(told.stdout)["calls"]
    assert call["dropped"]
    assert "dropped" in call["said"]
    status = CliRunner().invoke(cli, ["status", str(out), "--json"])
    assert json.loads(status.stdout)["calls"] == 6


# -- kills


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with fork_server() as running:
        yield running


def dropping_run(folder: str, log: str, at: int) -> None:
    """Dies when the call of this number is sent."""
    counted = iter(range(1, 10_000))

    def answer(request: Request) -> None:
        if next(counted) == at:
            os.kill(os.getpid(), signal.SIGKILL)

    provider = CountingProvider("m", log=Path(log), reply=answer, latency_s=0.003)
    raw(Path(folder), topics=200, run={"ledger": DROP, "max_concurrency": 4}).generate([provider])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
@pytest.mark.parametrize("at", [30, 90, 150])
@pytest.mark.parametrize("cut", [0, 2000, 10**9])
def test_a_kill_with_rows_that_were_not_on_the_disk_costs_what_was_in_flight(
    tmp_path: Path, log: Path, server: ForkServer, at: int, cut: int
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    server.run("tests.store.test_reply_forms:dropping_run", folder=str(folder), log=str(log), at=at)
    asked = len(requests_in(log))
    path = folder / "out.jsonl"
    if path.exists():
        with path.open("r+b") as file:
            file.truncate(max(0, path.stat().st_size - cut))
    dataset = made(folder, DROP, topics=200).generate([CountingProvider("m", log=log)])
    report = assert_balanced(dataset.report)
    assert report.written == 200
    assert len(requests_in(log)) <= 200 + 4
    assert asked >= at - 1
    assert all(not reply for _, reply in stored(folder))
    assert waiting(folder) == 0


def test_a_failing_provider_keeps_what_it_said(tmp_path: Path, log: Path) -> None:
    def refuse(request: Request) -> Exception | None:
        return ProviderError("no", kind=ErrorKind.BAD_REQUEST) if "topic 2" in request.messages[0]["content"] else None

    dataset = made(tmp_path, DROP).generate([CountingProvider("m", log=log, reply=refuse)])
    assert assert_balanced(dataset.report).failed == 1

"""Whatever a model writes: its rows come back as they were, its replies are kept, and no reply can break the run or the next one."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from datafast._util.bitmap import PositionSet
from datafast.errors import ErrorKind, OutputError, OutputWriteError, ProviderError
from datafast.llms.base import Request
from datafast.store.ledger import Ledger
from datafast.store.records import Append, CallRow, ItemRecord, ItemState
from tests.support import CountingProvider, assert_balanced, raw, requests_in, rows_of, same_rows, short_waits

ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=30)
"""Every code point, lone surrogates too."""
# Half a surrogate pair is replaced with a warning, which is tested elsewhere.
pytestmark = pytest.mark.filterwarnings(r"ignore:.* characters that no text can hold:datafast.errors.DatafastWarning")


@pytest.fixture(autouse=True)
def waits_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked again after an odd reply is asked again at once."""
    short_waits(monkeypatch)


SLOW = settings(max_examples=40)


def run(folder: Path, reply: Any, *, log: Path | None = None, **fields: Any) -> Any:
    """A run of two items; the second one always gets a plain reply."""

    def answer(request: Request) -> Any:
        return reply if "topic 0" in request.messages[0]["content"] else None

    provider = CountingProvider("m", log=log or folder / "requests", reply=answer)
    options = fields.pop("options", {})
    return raw(folder, topics=2, **fields).generate([provider], **options)


def texts(*values: str) -> str:
    """A reply as models write it: JSON in which everything odd is escaped."""
    return json.dumps({"texts": list(values)})


@SLOW
@given(ANY_TEXT)
@example("line\u2028separator\u2029and\x85next")
@example("nul\x00byte")
@example('quotes " and \\ backslashes \\" and \\u0041')
@example("emoji \U0001f469\u200d\U0001f680")
@example("a\r\nb\rc\x0bd\x0ce\x1cf")
@example("\ufeffbyte order mark")
def test_any_text_comes_back_as_the_model_wrote_it(text: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = run(folder, texts(text))
        report = assert_balanced(dataset.report)
        assert report.pending == 0
        assert report.written + report.failed == 2
        found = {row.metadata["topic"]: row.text for row in dataset.data_rows}
        usable = text.strip() and not any("\ud800" <= character <= "\udfff" for character in text)
        if usable:
            assert found["topic 0"] == text.strip()
        again = run(folder, texts(text))
        assert assert_balanced(again.report).calls == 0
        before = rows_of(folder / "out.jsonl")
        (folder / "out.jsonl").unlink()
        run(folder, texts(text))
        assert same_rows(rows_of(folder / "out.jsonl"), before)


LONE = "half of a pair: \ud83d and no more"
UNUSABLE = {
    "lone surrogate in a text": texts(LONE),
    "lone surrogate where a number was asked": json.dumps({"texts": LONE}),
    "lone surrogate in a name": json.dumps({LONE: 1}),
    "lone surrogate in the envelope": b'{"choices": [{"message": {"content": "\\ud83d"}}]}',
    "bytes that are no text": b"\xff\xfe\x00",
    "nothing": b"",
    "a NUL": b"\x00",
    "not a completion": b"[1, 2]",
    "an HTML page": b"<html>\n<body>gateway</body>\n</html>",
    "deep nesting": ("[" * 100_000).encode(),
    "deeply nested text": json.dumps({"texts": "["}).replace('"["', "[" * 5000),
    "newlines that look like a journal": b'{"size": 0, "crc": 0}\n\n{"size": 0, "crc": 0}\n\n',
    "a huge number": b'{"choices": [{"message": {"content": ' + b"9" * 5000 + b"}}]}",
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_no_reply_however_odd_harms_the_other_rows_or_the_next_run(tmp_path: Path, what: str) -> None:
    log = tmp_path / "requests"
    dataset = run(tmp_path, UNUSABLE[what], log=log)
    report = assert_balanced(dataset.report)
    assert report.pending == 0
    assert "topic 1" in [row.metadata["topic"] for row in dataset.data_rows]
    asked = len(requests_in(log))
    again = run(tmp_path, UNUSABLE[what], log=log)
    assert assert_balanced(again.report).calls == 0
    assert len(requests_in(log)) == asked
    if report.failed:
        db = sqlite3.connect(tmp_path / "out.jsonl.ledger")
        ((raw_reply, error),) = db.execute("SELECT raw, error FROM failures").fetchall()
        kept = [row[0] for row in db.execute("SELECT raw FROM calls")]
        db.close()
        assert raw_reply in kept
        assert error
        retried = run(tmp_path, None, log=log, options={"retry_failed": True})
        assert assert_balanced(retried.report).written == 2


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 10**30, "completion_tokens": 1},
        {"prompt_tokens": 2**63, "completion_tokens": 2**64},
        {"prompt_tokens": -5, "completion_tokens": "many"},
        {"prompt_tokens": None},
        {"prompt_tokens": 1.5, "completion_tokens": True},
        {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 10**40}},
        [],
        "none",
    ],
)
def test_no_usage_however_odd_harms_the_run(tmp_path: Path, usage: Any) -> None:
    message = {"message": {"content": texts("a text")}, "finish_reason": "stop"}
    dataset = run(tmp_path, json.dumps({"choices": [message], "usage": usage}).encode())
    assert assert_balanced(dataset.report).written == 2
    assert assert_balanced(run(tmp_path, None).report).calls == 0


def test_an_error_with_text_that_no_file_can_hold_is_recorded(tmp_path: Path) -> None:
    dataset = run(tmp_path, ProviderError(f"the server says {LONE}", kind=ErrorKind.BAD_REQUEST, status=400, body=LONE))
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.stop_reason) == (1, 1, None)
    db = sqlite3.connect(tmp_path / "out.jsonl.ledger")
    assert "the server says half" in db.execute("SELECT error FROM failures").fetchone()[0]
    db.close()


# -- the ledger itself


@st.composite
def item_records(draw: st.DrawFn) -> ItemRecord:
    num_rows = draw(st.integers(1, 70))
    return ItemRecord(
        id=draw(st.integers(1, 50)),
        key=draw(st.binary(min_size=16, max_size=16)),
        content=draw(st.binary(min_size=16, max_size=16)),
        position=draw(st.integers(0, 2**62)),
        state=draw(st.sampled_from(ItemState)),
        generation=draw(st.integers(0, 9)),
        num_rows=num_rows,
        slots=draw(st.integers(0, (1 << num_rows) - 1)),
    )


@settings(max_examples=60)
@given(st.lists(item_records(), max_size=12), st.lists(st.binary(max_size=50), max_size=5))
def test_what_is_put_into_the_ledger_comes_out_of_it(items: list[ItemRecord], replies: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "ledger"
        ledger = Ledger(path)
        calls = [
            CallRow(n, 1, b"k", 0, "role", "provider", "model", 1.5, 0.25, 1, body)
            for n, body in enumerate(replies, start=1)
        ]
        appends = [Append(n, item.id, 10 * n, 10, 7, item.slots) for n, item in enumerate(items, start=1)]
        with ledger.transaction():
            ledger.put_items(items)
            ledger.calls.put(calls)
            ledger.appends.put(appends)
        ledger.close()
        ledger = Ledger(path)
        newest = {item.id: item for item in items}
        assert {item.id: item for item in ledger.items()} == newest
        for state in ItemState:
            assert list(ledger.items(state)) == sorted(
                (item for item in newest.values() if item.state is state), key=lambda item: item.id
            )
        assert [reply.raw for _, reply in ledger.calls.of(1)] == replies
        assert list(ledger.appends.all()) == appends
        assert ledger.appends.committed_size() == (appends[-1].end if appends else 0)
        ledger.close()


def test_a_transaction_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")

    def half(error: Any) -> None:
        with ledger.transaction():
            ledger.set_meta("name", 1)
            error()

    with pytest.raises(ZeroDivisionError):
        half(lambda: 1 / 0)
    with pytest.raises(OutputWriteError, match="ledger"):
        half(lambda: ledger.set_meta("other", object()))
    assert ledger.meta("name") is None
    with ledger.transaction():
        ledger.set_meta("name", 2)
    assert ledger.meta("name") == 2
    ledger.close()


@pytest.mark.filterwarnings(
    "ignore::datafast.errors.DatafastWarning"
)  # that rows could not be compared, or a manifest not be written
@settings(max_examples=60, derandomize=True)
@given(st.data())
def test_a_ledger_with_any_damage_is_an_output_error_or_unharmed(data: st.DataObject) -> None:
    """A sector or a page of nonsense: a run either refuses, or ends with the rows that it should have and keeps all old lines."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "requests"
        run(folder, None, log=log)
        path = folder / "out.jsonl"
        original = path.read_bytes()
        ledger = folder / "out.jsonl.ledger"
        damaged = bytearray(ledger.read_bytes())
        place = data.draw(st.integers(0, len(damaged) - 1))
        size = data.draw(st.sampled_from([512, 4096]))
        for number in range(place, min(place + size, len(damaged))):
            damaged[number] ^= 0xA5
        ledger.write_bytes(damaged)
        try:
            dataset = run(folder, None, log=log)
        except OutputError:
            assert path.read_bytes() == original
            return
        report = assert_balanced(dataset.report)
        assert report.written == 2
        kept = b"".join(file.read_bytes() for file in folder.glob("out.jsonl*") if "ledger" not in file.name)
        assert all(line in kept for line in original.splitlines())


# -- positions


@settings(max_examples=100)
@given(st.lists(st.integers(0, 200_000) | st.integers(0, 10**15)), st.lists(st.integers(0, 200_000)))
def test_a_position_set_is_a_set(added: list[int], asked: list[int]) -> None:
    positions, plain = PositionSet(added), set(added)
    assert len(positions) == len(plain)
    assert all(number in positions for number in plain)
    assert [number in positions for number in asked] == [number in plain for number in asked]


def test_rows_are_one_line_each_whatever_they_hold(tmp_path: Path) -> None:
    run(tmp_path, texts("a\nb\u2028c\u0085d\x1ee"))
    data = (tmp_path / "out.jsonl").read_bytes()
    assert data.count(b"\n") == 2
    assert all(orjson.loads(line) for line in data.splitlines() if line)

"""The sums of a ledger are what its tables say, whatever was done to it, in whatever order."""

from __future__ import annotations

import os
import random
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.datasets import RawDataset
from datafast.errors import ErrorKind, ProviderError, RunStopped
from datafast.llms.base import Request
from datafast.store import sealed
from datafast.store.ledger import Ledger
from datafast.store.reader import LedgerReader
from datafast.store.records import Append, CallRow, FailureRow, FilteredRow, ItemRecord, ItemState, Sizes
from datafast.types import Usage
from tests.support import CountingProvider, raw, rows_of, short_waits

ITEMS = 12


@pytest.fixture(autouse=True)
def everything_is_sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums of three items and more."""
    monkeypatch.setattr(sealed, "SEAL_AFTER", 3)
    monkeypatch.setattr(sealed, "PLACE_AFTER", 5)
    short_waits(monkeypatch)


def assert_exact(path: Path) -> None:
    """The sums of a ledger, told by itself, are those of its tables, counted one by one."""
    with closing(sqlite3.connect(path)) as db, LedgerReader(path) as ledger:
        items = {row[0]: row[1:] for row in db.execute("SELECT id, position, state, num_rows, rows_written FROM items")}
        done = {position for position, state, *_ in items.values() if state == 1}
        assert set(ledger.sealed.done()) == done
        assert set(ledger.settled_positions()) == {p for p, state, *_ in items.values() if state in {1, 2}}
        assert ledger.items_mark()[1:] == (len(items), max(items, default=0))
        assert ledger.rows_settled() == sum(rows for _, state, rows, _ in items.values() if state in {1, 2})
        drops = db.execute("SELECT item, stage, reason FROM filtered WHERE NOT hidden").fetchall()
        in_plan = [(stage, reason) for item, stage, reason in drops if items[item][1] != 3]
        assert ledger.filtered.counts() == Counter(in_plan)
        counts = ledger.counts(1000)
        beyond = ledger.rows_removed() - sum(written for _, state, _, written in items.values() if state == 3)
        assert counts.written == sum(written for _, state, _, written in items.values() if state != 3) - beyond
        assert counts.filtered == len(in_plan)
        calls = db.execute(
            "SELECT id, provider, role, attempts, input_tokens, output_tokens, cost_usd, sent_at FROM calls ORDER BY id"
        ).fetchall()
        asked = [call for call in calls if call[3]]
        totals = ledger.calls.totals()
        assert (totals.calls, totals.attempts) == (len(asked), sum(call[3] for call in asked))
        assert totals.input_tokens == sum(call[4] or 0 for call in asked)
        assert totals.output_tokens == sum(call[5] or 0 for call in asked)
        assert totals.cost_usd == (
            None if any(call[6] is None for call in asked) else pytest.approx(sum(call[6] for call in asked))
        )
        assert list(ledger.calls.usage_by_provider()) == list(dict.fromkeys(call[1] for call in asked))
        assert ledger.calls.providers_by_role() == {call[2]: call[1] for call in reversed(asked)}
        sizes: dict[str, dict[str, list[int]]] = {}
        for _, provider, role, _, _, output, *_ in calls:
            if output is not None:
                sizes.setdefault(provider, {}).setdefault(role, []).append(output)
        assert ledger.calls.reply_sizes() == {
            provider: {role: Sizes(len(found), max(found), sum(found)) for role, found in roles.items()}
            for provider, roles in sizes.items()
        }
        times = [call[7] for call in asked]
        assert ledger.calls.sent() == ((min(times), max(times)) if times else None)
        for after in {0, len(calls) // 2, len(calls)}:
            times = [call[7] for call in asked if call[0] > after]
            assert ledger.calls.sent(after=after) == ((min(times), max(times)) if times else None)
        spent = ledger.calls.spent(path)
        assert spent.usd == pytest.approx(sum(call[6] or 0.0 for call in calls))
        assert spent.tokens == sum((call[4] or 0) + (call[5] or 0) for call in calls)


# -- the ledger by itself


class _Random:
    """Does what runs do to a ledger, at random."""

    def __init__(self, ledger: Ledger, seed: int) -> None:
        self.ledger = ledger
        self.random = random.Random(seed)
        self.next_call = 1

    def item(self, number: int | None = None) -> ItemRecord:
        number = number or self.random.randrange(1, 40)
        rows = self.random.randrange(1, 4)
        slots = self.random.randrange(1 << rows)
        position = self.random.choice([number, number * 70_000])
        return ItemRecord(number, bytes([number]) * 16, b"c", position, self.state(), 0, rows, slots)

    def state(self) -> ItemState:
        return self.random.choice([ItemState.DONE, ItemState.DONE, *ItemState])

    def ids(self) -> list[int]:
        known = [item.id for item in self.ledger.items()]
        return self.random.sample(known, self.random.randrange(len(known) + 1))

    def put_items(self) -> None:
        self.ledger.put_items([self.item() for _ in range(self.random.randrange(4))])

    def put_calls(self) -> None:
        calls = []
        for _ in range(self.random.randrange(5)):
            late = self.random.random() < 0.2
            number = self.random.randrange(1, self.next_call + 1) if late else self.next_call
            self.next_call = max(self.next_call, number + self.random.randrange(1, 3))
            provider, role = self.random.choice("pq"), self.random.choice(["writer", "judge"])
            sent_at, attempts = self.random.random(), self.random.randrange(3)
            call = CallRow(number, 1, b"k", 0, role, provider, "m", sent_at, 0.5, attempts, b"raw")
            usage = self.random.choice([None, Usage(self.random.randrange(100), self.random.randrange(100))])
            call.settle(usage, self.random.choice([None, 0.25, 0.5]))
            calls.append(call)
        self.ledger.calls.put(calls)

    def drop(self) -> None:
        for item_id in self.ids()[:3]:
            stage, hidden = self.random.choice("ab"), self.random.random() < 0.3
            self.ledger.filtered.put([FilteredRow(item_id, 0, stage, "why", b"{}", 1.0, hidden=hidden)])

    def change_drops(self) -> None:
        rows = [row.id for row in self.ledger.filtered.lines()]
        chosen = self.random.sample(rows, self.random.randrange(len(rows) + 1))
        match self.random.randrange(3):
            case 0:
                self.ledger.filtered.remove(chosen)
            case 1:
                self.ledger.filtered.hide(chosen, is_hidden=self.random.random() < 0.5)
            case _:
                self.ledger.filtered.reword([("c", "other", None, number) for number in chosen])

    def set_state(self) -> None:
        self.ledger.set_state(self.ids(), self.state())

    def open_done(self) -> None:
        self.ledger.open_done(self.ids())

    def lose(self) -> None:
        self.ledger.lose_rows({item.id: item.slots for item in self.ledger.items_at(self.ids())})

    def resize(self) -> None:
        for item in list(self.ledger.items_at(self.ids())):
            if item.state is not ItemState.STALE:
                self.ledger.resize(item, self.random.randrange(1, 4))

    def move(self) -> None:
        newest = self.ledger.max_id("items")
        places = self.random.sample(range(10**6), newest + 1)
        self.ledger.move_items([self.random.choice([-1, place]) for place in places])

    def fail(self) -> None:
        for item in list(self.ledger.items_at(self.ids())):
            if item.state is ItemState.OPEN:
                self.ledger.put_items([replace(item, state=ItemState.FAILED)])
                told = FailureRow(item.id, "stage_error", "e", "p", "writer", 1, 1, "", b"", 1.0)
                self.ledger.put_failures([told])

    def retry(self) -> None:
        self.ledger.retry_stage_errors()

    def empty(self) -> None:
        ids = self.ids()
        kept = [Append(1, ids[0], 0, 3, 0, 1)] if ids else []
        self.ledger.replace_appends(kept, emptied=ids[1:], cut={}, renumbered=True)

    def begin_for(self) -> None:
        self.ledger.calls.begin_for(self.ledger.path)

    def steps(self) -> list[Callable[[], None]]:
        often = [self.put_items, self.put_calls, self.drop]
        return [*often, *often, self.change_drops, self.set_state, self.open_done, self.lose, self.resize, self.move,
                self.fail, self.retry, self.empty, self.begin_for]  # fmt: skip


@settings(max_examples=60)
@given(st.integers(0, 10**9), st.integers(3, 40), st.booleans())
def test_sums_are_exact_after_any_changes_in_any_order(seed: int, steps: int, is_watched: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.jsonl.ledger"
        ledger = Ledger(path)
        try:
            if is_watched:  # its triggers are there before there is anything to sum up
                with ledger.transaction():
                    ledger.sealed.seal()
            doing = _Random(ledger, seed)
            for _ in range(steps):
                with ledger.transaction():
                    doing.random.choice(doing.steps())()
                if doing.random.random() < 0.4:
                    ledger.seal()
                if doing.random.random() < 0.1:
                    ledger.close()
                    ledger = doing.ledger = Ledger(path)
                ledger.checkpoint()
                assert_exact(path)
        finally:
            ledger.close()


def _sealed(ledger: Ledger) -> _Random:
    """Puts some items into a ledger, and seals them."""
    doing = _Random(ledger, 1)
    with ledger.transaction():
        ledger.put_items([doing.item(number) for number in range(1, 20)])
    ledger.seal()
    return doing


def test_what_is_undone_leaves_the_sums_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl.ledger"
    with closing(Ledger(path)) as ledger:
        doing = _sealed(ledger)

        def break_off() -> None:
            with ledger.transaction():
                doing.set_state()
                doing.lose()
                ledger.sealed.seal()
                raise RuntimeError

        with pytest.raises(RuntimeError):
            break_off()
        ledger.checkpoint()
        assert_exact(path)


def triggers(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT count(*) FROM sqlite_master WHERE type = 'trigger'").fetchone()[0])


def test_triggers_come_with_the_first_sums_in_one_transaction(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl.ledger"
    with closing(Ledger(path)) as ledger:
        doing = _Random(ledger, 1)
        with ledger.transaction():
            ledger.put_items([doing.item(number) for number in range(1, 20)])

        def break_off() -> None:
            with ledger.transaction():
                ledger.sealed.seal()
                raise RuntimeError

        with pytest.raises(RuntimeError):
            break_off()
        with ledger.transaction():
            doing.set_state()
        ledger.checkpoint()
        assert triggers(path) == 0
        assert_exact(path)

        ledger.seal()
        ledger.checkpoint()
        assert triggers(path) > 0
        ledger.shrink()
        ledger.save_in(tmp_path / "copy.ledger")
    assert triggers(path) == triggers(tmp_path / "copy.ledger") > 0
    with closing(Ledger(tmp_path / "copy.ledger")) as copy:
        changed = _Random(copy, 2)
        for change in (changed.set_state, changed.lose, changed.move):
            with copy.transaction():
                change()
        copy.checkpoint()
        assert_exact(tmp_path / "copy.ledger")


def test_positions_are_sealed_anew_once_a_changed_plan_has_moved_them(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl.ledger"
    with closing(Ledger(path)) as ledger:
        doing = _sealed(ledger)
        with ledger.transaction():
            doing.move()
        ledger.seal()
        assert ledger.sealed.is_due() is False
        ledger.checkpoint()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT item, placed FROM sealed").fetchone() == (19, 19)
    assert_exact(path)


def test_a_part_that_was_bought_for_another_output_has_sums_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl.ledger"
    with closing(Ledger(path)) as ledger:

        def buy(first: int, count: int) -> None:
            calls = [CallRow(n, 1, b"k", 0, "writer", "p", "m", 1.0, 0.5, 1, b"r") for n in range(first, first + count)]
            for call in calls:
                call.settle(Usage(1, 1), 1.0)
            with ledger.transaction():
                ledger.calls.put(calls)

        for first, buyer in ((1, "a.ledger"), (11, "b.ledger"), (21, "a.ledger")):
            with ledger.transaction():
                ledger.calls.begin_for(tmp_path / buyer)
            buy(first, 10)
            if buyer == "b.ledger":
                ledger.seal()
        ledger.seal()
        assert ledger.sealed.is_due() is False
        assert ledger.calls.spent(tmp_path / "a.ledger").usd == 20.0
        assert ledger.calls.spent(tmp_path / "b.ledger").usd == 10.0


# -- whole runs


def _sometimes_refused(request: Request) -> str | None:
    if "topic 3" in request.messages[0]["content"] and os.environ.get("DATAFAST_TEST_REFUSES"):
        raise ProviderError("refused", kind=ErrorKind.BAD_REQUEST)
    return None


class _Outputs:
    """Runs on one output, as people make them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.topics = [f"topic {number}" for number in range(ITEMS)]
        self.fields: dict[str, Any] = {}
        self.run: dict[str, Any] = {"max_concurrency": 3}

    def change(self) -> None:
        match self.random.randrange(6):
            case 0:
                self.topics = self.random.sample(
                    [f"topic {n}" for n in range(ITEMS + 4)], self.random.randrange(2, ITEMS)
                )
            case 1:
                few = self.random.randrange(10, 80)
                stage = {"stage": "length", "max_words": few}
                self.fields["quality"] = self.random.choice([[], [stage], [stage, {"stage": "exact_duplicates"}]])
            case 2:
                self.run["removed"] = self.random.choice(["keep", "move"])
            case 3:
                self.run["ordered"] = self.random.random() < 0.5
            case 4:
                self.lose()
            case _:
                self.fields["num_samples_per_prompt"] = self.random.randrange(1, 4)

    def lose(self) -> None:
        """The end of the file is cut off, as by a power cut."""
        path = self.folder / "out.jsonl"
        if path.exists():
            with path.open("r+b") as file:
                file.truncate(self.random.randrange(path.stat().st_size + 1))

    def generate(self, log: Path) -> RawDataset:
        dataset = raw(self.folder, topics=self.topics, run=self.run, **self.fields)
        options = {"retry_failed": self.random.random() < 0.3}
        limit = self.random.choice([None, None, self.random.randrange(1, ITEMS)])
        dataset.generate([CountingProvider("m", log=log, reply=_sometimes_refused)], limit=limit, **options)
        return dataset


@pytest.mark.filterwarnings("ignore::datafast.errors.DatafastWarning")
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**9))
def test_sums_are_exact_after_any_runs(seed: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        outputs = _Outputs(folder, seed)
        for _ in range(5):
            refuses = outputs.random.random() < 0.5
            os.environ["DATAFAST_TEST_REFUSES"] = "1" if refuses else ""
            try:
                report = outputs.generate(folder / "requests").report
            except RunStopped as stopped:
                report = stopped.report
            assert report is not None
            assert report.requested == report.written + report.filtered + report.failed + report.pending
            assert report.written + report.removed == len(rows_of(folder / "out.jsonl"))
            assert_exact(folder / "out.jsonl.ledger")
            outputs.change()

"""The store of one run without an engine: what is in which file after each step, and after an error."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest

from datafast.errors import DatafastWarning, OutputError, OutputWriteError
from datafast.plan.items import Plan
from datafast.store import group_commit
from datafast.store.append_file import AppendFile
from datafast.store.calls import CallTables
from datafast.store.group_commit import GroupCommit
from datafast.store.journal import Journal, read_journal
from datafast.store.paths import OutputPaths
from datafast.store.reader import LedgerReader
from datafast.store.records import Bound, Charge, FailureRow, FilteredRow, ItemRecord, ItemState
from datafast.store.recovery import Opening, OpenOutput, open_output
from datafast.store.verdicts import Dropped, Reversed, Said
from datafast.store.writer import Store
from datafast.types import Usage
from tests.support import raw

PRICED = (Usage(3, 4), 0.5)


class Output:
    """An output of four items with two rows each, opened as often as one likes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = OutputPaths.of(folder / "out.jsonl")
        self.plan = plan(folder)

    @contextmanager
    def opened(self, plan: Plan | None = None, **how: Any) -> Iterator[OpenOutput]:
        opening = Opening(**{"simulated": True, "pricing": lambda label, raw, wire: PRICED, **how})
        with open_output(self.paths, plan or self.plan, opening) as output:
            yield output

    def run(self, work: Callable[[Store], object], plan: Plan | None = None, **how: Any) -> OpenOutput:
        """Opens it, works, and closes it as a run does."""

        async def main(store: Store) -> None:
            done = work(store)
            if isinstance(done, Coroutine):
                await done
            await store.close()

        with self.opened(plan, **how) as output:
            asyncio.run(main(output.store))
        return output

    @property
    def lines(self) -> list[str]:
        return self.paths.rows.read_text().splitlines()

    async def has_lines(self, count: int) -> None:
        await until(lambda: len(self.lines) == count)

    def item(self, position: int) -> ItemRecord:
        with LedgerReader(self.paths.ledger) as reader:
            (found,) = [item for item in reader.items() if item.position == position]
        return found


def plan(folder: Path, topics: int | list[str] = 4) -> Plan:
    found: Plan = raw(folder, topics=topics, num_samples_per_prompt=2).plan(["m"])
    return found


@pytest.fixture
def out(tmp_path: Path) -> Output:
    return Output(tmp_path)


def reply(store: Store, position: int, text: str = "reply", plan: Plan | None = None, **fields: Any) -> ItemRecord:
    """A recorded reply to an item."""
    item = store.item_at(plan or raw(store.path.parent, topics=4, num_samples_per_prompt=2).plan(["m"]), position)
    record = store.open_item(item)
    given = {"role": "writer", "provider": "p", "model_id": "m", "format": "chat_completions", "latency_s": 0.5}
    call = store.record_reply(record, key=b"k", raw=text.encode(), attempts=1, **{**given, **fields})
    call.settle(Usage(10, 20), 0.25)
    return record


def rows(position: int, *numbers: int) -> dict[int, bytes]:
    return {number: f"{position}:{number}\n".encode() for number in numbers}


def failure(record: ItemRecord, rows: int) -> FailureRow:
    return FailureRow(record.id, "refused", "no", "p", "writer", 1, rows, "prompt", b"", 1.0)


def filtered(record: ItemRecord, number: int) -> FilteredRow:
    return FilteredRow(record.id, number, "length", "short", b"{}", 1.0)


def test_rows_calls_and_items_are_committed_together_when_it_closes(out: Output) -> None:
    def work(store: Store) -> None:
        first, second = reply(store, 0), reply(store, 2)
        assert store.finish_item(first, rows(0, 0, 1), [], None) == 2
        assert store.finish_item(second, rows(2, 1), [filtered(second, 0)], None) == 1
        assert (store.counts.written, store.counts.filtered, store.counts.failed, store.counts.pending) == (3, 1, 0, 4)
        assert out.lines == []

    output = out.run(work)
    assert out.lines == ["0:0", "0:1", "2:1"]
    assert not out.paths.journal.exists()
    assert output.store.filtered == {("length", "short"): 1}
    found = out.item(2)
    assert (found.state, found.slots, found.num_rows, found.generation) == (ItemState.DONE, 0b10, 2, 0)
    with LedgerReader(out.paths.ledger) as reader:
        assert [
            (append.id, append.item, append.start, append.size, append.slots) for append in reader.appends.all()
        ] == [
            (1, 1, 0, 8, 0b11),
            (2, 2, 8, 4, 0b10),
        ]
        totals = reader.calls.totals()
        assert (totals.calls, totals.input_tokens, totals.cost_usd) == (2, 20, 0.5)
        assert [reader.max_id(table) for table in ("items", "calls", "appends")] == [2, 2, 2]
        assert reader.counts().pending == 4
    with out.opened() as again:
        assert sorted(position for position in range(4) if position in again.done) == [0, 2]
        assert again.store.counts.written == 3


def test_numbers_go_on_where_the_last_run_ended(out: Output) -> None:
    out.run(lambda store: store.finish_item(reply(store, 0), rows(0, 0, 1), [], None))
    out.run(lambda store: store.finish_item(reply(store, 1), rows(1, 0, 1), [], None))
    with LedgerReader(out.paths.ledger) as reader:
        assert [(append.id, append.item, append.start) for append in reader.appends.all()] == [(1, 1, 0), (2, 2, 8)]
        assert [item.id for item in reader.items()] == [1, 2]
        assert reader.max_id("calls") == 2
    assert out.lines == ["0:0", "0:1", "1:0", "1:1"]


def test_rows_that_are_in_the_file_are_not_written_again(out: Output) -> None:
    def first(store: Store) -> None:
        record = reply(store, 1)
        store.finish_item(record, rows(1, 1), [], failure(record, 1))

    opened = out.run(first)
    assert (opened.store.counts.failed, opened.store.failures) == (1, {("p", "refused"): 1})

    def second(store: Store) -> None:
        record = reply(store, 1)
        assert record.slots == 0b10
        assert store.finish_item(record, rows(1, 0, 1), [], None) == 1

    opened = out.run(second, retry_failed=True)
    assert out.lines == ["1:1", "1:0"]
    assert opened.store.counts.written == 2
    assert out.item(1).generation == 1


def test_an_item_that_failed_is_known_as_failed_and_not_opened_anew(out: Output) -> None:
    def work(store: Store) -> None:
        record = reply(store, 3)
        store.finish_item(record, {}, [], failure(record, 2))

    out.run(work)
    with out.opened() as output:
        assert [position for position in range(4) if position in output.failed] == [3]
        item = output.store.item_at(out.plan, 3)
        assert output.store.open_item(item).state is ItemState.FAILED
        fresh = [output.store.open_item(output.store.item_at(out.plan, position)).id for position in (0, 1)]
        assert fresh == [2, 3]


def test_replies_of_items_that_left_the_plan_come_first_and_count_for_no_generation(out: Output) -> None:
    """The same question of another provider."""
    out.run(lambda store: store.finish_item(reply(store, 0, "theirs"), rows(0, 0, 1), [], None))
    other: Plan = raw(out.folder, topics=4, num_samples_per_prompt=2).plan(["another"])
    with out.opened(other) as output:
        record = output.store.open_item(output.store.item_at(other, 0))
        found = output.store.recorded_calls(record)
        assert [(answer.raw, answer.generation) for answer in found[b"k"]] == [(b"theirs", -1)]
        assert output.store.most_donated == 2
        assert output.set_aside != []


# -- the journal


def test_a_reply_is_in_the_journal_at_once_and_in_the_ledger_after_a_crash(out: Output) -> None:
    async def crashed() -> None:
        reply(store, 1, "paid for")
        store.reserve("p", Bound(2.0, 300))

    with out.opened() as output:
        store = output.store
        asyncio.run(crashed())
    records = list(read_journal(out.paths.journal))
    assert [body for _, body in records] == [b"paid for", b""]
    with LedgerReader(out.paths.ledger) as reader:
        assert reader.max_id("calls") == 0
        assert reader.unrecorded_replies(out.paths.journal) == 1
    with out.opened() as output:
        record = output.store.open_item(output.store.item_at(out.plan, 1))
        assert [answer.raw for answer in output.store.recorded_calls(record)[b"k"]] == [b"paid for"]
        # Priced anew; and the request in flight is charged at the most that it can have cost.
        assert output.store.spent(Path())[:3] == (2.5, 1, 307)
        assert output.store.reserve("p", Bound(1.0, 1)) == 2
    with LedgerReader(out.paths.ledger) as reader:
        assert reader.unrecorded_replies(out.paths.journal) == 0


def test_requests_that_ended_are_not_charged_unless_they_may_have_been_paid(out: Output) -> None:
    def work(store: Store) -> None:
        numbers = [store.reserve("p", Bound(usd, 100)) for usd in (1.0, 2.0, 4.0)]
        assert numbers == [1, 2, 3]
        store.release(1, charged=False)
        store.release(3, charged=True)
        store.release(2, charged=False)

    out.run(work)
    with LedgerReader(out.paths.ledger) as reader:
        assert reader.calls.spent(Path())[:3] == (4.0, 3, 100)
        assert reader.meta("requests") == 3


def test_requests_that_were_never_sent_count_nowhere_and_leave_their_numbers(out: Output) -> None:
    def work(store: Store) -> None:
        assert [store.reserve("p", Bound(1.0, 100)) for _ in range(4)] == [1, 2, 3, 4]
        for number in (3, 2, 4):
            store.cancel(number)
        assert store.reserve("p", Bound(1.0, 100)) == 2
        for number in (1, 2):
            store.release(number, charged=False)

    async def crashed(store: Store) -> None:
        # 3 and 4 stay out: the ledger says of them that they were never sent.
        assert [store.reserve("p", Bound(1.0, 100)) for _ in range(3)] == [5, 6, 7]
        store.cancel(5)
        store.cancel(6)
        assert store.reserve("p", Bound(1.0, 100)) == 5

    out.run(work)
    with LedgerReader(out.paths.ledger) as reader:
        assert reader.calls.spent(Path())[:3] == (0.0, 2, 0)
        assert (reader.meta("requests"), reader.meta("never_sent")) == (4, "[3,4]")
    with out.opened() as output:
        asyncio.run(crashed(output.store))
    with out.opened() as output:
        assert output.store.spent(Path())[:3] == (2.0, 4, 200)  # 5 and 7 were in flight
    with LedgerReader(out.paths.ledger) as reader:
        assert (reader.meta("requests"), reader.meta("never_sent")) == (7, "[3,4,6]")


def test_damaged_records_of_the_journal_are_told_of_and_cost_no_other(out: Output) -> None:
    with out.opened():
        pass
    journal = Journal(out.paths.journal)
    journal.record({"reserve": {"id": 1}}, b"")
    journal.record({"reserve": Charge(2, "p", 1.0, 10, 1.0)._asdict()}, b"")
    journal.record({"id": "two"}, b"")
    journal.record({"release": "nothing"}, b"")
    journal.close()
    with pytest.warns(DatafastWarning, match="is damaged in 2 places"), out.opened() as output:
        assert output.store.spent(Path())[:3] == (1.0, 2, 10)
    with warnings.catch_warnings(), out.opened():
        warnings.simplefilter("error")


def test_a_full_journal_is_emptied_in_mid_run_and_keeps_the_requests_in_flight(
    out: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "_JOURNAL_LIMIT", 1000)

    async def work(store: Store) -> None:
        in_flight = store.reserve("p", Bound(1.0, 10))
        store.finish_item(reply(store, 0, "x" * 1500), rows(0, 0, 1), [], None)
        before = out.paths.journal.stat().st_size
        await out.has_lines(2)
        assert before > 1500
        (record,) = read_journal(out.paths.journal)
        assert record[0]["reserve"]["id"] == in_flight
        store.release(in_flight, charged=False)

    out.run(work)
    assert out.lines == ["0:0", "0:1"]


async def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60.0
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


# -- errors


def test_rows_whose_transaction_fails_are_taken_out_of_the_file_again(
    out: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    out.run(lambda store: store.finish_item(reply(store, 0), rows(0, 0, 1), [], None))

    def fails(self: CallTables, calls: Any, **options: Any) -> None:
        assert out.lines == ["0:0", "0:1", "1:0", "1:1"]
        raise OutputWriteError("The ledger is full.")

    with out.opened() as output:
        store = output.store

        async def work() -> None:
            store.finish_item(reply(store, 1), rows(1, 0, 1), [], None)
            with pytest.raises(OutputWriteError, match="The ledger is full"):
                await store.close()

        with monkeypatch.context() as patched:
            patched.setattr(CallTables, "put", fails)
            asyncio.run(work())
        assert out.lines == ["0:0", "0:1"]
        assert (store.broken is not None, store.counts.written) == (True, 2)
    with out.opened() as output:
        record = output.store.open_item(output.store.item_at(out.plan, 1))
        assert [answer.raw for answer in output.store.recorded_calls(record)[b"k"]] == [b"reply"]


def test_after_an_error_that_nobody_foresaw_nothing_is_saved_any_more(
    out: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def fails(self: CallTables, calls: Any, **options: Any) -> None:
        tried.append(1)
        raise ZeroDivisionError("odd")

    monkeypatch.setattr(CallTables, "put", fails)

    async def work(store: Store) -> None:
        store.finish_item(reply(store, 1), rows(1, 0, 1), [], None)
        await until(lambda: store.broken is not None)
        store.finish_item(reply(store, 2), rows(2, 0, 1), [], None)
        with pytest.raises(OutputWriteError, match=r"Cannot save rows of .*: ZeroDivisionError: odd"):
            await store.close()

    with out.opened() as output:
        asyncio.run(work(output.store))
    assert (tried, out.lines) == ([1], [])
    assert [body for _, body in read_journal(out.paths.journal)] == [b"reply", b"reply"]


def test_what_is_pending_is_saved_by_itself_after_a_moment_each_time(out: Output) -> None:
    async def work(store: Store) -> None:
        for position in (0, 1):
            store.finish_item(reply(store, position), rows(position, 0, 1), [], None)
            await out.has_lines(2 * position + 2)
        with LedgerReader(out.paths.ledger) as reader:
            assert reader.counts().written == 4

    out.run(work)


def test_files_are_forced_to_the_disk_about_once_a_second_and_always_where_durability_is_full(
    out: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    for file in (Journal, AppendFile):
        monkeypatch.setattr(file, "sync", lambda self: synced.append(self.path.name))
    assert group_commit._SYNC_S == 1.0
    monkeypatch.setattr(group_commit, "_SYNC_S", 3600.0)  # it is not over, however slow the machine is

    async def work(store: Store) -> None:
        for position in (0, 1):
            store.finish_item(reply(store, position), rows(position, 0, 1), [], None)
            await out.has_lines(2 * position + 2)
            await until(lambda: store._commit._syncing is None)
        assert synced == expected

    expected: list[str] = []
    out.run(work)
    synced.clear()
    out.paths.rows.unlink()
    out.paths.ledger.unlink()
    expected = ["out.jsonl.ledger-replies", "out.jsonl"] * 2
    out.run(work, durability="full")
    synced.clear()
    out.paths.rows.unlink()
    out.paths.ledger.unlink()
    monkeypatch.setattr(group_commit, "_SYNC_S", 0.0)
    out.run(work)


def test_one_look_names_the_first_file_that_is_not_in_its_place(out: Output) -> None:
    with out.opened() as output:
        commit: GroupCommit = output.store._commit
        commit.look()
        assert output.store.broken is None
        out.paths.rows.rename(out.folder / "moved")
        commit.look()
        assert "out.jsonl" in str(output.store.broken)
        first = output.store.broken
        out.paths.journal.rename(out.folder / "moved too")
        commit.look()
        assert output.store.broken is first


# -- what is noted


def test_refused_items_are_remembered_until_they_are_done_or_leave_the_plan(out: Output) -> None:
    def refused(store: Store) -> None:
        for position in (0, 2, 3):
            record = reply(store, position)
            store.note_refused(record)

    out.run(refused)

    def goes_on(store: Store) -> None:
        assert store.refused_before == {0, 2, 3}
        record = reply(store, 2)
        store.finish_item(record, rows(2, 0, 1), [], None)

    out.run(goes_on)
    with out.opened() as output:
        assert output.store.refused_before == {0, 3}
    with out.opened(plan(out.folder, 2)) as output:
        assert output.store.refused_before == {0}


def test_what_was_learned_is_there_in_the_next_run(out: Output) -> None:
    out.run(lambda store: store.learn("m", "json_object"))
    with out.opened() as output:
        assert output.store.learned == {"m": "json_object"}


def test_an_output_is_simulated_or_real_from_its_first_reply_on(out: Output) -> None:
    with out.opened():
        pass
    with out.opened(simulated=False):
        pass
    with LedgerReader(out.paths.ledger) as reader:
        assert reader.meta("mode") == "real"
    out.run(lambda store: reply(store, 0), simulated=False)
    with pytest.raises(OutputError, match="has real rows, and this run would add simulated ones"), out.opened():
        pass
    with out.opened(simulated=False):
        pass


def test_replies_that_only_the_journal_has_decide_too(out: Output) -> None:
    async def work(store: Store) -> None:
        reply(store, 0)

    with out.opened() as output:
        asyncio.run(work(output.store))
    assert out.paths.journal.stat().st_size > 0
    with pytest.raises(OutputError, match="has simulated rows"), out.opened(simulated=False):
        pass


class DropsAll:
    """Stages that drop every row."""

    walks = "[]"
    walk_names: frozenset[str] = frozenset()
    most_replaced = 0
    for_good: frozenset[str] = frozenset()
    beyond: Mapping[int, int] = MappingProxyType({})
    num_rows = 0
    reviewed = ""

    def __init__(self, settings: str) -> None:
        self.settings = settings

    def only_reviewed(self, stages: str, reviewed: str) -> None:
        """All rows are decided about."""

    unasked: Mapping[int, int] = MappingProxyType({})
    asked_in_vain: Collection[int] = ()

    def anew(self, **_: Any) -> Any:
        return SimpleNamespace(
            walks=False,
            expect=lambda number: None,
            verdicts=lambda recorded: [Said(Dropped("a", "because"), row.line) for row in recorded],
        )


def test_rows_are_decided_about_again_once_where_the_stages_are_others(out: Output) -> None:
    with out.opened(decides=DropsAll('["a"]')):
        pass
    with out.opened(decides=DropsAll('["b"]')):  # no row was decided by the first ones
        pass
    out.run(lambda store: store.finish_item(reply(store, 0), rows(0, 0, 1), [], None), decides=DropsAll('["b"]'))
    with out.opened(decides=DropsAll('["a"]')) as output:
        assert output.store.redecided == Reversed(dropped=2, decided=2)
        assert (output.store.counts.written, output.store.counts.filtered) == (0, 2)
    with out.opened(decides=DropsAll('["a"]')) as output:
        assert output.store.redecided == Reversed()

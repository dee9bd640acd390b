"""The ledger by itself: what its questions answer, for items in every state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datafast.errors import OutputError, OutputWriteError
from datafast.store.ledger import Ledger
from datafast.store.reader import Bill, LedgerReader, PastCall
from datafast.store.records import (
    Append,
    CallRow,
    Charge,
    Counts,
    FailureRow,
    FilteredRow,
    ItemRecord,
    ItemState,
    Recorded,
    Spent,
    Totals,
)
from datafast.types import Usage

OPEN, DONE, FAILED, STALE = ItemState


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "out.jsonl.ledger")
    yield ledger
    ledger.close()


def item(number: int, state: ItemState = DONE, *, slots: int = 0, num_rows: int = 4, **fields: Any) -> ItemRecord:
    """Item `number`, at position 10 times that."""
    key, content = bytes([number]) * 16, bytes([number + 100]) * 16
    return ItemRecord(number, key, content, fields.pop("position", number * 10), state, 0, num_rows, slots, **fields)


def call(number: int, of: int = 1, **fields: Any) -> CallRow:
    given: dict[str, Any] = {"provider": "p", "attempts": 1, "latency_s": 0.5, "sent_at": 100.0 + number, **fields}
    usage, cost = given.pop("usage", Usage(10, 20, 5)), given.pop("cost", 0.25)
    row = CallRow(number, of, b"k%d" % number, 0, "writer", model_id="m", raw=b"r%d" % number, **given)
    row.settle(usage, cost)
    return row


def failure(of: int, category: str = "refused", *, provider: str = "p", rows: int = 4, at: float = 1.0) -> FailureRow:
    return FailureRow(of, category, f"error {of}", provider, "writer", 2, rows, "prompt", b"raw", at)


def filtered(of: int, number: int, stage: str = "length", reason: str = "too short") -> FilteredRow:
    return FilteredRow(of, number, stage, reason, b"{}", 1.0)


def put(ledger: Ledger, items: list[ItemRecord], **what: Any) -> None:
    with ledger.transaction():
        ledger.put_items(items)
        for name, rows in what.items():
            others = {"failures": ledger.put_failures, "charges": ledger.calls.put_charges}
            put_rows = others.get(name) or getattr(ledger, name).put
            put_rows(rows)


EACH_STATE = [item(1, OPEN, slots=1), item(2, DONE, slots=15), item(3, FAILED, slots=3), item(4, STALE, slots=7)]


# -- items


def test_items_are_found_by_state_id_position_and_key(ledger: Ledger) -> None:
    put(ledger, EACH_STATE)
    assert [found.id for found in ledger.items()] == [1, 2, 3, 4]
    assert [found.id for found in ledger.items(FAILED, OPEN)] == [1, 3]
    assert [found.id for found in ledger.items(DONE, STALE)] == [2, 4]
    assert {number: found.slots for number, found in ledger.items_of([4, 2]).items()} == {2: 15, 4: 7}
    assert [found.id for found in ledger.items_at([4, 1])] == [1, 4]
    assert list(ledger.sealed.done()) == [20]
    assert sorted(ledger.settled_positions()) == [20, 30]
    assert ledger.ids_by_key() == {bytes([number]) * 16: number for number in (1, 2, 3, 4)}
    assert [list(ledger.ids_of(state)) for state in (OPEN, FAILED, STALE)] == [[1], [3], [4]]


def test_the_mark_of_items_is_another_one_after_each_opening_and_each_new_item(ledger: Ledger) -> None:
    put(ledger, EACH_STATE)
    assert ledger.items_mark() == (None, 4, 4)
    marks = {ledger.items_mark()}
    for change in (ledger.note_opening, lambda: ledger.put_items([item(9)]), ledger.note_opening):
        with ledger.transaction():
            change()
        marks.add(ledger.items_mark())
    assert len(marks) == 4
    with ledger.transaction():
        ledger.set_state([9], DONE)
    assert ledger.items_mark() in marks


def test_an_item_that_is_there_already_is_not_written_again(ledger: Ledger) -> None:
    put(ledger, EACH_STATE)
    with ledger.transaction():
        ledger.add_item_if_new(item(2, OPEN))
        ledger.add_item_if_new(item(9, OPEN))
    assert {found.id: found.state for found in ledger.items()} == {1: OPEN, 2: DONE, 3: FAILED, 4: STALE, 9: OPEN}
    assert (ledger.max_id("items"), ledger.max_id("calls")) == (9, 0)


def test_items_move_and_change_their_state_by_id(ledger: Ledger) -> None:
    put(ledger, EACH_STATE)
    with ledger.transaction():
        ledger.move_items([-1, 7, -1, 30, 8])
        ledger.set_state([4], OPEN)
    assert {found.id: (found.position, found.state) for found in ledger.items()} == {
        1: (7, OPEN),
        2: (20, DONE),
        3: (30, FAILED),
        4: (8, OPEN),
    }


def test_rows_of_settled_items_are_added_up_without_those_that_are_left_out(ledger: Ledger) -> None:
    assert ledger.rows_settled() == 0
    put(ledger, [*EACH_STATE, item(5, DONE, num_rows=9)])
    assert ledger.rows_settled() == 17
    assert ledger.rows_settled(but={5, 1}) == 8


def test_items_that_ask_for_another_number_of_rows_are_found_and_the_last_one(ledger: Ledger) -> None:
    put(ledger, [item(1), item(2, num_rows=3), item(3, num_rows=2, state=STALE), item(4)])
    assert [found.id for found in ledger.items_unlike(4)] == [2]
    assert [found.id for found in ledger.items_unlike(4, positions=[40])] == [2, 4]


@pytest.mark.parametrize(
    ("state", "slots", "num_rows", "new_state", "cut"),
    [
        (DONE, 0b1111, 6, OPEN, {}),
        (DONE, 0b1111, 2, DONE, {1: 2}),
        (DONE, 0b0011, 2, DONE, {}),
        (FAILED, 0b0001, 2, OPEN, {}),
        (FAILED, 0b1001, 2, OPEN, {1: 2}),
        (OPEN, 0b0001, 6, OPEN, {}),
    ],
)
def test_another_number_of_rows_opens_an_item_that_lacks_some(
    ledger: Ledger, state: ItemState, slots: int, num_rows: int, new_state: ItemState, cut: dict[int, int]
) -> None:
    put(
        ledger,
        [item(1, state, slots=slots, kept=0b1110), item(2)],
        failures=[failure(1), failure(2)],
        filtered=[filtered(1, 1), filtered(1, 2), filtered(1, 3), filtered(2, 3)],
    )
    with ledger.transaction():
        ledger.resize(ledger.items_of([1])[1], num_rows)
    found = ledger.items_of([1, 2])
    kept = 0b1110 & ((1 << num_rows) - 1)
    assert (found[1].state, found[1].num_rows, found[1].slots, found[1].kept) == (new_state, num_rows, slots, kept)
    assert found[1].filtered == kept  # the verdicts about rows that it asks for
    assert found[2].filtered == 0b1000
    assert ledger.items_to_cut() == cut
    assert list(ledger.failures_of_lost()) == []


def test_several_items_with_too_many_rows_are_remembered_until_they_are_cut_or_leave(ledger: Ledger) -> None:
    put(ledger, [item(number, slots=0b1111) for number in (1, 2, 3)])
    with ledger.transaction():
        for number in (1, 2, 3):
            ledger.resize(ledger.items_of([number])[number], number)
    assert ledger.items_to_cut() == {1: 1, 2: 2, 3: 3}
    with ledger.transaction():
        ledger.set_state([2], STALE)
        ledger.replace_appends([], emptied=[2], cut={1: 1}, renumbered=False)
    assert ledger.items_to_cut() == {3: 3}
    assert {found.id: found.slots for found in ledger.items()} == {1: 1, 2: 0, 3: 0b1111}


# -- what happened to rows


def test_rows_are_counted_by_what_became_of_them(ledger: Ledger) -> None:
    put(
        ledger,
        [item(1, OPEN, slots=1), item(2, DONE, slots=0b11), item(3, FAILED, slots=0b1), item(4, STALE, slots=7)],
        filtered=[filtered(2, 2), filtered(2, 3, reason="too long"), filtered(3, 1), filtered(4, 3), filtered(1, 1)],
    )
    assert ledger.counts() == Counts(requested=0, written=4, filtered=4, failed=2, removed=3)
    assert ledger.counts(20).pending == 10
    with ledger.transaction():
        ledger.set_meta("requested", "12")
    assert ledger.counts() == Counts(requested=12, written=4, filtered=4, failed=2, removed=3)
    assert ledger.rows_removed() == 3
    assert ledger.filtered.counts() == {("length", "too short"): 3, ("length", "too long"): 1}
    assert ledger.filtered.of_unfinished() == {1: 0b10, 3: 0b10}
    with ledger.transaction():
        ledger.decide_anew([1, 2])
    assert ledger.filtered.of_unfinished() == {3: 0b10}
    assert ledger.filtered.counts() == {("length", "too short"): 1}


def test_rows_that_an_item_does_not_ask_for_any_more_count_as_removed(ledger: Ledger) -> None:
    put(ledger, [item(1, DONE, slots=0b1111), item(2, FAILED, slots=0b1100)], failures=[failure(2)])
    with ledger.transaction():
        ledger.resize(ledger.items_of([1])[1], 3)
        ledger.resize(ledger.items_of([2])[2], 3)
        ledger.set_state([2], FAILED)
    assert ledger.counts(6) == Counts(requested=6, written=4, filtered=0, failed=2, removed=2)
    assert ledger.rows_removed() == 2


def test_failures_are_those_of_items_that_have_failed(ledger: Ledger) -> None:
    failures = [
        failure(1),
        failure(2),
        failure(3, at=5.0),
        failure(4),
        failure(5, provider="q", rows=2, at=4.0),
        failure(6, "invalid", rows=3, at=4.0),
    ]
    put(ledger, [*EACH_STATE, item(5, FAILED), item(6, FAILED)], failures=failures)
    assert ledger.failure_counts() == {("p", "refused"): 4, ("q", "refused"): 2, ("p", "invalid"): 3}
    with LedgerReader(ledger.path) as reader:
        assert list(reader.failure_ids()) == [5, 6, 3]  # the oldest first
        assert list(reader.failure_ids(category="refused")) == [5, 3]
        assert list(reader.failure_ids(category="refused", provider="p")) == [3]
        found = reader.failed([6, 1, 3])
        assert [(why, about.id) for why, about in found] == [(failures[5], 6), (failures[2], 3)]
        assert reader.failure_examples() == {
            "refused": {"provider": "p", "example": "error 3"},
            "invalid": {"provider": "p", "example": "error 6"},
        }


def test_failed_items_are_opened_again_in_a_new_generation(ledger: Ledger) -> None:
    put(
        ledger,
        [*EACH_STATE, item(5, OPEN, kept=1), item(6, OPEN)],
        failures=[failure(number) for number in (2, 3, 4, 5)],
    )
    assert ledger.failures_of_lost() == {5: failure(5)}
    with ledger.transaction():
        ledger.raise_generation([3, 5])
    assert {found.id: (found.state, found.generation) for found in ledger.items()} == {
        1: (OPEN, 0),
        2: (DONE, 0),
        3: (OPEN, 1),
        4: (STALE, 0),
        5: (OPEN, 1),
        6: (OPEN, 0),
    }
    assert ledger.failures_of_lost() == {}
    assert ledger.failure_counts() == Counter()


# -- calls and money


def test_calls_are_added_up_and_one_without_a_price_makes_the_sum_unknown(ledger: Ledger) -> None:
    assert ledger.calls.totals() == Totals(0, 0, 0, 0, 0.0)
    put(ledger, EACH_STATE, calls=[call(1), call(2, attempts=3, usage=None), call(3, 2, usage=Usage(1, 2), cost=0.5)])
    assert ledger.calls.totals() == Totals(3, 5, 11, 22, 1.0)
    put(ledger, [], calls=[call(4, 2, cost=None)])
    assert ledger.calls.totals() == Totals(4, 6, 21, 42, None)
    with LedgerReader(ledger.path) as reader:
        assert reader.bills({1, 2, 3}) == {1: Bill(2, 0.5), 2: Bill(2, None)}
        assert reader.bills({1}) == {1: Bill(2, 0.5)}
        assert reader.call_costs(2) == [(b"k3", 0.5), (b"k4", None)]


def test_recorded_replies_come_back_oldest_first_with_who_gave_them(ledger: Ledger) -> None:
    put(ledger, EACH_STATE, calls=[call(2), call(1), call(3, 2), call(4, format="gemini")])
    assert ledger.calls.of(1) == [
        (b"k1", Recorded(0, b"r1", "p", "m")),
        (b"k2", Recorded(0, b"r2", "p", "m")),
        (b"k4", Recorded(0, b"r4", "p", "m", "gemini")),
    ]
    with LedgerReader(ledger.path) as reader:
        found = reader.recorded([1, 2], donors={2})
        assert {key: [reply.generation for reply in replies] for key, replies in found.items()} == {
            b"k1": [0],
            b"k2": [0],
            b"k4": [0],
            b"k3": [-1],
        }
        assert list(reader.replies_of(20)) == [b"k3"]
        assert reader.replies_of(40) == {}


def test_a_reply_that_is_recorded_twice_counts_once(ledger: Ledger) -> None:
    put(ledger, EACH_STATE, calls=[call(1)])
    put(ledger, [], calls=[call(1, usage=Usage(99, 99))])
    assert ledger.calls.totals().input_tokens == 10


def test_the_newest_requests_are_known_by_provider_with_their_tokens(ledger: Ledger) -> None:
    calls = [call(1), call(2, provider="q", usage=None), call(3, sent_at=1.0)]
    put(ledger, EACH_STATE, calls=calls)
    assert ledger.calls.recently_sent() == {"p": [(1.0, 30), (101.0, 30)], "q": [(102.0, 0)]}
    put(ledger, [], calls=[call(number) for number in range(4, 1504)])
    newest = ledger.calls.recently_sent()["p"]
    assert (len(newest), newest[0][0], newest[-1][0]) == (1000, 604.0, 1603.0)


def test_past_calls_are_the_newest_with_a_usage_to_items_of_that_size(ledger: Ledger) -> None:
    calls = [call(1), call(2, usage=None), call(3, latency_s=0.75), call(4, 5)]
    put(ledger, [*EACH_STATE, item(5, num_rows=1)], calls=calls)
    with LedgerReader(ledger.path) as reader:
        assert reader.past_calls(num_rows=4, limit=9) == [
            PastCall("p", "writer", 20, 0.75),
            PastCall("p", "writer", 20, 0.5),
        ]
        assert len(reader.past_calls(num_rows=4, limit=1)) == 1


def test_numbers_that_no_ledger_can_hold_are_recorded_as_the_largest_that_it_can(ledger: Ledger) -> None:
    put(ledger, EACH_STATE, calls=[call(1, usage=Usage(2**70, 2**62 + 1, 2**63))])
    assert (ledger.calls.totals().input_tokens, ledger.calls.totals().output_tokens) == (2**62, 2**62)


def test_what_was_used_is_what_calls_cost_and_what_requests_may_have_cost(ledger: Ledger, tmp_path: Path) -> None:
    nothing = ledger.calls.spent(Path())
    assert nothing == Spent(0.0, 0, 0)
    charges = [Charge(2, "p", 0.5, 400, 1.0)]
    put(ledger, EACH_STATE, calls=[call(1), call(2, attempts=4)], charges=charges)
    assert ledger.calls.spent(Path()) == Spent(1.0, 5, 460)  # so often the calls were tried
    with ledger.transaction():
        ledger.set_meta("requests", 7)
    assert ledger.calls.spent(Path()) == Spent(1.0, 7, 460)  # so many requests were booked


def test_what_was_bought_for_another_output_counts_for_that_one_alone(ledger: Ledger, tmp_path: Path) -> None:
    one, other = tmp_path / "one.ledger", tmp_path / "deep" / "other.ledger"
    put(ledger, EACH_STATE, calls=[call(1)])
    with ledger.transaction():
        ledger.set_meta("requests", 1)
        ledger.calls.begin_for(one)
        ledger.calls.put([call(2, cost=1.0), call(3, cost=1.0)])
        ledger.set_meta("requests", 3)
        ledger.calls.begin_for(one)
        ledger.calls.begin_for(other)
        ledger.calls.put([call(4, cost=16.0)])
        ledger.calls.put_charges([Charge(5, "p", 4.0, 100, 1.0)])
        ledger.set_meta("requests", 5)
    # What was bought before it was known for which, counts for all.
    assert ledger.calls.spent(one) == Spent(0.25 + 2.0, 3, 90)
    assert ledger.calls.spent(other) == Spent(0.25 + 20.0, 3, 160)
    assert ledger.calls.spent(Path()) == Spent(0.25, 1, 30)
    assert str(tmp_path) not in ledger.meta("made_for")


# -- appends


def appends_of(*sizes: tuple[int, int, int]) -> list[Append]:
    """Appends one behind the other: (item, size, slots)."""
    found, start = [], 0
    for number, (of, size, slots) in enumerate(sizes, start=1):
        found.append(Append(number, of, start, size, 7 * number, slots))
        start += size
    return found


def test_appends_are_found_by_where_they_begin_and_end(ledger: Ledger) -> None:
    assert (ledger.appends.committed_size(), ledger.appends.last_end_within(99)) == (0, 0)
    appends = appends_of((2, 100, 0b11), (1, 50, 0b101), (2, 30, 0b100))
    put(ledger, EACH_STATE, appends=appends)
    assert list(ledger.appends.all()) == appends
    assert list(ledger.appends.between(100, 180)) == appends[1:]
    assert list(ledger.appends.between(101, 180)) == appends[2:]
    assert list(ledger.appends.between(0, 179)) == appends[:2]
    assert ledger.appends.committed_size() == 180
    assert [ledger.appends.last_end_within(size) for size in (99, 100, 149, 150, 999)] == [0, 100, 100, 150, 180]
    with LedgerReader(ledger.path) as reader:
        assert reader.places_of([10, 20]) == {20: [(0, 100), (150, 30)]}  # those of items that are settled
        assert reader.places_of([30]) == {}


def test_rows_beyond_the_end_of_the_file_are_opened_again_and_the_verdict_about_them_is_kept(ledger: Ledger) -> None:
    items = [item(1, DONE, slots=0b11), item(2, FAILED, slots=0b1), item(3, STALE, slots=0b111), item(4, DONE, slots=1)]
    appends = appends_of((4, 10, 1), (1, 10, 0b1), (1, 10, 0b10), (2, 10, 0b1), (3, 10, 0b111))
    put(ledger, items, appends=appends)
    with ledger.transaction():
        ledger.forget_appends_after(20)
    assert list(ledger.appends.all()) == appends[:2]
    found = {one.id: (one.state, one.slots, one.kept) for one in ledger.items()}
    assert found == {1: (OPEN, 0b1, 0b10), 2: (OPEN, 0, 0b1), 3: (STALE, 0, 0b111), 4: (DONE, 1, 0)}


@pytest.mark.parametrize(
    ("of", "in_order"),
    [
        ([2, 3, 1], True),
        ([3, 2], False),
        ([2, 2, 3], False),
        ([1, 2], False),
        ([4, 2], False),
        ([2, 4], True),
        ([], True),
    ],
)
def test_rows_are_in_order_where_items_follow_the_plan_each_with_one_append(
    ledger: Ledger, of: list[int], in_order: bool
) -> None:
    """Item 1 has the last position; item 4 has left the plan, so its rows come last."""
    items = [item(1, position=99), item(2), item(3), item(4, STALE, position=0)]
    put(ledger, items, appends=appends_of(*((number, 10, 1) for number in of)))
    assert ledger.appends.is_in_order() is in_order


def test_appends_in_plan_order_end_with_those_of_items_that_have_left_the_plan(ledger: Ledger) -> None:
    items = [item(1, position=99), item(2), item(3, STALE, position=5), item(4, STALE, position=0)]
    put(ledger, items, appends=appends_of((4, 1, 1), (3, 1, 1), (1, 1, 1), (2, 1, 2), (1, 1, 2), (2, 1, 1)))
    assert [append.item for append in ledger.appends.in_plan_order()] == [2, 2, 1, 1, 3, 4]
    assert [append.id for append in ledger.appends.in_plan_order()] == [4, 6, 3, 5, 2, 1]


# -- what is noted


@pytest.mark.parametrize("odd", ["no JSON", "{}", "[1]", '[["a", "b"]]', "[[1, 2]]", '[["1", "xx"]]'])
def test_what_nobody_has_written_counts_as_nothing(ledger: Ledger, odd: str) -> None:
    with ledger.transaction():
        ledger.set_meta("refused", odd)
        ledger.set_meta("learned", odd)
    assert ledger.refused() == {}
    assert ledger.learned == {}


def test_what_was_learned_and_who_was_refused_is_read_back(ledger: Ledger) -> None:
    assert (ledger.refused(), ledger.learned, ledger.key_versions, ledger.requested) == ({}, {}, [], 0)
    with ledger.transaction():
        ledger.set_refused({3: b"\x01\xff", 7: b""})
        ledger.put_learned({"m at u": "json_object"})
    assert ledger.refused() == {3: b"\x01\xff", 7: b""}
    assert ledger.learned == {"m at u": "json_object"}


def test_a_copy_holds_all_and_is_made_in_a_folder_that_was_not_there(ledger: Ledger, tmp_path: Path) -> None:
    put(ledger, EACH_STATE, calls=[call(1)])
    ledger.save_in(tmp_path / "new" / "copy")
    copy = Ledger(tmp_path / "new" / "copy")
    assert [found.id for found in copy.items()] == [1, 2, 3, 4]
    assert copy.calls.totals() == ledger.calls.totals()
    copy.close()
    (tmp_path / "file").touch()
    with pytest.raises(OutputWriteError, match="What was recorded there is lost"):
        ledger.save_in(tmp_path / "file" / "copy")


def test_a_ledger_knows_whether_its_path_still_leads_to_it(ledger: Ledger) -> None:
    assert ledger.is_in_place
    ledger.path.rename(f"{ledger.path}.moved")
    assert not ledger.is_in_place
    ledger.path.touch()
    assert not ledger.is_in_place


def test_an_error_of_a_reader_names_the_file(ledger: Ledger) -> None:
    with pytest.raises(OutputError, match="ledger"), LedgerReader(ledger.path) as reader:
        reader.max_id("nothing")

"""Headers of records in the journal: a call and its item come back from them as they were."""

from __future__ import annotations

from dataclasses import replace

import orjson
from hypothesis import given
from hypothesis import strategies as st

from datafast.store.journal_records import call_of, item_of, journal_header
from datafast.store.records import DEFAULT_FORMAT, CallRow, ItemRecord, ItemState

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_KEYS = st.binary(min_size=16, max_size=16)
_COUNTS = st.integers(0, 2**40)
CALLS = st.builds(
    CallRow,
    id=_COUNTS,
    item=st.just(7),
    key=_KEYS,
    generation=st.integers(0, 9),
    role=_TEXTS,
    provider=_TEXTS,
    model_id=_TEXTS,
    sent_at=st.floats(0, 2e9),
    latency_s=st.floats(0, 1e4),
    attempts=st.integers(1, 99),
    raw=st.binary(max_size=40),
    format=st.sampled_from([DEFAULT_FORMAT, "messages", "generate_content"]),
)
ITEMS = st.builds(
    ItemRecord,
    id=st.just(7),
    key=_KEYS,
    content=_KEYS,
    position=_COUNTS,
    state=st.just(ItemState.OPEN),
    generation=st.integers(0, 9),
    num_rows=st.integers(1, 1000),
)


@given(CALLS, ITEMS)
def test_a_call_and_its_item_come_back_from_their_header(call: CallRow, item: ItemRecord) -> None:
    item = replace(item, generation=call.generation)
    header = orjson.loads(orjson.dumps(journal_header(call, item)))
    assert call_of(header, call.raw) == call
    assert item_of(header) == item


@given(CALLS.map(lambda call: replace(call, format=DEFAULT_FORMAT)), ITEMS)
def test_a_header_without_a_format_is_that_of_a_chat_completion(call: CallRow, item: ItemRecord) -> None:
    header = journal_header(call, item)
    assert "format" not in header
    assert call_of(header, call.raw).format == "chat_completions"

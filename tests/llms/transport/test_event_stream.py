"""Streams of server-sent events: the same events however their bytes are cut and their lines end."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafast.llms.transport.event_stream import EventStream, is_event_stream


def read(*pieces: bytes) -> list[bytes]:
    stream = EventStream()
    found = [event for piece in pieces for event in stream.feed(piece)]
    return found + stream.finish()


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data:a\n\ndata:  b\n\n", [b"a", b" b"]),
        (b": a comment\ndata: a\n\n: alone\n\n", [b"a"]),
        (b"event: error\nid: 1\nretry: 5\ndata: a\n\n", [b"a"]),
        (b"data: a\ndata: b\ndata\ndata:\n\n", [b"a\nb\n\n"]),
        (b"event: ping\n\ndata: a\n\n", [b"a"]),
        (b"\xef\xbb\xbfdata: a\n\ndata: \xef\xbb\xbf\n\n", [b"a", b"\xef\xbb\xbf"]),
        (b"\n\n\n\ndata: a\n\n\n\n", [b"a"]),
        (b"database: a\n\n data: b\n\n", []),
        (b"data: a\n\ndata: b", [b"a", b"b"]),
        (b"data: a\n\ndata: b\n", [b"a", b"b"]),
        (b"\xef\xbb", []),
        (b"", []),
    ],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_stream_is_read_as_the_standard_says_however_it_is_cut(
    stream: bytes, events: list[bytes], end: bytes, size: int
) -> None:
    stream = stream.replace(b"\n", end)
    assert read(*(stream[start : start + size] for start in range(0, len(stream), size))) == events


@given(
    lines=st.lists(
        st.sampled_from([b"data: \xf0\x9f\x99\x82", b"data: x", b": c", b"", b"event: e", b"data", b"other"])
    ),
    ends=st.lists(st.sampled_from([b"\n", b"\r\n", b"\r"]), min_size=1),
    cuts=st.lists(st.integers(0, 200)),
)
def test_cuts_never_change_what_is_read(lines: list[bytes], ends: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(line + ends[number % len(ends)] for number, line in enumerate(lines))
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    pieces = [stream[start:end] for start, end in itertools.pairwise(places)]
    assert read(*pieces) == read(stream)


def test_what_its_server_calls_something_else_is_known_by_its_beginning() -> None:
    assert is_event_stream(b"\xef\xbb\xbf\n: hello")
    assert is_event_stream(b"event: message_start\ndata: {}")
    assert not is_event_stream(b'{"data": 1}')
    assert not is_event_stream(b"")

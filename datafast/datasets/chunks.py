"""Documents in pieces that a prompt can hold: along headings, paragraphs and sentences, with some overlap.

Guarantee: a chunk is a part of its document as it stands there, and together they leave nothing out. A chunk begins at a heading where
the one before is at least half full, else it repeats the end of that one. The same text gives the same chunks.
Cost: one pass over the documents; some 150 bytes a chunk in a temporary file, 32 in memory up to some megabytes, and the texts are
read when they are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, overload

from datafast._util.tokenizer import load_tokenizer
from datafast.datasets.documents import Document, Documents, ids_dimension, numbered
from datafast.plan.dimensions import Dimension
from datafast.sources.spool import Spool

__all__ = ["Chunk", "Chunks", "chunked", "token_counter"]

_CHARS_PER_TOKEN = 4
_MOST_CHARS = 16  # of a token; what is longer is looked at piece by piece
_NEAR = 4  # documents; the chunks of one mostly follow one another
_FENCE = re.compile(r"\s{0,3}(```|~~~)")
_HEADING = re.compile(r"\s{0,3}(#{1,6})[ \t]+(.+?)[ \t#]*$")
_SENTENCE = re.compile(r"(?<=[.!?。！？])[\"'”»)\]]*\s+|(?<=[。！？])")

CountTokens = Callable[[str], int]


def token_counter(tokenizer: Path | None) -> CountTokens:
    """Counts the tokens of a text: by a `tokenizer.json`, else one for four characters, as estimates do.

    Raises:
        ConfigError: the file cannot be read.
        MissingExtraError: tokenizers is not installed.
    """
    if tokenizer is None:
        return lambda text: -(-len(text) // _CHARS_PER_TOKEN)
    found = load_tokenizer(tokenizer)
    return lambda text: len(found.encode(text, add_special_tokens=False).ids)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a document.

    Attributes:
        heading: the titles above its beginning, from the outermost: "Engines > Second stage".
        context: what stands beside the document in its source.
        document: what its document is called, None if it has no name.
        number: its number in the document.
        origin: what metadata say about where the document comes from.
    """

    text: str
    heading: str
    context: str
    document: str | None
    number: int
    origin: Mapping[str, str | int]

    def __str__(self) -> str:
        return self.text


class Unit(NamedTuple):
    """A part that is not divided: a heading, a paragraph, a sentence of a long one."""

    start: int
    end: int
    tokens: int
    heading: str | None


class Span(NamedTuple):
    """A chunk in its document."""

    start: int
    end: int
    heading: str


def chunked(text: str, *, size: int, overlap: int, count: CountTokens) -> list[Span]:
    """The chunks of a text, at most `size` tokens long and with at most `overlap` tokens in common with the one before."""
    units = list(_units(text, size, count))
    spans: list[Span] = []
    titles = _Titles(units)
    first = 0  # the first unit of the chunk
    while first < len(units):
        last, tokens = first, units[first].tokens
        while last + 1 < len(units) and tokens + units[last + 1].tokens <= size:
            if units[last + 1].heading is not None and tokens * 2 >= size:
                break
            last += 1
            tokens += units[last].tokens
        last = _without_headings(units, first, last)
        spans.append(Span(units[first].start, units[last].end, titles.above(first)))
        first = _next(units, first, last, size=size, overlap=overlap)
    return spans


def _without_headings(units: Sequence[Unit], first: int, last: int) -> int:
    """The last unit of a chunk without the headings at its end, which stay with what they stand above."""
    if last + 1 == len(units):
        return last
    before = last
    while before > first and units[before].heading is not None:
        before -= 1
    if units[before].heading is None:
        return before
    # There is nothing but headings, as in a table of contents.
    return last if last == first or units[last + 1].heading is not None else last - 1


def _next(units: Sequence[Unit], first: int, last: int, *, size: int, overlap: int) -> int:
    """The unit that the next chunk begins with: some before its new ones, but for a heading."""
    start = last + 1
    if start >= len(units) or units[start].heading is not None:
        return start
    room = min(overlap, size - units[start].tokens)  # beside something new
    while start - 1 > first and (room := room - units[start - 1].tokens) >= 0:
        start -= 1
    return start


class _Titles:
    """The titles above units that are asked about in their order."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self._units = units
        self._done = 0
        self._open: list[tuple[int, str]] = []  # the depth and the text of each, outermost first

    def above(self, place: int) -> str:
        """The titles above a unit; its own where it is a heading."""
        for unit in self._units[self._done : place + 1]:
            if unit.heading is not None:
                signs, _, title = unit.heading.partition(" ")
                while self._open and self._open[-1][0] >= len(signs):
                    self._open.pop()
                self._open.append((len(signs), title))
        self._done = place + 1
        return " > ".join(title for _, title in self._open)


def _units(text: str, size: int, count: CountTokens) -> Iterator[Unit]:
    for start, end, heading in _blocks(text):
        tokens = count(text[start:end])
        if tokens <= size:
            yield Unit(start, end, tokens, heading)
            continue
        for one, other in _pieces(text, start, end, size, count):
            yield Unit(one, other, count(text[one:other]), None)


def _blocks(text: str) -> Iterator[tuple[int, int, str | None]]:
    """Headings and paragraphs, each with the blank lines behind it; what stands between fences is one paragraph."""
    start = place = 0
    in_fence = blank = has_text = False
    for line in text.splitlines(keepends=True):
        heading = None if in_fence else _HEADING.match(line)
        if not in_fence and has_text and (heading or (blank and line.strip())):
            yield start, place, None
            start, has_text = place, False
        place += len(line)
        if heading:
            yield start, place, f"{heading[1]} {heading[2]}"
            start, has_text = place, False
        in_fence ^= _FENCE.match(line) is not None
        blank = not line.strip()
        has_text |= not (blank or heading)
    if place > start:
        yield start, place, None


def _pieces(text: str, start: int, end: int, size: int, count: CountTokens) -> Iterator[tuple[int, int]]:
    """The sentences of a paragraph; one that is too long itself is cut between words, or anywhere."""
    cuts = [start, *(start + found.end() for found in _SENTENCE.finditer(text[start:end])), end]
    for one, other in pairwise(cuts):
        while one < other:
            cut = _cut(text, one, other, size, count)
            yield one, cut
            one = cut


def _cut(text: str, start: int, end: int, size: int, count: CountTokens) -> int:
    """Where a piece of at most `size` tokens ends: at the end of what there is, or between words."""
    cut = min(end, start + size * _MOST_CHARS)
    while (tokens := count(text[start:cut])) > size and cut - start > 1:
        most = max(1, (cut - start) * size // tokens)
        space = text.rfind(" ", start + most // 2, start + most)
        cut = space + 1 if space > start else start + most
    return cut


class Chunks(Sequence[Chunk]):
    """The chunks of all documents; see the module.

    Args:
        name_column: the column that a document is called by.
    """

    def __init__(self, documents: Documents, *, size: int, overlap: int, count: CountTokens, name_column: str) -> None:
        self._documents = documents
        self._name_column = name_column
        self._limits = size, overlap
        self._count = count
        self._spans = Spool(f"{documents.source.name}, chunks")
        self._ids = numbered(self._parts())
        self._spans.close()
        self._document = lru_cache(maxsize=_NEAR)(self._read)

    def _parts(self) -> Iterator[tuple[str, str, str]]:
        size, overlap = self._limits
        count = 0
        for owner, document in enumerate(self._documents):
            spans = chunked(document.text, size=size, overlap=overlap, count=self._count)
            for number, span in enumerate(span for span in spans if document.text[span.start : span.end].strip()):
                self._spans.keep(count, {**span._asdict(), "owner": owner, "number": number})
                count += 1
                yield document.text[span.start : span.end].strip(), span.heading, document.context

    def _read(self, owner: int) -> tuple[Document, str | None]:
        name = self._documents.row(owner).get(self._name_column)
        return self._documents[owner], None if name is None else str(name)

    def dimension(self, name: str) -> Dimension:
        """The chunks as an axis of a plan, told apart by their texts, the titles above them and their contexts."""
        return ids_dimension(name, self, self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, index: int) -> Chunk: ...
    @overload
    def __getitem__(self, index: slice) -> list[Chunk]: ...
    def __getitem__(self, index: int | slice) -> Chunk | list[Chunk]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        span = self._spans[range(len(self))[index]]
        document, name = self._document(span["owner"])
        text = document.text[span["start"] : span["end"]].strip()
        return Chunk(text, span["heading"], document.context, name, span["number"], document.origin)

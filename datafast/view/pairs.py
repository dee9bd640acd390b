"""Pairs of texts that people compare without knowing who wrote them: the two responses of a row, or rows that several models have made of
the same prompt.

Limits: of a file of rows the first `_LOOKED_AT` are gone through. Rows are of the same prompt where all that they say about how they came
to be is the same but for the model.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from datafast.reviews.rows import row_in_line
from datafast.store.review_records import key_of
from datafast.view.outputs import Output
from datafast.view.rendering.layouts import pair_names
from datafast.view.rendering.values import is_plain

__all__ = ["Candidate", "Candidates", "Shown", "candidates_of", "in_order", "is_turned", "shown"]

_LOOKED_AT = 50_000
_OF_ONE_PROMPT = 6  # models, of which each two are compared
_ASKED = (
    "prompt",
    "question",
    "instruction",
    "input",
    "system",
    "input_document",
    "source_document",
    "document",
    "context",
    "passage",
)
_ABOUT = frozenset({"uuid", "id", "metadata", "language", "label", "topic", "text_source"})


class Candidate(NamedTuple):
    """Two texts to compare: of each the number of its row, and the field, where it is not the whole row."""

    one: tuple[int, str | None]
    other: tuple[int, str | None]

    @property
    def name(self) -> str:
        """In addresses."""
        return "-".join(f"{number}.{field or ''}" for number, field in self)


class Candidates(NamedTuple):
    """The pairs of a file.

    Attributes:
        pairs: in the order of the file.
        names: of the rows that are in pairs, by their numbers.
        rows: that were looked at.
        are_all: whether these are all rows.
    """

    pairs: list[Candidate]
    names: dict[int, str]
    rows: int
    are_all: bool


class Shown(NamedTuple):
    """A pair as it is shown: what both have in common, and what each says; who wrote it is nowhere in it."""

    common: dict[str, Any]
    sides: tuple[dict[str, Any], dict[str, Any]]


def candidates_of(output: Output) -> Candidates:
    """The pairs of an output. Cost: a pass over its first rows."""
    pairs: list[Candidate] = []
    names: dict[int, str] = {}
    by_prompt: dict[bytes, dict[str, int]] = {}
    looked_at, are_all = 0, False
    for line in output.rows.lines(0, _LOOKED_AT + 1):
        if looked_at == _LOOKED_AT:
            break
        looked_at += 1
        row = None if line.data is None else row_in_line(line.data)
        if row is not None:
            names[line.number] = key_of(row)
            pairs += _of_row(line.number, row, by_prompt)
    else:
        are_all = True
    paired = {number for pair in pairs for number, _ in pair}
    return Candidates(pairs, {number: names[number] for number in paired}, looked_at, are_all)


def _of_row(number: int, row: Mapping[str, Any], by_prompt: dict[bytes, dict[str, int]]) -> Iterator[Candidate]:
    names = pair_names(row)
    if names is not None:
        yield Candidate((number, names[0]), (number, names[1]))
        return
    model = row.get("model_id")
    if not isinstance(model, str) or not model:
        return
    others = by_prompt.setdefault(_prompt_of(row), {})
    if model not in others and len(others) < _OF_ONE_PROMPT:
        yield from (Candidate((before, None), (number, None)) for before in others.values())
        others[model] = number


def _prompt_of(row: Mapping[str, Any]) -> bytes:
    """What tells rows of one prompt from others, as a hash."""
    metadata = row.get("metadata")
    told = (
        {name: value for name, value in metadata.items() if not _tells_who(name)} if isinstance(metadata, dict) else {}
    )
    asked = {name: row[name] for name in (*_ASKED, "language", "label", "topic") if name in row}
    return hashlib.blake2b(_json([told, asked]), digest_size=16).digest()


def _tells_who(name: str) -> bool:
    """Whether a field says who wrote a text, or how good somebody found it."""
    return any(
        part in name.lower() for part in ("model", "provider", "score", "judge", "assessment", "source", "generation")
    )


def shown(rows: tuple[Mapping[str, Any], Mapping[str, Any]], fields: tuple[str | None, str | None]) -> Shown:
    """Two texts as they are compared."""
    one, other = rows
    if fields[0] is not None and fields[1] is not None:
        common = {name: one[name] for name in _ASKED if name in one}
        return Shown(common, ({"text": one[fields[0]]}, {"text": other[fields[1]]}))
    said = [{name: value for name, value in row.items() if name not in _ABOUT and not _tells_who(name)} for row in rows]
    same = {name: value for name, value in said[0].items() if said[1].get(name) == value}
    metadata = one.get("metadata")
    told = metadata.items() if isinstance(metadata, dict) else ()
    common = {**same, **{name: value for name, value in told if is_plain(value) and not _tells_who(name)}}
    common.pop("prompt_index", None)  # says nothing to people
    left, right = ({name: value for name, value in each.items() if name not in same} for each in said)
    return Shown(common, (left, right))


def in_order(pairs: Iterable[Candidate], reviewer: str) -> list[Candidate]:
    """Pairs in an order of this reviewer's own, which is the same each time."""
    mixed = list(pairs)
    random.Random(f"pairs of {reviewer}").shuffle(mixed)
    return mixed


def is_turned(pair: Candidate, reviewer: str) -> bool:
    """Whether a reviewer sees the second text first."""
    return (
        hashlib.blake2b(f"{reviewer} {pair.name}".encode("utf-8", "surrogatepass"), digest_size=1).digest()[0] % 2 == 1
    )


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=str)

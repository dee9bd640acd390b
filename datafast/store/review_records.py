"""What one person has decided about one row, or about two: the records of `FILE.reviews`.

A record is one line of JSON. It names its row by the uuid, or by the digest of what a row without one says, and holds the digest of the
row as it was when it was looked at: about a row that says something else by now, a decision says nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, TypeAlias
from uuid import uuid4

import orjson

from datafast._util.digest import digest
from datafast.errors import OutputError

__all__ = [
    "ABOUT_TEXT",
    "NOT_EDITED",
    "Action",
    "Pair",
    "ReviewRecord",
    "RowKey",
    "Side",
    "digest_of",
    "key_of",
    "new_id",
    "read_record",
]

Action: TypeAlias = Literal["accept", "reject", "edit", "label", "note", "prefer", "undo"]
ABOUT_TEXT = frozenset({"accept", "reject", "edit"})
"""The actions that say whether a row is taken. Of one reviewer the newest of them counts."""
NOT_EDITED = frozenset({"uuid", "metadata"})
"""The fields of a row that nobody edits: which row it is, and how it came about."""

_VERSION = 1
_METADATA = "metadata"
_BY_DIGEST = "digest:"
_ACTIONS = frozenset({*ABOUT_TEXT, "label", "note", "prefer", "undo"})


def new_id() -> str:
    """The id of a new record."""
    return uuid4().hex


def digest_of(row: Mapping[str, Any]) -> str:
    """What a row says, in 32 hexadecimal digits: the same whatever the order of its fields, its metadata, and fields that are null."""
    said = {name: value for name, value in row.items() if name != _METADATA and value is not None}
    return digest(_canonical(said)).hex()


def key_of(row: Mapping[str, Any]) -> str:
    """The name of a row: its uuid, or the digest of what it says where it has none."""
    uuid = row.get("uuid")
    return uuid if isinstance(uuid, str) and uuid else f"{_BY_DIGEST}{digest_of(row)}"


class RowKey(NamedTuple):
    """A row as it stands somewhere: its name, and the digest of what it says there."""

    row: str
    digest: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> RowKey:
        return cls(key_of(row), digest_of(row))


def _canonical(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    except TypeError:  # numbers of more than 64 bits
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
            "utf-8", "surrogatepass"
        )


class Side(NamedTuple):
    """One of two texts that were compared.

    Attributes:
        row, digest: the row that it is in.
        field: the field that it is, where it is not all of the row.
        model: who wrote it, where that is known.
    """

    row: str
    digest: str
    field: str | None = None
    model: str | None = None


class Pair(NamedTuple):
    """Two texts that were compared without telling who wrote them.

    Attributes:
        sides: both.
        better: which of them, 0 or 1; None for a tie.
        shown_first: which of them stood first, on the left or above.
    """

    sides: tuple[Side, Side]
    better: int | None
    shown_first: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRecord:
    """What one person has decided.

    Attributes:
        id: of the record; the same in every copy of it.
        at: when, in seconds since 1970.
        reviewer: who.
        row, digest: which row, as it was when it was looked at; see `RowKey`. Of a pair: that of its first side.
        reason: of a rejection.
        fields: of an edit: the fields that have other values then, with these; `before`: with those that they had; `becomes`: the digest
            of the row then.
        name, value: of a label.
        text: of a note.
        undoes: the id of the record that this one takes back.
        pair: of a preference.
    """

    action: Action
    id: str
    at: float
    reviewer: str
    row: str
    digest: str
    reason: str = ""
    fields: Mapping[str, Any] | None = None
    before: Mapping[str, Any] | None = None
    becomes: str | None = None
    name: str = ""
    value: Any = None
    text: str = ""
    undoes: str | None = None
    pair: Pair | None = None

    def told(self) -> dict[str, Any]:
        """As a mapping of JSON values, without what it does not have."""
        found: dict[str, Any] = {"version": _VERSION}
        found |= {name: value for name, value in asdict(self).items() if value is not None and value != ""}
        if self.action == "label":
            found["value"] = self.value
        if self.pair is not None:
            sides = [{k: v for k, v in side._asdict().items() if v is not None} for side in self.pair.sides]
            found["pair"] = {"sides": sides, "better": self.pair.better, "shown_first": self.pair.shown_first}
        return found

    def line(self) -> bytes:
        """As a line of the file."""
        return _canonical_in_order(self.told()) + b"\n"


def _canonical_in_order(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def read_record(line: bytes, place: str) -> ReviewRecord:
    """The record of a line.

    Args:
        place: the file and the number of the line, for messages.

    Raises:
        OutputError: it is none, or one of a newer version.
    """
    told = _parsed(line)
    if not isinstance(told, dict):
        raise OutputError(f"{place}: This is no decision of a reviewer. Take the line out, or restore the file.")
    version = told.get("version")
    if isinstance(version, int) and version > _VERSION:
        raise OutputError(
            f"{place}: This decision was written by a newer version of datafast. Upgrade it (pip install -U datafast)."
        )
    try:
        return _record(told)
    except (KeyError, TypeError, ValueError) as error:
        raise OutputError(
            f"{place}: This is no decision of a reviewer ({_said(error)}). Take the line out, or restore the file."
        ) from error


def _said(error: Exception) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)


def _parsed(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(line)  # numbers of more than 64 bits
    except ValueError:
        return None


def _record(told: Mapping[str, Any]) -> ReviewRecord:
    action = told["action"]
    if action not in _ACTIONS:
        raise ValueError(f"action: {action!r} is not known")
    at = told["at"]
    if not isinstance(at, int | float) or isinstance(at, bool) or not math.isfinite(at):
        raise ValueError("at: expected seconds")
    record = ReviewRecord(
        action=action,
        id=_text(told, "id"),
        at=float(at),
        reviewer=_text(told, "reviewer"),
        row=_text(told, "row"),
        digest=_text(told, "digest"),
        reason=_text(told, "reason", ""),
        fields=_mapping(told, "fields"),
        before=_mapping(told, "before"),
        becomes=_text(told, "becomes", "") or None,
        name=_text(told, "name", ""),
        value=told.get("value"),
        text=_text(told, "text", ""),
        undoes=_text(told, "undoes", "") or None,
        pair=_pair(told["pair"]) if action == "prefer" else None,
    )
    if action == "edit" and (record.fields is None or record.becomes is None):
        raise ValueError("fields or becomes is missing")
    if action == "undo" and record.undoes is None:
        raise ValueError("undoes is missing")
    return record


def _text(told: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = told[name] if default is None else told.get(name, default)
    if not isinstance(value, str):
        raise ValueError(f"{name}: expected a text")  # noqa: TRY004 - told with the other ones
    return value


def _mapping(told: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    value = told.get(name)
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{name}: expected a mapping")
    return value


def _pair(told: Any) -> Pair:
    one, other = (Side(side["row"], side["digest"], side.get("field"), side.get("model")) for side in told["sides"])
    better, first = told["better"], told["shown_first"]
    if better not in {None, 0, 1} or first not in {0, 1}:
        raise ValueError("pair: better is 0, 1 or null, and shown_first 0 or 1")
    return Pair((one, other), better, first)

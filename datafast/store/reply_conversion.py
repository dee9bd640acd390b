"""The replies that a ledger has, brought into another form: packed, as they came, or dropped as if they had been bought with
`drop_after: written`.

Guarantee: some thousand at a time, each part in one transaction. A kill leaves a ledger in which some replies have the new form and the
others the old one. Whatever reads replies takes both, and the next conversion does what is left. Sums stay, because they are not about
replies. Memory: one reply, and what a dictionary is made of.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

from datafast.store.calls import DROPS
from datafast.store.database import Transaction
from datafast.store.meta import MetaTable
from datafast.store.records import OWN_CODE, ItemState
from datafast.store.reply_forms import REPLY, Packer, ReplyForm, Stored, Unpacker

__all__ = ["Conversion", "Losing", "Wanted"]

_STEP, _STEP_BYTES = 2_000, 16 * 1024 * 1024
_SAMPLES, _SAMPLE_BYTES = 400, 4 * 1024 * 1024
_FOUND = """
    SELECT c.id, c.stored, c.role, c.item, coalesce(c.format, '') = :own, i.state, length(c.raw),
        CASE c.stored WHEN 2 THEN (SELECT length(r.raw) FROM replies r WHERE r.id = c.id) END
    FROM calls c CROSS JOIN items i ON i.id = c.item WHERE c.id > :after ORDER BY c.id LIMIT :most"""
_REPLY = f"SELECT {REPLY} FROM calls WHERE id = ?"  # noqa: S608 - our own text


class Losing(NamedTuple):
    """The replies that are to be dropped: of how many items, how many, and their bytes as they stand."""

    items: int = 0
    replies: int = 0
    size: int = 0


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to become of replies.

    Attributes:
        form: the form that they get. Those that `drop` does not drop yet stand apart afterwards, as in a run that drops.
        needed: the names of stages, whose replies `drop` leaves as they are.
        drops_unused: whether all replies of items that have left the plan are dropped.
    """

    form: ReplyForm
    needed: Collection[str] = ()
    drops_unused: bool = False

    @property
    def drops(self) -> bool:
        """Whether replies may be dropped."""
        return self.form == "drop" or self.drops_unused


class _Found(NamedTuple):
    """A reply as it stands. `waiting`: the bytes of one that stands apart; None if it was dropped, or stands with its call."""

    id: int
    stored: int | None
    role: str
    item: int
    is_own_code: bool
    state: int
    size: int
    waiting: int | None

    @property
    def is_there(self) -> bool:
        return self.stored != Stored.APART or self.waiting is not None


class Conversion:
    """Converts the replies of one ledger. Called outside a transaction.

    Args:
        transaction: begins a transaction of the ledger.
    """

    def __init__(
        self, db: sqlite3.Connection, meta: MetaTable, unpacker: Unpacker, transaction: Callable[[], Transaction]
    ) -> None:
        self._db = db
        self._meta = meta
        self._unpacker = unpacker
        self._transaction = transaction

    def losing(self, wanted: Wanted) -> Losing:
        """What would be dropped. Goes through all calls if some may be."""
        if not wanted.drops:
            return Losing()
        items: set[int] = set()
        replies = size = after = 0
        while found := self._after(after):
            for one in found:
                if one.is_there and _is_dropped(one, wanted):
                    items.add(one.item)
                    replies, size = replies + 1, size + (one.waiting or one.size)
            after = found[-1].id
        return Losing(len(items), replies, size)

    def convert(self, wanted: Wanted) -> int:
        """Brings all replies into the form that is wanted. Gives how many had another one.

        Raises:
            ConfigError: they cannot be packed here.
            OutputError: packed ones cannot be read here.
            OutputWriteError: there is no room. What was converted stays so.
        """
        with self._transaction():
            packer = Packer(self._db) if wanted.form == "compress" else None
            if packer is not None and packer.is_learning:
                samples = self._samples()
                if len(samples) >= _SAMPLES // 2:
                    packer.learn(samples)
            if wanted.drops and not self._meta.get(DROPS):
                self._meta.put(DROPS, "1")
        changed = after = 0
        while found := self._after(after):
            with self._transaction():
                size = 0
                for one in found:
                    if one.is_there and (size_now := self._convert(one, wanted, packer)) is not None:
                        changed, size = changed + 1, size + size_now
                    after = one.id
                    if size > _STEP_BYTES:
                        break
        if wanted.form == "keep":
            with self._transaction():
                self._db.execute("DELETE FROM dictionaries")  # nothing is packed any more
        return changed

    def _after(self, call_id: int) -> list[_Found]:
        given = {"own": OWN_CODE, "after": call_id, "most": _STEP}
        return [_Found(*row) for row in self._db.execute(_FOUND, given)]

    def _convert(self, one: _Found, wanted: Wanted, packer: Packer | None) -> int | None:
        """Converts a reply. Gives the bytes that were written or freed; None if it stays as it is."""
        if _is_dropped(one, wanted):
            self._put(one.id, b"", Stored.APART)
            return one.waiting or one.size
        target = _target(one, wanted)
        if target == one.stored:
            return None
        raw = self._unpacker.reply(*self._db.execute(_REPLY, (one.id,)).fetchone())
        if target == Stored.APART:
            self._put(one.id, b"", target)
            self._db.execute("INSERT INTO replies VALUES(?,?)", (one.id, raw))
        else:
            self._put(one.id, raw if packer is None else packer.pack(raw), target)
        return len(raw)

    def _put(self, call_id: int, raw: bytes, stored: int | None) -> None:
        self._db.execute("DELETE FROM replies WHERE id = ?", (call_id,))
        self._db.execute("UPDATE calls SET raw = ?, stored = ? WHERE id = ?", (raw, stored, call_id))

    def _samples(self) -> list[bytes]:
        """Replies from all over the ledger, some megabytes at most."""
        (newest,) = self._db.execute("SELECT coalesce(max(id), 0) FROM calls").fetchone()
        step = max(1, newest // _SAMPLES)
        query = f"SELECT {REPLY} FROM calls WHERE id >= ? AND id < ? LIMIT 1"  # noqa: S608 - our own text
        samples: list[bytes] = []
        size = 0
        for first in range(1, newest + 1, step):
            row = self._db.execute(query, (first, first + step)).fetchone()
            if row is not None and row[1]:
                samples.append(self._unpacker.reply(*row))
                size += len(samples[-1])
            if size > _SAMPLE_BYTES:
                break
        return samples


def _is_dropped(one: _Found, wanted: Wanted) -> bool:
    if one.state == ItemState.STALE:
        return wanted.drops_unused
    return wanted.form == "drop" and one.state == ItemState.DONE and not _is_needed(one, wanted)


def _is_needed(one: _Found, wanted: Wanted) -> bool:
    """Whether stages decide anew by it."""
    return one.is_own_code or one.role.partition(" ")[0] in wanted.needed


def _target(one: _Found, wanted: Wanted) -> int | None:
    """How a reply is to stand that is not dropped."""
    if wanted.form == "compress":
        return Stored.PACKED
    if wanted.form == "keep":
        return Stored.PLAIN
    stays = one.state == ItemState.STALE or _is_needed(one, wanted)
    return one.stored if stays else Stored.APART

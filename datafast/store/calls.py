"""What was bought, in the ledger: the paid replies, what requests without one may have cost, and for which output it was."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson

from datafast.store.batches import BatchTables
from datafast.store.meta import MetaTable
from datafast.store.records import DEFAULT_FORMAT, OWN_CODE, CallRow, Charge, Recorded, Sizes, Spent, Totals
from datafast.store.reply_forms import REPLY, Packer, ReplyForm, Stored, Unpacker
from datafast.store.row_values import call_values
from datafast.store.sealed import CALLS
from datafast.types import ProviderUsage

__all__ = ["DROPS", "NEVER_SENT", "CallTables", "name_of"]

DROPS = "drops"
"""What is noted, by name, in a ledger that has, or had, replies that are not to be kept."""
NEVER_SENT = "never_sent"
"""What is noted, by name, of the numbers of requests that were booked under a budget and not sent."""
_END = 2**62
_RAW = 14
_VALUES = "?,?,?,?,?,?,?,?,?,?,?,?,?,nullif(?,''),?,nullif(?,'')"
_PUT = f"INSERT OR IGNORE INTO calls VALUES({_VALUES},NULL)"
_PUT_STORED = f"INSERT OR IGNORE INTO calls VALUES({_VALUES},nullif(?,''))"
_ALL = {"first": 0, "end": _END}
_USED = (
    "coalesce(sum(calls), 0), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0), sum(cost_usd), "
    "coalesce(sum(calls) - sum(priced), 0)"
)


class CallTables:
    """The tables `calls` and `charges`. Methods that write are called inside a transaction of the ledger.

    Args:
        path: of the ledger.

    Attributes:
        unpacker: reads replies as they stand.
    """

    def __init__(self, db: sqlite3.Connection, path: Path, meta: MetaTable, batches: BatchTables) -> None:
        self._db = db
        self._path = path
        self._meta = meta
        self._batches = batches
        self.unpacker = Unpacker(db)
        self._form: ReplyForm = "keep"
        self._packer: Packer | None = None
        self._needed: frozenset[str] = frozenset()

    def store_as(self, form: ReplyForm, *, needed: Collection[str] = ()) -> None:
        """From now on replies are stored in this form. Called inside a transaction. `needed`: the roles of which none is dropped.

        Raises:
            ConfigError: they cannot be packed here.
        """
        self._form, self._needed = form, frozenset(needed)
        if form == "drop" and not self.may_lack_replies:
            self._meta.put(DROPS, "1")
        self._packer = Packer(self._db) if form == "compress" else None

    def put(self, calls: Iterable[CallRow], *, settled: Container[int] = ()) -> None:
        """Records replies. `settled`: the items whose replies need not be kept if they are not to be."""
        if self._form == "keep" or not calls:
            self._db.executemany(_PUT, map(call_values, calls))
        else:
            self._db.executemany(_PUT_STORED, [self._stored(call, settled) for call in calls])

    def _stored(self, call: CallRow, settled: Container[int]) -> tuple[Any, ...]:
        """The values of a call whose reply is not stored as it came."""
        values = list(call_values(call))
        if self._packer is not None:
            values[_RAW] = self._packer.pack(call.raw)
            return (*values, Stored.PACKED)
        if call.role in self._needed or call.format == OWN_CODE:
            return (*values, "")
        if call.item not in settled:
            self._db.execute("INSERT OR IGNORE INTO replies VALUES(?,?)", (call.id, call.raw))
        values[_RAW] = b""
        return (*values, Stored.APART)

    def drop_replies(self, item_ids: Iterable[int]) -> None:
        """Drops the replies of items that stand apart."""
        query = "DELETE FROM replies WHERE id IN (SELECT id FROM calls WHERE item = ?)"
        self._db.executemany(query, ((item_id,) for item_id in item_ids))

    def restore(self, call_id: int, raw: bytes) -> None:
        """Gives a call back the reply that was dropped. Does nothing where it has one."""
        query = "INSERT OR IGNORE INTO replies SELECT id, ? FROM calls WHERE id = ? AND stored = 2"
        self._db.execute(query, (raw, call_id))

    def drop_settled(self, last: int = _END) -> None:
        """Drops the replies that stand apart of all items that are done, up to that with this id."""
        self._db.execute(
            "DELETE FROM replies WHERE id IN (SELECT r.id FROM replies r CROSS JOIN calls c ON c.id = r.id "
            "CROSS JOIN items i ON i.id = c.item WHERE r.id <= ? AND i.state = 1)",
            (last,),
        )

    @property
    def has_dropped(self) -> bool:
        """Whether a reply was dropped."""
        return self.dropped_after(0)

    def dropped_of(self, item_ids: Iterable[int]) -> int:
        """How many of these items have replies that were dropped."""
        if not self.may_lack_replies:
            return 0
        query = "SELECT EXISTS(SELECT 1 FROM calls WHERE item = ? AND stored = 2 AND NOT EXISTS(SELECT 1 FROM replies WHERE id = calls.id))"
        return sum(self._db.execute(query, (item_id,)).fetchone()[0] for item_id in item_ids)

    def of(self, item_id: int) -> list[tuple[bytes, Recorded]]:
        """The recorded replies of an item with the keys of their calls, oldest first, without those that were dropped."""
        query = f"SELECT {REPLY}, key, generation, provider, model_id, coalesce(format, ?) FROM calls WHERE item = ? ORDER BY id"  # noqa: S608 - our own text
        return [
            (key, Recorded(generation, self.unpacker.reply(stored, raw), *whose))
            for stored, raw, key, generation, *whose in self._db.execute(query, (DEFAULT_FORMAT, item_id))
            if raw is not None
        ]

    def whole(self, item_ids: Sequence[int]) -> list[CallRow]:
        """The recorded replies of some items with all that is known of them, oldest first."""
        names = (
            f"{REPLY}, id, item, key, generation, role, provider, model_id, sent_at, latency_s, attempts, coalesce(format, ?), "
            "input_tokens, output_tokens, cached_tokens, cost_usd"
        )
        query = f"SELECT {names} FROM calls WHERE item IN ({','.join('?' * len(item_ids))}) ORDER BY id"  # noqa: S608 - question marks
        found = []
        for stored, raw, *row in self._db.execute(query, (DEFAULT_FORMAT, *item_ids)):
            row.insert(10, self.unpacker.reply(stored, raw))
            call = CallRow(*row)
            call.is_dropped = raw is None
            found.append(call)
        return found

    def newer(self, after: int, most: int) -> list[CallRow]:
        """The oldest replies that are newer than that with this id, so many at most, without their usage and those that were dropped."""
        query = (
            f"SELECT {REPLY}, id, item, key, generation, role, provider, model_id, sent_at, latency_s, attempts, coalesce(format, ?) "  # noqa: S608 - our own text
            "FROM calls WHERE id > ? AND (stored IS NOT 2 OR EXISTS(SELECT 1 FROM replies WHERE id = calls.id)) ORDER BY id LIMIT ?"
        )
        found = []
        for stored, raw, *row in self._db.execute(query, (DEFAULT_FORMAT, after, most)):
            row.insert(10, self.unpacker.reply(stored, raw))
            found.append(CallRow(*row))
        return found

    def asked(self) -> Iterator[tuple[int, bytes, int, float]]:
        """Of each call its item, its key, its generation, and when it was sent, which together no other call has. Reads all of them."""
        yield from self._db.execute("SELECT item, key, generation, sent_at FROM calls")

    @property
    def may_lack_replies(self) -> bool:
        """Whether replies were dropped, or are to be (`run.ledger.replies`)."""
        return bool(self._meta.get(DROPS))

    def dropped_after(self, after: int) -> bool:
        """Whether a reply was dropped that is newer than that with this id."""
        query = "SELECT EXISTS(SELECT 1 FROM calls WHERE id > ? AND stored = 2 AND NOT EXISTS(SELECT 1 FROM replies WHERE id = calls.id))"
        return bool(self.may_lack_replies and self._db.execute(query, (after,)).fetchone()[0])

    def charges(self) -> list[Charge]:
        """All requests that may have been charged without a reply that says how much."""
        return [Charge(*row) for row in self._db.execute("SELECT * FROM charges ORDER BY id")]

    def providers_by_role(self) -> dict[str, str]:
        """The provider of the first recorded reply in each role."""
        query = f"{CALLS} SELECT role, provider, min(first) FROM sums WHERE is_asked GROUP BY role ORDER BY 3"  # noqa: S608 - our own text
        return {role: provider for role, provider, _ in self._db.execute(query, _ALL)}

    def has_some_of(self, provider: str) -> bool:
        """Whether a reply of a provider is recorded."""
        query = f"{CALLS} SELECT 1 FROM sums WHERE provider = :provider LIMIT 1"  # noqa: S608 - our own text
        return self._db.execute(query, {**_ALL, "provider": provider}).fetchone() is not None

    def recently_sent(self) -> dict[str, list[tuple[float, int]]]:
        """The newest recorded requests to each provider, oldest first: their time (seconds since the epoch) and tokens."""
        newest = "SELECT provider, sent_at, coalesce(input_tokens, 0) + coalesce(output_tokens, 0) FROM calls "
        found: dict[str, list[tuple[float, int]]] = {}
        for provider, sent_at, tokens in self._db.execute(f"{newest}WHERE attempts > 0 ORDER BY id DESC LIMIT 1000"):
            found.setdefault(provider, []).append((sent_at, tokens))
        return {provider: sorted(sent) for provider, sent in found.items()}

    def totals(self) -> Totals:
        query = f"{CALLS} SELECT {_USED}, coalesce(sum(attempts), 0) FROM sums WHERE is_asked"  # noqa: S608 - our own text
        calls, given, output, cost, unpriced, attempts = self._db.execute(query, _ALL).fetchone()
        return Totals(calls, attempts, given, output, None if unpriced else (cost or 0.0))

    def usage_by_provider(self) -> dict[str, ProviderUsage]:
        """What all calls made for this output have used of each provider."""
        query = f"{CALLS} SELECT provider, {_USED} FROM sums WHERE is_asked GROUP BY provider ORDER BY min(first)"  # noqa: S608 - our own text
        rows = self._db.execute(query, _ALL)
        return {
            provider: ProviderUsage(
                calls=calls, input_tokens=given, output_tokens=output, cost_usd=None if unpriced else (cost or 0.0)
            )
            for provider, calls, given, output, cost, unpriced in rows
        }

    def put_charges(self, charges: Iterable[Charge]) -> None:
        self._db.executemany("INSERT OR IGNORE INTO charges VALUES(?,?,?,?,?)", list(charges))

    def begin_for(self, buyer: Path) -> None:
        """Notes for which output what follows is bought, by its ledger; an empty path for none."""
        parts = self._parts()
        name = name_of(buyer, self._path)
        if not parts or parts[-1][2] != name:
            (last,) = self._db.execute("SELECT coalesce(max(id), 0) FROM calls").fetchone()
            parts.append([last + 1, int(self._meta.get("requests") or 0) + 1, name])
            self._meta.put("made_for", orjson.dumps(parts).decode())

    def spent(self, buyer: Path) -> Spent:
        """What was used so far for the output with this ledger; requests that may have been charged count at their bound.

        What was bought before it was noted for which output, counts for all.
        """
        parts = [[0, 0, None], *self._parts(), [_END, _END, None]]
        spent = Spent(0.0, 0, 0)
        for (call, request, name), (next_call, next_request, _) in pairwise(parts):
            if name in {None, name_of(buyer, self._path)}:
                spent = spent.plus(self._spent_in((call, next_call), (request, next_request)))
        return spent

    def reply_sizes(self) -> dict[str, dict[str, Sizes]]:
        """The sizes of the replies whose usage is known, by provider and role."""
        query = (
            f"{CALLS} SELECT provider, role, sum(sized), max(largest), sum(output_tokens) FROM sums WHERE sized "  # noqa: S608 - our own text
            "GROUP BY provider, role"
        )
        found: dict[str, dict[str, Sizes]] = {}
        for provider, role, *sizes in self._db.execute(query, _ALL):
            found.setdefault(provider, {})[role] = Sizes(*sizes)
        return found

    def _spent_in(self, calls: tuple[int, int], requests: tuple[int, int]) -> Spent:
        """What calls and requests with these ids have used: from the first one on, without the last one."""
        query = (
            f"{CALLS} SELECT coalesce(sum(cost_usd), 0), coalesce(sum(attempts), 0), coalesce(sum(input_tokens), 0) + "  # noqa: S608 - our own text
            "coalesce(sum(output_tokens), 0), coalesce(sum(calls) - sum(sized), 0) FROM sums"
        )
        first, end = calls
        cost, attempts, used, silent = self._db.execute(query, {"first": first, "end": end}).fetchone()
        usd, tokens, charged = self._db.execute(
            "SELECT coalesce(sum(usd), 0), coalesce(sum(tokens), 0), count(*) FROM charges WHERE id >= ? AND id < ?",
            requests,
        ).fetchone()
        waiting = self._batches.open_sums(requests)
        sent = min(requests[1], int(self._meta.get("requests") or 0) + 1) - max(requests[0], 1)
        sent -= self._batches.num_unasked(requests) + self._num_never_sent(requests)
        usd, tokens = usd + waiting.usd, tokens + waiting.tokens
        return Spent(
            cost + usd, max(sent, attempts + waiting.calls), used + tokens, max(0, silent - charged), waiting.calls
        )

    def _num_never_sent(self, requests: tuple[int, int]) -> int:
        first, end = requests
        return sum(first <= number < end for number in orjson.loads(self._meta.get(NEVER_SENT) or "[]"))

    @property
    def boundaries(self) -> tuple[int, ...]:
        """The first call of each part of what was bought."""
        return tuple(part[0] for part in self._parts())

    def sent(self, *, after: int = 0) -> tuple[float, float] | None:
        """When the first and the last reply of a model that is newer than the call with this id were asked for; None if there are none."""
        query = f"{CALLS} SELECT min(first_sent_at), max(last_sent_at) FROM sums WHERE is_asked"  # noqa: S608 - our own text
        first, last = self._db.execute(query, {"first": after + 1, "end": _END}).fetchone()
        return None if first is None else (first, last)

    def _parts(self) -> list[list[Any]]:
        """The first call and the first request of each part of what was bought, and the name of the output that it was for."""
        return list(orjson.loads(self._meta.get("made_for") or "[]"))


def name_of(buyer: Path, ledger: Path) -> str:
    """A ledger as seen from another one, so that both may be moved together; empty for none."""
    if buyer == Path():
        return ""
    try:
        return Path(os.path.relpath(buyer.absolute(), ledger.absolute().parent)).as_posix()
    except ValueError:  # on another drive
        return buyer.absolute().as_posix()

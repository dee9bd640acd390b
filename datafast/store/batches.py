"""Batches in the ledger: which jobs were announced to which provider, and which calls are in them.

    batches        one row a batch job: its provider, its tag, the service's id, what became of it
    batch_calls    one row a call of a batch that is open, or that came back with an error, or was never answered

A call is open from the moment at which its batch is announced until its reply is recorded, or it is known that none will come. While it is
open it is never sent in another way, and what it can cost is charged. Rows of answered calls go when their batch is closed: the reply is
in `calls`. Those of calls that were never answered stay, because they count as requests no more.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from datafast.amounts import counted
from datafast.store.row_values import storable

__all__ = [
    "BatchCall",
    "BatchPhase",
    "BatchRow",
    "BatchTables",
    "CallError",
    "CallState",
    "Gathered",
    "OpenSums",
    "described_as",
    "under_way",
]

_BATCH = "id, provider, tag, phase, service_id, first_call, num_calls, announced_at, submitted_at, ended_at, answered, failed, cost_usd"
_AT_ONCE = 500


class BatchPhase(IntEnum):
    """ANNOUNCED: the service may or may not have it. SUBMITTED: its id is known. CLOSED: nothing of it is open any more."""

    ANNOUNCED = 0
    SUBMITTED = 1
    CLOSED = 2


class CallState(IntEnum):
    """What became of a call. FAILED came back with an error. NOT_ANSWERED was cancelled, or expired: it is no try."""

    OPEN = 0
    ANSWERED = 1
    FAILED = 2
    NOT_ANSWERED = 3


class BatchRow(NamedTuple):
    """A batch job. Its calls have the ids from `first_call` on. Times are seconds since the epoch, 0.0 for not yet.

    Attributes:
        tag: what it is known by before the service has given it an id.
        service_id: the service's id; '' as long as that is not known.
        answered, failed: of its calls, as far as they were collected.
        cost_usd: of these; None if the price or the discount is not known.
    """

    id: int
    provider: str
    tag: str
    phase: BatchPhase
    service_id: str
    first_call: int
    num_calls: int
    announced_at: float
    submitted_at: float
    ended_at: float
    answered: int
    failed: int
    cost_usd: float | None


class Gathered(NamedTuple):
    """A call that goes into a batch, with the most that it can cost. `form`: how its request was put, as JSON."""

    item: int
    key: bytes
    generation: int
    role: str
    usd: float
    tokens: int
    form: str


class BatchCall(NamedTuple):
    """A call of a batch. `request` is its number among all requests of this output."""

    id: int
    item: int
    key: bytes
    generation: int
    role: str
    state: CallState
    request: int
    usd: float
    tokens: int
    form: str


class CallError(NamedTuple):
    """An error with which a call came back, as JSON, and the form of its request. `among_answers`: others of its batch were answered."""

    error: str
    form: str
    among_answers: bool


class OpenSums(NamedTuple):
    """The calls that are open, and the most that they can cost."""

    calls: int
    usd: float
    tokens: int


def under_way(batches: Sequence[BatchRow]) -> str:
    """Open batches in words, without a full stop: "2 batches are under way at openai/gpt-6-luna (12,000 calls)"."""
    calls: Counter[str] = Counter()
    for batch in batches:
        calls[batch.provider] += batch.num_calls
    where = ", ".join(f"{provider} ({counted(number, 'call')})" for provider, number in calls.items())
    return f"{'1 batch is' if len(batches) == 1 else f'{len(batches):,} batches are'} under way at {where}"


def described_as(provider: str) -> str:
    """Under which name the ledger's `meta` describes a provider that has batches: as JSON from which it can be made again."""
    return f"provider:{provider}"


class BatchTables:
    """The tables of one ledger. Methods that write are called inside a transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    # -- reading

    def all(self) -> list[BatchRow]:
        """Every batch, oldest first."""
        return self._batches("")

    def open(self) -> list[BatchRow]:
        """The batches that are not closed, oldest first."""
        return self._batches(f"WHERE phase != {int(BatchPhase.CLOSED)}")

    def _batches(self, where: str) -> list[BatchRow]:
        found = self._db.execute(f"SELECT {_BATCH} FROM batches {where} ORDER BY id")  # noqa: S608 - our own text
        return [BatchRow(*row)._replace(phase=BatchPhase(row[3])) for row in found]

    def open_sums(self, requests: tuple[int, int] = (0, 2**62)) -> OpenSums:
        """What is open: of the requests with these numbers, from the first one on, without the last one."""
        query = "SELECT count(*), coalesce(sum(usd), 0), coalesce(sum(tokens), 0) FROM batch_calls WHERE state = 0 "
        return OpenSums(*self._db.execute(query + "AND request >= ? AND request < ?", requests).fetchone())

    def num_unasked(self, requests: tuple[int, int]) -> int:
        """How many requests with these numbers, from the first one on, without the last one, were numbered and then answered by nobody."""
        query = (
            "SELECT count(*) FROM batch_calls WHERE state = 3 AND request >= ? AND request < ? "
            "AND request NOT IN (SELECT id FROM charges)"
        )
        return int(self._db.execute(query, requests).fetchone()[0])

    def open_keys(self, items: Collection[int]) -> set[bytes]:
        """The keys of the calls of these items that are open."""
        query = "SELECT key FROM batch_calls WHERE item = ? AND state = 0"
        return {row[0] for item in items for row in self._db.execute(query, (item,))}

    def described(self, provider: str) -> str:
        """The description of a provider; empty if there is none."""
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (described_as(provider),)).fetchone()
        return str(row[0]) if row else ""

    def num_open(self, batch: int) -> int:
        """The number of calls of a batch that are open."""
        query = "SELECT count(*) FROM batch_calls WHERE batch = ? AND state = 0"
        return int(self._db.execute(query, (batch,)).fetchone()[0])

    def batch_of(self, items: Sequence[int], key: bytes) -> int | None:
        """The batch in which a call with this key, of one of these items, is open; None if there is none."""
        query = "SELECT batch FROM batch_calls WHERE item = ? AND key = ? AND state = 0"
        for item in items:
            if (row := self._db.execute(query, (item, key)).fetchone()) is not None:
                return int(row[0])
        return None

    def errors_of(self, item: int, key: bytes, generation: int) -> list[CallError]:
        """The errors with which a call came back since its newest reply was recorded, oldest first."""
        query = (
            "SELECT c.error, c.form, b.answered > 0 FROM batch_calls c JOIN batches b ON b.id = c.batch "
            "WHERE c.item = ? AND c.key = ? AND c.state = 2 AND c.generation = ? AND c.before_call > "
            "coalesce((SELECT max(id) FROM calls WHERE item = ? AND key = ?), 0) ORDER BY c.id"
        )
        found = self._db.execute(query, (item, key, generation, item, key))
        return [CallError(error, form, bool(among)) for error, form, among in found]

    def calls_at(self, ids: Sequence[int]) -> dict[int, BatchCall]:
        """Calls of batches by id."""
        marks = ",".join("?" * len(ids))
        query = f"SELECT id, item, key, generation, role, state, request, usd, tokens, form FROM batch_calls WHERE id IN ({marks})"  # noqa: S608 - question marks
        return {row[0]: BatchCall(*row)._replace(state=CallState(row[5])) for row in self._db.execute(query, ids)}

    def unsettled(self, batch: BatchRow) -> Iterator[list[BatchCall]]:
        """The calls of a batch that are still open, some hundred at a time. They may be settled in between."""
        for start in range(batch.first_call, batch.first_call + batch.num_calls, _AT_ONCE):
            ids = range(start, min(start + _AT_ONCE, batch.first_call + batch.num_calls))
            found = [call for call in self.calls_at(ids).values() if call.state is CallState.OPEN]
            if found:
                yield found

    def next_call_id(self) -> int:
        """An id that no call of a batch has, or had."""
        return int(self._db.execute("SELECT coalesce(max(first_call + num_calls), 1) FROM batches").fetchone()[0])

    # -- writing

    def announce(
        self, provider: str, tag: str, calls: Iterable[Gathered], *, num_calls: int, request: int, at: float
    ) -> BatchRow:
        """Adds a batch that is about to be submitted. Its calls are open from now on.

        Args:
            request: the number of the request of its first call.
        """
        first = self.next_call_id()
        values = (provider, tag, BatchPhase.ANNOUNCED, "", first, num_calls, at, 0.0, 0.0, 0, 0, 0.0)
        marks = ",".join("?" * len(values))
        cursor = self._db.execute(f"INSERT INTO batches VALUES(NULL,{marks})", values)
        assert cursor.lastrowid is not None  # noqa: S101 - a row was inserted
        batch = BatchRow(cursor.lastrowid, *values)
        self._db.executemany(
            "INSERT INTO batch_calls(id, batch, item, key, generation, role, state, request, usd, tokens, form) "
            "VALUES(?,?,?,?,?,?,0,?,?,?,?)",
            (
                (first + n, batch.id, c.item, c.key, c.generation, c.role, request + n, c.usd, c.tokens, c.form)
                for n, c in enumerate(calls)
            ),
        )
        return batch

    def announce_again(self, batch: int, at: float) -> None:
        """Notes that a batch which the service does not have is about to be submitted once more."""
        self._db.execute("UPDATE batches SET announced_at = ?, phase = 0, service_id = '' WHERE id = ?", (at, batch))

    def submitted(self, batch: int, service_id: str, at: float) -> None:
        """Notes under which id the service has a batch."""
        self._db.execute(
            "UPDATE batches SET phase = 1, service_id = ?, submitted_at = ? WHERE id = ?", (service_id, at, batch)
        )

    def settle(self, calls: Iterable[tuple[int, CallState, str]], *, before_call: int) -> None:
        """Notes what became of calls: their ids, states, and errors as JSON.

        Args:
            before_call: the id that the next recorded reply will have.
        """
        self._db.executemany(
            "UPDATE batch_calls SET state = ?, error = nullif(?, ''), before_call = ? WHERE id = ?",
            [(int(state), storable(error), before_call, number) for number, state, error in calls],
        )

    def add_up(self, batch: int, *, answered: int, failed: int, cost_usd: float | None) -> None:
        """Adds collected calls, and what they cost, to the sums of a batch."""
        self._db.execute(
            "UPDATE batches SET answered = answered + ?, failed = failed + ?, cost_usd = cost_usd + ? WHERE id = ?",
            (answered, failed, cost_usd, batch),
        )

    def close(self, batch: int, at: float) -> None:
        """Notes that nothing of a batch is open any more. Of its calls those that were answered are forgotten."""
        self._db.execute("UPDATE batches SET phase = 2, ended_at = ? WHERE id = ?", (at, batch))
        self._db.execute("DELETE FROM batch_calls WHERE batch = ? AND state = 1", (batch,))

    def forget_errors(self, batch: int) -> int:
        """Lets the calls of a batch that came back with errors be asked again, as if they had not been sent. Says how many.

        Left out are those that had errors before while most of the same batch was answered: they may be to blame themselves.
        """
        query = (
            "DELETE FROM batch_calls WHERE batch = ? AND state = 2 AND NOT EXISTS (SELECT 1 FROM batch_calls c JOIN batches b "
            "ON b.id = c.batch WHERE c.item = batch_calls.item AND c.key = batch_calls.key AND c.state = 2 AND b.answered > 4 * b.failed)"
        )
        return self._db.execute(query, (batch,)).rowcount

    def forget_errors_of(self, provider: str) -> None:
        """The same for all batches of a provider in which nothing was answered."""
        self._db.execute(
            "DELETE FROM batch_calls WHERE state = 2 AND batch IN (SELECT id FROM batches WHERE provider = ? AND answered = 0)",
            (provider,),
        )

"""What a driver spends on one reply and on one message, measured on this machine: a cluster is simulated with these costs."""

from __future__ import annotations

import pickle
import time
import zlib
from collections.abc import Callable
from pathlib import Path

from benchmarks.instruments import stopwatch
from benchmarks.ours import instant
from benchmarks.workload import MODEL, reply_text
from datafast.engine.remote.broker import Broker
from datafast.engine.remote.leases import Leases
from datafast.engine.remote.terms import Ask, Grant, ProviderTerms
from datafast.llms.replies.completion import encode_completion
from datafast.plan.items import digest
from datafast.store.journal import Journal
from datafast.store.journal_records import journal_header
from datafast.store.ledger import Ledger
from datafast.store.records import Append, CallRow, ItemRecord, ItemState
from datafast.types import Usage

__all__ = ["calibrated"]

_REPLIES_A_MESSAGE = 16
_REPLIES_A_COMMIT = 100


def calibrated(*, replies: int, folder: str) -> dict[str, float]:
    """CPU seconds for one reply or message, over so many of them, and the bytes of a reply in the journal.

    Returns:
        row_s: all that a local run does for a row, but for HTTP: an upper bound of what a driver does for one.
        journal_s, commit_s: the parts of it that are the journal, and the ledger with the rows.
        decode_s: reading a reply and its row from a message. message_s: the rest of a message, both ways.
        broker_s: hearing an ask and making a grant.
        reply_bytes: a reply in the journal.
    """
    made = [_reply(number) for number in range(replies)]
    journal = Path(folder) / "journal"
    journal_s = _timed(lambda: _journal(journal, made)) / replies
    return {
        "row_s": instant(items=replies, in_flight=64, folder=folder)["cpu_s"] / replies,
        "journal_s": journal_s,
        "commit_s": _timed(lambda: _commit(Path(folder), made)) / replies,
        **_messages(made),
        "broker_s": _broker(exchanges=max(100, replies)),
        "reply_bytes": journal.stat().st_size / replies,
    }


def _timed(work: Callable[[], None]) -> float:
    read = stopwatch()
    work()
    return read().cpu_s


def _reply(number: int) -> tuple[ItemRecord, CallRow, bytes]:
    """A reply, its item and its row, as a driver has them."""
    key, one = digest("item", str(number)), number + 1
    raw = encode_completion(reply_text(), model=MODEL, usage=Usage(90, 110))
    call = CallRow(one, one, key, 0, "generator", f"openai/{MODEL}", MODEL, 0.0, 1.0, 1, raw)
    call.settle(Usage(90, 110), 0.0001)
    return ItemRecord(one, key, key, number, ItemState.DONE, 0, 1, slots=1), call, raw[:600] + b"\n"


def _journal(path: Path, made: list[tuple[ItemRecord, CallRow, bytes]]) -> None:
    journal = Journal(path)
    for item, call, _ in made:
        journal.record(journal_header(call, item), call.raw)
    journal.close()


def _commit(folder: Path, made: list[tuple[ItemRecord, CallRow, bytes]]) -> None:
    ledger, end = Ledger(folder / "ledger"), 0
    with (folder / "rows").open("wb", buffering=0) as rows:
        for first in range(0, len(made), _REPLIES_A_COMMIT):
            part = made[first : first + _REPLIES_A_COMMIT]
            rows.write(b"".join(line for _, _, line in part))
            appends = []
            for item, _, line in part:
                appends.append(Append(item.id, item.id, end, len(line), zlib.crc32(line), 1))
                end += len(line)
            with ledger.transaction():
                ledger.put_items(item for item, _, _ in part)
                ledger.calls.put(call for _, call, _ in part)
                ledger.appends.put(appends)
    ledger.close()


def _messages(made: list[tuple[ItemRecord, CallRow, bytes]]) -> dict[str, float]:
    """Decoding of replies, and what a message costs without any: the report that is read, and the orders that are written."""
    ask, grant = _ask_and_grant()
    empty = pickle.dumps(([], ask), protocol=5)
    full = pickle.dumps(([(call, line) for _, call, line in made[:_REPLIES_A_MESSAGE]], ask), protocol=5)
    times = max(50, len(made) // _REPLIES_A_MESSAGE)

    def orders() -> None:
        for _ in range(times):
            pickle.loads(empty)
            pickle.dumps(([item for item, _, _ in made[:_REPLIES_A_MESSAGE]], grant), protocol=5)

    def read() -> None:
        for _ in range(times):
            pickle.loads(full)

    message_s = _timed(orders) / times
    return {"message_s": message_s, "decode_s": _timed(read) / times / min(len(made), _REPLIES_A_MESSAGE)}


def _ask_and_grant() -> tuple[Ask, Grant]:
    terms = {"a": ProviderTerms(64)}
    broker, leases = Broker(terms, total=64), Leases(terms)
    broker.join(1)
    leases.take(broker.grant(1))
    ask = leases.ask()
    broker.hear(1, ask)
    return ask, broker.grant(1)


def _broker(*, exchanges: int, workers: int = 100) -> float:
    """Seconds for one ask with four replies and its grant, with so many workers; the workers' own part is not counted."""
    terms = {"a": ProviderTerms(64 * workers)}
    broker = Broker(terms, total=64 * workers)
    leases = [Leases(terms) for _ in range(workers)]
    for number in range(workers):
        broker.join(number)
        broker.grant(number)
        leases[number].ask()
    spent = 0.0
    for turn in range(exchanges):
        number = turn % workers
        gate = leases[number].gates["a"]
        for _ in range(4 if gate.limit else 0):
            gate.take(0, 0.0)
            gate.succeeded(time.monotonic())
            gate.in_flight -= 1
        ask = leases[number].ask()
        began = time.thread_time()
        broker.hear(number, ask)
        grant = broker.grant(number)
        spent += time.thread_time() - began
        leases[number].take(grant)
    return spent / exchanges

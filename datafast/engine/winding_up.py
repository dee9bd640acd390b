"""Work of a run that asks no provider and may take minutes: what stages say about rows that are recorded."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from datafast._util.notify import warn_user
from datafast.engine.events import RowsDecided
from datafast.store.deciding import settle
from datafast.store.verdicts import Abandoned, Reversed

if TYPE_CHECKING:
    from datafast.engine.deciding import Decider
    from datafast.engine.event_log import Emitter
    from datafast.store.ledger import Ledger

__all__ = ["beside_the_loop", "settled"]

_TOLD_S = 0.5

T = TypeVar("T")


async def beside_the_loop(work: Callable[[], T], decider: Decider, emit: Emitter) -> T:
    """Does work in a thread, so that the loop stays free, and tells how far it is. It has ended in any case when this does."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        while not (await asyncio.wait({task}, timeout=_TOLD_S))[0]:
            if decider.looked_at:
                emit(RowsDecided(done=decider.looked_at, rows=decider.expected))
    except asyncio.CancelledError:
        decider.give_up()
        await asyncio.wait({task})
        raise
    return task.result()


async def settled(rows: Path, ledger: Ledger, *, decider: Decider, emit: Emitter) -> Reversed | None:
    """Compares the rows of an output with each other. None if that was not to do, or the run was interrupted."""
    try:
        found = await beside_the_loop(functools.partial(settle, rows, ledger, decider), decider, emit)
    except Abandoned:
        names = ", ".join(sorted(decider.walk_names))
        warn_user(
            f"The rows of {rows} were not all compared with each other ({names}), because the run was interrupted. The next one does that."
        )
        return None
    decider.tell()
    return found

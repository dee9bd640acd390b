"""How stages decide about new rows beside the event loop."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from typing import Any, Literal, cast

import pytest
from pydantic import BaseModel

from datafast.engine.row_stages import RowStages
from datafast.plan.items import WorkItem
from datafast.quality.base import KEEP, Stage, Verdict

ITEM = cast(WorkItem, None)  # the stage does not look at it


class Row(BaseModel):
    text: str


class Watched(Stage):
    """Keeps all rows, and notes in which thread it decides, and about how many it decides at once at most."""

    stage: Literal["watched"] = "watched"

    def decide(self, row: Any, item: WorkItem) -> Verdict:
        UNDER_WAY.append(row.text)
        MOST.append(len(UNDER_WAY))
        THREADS.append(threading.current_thread())
        if row.text == "first":
            BOTH_ARE_HERE.wait(1)
        if row.text == "long":
            LONG_HAS_BEGUN.set()
            GOES_ON.wait(0.2)
        UNDER_WAY.remove(row.text)
        return KEEP


UNDER_WAY: list[str] = []
MOST: list[int] = []
THREADS: list[threading.Thread] = []
BOTH_ARE_HERE, LONG_HAS_BEGUN, GOES_ON = threading.Event(), threading.Event(), threading.Event()


def test_stages_decide_about_one_item_after_the_other_also_while_they_move_to_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What they are made of need not bear two threads: here a row comes while a long one is decided about in the thread."""
    monkeypatch.setattr("datafast.engine.row_stages._SLOW_S", 0.0595)

    async def decide() -> None:
        with closing(RowStages([Watched()], mean_s=0.06)) as stages:
            first = asyncio.ensure_future(stages.decide([Row(text="first")], ITEM, None))
            long = asyncio.ensure_future(stages.decide([Row(text="long")], ITEM, None))
            for _ in range(5):
                await asyncio.sleep(0)
            BOTH_ARE_HERE.set()
            await first  # fast enough for the loop from now on
            await asyncio.to_thread(LONG_HAS_BEGUN.wait, 10)
            await stages.decide([Row(text="third")], ITEM, None)
            GOES_ON.set()
            await long

    asyncio.run(decide())
    assert (len(MOST), max(MOST)) == (3, 1)


def test_fast_stages_decide_on_the_event_loop() -> None:
    THREADS.clear()

    async def decide() -> None:
        with closing(RowStages([Watched()], mean_s=0.0)) as stages:
            await stages.decide([Row(text="short")], ITEM, None)

    asyncio.run(decide())
    (thread,) = THREADS
    assert thread is threading.main_thread()

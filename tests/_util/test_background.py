"""The one event loop in the background."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading

import pytest

from datafast._util import background


async def loop_id() -> int:
    return id(asyncio.get_running_loop())


def test_all_calls_share_one_loop() -> None:
    seen = {background.run(loop_id()), background.submit(loop_id()).result()}
    thread = threading.Thread(target=lambda: seen.add(background.run(loop_id())))
    thread.start()
    thread.join()
    assert len(seen) == 1


def test_a_call_below_a_running_loop_leaves_that_loop_alone() -> None:
    async def outer() -> bool:
        return background.run(loop_id()) != await loop_id()

    assert asyncio.run(outer())


def test_exceptions_arrive_unchanged() -> None:
    boom = RuntimeError("boom")

    async def fail() -> None:
        raise boom

    with pytest.raises(RuntimeError) as caught:
        background.run(fail())
    assert caught.value is boom


def test_a_cancelled_future_cancels_its_coroutine() -> None:
    cancelled = threading.Event()

    async def wait() -> None:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    future = background.submit(wait())
    background.run(asyncio.sleep(0))
    future.cancel()
    assert cancelled.wait(60)


def test_waiting_on_the_loop_for_itself_is_refused() -> None:
    async def inside() -> int:
        return background.run(loop_id())

    with pytest.raises(RuntimeError, match="Await"):
        background.run(inside())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_gets_a_loop_of_its_own() -> None:
    code = """
import os, asyncio
from datafast._util import background
background.run(asyncio.sleep(0))
child = os.fork()
if child == 0:
    background.run(asyncio.sleep(0))
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""
    subprocess.run([sys.executable, "-W", "ignore::DeprecationWarning", "-c", code], check=True, timeout=120)


def test_what_still_runs_at_exit_is_cancelled_without_a_word() -> None:
    code = "import asyncio; from datafast._util import background; background.submit(asyncio.sleep(600))"
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")

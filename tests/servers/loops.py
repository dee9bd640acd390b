"""Event loops of servers in threads of their own."""

from __future__ import annotations

import asyncio

__all__ = ["end"]


def end(loop: asyncio.AbstractEventLoop) -> None:
    """Ends what still runs on a loop that was stopped, then closes it: what is left pending would be told of in another test."""
    loop.run_until_complete(_cancel_all())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


async def _cancel_all() -> None:
    while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=5)
    await asyncio.sleep(0)  # connections close at the next turn

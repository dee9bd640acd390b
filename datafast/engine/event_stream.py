"""The events of a run as an asynchronous iterator, in any event loop.

Guarantee: events come in the order in which they happened, and none is left out. The run never waits for the iteration: events that
were not taken yet are kept in memory, without a limit (some hundred bytes an event). Leaving the iteration early ends the run like an
interruption: requests in flight land and are saved.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable

from datafast.engine.events import Event, EventCallback

__all__ = ["stream_events"]


class _Mailbox:
    """Carries events from the run's thread to the event loop it was made in."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._rung = False
        self._closed = False

    def put(self, event: Event) -> None:
        """Called on the run's thread. Wakes the loop once for all events that come before it looks."""
        self._events.append(event)
        if not self._rung:
            self._rung = True
            self._loop.call_soon_threadsafe(self._news.set)

    def close(self) -> None:
        """Says that no more events come. Called on the loop."""
        self._closed = True
        self._news.set()

    async def take(self) -> Event | None:
        """The next event; None after the last."""
        while not self._events:
            if self._closed:
                return None
            await self._news.wait()
            self._news.clear()
            self._rung = False  # before the events are read, so that a new one rings again
        return self._events.popleft()


async def stream_events(
    run: Callable[[EventCallback], Awaitable[None]], *, also: EventCallback | None = None
) -> AsyncGenerator[Event, None]:
    """Starts a run and yields its events.

    Args:
        run: carries out the run with a callback; its error is raised after the last event.
        also: a callback that gets every event first, on the run's own thread.
    """
    mailbox = _Mailbox()

    def on_event(event: Event) -> None:
        if also is not None:
            also(event)
        mailbox.put(event)

    running = asyncio.ensure_future(run(on_event))
    running.add_done_callback(lambda _: mailbox.close())
    try:
        while (event := await mailbox.take()) is not None:
            yield event
        await running
    finally:
        running.cancel()  # does nothing if the run is over
        await asyncio.gather(running, return_exceptions=True)  # after leaving early, errors are not of interest

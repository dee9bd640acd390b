"""`RunControl`: whoever holds one pauses, resumes and stops a run, and changes how many requests are in flight.

    control = RunControl()
    threading.Thread(target=watch, args=[control]).start()
    dataset.generate(providers, control=control)

Guarantee: every method may be called in any thread, in a handler of a signal and in a callback of the run, before the run begins and after
it has ended. It returns at once, and takes effect in the next moments, as events tell.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator

from datafast._util.notify import did_you_mean
from datafast.engine.steering import LimitUsed, ProviderLimits, RunLimits, Steering
from datafast.errors import ConfigError

__all__ = ["LimitUsed", "ProviderLimits", "RunControl", "RunLimits"]

_MOST = 100_000


class RunControl:
    """Steers the runs that it is given to, with `generate(..., control=...)`: one run, or several at once or one after another.

    What it was told holds for runs that begin later too. One that was told to stop stays so: make a new one for a further run.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a handler of a signal may interrupt a method in the same thread
        self._runs: dict[Steering, asyncio.AbstractEventLoop] = {}
        self._pauses = False
        self._stops = False
        self._concurrency: dict[str, int] = {}

    # -- what can be done

    def pause(self) -> None:
        """Lets nothing begin: no item, no request, no upload of a batch. Requests in flight land and are kept."""
        with self._lock:
            self._pauses = True
            self._tell(Steering.pause)

    def resume(self) -> None:
        """Goes on, also where an alarm has paused the run (`alarms: {action: pause}`)."""
        with self._lock:
            self._pauses = False
            self._tell(Steering.resume)

    def stop(self) -> None:
        """Ends the run as Ctrl-C does: nothing more is sent, requests in flight land and are saved, and a later run goes on."""
        with self._lock:
            self._stops = True
            self._tell(Steering.stop)

    def set_concurrency(self, provider: str, concurrency: int) -> None:
        """Sets the most requests in flight at a provider, in place of its `max_concurrency` and of what `auto` has found.

        Other providers keep theirs: the run's own `max_concurrency` rises and falls with it. After rate limiting there are fewer for a
        while, as ever.

        Args:
            provider: its name in reports and events.

        Raises:
            ConfigError: it is not a number of at least 1, or no run that is going on has such a provider.
        """
        if not isinstance(concurrency, int) or isinstance(concurrency, bool) or not 1 <= concurrency <= _MOST:
            raise ConfigError(f"concurrency: expected a whole number from 1 to {_MOST:,}, got {concurrency!r}.")
        with self._lock:
            known = [name for run in self._runs for name in run.providers]
            if known and provider not in known:
                raise ConfigError(f"{provider!r} is not a provider of this run. {did_you_mean(provider, known)}")
            self._concurrency[provider] = concurrency
            self._tell(lambda run: run.set_concurrency(provider, concurrency))

    # -- what can be read

    @property
    def is_paused(self) -> bool:
        """Whether a run is paused, by whomever, or the next one begins so."""
        with self._lock:
            return self._pauses or any(run.is_paused for run in self._runs)

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stops

    @property
    def limits(self) -> RunLimits:
        """What limits the run that is going on, now; empty where there is none, or its providers are not open yet."""
        with self._lock:
            runs = list(self._runs)
        found = [run.limits for run in runs]
        return RunLimits(
            providers=tuple(provider for limits in found for provider in limits.providers),
            budget=tuple(limit for limits in found for limit in limits.budget),
        )

    # -- for the engine

    @contextlib.contextmanager
    def steers(self, run: Steering) -> Iterator[None]:
        """Steers a run on the event loop that this is called on, as long as the context lasts."""
        with self._lock:
            self._runs[run] = asyncio.get_running_loop()
            for provider, concurrency in self._concurrency.items():
                run.set_concurrency(provider, concurrency)
            if self._pauses:
                run.pause()
            if self._stops:
                run.stop()
        try:
            yield
        finally:
            with self._lock:
                del self._runs[run]

    def _tell(self, do: Callable[[Steering], object]) -> None:
        for run, loop in self._runs.items():
            loop.call_soon_threadsafe(do, run)

"""Where events go: to the log, and to the run's callback."""

from __future__ import annotations

from datafast.engine.event_log import EventLog
from datafast.engine.events import Event, EventCallback
from datafast.engine.stop import Halt
from datafast.logger_config import is_configured

__all__ = ["Emitter"]


class Emitter:
    """Hands out the events of one run. What the callback raises ends the run, and is raised when everything is saved.

    Attributes:
        listening: whether anybody sees events; events that come by the thousand a second need not be made otherwise.
    """

    def __init__(self, on_event: EventCallback | None, halt: Halt) -> None:
        self.listening = on_event is not None or is_configured()
        self._on_event = on_event
        self._halt = halt
        self._log = EventLog() if is_configured() else None

    def __call__(self, event: Event) -> None:
        if self._log is not None:
            self._log(event)
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except BaseException as error:  # noqa: BLE001 - a callback's own error, or its exit: raised when all is saved
            self._halt.now(f"the event callback raised {error!r}", error)

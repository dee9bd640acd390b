"""Looking at sources without leaving a trace: nothing is asked for over the network, and what has to be copied to be read is not kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from datafast.errors import ConfigError

__all__ = ["is_only_looked_at", "only_looked_at", "refuse_remote"]

_ONLY = ContextVar("only", default=False)


@contextmanager
def only_looked_at() -> Iterator[None]:
    """Within it, sources are only looked at."""
    token = _ONLY.set(True)
    try:
        yield
    finally:
        _ONLY.reset(token)


def is_only_looked_at() -> bool:
    return _ONLY.get()


def refuse_remote(name: str, field: str) -> None:
    """Raises ConfigError for a source that lies elsewhere, where sources are only looked at."""
    if _ONLY.get():
        raise ConfigError(
            f"{field}: {name} lies elsewhere, and no network is asked here. `datafast plan` in a terminal reads it."
        )

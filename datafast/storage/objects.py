"""What an output needs of a place that holds objects, and its errors.

Guarantee of every store here: an object is there whole or not at all, and `put` returns when it is there for every reader.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from datafast.errors import ConfigError, OutputError

__all__ = ["Conflict", "Missing", "ObjectInfo", "Objects", "Refused", "StoreError"]


class StoreError(OutputError):
    """A request to a store failed, and may succeed later."""


class Refused(StoreError, ConfigError):
    """A store does not let us in, or there is no such bucket. Trying again does not help."""

    def __init__(self, message: str) -> None:
        ConfigError.__init__(self, message)


class Missing(StoreError):
    """There is no such object."""


class Conflict(StoreError):
    """A condition of a `put` does not hold: the object is there already, or is not what it was."""


@dataclass(frozen=True)
class ObjectInfo:
    """An object: its name below the output, when it was last written by the clock of the store, and its size."""

    name: str
    modified: datetime
    size: int


class Objects(Protocol):
    """The objects of one output. Names are relative to it: `manifest.json`, `rows/...`.

    Attributes:
        lease_s: for how long a lock is held without being renewed.
        least_upload_s: how many seconds there have to be between two uploads, because the store counts them.
    """

    lease_s: float
    least_upload_s: float

    def get(self, name: str) -> tuple[bytes, str]:
        """An object and the mark of its version. Raises Missing."""

    def put(self, name: str, data: bytes) -> None:
        """Writes a new object, or the same bytes again. It may become visible only with the next conditional write."""

    def create(self, name: str, data: bytes) -> str:
        """Writes an object that must not be there. Returns the mark of its version. Raises Conflict, or NotImplementedError where the store
        has no such thing."""

    def replace(self, name: str, data: bytes, version: str) -> str:
        """Writes an object that must have this version. Returns the new one's. Raises Conflict."""

    def overwrite(self, name: str, data: bytes) -> str:
        """Writes an object whatever is there. Returns the mark of its version."""

    def all(self) -> Iterator[ObjectInfo]:
        """All of them."""

    def modified(self, name: str) -> datetime:
        """When an object was written, by the clock of the store. Raises Missing."""

    def remove(self, names: Sequence[str]) -> None:
        """Removes objects; those that are not there are no error."""

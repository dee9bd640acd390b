"""A store that is asked again where it fails, request by request.

A conditional write whose answer was lost may have been carried out. It is then known by its bytes, which no other writer has: whoever
writes on a condition puts something of its own into them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from datafast.storage.objects import Conflict, Missing, ObjectInfo, Objects, Refused, StoreError

__all__ = ["LONG", "SHORT", "Patient"]

T = TypeVar("T")

SHORT = 4
LONG = 7
_FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S = 10.0


class Patient:
    """Args: tries: how often a request is sent. ends: set from outside where waiting has no use any more.

    Attributes:
        answered_at: when the store did last what it was asked (monotonic seconds).
    """

    def __init__(self, objects: Objects, tries: int, ends: threading.Event | None = None) -> None:
        self._objects = objects
        self._tries = tries
        self._ends = ends or threading.Event()
        self.answered_at = float("-inf")
        self.lease_s = objects.lease_s
        self.least_upload_s = objects.least_upload_s

    def get(self, name: str) -> tuple[bytes, str]:
        return self._again(lambda: self._objects.get(name))

    def put(self, name: str, data: bytes) -> None:
        self._again(lambda: self._objects.put(name, data))

    def create(self, name: str, data: bytes) -> str:
        return self._surely(name, data, lambda: self._objects.create(name, data))

    def replace(self, name: str, data: bytes, version: str) -> str:
        return self._surely(name, data, lambda: self._objects.replace(name, data, version))

    def overwrite(self, name: str, data: bytes) -> str:
        return self._again(lambda: self._objects.overwrite(name, data))

    def all(self) -> Iterator[ObjectInfo]:
        return iter(self._again(lambda: [*self._objects.all()]))

    def modified(self, name: str) -> datetime:
        return self._again(lambda: self._objects.modified(name))

    def remove(self, names: Sequence[str]) -> None:
        self._again(lambda: self._objects.remove(names))

    def _surely(self, name: str, data: bytes, write: Callable[[], str]) -> str:
        try:
            return self._again(write)
        except Conflict:
            try:
                found, version = self.get(name)
            except Missing:
                found, version = b"", ""
            if found != data:
                raise
            return version

    def _again(self, ask: Callable[[], T]) -> T:
        wait_s = _FIRST_WAIT_S
        for _ in range(self._tries - 1):
            try:
                return self._answer(ask)
            except (Missing, Refused, Conflict):
                raise
            except StoreError:
                if self._ends.wait(wait_s):
                    raise
            wait_s = min(_LONGEST_WAIT_S, wait_s * 2)
        return self._answer(ask)

    def _answer(self, ask: Callable[[], T]) -> T:
        answer = ask()
        self.answered_at = time.monotonic()
        return answer

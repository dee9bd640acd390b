"""One writer of a remote output at a time: an object that says who, and is renewed as long as they live.

Guarantee: on a store whose conditional writes hold, no two writers have it. That they hold is tried out first, each time. Whoever does
not renew it for `lease_s` loses it to the next one who asks. Times are taken from the store, so clocks of machines do not matter.
"""

from __future__ import annotations

import os
import platform
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

import orjson

from datafast._util.notify import warn_user
from datafast.errors import ConfigError, OutputInUseError
from datafast.plain import plain_text
from datafast.storage.objects import Conflict, Missing, Objects, StoreError

__all__ = ["RemoteLock", "proven", "refusal", "written"]

LOCK = "lock.json"
_RENEWALS = 4  # in a lease
_PATIENCE_S = 10.0


def proven(objects: Objects) -> datetime | None:
    """Whether conditional writes hold: the time by the store's clock if they do, else None. Tried out on an object of its own.

    Raises:
        StoreError: the store does not answer; it is not known.
    """
    name = f"probe-{secrets.token_hex(8)}"
    first, second, third, fourth = (secrets.token_bytes(8) for _ in range(4))
    try:
        version = objects.create(name, first)
        if not _refuses(lambda: objects.create(name, second)):
            return None
        newer = objects.replace(name, third, version)
        if newer == version or not _refuses(lambda: objects.replace(name, fourth, version)):
            return None
        return objects.modified(name) if objects.get(name)[0] == third else None
    except (Conflict, NotImplementedError):
        return None
    finally:
        with suppress(StoreError):
            objects.remove([name])


def written(objects: Objects) -> datetime:
    """Tries out that objects can be written. Returns the time by the clock of the store.

    Raises:
        StoreError: they cannot.
    """
    name = f"probe-{secrets.token_hex(8)}"
    objects.overwrite(name, b"")
    try:
        return objects.modified(name)
    finally:
        with suppress(StoreError):
            objects.remove([name])


def _refuses(write: Callable[[], object]) -> bool:
    try:
        write()
    except Conflict:
        return True
    return False


class RemoteLock:
    """The lock of one output, once it is taken.

    Args:
        place: the URL of the output, for messages.
        spool: the name of the spool that it is taken for. A lock of the same spool is ours: another process in it would hold the spool.
        on_lost: called once, in another thread, when somebody else has it.
    """

    def __init__(self, objects: Objects, place: str, spool: str, on_lost: Callable[[str], None]) -> None:
        self._objects = objects
        self._place = place
        self._spool = spool
        self._on_lost = on_lost
        self._token = secrets.token_hex(8)
        self._since = ""
        self._version = ""
        self._renewed = 0.0
        self._is_lost = False
        self._ends = threading.Event()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None

    def take(self, now: datetime) -> None:
        """Takes it and keeps it renewed.

        Args:
            now: by the clock of the store.

        Raises:
            OutputInUseError: somebody else has it.
            StoreError: the store does not answer.
        """
        began = time.monotonic()
        try:
            found, version = self._objects.get(LOCK)
        except Missing:
            found, version = b"", ""
        holder = _holder(found)
        if holder.get("spool") is not None and (holder["spool"], holder.get("host")) != (self._spool, platform.node()):
            age = (now - self._objects.modified(LOCK)).total_seconds()
            if age <= self._objects.lease_s:
                raise OutputInUseError(
                    f"{_who(holder)} is writing to {self._place}. If that process is dead, its lock lapses in "
                    f"{max(1, round(self._objects.lease_s - age))} s; until then, wait or choose another output."
                )
            warn_user(
                f"{_who(holder)} was writing to {self._place} and has not been heard of for {age:,.0f} s. This run takes over."
            )
        self._since = now.isoformat(timespec="seconds")
        mine = self._document()
        try:
            self._version = self._objects.replace(LOCK, mine, version) if found else self._objects.create(LOCK, mine)
        except Conflict:
            raise OutputInUseError(
                f"Another run has just begun to write to {self._place}. Wait for it to end, or choose another output."
            ) from None
        self._renewed = began
        self._thread = threading.Thread(target=self._renew, name="datafast-remote-lock", daemon=True)
        self._thread.start()

    def require(self) -> None:
        """Sees to it that it is still ours. Raises StoreError if that cannot be found out, Conflict if it is not."""
        if self._is_lost:
            raise Conflict(f"Another run writes to {self._place}.")
        if time.monotonic() - self._renewed > self._objects.lease_s / 2:
            self._renew_once()

    def release(self) -> None:
        """Gives it back. Where that fails, it lapses."""
        self._ends.set()
        giving_back = threading.Thread(target=self._give_back, name="datafast-remote-lock-end", daemon=True)
        giving_back.start()
        giving_back.join(_PATIENCE_S)  # a store that does not answer holds up nobody

    def _give_back(self) -> None:
        if self._thread is not None:
            self._thread.join()
        if not self._is_lost and self._version:
            with suppress(StoreError):
                self._objects.replace(LOCK, orjson.dumps({"spool": None, "mark": secrets.token_hex(8)}), self._version)

    def _renew(self) -> None:
        while not self._ends.wait(self._objects.lease_s / _RENEWALS):
            try:
                self._renew_once()
            except Conflict:
                return
            except StoreError:
                continue  # the uploader tells it

    def _renew_once(self) -> None:
        with self._guard:
            began = time.monotonic()
            try:
                self._version = self._objects.replace(LOCK, self._document(), self._version)
            except Conflict:
                if not self._adopted():
                    self._lose()
                    raise
            self._renewed = began

    def _adopted(self) -> bool:
        """Whether what is there is what we wrote, in a request whose answer was lost."""
        try:
            found, version = self._objects.get(LOCK)
        except Missing:
            return False
        if _holder(found).get("token") != self._token:
            return False
        self._version = version
        return True

    def _lose(self) -> None:
        if not self._is_lost:
            self._is_lost = True
            with suppress(StoreError):
                return self._on_lost(_who(_holder(self._objects.get(LOCK)[0])))
            self._on_lost("Another run")
        return None

    def _document(self) -> bytes:
        """Other bytes each time, so that versions that are hashes differ."""
        return orjson.dumps(
            {
                "spool": self._spool,
                "token": self._token,
                "host": platform.node(),
                "pid": os.getpid(),
                "since": self._since,
                "mark": secrets.token_hex(8),
            }
        )


def _holder(found: bytes) -> dict[str, object]:
    try:
        read = orjson.loads(found) if found else {}
    except orjson.JSONDecodeError:
        return {"spool": ""}
    return read if isinstance(read, dict) else {"spool": ""}


def _who(holder: dict[str, object]) -> str:
    host, pid, since = (plain_text(str(holder.get(name, "?")))[:80] for name in ("host", "pid", "since"))
    return f"A run on {host} (process {pid}, since {since})"


def refusal(place: str) -> ConfigError:
    """Why an output is not written to a store whose conditional writes do not hold."""
    return ConfigError(
        f"output_file: {place}: This store was tried, and does not hold conditional writes (If-None-Match, If-Match), so no lock can keep "
        f"a second run out. Set `run: {{lock: none}}` to write without one: two runs at once would then each buy the same rows, and the "
        f"one that uploads first wins.",
        key="run",
    )

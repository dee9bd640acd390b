"""Leaves a settled heap out of Python's cyclic garbage collection while someone asks for it.

A library with several hundred thousand objects makes each full collection cost a tenth of a second, and a library that
leaves cycles behind with every call makes full collections frequent. `gc.freeze` leaves out the objects that exist; later
ones are collected as usual. The host's heap is frozen too, so this must be undone: cycles that the host drops in between
are freed after `unsettle`.
Limits: nothing is done if the host has frozen objects itself, since thawing ours would thaw its, or if Python has no
`gc.freeze`. Objects that the host freezes in between are thawed with ours.
"""

from __future__ import annotations

import gc
import threading

__all__ = ["settle", "unsettle"]

_lock = threading.Lock()
_holders = 0


def settle() -> bool:
    """Freezes the objects that exist now, unless that is done already. Returns whether `unsettle` has something to undo.

    Meant for once after some hundred calls, not for each call: it moves young objects to the oldest generation.
    """
    global _holders
    if not hasattr(gc, "freeze"):
        return False
    with _lock:
        if not _holders:
            if gc.get_freeze_count():
                return False
            gc.freeze()
        _holders += 1
        return True


def unsettle() -> None:
    """Undoes one `settle` that returned True. After the last one everything is collected again."""
    global _holders
    with _lock:
        _holders -= 1
        if not _holders:
            gc.unfreeze()

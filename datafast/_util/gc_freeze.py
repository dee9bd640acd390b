"""A heap that has settled is left out of Python's cyclic garbage collection for as long as someone asks for it.

A library of several hundred thousand objects makes each full collection cost a tenth of a second, and one that leaves
cycles behind with every call makes them frequent. `gc.freeze` sets aside what exists; what comes later is collected as
ever. The host's heap is set aside with it, so this is given back: cycles of the host that are dropped meanwhile are
freed after `unsettle`.
Limits: nothing is done where the host has frozen objects itself, since thawing ours would thaw its, nor where Python
has no `gc.freeze`. What the host freezes meanwhile is thawed with ours.
"""

from __future__ import annotations

import gc
import threading

__all__ = ["settle", "unsettle"]

_lock = threading.Lock()
_holders = 0


def settle() -> bool:
    """Sets aside what exists now, unless that has been done. Returns whether there is something for `unsettle` to undo.

    Worth its while after a hundred calls, not before each one: what is young grows old by it, uncounted.
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
    """Undoes one `settle` that returned True. With the last one everything is collected again as before."""
    global _holders
    with _lock:
        _holders -= 1
        if not _holders:
            gc.unfreeze()

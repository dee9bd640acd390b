"""Whether the files of an open output are still where they were opened.

Somebody may delete, move or replace them while a run goes on. Writing into an open file goes on without an error all the same, into a
file that nobody will find again. And somebody may write into them.
"""

from __future__ import annotations

import os
from pathlib import Path

from datafast.errors import OutputWriteError

__all__ = ["altered", "displaced", "leads_to"]


def leads_to(path: Path, opened: os.stat_result) -> bool:
    """Whether a path still leads to the file that was opened there. True if that cannot be found out."""
    try:
        return os.path.samestat(path.stat(), opened)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def displaced(path: Path) -> OutputWriteError:
    """The error for a file that is not in its place any more."""
    return OutputWriteError(
        f"{path} was deleted, moved or replaced while the run went on. All that was bought is in the ledger, which was written "
        f"again if it was gone. Run again to go on: rows that are missing come back from it at no cost."
    )


def altered(path: Path, *, found: int, expected: int) -> OutputWriteError:
    """The error for a file that has another size than what was written into it."""
    return OutputWriteError(
        f"{path} was changed by somebody else while the run went on: it has {found:,} bytes, and {expected:,} were written. "
        f"Run again to go on: rows that are missing come back from the ledger at no cost, and what was added is set aside."
    )

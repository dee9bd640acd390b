"""Whether the files of an open output are still where they were opened.

Somebody may delete, move or replace them while a run goes on. Writing into an open file goes on without an error all the same, into a
file that nobody will find again. And somebody may write into them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from datafast.errors import OutputWriteError

__all__ = ["SAVED", "altered", "displaced", "leads_to", "replaced", "saved_ledgers"]

SAVED = "saved"


def leads_to(path: Path, opened: os.stat_result) -> bool:
    """Whether a path still leads to the file that was opened there. True if that cannot be found out."""
    try:
        return os.path.samestat(path.stat(), opened)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def replaced(ledger: Path) -> OutputWriteError:
    """The error for a ledger in whose place there is another file. What was recorded is saved next to that."""
    return OutputWriteError(
        f"{ledger} was replaced by another file while the run went on. All that was bought is saved next to it, as {ledger.name}.{SAVED}-"
        f"<time>. Move that file into its place, then run again to go on."
    )


def saved_ledgers(ledger: Path) -> list[Path]:
    """Files with what was recorded by runs whose ledger was replaced."""
    name = re.compile(rf"{re.escape(ledger.name)}\.{SAVED}-\w+(-\d+)?")
    try:
        return sorted(path for path in ledger.parent.iterdir() if name.fullmatch(path.name))
    except OSError:
        return []


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

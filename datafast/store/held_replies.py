"""Replies that are to be dropped once their rows are written, of an output that is also kept elsewhere: they stay until the ledger there
has their items, because rows that are newer than that ledger are made again from replies."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["HeldReplies"]


@dataclass
class HeldReplies:
    """How far replies of one run may be dropped before it ends. Used by the thread of the run and by the one that uploads.

    Attributes:
        are_counted: whether the output is open, so that what is uploaded from now on is of this run. Set by the run.
        safe: the newest reply in the ledger that is kept elsewhere. That ledger has all replies up to this one, or the rows of their
            items. Set by uploads.
    """

    are_counted: bool = False
    safe: int = 0

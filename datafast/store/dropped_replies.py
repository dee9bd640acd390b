"""What cannot be done without replies that were dropped: it is refused in words, so that nothing is bought twice without a word."""

from __future__ import annotations

from collections.abc import Iterable

from datafast.amounts import counted
from datafast.errors import OutputError
from datafast.store.ledger import Ledger

__all__ = ["refuse_dropped", "refuse_unasked"]


def refuse_dropped(ledger: Ledger, item_ids: Iterable[int] | None, why: str) -> None:
    """Sees to it that nothing is made again of replies that are not there.

    Args:
        item_ids: whose replies are needed; None for all.
        why: what they are needed for, without a full stop.

    Raises:
        OutputError: some of them were dropped.
    """
    missing = ledger.calls.has_dropped if item_ids is None else ledger.calls.dropped_of(item_ids)
    if missing:
        whose = "replies" if item_ids is None else f"the replies of {counted(missing, 'item')}"
        raise OutputError(
            f"{why}, and {whose} were dropped (run.ledger.replies). Nothing was sent. Put the "
            f"file or the config back as it was, or set `run: {{ledger: {{buy_again: true}}}}` to buy these replies once more."
        )


def refuse_unasked(ledger: Ledger, item_ids: Iterable[int]) -> None:
    """The same, for stages that are to ask models about rows that are recorded: these are made of their replies for that.

    Raises:
        OutputError: some of them were dropped.
    """
    missing = ledger.calls.dropped_of(item_ids)
    if missing:
        raise OutputError(
            f"quality: stages are to ask models about rows of {counted(missing, 'item')} whose replies were dropped "
            f"(run.ledger.replies). Nothing was sent. Take these stages out of the config, or use them with `datafast filter`."
        )

"""What is said on a card about the rows of an output: what they were made from, and whether a simulated model made them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from datafast.export.card import CardInfo
from datafast.store.reader import LedgerReader

if TYPE_CHECKING:
    from datafast.store.paths import OutputPaths

__all__ = ["card_of"]


def card_of(
    paths: OutputPaths, *, title: str, kind: str, languages: Mapping[str, str], settings: Mapping[str, Any]
) -> CardInfo:
    """The card of an output."""
    return CardInfo(
        title=title, kind=kind, languages=dict(languages), settings=dict(settings), simulated=_is_simulated(paths)
    )


def _is_simulated(paths: OutputPaths) -> bool:
    if not paths.ledger.exists():
        return False  # a JSONL that came here without its ledger
    with LedgerReader(paths.ledger) as reader:
        return bool(reader.meta("mode") == "simulated")

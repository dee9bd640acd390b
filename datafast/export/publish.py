"""The rows of an output -> the Hub, with a card that says what they were made from and whether a simulated model made them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from datafast.export.card import CardInfo
from datafast.export.hub import push_to_hub
from datafast.store.reader import LedgerReader

if TYPE_CHECKING:
    from pydantic import BaseModel

    from datafast.store.paths import OutputPaths

__all__ = ["publish"]


def publish(
    paths: OutputPaths,
    *,
    row_model: type[BaseModel],
    repo_id: str,
    kind: str,
    languages: Mapping[str, str],
    settings: Mapping[str, Any],
    **options: Any,
) -> str:
    """Pushes the rows of an output and returns the URL of the dataset.

    Args:
        kind, languages, settings: for the card.
        **options: as of `push_to_hub`.
    """
    card = CardInfo(
        title=repo_id.rpartition("/")[2],
        kind=kind,
        languages=dict(languages),
        settings=dict(settings),
        simulated=_is_simulated(paths),
    )
    return push_to_hub(paths.rows, row_model=row_model, repo_id=repo_id, card=card, **options)


def _is_simulated(paths: OutputPaths) -> bool:
    if not paths.ledger.exists():
        return False  # a JSONL that came here without its ledger
    with LedgerReader(paths.ledger) as reader:
        return bool(reader.meta("mode") == "simulated")

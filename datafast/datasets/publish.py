"""From a dataset to what `datafast.export` needs to publish it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from datafast.datasets.config import PromptDatasetConfig
from datafast.store.ledger import Ledger
from datafast.store.paths import OutputPaths

if TYPE_CHECKING:
    from datafast.datasets.base import Dataset

__all__ = ["publish"]


def publish(dataset: Dataset[Any, Any], repo_id: str, **options: Any) -> str:
    """Pushes a dataset's rows with a card made from its config; see `Dataset.push_to_hub`."""
    from datafast.export.card import CardInfo
    from datafast.export.hub import push_to_hub

    config = dataset.config
    path = Path(config.output_file)
    card = CardInfo(
        title=repo_id.rpartition("/")[2],
        kind=dataset.kind,
        languages=dict(config.languages) if isinstance(config, PromptDatasetConfig) else {},
        settings=config.model_dump(mode="json", exclude={"output_file", "run", "languages"}, exclude_none=True),
        simulated=_is_simulated(OutputPaths.of(path, config.run.ledger)),
    )
    return push_to_hub(path, row_model=dataset.row_model, repo_id=repo_id, card=card, **options)


def _is_simulated(paths: OutputPaths) -> bool:
    if not paths.ledger.exists():
        return False  # a JSONL that came here without its ledger
    ledger = Ledger(paths.ledger, read_only=True)
    try:
        return bool(ledger.meta("mode") == "simulated")
    finally:
        ledger.close()

"""From a dataset to what `datafast.export` needs to publish it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from datafast.errors import ConfigError

if TYPE_CHECKING:
    from datafast.datasets.base import Dataset

__all__ = ["publish"]


def publish(dataset: Dataset[Any, Any], repo_id: str, **options: Any) -> str:
    """Pushes a dataset's rows with a card made from its config; see `Dataset.push_to_hub`."""
    from datafast.export.card import CardInfo
    from datafast.export.hub import push_to_hub

    config = dataset.config
    path = Path(config.output_file)
    rows = dataset.data_rows
    if not rows:
        raise ConfigError(f"{path} holds no rows; generate them before publishing")
    card = CardInfo(
        title=repo_id.rpartition("/")[2],
        kind=dataset.kind,
        languages=dict(config.languages),
        settings=config.card_settings(),
    )
    return push_to_hub(path, row_model=dataset.row_model, repo_id=repo_id, card=card, **options)

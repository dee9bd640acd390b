"""The inspectors of the first datafast: each opens the viewer on its dataset, as `dataset.inspect` does."""

from __future__ import annotations

from typing import Any

from datafast.datasets.dataset import Dataset

__all__ = [
    "inspect_classification_dataset",
    "inspect_mcq_dataset",
    "inspect_preference_dataset",
    "inspect_raw_dataset",
    "inspect_ultrachat_dataset",
]


def _inspect(dataset: Dataset[Any, Any], random: bool = False) -> None:
    dataset.inspect(random)


inspect_classification_dataset = inspect_mcq_dataset = inspect_preference_dataset = _inspect
inspect_raw_dataset = inspect_ultrachat_dataset = _inspect

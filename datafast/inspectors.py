"""The inspectors of the first datafast: each prints rows of its dataset, as `dataset.inspect` does.

They opened a page in the browser there; with many rows, `dataset.to_pandas()` in a notebook comes close.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datafast._util.lazy import lazy_names
from datafast.datasets.dataset import Dataset
from datafast.datasets.former import FORMER_INSPECTORS

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, {}, absent=FORMER_INSPECTORS)

__all__ = [
    "inspect_classification_dataset",
    "inspect_mcq_dataset",
    "inspect_preference_dataset",
    "inspect_raw_dataset",
]


def _inspect(dataset: Dataset[Any, Any], random: bool = False) -> None:
    dataset.inspect(random)


inspect_classification_dataset = inspect_mcq_dataset = inspect_preference_dataset = inspect_raw_dataset = _inspect

"""Kinds of the first datafast that this one does not have, and its older names: told where a script imports them."""

from __future__ import annotations

__all__ = ["FORMER_CONFIGS", "FORMER_DATASETS"]

FORMER_DATASETS = {
    "TextClassificationDataset": "It is ClassificationDataset.",
    "TextDataset": "It is RawDataset.",
    "UltraChatDataset": "It is UltrachatDataset.",
}
FORMER_CONFIGS = {
    "ClassificationConfig": "It is ClassificationDatasetConfig.",
    "TextDatasetConfig": "It is RawDatasetConfig.",
    "UltraChatDatasetConfig": "It is UltrachatDatasetConfig.",
}

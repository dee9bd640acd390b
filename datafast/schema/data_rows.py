"""The rows of all kinds."""

from datafast.datasets.data_rows import (
    LabelSource,
    PreferenceRow,
    PreferenceSource,
    TextClassificationRow,
    TextRow,
    TextSource,
)

__all__ = [
    "LabelSource",
    "PreferenceRow",
    "PreferenceSource",
    "TextClassificationRow",
    "TextRow",
    "TextSource",
]

"""The dataset kinds, one file each."""

from datafast.datasets.classification import ClassificationDataset
from datafast.datasets.conversation import ConversationDataset
from datafast.datasets.preference import PreferenceDataset
from datafast.datasets.raw import RawDataset

__all__ = ["ClassificationDataset", "ConversationDataset", "PreferenceDataset", "RawDataset"]

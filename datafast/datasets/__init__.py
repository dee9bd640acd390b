"""The dataset kinds, one file each."""

from datafast.datasets.classification import ClassificationDataset
from datafast.datasets.columns import ColumnsDataset
from datafast.datasets.conversation.kind import ConversationDataset
from datafast.datasets.preference import PreferenceDataset
from datafast.datasets.raw import RawDataset

__all__ = ["ClassificationDataset", "ColumnsDataset", "ConversationDataset", "PreferenceDataset", "RawDataset"]

"""The configs of all kinds."""

from datafast.datasets.classification import ClassificationDatasetConfig, TextClass
from datafast.datasets.columns import ColumnsDatasetConfig
from datafast.datasets.config import PromptExpansionConfig
from datafast.datasets.conversation.kind import ConversationDatasetConfig
from datafast.datasets.preference import PreferenceDatasetConfig
from datafast.datasets.raw import RawDatasetConfig
from datafast.engine.settings import RunConfig
from datafast.topics.config import TopicsConfig

__all__ = [
    "ClassificationDatasetConfig",
    "ColumnsDatasetConfig",
    "ConversationDatasetConfig",
    "PreferenceDatasetConfig",
    "PromptExpansionConfig",
    "RawDatasetConfig",
    "RunConfig",
    "TextClass",
    "TopicsConfig",
]

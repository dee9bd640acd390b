"""The rows of all kinds."""

from datafast.datasets.conversation.rows import AgentConversationRow, ConversationRow, ReasonedConversationRow
from datafast.datasets.data_rows import (
    LabelSource,
    PreferenceRow,
    PreferenceSource,
    TextClassificationRow,
    TextRow,
    TextSource,
)

__all__ = [
    "AgentConversationRow",
    "ConversationRow",
    "LabelSource",
    "PreferenceRow",
    "PreferenceSource",
    "ReasonedConversationRow",
    "TextClassificationRow",
    "TextRow",
    "TextSource",
]

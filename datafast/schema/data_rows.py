"""The rows of all kinds."""

from datafast.datasets.classification import LabelSource, TextClassificationRow
from datafast.datasets.conversation.rows import AgentConversationRow, ConversationRow, ReasonedConversationRow
from datafast.datasets.preference import PreferenceRow, PreferenceSource
from datafast.datasets.raw import TextRow, TextSource

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

"""Kinds of the first datafast that this one does not have, and its older names: told where a script imports them."""

from __future__ import annotations

__all__ = ["FORMER_CONFIGS", "FORMER_DATASETS", "FORMER_INSPECTORS", "FORMER_ROWS"]

_CHAT = "Chats of several turns are made by a ConversationDataset with max_turns."

FORMER_DATASETS = {
    "TextClassificationDataset": "It is ClassificationDataset.",
    "TextDataset": "It is RawDataset.",
    "UltraChatDataset": _CHAT,
    "UltrachatDataset": _CHAT,
}
FORMER_CONFIGS = {
    "ClassificationConfig": "It is ClassificationDatasetConfig.",
    "TextDatasetConfig": "It is RawDatasetConfig.",
    "UltraChatDatasetConfig": _CHAT,
    "UltrachatDatasetConfig": _CHAT,
}
FORMER_ROWS = {
    "ChatRow": _CHAT,
}
FORMER_INSPECTORS = {"inspect_ultrachat_dataset": _CHAT}

"""Kinds of the first datafast that this one does not have, and its older names: told where a script imports them."""

from __future__ import annotations

__all__ = ["FORMER_CONFIGS", "FORMER_DATASETS", "FORMER_INSPECTORS", "FORMER_ROWS"]

_MCQ = "Multiple-choice questions are made by a ColumnsDataset: a column from the source, and a structured one for the rest."
_CHAT = "Chats of several turns are made by a ConversationDataset with max_turns."
_PIPELINE = (
    "A table is sent through prompts by a ColumnsDataset: columns from the source, and columns that a model writes."
)

FORMER_DATASETS = {
    "GenericPipelineDataset": _PIPELINE,
    "MCQDataset": _MCQ,
    "TextClassificationDataset": "It is ClassificationDataset.",
    "TextDataset": "It is RawDataset.",
    "UltraChatDataset": _CHAT,
    "UltrachatDataset": _CHAT,
}
FORMER_CONFIGS = {
    "ClassificationConfig": "It is ClassificationDatasetConfig.",
    "GenericPipelineDatasetConfig": _PIPELINE,
    "MCQDatasetConfig": _MCQ,
    "TextDatasetConfig": "It is RawDatasetConfig.",
    "UltraChatDatasetConfig": _CHAT,
    "UltrachatDatasetConfig": _CHAT,
}
FORMER_ROWS = {
    "ChatRow": _CHAT,
    "GenericPipelineRow": _PIPELINE,
    "GenericPipelineSource": _PIPELINE,
    "MCQRow": _MCQ,
    "MCQSource": _MCQ,
}
FORMER_INSPECTORS = {"inspect_mcq_dataset": _MCQ, "inspect_ultrachat_dataset": _CHAT}

"""The rows of all kinds."""

from typing import TYPE_CHECKING

from datafast._util.lazy import lazy_names

if TYPE_CHECKING:
    from datafast.datasets.classification import LabelSource, TextClassificationRow
    from datafast.datasets.conversation.rows import (
        AgentConversationRow,
        ConversationRow,
        ReasonedConversationRow,
        ToolConversationRow,
    )
    from datafast.datasets.document_qa import DocumentQARow
    from datafast.datasets.generic_pipeline import GenericPipelineRow, GenericPipelineSource
    from datafast.datasets.instruction.rows import InstructionRow, InstructionSource
    from datafast.datasets.judgement import ComparisonRow, JudgementRow
    from datafast.datasets.mcq import MCQRow, MCQSource
    from datafast.datasets.preference_rows import JudgedPreferenceRow, PreferenceRow, PreferenceSource
    from datafast.datasets.raw import TextRow, TextSource
    from datafast.datasets.ultrachat import ChatRow
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "datafast.datasets.classification": ["LabelSource", "TextClassificationRow"],
            "datafast.datasets.conversation.rows": [
                "AgentConversationRow",
                "ConversationRow",
                "ReasonedConversationRow",
                "ToolConversationRow",
            ],
            "datafast.datasets.document_qa": ["DocumentQARow"],
            "datafast.datasets.generic_pipeline": ["GenericPipelineRow", "GenericPipelineSource"],
            "datafast.datasets.instruction.rows": ["InstructionRow", "InstructionSource"],
            "datafast.datasets.judgement": ["ComparisonRow", "JudgementRow"],
            "datafast.datasets.mcq": ["MCQRow", "MCQSource"],
            "datafast.datasets.preference_rows": ["JudgedPreferenceRow", "PreferenceRow", "PreferenceSource"],
            "datafast.datasets.raw": ["TextRow", "TextSource"],
            "datafast.datasets.ultrachat": ["ChatRow"],
        },
    )

__all__ = [
    "AgentConversationRow",
    "ChatRow",
    "ComparisonRow",
    "ConversationRow",
    "DocumentQARow",
    "GenericPipelineRow",
    "GenericPipelineSource",
    "InstructionRow",
    "InstructionSource",
    "JudgedPreferenceRow",
    "JudgementRow",
    "LabelSource",
    "MCQRow",
    "MCQSource",
    "PreferenceRow",
    "PreferenceSource",
    "ReasonedConversationRow",
    "TextClassificationRow",
    "TextRow",
    "TextSource",
    "ToolConversationRow",
]

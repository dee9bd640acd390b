"""The dataset kinds, one file each."""

from typing import TYPE_CHECKING

from datafast._util.lazy import lazy_names
from datafast.datasets.former import FORMER_DATASETS

if TYPE_CHECKING:
    from datafast.datasets.classification import ClassificationDataset
    from datafast.datasets.columns import ColumnsDataset
    from datafast.datasets.conversation.kind import ConversationDataset
    from datafast.datasets.document_qa import DocumentQADataset
    from datafast.datasets.generic_pipeline import GenericPipelineDataset
    from datafast.datasets.instruction.kind import InstructionDataset
    from datafast.datasets.judgement import JudgementDataset
    from datafast.datasets.mcq import MCQDataset
    from datafast.datasets.preference import PreferenceDataset
    from datafast.datasets.raw import RawDataset
    from datafast.datasets.ultrachat import UltrachatDataset
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "datafast.datasets.classification": ["ClassificationDataset"],
            "datafast.datasets.columns": ["ColumnsDataset"],
            "datafast.datasets.conversation.kind": ["ConversationDataset"],
            "datafast.datasets.document_qa": ["DocumentQADataset"],
            "datafast.datasets.generic_pipeline": ["GenericPipelineDataset"],
            "datafast.datasets.instruction.kind": ["InstructionDataset"],
            "datafast.datasets.judgement": ["JudgementDataset"],
            "datafast.datasets.mcq": ["MCQDataset"],
            "datafast.datasets.preference": ["PreferenceDataset"],
            "datafast.datasets.raw": ["RawDataset"],
            "datafast.datasets.ultrachat": ["UltrachatDataset"],
        },
        absent=FORMER_DATASETS,
    )

__all__ = [
    "ClassificationDataset",
    "ColumnsDataset",
    "ConversationDataset",
    "DocumentQADataset",
    "GenericPipelineDataset",
    "InstructionDataset",
    "JudgementDataset",
    "MCQDataset",
    "PreferenceDataset",
    "RawDataset",
    "UltrachatDataset",
]

"""The configs of all kinds."""

from typing import TYPE_CHECKING

from datafast._util.lazy import lazy_names
from datafast.datasets.former import FORMER_CONFIGS

if TYPE_CHECKING:
    from datafast.columns.joint import JointRate
    from datafast.datasets.card.config import CardConfig
    from datafast.datasets.classification import ClassificationDatasetConfig, TextClass
    from datafast.datasets.columns import ColumnsDatasetConfig
    from datafast.datasets.config import PromptExpansionConfig
    from datafast.datasets.conversation.config import ConversationDatasetConfig
    from datafast.datasets.document_qa import DocumentQADatasetConfig
    from datafast.datasets.generic_pipeline import GenericPipelineDatasetConfig
    from datafast.datasets.instruction.config import InstructionDatasetConfig, InstructionJudge
    from datafast.datasets.instruction.evolution import InstructionEvolution
    from datafast.datasets.judgement import JudgementDatasetConfig
    from datafast.datasets.mcq import MCQDatasetConfig
    from datafast.datasets.preference import PreferenceDatasetConfig
    from datafast.datasets.raw import RawDatasetConfig
    from datafast.datasets.targets import StopWhen, TargetRows
    from datafast.datasets.ultrachat import UltrachatDatasetConfig
    from datafast.engine.alarms import AlarmsConfig
    from datafast.engine.settings import DropReplies, LedgerConfig, RayConfig, RunConfig
    from datafast.judging.best_of_n import BestOfN, CandidateJudge
    from datafast.personas.config import PersonasConfig
    from datafast.prompt_library.template import PromptTemplate, Requirement
    from datafast.sources.source import Source
    from datafast.topics.config import TopicsConfig
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "datafast.columns.joint": ["JointRate"],
            "datafast.datasets.card.config": ["CardConfig"],
            "datafast.datasets.classification": ["ClassificationDatasetConfig", "TextClass"],
            "datafast.datasets.columns": ["ColumnsDatasetConfig"],
            "datafast.datasets.config": ["PromptExpansionConfig"],
            "datafast.datasets.conversation.config": ["ConversationDatasetConfig"],
            "datafast.datasets.document_qa": ["DocumentQADatasetConfig"],
            "datafast.datasets.generic_pipeline": ["GenericPipelineDatasetConfig"],
            "datafast.datasets.instruction.config": ["InstructionDatasetConfig", "InstructionJudge"],
            "datafast.datasets.instruction.evolution": ["InstructionEvolution"],
            "datafast.datasets.judgement": ["JudgementDatasetConfig"],
            "datafast.datasets.mcq": ["MCQDatasetConfig"],
            "datafast.datasets.preference": ["PreferenceDatasetConfig"],
            "datafast.datasets.raw": ["RawDatasetConfig"],
            "datafast.datasets.ultrachat": ["UltrachatDatasetConfig"],
            "datafast.engine.alarms": ["AlarmsConfig"],
            "datafast.engine.settings": ["DropReplies", "LedgerConfig", "RayConfig", "RunConfig"],
            "datafast.datasets.targets": ["StopWhen", "TargetRows"],
            "datafast.judging.best_of_n": ["BestOfN", "CandidateJudge"],
            "datafast.prompt_library.template": ["PromptTemplate", "Requirement"],
            "datafast.sources.source": ["Source"],
            "datafast.personas.config": ["PersonasConfig"],
            "datafast.topics.config": ["TopicsConfig"],
        },
        absent=FORMER_CONFIGS,
    )

__all__ = [
    "AlarmsConfig",
    "BestOfN",
    "CandidateJudge",
    "CardConfig",
    "ClassificationDatasetConfig",
    "ColumnsDatasetConfig",
    "ConversationDatasetConfig",
    "DocumentQADatasetConfig",
    "DropReplies",
    "GenericPipelineDatasetConfig",
    "InstructionDatasetConfig",
    "InstructionEvolution",
    "InstructionJudge",
    "JointRate",
    "JudgementDatasetConfig",
    "LedgerConfig",
    "MCQDatasetConfig",
    "PersonasConfig",
    "PreferenceDatasetConfig",
    "PromptExpansionConfig",
    "PromptTemplate",
    "RawDatasetConfig",
    "RayConfig",
    "Requirement",
    "RunConfig",
    "Source",
    "StopWhen",
    "TargetRows",
    "TextClass",
    "TopicsConfig",
    "UltrachatDatasetConfig",
]

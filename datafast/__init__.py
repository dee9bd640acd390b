"""datafast: the factory for synthetic text datasets.

Public names load on first use, so `import datafast` stays light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datafast._util.lazy import lazy_names
from datafast._util.version import VERSION

if TYPE_CHECKING:
    from datafast.datasets import (
        ClassificationDataset,
        ColumnsDataset,
        ConversationDataset,
        DocumentQADataset,
        GenericPipelineDataset,
        InstructionDataset,
        JudgementDataset,
        MCQDataset,
        PreferenceDataset,
        RawDataset,
        UltrachatDataset,
    )
    from datafast.datasets.loaded import load
    from datafast.engine.estimate import Estimate
    from datafast.errors import (
        ConfigError,
        DatafastError,
        DataSetGeneratorError,
        OutputError,
        ProviderError,
        PublishError,
        RunStopped,
        ToolError,
        TopicsError,
    )
    from datafast.facades.evaluation import evaluate
    from datafast.facades.frame import dataset, generator, sample
    from datafast.facades.generator import DataSetGenerator
    from datafast.llms import (
        AnthropicProvider,
        AzureOpenAIProvider,
        GeminiProvider,
        LiteLLMProvider,
        LlamaCppProvider,
        LLMProvider,
        MistralProvider,
        OllamaProvider,
        OpenAICompatibleProvider,
        OpenAIProvider,
        OpenRouterProvider,
        SimulatedProvider,
        TransformersProvider,
        release_models,
    )
    from datafast.logger_config import configure_logger
    from datafast.plan.expansion import expand_prompts
    from datafast.schema.config import (
        ClassificationDatasetConfig,
        ColumnsDatasetConfig,
        ConversationDatasetConfig,
        DocumentQADatasetConfig,
        GenericPipelineDatasetConfig,
        InstructionDatasetConfig,
        JudgementDatasetConfig,
        MCQDatasetConfig,
        PersonasConfig,
        PreferenceDatasetConfig,
        PromptExpansionConfig,
        PromptTemplate,
        RawDatasetConfig,
        RunConfig,
        TopicsConfig,
        UltrachatDatasetConfig,
    )
    from datafast.topics import Graph, Tree
    from datafast.types import FailedItem, RunReport
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "datafast.datasets": [
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
            ],
            "datafast.datasets.loaded": ["load"],
            "datafast.engine.estimate": ["Estimate"],
            "datafast.errors": [
                "ConfigError",
                "DataSetGeneratorError",
                "DatafastError",
                "OutputError",
                "ProviderError",
                "PublishError",
                "RunStopped",
                "ToolError",
                "TopicsError",
            ],
            "datafast.plan.expansion": ["expand_prompts"],
            "datafast.facades.evaluation": ["eval", "evaluate"],
            "datafast.facades.frame": ["dataset", "generator", "sample"],
            "datafast.facades.generator": ["DataSetGenerator"],
            "datafast.llms": [
                "AnthropicProvider",
                "AzureOpenAIProvider",
                "GeminiProvider",
                "LLMProvider",
                "LiteLLMProvider",
                "LlamaCppProvider",
                "MistralProvider",
                "OllamaProvider",
                "OpenAICompatibleProvider",
                "OpenAIProvider",
                "OpenRouterProvider",
                "SimulatedProvider",
                "TransformersProvider",
                "release_models",
            ],
            "datafast.logger_config": ["configure_logger"],
            "datafast.schema.config": [
                "ClassificationDatasetConfig",
                "ColumnsDatasetConfig",
                "ConversationDatasetConfig",
                "DocumentQADatasetConfig",
                "GenericPipelineDatasetConfig",
                "InstructionDatasetConfig",
                "JudgementDatasetConfig",
                "MCQDatasetConfig",
                "PersonasConfig",
                "PreferenceDatasetConfig",
                "PromptExpansionConfig",
                "PromptTemplate",
                "RawDatasetConfig",
                "RunConfig",
                "TopicsConfig",
                "UltrachatDatasetConfig",
            ],
            "datafast.topics": ["Graph", "Tree"],
            "datafast.types": ["FailedItem", "RunReport"],
        },
        absent={
            **dict.fromkeys(
                ["LLMStep", "Pipeline", "Seed", "Sink", "Source"],
                "Steps over records are columns here: see dataset({...}) and ColumnsDataset.",
            ),
            "generate_with_viewer": "Use dataset(...).generate(n), and on_event=... to watch it.",
        },
    )

__version__ = VERSION


def get_version() -> str:
    """The version of datafast."""
    return __version__


__all__ = [
    "AnthropicProvider",
    "AzureOpenAIProvider",
    "ClassificationDataset",
    "ClassificationDatasetConfig",
    "ColumnsDataset",
    "ColumnsDatasetConfig",
    "ConfigError",
    "ConversationDataset",
    "ConversationDatasetConfig",
    "DataSetGenerator",
    "DataSetGeneratorError",
    "DatafastError",
    "DocumentQADataset",
    "DocumentQADatasetConfig",
    "Estimate",
    "FailedItem",
    "GeminiProvider",
    "GenericPipelineDataset",
    "GenericPipelineDatasetConfig",
    "Graph",
    "InstructionDataset",
    "InstructionDatasetConfig",
    "JudgementDataset",
    "JudgementDatasetConfig",
    "LLMProvider",
    "LiteLLMProvider",
    "LlamaCppProvider",
    "MCQDataset",
    "MCQDatasetConfig",
    "MistralProvider",
    "OllamaProvider",
    "OpenAICompatibleProvider",
    "OpenAIProvider",
    "OpenRouterProvider",
    "OutputError",
    "PersonasConfig",
    "PreferenceDataset",
    "PreferenceDatasetConfig",
    "PromptExpansionConfig",
    "PromptTemplate",
    "ProviderError",
    "PublishError",
    "RawDataset",
    "RawDatasetConfig",
    "RunConfig",
    "RunReport",
    "RunStopped",
    "SimulatedProvider",
    "ToolError",
    "TopicsConfig",
    "TopicsError",
    "TransformersProvider",
    "Tree",
    "UltrachatDataset",
    "UltrachatDatasetConfig",
    "__version__",
    "configure_logger",
    "dataset",
    "evaluate",
    "expand_prompts",
    "generator",
    "get_version",
    "load",
    "release_models",
    "sample",
]

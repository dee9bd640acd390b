"""All names of DeepFabric, for scripts that change their imports: `from datafast.deepfabric import DataSetGenerator, Tree, Dataset`.

What DeepFabric has in `deepfabric.tree`, `deepfabric.dataset`, `deepfabric.config` and so on is here, too. A name that there is not says
what to use instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datafast._util.lazy import lazy_names

if TYPE_CHECKING:
    from datafast.config_files.deepfabric.config import (
        DeepFabricConfig,
        create_dataset,
        handle_graph_events,
        handle_tree_events,
        load_or_build_topic_model,
        save_dataset,
    )
    from datafast.facades.deepfabric.errors import (
        APIError,
        ConfigurationError,
        CyclicGraphError,
        DatasetError,
        DataSetGeneratorError,
        DeepFabricError,
        GraphError,
        HubUploadError,
        ModelError,
        RetryExhaustedError,
        TreeError,
        ValidationError,
    )
    from datafast.facades.deepfabric.first_versions import Arguments, Graph, Tree
    from datafast.facades.deepfabric.generated import Dataset, load_dataset
    from datafast.facades.deepfabric.tools import get_default_tools, load_tools_from_file
    from datafast.facades.deepfabric.uploader import HFUploader
    from datafast.facades.generator import DataSetGenerator
    from datafast.topics.model import TopicModel

    DataEngine = DataSetGenerator
    TopicTree, TopicGraph = Tree, Graph
    TreeArguments = GraphArguments = TopicTreeArguments = TopicGraphArguments = Arguments
    DataSetGeneratorArguments = EngineArguments = Arguments
else:
    _named, __dir__ = lazy_names(
        __name__,
        {
            "datafast.config_files.deepfabric.config": [
                "DeepFabricConfig",
                "create_dataset",
                "handle_graph_events",
                "handle_tree_events",
                "load_or_build_topic_model",
                "save_dataset",
            ],
            "datafast.facades.deepfabric.errors": [
                "APIError",
                "ConfigurationError",
                "CyclicGraphError",
                "DataSetGeneratorError",
                "DatasetError",
                "DeepFabricError",
                "GraphError",
                "HubUploadError",
                "ModelError",
                "RetryExhaustedError",
                "TreeError",
                "ValidationError",
            ],
            "datafast.facades.deepfabric.first_versions": ["Arguments", "Graph", "Tree"],
            "datafast.facades.deepfabric.generated": ["Dataset", "load_dataset"],
            "datafast.facades.deepfabric.tools": ["get_default_tools", "load_tools_from_file"],
            "datafast.facades.deepfabric.uploader": ["HFUploader"],
            "datafast.facades.generator": ["DataSetGenerator"],
            "datafast.topics.model": ["TopicModel"],
        },
    )

__all__ = [
    "APIError",
    "Arguments",
    "ConfigurationError",
    "CyclicGraphError",
    "DataEngine",
    "DataSetGenerator",
    "DataSetGeneratorArguments",
    "DataSetGeneratorError",
    "Dataset",
    "DatasetError",
    "DeepFabricConfig",
    "DeepFabricError",
    "EngineArguments",
    "Graph",
    "GraphArguments",
    "GraphError",
    "HFUploader",
    "HubUploadError",
    "ModelError",
    "RetryExhaustedError",
    "TopicGraph",
    "TopicGraphArguments",
    "TopicModel",
    "TopicTree",
    "TopicTreeArguments",
    "Tree",
    "TreeArguments",
    "TreeError",
    "ValidationError",
    "create_dataset",
    "get_default_tools",
    "handle_graph_events",
    "handle_tree_events",
    "load_dataset",
    "load_or_build_topic_model",
    "load_tools_from_file",
    "save_dataset",
]

_SAME = {
    "DataEngine": "DataSetGenerator",
    "DataSetGeneratorArguments": "Arguments",
    "EngineArguments": "Arguments",
    "GraphArguments": "Arguments",
    "TopicGraph": "Graph",
    "TopicGraphArguments": "Arguments",
    "TopicTree": "Tree",
    "TopicTreeArguments": "Arguments",
    "TreeArguments": "Arguments",
}
_EVALUATION = "Models are not evaluated by datafast. Use lm-evaluation-harness, or a judge column."
_TRAINING = "Rows need no preparation for training. Give row['messages'] and row['tools'] to apply_chat_template."
_FORMATTERS = "Rows are written in other forms by dataset.save(path, format='trl'), openai, sharegpt, alpaca or chatml."
_REASONING = "Types of conversation have no schemas of their own here. Rows have messages; see ConversationDataset."
_INSTEAD = {
    "KaggleUploader": "Nothing is uploaded to Kaggle. Use its own client with the file that dataset.save wrote.",
    "Evaluator": _EVALUATION,
    "EvaluatorConfig": _EVALUATION,
    "InferenceConfig": _EVALUATION,
    "SplitConfig": "Use dataset.split(test_size=0.1).",
    "split_to_hf_dataset": "Use dataset.split(test_size=0.1).",
    "DeepFabricCallback": "No metrics are sent to DeepFabric's service. Use the callbacks of your trainer.",
    "MetricsSender": "No metrics are sent to DeepFabric's service. Use the callbacks of your trainer.",
    "prepare_dataset_for_training": _TRAINING,
    "get_used_tool_names": _TRAINING,
    "filter_tools_for_sample": _TRAINING,
    "clean_tool_schema": _TRAINING,
    "BaseFormatter": _FORMATTERS,
    "FormatterConfig": _FORMATTERS,
    "FormatterError": _FORMATTERS,
    "FormatterRegistry": _FORMATTERS,
    "ToolDefinition": "Give tools as mappings with name, description and parameters.",
    "ToolParameter": "Give tools as mappings with name, description and parameters.",
    "FreeTextCoT": _REASONING,
    "StructuredCoT": _REASONING,
    "HybridCoT": _REASONING,
    "DataSetGeneratorConfig": "Give its fields to DataSetGenerator.",
    "TreeConfig": "Give its fields to Tree.",
    "GraphConfig": "Give its fields to Graph.",
    "get_available_tools": "Use get_default_tools() or load_tools_from_file(path).",
    "LLMClient": "Use a provider, like datafast.OpenAIProvider(model_id=...), and its generate().",
}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in _INSTEAD:
            raise ImportError(f"{name}: There is no such name in datafast. {_INSTEAD[name]}", name=name)
        return _named(_SAME.get(name, name))

"""What datafast comes with, and what other packages add to it, by name.

A package adds a thing by an entry point, here a kind in its pyproject.toml:

    [project.entry-points."datafast.kinds"]
    dialogue = "my_package.dialogue:DialogueDataset"

The groups:

    datafast.kinds       dataset kinds: classes derived from `FanOutDataset` or `RoleDataset` of `datafast.datasets.base`
    datafast.providers   providers: classes derived from `datafast.llms.LLMProvider`
    datafast.columns     types of column: classes derived from `datafast.columns.Column`
    datafast.stages      stages that decide about rows: classes derived from `Stage` or `WalkStage` of `datafast.quality.base`
    datafast.formats     formats of files: classes derived from `datafast.export.formats.Format`, or functions
    datafast.commands    commands of the command line: `click.Command` objects

A kind is a class with `kind` (its name), `config_model` and `row_model`. It is derived from `FanOutDataset`, and takes a list of
providers, or from `RoleDataset`, and takes one provider for each of the `roles` of its config.
"""

from __future__ import annotations

from typing import Any

from datafast._util.plugins import Door

__all__ = ["BUILT_IN", "KINDS", "kind_names", "load_kind"]

# The one list of what is built in, in the shape of entry points. What is new has its line here.
BUILT_IN: dict[str, dict[str, str]] = {
    "datafast.kinds": {
        "raw": "datafast.datasets.raw:RawDataset",
        "classification": "datafast.datasets.classification:ClassificationDataset",
        "preference": "datafast.datasets.preference:PreferenceDataset",
        "columns": "datafast.datasets.columns:ColumnsDataset",
        "conversation": "datafast.datasets.conversation.kind:ConversationDataset",
        "mcq": "datafast.datasets.mcq:MCQDataset",
        "document_qa": "datafast.datasets.document_qa:DocumentQADataset",
        "judgement": "datafast.datasets.judgement:JudgementDataset",
        "generic_pipeline": "datafast.datasets.generic_pipeline:GenericPipelineDataset",
        "instruction": "datafast.datasets.instruction.kind:InstructionDataset",
        "ultrachat": "datafast.datasets.ultrachat:UltrachatDataset",
    },
    "datafast.providers": {
        "anthropic": "datafast.llms.providers.anthropic:AnthropicProvider",
        "azure": "datafast.llms.providers.azure:AzureOpenAIProvider",
        "gemini": "datafast.llms.providers.gemini:GeminiProvider",
        "litellm": "datafast.llms.providers.litellm:LiteLLMProvider",
        "llama_cpp": "datafast.llms.local.llama_cpp:LlamaCppProvider",
        "mistral": "datafast.llms.providers.chat_completions:MistralProvider",
        "ollama": "datafast.llms.providers.chat_completions:OllamaProvider",
        "openai": "datafast.llms.providers.chat_completions:OpenAIProvider",
        "openai_compatible": "datafast.llms.providers.chat_completions:OpenAICompatibleProvider",
        "openrouter": "datafast.llms.providers.chat_completions:OpenRouterProvider",
        "simulated": "datafast.llms.simulated.provider:SimulatedProvider",
        "transformers": "datafast.llms.local.transformers:TransformersProvider",
    },
    "datafast.columns": {
        "binomial": "datafast.columns.types.distributions:BinomialColumn",
        "choice": "datafast.columns.types.choice:ChoiceColumn",
        "constant": "datafast.columns.types.samplers:ConstantColumn",
        "datetime": "datafast.columns.types.datetime:DatetimeColumn",
        "distribution": "datafast.columns.types.distributions:DistributionColumn",
        "exponential": "datafast.columns.types.distributions:ExponentialColumn",
        "expression": "datafast.columns.types.computed:ExpressionColumn",
        "function": "datafast.columns.types.computed:FunctionColumn",
        "judge": "datafast.columns.types.llm:JudgeColumn",
        "lognormal": "datafast.columns.types.distributions:LognormalColumn",
        "normal": "datafast.columns.types.distributions:NormalColumn",
        "person": "datafast.columns.types.person:PersonColumn",
        "poisson": "datafast.columns.types.distributions:PoissonColumn",
        "range": "datafast.columns.types.samplers:RangeColumn",
        "source": "datafast.columns.types.source:SourceColumn",
        "structured": "datafast.columns.types.llm:StructuredColumn",
        "text": "datafast.columns.types.llm:TextColumn",
        "uuid": "datafast.columns.types.samplers:UuidColumn",
    },
    "datafast.stages": {
        "check": "datafast.quality.check:CheckStage",
        "contamination": "datafast.quality.contamination:ContaminationStage",
        "echo": "datafast.quality.echo:EchoStage",
        "exact_duplicates": "datafast.quality.exact_duplicates:ExactDuplicatesStage",
        "judge": "datafast.quality.judge:JudgeStage",
        "keep_if": "datafast.quality.keep_if:KeepIfStage",
        "language": "datafast.quality.language:LanguageStage",
        "length": "datafast.quality.length:LengthStage",
        "near_duplicates": "datafast.quality.near_duplicates:NearDuplicatesStage",
        "pii": "datafast.quality.pii:PiiStage",
        "refusals": "datafast.quality.refusals:RefusalsStage",
        "regex": "datafast.quality.regex:RegexStage",
        "repetition": "datafast.quality.repetition:RepetitionStage",
        "semantic_duplicates": "datafast.quality.semantic_duplicates:SemanticDuplicatesStage",
    },
    "datafast.formats": {
        "parquet": "datafast.export.rows:ParquetRows",
        "csv": "datafast.export.rows:CsvRows",
        "json": "datafast.export.rows:JsonRows",
        "jsonl": "datafast.export.rows:JsonlRows",
        "arrow": "datafast.export.rows:ArrowRows",
        "save_to_disk": "datafast.export.rows:SavedRows",
        "language_modeling": "datafast.export.trl:LanguageModeling",
        "prompt_only": "datafast.export.trl:PromptOnly",
        "prompt_completion": "datafast.export.trl:PromptCompletion",
        "trl_conversational": "datafast.export.trl:TrlConversational",
        "dpo": "datafast.export.trl:Dpo",
        "dpo_implicit": "datafast.export.trl:DpoImplicit",
        "kto": "datafast.export.trl:Kto",
        "stepwise": "datafast.export.trl:Stepwise",
        "trl": "datafast.export.trl:TrlConversational",
        "openai": "datafast.export.chat:OpenAI",
        "openai_dpo": "datafast.export.chat:OpenAIDpo",
        "sharegpt": "datafast.export.chat:ShareGPT",
        "alpaca": "datafast.export.chat:Alpaca",
        "chatml": "datafast.export.chat:ChatML",
        "classification": "datafast.export.chat:Classification",
        "chat_template": "datafast.export.rendered:Rendered",
        "axolotl": "datafast.export.axolotl:Axolotl",
        "axolotl_dpo": "datafast.export.axolotl:AxolotlDpo",
        "axolotl_kto": "datafast.export.axolotl:AxolotlKto",
        "axolotl_stepwise": "datafast.export.axolotl:AxolotlStepwise",
        "axolotl_pretraining": "datafast.export.axolotl:AxolotlPretraining",
        "llama_factory": "datafast.export.llama_factory:LlamaFactory",
        "llama_factory_dpo": "datafast.export.llama_factory:LlamaFactoryDpo",
        "llama_factory_kto": "datafast.export.llama_factory:LlamaFactoryKto",
        "llama_factory_pretraining": "datafast.export.llama_factory:LlamaFactoryPretraining",
        "together": "datafast.export.vendors:Together",
        "together_dpo": "datafast.export.vendors:TogetherDpo",
        "mistral": "datafast.export.vendors:Mistral",
        "gemini": "datafast.export.vendors:Gemini",
        "bedrock": "datafast.export.vendors:Bedrock",
        "bedrock_anthropic": "datafast.export.vendors:BedrockAnthropic",
        "custom": "datafast.export.rows:Custom",
    },
    "datafast.commands": {
        "init": "datafast.cli.commands.init:command",
        "plan": "datafast.cli.commands.plan:command",
        "check": "datafast.cli.commands.check:command",
        "preview": "datafast.cli.commands.preview:command",
        "generate": "datafast.cli.commands.generate:command",
        "merge": "datafast.cli.commands.merge:command",
        "reshard": "datafast.cli.commands.reshard:command",
        "compact": "datafast.cli.commands.compact:command",
        "status": "datafast.cli.commands.status:command",
        "batches": "datafast.cli.commands.batches:command",
        "failures": "datafast.cli.commands.failures:command",
        "dropped": "datafast.cli.commands.dropped:command",
        "reviews": "datafast.cli.commands.reviews:command",
        "explain": "datafast.cli.commands.explain:command",
        "pack": "datafast.cli.commands.pack:command",
        "replay": "datafast.cli.commands.replay:command",
        "filter": "datafast.cli.commands.filter:command",
        "export": "datafast.cli.commands.export:command",
        "push": "datafast.cli.commands.push:command",
        "card": "datafast.cli.commands.card:command",
        "stats": "datafast.cli.commands.stats:command",
        "report": "datafast.cli.commands.report:command",
        "view": "datafast.cli.commands.view:command",
        "compare": "datafast.cli.commands.compare:command",
        "evaluate": "datafast.cli.commands.evaluate:command",
        "topics": "datafast.cli.commands.topics:command",
        "templates": "datafast.cli.commands.templates:command",
        "schema": "datafast.cli.commands.schema:command",
        "plugins": "datafast.cli.commands.plugins:command",
    },
}

_REQUIRED = ("config_model", "row_model", "plan", "produce")


def _check_kind(name: str, kind: Any) -> str | None:
    if (
        isinstance(kind, type)
        and getattr(kind, "kind", None) == name
        and all(hasattr(kind, part) for part in _REQUIRED)
    ):
        return None
    return f"a class derived from datafast.datasets.base.Dataset with kind = {name!r} is expected"


KINDS: Door[type[Any]] = Door(
    "datafast.kinds", noun="kind", built_in=BUILT_IN["datafast.kinds"], check=_check_kind, key="kind"
)


def kind_names() -> list[str]:
    """The names of all kinds: the built-in ones first, then those of installed packages. Imports none of them."""
    return KINDS.names()


def load_kind(name: str) -> type[Any]:
    """The dataset class of a kind.

    Raises:
        ConfigError: as `Door.load` says.
    """
    return KINDS.load(name)

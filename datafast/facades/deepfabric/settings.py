"""What a `DataSetGenerator` is made with, checked and in our terms. Errors use the names that its users know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datafast._util.user_path import user_path
from datafast.datasets.conversation.config import ConversationDatasetConfig
from datafast.engine.settings import RunConfig
from datafast.errors import ConfigError
from datafast.facades.deepfabric.first_versions import with_provider
from datafast.facades.deepfabric.input import check_count, check_names, topics_of
from datafast.facades.deepfabric.rate_limit import RateLimit
from datafast.facades.deepfabric.styles import style_fields
from datafast.facades.deepfabric.tools import as_openai, tools_in
from datafast.llms.provider import LLMProvider
from datafast.llms.registry import parted, provider_from_spec
from datafast.topics.model import TopicModel

__all__ = ["OTHER_NAMES", "Settings", "given_in"]

OTHER_NAMES = {
    "system_prompt": "generation_system_prompt",
    "model": "model_name",
    "base_url": "api_base",
    "custom_tools": "tools",
    "max_agent_steps": "max_steps",
    "max_tools_per_query": "max_steps",
}
"""Names of other versions, and ours for them."""
_WITHOUT_EFFECT = frozenset(["prompt_template", "max_tools_strict", "sample_retries_strict"])
_ROWS = "rows.jsonl"


def given_in(args: object, options: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters in the `args` of the first versions and the others, under our names; `given` are those under our names already.

    Raises:
        ConfigError: a parameter is given twice, under two names, with different values.
    """
    found = {**(vars(args) if hasattr(args, "__dict__") else dict(args or {})), **options}  # type: ignore[call-overload]
    renamed: dict[str, Any] = {}
    for name, value in found.items():
        if name in _WITHOUT_EFFECT and not value:
            continue
        ours = OTHER_NAMES.get(name, name)
        if ours == "max_steps" and ours in renamed and value is not None and renamed[ours] is not None:
            value = min(value, renamed[ours])
        elif ours != name and ({**given, **renamed}).get(ours) not in (None, value):
            raise ConfigError(f"{name}: This is also given as {ours}. Keep one of them.")
        renamed[ours] = value
    if args is not None and renamed.get("provider") is None:
        renamed["model_name"] = with_provider(renamed.get("model_name"))
    return renamed


class Settings:
    """The settings of all calls of one generator.

    Attributes:
        batch_size: rows that a call asks for, if it does not say otherwise.
        output_file: the place of the rows; None for a temporary folder.
        given: all but the parameters of the provider.

    Raises:
        ConfigError, ValidationError: a name or a value is wrong.
    """

    def __init__(self, given: Mapping[str, Any], own: Sequence[str]) -> None:
        values = dict(given)
        options = {name: values.pop(name) for name in list(values) if name not in own}
        check_names(options, [*own, *OTHER_NAMES])
        self._check_needed(values)
        self.given = values
        self.batch_size: int = values["default_batch_size"]
        self.output_file = user_path(values["output_file"]) if values["output_file"] is not None else None
        provider, model = parted(values["provider"], values["model_name"])
        self._max_tokens = values["max_tokens"]
        self._spec = self._provider_spec(values, provider, model, options)
        self._fields = self._conversation_fields(values)
        self._run = self._run_fields(values)
        self.provider()
        check_count("default_batch_size", self.batch_size)
        self.config(topics_of(None), num_rows=1)

    @staticmethod
    def _check_needed(values: Mapping[str, Any]) -> None:
        provider, model = parted(values["provider"], values["model_name"])
        needed = {
            "generation_system_prompt": values["generation_system_prompt"],
            "provider": provider,
            "model_name": model,
        }
        for name, value in needed.items():
            if value is None:
                raise ConfigError(f"{name}: The parameter is missing. A DataSetGenerator needs {', '.join(needed)}.")
        if not isinstance(provider, str):
            raise ConfigError(
                f"provider: expected a name, like 'openai', got {provider!r}. A ConversationDataset takes provider objects."
            )

    @staticmethod
    def _provider_spec(
        values: Mapping[str, Any], provider: str | None, model: str | None, options: Mapping[str, Any]
    ) -> dict[str, Any]:
        limits = _limits(values["rate_limit"])
        given = {
            "rpm_limit": limits.max_requests_per_minute,
            "tpm_limit": limits.max_tokens_per_minute,
        }
        return {
            "provider": provider,
            "model_id": model,
            "temperature": values["temperature"],
            "timeout": values["request_timeout"],
            **{name: value for name, value in given.items() if value is not None},
            **options,
        }

    @staticmethod
    def _conversation_fields(values: Mapping[str, Any]) -> dict[str, Any]:
        style = style_fields(
            values["conversation_type"],
            values["reasoning_style"],
            instructions=values["instructions"],
            agent_mode=values["agent_mode"],
            min_turns=values["min_turns"],
            max_turns=values["max_turns"],
            min_tool_calls=values["min_tool_calls"],
            max_steps=values["max_steps"],
            tools=_tools(values),
            available_tools=values["available_tools"] or (),
        )
        return {
            **style,
            "generation_system_prompt": values["generation_system_prompt"],
            "sys_msg": values["sys_msg"],
            "dataset_system_prompt": values["dataset_system_prompt"] or None,
            "topic_selection": values["topic_selection"],
            "example_data": values["example_data"],
            "num_examples": values["default_num_examples"],
            "output_format": values["output_format"],
        }

    @staticmethod
    def _run_fields(values: Mapping[str, Any]) -> dict[str, Any]:
        limits, own = _limits(values["rate_limit"]), values["run"] or {}
        own = own.model_dump(exclude_unset=True) if isinstance(own, RunConfig) else dict(own)
        given = {
            "max_concurrency": values["max_concurrency"],
            "seed": values["seed"],
            "max_retries": limits.max_retries if limits.max_retries is not None else values["max_retries"],
            "retry_delay_s": limits.initial_retry_delay,
            "max_retry_delay_s": limits.max_retry_delay,
            "max_parse_retries": values["sample_retries"],
        }
        return {**{name: value for name, value in given.items() if value is not None}, **own}

    def provider(self, model_name: str | None = None, *, batch_size: int | None = None) -> LLMProvider:
        """Who answers the calls that ask for `batch_size` rows; `max_tokens` holds for each of them."""
        size = batch_size or self.batch_size
        tokens = {} if self._max_tokens is None else {"max_completion_tokens": self._max_tokens * size}
        return provider_from_spec({**tokens, **self._spec, **({"model_id": model_name} if model_name else {})})

    def config(
        self,
        topics: TopicModel,
        *,
        num_rows: int | None,
        batch_size: int | None = None,
        sys_msg: bool | None = None,
        num_examples: int | None = None,
        output: Path | None = None,
    ) -> ConversationDatasetConfig:
        """The config of one call."""
        wanted = {"sys_msg": sys_msg, "num_examples": num_examples}
        return ConversationDatasetConfig(
            **{**self._fields, **{name: value for name, value in wanted.items() if value is not None}},
            topics=topics,
            num_rows=num_rows,
            examples_per_call=batch_size or self.batch_size,
            output_file=self.output_file or output or Path(_ROWS),
            run=RunConfig.model_validate(self._run),
        )


def _limits(given: Any) -> RateLimit:
    if given is not None and not isinstance(given, Mapping | RateLimit):
        known = ", ".join(RateLimit.model_fields)
        raise ConfigError(f"rate_limit: expected a mapping with any of {known}, got {given!r}.")
    return RateLimit.model_validate(given or {})


def _tools(values: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    found = [as_openai(tool, f"tools[{number}]") for number, tool in enumerate(values["tools"] or ())]
    if values["tool_registry_path"] is not None:
        found += tools_in(user_path(values["tool_registry_path"]), "tool_registry_path")
    return found or None

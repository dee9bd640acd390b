"""`generator`: a model, and the columns that it writes; `gen("Ask about {topic}")` in a schema of `dataset`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from datafast._util.config_model import in_our_words
from datafast.columns.base import Column
from datafast.columns.types.llm import JudgeColumn, StructuredColumn, TextColumn
from datafast.errors import ConfigError
from datafast.facades.chatan import model_options, unescaped
from datafast.llms.provider import LLMProvider
from datafast.llms.registry import provider_from_spec

__all__ = ["Generator", "ModelColumn", "config_error", "generator"]


@dataclass(frozen=True)
class ModelColumn:
    """A column that a model writes, and the provider that serves it. Made by a `Generator`."""

    provider: LLMProvider
    column: Column


class Generator:
    """Makes columns that one model writes. Made by `generator`.

    Attributes:
        provider: the provider that is asked.
    """

    def __init__(self, provider: LLMProvider) -> None:
        self.provider = provider

    def __call__(
        self,
        prompt: str,
        *,
        system: str | None = None,
        when: str | None = None,
        on_error: str = "fail_row",
        **variables: Any,
    ) -> ModelColumn:
        """A column of text.

        Args:
            prompt, system: templates: `{column}`, and Jinja's tags.
            when: an expression; where it is false the cell is null and costs nothing.
            on_error: fail_row, null or stop.
            **variables: more names for the templates, with their values.
        """
        for name, value in variables.items():
            if callable(value) or isinstance(value, Column | ModelColumn):
                raise ConfigError(
                    f"{name}: A value that differs from row to row is a column. Put it into the schema: "
                    f"dataset({{{name!r}: ..., ...}}); templates then write {{{name}}}."
                )
        return self._column(
            TextColumn, prompt=unescaped(prompt), system=system, when=when, on_error=on_error, variables=variables
        )

    def structured(
        self,
        prompt: str,
        form: type[BaseModel] | Mapping[str, Any],
        *,
        variables: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> ModelColumn:
        """A column of objects. `form` is a pydantic model or a JSON Schema; `options` are those of `StructuredColumn`."""
        given = {"json_schema": dict(form)} if isinstance(form, Mapping) else {"response_model": form}
        return self._column(StructuredColumn, prompt=prompt, variables=dict(variables or {}), **given, **options)

    def judge(self, prompt: str, rubric: str | Mapping[int, str] | None = None, **options: Any) -> ModelColumn:
        """A column of judgements, {reason, score}. `options` are those of `JudgeColumn`."""
        return self._column(JudgeColumn, prompt=prompt, rubric=rubric, **options)

    def _column(self, kind: type[Column], **fields: Any) -> ModelColumn:
        try:
            return ModelColumn(self.provider, kind(**fields))
        except ValidationError as error:
            raise config_error(error) from None

    def __repr__(self) -> str:
        return f"<generator {self.provider.label}>"


def generator(
    provider: str | LLMProvider = "openai", api_key: str | None = None, *, model: str | None = None, **options: Any
) -> Generator:
    """A model that columns can ask.

    Args:
        provider: its name, in any case: openai, anthropic, gemini, ollama, transformers ...; or a provider object.
        api_key: the key; by default the provider's environment variable is read when a run starts.
        model: the model; by default the provider's default model.
        **options: the provider's parameters, like `temperature`, `max_concurrency` or `api_base`. `max_tokens` and `base_url`
            are understood too.

    Raises:
        ConfigError: there is no such provider or parameter; the error gives the nearest one.
    """
    if isinstance(provider, LLMProvider):
        if api_key is not None or model is not None or options:
            raise ConfigError("generator: A provider object already has its parameters. Give them to the object.")
        return Generator(provider)
    name, slash, rest = str(provider).strip().partition("/")
    given = {"api_key": api_key, "model_id": model or (rest if slash else None), **model_options(options)}
    spec = {"provider": name.lower(), **{key: value for key, value in given.items() if value is not None}}
    return Generator(provider_from_spec(spec))


def config_error(error: ValidationError) -> ConfigError:
    """All problems that pydantic found, one a line, without pydantic's other words."""
    lines = []
    for detail in error.errors(include_url=False, include_context=False):
        place = ".".join(str(part) for part in detail["loc"] if part != "columns")
        message = in_our_words(detail["msg"].removeprefix("Value error, "))
        lines.append(f"{place}: {message}" if place else message)
    return ConfigError("\n".join(lines))

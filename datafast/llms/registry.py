"""Providers by name, as a YAML config or the command line gives them: `openai/gpt-6-luna`, or a mapping with `provider:`.

They are built in or come from other packages. A package offers one by an entry point of the group
`datafast.providers`, here in its pyproject.toml:

    [project.entry-points."datafast.providers"]
    acme = "my_package.acme:AcmeProvider"

The class is derived from `datafast.llms.LLMProvider` and has the name as its `provider_name`. A provider is imported when it is
asked for by its name.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from datafast._util.notify import did_you_mean
from datafast._util.plugins import Door
from datafast.errors import ConfigError, DatafastError
from datafast.llms.options import OPTION_SCHEMAS, text_schema
from datafast.llms.provider import LLMProvider
from datafast.registry import BUILT_IN

__all__ = ["DOOR", "PROVIDERS", "load_provider", "loaded_providers", "parted", "provider_from_spec", "provider_schema"]

# Other names of providers.
_ALIASES = {"hf": "transformers", "huggingface": "transformers", "llamacpp": "llama_cpp"}
# Whose models are called so, for what is given in place of a provider.
_MAKERS = {
    "chatgpt": "openai",
    "claude": "anthropic",
    "codestral": "mistral",
    "gemini": "gemini",
    "google": "gemini",
    "gpt": "openai",
    "ministral": "mistral",
    "mistral": "mistral",
}


def _check(name: str, provider: Any) -> str | None:
    if (
        isinstance(provider, type)
        and issubclass(provider, LLMProvider)
        and getattr(provider, "provider_name", None) == name
    ):
        return None
    return f"a class derived from datafast.llms.LLMProvider with provider_name = {name!r} is expected"


DOOR: Door[type[LLMProvider]] = Door(
    "datafast.providers", noun="provider", built_in=BUILT_IN["datafast.providers"], check=_check, key="provider"
)


class _Providers(Mapping[str, type[LLMProvider]]):
    """The classes of all providers by name; each is imported when it is used."""

    def __getitem__(self, name: str) -> type[LLMProvider]:
        if name not in self:
            raise KeyError(name)
        return DOOR.load(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (DOOR.is_built_in(name) or name in DOOR.names())

    def __iter__(self) -> Iterator[str]:
        return iter(DOOR.names())

    def __len__(self) -> int:
        return len(DOOR.names())


PROVIDERS: Mapping[str, type[LLMProvider]] = _Providers()
"""The classes of all providers by name, those of other packages among them; each is loaded when it is asked for."""


def load_provider(name: str) -> type[LLMProvider]:
    """The class of a provider, by its name or another of its names.

    Raises:
        ConfigError: there is no such provider (the error gives the nearest one), or its package is broken.
    """
    name = _ALIASES.get(name, name)
    if name not in PROVIDERS:
        raise ConfigError(f"provider: There is no provider {name!r}. {_hint(name)}", key="provider")
    return PROVIDERS[name]


def loaded_providers() -> dict[str, type[LLMProvider]]:
    """The classes of all providers that can be loaded, by name; warns of the others."""
    return DOOR.loaded()


def _hint(name: str) -> str:
    """What may be meant by the name of a provider that there is not."""
    word = re.split(r"[\W_]", name.lower())[0]
    if word in _MAKERS:
        meant = _MAKERS[word] if word == name.lower() else f"{_MAKERS[word]}/{name}"
        return f"Did you mean {meant!r}?"
    known = did_you_mean(name, [*PROVIDERS, *_ALIASES])
    return f"{known} A provider that litellm knows is litellm/{name}/<model>."


def parted(provider: str | None, model: str | None) -> tuple[str | None, str | None]:
    """Provider and model; a model like `openai/gpt-4` alone is both, if there is such a provider."""
    if provider is None and isinstance(model, str):
        first, slash, rest = model.partition("/")
        if slash and (first in PROVIDERS or first in _ALIASES):
            return first, rest
    return provider, model


def provider_from_spec(spec: str | Mapping[str, Any]) -> LLMProvider:
    """The provider that a config names.

    Args:
        spec: `provider/model_id`, split at the first slash (`openrouter/openai/gpt-6-luna`), or `provider` alone for its
            default model; or a mapping with `provider` and the parameters of its class.

    Raises:
        ConfigError: the provider or a parameter is not known (the error gives the nearest name), or a provider of another package
            cannot be made; `key` is the field.
    """
    if isinstance(spec, str):
        name, _, model_id = spec.strip().partition("/")
        options: dict[str, Any] = {"model_id": model_id} if model_id else {}
    elif isinstance(spec, Mapping):
        options = {str(key): value for key, value in spec.items()}
        name = options.pop("provider", None)
    else:
        raise ConfigError(
            f"provider: expected provider/model_id or a mapping, got {type(spec).__name__}.", key="provider"
        )
    if not isinstance(name, str) or not name.strip():
        raise ConfigError(f"provider: The name is missing. Known: {', '.join(PROVIDERS)}.", key="provider")
    provider = load_provider(name.strip())
    try:
        return provider(**options)
    except DatafastError:
        raise
    except Exception as error:
        if DOOR.is_built_in(provider.provider_name):
            raise  # a bug of ours, with its traceback
        raise ConfigError(
            f"The provider {name.strip()!r} cannot be made by {provider.__module__}.{provider.__qualname__}: "
            f"{type(error).__name__}: {error}."
        ) from error


def provider_schema() -> dict[str, Any]:
    """The JSON Schema of a provider in a config file, with the parameters of every provider that can be loaded."""
    providers = loaded_providers()
    names = [*providers, *_ALIASES]
    fields = {
        "provider": {"enum": names, "description": "Who serves the model."},
        "model_id": text_schema("The model, as the provider names it."),
        **{name: schema for name, schema in OPTION_SCHEMAS.items() if name != "api_key"},
        **_own_fields(providers),
    }
    return {
        "description": "provider/model_id, or a mapping with `provider` and its parameters. Keys do not stand here.",
        "oneOf": [
            {"type": "string", "pattern": f"^({'|'.join(map(re.escape, names))})(/.+)?$"},
            {"type": "object", "properties": fields, "required": ["provider"], "additionalProperties": False},
        ],
    }


def _own_fields(providers: Mapping[str, type[LLMProvider]]) -> dict[str, Any]:
    """The parameters of providers besides the common ones, each described with its provider."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for name, provider in providers.items():
        for field, schema in provider.own_params.items():
            found[field].append({**schema, "description": f"{name}: {schema.get('description', '')}".rstrip(": ")})
    return {field: schemas[0] if len(schemas) == 1 else {"anyOf": schemas} for field, schemas in found.items()}

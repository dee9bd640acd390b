"""The JSON Schema of a config file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic.json_schema import models_json_schema

from datafast.llms.registry import provider_schema
from datafast.registry import KINDS

__all__ = ["config_schema"]


def config_schema(names: Sequence[str] = ()) -> dict[str, Any]:
    """One schema for files of these kinds; of all, if none is named.

    Raises:
        ConfigError: there is no such kind.
    """
    kinds = {name: KINDS.load(name) for name in names} if names else KINDS.loaded()
    models = {name: kind.config_model for name, kind in kinds.items()}
    refs, shared = models_json_schema([(model, "validation") for model in models.values()], title="datafast config")
    definitions = {**shared["$defs"], "provider": provider_schema()}
    for name, kind in kinds.items():
        reference = refs[(kind.config_model, "validation")]["$ref"].rpartition("/")[2]
        _add_own_fields(definitions[reference], name, kind)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "datafast config",
        "type": "object",
        "properties": {"kind": {"enum": list(kinds)}},
        "required": ["kind"],
        "oneOf": [refs[(model, "validation")] for model in models.values()],
        "$defs": definitions,
    }


def _add_own_fields(schema: dict[str, Any], name: str, kind: type[Any]) -> None:
    provider = {"$ref": "#/$defs/provider"}
    listed: dict[str, Any] = {
        "type": "array",
        "items": provider,
        "minItems": 1,
        "description": "Every prompt goes to each of them.",
    }
    by_role: dict[str, Any] = {
        "type": "object",
        "additionalProperties": provider,
        "description": "Who answers in each role.",
    }
    takes_roles = hasattr(kind, "generate_roles")
    # Where the config itself names who is asked, one provider may answer for all, and nobody may be asked.
    named_freely = takes_roles and not kind.provider_keywords
    one = {**listed, "maxItems": 1, "description": "One provider that answers for all names."}
    forms = [by_role, one] if named_freely else [by_role] if takes_roles else [listed]
    if not takes_roles and hasattr(kind.config_model, "roles"):
        forms.append(by_role)
    providers = forms[0] if len(forms) == 1 else {"anyOf": forms}
    schema["properties"] = {"kind": {"const": name}, "providers": providers, **schema["properties"]}
    schema["required"] = ["kind", *([] if named_freely else ["providers"]), *schema.get("required", [])]

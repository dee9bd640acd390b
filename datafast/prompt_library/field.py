"""`template` in a config: the name of a template of datafast, a YAML file, or a template.

template: domain/medicine        template: sommelier.yaml        template: {summary: ..., guidance: ...}
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, GetJsonSchemaHandler, PlainSerializer, ValidationInfo
from pydantic_core import CoreSchema

from datafast._util.config_model import described
from datafast._util.user_path import user_path
from datafast.errors import ConfigError
from datafast.prompt_library.library import TEMPLATE_NAMES, named_template, read_template
from datafast.prompt_library.template import PromptTemplate

__all__ = ["TemplateInput"]

_FILES = (".yaml", ".yml")


def _read(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str) and not value.endswith(_FILES):
        return _said(named_template, value)
    if isinstance(value, str | Path):
        folder = (info.context or {}).get("folder")
        return _said(read_template, Path(folder or "") / user_path(value))
    return value


def _said(read: Any, value: Any) -> PromptTemplate:
    try:
        found: PromptTemplate = read(value)
    except ConfigError as error:
        more = "" if read is read_template else " `datafast templates` lists them; a file ends in .yaml."
        raise ValueError(f"{error}{more}") from error
    return found


def _written(value: PromptTemplate | None) -> Any:
    if value is None:
        return None
    named = (name for name in TEMPLATE_NAMES if named_template(name) is value)
    return next(named, None) or value.model_dump(mode="json", exclude_defaults=True)


class _Schema:
    """Says in a JSON Schema what such a field takes."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {
            "anyOf": [
                {"enum": list(TEMPLATE_NAMES)},
                {"type": "string", "description": "a YAML file with a template, relative to the config"},
                described(PromptTemplate, handler),
                {"type": "null"},
            ]
        }


TemplateInput = Annotated[PromptTemplate | None, BeforeValidator(_read), PlainSerializer(_written), _Schema()]
"""The annotation of such a field."""

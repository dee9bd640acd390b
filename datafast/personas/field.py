"""`personas` in a config: a list, a source, or the settings to grow them from.

personas: [a nurse on night shifts who answers in half sentences]        personas: people.txt, or the file of grown ones
personas: {describe: people who call the helpline of a bank, count: 200}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema

from datafast._util.config_model import described
from datafast._util.notify import warn_user
from datafast._util.user_path import user_path
from datafast.personas.config import PersonasConfig
from datafast.personas.record import read_record
from datafast.sources.field import TextInput, is_source_spec, said_in_one

__all__ = ["PersonaInput"]


class PersonaInput(TextInput):
    """The annotation of such a field. It reads as a list of texts, as `SourceTexts`, or as a `PersonasConfig`.

    Args:
        dimension: what a plan calls a persona.
    """

    def __init__(self, dimension: str = "persona") -> None:
        super().__init__(dimension, lines=True)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        given = super().__get_pydantic_json_schema__(schema, handler)
        return {"anyOf": [*given["anyOf"], described(PersonasConfig, handler)]}

    def _read(self, value: Any, texts: Callable[[Any], Any], info: ValidationInfo) -> Any:
        if isinstance(value, PersonasConfig):
            return value
        if isinstance(value, Mapping) and not is_source_spec(value):
            with said_in_one():
                return PersonasConfig.model_validate(value)
        if isinstance(value, str | Path) and str(value).endswith(".json"):
            grown = read_record(Path((info.context or {}).get("folder") or "") / user_path(value))
            if grown is not None:
                if str(grown.get("model_id")).partition("/")[0] == "simulated":
                    warn_user(
                        f"{value}: A simulated model has grown these personas. Grow them anew before a real one is asked."
                    )
                return texts(grown["personas"])
        return super()._read(value, texts, info)

    @staticmethod
    def _written(value: Any) -> Any:
        if isinstance(value, PersonasConfig):
            return value.model_dump(mode="json", exclude_none=True)
        return TextInput._written(value)

"""Config fields whose class is named in the value, as `type: choice` names a type of column, and the door of such classes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from datafast._util.config_model import described
from datafast._util.plugins import Door, blaming
from datafast.errors import ConfigError

__all__ = ["ByName", "ModelDoor"]

M = TypeVar("M", bound=BaseModel)


class ModelDoor(Door[type[M]]):
    """Config models of one group, each with its name as the default of one field: `type: Literal["choice"] = "choice"`.

    Args:
        base: the class that they derive from.
        home: its public name, for messages.
        tag: that field.
        group, noun, built_in, key: as `Door` says.
    """

    def __init__(
        self,
        group: str,
        *,
        noun: str,
        built_in: Mapping[str, str],
        base: type[BaseModel],
        home: str,
        tag: str,
        key: str,
    ) -> None:
        super().__init__(group, noun=noun, built_in=built_in, check=self._wrong, key=key)
        self._base = base
        self._home = home
        self._tag = tag

    def _wrong(self, name: str, model: Any) -> str | None:
        is_model = isinstance(model, type) and issubclass(model, self._base)
        if is_model and model.model_fields[self._tag].default == name:
            return None
        return f'a class derived from {self._home} with a field `{self._tag}: Literal["{name}"] = "{name}"` is expected'

    def add(self, model: type[M]) -> type[M]:
        """Makes a model known in this process, under its name. Can be used as a decorator.

        Raises:
            ConfigError: it is no such class, it has no name, or the name is taken.
        """
        if not (isinstance(model, type) and issubclass(model, self._base)):
            raise ConfigError(f"{model!r} cannot be registered. A class derived from {self._home} is expected.")
        name = model.model_fields[self._tag].default
        if not isinstance(name, str) or not name:
            raise ConfigError(f'{model.__name__} has no name. Give it a field `{self._tag}: Literal["..."] = "..."`.')
        self.register(name, model)
        return model


class ByName:
    """Marks a field, in `Annotated[Column, ByName(...)]`, as one whose class is looked up by name.

    Args:
        door: where the classes are found.
        tag: the field that names the class.
        example: what a value looks like, for messages.
        hidden: classes that cannot be written in a file, so that a JSON Schema leaves them out.
    """

    def __init__(
        self, door: Door[Any], base: type[BaseModel], *, tag: str, example: str, hidden: Collection[str] = ()
    ) -> None:
        self._door = door
        self._base = base
        self._tag = tag
        self._example = example
        self._hidden = hidden

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self._validated, serialization=core_schema.plain_serializer_function_ser_schema(_dumped, info_arg=True)
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        models = [model for name, model in self._door.loaded().items() if name not in self._hidden]
        return {"oneOf": [described(model, handler) for model in models]}

    def _validated(self, given: Any, info: core_schema.ValidationInfo) -> BaseModel:
        if isinstance(given, self._base):
            return given.model_copy()  # what it learns in one place must not affect another
        if not isinstance(given, Mapping):
            raise PydanticCustomError(
                "by_name",
                "expected a mapping like {example}, got {got}.",
                {"example": self._example, "got": type(given).__name__},
            )
        name = given.get(self._tag)
        if not isinstance(name, str):
            raise PydanticCustomError(
                "by_name",
                "The {tag} is missing. Write {tag}: with one of {names}.",
                {"tag": self._tag, "names": ", ".join(self._door.names())},
            )
        try:
            model = self._door.load(name)
        except ConfigError as error:
            raise PydanticCustomError("by_name", "{tag}: {why}", {"tag": self._tag, "why": str(error)}) from None
        with blaming(model, "the check of its fields"):
            found: BaseModel = model.model_validate(dict(given), context=info.context)
        return found


def _dumped(value: BaseModel, info: core_schema.SerializationInfo) -> Any:
    return value.model_dump(mode=info.mode, exclude_none=info.exclude_none, exclude_unset=info.exclude_unset)

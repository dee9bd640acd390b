"""Numbers and switches of configs: nothing else is taken for one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import Field, TypeAdapter, ValidationError

import datafast.columns
import datafast.datasets
import datafast.engine
import datafast.quality
from datafast._util.config_model import ConfigModel
from datafast.schema.config import RawDatasetConfig


class Counted(ConfigModel):
    whole: int = Field(default=1, ge=0)
    number: float | None = None
    switch: bool = False
    either: int | float = 1
    several: list[int] = Field(default_factory=list)
    by_name: dict[str, bool | int] = Field(default_factory=dict)
    by_number: dict[int, str] = Field(default_factory=dict)
    within: Counted | None = None


@pytest.mark.parametrize(
    ("field", "given", "told"),
    [
        ("whole", True, "integer"),
        ("whole", "2", "integer"),
        ("whole", 2.5, "integer"),
        ("number", "0.5", "number"),
        ("number", False, "number"),
        ("switch", 1, "boolean"),
        ("switch", "yes", "boolean"),
        ("either", True, "integer"),
        ("several", [1, "2"], "integer"),
        ("by_name", {"a": "1"}, "boolean"),
        ("within", {"whole": "2"}, "integer"),
    ],
)
def test_what_is_no_number_or_switch_is_refused_also_where_it_is_assigned(field: str, given: Any, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Counted(**{field: given})
    config = Counted()
    with pytest.raises(ValidationError, match=told):
        setattr(config, field, given)


def test_numbers_are_what_they_were() -> None:
    config = Counted(
        whole=1e6,  # type: ignore[arg-type]
        number=1,
        either=0.5,
        several=[1, 2],
        by_name={"a": True, "b": 1},
        by_number={1: "one"},
    )
    assert (config.whole, config.number, config.either) == (1_000_000, 1.0, 0.5)
    assert [type(value) for value in config.by_name.values()] == [bool, int]
    assert type(Counted(either=5).either) is int
    assert Counted.model_validate_json(config.model_dump_json()) == config
    assert Counted.model_json_schema()["$defs"]["Counted"]["properties"]["whole"] == {
        "default": 1,
        "minimum": 0,
        "title": "Whole",
        "type": "integer",
    }


def load(module: str) -> None:
    """Imports a module, unless it needs an extra that is not installed: no config is in such a one."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if str(error.name).startswith("datafast"):
            raise


def fields_of_configs() -> Iterator[tuple[type[ConfigModel], str, Any]]:
    """The numbers and switches of all configs, each with something else that is like one."""
    for package in (datafast.columns, datafast.datasets, datafast.engine, datafast.quality):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "command_child" not in module.name:  # a program
                load(module.name)
    wrong = {int: "1", float: "0.5", bool: 1}
    left = [ConfigModel]
    while left:
        found = left.pop().__subclasses__()
        left += found
        for model in found:
            if model.__module__.startswith("datafast."):
                for name, field in model.model_fields.items():
                    allowed = {field.annotation, *get_args(field.annotation)}
                    types = allowed & wrong.keys()
                    if len(types) == 1 and str not in allowed:
                        yield model, name, wrong[types.pop()]


def test_no_config_takes_anything_else() -> None:
    fields = list(fields_of_configs())
    assert len(fields) > 200
    taken = []
    for model, name, given in fields:
        try:
            model.model_validate({name: given})
        except ValidationError as error:
            places = {detail["loc"][0] for detail in error.errors() if detail["loc"]}
            if name in places:
                continue
        taken.append((model.__name__, name, given))
    assert taken == []


def test_the_message_of_a_config_file_says_what_is_expected() -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(RawDatasetConfig).validate_python({"document_types": ["a"], "topics": ["b"], "regenerate": "2"})
    ((detail),) = refused.value.errors()
    assert (detail["loc"], detail["type"]) == (("regenerate",), "int_type")

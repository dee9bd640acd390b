"""The meanings of fields, as they stand below them in the source."""

from __future__ import annotations

from pydantic import Field, create_model

from datafast._util.config_model import ConfigModel
from datafast._util.field_docs import field_docs


class Vessel(ConfigModel):
    """A base."""

    name: str
    """What it is called."""

    length: float = Field(description="in metres")

    crew: int = 0
    """How many people
    it carries."""


class Ferry(Vessel):
    crew: int = 4
    cars: int = 0
    """How many cars it carries."""


def test_a_field_means_what_stands_below_it_also_where_it_is_inherited() -> None:
    assert field_docs(Vessel) == {"name": "What it is called.", "crew": "How many people\nit carries."}
    assert field_docs(Ferry) == {"name": "What it is called.", "cars": "How many cars it carries."}


def test_a_model_without_a_source_has_no_meanings() -> None:
    assert field_docs(create_model("Made", __base__=ConfigModel, size=(int, 1))) == {}


def test_the_json_schema_of_a_config_has_them() -> None:
    fields = Ferry.model_json_schema()["properties"]
    assert {name: field.get("description") for name, field in fields.items()} == {
        "name": "What it is called.",
        "length": "in metres",
        "crew": None,
        "cars": "How many cars it carries.",
    }

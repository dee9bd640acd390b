"""Every column of every built-in kind says what it means: in cards, and in docs/reference/rows.md."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

import datafast.datasets
from datafast import ColumnsDataset, ColumnsDatasetConfig, GenericPipelineDataset, GenericPipelineDatasetConfig
from datafast.export.files import narrowed
from datafast.registry import BUILT_IN, load_kind


def _row_models() -> list[type[BaseModel]]:
    """Those of the kinds, and all that their modules define."""
    found = {load_kind(name).row_model for name in BUILT_IN["datafast.kinds"]}
    for module in pkgutil.walk_packages(datafast.datasets.__path__, "datafast.datasets."):
        members = inspect.getmembers(importlib.import_module(module.name), inspect.isclass)
        found |= {
            kind
            for name, kind in members
            if name.endswith("Row") and issubclass(kind, BaseModel) and kind.__module__ == module.name
        }
    return sorted((model for model in found if isinstance(getattr(model, "model_fields", None), dict)), key=str)


@pytest.mark.parametrize("model", _row_models(), ids=lambda model: model.__name__)
def test_every_column_has_a_meaning(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        assert field.description, f"{model.__name__}.{name}"
        assert field.description.endswith("."), f"{model.__name__}.{name}"


@pytest.mark.parametrize("place", ["drop", "metadata", "field"])
def test_so_has_every_column_that_a_config_makes(tmp_path: Path, place: str) -> None:
    shared = {"output_file": tmp_path / "out.jsonl", "reasoning": place}
    columns = {
        "mood": {"type": "choice", "values": ["calm", "angry"]},
        "note": {"type": "text", "prompt": "A {mood} note."},
    }
    made = [
        ColumnsDataset(ColumnsDatasetConfig(columns=columns, num_rows=2, **shared)),
        GenericPipelineDataset(
            GenericPipelineDatasetConfig(
                source=[{"a": 1, "b": "x"}],
                input_columns=["a"],
                forward_columns={"other": "b"},
                output_columns=["new"],
                **shared,
            )
        ),
    ]
    for dataset in made:
        model = dataset.written_model
        assert [name for name, field in model.model_fields.items() if not field.description] == []
    assert made[1].row_model.model_fields["other"].description == "The column b of the source."


def test_a_meaning_stays_where_a_type_of_its_own_is_found_for_a_column() -> None:
    class Free(BaseModel):
        value: Any = Field(None, description="What it is.")

    assert narrowed(Free, [{"value": 1}]).model_fields["value"].description == "What it is."

"""Types of column of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import field_validator

from datafast.columns import Cell, Column, Setup, register, registry
from datafast.errors import ConfigError
from tests.columns.support import refusal, rows


class LengthColumn(Column):
    type: Literal["length"] = "length"
    of: str

    def prepare(self, setup: Setup) -> None:
        setup.require(self.of, "of")

    def make(self, cell: Cell) -> int:
        return len(cell.values[self.of])

    def row_type(self) -> Any:
        return int


def test_a_type_of_column_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.COLUMNS, "_registered", {})
    register(LengthColumn)
    assert rows(tmp_path, {"n": {"type": "length", "of": "t"}, "t": {"type": "constant", "value": "abc"}}, count=1) == [
        {"n": 3, "t": "abc"}
    ]
    assert "columns.n.of: There is no column 'u'" in refusal(tmp_path, {"n": {"type": "length", "of": "u"}})
    with pytest.raises(ConfigError, match="already"):
        register(type("ChoiceColumn", (Column,), {"__annotations__": {"type": Literal["choice"]}, "type": "choice"}))


class OddColumn(Column):
    type: Literal["odd"] = "odd"
    when_checked: bool = False

    @field_validator("when_checked")
    @classmethod
    def _raises(cls, given: bool) -> bool:
        if given:
            raise KeyError("nothing there")
        return given

    def prepare(self, setup: Setup) -> None:
        raise KeyError("nothing there")

    def make(self, cell: Cell) -> int:
        return 1


@pytest.mark.parametrize(("given", "where"), [({}, "prepare"), ({"when_checked": True}, "the check of its fields")])
def test_a_type_of_column_that_raises_oddly_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, bool], where: str
) -> None:
    monkeypatch.setattr(registry.COLUMNS, "_registered", {})
    register(OddColumn)
    said = refusal(tmp_path, {"n": {"type": "odd", **given}})
    assert "columns.n: " in said
    assert f"tests.columns.test_registry.OddColumn raised KeyError in {where}" in said

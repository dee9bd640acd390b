"""Types of column of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

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

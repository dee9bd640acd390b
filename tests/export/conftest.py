"""Fixtures of publishing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.export.support import text_rows, write


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "texts.jsonl", text_rows(10))

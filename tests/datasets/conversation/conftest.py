"""Fixtures of conversations."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import CountingProvider


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "requests"


@pytest.fixture
def counting(log: Path) -> CountingProvider:
    return CountingProvider("m", log=log)

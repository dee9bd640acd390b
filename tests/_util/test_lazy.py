"""Names that are imported when they are first asked for."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from datafast._util.lazy import lazy_names


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "lazy_home.py").write_text("import gc\ncollected = gc.isenabled()\n")
    (tmp_path / "broken_home.py").write_text("raise ValueError('broken')\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "lazy_home"
    sys.modules.pop("lazy_home", None)


def test_the_collector_rests_during_the_import_and_goes_on_after_it(home: str) -> None:
    get, _ = lazy_names(__name__, {home: ["collected"], "broken_home": ["nothing"]})
    assert get("collected") is False
    assert gc.isenabled()
    with pytest.raises(ValueError, match="broken"):
        get("nothing")
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off(home: str) -> None:
    get, _ = lazy_names(__name__, {home: ["collected"]})
    gc.disable()
    try:
        get("collected")
        assert not gc.isenabled()
    finally:
        gc.enable()

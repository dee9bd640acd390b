"""Fixtures of the facades."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.servers.fault_server import Answer, FaultServer


@pytest.fixture(autouse=True)
def temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files that no other test, and no other process, uses."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


@pytest.fixture
def openai(fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> FaultServer:
    """A local server in OpenAI's place; each reply says what was asked."""
    monkeypatch.setenv("OPENAI_BASE_URL", fault_server.url)
    fault_server.respond = lambda request: Answer(text=f"<{request.prompt.strip()}>")
    return fault_server

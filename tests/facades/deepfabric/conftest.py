"""Fixtures of DeepFabric's names."""

from __future__ import annotations

import pytest

from tests.servers.fault_server import FaultServer


@pytest.fixture
def server(fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> FaultServer:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    monkeypatch.setenv("OPENAI_BASE_URL", fault_server.url)
    return fault_server

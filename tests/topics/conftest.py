"""Fixtures of topics."""

from __future__ import annotations

import pytest

from tests import support
from tests.servers.fault_server import FaultServer
from tests.topics.support import subtopics


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    support.short_waits(monkeypatch)


@pytest.fixture
def server(fault_server: FaultServer) -> FaultServer:
    fault_server.respond = subtopics
    return fault_server

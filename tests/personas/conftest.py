from __future__ import annotations

import pytest

from tests.personas.support import people
from tests.servers.fault_server import FaultServer


@pytest.fixture
def server(fault_server: FaultServer) -> FaultServer:
    """Describes people."""
    fault_server.respond = people
    return fault_server

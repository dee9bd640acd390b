"""Back ends and the process that they are in: its file descriptors, and how it ends."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from datafast.errors import Action
from datafast.llms import OpenAICompatibleProvider
from datafast.llms.transport.errors import from_transport
from tests.servers.fault_server import Answer, FaultServer


def test_too_few_file_descriptors_stop_the_run_and_say_how_to_get_more() -> None:
    error = from_transport(
        OpenAICompatibleProvider("tiny", api_base="http://127.0.0.1:9").origin,
        OSError(errno.EMFILE, "Too many open files"),
    )
    assert error.kind.action is Action.STOP_RUN
    assert "ulimit -n" in str(error)


QUIET = """
import sys
from datafast.llms import AnthropicProvider, LiteLLMProvider, OpenAICompatibleProvider
from datafast.errors import ProviderError
for make, model in ((OpenAICompatibleProvider, "tiny"), (AnthropicProvider, "tiny"), (LiteLLMProvider, "anthropic/tiny")):
    provider = make(model, api_base=sys.argv[1], api_key="sk-canary-0123456789")
    provider.generate(["one", "two"])
    provider.generate("three")
    try:
        provider.generate("fail")
    except ProviderError as error:
        assert error.kind == "server_error", error
    else:
        raise AssertionError("the server fails on this prompt")
"""


FEW_FILES = """
import asyncio, resource, sys
from datafast._util import background
from datafast.errors import ProviderError
from datafast.llms import OpenAICompatibleProvider
from datafast.llms.base import Request
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
async def calls():
    backend = OpenAICompatibleProvider("tiny", api_base=sys.argv[1]).open(max_connections=100)
    request = Request(messages=[{"role": "user", "content": "Hello"}])
    ended = await asyncio.gather(*(backend.complete(request) for _ in range(100)), return_exceptions=True)
    await backend.aclose()
    return {error.kind.value for error in ended if isinstance(error, ProviderError)}
print(background.run(calls()))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_more_connections_than_file_descriptors_are_a_local_fault(fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(delay_s=0.5)
    command = [sys.executable, "-W", "error", "-c", FEW_FILES, fault_server.url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.stdout.strip(), ended.returncode) == ("{'local_resources'}", 0), ended.stderr


def test_a_process_that_used_several_back_ends_ends_without_a_word(fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(status=500 if request.prompt == "fail" else 200, body=None)
    command = [sys.executable, "-W", "error", "-c", QUIET, fault_server.url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")

"""litellm inside a program of its host: its settings stay the host's, and its heap is left out of garbage collection."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.servers.fault_server import FaultServer

HOST_IMPORTS_LITELLM = """
import os, sys, warnings
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm
from datafast._util import background
from datafast.llms import LiteLLMProvider
from datafast.llms.base import Request
def settings():
    return {name: repr(value) for name, value in vars(litellm).items() if isinstance(value, (bool, int, float, str, type(None)))}
before = settings()
async def call():
    backend = LiteLLMProvider("anthropic/tiny", api_base=sys.argv[1], api_key="sk-canary-0123456789").open(max_connections=501)
    await backend.complete(Request(messages=[{"role": "user", "content": "Hello"}]))
    await backend.aclose()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    background.run(call())
after = settings()
changed = {name for name in before if not name.startswith("_") and before[name] != after.get(name)}
assert not changed, changed
print([str(entry.message) for entry in caught if "datafast" in entry.category.__module__])
"""


def test_litellm_as_the_host_set_it_up_is_left_so_and_its_limit_is_told(fault_server: FaultServer) -> None:
    command = [sys.executable, "-c", HOST_IMPORTS_LITELLM, fault_server.url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("AIOHTTP_CONNECTOR_LIMIT_PER_HOST") == 1


LONG_RUNS = """
import asyncio, gc, sys
from datafast._util import background
from datafast.llms import LiteLLMProvider
from datafast.llms.base import Request
class Cycle:
    freed = 0
    def __init__(self): self.me = self
    def __del__(self): Cycle.freed += 1
async def calls(backend, count):
    await asyncio.gather(*(backend.complete(Request(messages=[{"role": "user", "content": "Hello"}])) for _ in range(count)))
async def main():
    one = LiteLLMProvider("openai/tiny", api_base=sys.argv[1], api_key="none").open(max_connections=50)
    other = LiteLLMProvider("anthropic/tiny", api_base=sys.argv[1], api_key="none").open(max_connections=50)
    seen = []
    if sys.argv[2] == "frozen by the host":
        gc.freeze()
    kept = Cycle()
    await one.prepare()
    loaded = set(sys.modules)
    await calls(one, 20)
    assert "litellm.proxy._types" not in sys.modules.keys() - loaded  # for a second on the event loop
    seen.append(gc.get_freeze_count() > 0)
    await calls(one, 100)
    seen.append(gc.get_freeze_count() > 0)
    await calls(other, 120)
    await one.aclose()
    await one.aclose()
    seen.append(gc.get_freeze_count() > 0)
    del kept
    Cycle()
    gc.collect()
    seen.append(Cycle.freed)
    await other.aclose()
    seen.append(gc.get_freeze_count() > 0)
    gc.collect()
    seen.append(Cycle.freed)
    return seen
print(background.run(main()))
"""


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        # Only many calls set the heap aside, the last back end to close gives it back, and then old cycles are freed.
        ("", "[False, True, True, 1, False, 2]"),
        # What the host has frozen stays so, and nothing is frozen beside it.
        ("frozen by the host", "[True, True, True, 2, True, 2]"),
    ],
)
def test_a_settled_heap_is_left_out_of_garbage_collection_while_many_litellm_calls_last(
    fault_server: FaultServer, host: str, expected: str
) -> None:
    command = [sys.executable, "-c", LONG_RUNS, fault_server.url, host]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (ended.stdout.strip(), ended.returncode) == (expected, 0), ended.stderr

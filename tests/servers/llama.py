"""The real llama.cpp server, from the wheel `xllamacpp`, with the tiny model, in a process of its own on loopback.

It speaks OpenAI chat completions, with `response_format` enforced while it samples, and Anthropic messages, with forced
tool calls enforced likewise; it refuses a wrong key (401) and a prompt that does not fit the context (400).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LlamaServer", "running_llama_server"]

KEY = "sk-llama-test-0123456789"
CONTEXT_TOKENS = 8192
_SLOTS = 4
_READY_S = 60.0


@dataclass(frozen=True)
class LlamaServer:
    """A running server. `context_tokens` is what one request may use."""

    url: str
    key: str = KEY
    model_id: str = "tiny"
    context_tokens: int = CONTEXT_TOKENS


@contextmanager
def running_llama_server(folder: Path) -> Iterator[LlamaServer]:
    """Writes the model into `folder`, starts the server on a free port and stops it at the end."""
    from tests.servers.tiny_model import write_tiny_model

    model = folder / "tiny.gguf"
    write_tiny_model(model)
    root = Path(__file__).resolve().parents[2]
    log = (folder / "llama.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.servers.llama", str(model)], cwd=root, stdout=subprocess.PIPE, stderr=log
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().decode().strip()
        assert address, f"llama.cpp did not start: {(folder / 'llama.log').read_text(errors='replace')[-2000:]}"
        _wait_until_ready(address)
        yield LlamaServer(address)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
        log.close()


def _wait_until_ready(address: str) -> None:
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < deadline, "llama.cpp did not get ready in time"
            time.sleep(0.05)


def _serve(model: str) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.model_alias = {"tiny"} if isinstance(params.model_alias, set) else "tiny"
    params.n_parallel = _SLOTS
    params.n_ctx = CONTEXT_TOKENS * _SLOTS
    params.warmup = False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.api_keys = [KEY]
    server = xllamacpp.Server(params)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    _serve(parser.parse_args().model)

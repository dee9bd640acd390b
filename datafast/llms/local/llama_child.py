"""The llama.cpp server in a separate process: `python llama_child.py`, started by `llama_server`.

One line of JSON on stdin says what to serve; one line of JSON on stdout gives the address, or the error. The end of
stdin ends the process, so it cannot outlive its parent, however that ends. Imports nothing of datafast.
"""

import json
import os
import sys
from typing import Any

__all__ = ["main", "serve"]


def serve(settings: dict[str, Any]) -> Any:
    """Starts the server, which answers as long as the returned object exists."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["path"]
    params.model_alias = {settings["alias"]} if isinstance(params.model_alias, set) else settings["alias"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [settings["key"]]
    params.n_parallel = settings["slots"]
    params.n_ctx = settings["context_tokens"] * settings["slots"]
    params.warmup = False
    if settings["gpu_layers"] is not None:
        params.n_gpu_layers = settings["gpu_layers"]
    if settings["threads"] is not None:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["threads"]
    # Only errors are logged. Runs do not need a page for browsers, nor eight gigabytes of old prompts in memory.
    for name, value in (("verbosity", 1), ("ui", False), ("cache_ram_mib", 0)):
        if hasattr(params, name):
            setattr(params, name, value)
    return xllamacpp.Server(params)


def main() -> None:
    """Serves until stdin ends."""
    settings = json.loads(sys.stdin.readline())
    try:
        server = serve(settings)
    except RuntimeError as error:
        print(json.dumps({"error": str(error)}), flush=True)  # noqa: T201 - stdout is how the parent is told
        return
    print(json.dumps({"address": server.listening_address}), flush=True)  # noqa: T201
    sys.stdin.read()
    os._exit(0)  # the server itself would wait for every reply that is being written


if __name__ == "__main__":
    main()

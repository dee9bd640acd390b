"""The llama.cpp server in a process of its own: `python llama_child.py`, started by `llama_server`.

A first line of JSON on stdin says what to serve; one line of JSON on stdout says where it is served, or that it cannot
be. The end of stdin ends the process, so it cannot outlive the one that started it, however that one ends. Imports
nothing of datafast.
"""

import json
import os
import sys
from typing import Any

__all__ = ["main", "serve"]


def serve(settings: dict[str, Any]) -> Any:
    """Starts the server; it answers until the object is gone."""
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
    # Errors only. A page for browsers, and eight gigabytes of old prompts in memory, are of no use to a run.
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
    os._exit(0)  # the server's own end waits for every reply that is being written


if __name__ == "__main__":
    main()

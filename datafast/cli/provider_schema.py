"""The JSON Schema of a provider in a config file. A test holds it against what providers accept."""

from __future__ import annotations

from typing import Any

from datafast.llms.local.transformers import DTYPES
from datafast.llms.registry import ALIASES, PROVIDERS

__all__ = ["PROVIDER_SCHEMA"]


def _number(about: str, **bounds: float) -> dict[str, Any]:
    return {"type": "number", **bounds, "description": about}


def _count(about: str) -> dict[str, Any]:
    return {"type": "integer", "minimum": 1, "description": about}


def _text(about: str) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "description": about}


def _mapping(about: str, of: str | None = None) -> dict[str, Any]:
    return {"type": "object", **({"additionalProperties": {"type": of}} if of else {}), "description": about}


_NAMES = [*PROVIDERS, *ALIASES]

_FIELDS: dict[str, dict[str, Any]] = {
    "provider": {"enum": _NAMES, "description": "Who serves the model."},
    "model_id": _text("The model, as the provider names it."),
    "model": _text("litellm, transformers: the same as model_id."),
    "name": _text("Tells two entries apart that are otherwise the same."),
    "api_base": _text("Address of the server; a trailing /v1 may be there or not."),
    "api_key_env": _text("The environment variable that holds the key, where it is not the usual one."),
    "temperature": _number("Sampling temperature.", minimum=0, maximum=2),
    "top_p": _number("Nucleus sampling.", minimum=0, maximum=1),
    "frequency_penalty": _number("Penalty for repetition.", minimum=-2, maximum=2),
    "max_completion_tokens": _count("Most tokens of one reply, reasoning included."),
    "reasoning_effort": _text("As the model names it: minimal, low, medium, high..."),
    "rpm_limit": _number("Requests per minute.", exclusiveMinimum=0),
    "tpm_limit": _number("Tokens per minute.", exclusiveMinimum=0),
    "max_concurrency": _count("Requests of this provider in flight at once."),
    "weight": _number("Its share of the rows where providers share the work.", exclusiveMinimum=0),
    "timeout": _number("Seconds for one request.", exclusiveMinimum=0),
    "extra": _mapping("Further fields of the request body."),
    "extra_headers": _mapping("Further HTTP headers.", of="string"),
    "ssl_ca": _text("A PEM file with certificate authorities to trust."),
    "price": _mapping("USD per million tokens, where the price list does not know the model."),
    "model_path": _text("llama_cpp: the path of a .gguf file."),
    "repo_id": _text("llama_cpp: a repository of the Hugging Face Hub, owner/name."),
    "filename": _text("llama_cpp: the .gguf file in that repository."),
    "revision": _text("llama_cpp, transformers: branch, tag or commit of the repository."),
    "slots": _count("llama_cpp: requests that are answered at once."),
    "context_tokens": {**_count("llama_cpp: tokens of one request, prompt and reply together."), "minimum": 64},
    "threads": _count("llama_cpp: threads of the processor."),
    "gpu_layers": {"type": "integer", "minimum": 0, "description": "llama_cpp: layers of the model on a GPU."},
    "device": _text("transformers: auto, cpu, cuda, cuda:1, mps."),
    "dtype": {"enum": list(DTYPES), "description": "transformers: the numbers that the model computes with."},
    "batch_size": _count("transformers: most requests in one batch."),
    "trust_remote_code": {"type": "boolean", "description": "transformers: run the code that comes with the model."},
    "latency_s": _number("simulated: seconds until a reply.", minimum=0),
    "latency_jitter_s": _number("simulated: up to so many seconds more.", minimum=0),
    "faults": _mapping("simulated: share of requests that fail, by fault.", of="number"),
    "seed": {"type": "integer", "description": "simulated: another seed gives other replies."},
}

PROVIDER_SCHEMA: dict[str, Any] = {
    "description": "provider/model_id, or a mapping with `provider` and its parameters. Keys do not stand here.",
    "oneOf": [
        {"type": "string", "pattern": f"^({'|'.join(_NAMES)})(/.+)?$"},
        {"type": "object", "properties": _FIELDS, "required": ["provider"], "additionalProperties": False},
    ],
}

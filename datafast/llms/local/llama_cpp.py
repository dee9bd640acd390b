"""Models in GGUF files, run by llama.cpp on this machine: no key, no server to set up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import orjson

from datafast.errors import ConfigError
from datafast.llms.local.base import InProcessProvider, checked_count, checked_text
from datafast.llms.local.gguf import GgufSource
from datafast.llms.options import ProviderOptions

if TYPE_CHECKING:
    from datafast.llms.llama_backend import LlamaCppBackend
    from datafast.llms.provider import LLMProvider

__all__ = ["LlamaCppProvider"]

_CONTEXT_TOKENS = 4096
_KEPT = ("temperature", "top_p", "frequency_penalty", "name", "max_completion_tokens", "max_concurrency", "weight")


class LlamaCppProvider(InProcessProvider):
    """A GGUF model, run by llama.cpp, which comes with `pip install 'datafast[local]'`.

    Structured replies are kept to their schema while they are written. The model is loaded when a run first asks it,
    once for all runs of the process, and stays loaded; `release_models()` frees it.

    Args:
        model_id: alone, where the model is: the path of a .gguf file, `owner/name/file.gguf` on the Hugging Face Hub,
            or `owner/name:QUANT` (Q4_K_M where no quantisation is named). Beside `model_path` or `repo_id`, the name that
            rows carry, in place of the file's.
        model_path: the path of a .gguf file.
        repo_id: a repository of the Hub; `filename` is the file in it, else its Q4_K_M one. Fetched once, into the
            Hub's cache.
        revision: branch, tag or commit of that repository.
        slots: requests that are answered at once; by default as many as a run has in flight, 8 at most. More need more
            memory.
        context_tokens: of one request, prompt and reply together; no more than the model was made for.
        threads: of the processor; by default llama.cpp's choice.
        gpu_layers: layers of the model that a GPU takes; by default as many as fit.
        **options: see `ProviderOptions`. `extra` takes the server's further sampling fields, such as `min_p`.

    Raises:
        ConfigError: no model is named, or two; a parameter does not exist or its value is out of range.
    """

    provider_name = "llama_cpp"
    takes_text_bounds = True
    extra_name = "local"
    needed_packages = ("xllamacpp",)
    own_params = ("model_path", "repo_id", "filename", "revision", "slots", "context_tokens", "threads", "gpu_layers")

    def __init__(
        self,
        model_id: str | None = None,
        *,
        model_path: str | Path | None = None,
        repo_id: str | None = None,
        filename: str | None = None,
        revision: str | None = None,
        slots: int | None = None,
        context_tokens: int | None = None,
        threads: int | None = None,
        gpu_layers: int | None = None,
        **options: Unpack[ProviderOptions],
    ) -> None:
        model_id = checked_text("model_id", model_id)
        self.source = _source(
            model_id,
            model_path=checked_text("model_path", str(model_path) if isinstance(model_path, Path) else model_path),
            repo_id=checked_text("repo_id", repo_id),
            filename=checked_text("filename", filename),
            revision=checked_text("revision", revision),
        )
        self.slots = checked_count("slots", slots)
        self.context_tokens = checked_count("context_tokens", context_tokens, least=64) or _CONTEXT_TOKENS
        self.threads = checked_count("threads", threads)
        self.gpu_layers = checked_count("gpu_layers", gpu_layers, least=0)
        named = model_id is not None and (model_path is not None or repo_id is not None)
        own = {"slots": slots, "context_tokens": context_tokens, "threads": threads, "gpu_layers": gpu_layers}
        super().__init__(str(model_id) if named else self.source.model_id, own=own, **options)

    @classmethod
    def standing_in_for(cls, provider: LLMProvider, model: str) -> LlamaCppProvider:
        """This model in place of another provider, whose name, sampling parameters, limits of length and concurrency
        and weight it keeps.

        Args:
            model: as `model_id` names it.
        """
        return cls(model, **cls.options_like(provider))

    @staticmethod
    def options_like(provider: LLMProvider) -> Any:
        """What a stand-in for a provider keeps of it."""
        return {key: value for key in _KEPT if (value := getattr(provider, key)) is not None}

    @property
    def identity(self) -> str:
        parts = orjson.loads(super().identity)
        if self.source.revision is not None:
            parts["revision"] = self.source.revision
        return orjson.dumps(parts, option=orjson.OPT_SORT_KEYS).decode()

    @property
    def longest_reply(self) -> int:
        return self.max_completion_tokens or self.context_tokens

    def require_ready(self) -> None:
        """Checks that llama.cpp is installed, and the file where it is on this machine.

        Raises:
            MissingExtraError: it is not installed.
            ConfigError: the file is not there, or no GGUF.
        """
        super().require_ready()
        self.source.check()

    def open(self, *, max_connections: int) -> LlamaCppBackend:
        from datafast.llms.llama_backend import LlamaCppBackend

        return LlamaCppBackend(self, max_connections=max_connections)


def _source(
    model_id: str | None, *, model_path: str | None, repo_id: str | None, filename: str | None, revision: str | None
) -> GgufSource:
    if model_path is not None and repo_id is not None:
        raise ConfigError("repo_id: give model_path or repo_id, not both.", key="repo_id")
    if filename is not None and repo_id is None:
        raise ConfigError(
            "filename: it is a file of repo_id, which is missing. For a path: model_path.", key="filename"
        )
    if model_path is not None:
        return GgufSource(path=Path(model_path).expanduser())
    if repo_id is None and model_id is None:
        raise ConfigError(
            "model_path: LlamaCppProvider needs a model: model_path=, or repo_id= and filename=.", key="model_path"
        )
    if repo_id is None:
        return GgufSource.of(str(model_id), key="model_id", revision=revision)
    if filename is not None:
        return GgufSource(repo_id=repo_id, filename=filename, revision=revision)
    found = GgufSource.of(repo_id, key="repo_id", revision=revision)
    return GgufSource(repo_id=found.repo_id or repo_id, quant=found.quant, filename=found.filename, revision=revision)

"""Models of the Hugging Face Hub, run by transformers in this process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import orjson

from datafast.errors import ConfigError
from datafast.llms.local.base import InProcessProvider, checked_count, checked_text
from datafast.llms.options import ProviderOptions

if TYPE_CHECKING:
    from datafast.llms.transformers_backend import TransformersBackend

__all__ = ["DTYPES", "TransformersProvider"]

DTYPES = ("auto", "bfloat16", "float16", "float32")
_BATCH_SIZE = 8
_MOST_TOKENS = 131_072  # a bound for budgets, where neither the user nor a loaded model says anything


class TransformersProvider(InProcessProvider):
    """A model that transformers loads, which comes with `pip install 'datafast[transformers]'`.

    Requests that wait at the same time are answered as one batch. Structured replies are kept to their schema while
    they are written. The model is loaded when a run first asks it, once for all runs of the process, and stays loaded;
    `release_models()` frees it.

    Args:
        model_id: the same as `model`.
        model: a repository of the Hugging Face Hub, such as "gpt2", or a folder with a saved model.
        device: "auto" (a CUDA GPU, else Apple's, else the processor), or as torch names it: "cuda:1", "cpu".
        dtype: "auto" (as the model was saved), "bfloat16", "float16" or "float32".
        batch_size: most requests in one batch. More are faster and need more memory; where it is too little, the batch
            is halved.
        revision: branch, tag or commit of the repository.
        trust_remote_code: run the code that comes with the model. Only for repositories whose code you have read.
        **options: see `ProviderOptions`. `extra` takes further parameters of transformers' `generate`, such as `top_k`, and
            `chat_template_kwargs` for the model's chat template.

    Raises:
        ConfigError: no model is named; a parameter does not exist or its value is out of range.
    """

    provider_name = "transformers"
    extra_name = "transformers"
    needed_packages = ("torch", "transformers", "llguidance")
    own_params = ("model", "device", "dtype", "batch_size", "revision", "trust_remote_code")

    def __init__(
        self,
        model_id: str | None = None,
        *,
        model: str | Path | None = None,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
        **options: Unpack[ProviderOptions],
    ) -> None:
        if model is not None and model_id is not None:
            raise ConfigError("model: give model or model_id, not both.", key="model")
        key = "model_id" if model_id is not None else "model"
        given = model_id if model_id is not None else str(model) if isinstance(model, Path) else model
        named = checked_text(key, given)
        if named is None:
            raise ConfigError(
                'model: TransformersProvider needs a model, such as model="gpt2" or a folder.', key="model"
            )
        self.model = named
        self.device = checked_text("device", device) or "auto"
        self.dtype = checked_text("dtype", dtype) or "auto"
        if self.dtype not in DTYPES:
            raise ConfigError(f"dtype: expected one of {', '.join(DTYPES)}, got {dtype!r}.", key="dtype")
        self.batch_size = checked_count("batch_size", batch_size) or _BATCH_SIZE
        self.revision = checked_text("revision", revision)
        if not isinstance(trust_remote_code, bool):
            raise ConfigError(
                f"trust_remote_code: expected true or false, got {trust_remote_code!r}.", key="trust_remote_code"
            )
        self.trust_remote_code = trust_remote_code
        own = {"device": device, "dtype": dtype, "batch_size": batch_size, "revision": revision}
        # A folder's own name: rows do not tell where it lies on this machine.
        model_id = Path(named).expanduser().absolute().name if self.is_folder else named
        super().__init__(model_id, own=own | {"trust_remote_code": trust_remote_code or None}, **options)

    @property
    def is_folder(self) -> bool:
        """Whether `model` is a folder of this machine and not a repository of the Hub: it is there, or looks like one."""
        path = Path(self.model).expanduser()
        looks = (
            path.is_absolute() or self.model.startswith((".", "~")) or "\\" in self.model or self.model.count("/") > 1
        )
        return looks or path.is_dir()

    @property
    def identity(self) -> str:
        parts = orjson.loads(super().identity)
        if self.dtype != "auto":
            parts["dtype"] = self.dtype
        if self.revision is not None:
            parts["revision"] = self.revision
        return orjson.dumps(parts, option=orjson.OPT_SORT_KEYS).decode()

    @property
    def longest_reply(self) -> int:
        return self.max_completion_tokens or _MOST_TOKENS

    def require_ready(self) -> None:
        """Checks that transformers is installed, and the folder where the model is one.

        Raises:
            MissingExtraError: torch, transformers or llguidance is not installed.
            ConfigError: the folder is not there, or holds no model.
        """
        super().require_ready()
        if not self.is_folder:
            return
        folder = Path(self.model).expanduser()
        if not (folder / "config.json").is_file():
            what = "it holds no config.json" if folder.is_dir() else "there is no such folder"
            raise ConfigError(
                f"model: {self.model} is no saved model: {what}. Expected a folder that save_pretrained wrote, or a "
                "repository of the Hugging Face Hub such as gpt2.",
                key="model",
            )

    def open(self, *, max_connections: int) -> TransformersBackend:
        from datafast.llms.transformers_backend import TransformersBackend

        return TransformersBackend(self)

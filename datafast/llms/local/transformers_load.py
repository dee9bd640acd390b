"""Loads a model and its tokenizer with transformers.

Guarantee: every error becomes one `ConfigError` that says what to do. Code that comes with a model runs only if the user
allows it, and nothing is asked on the terminal.
"""

from __future__ import annotations

from typing import Any

import torch
import transformers

from datafast.errors import ConfigError
from datafast.llms.local.transformers_model import LoadedModel

__all__ = ["load_model"]


def load_model(model: str, *, revision: str | None, device: str, dtype: str, trust_remote_code: bool) -> LoadedModel:
    """Loads a model onto a device. Blocks.

    Raises:
        ConfigError: it does not exist, transformers cannot run it, or there is too little memory.
    """
    where = _device(device)
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    if revision is not None:
        options["revision"] = revision
    shown = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(model, **options)
        loaded = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=dtype, **options)
        loaded = loaded.to(where).eval()
    except Exception as error:
        raise _refused(model, where, error) from error
    finally:
        if shown:
            transformers.utils.logging.enable_progress_bar()
    return LoadedModel(tokenizer, loaded, device=where)


def _device(name: str) -> str:
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it is built with CUDA
        raise ConfigError(
            f"device: torch cannot use {name!r} here ({_first_line(error)}). Leave it out to use what there is.",
            key="device",
        ) from error
    return name


def _refused(model: str, device: str, error: Exception) -> ConfigError:
    if isinstance(error, torch.OutOfMemoryError):
        advice = f"it does not fit into the memory of {device}. Take a smaller model, dtype='bfloat16' or device='cpu'"
    elif isinstance(error, ImportError):
        advice = "it needs a package that is not installed"
    elif "trust_remote_code" in str(error):
        advice = "it comes with code of its own, which runs only with trust_remote_code=True; read that code first"
    else:
        advice = (
            "expected a folder that save_pretrained wrote, or a repository of the Hugging Face Hub with a model that "
            "writes text. Check the name and the network, and HF_TOKEN if it is private or gated"
        )
    return ConfigError(
        f"model: {model} cannot be loaded: {advice}. {type(error).__name__}: {_first_line(error).rstrip('.')}.",
        key="model",
    )


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")[:300]

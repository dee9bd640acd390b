"""The tokenizers of models, read from the files that a model comes with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datafast.errors import ConfigError, MissingExtraError

__all__ = ["load_tokenizer", "tokenizer_file"]


def tokenizer_file(path: Path) -> Path:
    """The `tokenizer.json` that a path names, or that is in the folder that it names."""
    return path / "tokenizer.json" if path.is_dir() else path


def load_tokenizer(path: Path) -> Any:
    """The tokenizer of a `tokenizer.json` or of a folder with one, which neither cuts nor fills texts.

    Raises:
        ConfigError: the file cannot be read.
        MissingExtraError: tokenizers is not installed.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise MissingExtraError(
            "tokenizer: It is read by tokenizers, which is not installed. Run: pip install 'datafast[documents]'"
        ) from None
    file = tokenizer_file(path)
    try:
        found = Tokenizer.from_file(str(file))
    except Exception as error:  # noqa: BLE001 - tokenizers raises nothing more particular
        raise ConfigError(f"tokenizer: {file} is not a tokenizer.json: {error}. Give the file of a model.") from None
    # Some files say that texts are cut or filled to a length.
    found.no_truncation()
    found.no_padding()
    return found

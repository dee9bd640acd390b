"""Embeddings of texts by a local model of transformers: the mean of the last layer over the tokens, as sentence-transformers takes it.

Needs the extra `transformers`. Limit: of long texts what the model takes counts, mostly the first 256 to 512 tokens.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from datafast.errors import ConfigError

__all__ = ["MeanPooling"]

_AT_ONCE = 32
_HUGE = 100_000  # what a tokenizer says that knows no limit


class MeanPooling:
    """A model whose embeddings are compared.

    Raises:
        ConfigError: the folder has none that transformers can load, or one whose embeddings are not means.
    """

    def __init__(self, model: Path) -> None:
        if not (model / "config.json").is_file():
            raise ConfigError(f"model: {model} is not the folder of a model, which has a config.json. Give one.")
        _check_pooling(model)
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(str(model), local_files_only=True)
            self._model = transformers.AutoModel.from_pretrained(str(model), local_files_only=True).eval()
        except Exception as error:  # whatever a library of somebody else raises about a folder's files
            told = next(iter(str(error).splitlines()), "no reason was given")
            raise ConfigError(f"model: {model} cannot be loaded: {type(error).__name__}: {told}") from error
        most = getattr(self._model.config, "max_position_embeddings", _HUGE) or _HUGE
        self._most = min(self._tokenizer.model_max_length, most)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """A row for each text."""
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        found = np.empty((len(texts), self._model.config.hidden_size), np.float32)
        for start in range(0, len(order), _AT_ONCE):
            numbers = order[start : start + _AT_ONCE]
            found[numbers] = self._embedded([texts[number] for number in numbers])
        return found

    def _embedded(self, texts: list[str]) -> NDArray[np.float32]:
        limit = {"truncation": True, "max_length": self._most} if self._most < _HUGE else {}
        read = self._tokenizer(texts, verbose=False, **limit)["input_ids"]
        longest = max(1, *map(len, read))
        pad = self._tokenizer.pad_token_id or 0
        tokens = torch.tensor([[*ids, *[pad] * (longest - len(ids))] for ids in read])
        present = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in read])
        with torch.inference_mode():
            states = self._model(input_ids=tokens, attention_mask=present).last_hidden_state.float()
        weights = present.unsqueeze(-1).float()
        means = (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
        vectors: NDArray[np.float32] = means.numpy()
        return vectors


def _check_pooling(model: Path) -> None:
    said = model / "1_Pooling" / "config.json"
    if said.is_file() and not json.loads(said.read_text(encoding="utf-8")).get("pooling_mode_mean_tokens", True):
        raise ConfigError(f"model: {model} does not take the mean of its tokens. Choose a model that does.")

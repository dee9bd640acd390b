"""BERTScore by a local model: greedy matching of token embeddings by their cosines (Zhang et al., ICLR 2020, equation 1).

Recall is the mean over the tokens of the reference of the largest cosine with a token of the text, precision the same the other way round,
F their harmonic mean. Special tokens do not count, there are no weights by idf, and scores are not rescaled. Texts are cut at what the
model takes, with a warning.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from datafast._util.notify import warn_user
from datafast.errors import ConfigError

__all__ = ["Embeddings"]

_AT_ONCE = 32
_HUGE = 100_000  # what a tokenizer says that knows no limit


class Embeddings:
    """A model whose token embeddings are compared.

    Raises:
        ConfigError: the folder has none that transformers can load, or not so many layers.
    """

    def __init__(self, model: Path, layer: int) -> None:
        if not (model / "config.json").is_file():
            raise ConfigError(f"model: {model} is not the folder of a model, which has a config.json. Give one.")
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(str(model), local_files_only=True)
            self._model = transformers.AutoModel.from_pretrained(str(model), local_files_only=True).eval()
        except Exception as error:
            raise ConfigError(
                f"model: {model} cannot be loaded: {type(error).__name__}: {str(error).splitlines()[0]}"
            ) from error
        layers = self._model.config.num_hidden_layers
        if not -layers - 1 <= layer <= layers:
            raise ConfigError(f"layer: {model} has layers 0 to {layers}, so there is no layer {layer}.")
        self._layer = layer
        self._most = min(
            self._tokenizer.model_max_length, getattr(self._model.config, "max_position_embeddings", _HUGE) or _HUGE
        )
        self._has_warned = False

    def scores(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, float, float]]:
        """Precision, recall and F of each text and its reference; 0 where one of them has no tokens."""
        texts = sorted({text for pair in pairs for text in pair}, key=len)
        known: dict[str, Any] = {}
        for start in range(0, len(texts), _AT_ONCE):
            part = texts[start : start + _AT_ONCE]
            known.update(zip(part, self._embedded(part), strict=True))
        return [_score(known[text], known[reference]) for text, reference in pairs]

    def _embedded(self, texts: Sequence[str]) -> list[Any]:
        """The embeddings of each text's tokens, of length 1."""
        limit = {"truncation": True, "max_length": self._most} if self._most < _HUGE else {}
        read = self._tokenizer(
            list(texts), return_special_tokens_mask=True, return_overflowing_tokens=False, verbose=False, **limit
        )
        if limit and not self._has_warned and any(len(ids) >= self._most for ids in read["input_ids"]):
            self._has_warned = True
            warn_user(f"bertscore: Texts are cut at the {self._most:,} tokens that the model takes.")
        longest = max(1, *(len(ids) for ids in read["input_ids"]))
        pad = self._tokenizer.pad_token_id or 0
        tokens = torch.tensor([[*ids, *[pad] * (longest - len(ids))] for ids in read["input_ids"]])
        present = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in read["input_ids"]])
        with torch.inference_mode():
            states = self._model(input_ids=tokens, attention_mask=present, output_hidden_states=True).hidden_states
        found = torch.nn.functional.normalize(states[self._layer].float(), dim=-1)
        return [
            row[: len(special)][~torch.tensor(special, dtype=torch.bool)]
            for row, special in zip(found, read["special_tokens_mask"], strict=True)
        ]


def _score(text: Any, reference: Any) -> tuple[float, float, float]:
    if not len(text) or not len(reference):
        return 0.0, 0.0, 0.0
    cosines = text @ reference.T
    precision, recall = float(cosines.max(dim=1).values.mean()), float(cosines.max(dim=0).values.mean())
    both = precision + recall
    return precision, recall, 2 * precision * recall / both if both > 0 else 0.0

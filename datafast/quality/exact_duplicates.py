"""Drops rows whose texts an earlier row has.

quality:
  - {stage: exact_duplicates}
  - {stage: exact_duplicates, field: question, normalize: false}

Method: 16 bytes of BLAKE2b of the texts of a row, looked up in a set. With `normalize`, Unicode's compatible forms (NFKC), case and white
space do not count; punctuation does, because it may change what is said. A row without any text is no duplicate.
Memory: some 100 bytes for each row that is kept.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from hashlib import blake2b
from typing import Literal

from pydantic import BaseModel

from datafast.quality.base import KEEP, TextWalkStage, Verdict, Walk, drop

__all__ = ["ExactDuplicatesStage"]


class ExactDuplicatesStage(TextWalkStage[bytes]):
    """Drops rows whose texts an earlier row has."""

    stage: Literal["exact_duplicates"] = "exact_duplicates"
    """Drops rows whose texts an earlier row has."""

    normalize: bool = True
    """Whether texts are the same that differ only in case, white space and Unicode's compatible forms."""

    def features(self, rows: Sequence[BaseModel]) -> Sequence[bytes]:
        return [self._digest(self.texts(row)) for row in rows]

    def walk(self) -> Walk[bytes]:
        return _Seen()

    def _digest(self, texts: Sequence[str]) -> bytes:
        """16 bytes for the texts of a row; none where there is no text."""
        found = blake2b(digest_size=16)
        is_empty = True
        for text in texts:
            data = (_normal(text) if self.normalize else text).encode("utf-8", "surrogatepass")
            is_empty = is_empty and not data
            found.update(len(data).to_bytes(8, "little") + data)
        return b"" if is_empty else found.digest()


class _Seen:
    """The rows that were kept so far."""

    def __init__(self) -> None:
        self._digests: set[bytes] = set()

    def decide(self, features: bytes) -> Verdict:
        return drop("the same as an earlier row") if features in self._digests else KEEP

    def keep(self, features: bytes) -> None:
        if features:
            self._digests.add(features)


def _normal(text: str) -> str:
    # Once more behind casefold(), whose letters may have other compatible forms (Unicode Standard, section 3.13).
    return unicodedata.normalize("NFKC", " ".join(unicodedata.normalize("NFKC", text).casefold().split()))

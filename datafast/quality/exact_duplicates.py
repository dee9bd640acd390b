"""Drops rows whose texts an earlier row has, or one of another file.

quality:
  - {stage: exact_duplicates}
  - {stage: exact_duplicates, field: question, normalize: false, against: [earlier.jsonl]}

Method: 16 bytes of BLAKE2b of the texts of a row, looked up in a table. With `normalize`, Unicode's compatible forms (NFKC), case and white
space do not count; punctuation does, because it may change what is said. A row without any text is no duplicate.
Memory: some 100 bytes for each row that is kept, and for each row of `against`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Literal

from pydantic import BaseModel, PrivateAttr

from datafast.quality.against import AgainstStage
from datafast.quality.base import KEEP, Verdict, Walk, drop

__all__ = ["ExactDuplicatesStage"]


class ExactDuplicatesStage(AgainstStage[bytes]):
    """Drops rows whose texts an earlier row has, or one of another file."""

    stage: Literal["exact_duplicates"] = "exact_duplicates"
    """Drops rows whose texts an earlier row has."""

    normalize: bool = True
    """Whether texts are the same that differ only in case, white space and Unicode's compatible forms."""

    _earlier: Mapping[bytes, str] | None = PrivateAttr(default=None)

    def check(self, row_model: type[BaseModel]) -> None:
        super().check(row_model)
        self._earlier = None

    def features(self, rows: Sequence[BaseModel]) -> Sequence[bytes]:
        return [self._digest(self.texts(row)) for row in rows]

    def walk(self) -> Walk[bytes]:
        if self._earlier is None:
            self._earlier = {
                self._digest(texts): name for name, batches in self.earlier() for batch in batches for texts in batch
            }
        return _Seen(self._earlier)

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
    """The rows that were kept so far, beside those that were there before, by what holds them."""

    def __init__(self, earlier: Mapping[bytes, str]) -> None:
        self._earlier = earlier
        self._digests: set[bytes] = set()

    def decide(self, features: bytes) -> Verdict:
        if features in self._digests:
            return drop("the same as an earlier row")
        if features and features in self._earlier:
            return drop(f"the same as a row of {self._earlier[features]}")
        return KEEP

    def keep(self, features: bytes) -> None:
        if features:
            self._digests.add(features)


def _normal(text: str) -> str:
    # Once more behind casefold(), whose letters may have other compatible forms (Unicode Standard, section 3.13).
    return unicodedata.normalize("NFKC", " ".join(unicodedata.normalize("NFKC", text).casefold().split()))

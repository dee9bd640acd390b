"""Reading the rows of a JSONL without holding them in memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar, overload

from pydantic import BaseModel

__all__ = ["RowSequence"]

RowT = TypeVar("RowT", bound=BaseModel)


class RowSequence(Sequence[RowT]):
    """The rows of a JSONL as they were when it was made. Memory: eight bytes a row, and the row asked for.

    A last line without its newline is one that is still being written; it is left out.
    """

    def __init__(self, path: Path, row_model: type[RowT]) -> None:
        self._path = path
        self._row_model = row_model
        self._ends: array[int] | None = None

    def _offsets(self) -> array[int]:
        if self._ends is None:
            self._ends = array("q", [0])
            if self._path.exists():
                with self._path.open("rb") as file:
                    position = 0
                    for line in file:
                        position += len(line)
                        if line.endswith(b"\n"):
                            self._ends.append(position)
        return self._ends

    def __len__(self) -> int:
        return len(self._offsets()) - 1

    @overload
    def __getitem__(self, index: int) -> RowT: ...
    @overload
    def __getitem__(self, index: slice) -> list[RowT]: ...
    def __getitem__(self, index: int | slice) -> RowT | list[RowT]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        ends = self._offsets()
        with self._path.open("rb") as file:
            file.seek(ends[number])
            return self._row_model.model_validate_json(file.read(ends[number + 1] - ends[number]))

    def __iter__(self) -> Iterator[RowT]:
        count = len(self)
        if not count:
            return
        with self._path.open("rb") as file:
            for _, line in zip(range(count), file, strict=False):
                yield self._row_model.model_validate_json(line)

    def __repr__(self) -> str:
        return f"<{len(self)} rows of {self._row_model.__name__} in {self._path}>"

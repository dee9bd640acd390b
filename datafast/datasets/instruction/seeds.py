"""Tasks that a user gives: texts, or rows of any source with an `instruction` and perhaps an `input`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import overload

from datafast.datasets.documents import opened
from datafast.datasets.instruction.rows import Task
from datafast.plan.dimensions import Computed, Dimension
from datafast.sources import SourceRows
from datafast.templates.values import to_text

__all__ = ["GivenTasks"]

_INSTRUCTION, _TEXT, _INPUT = "instruction", "text", "input"
_NEAR = 256


class GivenTasks(Sequence[Task]):
    """The tasks of a source, read when they are asked for; each was looked at once.

    Args:
        given: what the config says.
        field: the field that says it, for messages.

    Raises:
        ConfigError, ValueError: the source cannot be read, or a row has no instruction; names the place.
    """

    def __init__(self, given: object, field: str, *, folder: Path | None, spool: Path | None) -> None:
        if isinstance(given, Sequence) and not isinstance(given, str):
            given = [{_INSTRUCTION: task} if isinstance(task, str) else task for task in given]
        self.rows: SourceRows = opened(given, field, folder, spool)
        columns = self.rows.columns
        only = columns[0] if len(columns) == 1 else None
        self._column = next((name for name in (_INSTRUCTION, _TEXT) if name in columns), only)
        if self._column is None:
            raise ValueError(
                f"{field}: {self.rows.name} has no column {_INSTRUCTION!r}, but {', '.join(columns) or 'none'}. Rename the one with the "
                f"instructions."
            )
        self.has_inputs = _INPUT in columns
        self.rows.check([self._column, *([_INPUT] if self.has_inputs else [])], field=field)
        for number, row in enumerate(self.rows):
            if not to_text(row.get(self._column)).strip():
                raise ValueError(
                    f"{field}: {self.rows.name}, {self.rows.place(number)}: {self._column} is empty. Fill it, or leave such rows out with "
                    f"where: {self._column} | trim."
                )
        self._task = lru_cache(maxsize=_NEAR)(self._read)

    def _read(self, number: int) -> Task:
        row = self.rows[number]
        given = to_text(row.get(_INPUT)).strip() if self.has_inputs else ""
        return Task(to_text(row[str(self._column)]).strip(), given or None)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> list[Task]: ...
    def __getitem__(self, index: int | slice) -> Task | list[Task]:
        found = range(len(self))[index]
        return self._task(found) if isinstance(found, int) else [self._task(number) for number in found]

    def dimension(self, name: str) -> Dimension:
        """An axis of a plan, with one task after the other."""
        rows = self.rows
        return Dimension(name, self, digests=Computed(len(rows), rows.id_of), fingerprint=rows.digest)

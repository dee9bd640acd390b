"""Which files belong to an output."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["OutputPaths"]


@dataclass(frozen=True)
class OutputPaths:
    """The JSONL and the files that go with it."""

    rows: Path
    ledger: Path

    @classmethod
    def of(cls, output_file: str | Path, ledger: Path | None = None) -> OutputPaths:
        rows = Path(output_file)
        return cls(rows, ledger or rows.with_name(rows.name + ".ledger"))

    def _beside_ledger(self, suffix: str) -> Path:
        return self.ledger.with_name(self.ledger.name + suffix)

    @property
    def journal(self) -> Path:
        return self._beside_ledger("-replies")

    @property
    def locks(self) -> list[Path]:
        """The locks that a run holds: that of its ledger, and that of its rows if the ledger is elsewhere."""
        return list(dict.fromkeys([self._beside_ledger("-lock"), self.rows.with_name(self.rows.name + ".ledger-lock")]))

    @property
    def all(self) -> list[Path]:
        """The files that `--fresh` moves aside, in an order that loses nothing if it is interrupted.

        SQLite deletes a side file without its ledger, but a ledger without its side files is as it was when the journal began.
        """
        return [self._beside_ledger("-wal"), self._beside_ledger("-shm"), self.ledger, self.journal, self.rows]

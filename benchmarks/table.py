"""The lines of the table, and how they are shown: on a terminal, in Markdown, as JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal

__all__ = ["COLUMNS", "Line", "as_markdown", "as_text", "update"]

COLUMNS = ("case", "measured", "ours", "floor or peer", "ratio", "target", "ok?")
_MARK = "<!-- benchmarks -->"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One figure of a case beside what it is compared with.

    Attributes:
        ours, peer: one value for each repeat, in `unit`; their medians count. No `peer` where there is nothing to compare with.
        peer_is: what the peer is.
        limit: the target, None for a figure that is shown for its own sake.
        rule: what is held against the limit: the `ratio` of ours to the peer or the `growth` (ours less the peer) or `ours`
            itself, at most; or ours `exactly`.
        digits: shown after the decimal point.
    """

    case: str
    measured: str
    unit: str
    ours: Sequence[float]
    peer: Sequence[float] = field(default_factory=tuple)
    peer_is: str = "floor"
    limit: float | None = None
    rule: Literal["ratio", "growth", "ours", "exactly"] = "ours"
    digits: int = 2

    @property
    def ratio(self) -> float | None:
        return median(self.ours) / median(self.peer) if self.peer else None

    @property
    def score(self) -> float:
        """What is held against the limit."""
        if self.rule == "ratio":
            return self.ratio or 0.0
        return median(self.ours) - (median(self.peer) if self.rule == "growth" else 0.0)

    @property
    def ok(self) -> bool | None:
        if self.limit is None:
            return None
        if self.rule == "exactly":
            return all(value == self.limit for value in self.ours)
        return self.score <= self.limit

    def cells(self) -> tuple[str, ...]:
        """The texts of its columns."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        peer = f"{self._values(self.peer)} ({self.peer_is})" if self.peer else ""
        verdict = {None: "", True: "yes", False: "NO"}[self.ok]
        return (self.case, self.measured, self._values(self.ours), peer, ratio, self._target(), verdict)

    def _values(self, values: Sequence[float]) -> str:
        shown = [f"{value:,.{self.digits}f}" for value in (median(values), min(values), max(values))]
        spread = f" [{shown[1]} .. {shown[2]}]" if len(set(shown)) > 1 else ""
        return f"{shown[0]}{f' {self.unit}' if self.unit else ''}{spread}"

    def _target(self) -> str:
        if self.limit is None:
            return ""
        limit, unit = f"{self.limit:,g}", f" {self.unit}" if self.unit else ""
        return {
            "ratio": f"ratio <= {self.limit:.2f}",
            "growth": f"growth <= {limit}{unit}",
            "ours": f"<= {limit}{unit}",
            "exactly": f"= {limit}",
        }[self.rule]

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": self.ratio, "score": self.score, "ok": self.ok}


def as_text(lines: Sequence[Line]) -> str:
    """A table with aligned columns."""
    rows = [COLUMNS, *(line.cells() for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def as_markdown(lines: Sequence[Line]) -> str:
    """The same in Markdown."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(line.cells() for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def update(page: Path, lines: Sequence[Line], *, heading: str) -> None:
    """Puts these lines in the place of the same cases' in a page's table; lines of other cases stay.

    Args:
        heading: the line above the table: when and on what it was measured.
    """
    before, *old, after = page.read_text(encoding="utf-8").split(_MARK)
    if len(old) != 1:
        raise SystemExit(f"{page}: there must be two lines {_MARK}; the table is put between them")
    head, rule, *fresh = as_markdown(lines).splitlines()
    measured = {_case(row) for row in fresh}
    rows = [row for row in re.findall(r"^\|.*\|$", old[0], re.MULTILINE)[2:] if _case(row) not in measured] + fresh
    table = "\n".join([head, rule, *sorted(rows, key=_case)])
    page.write_text(f"{before}{_MARK}\n{heading}\n\n{table}\n{_MARK}{after}", encoding="utf-8")


def _case(row: str) -> str:
    return row.split("|")[1].strip()

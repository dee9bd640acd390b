"""The result: everything that is known of the rows of a file, as one value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from datafast._util.notify import did_you_mean
from datafast.errors import ConfigError
from datafast.html import facts, paragraph, table
from datafast.statistics.coverage import Coverage
from datafast.statistics.crossed import RowMatrix
from datafast.statistics.display import cells, columns_of, facts_of, flat, title_of
from datafast.statistics.models import Group, Grouping, Value, named
from datafast.statistics.placeholder_effect import PlaceholderEffect
from datafast.statistics.shaping import EFFECT_HEADINGS, coverage_lines, effect_cells, effect_title

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Statistics"]


class Statistics(Value):
    """What is in an output or a file, and what it took to make.

    `requested = written + total.filtered + total.failed + pending`, while no run is writing.

    Attributes:
        file: where the rows are.
        dataset_kind: the kind of the dataset; None if there is no ledger.
        simulated: whether simulated models made the rows.
        running: whether a run was writing at the time: counts may then not fit to each other.
        requested: rows as the run's report counts them, like the next three; None without a ledger.
        written: rows in the file that are asked for.
        pending: rows that are still to be made.
        removed: rows in the file that are no longer asked for.
        total: all rows.
        by: the same in groups, by each thing that tells rows apart.
        effects: how well each thing that tells rows apart is told from their texts, that is, whether it shapes them.
        coverage: which combinations of values have rows; None where the plan is not known.
        combinations: how many rows have each two values, where the plan is not known.
        text_fields: the fields whose texts were looked at; None for all that hold text.
        sample: texts were looked at in a random sample of so many rows.
        seed: what the sample was drawn with.
        notes: what else has to be known, in sentences.
    """

    file: str
    dataset_kind: str | None = None
    simulated: bool = False
    running: bool = False
    requested: int | None = None
    written: int | None = None
    pending: int | None = None
    removed: int | None = None
    total: Group
    by: list[Grouping]
    effects: list[PlaceholderEffect] = Field(default_factory=list)
    coverage: Coverage | None = None
    combinations: list[RowMatrix] = Field(default_factory=list)
    text_fields: list[str] | None = None
    sample: int
    seed: int
    notes: list[str] = Field(default_factory=list)

    def grouping(self, field: str) -> Grouping:
        """The groups by one field.

        Raises:
            ConfigError: there is no such field; names those that there are.
        """
        for grouping in self.by:
            if grouping.field == field:
                return grouping
        hint = did_you_mean(field, [grouping.field for grouping in self.by])
        raise ConfigError(f"by: There are no groups by {field!r}. {hint}")

    def to_pandas(self) -> pd.DataFrame:
        """One line for each group: `field` and `value`, then its numbers. The first line is that of all rows, with the field `total`."""
        import pandas as pd

        lines = [{"field": "total", "value": None, **flat(self.total)}]
        for grouping in self.by:
            lines += [{"field": grouping.field, "value": name, **flat(group)} for name, group in named(grouping)]
        return pd.DataFrame(lines)

    def facts(self) -> list[tuple[str, str]]:
        """All rows in words, line by line, each with what it is about."""
        told = f"{self.file} (these rows are simulated)" if self.simulated else self.file
        lines = [("file", told), ("kind", self.dataset_kind or ""), ("rows", self._rows()), *facts_of(self.total)]
        return [(name, text) for name, text in lines if text]

    def _rows(self) -> str:
        total = self.total
        if self.requested is None:
            return f"{total.rows:,}"
        removed = f", {self.removed:,} removed from the config" if self.removed else ""
        return (
            f"{total.rows:,} in the file: {self.requested:,} requested, {self.written:,} written, {total.filtered:,} filtered, "
            f"{total.failed:,} failed, {self.pending:,} pending{removed}"
        )

    def _repr_html_(self) -> str:
        """For notebooks: all rows in words, and a table for each thing that tells rows apart."""
        parts = [paragraph("Statistics", bold=True), facts(self.facts())]
        for grouping in self.by:
            listed = named(grouping)
            columns = columns_of(group for _, group in listed)
            parts += [
                paragraph(title_of(grouping), bold=True),
                table(["", *(column.name for column in columns)], cells(listed, columns)),
            ]
        if self.effects:
            parts += [
                paragraph(effect_title(self.effects), bold=True),
                table(EFFECT_HEADINGS, effect_cells(self.effects)),
            ]
        if self.coverage is not None and (lost := list(coverage_lines(self.coverage))):
            parts += [paragraph("combinations without a row", bold=True), facts(lost)]
        return "".join([*parts, *(paragraph(note) for note in self.notes)])

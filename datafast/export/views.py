"""The rows of an output as other libraries hold them, and on the screen."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from random import SystemRandom
from typing import TYPE_CHECKING

import orjson

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.notify import plain_text
from datafast.export.files import OutputRows
from datafast.export.reading import Row
from datafast.store.rows import RowSequence

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import BaseModel

    from datafast.store.paths import OutputPaths

__all__ = ["frame_of", "print_rows"]


@foreign_warnings_ignored()
def frame_of(rows: Iterable[Row], columns: Sequence[str]) -> pd.DataFrame:
    """Rows as a DataFrame, with these columns."""
    import pandas as pd

    return pd.DataFrame(list(rows), columns=list(columns))


def print_rows(paths: OutputPaths, *, row_model: type[BaseModel], random: bool, num_rows: int) -> None:
    """Prints `num_rows` rows of an output, a line or more a field: the first rows, or any in any order."""
    OutputRows.of(paths, row_model)
    rows = RowSequence(paths.rows, row_model)
    count = min(num_rows, len(rows))
    numbers = SystemRandom().sample(range(len(rows)), count) if random else range(count)
    for number in numbers:
        lines = [f"Row {number + 1:,} of {len(rows):,}"]
        for name, value in rows[number].model_dump(mode="json").items():
            text = value if isinstance(value, str) else orjson.dumps(value).decode()
            lines.append(f"  {name}: {plain_text(text)}")
        sys.stdout.write("\n".join(lines) + "\n\n")

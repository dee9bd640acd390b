"""What is in an output or a file, in numbers: `dataset.statistics()`, and `datafast stats FILE`.

One pass over the rows makes columns of numbers (`entries`), one over the ledger those of paid replies (`calls`); groups are made of both
(`groups`). `models` has the types of the result, `diversity` the measures of texts and their sources.
"""

from datafast.statistics.measuring import measure
from datafast.statistics.models import (
    Copies,
    Diversity,
    Group,
    Grouping,
    Histogram,
    Rate,
    Spread,
)
from datafast.statistics.result import Statistics

__all__ = [
    "Copies",
    "Diversity",
    "Group",
    "Grouping",
    "Histogram",
    "Rate",
    "Spread",
    "Statistics",
    "measure",
]

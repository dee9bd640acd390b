"""What is in an output or a file, in numbers: `dataset.statistics()`, and `datafast stats FILE`.

One pass over the rows makes columns of numbers (`entries`), one over the ledger those of paid replies (`calls`); groups are made of both
(`groups`). `models` has the types of the result, `diversity` the measures of texts and their sources,
`placeholder_effect` what shapes texts, `coverage` which combinations of values have rows.

`compare(a, b)`, and `datafast compare A B`, tell how two files differ (`comparison`; `differences` has the types of the result), and
which one models prefer (`pairs`, `verdicts`); `uncertainty` has effect sizes and their intervals.
"""

from typing import TYPE_CHECKING

from datafast._util.lazy import lazy_names

if TYPE_CHECKING:
    from datafast.statistics.comparison import compare
    from datafast.statistics.coverage import AxesCoverage, Combination, Coverage
    from datafast.statistics.differences import (
        CategoryDifference,
        Comparison,
        ConfigDifference,
        Estimated,
        NumberDifference,
        RowDifference,
        Side,
        ValueShare,
    )
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
    from datafast.statistics.placeholder_effect import PlaceholderEffect
    from datafast.statistics.result import Statistics
    from datafast.statistics.verdicts import Judging, Verdicts
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "datafast.statistics.comparison": ["compare"],
            "datafast.statistics.coverage": ["AxesCoverage", "Combination", "Coverage"],
            "datafast.statistics.differences": [
                "CategoryDifference",
                "Comparison",
                "ConfigDifference",
                "Estimated",
                "NumberDifference",
                "RowDifference",
                "Side",
                "ValueShare",
            ],
            "datafast.statistics.measuring": ["measure"],
            "datafast.statistics.models": ["Copies", "Diversity", "Group", "Grouping", "Histogram", "Rate", "Spread"],
            "datafast.statistics.placeholder_effect": ["PlaceholderEffect"],
            "datafast.statistics.result": ["Statistics"],
            "datafast.statistics.verdicts": ["Judging", "Verdicts"],
        },
    )

__all__ = [
    "AxesCoverage",
    "CategoryDifference",
    "Combination",
    "Comparison",
    "ConfigDifference",
    "Copies",
    "Coverage",
    "Diversity",
    "Estimated",
    "Group",
    "Grouping",
    "Histogram",
    "Judging",
    "NumberDifference",
    "PlaceholderEffect",
    "Rate",
    "RowDifference",
    "Side",
    "Spread",
    "Statistics",
    "ValueShare",
    "Verdicts",
    "compare",
    "measure",
]

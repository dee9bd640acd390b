"""Which rows go to the splits `train`, `validation` and `test`.

    rows = SplitRows.of(path, Splitting(train_size=0.8, stratify="label"))
    rows.assignment.sizes             the number of rows of each split
    rows.lines("train")               its lines, in order

`splitting` says what is asked for, `keys` what splits depend on, `strata` and `groups` how rows are shared out, `assignment` puts these
together, `record` remembers, and `rows` reads files.
"""

from datafast.export.splits.splitting import NEAR_DUPLICATES, SPLITS, Splitting

__all__ = ["NEAR_DUPLICATES", "SPLITS", "Splitting"]

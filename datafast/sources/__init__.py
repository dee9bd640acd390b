"""Rows that a user already has: lists, files, tables and Hugging Face datasets behind one small sequence.

    list of mappings, mapping of columns          as they are
    file, pattern, folder                         JSONL, JSON, CSV, TSV, Parquet, Arrow, text and Markdown, also in gzip and zstd
    address                                       such files wherever fsspec reaches
    pandas or polars DataFrame                    by its own rows
    Dataset, IterableDataset, DatasetDict, name   of `datasets`; of a DatasetDict the split that is asked for, `train`, or all of them
    on the Hub, folder of `save_to_disk`

`SourceFields` are the fields of a config that say how a source is read and which of its rows are used; `Source` has those of texts.

Guarantee: a source is read from its first row to its last, or to its `limit`, when it is opened, and what cannot be read faithfully is
refused with its file, line and column. A row comes out as a plain mapping of column names to JSON values. Cells of CSV and TSV files are
text to the letter; `types` makes numbers of those that are named. Rows are told apart by what they hold: a row keeps its `id` wherever the
source lies and whatever becomes of other rows. Nothing of the user's is changed.
Cost: one pass over the source, and 16 to 40 bytes a row, which are in a temporary file beyond some megabytes. Rows of JSONL, CSV, TSV and
text files are read from the file as they are asked for; those of Parquet and Arrow files and of streams from the Hub from a copy beside the
ledger that the pass writes and the next run uses, and so what is compressed or lies elsewhere; iterables in memory from a temporary file
(below TMPDIR). Lists and DataFrames are gone through once.
Limits: a file that changes while it is used gives an error where its rows have changed.
"""

from __future__ import annotations

from datafast.sources.opening import open_source
from datafast.sources.reading import CellType
from datafast.sources.rows import SourceRows

__all__ = ["CellType", "SourceRows", "open_source"]

"""Rows that a user already has: lists, files, tables and Hugging Face datasets behind one small sequence.

    list of mappings, mapping of columns          as they are
    .jsonl, .json, .csv, .tsv, .parquet           files, relative to a folder that the caller names
    pandas or polars DataFrame                    by its own rows
    Dataset, IterableDataset, DatasetDict, name   of `datasets`; of a DatasetDict the split that is asked for, `train`, or all of them
    on the Hub

Guarantee: a source is read from its first row to its last when it is opened, and what cannot be read faithfully is refused with its file,
line and column. A row comes out as a plain mapping of column names to JSON values. Cells of CSV and TSV files are text to the letter;
`types` makes numbers of those that are named. Rows are told apart by what they hold: a row keeps its `id` wherever the source lies and
whatever becomes of other rows. Nothing of the user's is changed.
Cost: one pass over the source, and 16 bytes a row. Rows of JSONL, CSV and TSV files are read from the file as they are asked for, with 8
bytes more a row; so are those of Parquet files and streamed datasets, from a temporary file that the pass writes (below TMPDIR). Lists
and DataFrames are gone through once.
Limits: a file that changes while it is used gives an error where its rows have changed.
"""

from __future__ import annotations

from datafast.sources.opening import open_source
from datafast.sources.reading import CellType
from datafast.sources.rows import SourceRows

__all__ = ["CellType", "SourceRows", "open_source"]

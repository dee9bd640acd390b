"""Hugging Face datasets: in memory, as splits, and by their name on the Hub."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import accumulate, chain
from typing import Any

import orjson

from datafast._util.notify import did_you_mean, warn_user
from datafast.errors import ConfigError
from datafast.sources.memory import of_iterable
from datafast.sources.reading import Reading
from datafast.sources.rows import SourceRows, gone_through
from datafast.sources.values import Row, RowReader

__all__ = ["from_hub", "is_dataset", "is_streamed", "of_dataset", "of_splits"]

_BATCH = 1_000


def is_dataset(given: object) -> bool:
    """Whether it is a `datasets.Dataset`, told without importing that package."""
    return all(hasattr(given, name) for name in ("column_names", "features", "num_rows", "__getitem__"))


def is_streamed(given: object) -> bool:
    """Whether it is a `datasets.IterableDataset`."""
    if isinstance(given, Mapping) or is_dataset(given):
        return False
    return all(hasattr(given, name) for name in ("column_names", "features", "__iter__"))


def of_dataset(dataset: Any, reading: Reading) -> SourceRows:
    """A dataset: its rows as they are stored, whatever format it was told to give them in."""
    if isinstance(dataset.column_names, Mapping):  # a DatasetDict that came with the attributes of a dataset
        return of_splits(dataset, reading)
    about = orjson.dumps([getattr(dataset, "_fingerprint", None), dataset.num_rows, list(dataset.column_names)])
    # A format like "pandas" or "torch" changes what a row is; the rows themselves are the same.
    stored = dataset.with_format(None) if getattr(dataset, "format", {}).get("type") else dataset
    reader = RowReader(reading.encoding)

    def plain() -> Iterator[Row]:
        names = list(dataset.column_names)
        for start in range(0, int(dataset.num_rows), _BATCH):
            batch = stored[start : start + _BATCH]
            for number, values in enumerate(zip(*(batch[name] for name in names), strict=True), start):
                yield reader.plain(dict(zip(names, values, strict=True)), number)

    return SourceRows(
        "the dataset",
        gone_through(plain(), columns=[str(name) for name in dataset.column_names]),
        lambda number: reader.plain(stored[number], number),
        reader=reader,
        former_digest=blake2b(about, digest_size=16).digest(),
    )


def of_splits(splits: Mapping[Any, Any], reading: Reading) -> SourceRows:
    """The split that is asked for, `train`, or the only one; where none of these is there, all of them, one after the other."""
    names = [str(name) for name in splits]
    split = reading.split
    if split is not None:
        if split not in splits:
            raise ConfigError(f"{reading.field}: There is no split {split!r}. {did_you_mean(split, names)}")
        return of_any(splits[split], reading)
    if "train" in splits:
        return of_any(splits["train"], reading)
    if len(splits) > 1:
        warn_user(
            f"{reading.field}: The splits {', '.join(names)} are read one after the other. Give split to read one of them."
        )
    return _chained([of_any(part, reading) for part in splits.values()])


def of_any(part: Any, reading: Reading) -> SourceRows:
    """A dataset, streamed or not."""
    return of_iterable(part, reading, "the dataset") if is_streamed(part) else of_dataset(part, reading)


def _chained(parts: Sequence[SourceRows]) -> SourceRows:
    """Several sources as one; a column that a part lacks is null there."""
    if len(parts) == 1:
        return parts[0]
    ends = list(accumulate(len(part) for part in parts))
    columns = list(dict.fromkeys(name for part in parts for name in part.columns))
    reader = RowReader()
    for part, end in zip(parts, ends, strict=True):
        for name, (number, why) in part.refused.items():
            reader.refused.setdefault(name, (end - len(part) + number, why))

    def read(number: int) -> Row:
        place = bisect_right(ends, number)
        row = parts[place][number - (ends[place - 1] if place else 0)]
        return {name: row.get(name) for name in columns}

    former = blake2b(b"".join(part.former_digest for part in parts), digest_size=16).digest()
    rows = ({name: row.get(name) for name in columns} for row in chain.from_iterable(parts))
    return SourceRows("the dataset", gone_through(rows, columns=columns), read, reader=reader, former_digest=former)


def from_hub(name: str, reading: Reading) -> SourceRows:
    """A dataset by its name on the Hub."""
    from datasets import load_dataset

    try:
        loaded = load_dataset(name, split=reading.split)
    except Exception as error:  # whatever `datasets` raises, and that is many things, goes on as its cause
        raise ConfigError(
            f"{reading.field}: There is no file {name!r} here, and it cannot be loaded from the Hugging Face Hub either: "
            f"{type(error).__name__}: {error}. Check its name and the network."
        ) from error
    found = of_dataset(loaded, reading) if reading.split is not None else of_splits(loaded, reading)
    found.name = name
    return found

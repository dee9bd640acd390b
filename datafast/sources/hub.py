"""Hugging Face datasets: in memory, as splits, and by their name on the Hub."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from datafast._util.notify import did_you_mean, warn_user
from datafast._util.user_path import is_file
from datafast.errors import ConfigError
from datafast.sources.kept import newest_state
from datafast.sources.looking import refuse_remote
from datafast.sources.memory import of_iterable
from datafast.sources.part import Part, chained
from datafast.sources.reading import Reading
from datafast.sources.values import Row, RowReader

__all__ = ["from_disk", "from_hub", "is_dataset", "is_saved", "is_streamed", "of_any", "of_dataset", "of_splits"]

_BATCH = 1_000
_WAIT_S = 30.0


def is_dataset(given: object) -> bool:
    """Whether it is a `datasets.Dataset`, told without importing that package."""
    return all(hasattr(given, name) for name in ("column_names", "features", "num_rows", "__getitem__"))


def is_streamed(given: object) -> bool:
    """Whether it is a `datasets.IterableDataset`."""
    if isinstance(given, Mapping) or is_dataset(given):
        return False
    return all(hasattr(given, name) for name in ("column_names", "features", "__iter__"))


def of_dataset(dataset: Any, reading: Reading, reader: RowReader) -> Part:
    """A dataset: its rows as they are stored, whatever format it was told to give them in."""
    if isinstance(dataset.column_names, Mapping):  # a DatasetDict that came with the attributes of a dataset
        return of_splits(dataset, reading, reader)
    about = orjson.dumps([getattr(dataset, "_fingerprint", None), dataset.num_rows, list(dataset.column_names)])
    # A format like "pandas" or "torch" changes what a row is; the rows themselves are the same.
    stored = dataset.with_format(None) if getattr(dataset, "format", {}).get("type") else dataset

    def rows() -> Iterator[Row]:
        names = list(dataset.column_names)
        for start in range(0, int(dataset.num_rows), _BATCH):
            batch = stored[start : start + _BATCH]
            for number, values in enumerate(zip(*(batch[name] for name in names), strict=True), start):
                yield reader.plain(dict(zip(names, values, strict=True)), number)

    return Part(
        "the dataset",
        rows,
        lambda number: reader.plain(stored[number], number),
        lambda: blake2b(about, digest_size=16).digest(),
        columns=[str(name) for name in dataset.column_names],
    )


def of_splits(
    splits: Mapping[Any, Any],
    reading: Reading,
    reader: RowReader,
    *,
    source: Sequence[str] = (),
    state: str | None = None,
) -> Part:
    """The split that is asked for, `train`, or the only one; where none of these is there, all of them, one after the other.

    Args:
        source, state: of a dataset on the Hub that is streamed; see `kept_part`.
    """
    names = [str(name) for name in splits]
    split = reading.split
    if split is not None:
        if split not in splits:
            raise ConfigError(f"{reading.field}: There is no split {split!r}. {did_you_mean(split, names)}")
        return of_any(splits[split], reading, reader, source=source, state=state)
    if "train" in splits or len(splits) == 1:
        chosen = splits["train"] if "train" in splits else next(iter(splits.values()))
        return of_any(chosen, reading, reader, source=source, state=state)
    each = replace(reading, limit=None)  # which counts over all of them
    parts = [
        of_any(part, each, reader, source=[*source, f"split={name}"] if source else (), state=state)
        for name, part in zip(names, splits.values(), strict=True)
    ]
    warn_user(
        f"{reading.field}: The splits {', '.join(names)} are read one after the other. Give split to read one of them."
    )
    for part, name in zip(parts, names, strict=True):
        part.name = f"the split {name}"
    columns = list(dict.fromkeys(name for part in parts for name in part.columns))
    return chained("the dataset", parts, reader, columns=columns)


def of_any(
    part: Any, reading: Reading, reader: RowReader, *, source: Sequence[str] = (), state: str | None = None
) -> Part:
    """A dataset, streamed or not."""
    if is_streamed(part):
        columns = part.column_names or ()
        return of_iterable(part, reading, reader, "the dataset", columns=columns, source=source, state=state)
    return of_dataset(part, reading, reader)


def is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` of `datasets` has written it."""
    return any(is_file(folder / name) for name in ("state.json", "dataset_dict.json"))


def from_disk(folder: Path, reading: Reading, reader: RowReader) -> Part:
    """A dataset, or its splits, that `save_to_disk` has written."""
    from datasets import load_from_disk

    try:
        loaded = load_from_disk(str(folder))
    except Exception as error:  # whatever `datasets` raises goes on as its cause
        raise ConfigError(
            f"{reading.field}: Cannot read {folder}: {type(error).__name__}: {error}. Save the dataset again."
        ) from error
    found = of_splits(loaded, reading, reader) if isinstance(loaded, Mapping) else of_any(loaded, reading, reader)
    found.name = str(folder)
    return found


def from_hub(name: str, reading: Reading, reader: RowReader) -> Part:
    """A dataset by its name on the Hub. What is streamed stays beside the ledger until the Hub has another commit."""
    refuse_remote(name, reading.field)
    if not reading.streaming:
        return _loaded(name, reading, reader)
    source = ["hub", name, f"config={reading.config}", f"split={reading.split}", f"revision={reading.revision}"]
    commit = _commit_of(name, reading)
    state = newest_state(source, reading, state=commit)
    if commit is None and state is not None:
        warn_user(
            f"{reading.field}: The Hugging Face Hub cannot be asked about {name}; the copy of an earlier run is used."
        )
    if state is not None:
        return of_iterable((), reading, reader, name, source=source, state=state)
    return _loaded(name, replace(reading, revision=commit or reading.revision), reader, source=source, state=commit)


def _commit_of(name: str, reading: Reading) -> str | None:
    """The commit that a revision is on the Hub; None if the Hub cannot be asked."""
    from datasets.config import HF_ENDPOINT  # which it asks too
    from huggingface_hub import HfApi

    try:
        found = HfApi(HF_ENDPOINT).dataset_info(name, revision=reading.revision, timeout=_WAIT_S)
    except Exception:  # noqa: BLE001 - `datasets` will say why, or the copy of an earlier run is used, with a warning
        return None
    return None if found.sha is None else str(found.sha)


def _loaded(
    name: str, reading: Reading, reader: RowReader, *, source: Sequence[str] = (), state: str | None = None
) -> Part:
    from datasets import load_dataset

    asked = {"name": reading.config, "revision": reading.revision, "streaming": reading.streaming or None}
    given = {option: value for option, value in asked.items() if value is not None}
    try:
        loaded = load_dataset(name, split=reading.split, **given)
    except Exception as error:  # whatever `datasets` raises, and that is many things, goes on as its cause
        raise ConfigError(
            f"{reading.field}: There is no file {name!r} here, and it cannot be loaded from the Hugging Face Hub either: "
            f"{type(error).__name__}: {str(error).rstrip('.')}. Check its name and the network."
        ) from error
    kept = of_any if reading.split is not None else of_splits
    found = kept(loaded, reading, reader, source=source, state=state)
    found.name = name
    return found

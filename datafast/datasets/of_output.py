"""The dataset that has made an output, from the config in its ledger."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from datafast.datasets.filtered import FilteredDataset
from datafast.engine.portable import found_again
from datafast.errors import ConfigError
from datafast.registry import load_kind
from datafast.store.paths import OutputPaths
from datafast.store.reader import LedgerReader
from datafast.store.shards import ShardNote

__all__ = ["dataset_in", "in_output"]


def dataset_in(paths: OutputPaths, *, output: OutputPaths | None = None) -> Any:
    """The dataset that has made an output, by the config in its ledger, with its files where they are now.

    Args:
        output: the files of its output, if they are not these. That of a shard is the folder that it is in.

    Raises:
        ConfigError: its kind is not installed, or its config cannot be loaded: says what is needed.
    """
    with LedgerReader(paths.ledger) as reader:
        kind, config, folder = (reader.meta(name) for name in ("kind", "config", "directory"))
        is_shard = ShardNote.read(reader) is not None
    fields = orjson.loads(config or "{}")
    made_in = Path(folder) if folder and Path(folder).is_dir() else paths.rows.parent
    near = paths.rows.absolute().parent
    fields = found_again(fields, [made_in, near, near.parent])
    made = output or (_folder_of(paths) if is_shard else paths)
    fields["output_file"] = str(made.rows)
    elsewhere = _elsewhere(made)
    fields.setdefault("run", {})["ledger"] = None if elsewhere is None else str(elsewhere)
    dataset_class: Any = FilteredDataset if kind == FilteredDataset.kind else load_kind(str(kind))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the run itself has given them
            return dataset_class(dataset_class.config_model.model_validate(fields, context={"folder": made_in}))
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"{part}: " for part in [".".join(map(str, first["loc"]))] if part)
        raise ConfigError(
            f"The config of {paths.rows} cannot be loaded from its ledger: {place}{first['msg'].removeprefix('Value error, ')} "
            f"Functions and data that only Python has are in no file: make the same dataset in Python and call its replay()."
        ) from None


def in_output(dataset: Any, output: OutputPaths) -> Any:
    """The same dataset with another output."""
    config = dataset.config
    run = config.run.model_copy(update={"ledger": _elsewhere(output)})
    return type(dataset)(config.model_copy(update={"output_file": output.rows, "run": run}))


def _folder_of(shard: OutputPaths) -> OutputPaths:
    return OutputPaths.of(shard.rows.parent, None if _elsewhere(shard) is None else shard.ledger.parent)


def _elsewhere(paths: OutputPaths) -> Path | None:
    """Where a ledger is that is not beside its rows."""
    return None if paths.ledger == OutputPaths.of(paths.rows).ledger else paths.ledger

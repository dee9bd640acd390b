"""The rows of a file as `stats` and `report` look at them, with what is known of how they were made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from datafast.store.paths import OutputPaths

__all__ = ["KnownRows", "known_rows"]

_OF_TOPICS = b"datafast-topics"


class KnownRows(NamedTuple):
    """A file of rows.

    Attributes:
        dataset: that made them; None if it is not known.
        rows: gives them, where they are not the lines of the file.
    """

    paths: OutputPaths
    dataset: Any = None
    rows: Callable[[], Iterator[dict[str, Any]]] | None = None


@contextmanager
def known_rows(file: str, ledger: Path | None) -> Iterator[KnownRows]:
    """The rows of an output, of any other file, or of a file of topics, as long as the context lasts.

    Raises:
        ConfigError, OutputError: a ledger is named that is not there or cannot be read.
    """
    from datafast._util.user_path import is_file
    from datafast.cli.outputs import need_ledger
    from datafast.datasets.loaded import dataset_of
    from datafast.datasets.opened import opened_output
    from datafast.store.reader import LedgerReader

    with opened_output(file, ledger) as paths:
        if _is_topics(paths.rows):
            yield KnownRows(paths, rows=lambda: _topics(paths.rows))
        elif ledger is None and not is_file(paths.ledger):
            yield KnownRows(paths)
        else:
            need_ledger(paths)
            with LedgerReader(paths.ledger) as reader:
                dataset = dataset_of(reader)
            yield KnownRows(paths, dataset)


def _is_topics(file: Path) -> bool:
    from datafast._util.user_path import is_file

    if not is_file(file):
        return False
    with file.open("rb") as found:
        return _OF_TOPICS in found.read(100)


def _topics(file: Path) -> Iterator[dict[str, Any]]:
    """The topics that rows are about, each with where it is in the model."""
    from datafast.topics import load_topics

    model = load_topics(file)
    for number in range(model.num_leaves):
        path = model.leaf_path(number)
        yield {"text": path[-1], "metadata": {"branch": path[1] if len(path) > 1 else None, "level": len(path) - 1}}

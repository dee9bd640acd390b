"""Where an output lies that the user names: the one place in which a name becomes the files of an output.

Every command that takes FILE, and `datafast.load`, come here. What is not a file of this machine is read from a temporary copy, whose
`OutputPaths.copy_of` says what it is a copy of. Whoever shows the name of an output takes `paths.name`, whoever writes beside it
`paths.place`, and whoever changes it asks `refuse_copy` first. Commands that take any SOURCE use `opened_source`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datafast._util.user_path import user_path
from datafast.errors import ConfigError
from datafast.sources import SourceRows
from datafast.store.paths import OutputPaths

__all__ = ["opened_output", "opened_source", "refuse_copy"]


@contextmanager
def opened_output(name: str | Path, ledger: Path | None = None) -> Iterator[OutputPaths]:
    """The files of an output, or of any other file of rows, as long as the context lasts. They need not be there.

    Args:
        name: as the user has written it.
        ledger: the ledger, if it is not beside the rows.

    Raises:
        ConfigError: no file can have this name.
    """
    yield OutputPaths.of(user_path(name), ledger)


@contextmanager
def opened_source(given: str, *, field: str) -> Iterator[str | SourceRows]:
    """What `open_source` takes for a source, as long as the context lasts: as the user has written it, or the rows of a copy.

    Raises:
        ConfigError: as `open_source`, of a copy; names the field.
    """
    yield given


def refuse_copy(paths: OutputPaths, why: str) -> None:
    """Refuses to change what would be gone with a copy.

    Args:
        why: what the user may do instead, as sentences.

    Raises:
        ConfigError: the files are a copy.
    """
    if paths.copy_of is not None:
        raise ConfigError(f"{paths.name}: {why}")

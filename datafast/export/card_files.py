"""A card as files on this machine: README.md, and its pictures beside it.

Guarantee: what others wrote into the README stays, as it does with a push. A README without a part of datafast's is never replaced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from datafast._util.atomic_write import write_whole
from datafast._util.notify import warn_user
from datafast.errors import ConfigError, OutputWriteError
from datafast.export.card import CardInfo, Contents, front_matter, readme
from datafast.export.card_kept import kept_of
from datafast.export.card_markdown import redactor
from datafast.export.card_text import pictures_in
from datafast.export.features import row_schema

__all__ = ["write_card"]

_COUNTED = ("language", "model_id")


def write_card(
    info: CardInfo, rows: Iterable[Mapping[str, Any]], *, row_model: type[BaseModel], file: Path, output: Path
) -> list[Path]:
    """Writes the card of the rows of a file, and returns the files that it consists of.

    Raises:
        ConfigError: there is a README there that is not a card of datafast.
        OutputWriteError: it cannot be written.
    """
    previous = _previous(output)
    counts: dict[str, Counter[str]] = {name: Counter() for name in _COUNTED if name in row_model.model_fields}
    num_rows = 0
    for row in rows:
        num_rows += 1
        for name, counter in counts.items():
            if isinstance(value := row.get(name), str):
                counter[value] += 1
    contents = Contents(
        repo_id="", splits={"train": num_rows}, columns=row_schema(row_model).columns, counts=counts, file=file.name
    )
    info = replace(info, num_rows=num_rows)
    files = [{"split": "train", "path": file.name}]
    front = {**front_matter(info, contents), "configs": [{"config_name": contents.config_name, "data_files": files}]}
    text, notes = readme(info, contents, front, previous=previous, secrets=[])
    redact = redactor([])
    written = {output.parent / contents.figures / figure.name: figure.content(redact) for figure in info.figures}
    stale = {output.parent / place for place in pictures_in(kept_of(previous).between or "", contents)} - written.keys()
    _write({**written, output: text.encode()}, stale)
    for note in notes:
        warn_user(note.replace("on the Hub", f"in {output}"))
    return [output, *written]


def _previous(output: Path) -> str:
    """What is there already."""
    try:
        found = output.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{output} is there and cannot be read as text: {error}. Give another name.", key="output"
        ) from error
    if kept_of(found).between is None:
        raise ConfigError(f"{output} is there and is not a card of datafast. Give another name.", key="output")
    return found


def _write(contents: Mapping[Path, bytes], stale: Iterable[Path]) -> None:
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content)
        for path in stale:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputWriteError(
            f"The card cannot be written: {error}. Choose a folder that can be written to."
        ) from error

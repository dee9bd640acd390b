"""`datafast pack`: one archive with all that an output is: its rows, its ledger, its manifest, and how to use them.

Guarantee: what is packed is one state of the output, also while a run goes on and after a kill: the ledger as one snapshot, the rows that
are committed in it, compared with its checksums, and a manifest of these. Replies that only the journal has are taken into the packed
ledger. The same state gives the same bytes. Nothing is packed in which a known secret stands: what variables of the environment and of
files of keys hold, where they are called like a secret, providers read their keys from them, or a value is written like a key. The output
itself is only read.

Cost: a copy of the ledger on the disk, beside the archive. Memory: a chunk at a time.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from datafast._util.atomic_write import whole_file
from datafast._util.manifest import MANIFEST
from datafast.engine.manifest import manifest_of
from datafast.engine.portable import command_shown, config_shown
from datafast.engine.pricing import pricing_of
from datafast.errors import OutputError, OutputWriteError
from datafast.llms.transport.redaction import secrets_in, written_keys
from datafast.store.journal import Journal
from datafast.store.ledger import Ledger
from datafast.store.lock import is_running
from datafast.store.manifest import ABOUT
from datafast.store.paths import OutputPaths, UsedFile, refuse_shared
from datafast.store.reader import LedgerReader
from datafast.store.recovery import replay_journal

__all__ = ["Packed", "pack"]

_CHUNK = 1 << 20
_TRIES = 5
_PAUSE_S = 0.2
_EPOCH = (1980, 1, 1, 0, 0, 0)
_README = """\
{name}: {rows:,} rows of a dataset that datafast has made.

    {name}                 the rows, one JSON object a line
    {name}.ledger          {replies} (SQLite)
{manifest}{reviews}
Unpack the files into one folder. Then

    pip install datafast
    datafast status {name}                    what is in it
    datafast explain {name} UUID              everything that is recorded of one row
{replay}
Running the config again goes on where this stops: nothing that is here is bought twice.
"""


@dataclass(frozen=True)
class Packed:
    """An archive, and what is in it: the number of rows, and the size and SHA-256 of each file."""

    path: Path
    rows: int
    files: dict[str, dict[str, Any]]


def pack(
    paths: OutputPaths, archive: Path, *, force: bool = False, variables: Mapping[str, Mapping[str, str]] | None = None
) -> Packed:
    """Packs an output into a zip file.

    Args:
        force: whether a file that is there may be replaced.
        variables: by where they stand, such as a file of keys. Like those of the environment, what is secret in them must not be in it.

    Raises:
        ConfigError: the archive is a file of the output.
        OutputError: the rows are not as they were written, a secret stands in what would be packed, or the archive is there already.
        OutputWriteError: it cannot be written.
    """
    refuse_shared([*paths.used("the output", "its ledger"), *_read(paths), UsedFile("-o", archive, written=True)])
    if archive.exists() and not force:
        raise OutputError(f"{archive} is there already. Name another file, or replace it with --force.")
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".datafast-", dir=archive.parent) as folder:
            for attempt in range(_TRIES):
                copy = OutputPaths.of(Path(folder) / str(attempt) / paths.rows.name)
                copy.rows.parent.mkdir()
                if _copied(paths, copy, is_last=attempt == _TRIES - 1):
                    return _packed(copy, archive, {**(variables or {}), "the environment": os.environ})
                time.sleep(_PAUSE_S)  # a run has just made the file anew
    except OSError as error:
        raise OutputWriteError(
            f"Cannot write {error.filename or archive}: {error.strerror}. Choose another -o."
        ) from error
    raise AssertionError("the last try says why")


def _read(paths: OutputPaths) -> Iterator[UsedFile]:
    """The files that the rows are made from, as far as they lie beside them or below."""
    with LedgerReader(paths.ledger) as reader:
        noted = reader.noted(ABOUT)
    for name, source in (noted["sources"] if isinstance(noted, dict) else {}).items():
        for file in source.get("files", ()):
            yield UsedFile(name, paths.rows.parent / file["file"], written=False)


def _copied(paths: OutputPaths, copy: OutputPaths, *, is_last: bool) -> bool:
    """Copies one state of an output. False if its rows do not fit the ledger, because a run has made the file anew in between."""
    has_journal = paths.journal.exists() and not is_running(paths)  # of a run that goes on, what is committed is packed
    if has_journal:
        _copy(paths.journal, copy.journal, paths.journal.stat().st_size)
    with LedgerReader(paths.ledger) as reader:
        reader.save_in(copy.ledger)
    with closing(Ledger(copy.ledger)) as ledger:
        if has_journal:
            _take_in(paths, copy, ledger)
        if not _rows_copied(paths.rows, copy.rows, ledger):
            if is_last:
                raise OutputError(
                    f"{paths.rows} is not as it was written, so it is not packed. Run its config again, which builds the rows anew at no "
                    f"cost, or says what was changed."
                )
            return False
        _make_portable(ledger, paths.rows)
    for record in paths.split_records:
        _copy(record, copy.rows.with_name(record.name), record.stat().st_size)
    if paths.reviews.is_file():
        _copy(paths.reviews, copy.reviews, paths.reviews.stat().st_size)
    for grown, copied in zip(_grown(paths), _grown(copy), strict=True):
        if grown.rows.is_file():
            _copy(grown.rows, copied.rows, grown.rows.stat().st_size)
            if grown.ledger.is_file():
                with LedgerReader(grown.ledger) as reader:
                    reader.save_in(copied.ledger)
                with closing(Ledger(copied.ledger)) as ledger:
                    _make_portable(ledger, grown.rows)
    return True


def _grown(paths: OutputPaths) -> list[OutputPaths]:
    """What may have been grown for an output, beside it."""
    return [
        OutputPaths.of(paths.rows.with_name(f"{paths.rows.name}.{name}")) for name in ("topics.json", "personas.json")
    ]


def _make_portable(ledger: Ledger, rows: Path) -> None:
    """Takes out what is of the machine and the moment that it was made at."""
    config = config_shown(orjson.loads(ledger.meta("config") or "{}"), rows.absolute().parent)
    with ledger.transaction():
        ledger.set_meta("command", command_shown(ledger.meta("command") or "", ledger.meta("directory") or ""))
        ledger.set_meta("config", orjson.dumps(config).decode())
        ledger.set_meta("directory", "")
        ledger.set_meta("opening", "packed")


def _take_in(paths: OutputPaths, copy: OutputPaths, ledger: Ledger) -> None:
    """Takes replies that only the journal has into the packed ledger."""
    damaged: list[Path] = []
    with closing(Journal(copy.journal)) as journal:
        replay_journal(ledger, journal, pricing_of([]), damaged)
    copy.journal.unlink()
    if damaged:
        raise OutputError(
            f"{paths.journal} is damaged, so it is not packed. Run the config again, which takes in what can be read."
        )


def _rows_copied(rows: Path, target: Path, ledger: Ledger) -> bool:
    """Copies the committed rows, compared with their checksums."""
    with (rows if rows.exists() else Path(os.devnull)).open("rb") as source, target.open("xb") as sink:
        for append in ledger.appends.all():
            data = source.read(append.size)
            if len(data) != append.size or zlib.crc32(data) != append.crc:
                return False
            sink.write(data)
    return True


def _copy(source: Path, target: Path, size: int) -> None:
    with source.open("rb") as file, target.open("xb") as copy:
        while size > 0 and (chunk := file.read(min(size, _CHUNK))):
            copy.write(chunk)
            size -= len(chunk)


def _packed(copy: OutputPaths, archive: Path, variables: Mapping[str, Mapping[str, str]]) -> Packed:
    name = copy.rows.name
    with closing(Ledger(copy.ledger)) as ledger:
        forms = _forbidden(variables, set(_key_variables([ledger.noted("config"), ledger.noted(ABOUT)])))
        found = manifest_of(copy.rows, ledger)
        counts, has_dropped = ledger.counts(), ledger.calls.has_dropped
    if found is not None:
        copy.manifest.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")
    told = _README.format(
        name=name,
        rows=counts.written + counts.removed,
        manifest="" if found is None else f"    {name}{MANIFEST}   how they were made, and their SHA-256\n",
        reviews=f"    {name}.reviews         what people have decided about them\n" if copy.reviews.is_file() else "",
        replies="what they cost; the replies were dropped"
        if has_dropped
        else "every reply that they are made of, as it came",
        replay=""
        if found is None or has_dropped
        else f"    datafast replay {name}{MANIFEST}   makes the rows again from the replies, without any call\n",
    )
    files: dict[str, dict[str, Any]] = {}
    with whole_file(archive) as part, zipfile.ZipFile(part, "x", zipfile.ZIP_DEFLATED, compresslevel=6) as target:
        for path in _members(copy):
            _refuse_secrets(path, forms)
            with path.open("rb") as source:
                files[path.name] = _add(target, path.name, _chunks(source))
        files["README.txt"] = _add(target, "README.txt", [told.encode()])
    return Packed(archive, counts.written + counts.removed, files)


def _members(copy: OutputPaths) -> list[Path]:
    """The files that go into the archive; ledgers without anything that is not in use."""
    outputs = [copy, *_grown(copy)]
    for output in outputs:
        if output.ledger.is_file():
            with closing(Ledger(output.ledger)) as ledger:
                ledger.compact()
    files = [path for output in outputs for path in (output.rows, output.ledger)]
    return [path for path in (*files, copy.manifest, *copy.split_records, copy.reviews) if path.is_file()]


def _chunks(source: IO[bytes]) -> Iterator[bytes]:
    while chunk := source.read(_CHUNK):
        yield chunk


def _add(archive: zipfile.ZipFile, member: str, chunks: Iterable[bytes]) -> dict[str, Any]:
    """Adds a file, with no time and no owner of its own."""
    info = zipfile.ZipInfo(member, _EPOCH)
    info.compress_type, info.external_attr, info.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3
    size, sha256 = 0, hashlib.sha256()
    with archive.open(info, "w", force_zip64=True) as target:
        for chunk in chunks:
            target.write(chunk)
            sha256.update(chunk)
            size += len(chunk)
    return {"bytes": size, "sha256": sha256.hexdigest()}


# -- secrets


def _forbidden(variables: Mapping[str, Mapping[str, str]], of_providers: Collection[str]) -> dict[bytes, str]:
    """What must not be packed, as it may be written, each with where it is known from.

    `of_providers`: variables that providers read their keys from.
    """
    known = {
        secret: f"{variable} in {place}"
        for place, found in variables.items()
        for variable, value in found.items()
        if not _is_place(variable, value)
        for secret in secrets_in({variable: value}, named=variable in of_providers)
    }
    return {form: place for value, place in known.items() for form in written_keys([value])}


def _is_place(variable: str, value: str) -> bool:
    """Whether it is the path of a file or a folder, such as the working directory (PWD)."""
    return variable in ("PWD", "OLDPWD") or (Path(value).is_absolute() and os.path.lexists(value))


def _key_variables(value: Any) -> Iterator[str]:
    """The variables that a config names for keys."""
    for name, inner in value.items() if isinstance(value, dict) else ():
        if name == "api_key_env" and isinstance(inner, str):
            yield inner
        yield from _key_variables(inner)
    for inner in value if isinstance(value, list) else ():
        yield from _key_variables(inner)


def _refuse_secrets(path: Path, forms: Mapping[bytes, str]) -> None:
    """Raises OutputError where one of these stands in a file that would be packed."""
    for data in _contents(path) if forms else ():
        for form, place in forms.items():
            if form in data:
                raise OutputError(
                    f"The value of {place} stands in {path.name}, so nothing was packed: a prompt, a reply or a name has it. Take it "
                    f"out of the config and make these rows anew; or, if it is not secret, give its variable another name."
                )


def _contents(path: Path) -> Iterator[bytes]:
    """What stands in a file, in parts that no text is spread over."""
    if path.name.endswith(".ledger"):
        with closing(Ledger(path)) as ledger:
            yield from ledger.contents()
    else:
        with path.open("rb") as file:
            yield from file

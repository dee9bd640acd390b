"""`.html`, `.pdf` and `.docx`: a row for the whole file, {"text": ..., "file": ...}, its text in Markdown where it has headings.

A page loses scripts, styles and navigation; a PDF has the text of its pages, a blank line between them. The readers are the packages of the
extra `documents`: markdownify, pypdf, mammoth. They are imported when such a file is read.
Limits: 64 MiB a file, and text of 64 MiB; pictures of text are not read.
"""

from __future__ import annotations

import io
import logging
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.read_whole import MIB, read_whole
from datafast.errors import ConfigError, MissingExtraError
from datafast.sources.file import SourceFile
from datafast.sources.part import Part
from datafast.sources.reading import Reading
from datafast.sources.spool import Spool
from datafast.sources.text_file import digest_of
from datafast.sources.values import Row, RowReader

__all__ = ["read_page"]

_MOST_MB = 64
_NOT_TEXT = ["script", "style", "noscript", "template", "head", "nav", "footer", "svg"]


def read_page(file: SourceFile, reading: Reading, reader: RowReader) -> Part:
    spool = Spool(f"{reading.field}: {file.name}")

    def rows() -> Iterator[Row]:
        yield reader.plain({"text": _text(file, reading), "file": file.path.name}, 0)

    return Part(
        file.name,
        rows,
        spool.__getitem__,
        lambda: digest_of(file.path),
        columns=["text", "file"],
        place=lambda number: "its text",
        keep=spool.keep,
        ended=lambda is_well: spool.close(),
        files=file.files,
    )


def _text(file: SourceFile, reading: Reading) -> str:
    """The text of a file. Raises ConfigError, which names the file."""
    data = read_whole(file.path, most_mb=_MOST_MB, what="a document")
    try:
        with foreign_warnings_ignored():
            text = _READERS[file.suffix](data, reading)
    except ImportError as error:
        raise MissingExtraError(
            f"{reading.field}: {file.name} is read by {error.name}, which is not installed. Run: pip install 'datafast[documents]'"
        ) from None
    except ConfigError as error:
        raise ConfigError(f"{reading.field}: {file.name} {error}") from None
    except Exception as error:
        raise ConfigError(
            f"{reading.field}: {file.name} cannot be read as {file.suffix.removeprefix('.').upper()}: {type(error).__name__}: {error}. "
            f"Open it and save it anew, or leave it out."
        ) from error
    if len(text) > _MOST_MB * MIB:
        raise ConfigError(f"{reading.field}: {file.name} has more than {_MOST_MB} MiB of text. Divide it.")
    if not text.strip():
        raise ConfigError(
            f"{reading.field}: {file.name} has no text. If it is a scan, recognise its text first; else leave it out."
        )
    return text


def _of_html(data: bytes, reading: Reading) -> str:
    from bs4 import BeautifulSoup
    from markdownify import MarkdownConverter

    page = BeautifulSoup(data, "html.parser", from_encoding=reading.encoding)
    for part in page(_NOT_TEXT):
        part.decompose()
    converter = MarkdownConverter(
        heading_style="ATX", strip=["img", "a"], escape_underscores=False, escape_asterisks=False
    )
    return _tidy(converter.convert_soup(page))


def _of_pdf(data: bytes, reading: Reading) -> str:
    import pypdf

    with _quiet("pypdf"):  # it tells of every oddity of a file that it can read all the same
        pages = pypdf.PdfReader(io.BytesIO(data))
        if pages.is_encrypted and not pages.decrypt(""):
            raise ConfigError("is locked by a password. Save it without one.")
        return _tidy("\n\n".join(page.extract_text() for page in pages.pages))


@contextmanager
def _quiet(package: str) -> Iterator[None]:
    """A package logs only errors meanwhile."""
    logger = logging.getLogger(package)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _of_docx(data: bytes, reading: Reading) -> str:
    import mammoth

    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        if sum(entry.file_size for entry in packed.infolist()) > _MOST_MB * MIB * 8:
            raise ConfigError(f"takes more than {_MOST_MB * 8} MiB when it is unpacked. Divide it.")
    page = mammoth.convert_to_html(io.BytesIO(data), convert_image=mammoth.images.img_element(_no_image))
    return _of_html(page.value.encode(), Reading(reading.field, encoding="utf-8"))


def _no_image(image: Any) -> dict[str, str]:
    return {"src": ""}


def _tidy(text: str) -> str:
    """The text without spaces at the ends of lines, and with one blank line where there are more."""
    lines: list[str] = []
    for line in text.splitlines():
        if line.strip() or (lines and lines[-1]):
            lines.append(line.rstrip())
    return "\n".join(lines).strip()


_READERS: dict[str, Callable[[bytes, Reading], str]] = {
    ".html": _of_html,
    ".htm": _of_html,
    ".pdf": _of_pdf,
    ".docx": _of_docx,
}

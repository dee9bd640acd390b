"""HTML, PDF and Word files as texts. The files are written here, by hand or by the readers' own packages."""

from __future__ import annotations

import logging
import sys
import zipfile
from pathlib import Path

import pypdf
import pytest

from datafast.errors import ConfigError, MissingExtraError
from datafast.sources import open_source

PAGE = """<!doctype html><html><head><title>Off</title><style>p {color: red}</style></head><body>
<nav>Home</nav><h1>Cranes</h1><p>A <b>crane</b> lifts &amp; turns.<script>alert(1)</script></p>
<h2>Parts</h2><ul><li>hook_one</li><li>jib</li></ul></body></html>"""
DOCUMENT = """<?xml version="1.0" encoding="UTF-8"?>
<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>
<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Cranes</w:t></w:r></w:p>
<w:p><w:r><w:t>A crane lifts.</w:t></w:r></w:p></w:body></w:document>"""
STYLES = """<?xml version="1.0" encoding="UTF-8"?>
<w:styles xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:style w:type="paragraph" w:styleId="Heading1">
<w:name w:val="heading 1"/></w:style></w:styles>"""
TYPES = """<?xml version="1.0" encoding="UTF-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Override PartName="/word/document.xml"
ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>"""
RELS = """<?xml version="1.0" encoding="UTF-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r"
Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{}" Target="{}"/></Relationships>"""


def text_of(path: Path) -> str:
    (row,) = open_source(path, field="source")
    assert row["file"] == path.name
    return str(row["text"])


def write_pdf(path: Path, *lines: str) -> Path:
    """A PDF with a page for each line."""
    writer = pypdf.PdfWriter()
    for line in lines:
        page = writer.add_blank_page(200, 200)
        if not line:
            continue
        content = pypdf.generic.DecodedStreamObject()
        content.set_data(f"BT /F1 12 Tf 20 100 Td ({line}) Tj ET".encode())
        font = pypdf.generic.DictionaryObject(
            {
                pypdf.generic.NameObject("/Type"): pypdf.generic.NameObject("/Font"),
                pypdf.generic.NameObject("/Subtype"): pypdf.generic.NameObject("/Type1"),
                pypdf.generic.NameObject("/BaseFont"): pypdf.generic.NameObject("/Helvetica"),
            }
        )
        fonts = pypdf.generic.DictionaryObject({pypdf.generic.NameObject("/F1"): font})
        resources = pypdf.generic.DictionaryObject({pypdf.generic.NameObject("/Font"): fonts})
        page[pypdf.generic.NameObject("/Resources")] = resources
        page[pypdf.generic.NameObject("/Contents")] = writer._add_object(content)
    writer.write(path)
    return path


def write_docx(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("[Content_Types].xml", TYPES)
        packed.writestr("_rels/.rels", RELS.format("officeDocument", "word/document.xml"))
        packed.writestr("word/_rels/document.xml.rels", RELS.format("styles", "styles.xml"))
        packed.writestr("word/document.xml", DOCUMENT)
        packed.writestr("word/styles.xml", STYLES)
    return path


def test_a_page_becomes_markdown_without_what_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(PAGE, encoding="utf-8")
    text = text_of(tmp_path / "page.html")
    assert text.startswith("# Cranes\n\nA **crane** lifts & turns.\n\n## Parts\n")
    assert "hook_one" in text
    assert not any(word in text for word in ("Home", "alert", "color", "Off"))


def test_a_page_is_in_the_encoding_that_it_declares(tmp_path: Path) -> None:
    page = "<html><head><meta charset='windows-1252'></head><body><p>Crête</p></body></html>"
    (tmp_path / "page.htm").write_bytes(page.encode("cp1252"))
    assert text_of(tmp_path / "page.htm") == "Crête"


def test_a_pdf_has_the_text_of_its_pages(tmp_path: Path) -> None:
    before = logging.getLogger("pypdf").level
    assert text_of(write_pdf(tmp_path / "a.pdf", "A crane lifts.", "Tides come.")) == "A crane lifts.\n\nTides come."
    assert logging.getLogger("pypdf").level == before


def test_a_word_file_keeps_its_headings(tmp_path: Path) -> None:
    assert text_of(write_docx(tmp_path / "a.docx")) == "# Cranes\n\nA crane lifts."


def test_rows_of_several_files_come_with_their_names(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.html").write_text(f"<p>{name}</p>", encoding="utf-8")
    rows = open_source(str(tmp_path / "*.html"), field="source")
    assert [(row["text"], row["file"]) for row in rows] == [("a", "a.html"), ("b", "b.html")]


@pytest.mark.parametrize("name", ["a.pdf", "a.docx"])
def test_a_damaged_file_is_refused_with_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not at all")
    with pytest.raises(
        ConfigError, match=rf"source: .*{name} cannot be read as {name[2:].upper()}: .* Open it and save"
    ):
        open_source(tmp_path / name, field="source")


def test_a_scan_and_a_locked_file_say_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"scan\.pdf has no text. If it is a scan"):
        open_source(write_pdf(tmp_path / "scan.pdf", ""), field="source")
    writer = pypdf.PdfWriter(clone_from=write_pdf(tmp_path / "open.pdf", "x"))
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(tmp_path / "locked.pdf")
    with pytest.raises(ConfigError, match=r"locked\.pdf is locked by a password"):
        open_source(tmp_path / "locked.pdf", field="source")


def test_without_a_reader_the_command_that_installs_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pypdf", None)
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4")
    with pytest.raises(MissingExtraError, match=r"pip install 'datafast\[documents\]'"):
        open_source(tmp_path / "a.pdf", field="source")

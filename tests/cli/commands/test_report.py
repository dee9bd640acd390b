"""`datafast report`: what it writes, where, and what it does not write over."""

from __future__ import annotations

import importlib.util
import json
import struct
import webbrowser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from datafast.cli.main import cli
from datafast.report import Report

ROWS = "".join(json.dumps({"text": f"Row {n} of them.", "label": "ab"[n % 2]}) + "\n" for n in range(30))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text(ROWS, encoding="utf-8")
    return tmp_path


def report(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, ["report", "rows.jsonl", *arguments])
    assert result.exit_code == code, result.output
    return result


def test_the_page_is_written_beside_the_file_and_replaced_the_next_time() -> None:
    assert report().stdout == "wrote rows.report.html\n"
    first = Path("rows.report.html").read_text(encoding="utf-8")
    assert "Rows by label" in first
    report("--rows", "0")
    assert Path("rows.report.html").read_text(encoding="utf-8") != first
    assert sorted(path.name for path in Path().iterdir()) == ["rows.jsonl", "rows.report.html"]


def test_formats_go_to_stdout_or_into_the_file_that_is_named() -> None:
    found = Report.model_validate_json(report("--json").stdout)
    assert found.statistics.total.rows == 30
    assert report("--format", "md").stdout.startswith("<!-- datafast report -->")
    for name, begins in (("a.md", "<!-- datafast report -->"), ("a.json", "{"), ("a.html", "<!DOCTYPE html>")):
        for _ in range(2):  # each is known as a report, and replaced
            report("-o", name)
        assert Path(name).read_text(encoding="utf-8").startswith(begins)


@pytest.mark.parametrize("name", ["mine.html", "mine.md"])
def test_a_file_that_is_no_report_is_not_replaced_without_force(name: str) -> None:
    Path(name).write_text("mine", encoding="utf-8")
    assert "is no report" in report("-o", name, code=2).output
    assert Path(name).read_text(encoding="utf-8") == "mine"
    report("-o", name, "--force")
    assert Path(name).read_text(encoding="utf-8") != "mine"


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.ledger"])
def test_it_never_writes_over_the_rows_or_the_ledger(name: str) -> None:
    report("-o", name, "--force", code=2)
    assert Path("rows.jsonl").read_text(encoding="utf-8") == ROWS


def test_pictures_are_the_charts_of_the_page_as_files() -> None:
    result = report("--pictures", "figures", "--json")
    assert Report.model_validate_json(result.stdout)
    names = sorted(path.name for path in Path("figures").iterdir())
    assert "rows-rows-by-label.svg" in names
    assert "lengths-length-of-rows-in-words.svg" in names
    assert all("<style>" in path.read_text(encoding="utf-8") for path in Path("figures").iterdir())


def test_open_shows_the_page_in_the_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    report("--open")
    assert opened == [Path("rows.report.html").resolve().as_uri()]
    assert "--open" in report("--open", "--format", "md", code=2).output
    assert "two things" in report("--json", "--format", "md", code=2).output


PNG = b"\x89PNG\r\n\x1a\n"


def pixels(path: Path) -> tuple[int, int]:
    """The width and the height of a PNG file."""
    content = path.read_bytes()
    assert content.startswith(PNG)
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def test_pictures_may_be_png_in_light_and_in_dark() -> None:
    pytest.importorskip("resvg_py")
    report("--pictures", "light", "--pictures-as", "png")
    report("--pictures", "dark", "--pictures-as", "dark-png")
    names = sorted(path.name for path in Path("light").iterdir())
    assert "rows-rows-by-label.png" in names
    assert names == sorted(path.name for path in Path("dark").iterdir())
    assert all(pixels(path)[0] == 1440 for path in Path("light").iterdir())
    assert Path("light", names[0]).read_bytes() != Path("dark", names[0]).read_bytes()


def test_what_png_files_need_is_said_before_the_rows_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    told = report("--pictures", "charts", "--pictures-as", "png", code=2).output
    assert "pip install 'datafast[png]'" in " ".join(told.split())
    assert not Path("charts").exists()

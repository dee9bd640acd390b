"""The report of an output in the viewer: made in the background by a process of its own, and again when the file changes."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datafast.view import reports
from tests.running import wait_for
from tests.view.client import Client, viewing


def made(client: Client, output: str, *, after: int = 0) -> dict[str, Any]:
    """How the report stands once there is one that is newer than a number."""
    until = time.monotonic() + 100
    while time.monotonic() < until:
        told: dict[str, Any] = client.get(f"/api/o/{output}/report").json()
        if told["number"] > after:
            return told
        time.sleep(0.05)
    raise AssertionError("the report is not made")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "notes.jsonl"
    path.write_text("".join(f'{{"text": "ice and <script>{number}</script>", "tone": "dry"}}\n' for number in range(9)))
    return path


@pytest.fixture
def client(rows: Path) -> Iterator[Client]:
    with viewing(rows.parent) as made_client:
        yield made_client


@pytest.fixture
def goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The process of a report waits until this file is there."""
    goes_on = tmp_path / "goes on"
    python = tmp_path / "python"
    waiting = f'while [ ! -e "{goes_on}" ]; do sleep 0.02; done\nexec "{sys.executable}" "$@"\n'
    python.write_text(f"#!/bin/sh\n{waiting}")
    python.chmod(0o755)
    monkeypatch.setattr(reports.sys, "executable", str(python))
    return goes_on


@pytest.mark.skipif(os.name == "nt", reason="the process waits in a shell")
def test_a_report_is_made_in_the_background_and_stays(client: Client, goes_on: Path) -> None:
    output = client.output("notes.jsonl")
    first = client.get(f"/api/o/{output}/report").json()
    assert (first["number"], first["rows"], first["problem"]) == (0, None, "")
    assert first["making_s"] is not None
    assert client.get(f"/api/o/{output}/report.html").status == 404
    goes_on.touch()
    told = made(client, output)
    assert (told["rows"], told["is_newest"], told["making_s"]) == (9, True, None)
    page = client.get(f"/api/o/{output}/report.html").text
    assert "<svg" in page
    assert "<script" not in page
    assert "<style" not in page
    assert " style=" not in page
    (row, *_) = re.findall(rf'<a href="(/o/{output}/rows/\d+)">Row ', page)
    assert client.get(row).status == 200
    style = client.get(f"/api/o/{output}/report.css")
    assert style.headers["content-type"].startswith("text/css")
    assert style.text.startswith(".report{")
    assert style.text.count("{") == style.text.count("}")
    assert client.get(f"/api/o/{output}/report").json()["number"] == told["number"]


def test_a_report_follows_its_file(client: Client, rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "_LEAST_PAUSE_S", 0)
    monkeypatch.setattr(reports, "_PAUSE", 0)
    output = client.output("notes.jsonl")
    first = made(client, output)
    with rows.open("a") as file:
        file.write('{"text": "one more"}\n')
    assert not client.get(f"/api/o/{output}/report").json()["is_newest"]
    assert made(client, output, after=first["number"])["rows"] == 10


def test_why_there_is_no_report_is_told(client: Client, rows: Path) -> None:
    (rows.parent / "torn.parquet").write_bytes(b"PAR1")
    output = client.output("torn.parquet")
    told = made(client, output)
    assert "torn.parquet" in told["problem"]
    assert client.get(f"/api/o/{output}/report.html").status == 404


def test_no_module_is_taken_from_the_folder(client: Client, rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (rows.parent / "orjson.py").write_text("raise SystemExit('taken')")
    monkeypatch.chdir(rows.parent)
    assert made(client, client.output("notes.jsonl"))["problem"] == ""


def test_a_process_that_cannot_start_is_told(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports.sys, "executable", "/nowhere/python")
    told = made(client, client.output("notes.jsonl"))
    assert told["problem"].startswith("The report could not be made: ")
    assert told["making_s"] is None


@pytest.mark.skipif(os.name == "nt", reason="the process waits in a shell")
def test_a_viewer_that_ends_leaves_no_process(rows: Path, goes_on: Path) -> None:
    with viewing(rows.parent) as client:
        client.get(f"/api/o/{client.output('notes.jsonl')}/report")
        kept = client.server.viewer.reports
        wait_for(lambda: bool(kept._children))
    wait_for(lambda: not kept._children)

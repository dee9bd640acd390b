"""The list of outputs: what has changed, without waiting for any of them."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from datafast.view import summaries
from datafast.view.outputs import Output
from datafast.view.summary import Summary
from tests.view.client import Client, viewing


def settled(client: Client, since: int = 0) -> dict[str, Any]:
    """What has changed, once nothing is being looked at any more."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        told: dict[str, Any] = client.get(f"/api/outputs?since={since}").json()
        if not told["pending"]:
            return told
        time.sleep(0.01)
    raise AssertionError("summaries are still pending")


def test_only_what_has_changed_is_sent_again(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.jsonl").write_text("{}\n")
    with viewing(tmp_path) as client:
        told = settled(client)
        assert [(one["name"], one["rows"], one["state"]) for one in told["changed"]] == [
            ("one.jsonl", 1, "rows"),
            ("two.jsonl", 1, "rows"),
        ]
        assert settled(client, told["version"])["changed"] == []
        (tmp_path / "two.jsonl").write_text("{}\n{}\n")
        (tmp_path / "one.jsonl").rename(tmp_path / "three.jsonl")
        again = settled(client, told["version"])
        assert sorted((one["name"], one["rows"]) for one in again["changed"]) == [("three.jsonl", 1), ("two.jsonl", 2)]
        assert again["gone"] == [one["id"] for one in told["changed"] if one["name"] == "one.jsonl"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_pipes_and_devices_are_no_outputs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    for name, there in {"endless": "/dev/zero", "folder": tmp_path, "circle": "circle.jsonl", "dead": "gone"}.items():
        (tmp_path / f"{name}.jsonl").symlink_to(there)
    (tmp_path / "one.jsonl").write_text("{}\n")
    with viewing(tmp_path) as client:
        told = settled(client)
        assert [one["name"] for one in told["changed"]] == ["circle.jsonl", "dead.jsonl", "one.jsonl"]


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="there are no links here")
@pytest.mark.parametrize("page", ["/o/{}/rows/1", "/o/{}/side?first=1", "/api/o/{}/rows", "/api/o/{}/review/row"])
def test_pages_of_a_file_that_is_closed_say_so(tmp_path: Path, page: str) -> None:
    (tmp_path / "circle.jsonl").symlink_to("circle.jsonl")
    with viewing(tmp_path, "review") as client:
        answer = client.get(page.format(client.output("circle.jsonl")))
        assert answer.status == 422
        assert "circle.jsonl cannot be read: Too many levels of symbolic links." in answer.text
        events = client.get(f"/api/o/{client.output('circle.jsonl')}/rows/events").text
        assert "event: refused" in events
        assert "circle.jsonl cannot be read" in events


def test_a_version_of_another_viewer_gives_all(tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text("{}\n")
    with viewing(tmp_path) as client:
        assert len(settled(client, 10**6)["changed"]) == 1
        assert len(client.get("/api/outputs?since=x").json()["changed"]) == 1


def test_thousands_of_files_are_listed_before_any_was_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, look = threading.Event(), summaries.summary_of

    def waiting(output: Output) -> Summary:
        goes_on.wait(60)
        return look(output)

    monkeypatch.setattr(summaries, "summary_of", waiting)
    for number in range(3_000):
        (tmp_path / f"{number}.jsonl").write_text('{"a": 1}\n')
    with viewing(tmp_path) as client:
        first = client.get("/api/outputs").json()
        assert (len(first["changed"]), first["pending"]) == (3_000, 3_000)
        goes_on.set()
        assert all(one["rows"] == 1 for one in settled(client)["changed"])


def test_one_file_leads_to_its_rows(tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text("{}\n")
    with viewing(tmp_path / "one.jsonl") as client:
        answer = client.get("/")
        assert (answer.status, answer.headers["location"]) == (303, f"/o/{client.output('one.jsonl')}/rows")


def test_names_are_shown_and_never_run(tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>\u202e.jsonl"
    (tmp_path / name).write_text('{"a": 1}\n')
    with viewing(tmp_path) as client:
        assert [one["name"] for one in settled(client)["changed"]] == ["<img src=x onerror=alert(1)>\\u202e.jsonl"]
        page = client.get(f"/o/{client.output(name)}/rows")
        assert page.status == 200
        assert "<img" not in page.text
        assert "\u202e" not in page.text

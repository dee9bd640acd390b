"""What the tests of publishing share: rows, and how a push is made and looked at."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, Field

from datafast.export import push_to_hub
from datafast.export.splits import Splitting
from tests.servers.hub_server import HubServer

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "hf_test_token"


REPO = "someone/things"


class TextRow(BaseModel):
    text: str = Field(description="The generated <text> | body")
    text_source: str
    model_id: str
    language: str
    uuid: str
    metadata: dict[str, str | int]


class Answer(BaseModel):
    text: str
    comment: str | None = None


class PreferenceRow(BaseModel):
    question: str
    chosen: Answer
    rejected: Answer | None = None
    chosen_score: int | None = None
    rejected_score: int | None = None
    labels: list[str]
    quality: float | None = None
    asked_on: str | None = None
    uuid: str


def text_rows(count: int) -> list[TextRow]:
    return [
        TextRow(
            text=f"row {number}\n🚀 語 \u2028 \x00 \"quotes\" 'and' \\",
            text_source="synthetic",
            model_id="openai/gpt-5-mini" if number % 2 else "anthropic/claude",
            language="fr" if number % 3 else "en",
            uuid=f"00000000-0000-4000-8000-{number:012d}",
            metadata={"topic": "2024-01-01", "number": number} if number % 2 else {"level": "5"},
        )
        for number in range(count)
    ]


def preference_rows(count: int) -> list[PreferenceRow]:
    return [
        PreferenceRow(
            question="2025-03-04T10:00:00",
            chosen=Answer(text="yes", comment=None if number % 2 else "good"),
            rejected=None if number % 3 else Answer(text="no"),
            chosen_score=None,
            rejected_score=number if number > 3 else None,
            labels=[] if number < 3 else ["a", "b"],
            quality=number / 3,
            asked_on="2024-05-06",
            uuid=f"u{number}",
        )
        for number in range(count)
    ]


def write(path: Path, rows: list[Any]) -> Path:
    path.write_bytes(b"".join(row.model_dump_json().encode() + b"\n" for row in rows))
    return path


def push(source: Path, **changes: Any) -> str:
    names = {field.name for field in fields(Splitting)}
    splitting = Splitting(**{name: changes.pop(name) for name in names & changes.keys()})
    return push_to_hub(source, **{"row_model": TextRow, "repo_id": REPO, "splitting": splitting, **changes})


def front(hub: HubServer) -> dict[str, Any]:
    return yaml.safe_load(card(hub).split("---\n")[1])


def card(hub: HubServer) -> str:
    return hub.repos[REPO].files["README.md"].decode()


def stored(hub: HubServer, split: str) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    files = sorted(path for path in hub.repos[REPO].files if path.startswith(f"data/{split}-"))
    return [row for path in files for row in pq.read_table(io.BytesIO(hub.repos[REPO].files[path])).to_pylist()]


def uuids(hub: HubServer, split: str) -> list[str]:
    return [row["uuid"] for row in stored(hub, split)]


def load(hub: HubServer, tmp_path: Path, *repos: str) -> dict[str, Any]:
    """What `datasets.load_dataset` gives for each repository, or config (`repo:config`), in a fresh process: {repo: {split: rows}}."""
    script = (
        "import json, sys, datasets\n"
        "datasets.disable_progress_bars()\n"
        "found = {repo: datasets.load_dataset(*repo.split(':')) for repo in sys.argv[1:]}\n"
        "print(json.dumps({repo: {split: list(rows) for split, rows in data.items()} for repo, data in found.items()}))"
    )
    keep = {key: value for key, value in os.environ.items() if key != "PYTHONWARNINGS"}
    done = subprocess.run(
        [sys.executable, "-c", script, *repos],
        env={**keep, "HF_HOME": str(tmp_path / "reader"), "HF_HUB_DISABLE_XET": "1", "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)

"""Every example runs offline in an empty folder, as a user would run it, and a second run buys nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"

ROWS_OF_SCRIPTS = {
    "local_llama.py": ("sea_texts.jsonl", 16),
    "best_of_n.py": ("best_explanations.jsonl", 6),
    "classification.py": ("trail_reports.jsonl", 180),
    "columns.py": ("restaurant_reviews.jsonl", 40),
    "conversation.py": ("greenhouse_conversations.jsonl", 24),
    "document_qa.py": ("manual_questions.jsonl", 8),
    "generic_pipeline.py": ("labelled_reviews.jsonl", 6),
    "instruction.py": ("harbour_instructions.jsonl", 12),
    "judgement.py": ("judged_answers.jsonl", 3),
    "mcq.py": ("exam_questions.jsonl", 24),
    "personas.py": ("pairs_of_people.jsonl", 12),
    "preference.py": ("preference_pairs.jsonl", 12),
    "targets.py": ("accepted_texts.jsonl", 18),
    "tools.py": ("boatyard_conversations.jsonl", 12),
    "sources.py": ("harbour_texts.jsonl", 12),
    "ultrachat.py": ("harbour_chats.jsonl", 12),
    "raw_space_engineering.py": ("space_engineering_texts.jsonl", 288),
}


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs Python in `folder` with no key in the environment."""
    environment = {key: value for key, value in os.environ.items() if not key.endswith(("_API_KEY", "_TOKEN"))}
    environment["PYTHONPATH"] = str(EXAMPLES.parent)
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=200,
        check=False,
    )


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_example_script_is_listed_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(ROWS_OF_SCRIPTS)


@pytest.mark.parametrize("script", ROWS_OF_SCRIPTS)
def test_an_example_script_writes_all_its_rows_offline(script: str, tmp_path: Path) -> None:
    output, expected = ROWS_OF_SCRIPTS[script]
    done = run(tmp_path, "-W", "error", str(EXAMPLES / script), "--offline")
    assert done.returncode == 0, done.stderr
    written = rows(tmp_path / output)
    assert len(written) == expected
    assert len({row["uuid"] for row in written}) == expected
    assert f"{expected} rows requested: {expected} written, 0 filtered, 0 failed, 0 pending" in done.stdout


def test_an_example_script_that_is_run_again_makes_no_call_and_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    script = str(EXAMPLES / "preference.py")
    run(tmp_path, script, "--offline")
    before = (tmp_path / "preference_pairs.jsonl").read_bytes()
    done = run(tmp_path, script, "--offline")
    assert done.returncode == 0, done.stderr
    assert "0 calls" in done.stderr
    assert (tmp_path / "preference_pairs.jsonl").read_bytes() == before


def test_an_example_script_without_a_key_says_which_variable_to_set(tmp_path: Path) -> None:
    done = run(tmp_path, str(EXAMPLES / "raw_space_engineering.py"))
    assert done.returncode != 0
    assert "OPENAI_API_KEY" in done.stderr
    assert not (tmp_path / "space_engineering_texts.jsonl").exists()


@pytest.mark.parametrize("config", sorted(path.name for path in EXAMPLES.glob("*.yaml")))
def test_an_example_config_runs_offline_to_its_last_row(config: str, tmp_path: Path) -> None:
    done = run(tmp_path, "-m", "datafast", "generate", str(EXAMPLES / config), "--offline", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    written = [row for path in tmp_path.rglob("*.jsonl") for row in rows(path)]
    assert len(written) == report["requested"] == report["written"] > 0


def test_the_readmes_first_command_writes_288_rows(tmp_path: Path) -> None:
    done = run(tmp_path, "-m", "datafast", "generate", str(EXAMPLES / "space_engineering.yaml"), "--offline", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["written"] == 288

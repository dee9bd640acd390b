"""`datafast push`: what earlier processes and other tools have written goes to the Hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datafast import load
from datafast.cli.main import cli
from datafast.errors import ConfigError, DatafastWarning
from datafast.llms import SimulatedProvider
from tests.export.support import REPO, TOKEN, card, front, stored
from tests.export.support import load as loaded
from tests.servers.hub_server import HubServer
from tests.support import preference, raw, roles, rows_of

MODEL = SimulatedProvider("m")
WHO = "GET /api/whoami-v2"


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(cli, ["push", *map(str, arguments)])


@pytest.fixture
def output(tmp_path: Path) -> Path:
    raw(tmp_path, num_samples_per_prompt=8).generate([MODEL])
    return tmp_path / "out.jsonl"


def test_an_output_of_an_earlier_run_is_pushed_with_its_card(hub: HubServer, output: Path) -> None:
    done = run(output, REPO, "--train-size", "0.5")
    assert done.exit_code == 0, done.output
    count = len(rows_of(output))
    assert done.stdout == f"{hub.url}/datasets/{REPO}\n"
    assert done.stderr.endswith(
        f"Pushed {count // 2} rows in train, {count // 2} rows in test. The repository is private: only you and your organization can "
        "see it.\n"
    )
    assert hub.repos[REPO].private
    assert sorted(row["uuid"] for split in ("train", "test") for row in stored(hub, split)) == sorted(
        row["uuid"] for row in rows_of(output)
    )
    assert "rows of synthetic data (raw), made with **datafast**." in card(hub)
    assert "Simulated rows." in card(hub)
    assert "Nothing has changed since an earlier push: " in run(output, REPO, "--train-size", "0.5").stderr


def test_every_option_has_its_effect(hub: HubServer, output: Path) -> None:
    hub.add_repo(REPO, private=False, files={"README.md": b"Mine.\n"})
    options = ["--public", "--config-name", "some", "--revision", "next", "--create-pr", "--message", "More"]
    done = run(output, REPO, *options)
    assert done.exit_code == 2
    assert "a branch 'next'" in done.output
    hub.repos[REPO].branches["next"] = hub.repos[REPO].head
    done = run(output, REPO, *options, "--no-card", "--token", TOKEN, "--json")
    assert json.loads(done.stdout) == {
        "url": f"{hub.url}/datasets/{REPO}/discussions/1",
        "private": False,
        "changed": True,
        "splits": {"train": len(rows_of(output))},
    }
    repo = hub.repos[REPO]
    files = repo.commits[repo.branches["refs/pr/1"]]
    assert "some/train-00000-of-00001.parquet" in files
    assert files["README.md"].endswith(b"---\nMine.\n")
    assert repo.messages[-1] == "More"


def test_a_dry_run_says_what_would_be_pushed_and_sends_nothing(
    hub: HubServer, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    done = run(output, REPO, "--dry-run", "--train-size", "0.5", "--revision", "v2")
    assert done.exit_code == 0, done.output
    half = len(rows_of(output)) // 2
    assert f"{REPO}, config default, on the branch v2; private, if it is new" in done.stdout
    assert f"{half} rows in train, {half} rows in test" in done.stdout
    assert "data/train-00000-of-00001.parquet, " in done.stdout
    assert "text_source, string" in done.stdout
    assert "# things\n" in done.stdout
    assert done.stderr.endswith("Nothing was sent.\n")
    told = json.loads(run(output, REPO, "--dry-run", "--json").stdout)
    assert told["splits"] == {"train": 2 * half}
    assert [column["name"] for column in told["columns"]] == list(rows_of(output)[0])
    assert hub.requests == []
    run(output, REPO, "--token", TOKEN)
    assert card(hub) == told["card"]
    assert {path: len(data) for path, data in hub.repos[REPO].files.items() if path in told["files"]} == told["files"]


def test_rows_are_pushed_in_a_format(hub: HubServer, tmp_path: Path) -> None:
    preference(tmp_path).generate_roles(roles(MODEL))
    rows = rows_of(tmp_path / "out.jsonl")
    assert run(tmp_path / "out.jsonl", REPO, "--format", "kto", "--no-shuffle").exit_code == 0
    assert len(stored(hub, "train")) == 2 * len(rows)  # two records of a row
    assert run(tmp_path / "out.jsonl", REPO, "--format", "dpo", "--no-shuffle").exit_code == 0
    records = loaded(hub, tmp_path, REPO)[REPO]["train"]
    assert [record["chosen"][0]["content"] for record in records] == [row["chosen_response"] for row in rows]
    assert set(records[0]) == {"prompt", "chosen", "rejected"}
    for name, message in (
        ("language_modeling", "can be written as"),
        ("csv", "is about files"),
        ("nonsense", "nonsense"),
    ):
        done = run(tmp_path / "out.jsonl", REPO, "--format", name)
        assert done.exit_code == 2, done.output
        assert message in done.output


def test_a_file_of_another_tool_is_typed_by_one_pass_over_all_of_it(hub: HubServer, tmp_path: Path) -> None:
    source = tmp_path / "foreign.jsonl"
    rows: list[dict[str, Any]] = [{"id": number, "late": None, "tags": []} for number in range(500)]
    rows += [{"id": 500, "late": "a text", "tags": ["x"], "score": 0.5}, {"id": 501, "nested": {"a": 1}}]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = run(source, REPO, "--no-shuffle")
    assert done.exit_code == 0, done.output
    found = loaded(hub, tmp_path, REPO)[REPO]["train"]
    assert [row["id"] for row in found] == list(range(502))
    assert found[500]["late"] == "a text"
    assert found[500]["score"] == 0.5
    assert found[500]["tags"] == ["x"]
    assert "502 rows, published with **datafast**." in card(hub)
    assert front(hub)["tags"] == ["datafast"]


def test_a_table_is_pushed_too(hub: HubServer, tmp_path: Path) -> None:
    source = tmp_path / "qa.csv"
    source.write_text("question,answer\nWhy?,So.\nHow?,\n", encoding="utf-8")
    url = load(source).push_to_hub(REPO, shuffle=False)
    assert url == f"{hub.url}/datasets/{REPO}"
    assert [row["question"] for row in stored(hub, "train")] == ["Why?", "How?"]


def test_rows_that_become_nothing_in_a_format_are_counted(hub: HubServer, tmp_path: Path) -> None:
    source = tmp_path / "qa.jsonl"
    source.write_text('{"question": "Why?", "answer": "So."}\n{"question": "How?"}\n', encoding="utf-8")
    with pytest.warns(DatafastWarning, match=r"^Left out of prompt_completion, because a row has no answer \(1\)\.$"):
        load(source).push_to_hub(REPO, format="prompt_completion", shuffle=False)
    assert len(stored(hub, "train")) == 1
    source.write_text('{"question": "Why?", "answer": null}\n{"question": "How?"}\n', encoding="utf-8")
    message = r"^None of the rows in the split train can be written as prompt_completion, because a row has no answer \(2\)\.$"
    with pytest.raises(ConfigError, match=message):
        load(source).push_to_hub(REPO, format="prompt_completion", shuffle=False)


def test_the_token_is_checked_before_the_file(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(tmp_path / "none.jsonl", REPO, "--token", "hf_wrong")
    assert (done.exit_code, hub.requests) == (2, [WHO])
    assert "The token was refused" in done.output
    assert "hf_wrong" not in done.output
    monkeypatch.delenv("HF_TOKEN")
    done = run(tmp_path / "none.jsonl", REPO)
    assert done.exit_code == 2
    assert "HF_TOKEN" in done.output
    (tmp_path / "secrets.env").write_text(f"HF_TOKEN={TOKEN}\n", encoding="utf-8")
    monkeypatch.setenv("HF_TOKEN", "")  # put back after the test
    monkeypatch.delenv("HF_TOKEN")
    assert "There is no file" in run(tmp_path / "none.jsonl", REPO).output
    assert hub.requests == [WHO, WHO]


def test_an_argument_that_cannot_be_meant_is_named(hub: HubServer, output: Path) -> None:
    assert "owner/name" in run(output, "things").output
    assert "train_size" in run(output, REPO, "--train-size", "2").output
    with pytest.raises(ConfigError, match="train_size"):
        load(output).push_to_hub(REPO, train_size=2)
    assert hub.count("POST") == 0


def test_a_dry_run_does_not_decide_which_rows_are_in_which_split(hub: HubServer, output: Path) -> None:
    options = [REPO, "--train-size", "0.5", "--stable", "--group", "near_duplicates"]
    assert run(output, *options, "--dry-run").exit_code == 0
    assert not list(output.parent.glob("out.jsonl.splits-*"))
    assert run(output, *options).exit_code == 0
    assert len(list(output.parent.glob("out.jsonl.splits-*"))) == 1

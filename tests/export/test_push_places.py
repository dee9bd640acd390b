"""Where a push goes: configs, branches and pull requests of a repository, and what of it stays."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from datafast.errors import ConfigError, PublishError
from tests.export.support import REPO, PreferenceRow, card, front, load, preference_rows, push, stored, text_rows, write
from tests.servers.hub_server import Fault, HubServer

FIRST = "data/train-00000-of-00001.parquet"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datafast.export.hub_client.DELAYS_S", (0.0, 0.0, 0.0))


def test_several_configs_lie_side_by_side_and_load(hub: HubServer, source: Path, tmp_path: Path) -> None:
    push(source, train_size=0.8)
    pairs = write(tmp_path / "pairs.jsonl", preference_rows(7))
    url = push(pairs, row_model=PreferenceRow, config_name="pairs", shuffle=False)
    push(write(tmp_path / "few.jsonl", text_rows(3)), config_name="few-1.0")
    push(source, train_size=0.5)  # of one config alone

    assert url == f"{hub.url}/datasets/{REPO}"
    found = front(hub)
    assert [entry["config_name"] for entry in found["configs"]] == ["default", "pairs", "few-1.0"]
    assert [entry["config_name"] for entry in found["dataset_info"]] == ["default", "pairs", "few-1.0"]
    assert {path for path in hub.repos[REPO].files if path.endswith(".parquet")} == {
        FIRST,
        "data/test-00000-of-00001.parquet",
        "pairs/train-00000-of-00001.parquet",
        "few-1.0/train-00000-of-00001.parquet",
    }
    rows = load(hub, tmp_path, f"{REPO}:pairs", f"{REPO}:default", f"{REPO}:few-1.0")
    assert rows[f"{REPO}:pairs"] == {"train": [row.model_dump() for row in preference_rows(7)]}
    assert {split: len(part) for split, part in rows[f"{REPO}:default"].items()} == {"train": 5, "test": 5}
    assert len(rows[f"{REPO}:few-1.0"]["train"]) == 3


def test_each_config_has_its_own_part_of_the_card(hub: HubServer, source: Path, tmp_path: Path) -> None:
    pairs = write(tmp_path / "pairs.jsonl", preference_rows(1200))
    push(source)
    push(pairs, row_model=PreferenceRow, config_name="pairs")
    repo = hub.repos[REPO]
    repo.commit({**repo.files, "README.md": f"{card(hub)}\nMine.\n".encode()}, "by hand")
    for _ in range(2):  # and nothing is said: nobody else has changed what is ours
        push(source, train_size=0.5)
        push(pairs, row_model=PreferenceRow, config_name="pairs", train_size=0.5)
    text = card(hub)
    assert re.findall(r"^# .*", text, re.MULTILINE) == ["# things", "# things: pairs"]
    assert f'load_dataset("{REPO}", "pairs")' in text
    assert f'load_dataset("{REPO}")' in text
    assert text.endswith("\nMine.\n")
    assert front(hub)["language"] == ["en", "fr"]  # the pairs have none
    assert front(hub)["size_categories"] == ["1K<n<10K"]  # of all rows
    assert repo.messages[-2:] == ["Upload 10 rows with datafast", "Upload 1,200 rows with datafast"]
    assert len(repo.messages) == 6


@pytest.mark.parametrize("name", ["", "a b", "../x", "-x", "a/b", "data", "x" * 97])
def test_a_config_that_cannot_be_named_so_is_refused(hub: HubServer, source: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf'^config_name=["\']{re.escape(name)}["\'] ') as caught:
        push(source, config_name=name)
    assert caught.value.key == "config_name"
    assert hub.requests == []


def test_a_branch_is_made_from_main_and_left_out_of_it(hub: HubServer, source: Path, tmp_path: Path) -> None:
    push(source)
    before = hub.repos[REPO].head
    few = write(tmp_path / "few.jsonl", text_rows(4))
    for _ in range(2):
        assert push(few, revision="v2/few") == f"{hub.url}/datasets/{REPO}/tree/v2/few"
    repo = hub.repos[REPO]
    assert repo.head == before
    assert repo.commits[repo.branches["v2/few"]].keys() == repo.files.keys()
    assert repo.commits[repo.branches["v2/few"]][FIRST] != repo.files[FIRST]
    assert len(repo.messages) == 3
    assert push(source, revision="main") == f"{hub.url}/datasets/{REPO}"


@pytest.mark.parametrize("late", [False, True])
def test_a_branch_is_made_once_whatever_the_answer_says(hub: HubServer, source: Path, late: bool) -> None:
    hub.faults.append(Fault("/branch/", 500, late=late))
    push(source, revision="next")
    repo = hub.repos[REPO]
    assert set(repo.branches) == {"main", "next"}
    assert FIRST in repo.commits[repo.branches["next"]]


@pytest.mark.parametrize("revision", ["0" * 40, "a b", "a..b", "/x", "x/", "x~1"])
def test_what_is_no_branch_is_refused(hub: HubServer, source: Path, revision: str) -> None:
    with pytest.raises(ConfigError, match="revision=") as caught:
        push(source, revision=revision)
    assert caught.value.key == "revision"
    assert hub.requests == []


def test_a_pull_request_gives_its_address_and_leaves_the_branch_alone(hub: HubServer, source: Path) -> None:
    push(source)
    before = hub.repos[REPO].head
    assert push(source, train_size=0.5, create_pr=True) == f"{hub.url}/datasets/{REPO}/discussions/1"
    repo = hub.repos[REPO]
    assert repo.head == before
    assert "data/test-00000-of-00001.parquet" in repo.commits[repo.branches["refs/pr/1"]]
    assert push(source, create_pr=True) == f"{hub.url}/datasets/{REPO}"  # nothing to ask for
    assert len(repo.pulls) == 1


@pytest.mark.parametrize(
    "fault", [Fault("/commit/", 500, late=True), Fault("/commit/", 0, late=True)], ids=["500", "0"]
)
def test_a_pull_request_whose_answer_was_lost_is_not_made_twice(
    hub: HubServer, source: Path, tmp_path: Path, fault: Fault
) -> None:
    push(source)
    hub.faults.append(fault)
    for _ in range(2):  # in the same push, and in the next
        assert push(source, train_size=0.5, create_pr=True) == f"{hub.url}/datasets/{REPO}/discussions/1"
    other = write(tmp_path / "other.jsonl", text_rows(12)[2:])
    assert push(other, train_size=0.5, create_pr=True) == f"{hub.url}/datasets/{REPO}/discussions/2"
    hub.repos[REPO].pulls[1]["status"] = "closed"
    assert push(other, train_size=0.5, create_pr=True) == f"{hub.url}/datasets/{REPO}/discussions/3"


def test_a_pull_request_to_a_branch_that_is_not_there_says_so(hub: HubServer, source: Path) -> None:
    push(source)
    with pytest.raises(PublishError, match=r"HTTP 404.* a branch 'nowhere'"):
        push(source, train_size=0.5, create_pr=True, revision="nowhere")
    assert set(hub.repos[REPO].branches) == {"main"}


def test_shards_of_an_earlier_push_go_and_those_of_others_stay(hub: HubServer, source: Path, tmp_path: Path) -> None:
    others = {
        "data/extra-00000-of-00001.parquet": b"of a config of its own",
        "data/notes.parquet": b"not a shard",
        "more/train-00000-of-00001.parquet": b"another folder",
    }
    stale = {
        "data/train-00001-of-00002.parquet": b"old",
        "data/validation-00000-of-00001.parquet": b"old",
        "data/train-00000-of-00002-0123456789abcdef.parquet": b"as `datasets` named them once",
    }
    readme = (
        b"---\nconfigs:\n- config_name: extra\n  data_files:\n  - split: train\n    path: data/extra-*\n---\nMine.\n"
    )
    hub.add_repo(REPO, private=True, files={**others, **stale, "README.md": readme})
    push(source)
    assert set(hub.repos[REPO].files) == {".gitattributes", "README.md", FIRST, *others}
    assert len(stored(hub, "train")) == 10


def test_two_pushes_with_other_splits_load_as_the_second_says(hub: HubServer, tmp_path: Path) -> None:
    many = write(tmp_path / "many.jsonl", text_rows(30))
    push(many, train_size=0.5)
    assert {split: len(rows) for split, rows in load(hub, tmp_path, REPO)[REPO].items()} == {"train": 15, "test": 15}
    push(write(tmp_path / "few.jsonl", text_rows(4)))
    assert {split: len(rows) for split, rows in load(hub, tmp_path, REPO)[REPO].items()} == {"train": 4}
    push(many, train_size=0.9)
    assert {split: len(rows) for split, rows in load(hub, tmp_path, REPO)[REPO].items()} == {"train": 27, "test": 3}


def test_files_that_the_repository_ignores_are_not_lost_silently(hub: HubServer, source: Path) -> None:
    hub.add_repo(REPO, private=True, files={".gitignore": b"*.parquet\n"})
    with pytest.raises(PublishError, match=rf"The \.gitignore in {REPO} leaves {FIRST} out\. Nothing was changed\."):
        push(source)
    assert len(hub.repos[REPO].messages) == 1

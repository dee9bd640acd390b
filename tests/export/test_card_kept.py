"""What others wrote into the README.md of a pushed dataset: it stays, or the next push says that it does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from datafast.errors import DatafastWarning
from datafast.export import CardInfo
from datafast.export.card_kept import BEGIN
from tests.export.support import REPO, PreferenceRow, card, front, preference_rows, push, write
from tests.servers.hub_server import HubServer


def edit(hub: HubServer, change: Callable[[str], str]) -> None:
    repo = hub.repos[REPO]
    before = card(hub)
    after = change(before)
    assert after != before
    repo.commit({**repo.files, "README.md": after.encode()}, "edited by hand")


def test_a_change_of_our_text_is_told_of_before_it_is_lost(hub: HubServer, source: Path) -> None:
    push(source)
    written = card(hub)
    edit(hub, lambda text: text.replace("synthetic data", "splendid data"))
    with pytest.warns(
        DatafastWarning, match=r"^someone/things: The text of README\.md between .*history, before this push\.$"
    ):
        push(source)
    assert card(hub) == written


def test_what_an_editor_changes_by_itself_is_no_change(hub: HubServer, source: Path) -> None:
    push(source)
    written = card(hub)
    edit(hub, lambda text: text.replace("\n", "\r\n"))
    push(source)
    assert card(hub).replace("\r\n", "\n") == written
    edit(hub, lambda text: text.replace(BEGIN, f"{BEGIN}  "))
    push(source)
    assert card(hub).count("datafast:begin") == 1


def test_a_name_and_languages_and_tags_of_others_stay(hub: HubServer, source: Path) -> None:
    push(source)
    edit(
        hub,
        lambda text: text.replace("pretty_name: things", "pretty_name: Small things").replace("- fr\n", "- fr\n- br\n"),
    )
    push(source)
    assert front(hub)["pretty_name"] == "Small things"
    assert front(hub)["language"] == ["br", "en", "fr"]


def test_a_language_stays_where_rows_have_none(hub: HubServer, tmp_path: Path) -> None:
    rows = write(tmp_path / "b.jsonl", preference_rows(3))
    push(rows, row_model=PreferenceRow, card=CardInfo(title="t", kind="pairs"))
    assert "language" not in front(hub)
    edit(hub, lambda text: text.replace("tags:\n", "language: gv\ntags:\n", 1))
    push(rows, row_model=PreferenceRow, card=CardInfo(title="t", kind="pairs"))
    assert front(hub)["language"] == ["gv"]


def test_a_language_that_no_row_has_any_more_goes(hub: HubServer, source: Path, tmp_path: Path) -> None:
    push(source)
    assert front(hub)["language"] == ["en", "fr"]
    push(write(tmp_path / "b.jsonl", preference_rows(3)), row_model=PreferenceRow)
    assert "language" not in front(hub)


def test_configs_of_others_stay_with_what_is_told_of_them(hub: HubServer, source: Path) -> None:
    push(source)

    def change(text: str) -> str:
        found = front(hub)
        found["configs"].append({"config_name": "extra", "data_files": "extra/*.parquet"})
        found["dataset_info"] = [
            {"config_name": "extra", "features": []},
            {"config_name": "default", **found["dataset_info"]},
        ]
        return f"---\n{yaml.safe_dump(found)}---\n{text.split('---' + chr(10), 2)[2]}"

    edit(hub, change)
    for _ in range(2):  # and without a word
        push(source, train_size=0.5)
        found = front(hub)
        assert [entry["config_name"] for entry in found["configs"]] == ["default", "extra"]
        assert [entry["split"] for entry in found["configs"][0]["data_files"]] == ["train", "test"]
        assert [entry["config_name"] for entry in found["dataset_info"]] == ["extra", "default"]


def test_a_change_of_our_own_keys_is_told_of(hub: HubServer, source: Path) -> None:
    push(source)
    edit(hub, lambda text: text.replace("path: data/train-*", "path: data/*"))
    with pytest.warns(
        DatafastWarning, match=r"In the front matter of README\.md dataset_info or configs was changed on the Hub"
    ):
        push(source)
    assert front(hub)["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*"}]


def test_text_between_two_copies_of_our_part_stays(hub: HubServer, source: Path) -> None:
    push(source)
    part = card(hub).split("---\n", 2)[2]
    edit(hub, lambda text: f"{text}\nMy words.\n\n{part}\nMore words.\n")
    push(source)
    assert "\nMy words.\n" in card(hub)
    assert card(hub).endswith("\nMore words.\n")


def test_marks_in_templates_are_not_taken_for_ours(hub: HubServer, source: Path) -> None:
    marks = ["<!-- datafast:end -->", BEGIN, f"{BEGIN}\nx\n<!-- datafast:end text=abc front=abc language= -->"]
    info = CardInfo(title="t", kind="texts", settings={"prompts": marks})
    push(source, card=info)
    edit(hub, lambda text: f"{text}\nBelow.\n")
    written = card(hub)
    push(source, card=info)
    assert card(hub) == written


def test_a_card_of_an_earlier_version_is_rewritten_without_a_word(hub: HubServer, source: Path) -> None:
    push(source)
    written = card(hub)
    head, _, _ = written.partition("<!-- datafast:end ")
    edit(hub, lambda text: f"{head}<!-- datafast:end -->\n\nMine.\n".replace("synthetic data", "old data"))
    push(source)
    assert card(hub) == f"{written.rstrip()}\n\nMine.\n"

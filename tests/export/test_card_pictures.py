"""Pictures of a card: in the commit of the push, replaced and removed with it, without secrets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from datafast.export.card import CardInfo
from datafast.export.card_info import CardFigure
from datafast.figures import bars
from tests.export.support import REPO, card, load, push
from tests.servers.hub_server import HubServer


def info(*names: str, label: str = "en") -> CardInfo:
    drawn = [bars(f"Rows by {name}", {label: 10}) for name in names]
    figures = [CardFigure(f"{name}.svg", one.description, one.svg) for name, one in zip(names, drawn, strict=True)]
    return CardInfo(title="t", kind="k", figures=figures)


def pictures(hub: HubServer) -> list[str]:
    return sorted(path for path in hub.repos[REPO].files if path.endswith(".svg"))


def test_pictures_come_in_the_same_commit_and_are_shown(hub: HubServer, source: Path, tmp_path: Path) -> None:
    push(source, card=info("rows-by-language", "lengths"))
    assert pictures(hub) == ["figures/lengths.svg", "figures/rows-by-language.svg"]
    assert len(hub.repos[REPO].commits) == 2  # with that of the repository itself
    assert "![Rows by lengths: en 10 (100 %).](figures/lengths.svg)" in card(hub)
    ElementTree.fromstring(hub.repos[REPO].files["figures/lengths.svg"])
    assert len(load(hub, tmp_path, REPO)[REPO]["train"]) == 10


def test_the_next_push_removes_pictures_that_it_does_not_show_and_no_others(hub: HubServer, source: Path) -> None:
    push(source, card=info("rows-by-language", "rows-by-topic"))
    hub.repos[REPO].files["figures/mine.svg"] = b"<svg/>"
    push(source, card=info("rows-by-language"))
    assert pictures(hub) == ["figures/mine.svg", "figures/rows-by-language.svg"]


def test_the_same_push_again_makes_no_commit(hub: HubServer, source: Path) -> None:
    push(source, card=info("lengths"))
    before = len(hub.repos[REPO].commits)
    push(source, card=info("lengths"))
    assert len(hub.repos[REPO].commits) == before


def test_configs_have_pictures_of_their_own(hub: HubServer, source: Path) -> None:
    push(source, card=info("lengths"))
    push(source, card=info("lengths"), config_name="other")
    assert pictures(hub) == ["figures/lengths.svg", "figures/other/lengths.svg"]
    push(source, card=info())
    assert pictures(hub) == ["figures/other/lengths.svg"]


def test_without_a_card_there_are_no_pictures_and_those_that_are_there_stay(hub: HubServer, source: Path) -> None:
    push(source, card=info("lengths"), upload_card=False)
    assert pictures(hub) == []
    push(source, card=info("lengths"))
    push(source, card=info(), upload_card=False)
    assert pictures(hub) == ["figures/lengths.svg"]


def test_no_secret_is_in_a_picture(hub: HubServer, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-very<secret>value")
    push(source, card=info("lengths", label="sk-very<secret>value"))
    drawn = hub.repos[REPO].files["figures/lengths.svg"].decode()
    assert "secret" not in drawn
    assert "secret" not in card(hub).replace("\\", "")
    ElementTree.fromstring(drawn)


def test_pictures_may_be_png_and_replace_those_that_were_not(hub: HubServer, source: Path) -> None:
    pytest.importorskip("resvg_py")
    push(source, card=info("lengths"))
    drawn = info("lengths")
    push(source, card=replace(drawn, figures=[one.as_png() for one in drawn.figures]))
    found = {path: data for path, data in hub.repos[REPO].files.items() if path.startswith("figures/")}
    assert list(found) == ["figures/lengths.png"]
    assert found["figures/lengths.png"].startswith(b"\x89PNG")
    assert "](figures/lengths.png)" in card(hub)
    push(source, card=info())
    assert not [path for path in hub.repos[REPO].files if path.startswith("figures/")]


def test_a_pull_request_with_pictures_is_found_again(hub: HubServer, source: Path) -> None:
    def ask() -> Any:
        return push(source, card=info("lengths"), create_pr=True, commit_message="Rows")

    push(source, card=info())
    assert ask() == ask()

"""The page of a config in a browser: what is typed is checked and planned, by keyboard alone, at every size."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from tests.browser import LOOKS, Browsing, Look, assert_accessible, expect
from tests.view.client import Client, viewing

SMALL = """\
# Notes about the sea.
kind: raw
output_file: rows.jsonl
document_types: [note, letter]
topics:
  - tides
  - ice
languages: {en: English, fr: French}
providers:
  - openai/gpt-6-luna
quality:
  - {stage: length, min_words: 45}
run: {seed: 7}
"""
HOSTILE = """\
kind: raw
output_file: rows.jsonl
document_types: ['<img src=x onerror=alert(1)>']
topics: ['<script>document.title="ran"</script>', "a\u202eb", 'javascript:alert(1)']
providers: [simulated/m]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("configs")
    (folder / "sea.yaml").write_text(SMALL)
    (folder / "hostile.yaml").write_text(HOSTILE)
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[Client]:
    with viewing(folder, "config") as client:
        yield client


@pytest.fixture
def edit(open_page: Browsing, client: Client) -> Callable[..., Any]:
    """Opens a config."""

    def opened(name: str = "sea.yaml", **options: Any) -> Any:
        return open_page(f"http://{client.host}/config?path={name}&token={client.token}", **options)

    return opened


def write(page: Any, line: int, text: str) -> None:
    """Replaces a line (from 1) as somebody with a keyboard does."""
    page.locator("#text").press("Control+Home")
    for _ in range(line - 1):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Home")
    page.keyboard.press("Shift+End")
    page.keyboard.type(text)
    page.keyboard.press("Escape")


def figure(page: Any, name: str) -> Any:
    return page.locator(".figure", has=page.locator("dt", has_text=re.compile(f"^{name}$"))).locator("dd")


def planned(page: Any) -> None:
    expect(page.locator("#plan")).to_have_attribute("aria-busy", "false")
    expect(page.locator("#planned")).to_have_text("The plan is that of this text.")


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_the_page_can_be_used_by_everyone_at_every_size(edit: Callable[..., Any], look: Look) -> None:
    page = edit(**look.options)
    planned(page)
    expect(page.locator("#prompt .message")).to_have_count(1)
    page.locator("#text").evaluate(
        "area => { area.value = area.value.replace('topics', 'topisc'); area.dispatchEvent(new Event('input')) }"
    )
    expect(page.locator("#problems li").first).to_be_visible()
    assert_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_problem_shows_at_its_line_and_goes_when_it_is_mended(edit: Callable[..., Any]) -> None:
    page = edit()
    planned(page)
    write(page, 5, "topisc:")
    expect(page.locator("#problems-said")).to_contain_text("problem")
    expect(page.locator("#problems li").first).to_contain_text("There is no such field. Did you mean 'topics'?")
    assert page.locator("#numbers .bad").all_inner_texts() == ["5"]
    assert page.locator("#paint .under").first.inner_text() == "topisc"
    expect(page.locator("#planned")).to_have_text("This is the plan from before the problems.")
    page.locator("#problems button").first.click()
    expect(page.locator("#text")).to_be_focused()
    assert (
        page.evaluate(
            "const t = document.getElementById('text'); t.value.slice(0, t.selectionStart).split('\\n').length"
        )
        == 5
    )
    write(page, 5, "topics:")
    expect(page.locator("#problems-said")).to_have_text("There are no problems.")
    planned(page)
    assert page.locator("#numbers .bad").count() == 0


def test_the_numbers_are_those_of_the_command(edit: Callable[..., Any], folder: Path) -> None:
    told = json.loads(CliRunner().invoke(cli, ["plan", str(folder / "sea.yaml"), "--json", "-n", "0"]).stdout)
    page = edit()
    planned(page)
    assert figure(page, "Rows").inner_text() == f"{told['rows']:,}"
    assert figure(page, "Calls").inner_text() == f"{told['total_calls']:,}"
    assert f"${told['estimate']['cost_usd']['expected']:.4f}"[:6] in figure(page, "Cost").inner_text()
    write(page, 6, "  - [tides, ebb]".replace("[", "").replace("]", ""))
    page.locator("#text").press("End")
    page.keyboard.press("Enter")
    page.keyboard.type("- fog")
    expect(figure(page, "Rows")).to_have_text(f"{told['rows'] * 3 // 2:,}")


def test_prompts_are_gone_through(edit: Callable[..., Any]) -> None:
    page = edit()
    which = page.locator("#prompt-which")
    page.locator("#order").select_option("all")
    expect(which).to_have_text("Prompt 1 of 8, to openai/gpt-6-luna")
    expect(page.locator("#previous")).to_be_disabled()
    page.get_by_role("button", name="Next").click()
    expect(which).to_have_text("Prompt 2 of 8, to openai/gpt-6-luna")
    expect(page.locator("#prompt .message")).to_contain_text("French")
    page.get_by_role("button", name="Previous").click()
    expect(which).to_contain_text("Prompt 1 of 8")


def test_a_question_in_whose_place_one_that_was_given_up_has_come_is_asked_again(edit: Callable[..., Any]) -> None:
    page = edit()
    page.locator("#order").select_option("all")
    expect(page.locator("#prompt-which")).to_have_text("Prompt 1 of 8, to openai/gpt-6-luna")
    empty = {"prompt": 1, "plan": 1}

    def respond(route: Any) -> None:
        what = route.request.url.rpartition("/")[2]
        empty[what] -= 1
        if empty[what] >= 0:
            route.fulfill(status=200, body="")  # as the viewer answers a question that is not the newest
        else:
            route.continue_()

    page.route(re.compile("/api/config/(plan|prompt)$"), respond)
    page.get_by_role("button", name="Next").click()
    expect(page.locator("#prompt-which")).to_have_text("Prompt 2 of 8, to openai/gpt-6-luna")
    assert empty["prompt"] == -1
    write(page, 4, "document_types: [letter, poem]")
    expect(page.locator("#plan")).to_contain_text("poem")


def test_it_is_used_by_keyboard_alone_and_is_no_trap(edit: Callable[..., Any]) -> None:
    page = edit()
    planned(page)
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "text":
            break
    expect(page.locator("#text")).to_be_focused()
    page.keyboard.press("Control+End")
    page.keyboard.type("zzz: 1")
    page.keyboard.press("Home")
    page.keyboard.press("Tab")
    assert page.locator("#text").input_value().endswith("\n  zzz: 1")
    page.keyboard.press("Shift+Tab")
    assert page.locator("#text").input_value().endswith("\nzzz: 1")
    expect(page.locator("#plan")).to_have_attribute("aria-busy", "false")  # else the problem may be of a text before
    expect(page.locator("#problems li")).to_have_count(1)
    page.keyboard.press("Control+Home")
    page.keyboard.press("F8")
    expect(page.locator("#said")).to_have_text(re.compile("^Line 14: zzz: There is no such field"))
    page.keyboard.press("Shift+End")
    page.keyboard.press("Delete")
    planned(page)
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(page.locator("#text")).not_to_be_focused()


def test_names_and_values_are_suggested(edit: Callable[..., Any]) -> None:
    page = edit()
    planned(page)
    choices = page.locator("#choices")
    page.locator("#text").press("Control+Home")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#meaning")).to_contain_text("kind")  # the schema is there
    page.keyboard.press("Control+End")
    page.keyboard.type("regen")
    expect(choices.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Tab")
    assert page.locator("#text").input_value().endswith("\nregenerate: ")
    page.keyboard.type("1")
    page.keyboard.press("Enter")
    page.keyboard.type("reasoning: ")
    page.keyboard.press("Control+Space")
    expect(choices.get_by_role("option")).to_have_text(["drop", "metadata", "field"])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.locator("#text").input_value().endswith("reasoning: metadata")
    expect(page.locator("#meaning")).to_contain_text("What models thought on the way to a row")
    write(page, 12, "  - {stage: ")
    page.keyboard.press("Control+Space")
    expect(choices.get_by_role("option").filter(has_text="exact_duplicates")).to_contain_text("Drops")
    write(page, 12, "  - {stage: length, max")
    expect(choices).to_be_hidden()
    page.keyboard.press("Control+Space")
    expect(choices.get_by_role("option").first).to_contain_text("max_")
    page.keyboard.press("Escape")
    write(page, 13, "run: {max_con")
    page.keyboard.press("Control+Space")
    page.keyboard.press("Enter")
    assert "run: {max_concurrency: " in page.locator("#text").input_value()
    expect(page.locator("#meaning")).to_contain_text("run.max_concurrency")


def test_text_that_is_not_saved_survives_a_reload(edit: Callable[..., Any]) -> None:
    page = edit()
    planned(page)
    write(page, 1, "# Other words.")
    expect(page.locator("#changed")).to_be_visible()
    page.reload()
    expect(page.locator("#text")).to_have_value(re.compile("^# Other words"))
    expect(page.locator("#changed")).to_be_visible()
    page.get_by_role("button", name="Show the file instead").click()
    expect(page.locator("#text")).to_have_value(SMALL)
    expect(page.locator("#changed")).to_be_hidden()


def test_saving_keeps_every_other_byte_and_tells_of_other_hands(edit: Callable[..., Any], folder: Path) -> None:
    (folder / "own.yaml").write_bytes(SMALL.replace("\n", "\r\n").encode())
    page = edit("own.yaml")
    planned(page)
    write(page, 6, "  - ebb")
    page.keyboard.press("Control+s")
    expect(page.locator("#said")).to_have_text("Saved own.yaml.")
    assert (folder / "own.yaml").read_bytes() == SMALL.replace("tides", "ebb").replace("\n", "\r\n").encode()
    (folder / "own.yaml").write_text("# theirs\n" + SMALL)
    write(page, 7, "  - fog")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#conflict")).to_be_visible()
    expect(page.locator("#difference .removed").first).to_contain_text("# theirs")
    assert (folder / "own.yaml").read_text().startswith("# theirs")
    assert_accessible(page)
    page.get_by_role("button", name="Save my text over it").click()
    expect(page.locator("#conflict")).to_be_hidden()
    assert "fog" in (folder / "own.yaml").read_text()


def test_a_template_becomes_a_file(edit: Callable[..., Any], client: Client, folder: Path) -> None:
    page = edit()
    page.locator("summary", has_text="New").click()
    page.get_by_role("link", name="mcq").click()
    planned(page)
    page.get_by_label("Name").fill("quiz.yaml")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url(re.compile("path=quiz.yaml"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("quiz.yaml")
    assert (folder / "quiz.yaml").read_text().startswith("#")
    expect(page.locator("#command")).to_contain_text("quiz.yaml")


def test_hostile_values_are_shown_and_do_nothing(edit: Callable[..., Any]) -> None:
    page = edit("hostile.yaml")
    planned(page)
    page.locator("#order").select_option("all")
    message = page.locator("#prompt .message")
    expect(message).to_contain_text('<script>document.title="ran"</script>')
    expect(message).to_contain_text("<img src=x onerror=alert(1)>")
    page.get_by_role("button", name="Next").click()
    expect(message).to_contain_text("a\\u202eb")
    expect(page.locator("#problems")).to_contain_text("change the direction of text")
    expect(page).to_have_title(re.compile("^hostile.yaml"))


def test_of_a_text_of_many_lines_those_are_painted_that_are_seen(edit: Callable[..., Any], folder: Path) -> None:
    (folder / "long.yaml").write_text(SMALL + "".join(f"# line {number}\n" for number in range(20_000)))
    page = edit("long.yaml")
    planned(page)
    page.locator("#text").press("Control+End")
    page.keyboard.type("zzz: 1")
    expect(page.locator("#numbers")).to_contain_text("20014")
    expect(page.locator("#paint .y-name")).to_have_text(["zzz"])
    expect(page.locator("#problems li")).to_contain_text("zzz")
    assert page.locator("#paint .line").count() < 120


PLACES = {
    "kind: raw\nquality:\n  - stage: length\n    m|\n  - stage: pii\n": ("name", "min_words", "mode"),
    "kind: raw\nquality:\n  - {stage: near_duplicates, |}\n": ("name", "field", "min_words"),
    "kind: raw\nproviders:\n- provider: |\n": ("value", "anthropic", "model_id"),
    "kind: raw\nproviders:\n  - provider: anthropic\n    mo|\n": ("name", "model_id", "topics"),
    "kind: raw\nrun:\n  # here\n  |\n": ("name", "max_concurrency", "topics"),
    "kind: raw\nexpansion:\n  strategy: |\n": ("value", "coverage", "placeholders"),
    "kind: raw\nprompts:\n  - >\n    hello|\n": (None, "", ""),
    "kind: raw\nrun: {mode: batch}\n|\n": ("name", "topics", "mode"),
}
SUGGESTED = """async ([text, row, column]) => {
    const { placeAt, blocksOf } = await import('/static/config-yaml.js');
    const { Schema } = await import('/static/config-schema.js');
    globalThis.schema ??= new Schema(JSON.parse((await (await fetch('/api/config/schema?kind=raw')).text()).split('\\n')[0]).schema);
    const lines = text.split('\\n');
    const place = placeAt(lines, blocksOf(lines), row, column);
    if (!place) return [null, []];
    const found = place.mode === 'value' ? schema.values(place.levels) : schema.names(place.levels);
    return [place.mode, found.map((one) => one.text)];
}"""


def test_suggestions_are_those_of_the_place(edit: Callable[..., Any]) -> None:
    page = edit()
    for text, (mode, suggested, other) in PLACES.items():
        before, _, behind = text.partition("|")
        place = [before + behind, before.count("\n"), len(before.rpartition("\n")[2])]
        found = page.evaluate(SUGGESTED, place)
        assert found[0] == mode, text
        assert mode is None or suggested in found[1], text
        assert other not in found[1], text

"""Figures are well-formed, say what they show in words too, and keep within their frame."""

from __future__ import annotations

import math
import re
import runpy
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.figures import (
    Figure,
    Level,
    bars,
    heatmap,
    histogram,
    levels,
    lines,
    stacked_bars,
    stacked_columns,
    still,
)
from datafast.figures.texts import cut, width_of
from tests.support import ROOT

NAMES = st.text(max_size=80)
SVG = "{http://www.w3.org/2000/svg}"


def elements(figure: Figure, tag: str, kind: str = "") -> list[ElementTree.Element]:
    found = ElementTree.fromstring(figure.svg).iter(f"{SVG}{tag}")
    return [element for element in found if not kind or element.get("class") == kind]


def check(figure: Figure) -> None:
    root = ElementTree.fromstring(figure.svg)
    assert root.findtext(f"{SVG}title") == figure.title
    assert root.findtext(f"{SVG}desc") == figure.description
    assert not set(root.iter(f"{SVG}script"))
    assert "prefers-color-scheme:dark" in figure.svg
    wide, high = float(root.attrib["width"]), float(root.attrib["height"])
    for rect in root.iter(f"{SVG}rect"):
        x, y, width, height = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + width <= wide + 0.1
        assert 0 <= y <= y + height <= high + 0.1
    for text in root.iter(f"{SVG}text"):
        assert 0 <= float(text.attrib["x"]) <= wide
        assert 0 < float(text.attrib["y"]) < high


@settings(max_examples=60, deadline=None)
@given(title=NAMES, counts=st.dictionaries(NAMES, st.integers(0, 10**12), min_size=1, max_size=30))
def test_bars_of_any_values(title: str, counts: dict[str, int]) -> None:
    figure = bars(title, counts, subtitle=title)
    check(figure)
    assert figure == bars(title, counts, subtitle=title)


@settings(max_examples=60, deadline=None)
@given(
    groups=st.dictionaries(NAMES, st.lists(st.integers(0, 10**9), min_size=3, max_size=3), min_size=1, max_size=20),
    parts=st.lists(NAMES, min_size=3, max_size=3),
)
def test_stacked_bars_of_any_values(groups: dict[str, list[int]], parts: list[str]) -> None:
    check(stacked_bars("Outcomes", groups, parts))


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(0, 10**9), min_size=1, max_size=40),
    step=st.floats(1e-3, 1e6),
    middle=st.none() | st.floats(-1e9, 1e9),
)
def test_histograms_of_any_values(counts: list[int], step: float, middle: float | None) -> None:
    check(
        histogram("Lengths", [step * number for number in range(len(counts) + 1)], counts, unit="words", middle=middle)
    )


def test_bars_are_as_long_as_their_counts_and_the_largest_comes_first() -> None:
    figure = bars("Rows by language", {"fr": 50, "en": 100, "de": 25})
    widths = [float(rect.attrib["width"]) for rect in elements(figure, "rect", "c0")]
    assert widths[1] == pytest.approx(widths[0] / 2, abs=0.2)
    assert widths[2] == pytest.approx(widths[0] / 4, abs=0.2)
    assert [text.text for text in elements(figure, "text", "label")] == ["en", "fr", "de"]
    assert figure.description == "Rows by language: en 100 (57.1 %); fr 50 (28.6 %); de 25 (14.3 %)."


def test_values_beyond_the_most_have_one_bar_together() -> None:
    counts = {f"topic {number}": 100 - number for number in range(20)}
    figure = bars("Rows by topic", counts, most=5)
    assert [text.text for text in elements(figure, "text", "label")][-1] == "15 others"
    assert len(elements(figure, "rect", "c0")) == 5
    assert len(elements(figure, "rect", "rest")) == 1
    with_rest = bars("Rows by topic", {**counts, "30 others": 7}, most=5, num_others=30)
    assert [text.text for text in elements(with_rest, "text", "label")][-1] == "45 others"


def test_a_long_label_is_cut_and_is_whole_in_its_tooltip() -> None:
    name = "anthropic/claude-haiku-4-5-20251001-with-a-very-long-name"
    (label,) = elements(bars("Rows", {name: 1}), "text", "label")
    assert label.text is not None
    assert label.text.endswith("…")
    assert name.startswith(label.text[:-1])
    assert label.findtext(f"{SVG}title") == name


def test_a_label_from_right_to_left_keeps_its_side() -> None:
    (label,) = elements(bars("Rows", {"العربية": 1}), "text", "label")
    assert label.get("direction") == "rtl"
    assert label.get("text-anchor") is None  # its end, which is at the left of it, is anchored by "start"


def test_texts_are_never_markup() -> None:
    figure = bars("<b>&", {"<script>alert(1)</script>\x00\x1b": 1})
    check(figure)
    assert "<script" not in figure.svg
    assert "\x00" not in figure.svg


@settings(max_examples=100, deadline=None)
@given(text=st.text(alphabet="ae\u0301👩\u200d語ษิ ", max_size=40), width=st.floats(20, 300))
def test_a_text_is_not_cut_between_a_letter_and_its_marks(text: str, width: float) -> None:
    shown = cut(text, width, 12)
    assert width_of(shown, 12) <= max(width, width_of("…", 12)) + 1e-6
    if shown != text:
        rest = text[len(shown) - 1 :].lstrip(" \u200d")
        assert text.startswith(shown[:-1])
        assert not shown[:-1].endswith("\u200d")
        assert not (shown == "…" and rest == "")


def test_the_middle_of_a_histogram_stands_where_it_is() -> None:
    figure = histogram("Lengths", [0, 10, 20, 30, 40], [1, 2, 3, 4], unit="words", middle=20)
    (line,) = elements(figure, "line", "line")
    axis = elements(figure, "line", "axis")[0]
    left, right = float(axis.attrib["x1"]), float(axis.attrib["x2"])
    assert float(line.attrib["x1"]) == pytest.approx((left + right) / 2, abs=0.2)
    assert figure.description == "Lengths: 10 in all, from 0 to 40 words, most between 30 and 40, median 20."


@pytest.mark.parametrize("largest", [1, 2, 3, 7, 10, 99, 1_000, 123_456_789])
def test_the_axis_has_few_round_numbers(largest: int) -> None:
    texts = [text.text or "" for text in elements(histogram("L", [0, 1], [largest], unit="words"), "text", "value")]
    ticks = texts[:-2]
    assert 2 <= len(ticks) <= 6
    assert ticks[0] == "0"
    assert all(re.fullmatch(r"[\d.]+[kMB]?", tick) for tick in ticks)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="one edge more"):
        histogram("L", [0, 1], [1, 2], unit="words")
    with pytest.raises(ValueError, match="6 parts at most"):
        stacked_bars("S", {"a": [1] * 7}, list("abcdefg"))


def test_several_figures_can_stand_in_one_page() -> None:
    one, other = bars("Rows", {"a": 1}), bars("Rows", {"a": 2})
    names = [set(re.findall(r' id="([^"]+)"', figure.svg)) for figure in (one, other)]
    assert len(names[0]) == 2
    assert not names[0] & names[1]
    assert math.isfinite(float(ElementTree.fromstring(one.svg).attrib["height"]))


def test_the_picture_of_the_guide_is_what_its_script_draws() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "pictures" / "card_figures.py"))
    assert (ROOT / "docs" / "images" / "card-figures.svg").read_text(encoding="utf-8") == script["picture"]()


AMOUNTS = st.floats(0, 1e12, allow_nan=False) | st.integers(0, 10**12)


@settings(max_examples=60, deadline=None)
@given(entries=st.lists(st.builds(Level, NAMES, AMOUNTS, st.text(max_size=12)), min_size=1, max_size=30))
def test_levels_of_any_numbers(entries: list[Level]) -> None:
    check(levels("Levels", entries))


def test_levels_stand_in_the_order_that_is_given_and_say_what_is_left_out() -> None:
    figure = levels("Scores", [Level(f"v{n}", n, f"{n}") for n in range(20)], largest=40)
    assert "and 4 more" in figure.svg
    assert figure.description.startswith("Scores: v0 0; v1 1; v2 2")


@settings(max_examples=60, deadline=None)
@given(data=st.data(), across=st.lists(NAMES, min_size=1, max_size=24), down=st.lists(NAMES, min_size=1, max_size=24))
def test_heatmaps_of_any_values(data: st.DataObject, across: list[str], down: list[str]) -> None:
    lines_of = st.lists(st.integers(0, 1000), min_size=len(across), max_size=len(across))
    numbers = st.lists(lines_of, min_size=len(down), max_size=len(down))
    check(heatmap("Coverage", across, down, data.draw(numbers), data.draw(numbers)))


def test_a_heatmap_names_combinations_that_lack_and_tells_them_from_those_that_were_not_planned() -> None:
    figure = heatmap("Coverage", ["a", "b"], ["x", "y"], [[3, 0], [0, 4]], [[4, 2], [0, 4]])
    assert figure.description == "Coverage: 7 of 10 (70.0 %). Without any: x with b."
    assert [len(elements(figure, "rect", kind)) for kind in ("h0", "h1", "h2", "h3", "h4", "none")] == [
        1,
        0,
        0,
        1,
        1,
        1,
    ]


def test_headings_of_a_heatmap_are_level_where_they_have_room() -> None:
    assert "rotate" not in heatmap("Coverage", ["a", "b"], ["x"], [[1, 1]], [[1, 1]]).svg
    narrow = heatmap("Coverage", [f"a long name {n}" for n in range(12)], ["x"], [[1] * 12], [[1] * 12])
    assert narrow.svg.count("rotate(-90") == 12


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    slots=st.lists(NAMES, min_size=1, max_size=40),
    names=st.lists(NAMES, min_size=1, max_size=6, unique=True),
)
def test_numbers_over_time(data: st.DataObject, slots: list[str], names: list[str]) -> None:
    amounts = st.lists(AMOUNTS, min_size=len(slots), max_size=len(slots))
    parts = {name: data.draw(amounts) for name in names}
    check(stacked_columns("Replies", slots, parts, unit="replies"))
    check(lines("Latency", slots, {**parts, names[0]: [None] * (len(slots) - 1) + [1.5]}, unit="s"))


def test_a_figure_without_its_style_sheet_is_the_same_for_a_page_that_has_it() -> None:
    figure = bars("Rows", {"a": 1})
    assert figure.style.strip().startswith(".df-fig")
    assert figure.unstyled == figure.svg.replace(f"<style>{figure.style}</style>\n", "")


def test_a_still_figure_has_one_colour_scheme_and_texts_placed_by_their_left_end() -> None:
    both = heatmap("Coverage", ["ice", "tides"], ["שלום עולם", "ice"], [[1, 0], [3, 3]], [[3, 3], [3, 3]]).svg
    light, dark = still(both), still(both, dark=True)
    for one in (light, dark):
        ElementTree.fromstring(one)
        assert "@media" not in one
        assert "direction=" not in one
        assert '<text class="label" x="' in one
    assert dark.index(".ground{fill:#fff") < dark.index(".ground{fill:#12161d")
    assert "#12161d" not in light
    hebrew = next(text for text in ElementTree.fromstring(light).iter(f"{SVG}text") if text.text == "שלום עולם")
    assert hebrew.get("text-anchor") == "end"
    assert 'text-anchor="middle"' in still('<text text-anchor="middle" direction="rtl">')
    assert still('<text text-anchor="end" direction="rtl">') == "<text>"

"""Values and reasons on the console."""

from __future__ import annotations

from datafast.cli.display.summary import filtered_lines, in_words


def test_reasons_are_cut_and_the_rare_ones_counted() -> None:
    reasons = {f"reason {number} " + "that goes on and on " * 20: 10 - number for number in range(8)}
    (line,) = filtered_lines({"length": reasons})
    assert line.startswith("by length: 10 reason 0 that goes on")
    assert line.count("...") == 5
    assert line.endswith("12 for 3 other reasons")
    assert len(line) < 600


def test_a_reason_stays_in_one_line() -> None:
    assert list(filtered_lines({"own": {"a\n b": 2}})) == ["by own: 2 a b"]


def test_a_mapping_and_the_lists_in_it_read_as_text() -> None:
    assert in_words({"terms": ["orbit", "apogee"], "level": 2, "note": None}) == "terms: orbit; apogee, level: 2"

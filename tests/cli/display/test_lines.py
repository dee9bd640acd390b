"""Lines on terminals of any width: broken between words, and nowhere else."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from datafast.cli.display.lines import Step, labelled, print_lines, print_steps, wrapped


def terminal(width: int) -> Console:
    return Console(file=io.StringIO(), width=width, color_system=None, force_terminal=True)


def lines(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_what_follows_a_label_stays_below_the_text() -> None:
    console = terminal(40)
    labelled(console, "rows", "1,200 rows requested: 1,175 written, 25 failed, 0 pending")
    assert lines(console) == [
        "rows      1,200 rows requested: 1,175",
        "          written, 25 failed, 0 pending",
    ]


def test_a_path_is_never_broken() -> None:
    path = "/home/someone/a-rather-long-folder/" + "x" * 60 + ".jsonl"
    console = terminal(40)
    print_lines(console, Text(f"Cannot write {path}: Permission denied."))
    assert lines(console) == ["Cannot write", f"{path}:", "Permission denied."]


def test_a_command_stays_whole_and_its_reason_goes_below_it() -> None:
    command = "datafast generate a-config-with-a-long-name.yaml --retry-failed"
    console = terminal(60)
    print_steps(console, [Step(command, "try the failed rows again"), Step("datafast status x", "what is there")])
    assert lines(console) == [
        f"next      {command}",
        "          (try the failed rows again)",
        "          datafast status x   (what is there)",
    ]


def test_in_a_file_a_line_stays_a_line() -> None:
    console = Console(file=io.StringIO(), width=20)
    labelled(console, "note", "one two three four five six seven eight nine ten")
    assert lines(console) == ["note      one two three four five six seven eight nine ten"]


WORDS = st.lists(st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=15), min_size=1, max_size=30)


@given(words=WORDS, width=st.integers(20, 90), indent=st.integers(0, 12))
def test_wrapping_keeps_every_word_and_every_width(words: list[str], width: int, indent: int) -> None:
    label = "x" * max(indent - 2, 0)
    found = [line.plain for line in wrapped(Text(f"{label:<{indent}}" + " ".join(words)), width, indent)]
    assert " ".join(found).removeprefix(label).split() == words
    for line in found:
        assert cell_len(line) <= width or len(line[indent:].split()) == 1
    assert all(line.startswith(" " * indent) for line in found[1:])


@pytest.mark.parametrize("text", ["", "a", "two\nlines", "a\n\nb"])
def test_line_breaks_of_a_text_stay(text: str) -> None:
    assert [line.plain for line in wrapped(Text(text), 30)] == text.split("\n")

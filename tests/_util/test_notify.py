"""The sentence about a name that does not exist."""

from __future__ import annotations

import pytest

from datafast._util.notify import did_you_mean


@pytest.mark.parametrize(
    ("name", "known", "sentence"),
    [
        ("topcs", ["topics", "languages"], "Did you mean 'topics'?"),
        (" TOPICS", ["topics", "languages"], "Did you mean 'topics'?"),
        ("xyz", ["topics", "languages"], "Known: topics, languages."),
        ("xyz", [], "There are none."),
        ("xyz", [f"n{number}" for number in range(40)], f"Known: {', '.join(f'n{n}' for n in range(40))}."),
        ("xyz", [f"n{number}" for number in range(42)], f"Known: {', '.join(f'n{n}' for n in range(40))} and 2 more."),
    ],
)
def test_a_name_that_does_not_exist_is_answered_with_the_nearest_or_with_those_there_are(
    name: str, known: list[str], sentence: str
) -> None:
    assert did_you_mean(name, known) == sentence

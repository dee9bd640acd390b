"""Items and the axes that they come from: identities, and what they show."""

from __future__ import annotations

import uuid
from types import SimpleNamespace

import pytest

from datafast.plan.defaults import DefaultPrompts, Edition, PromptText, editions
from datafast.plan.dimensions import Computed, Dimension
from datafast.plan.items import digest, row_uuid, shown_value


def test_parts_that_only_concatenate_to_the_same_text_have_different_digests() -> None:
    assert len({digest("ab", "c"), digest("a", "bc"), digest("abc"), digest("abc", ""), digest("", "abc")}) == 5
    assert digest("é", "x") == digest("é".encode(), b"x")
    assert digest("a", "b").hex() == "6a93c5780b9861cdd8d2761a748d9591"  # a change would buy every row again
    assert len(digest("half: \ud83d")) == 16


def test_a_uuid_is_one_and_stays() -> None:
    found = [row_uuid(bytes([number]) * 16, row) for number in range(64) for row in range(4)]
    assert len(set(found)) == 256
    assert {(parsed.version, parsed.variant) for parsed in map(uuid.UUID, found)} == {(5, uuid.RFC_4122)}
    assert [str(uuid.UUID(text)) for text in found] == found
    assert found[:2] == ["9583000f-b454-5029-8502-d9455d72a499", "dd882423-9837-5dcd-9e40-040d3c85c206"]


def test_a_value_is_shown_by_its_name() -> None:
    assert [shown_value(value) for value in (("en", "English"), SimpleNamespace(name="label"), 7, "text")] == [
        "English",
        "label",
        "7",
        "text",
    ]


def test_equal_values_of_an_axis_are_numbered_and_others_keep_their_identity() -> None:
    axis, without = Dimension("topic", ["a", "b", "a", "a"]), Dimension("topic", ["b", "a"])
    assert len(set(axis.digests)) == len(axis) == 4
    assert [axis.digests[1], axis.digests[0]] == list(without.digests)
    assert Dimension("language", ["a"]).digests[0] != axis.digests[0]
    assert Dimension("topic", ["a", "a", "a"]).digests[2] == axis.digests[3]
    assert axis.fingerprint != without.fingerprint
    assert (
        Dimension("topic", ["b", "a"]).fingerprint == without.fingerprint != Dimension("topic", ["a", "b"]).fingerprint
    )
    assert Dimension("topic", [1, 2], fingerprint=b"").fingerprint == b""
    given = Dimension("topic", ["a"], digests=[b"d" * 16])
    assert (list(given.digests), given.fingerprint) == ([b"d" * 16], b"d" * 16)


def test_identities_do_not_depend_on_the_order_of_fields() -> None:
    one = Dimension("class", [{"name": "a", "description": "b"}, {1: 2}])
    other = Dimension("class", [{"description": "b", "name": "a"}, {"1": 2}])
    assert one.digests == other.digests
    by_name = Dimension("class", [{"name": "a", "description": "b"}], identity=lambda value: value["name"])
    assert by_name.digests == Dimension("class", ["a"]).digests


def test_a_computed_sequence_makes_what_is_asked_for_alone() -> None:
    made: list[int] = []

    def make(number: int) -> int:
        made.append(number)
        return number * number

    squares = Computed(10, make)
    assert (len(squares), squares[3], squares[-1], squares[2:5], squares[::-4]) == (10, 9, 81, [4, 9, 16], [81, 25, 1])
    assert made == [3, 9, 2, 3, 4, 9, 5, 1]
    assert list(squares) == [number * number for number in range(10)]
    with pytest.raises(IndexError):
        squares[10]


# -- default texts


FIRST = DefaultPrompts("poems", version=1, texts={"prompts": ["{topic}", "{topic} {n}"], "system": ["s"]})
SECOND = DefaultPrompts(
    "poems", version=2, texts={"prompts": ["on {topic}", "{n} {topic}"], "system": ["t"]}, former=FIRST
)


def test_the_first_version_is_keyed_by_its_words_and_later_ones_by_their_number() -> None:
    newest, oldest = editions(SECOND)
    assert (newest.version, oldest.version) == (2, 1)
    assert [text.keyed for text in oldest.texts("prompts")] == ["{topic}", "{topic} {n}"]
    assert [text.text for text in newest.texts("prompts")] == ["on {topic}", "{n} {topic}"]
    assert [text.keyed for text in newest.texts("prompts")] == ["\0poems.prompts.0 2", "\0poems.prompts.1 2"]
    assert newest.texts("system")[0].keyed == "\0poems.system.0 2"
    assert Edition().version == 1
    assert SECOND.versions == [SECOND, FIRST]


@pytest.mark.parametrize(
    ("version", "texts", "former", "message"),
    [
        (2, FIRST.texts, None, "The version before 2 is missing"),
        (3, FIRST.texts, FIRST, "The version before 3 is missing"),
        (1, FIRST.texts, FIRST, "The version before 1 is missing"),
        (2, {"prompts": ["{topic}"], "system": ["s"]}, FIRST, "All versions need the same fields"),
        (2, {"prompts": ["{topic}", "{topic}"], "system": ["s"]}, FIRST, "the same placeholders"),
        (2, {"system": ["s"], "prompts": ["{topic}", "{topic} {n}"]}, FIRST, "All versions need the same fields"),
    ],
)
def test_a_version_that_does_not_fit_the_one_before_is_refused(version, texts, former, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        DefaultPrompts("poems", version=version, texts=texts, former=former)


def test_texts_that_are_joined_are_keyed_by_words_only_where_all_are() -> None:
    words, keyed = PromptText("a"), PromptText("b", "\0key")
    assert PromptText.joined([words, words], "+") == PromptText("a+a", None)
    assert PromptText.joined([words, keyed], "+") == PromptText("a+b", "a+\0key")
    assert (words.keyed, keyed.keyed, PromptText("c", "").keyed) == ("a", "\0key", "")

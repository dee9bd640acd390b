"""JSON that a model wrote with slips: read as it was meant, or not at all; and in linear time."""

from __future__ import annotations

import contextlib
import random
import time
from typing import Any

import pytest
from pydantic import BaseModel, JsonValue, RootModel

from datafast.errors import ReplyError
from datafast.llms.base import Completion
from datafast.llms.replies.parse import parse_reply, parse_text
from datafast.llms.schema import ResponseSchema

from .damage import DAMAGES, damaged, natural_text, random_object, soup


class Anything(RootModel[dict[str, JsonValue]]):
    pass


class Texts(BaseModel):
    texts: list[str]


ANYTHING = ResponseSchema.of(Anything)
TEXTS = ResponseSchema.of(Texts)
EACH = 440  # of each damage: 10,560 in all


def read(text: str) -> Any:
    """What a reply says; None where it is refused."""
    try:
        return parse_reply(Completion(text, "stop", None), ANYTHING).model_dump()
    except ReplyError:
        return None


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_object_is_read_as_it_was_or_not_at_all(damage: str) -> None:
    for seed in range(EACH):
        rng = random.Random(f"{damage} {seed}")
        value = random_object(rng, natural_text)
        text = damaged(value, damage, rng)
        assert read(text) in (None, value), text


HARMLESS = [
    "bare keys", "breaks unescaped", "escaped once more", "in chatter", "python names", "trailing commas", "typographic",
]  # fmt: skip


@pytest.mark.parametrize("damage", HARMLESS)
def test_what_can_be_read_in_one_way_only_is_read(damage: str) -> None:
    for seed in range(100):
        rng = random.Random(f"{damage} {seed}")
        value = random_object(rng, natural_text)
        assert read(damaged(value, damage, rng)) == value


@pytest.mark.parametrize(
    "damage", [name for name in DAMAGES if "quotes unescaped" not in name and name != "all unescaped"]
)
def test_marks_of_json_in_any_order_within_texts_lead_nobody_astray(damage: str) -> None:
    for seed in range(100):
        rng = random.Random(f"{damage} {seed}")
        value = random_object(rng, soup)
        text = damaged(value, damage, rng)
        assert read(text) in (None, value), text


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ('{"texts": ["He looked up. "No," said she. They left.", "Second."]}', ['He looked up. "No," said she. They left.', "Second."]),
        ('{"texts": [""No," said she."]}', ['"No," said she.']),
        ('{"texts": ["He said "yes", "no", and left."]}', None),
        ('{"texts": ["a "b", "c" d"]}', None),
        ('{"texts": ["one" "two"]}', None),
        ('{"texts": [""one"", ""two""]}', None),
        ('{"texts": ["one, "two"]}', None),
        ("{'texts': ['it's', 'the dogs' tail']}", None),
        ("{'texts': ['it's', 'so']}", ["it's", "so"]),
        (r'{"texts": ["C:\data", "one\ntwo"]}'.replace("\\d", r"\d"), None),
        (r'{"texts": ["a \d+ b"]}', [r"a \d+ b"]),
        ('{"texts": ["one"]}}', ["one"]),
        ('"texts": ["a"], "more": {"texts": ["b"]}}', None),
        ('{"texts": ["one"], "texts": ["two"]}', None),
        ('{"texts": ["one"], "texts": ["one"]}', ["one"]),
        ('{"texts": ["one"], "texts" : ["two"],}', None),
        ('Here: {"texts": ["one"], "texts": ["two"]}', None),
        ('{"more": "a </think> b", "texts": [{"texts": ["c"]}]', None),
    ],
)  # fmt: skip
def test_no_text_is_split_joined_or_moved(text: str, texts: list[str] | None) -> None:
    try:
        found = parse_reply(Completion(text, "stop", None), TEXTS)
    except ReplyError:
        assert texts is None
    else:
        assert found == Texts(texts=texts or [])


HOSTILE = {
    "quotes": '{"texts": [' + '"' * 190_000 + "]}",
    "quotations": '{"texts": ["' + 'a "b" ' * 30_000 + '"]}',
    "a loop of quotations": '{"texts": ["' + 'He said "no", and ' * 10_000 + '"]}',
    "opening brackets": "[" * 490_000,
    "brackets": "[" * 245_000 + "]" * 245_000,
    "pairs": "[]" * 245_000,
    "objects": '{"a":1}' * 70_000,
    "numbers": '{"texts": [' + "1," * 40_000 + ",]}",
    "spaces": '{"texts": ["a"' + " " * 190_000 + '"b"]}',
    "closing tags": "</think>" * 60_000,
    "blocks": "<think></think>" * 30_000,
    "open blocks": "<think>" * 70_000,
    "tags on lines": "x</think>\n" * 50_000,
    "channels": "<|channel|>final<|message|>" * 18_000,
    "end tokens": "a" + " <|im_end|>" * 45_000,
    "a megabyte of quotes": '{"texts": [' + '"' * 1_000_000,
    "a megabyte of a loop": '{"texts": ["' + 'He said "no" and ' * 60_000 + '"]}',
}


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in HOSTILE.items()])
def test_no_reply_holds_the_process(text: str) -> None:
    def seconds() -> float:
        began = time.thread_time()
        for parse in (lambda said: parse_reply(said, TEXTS), parse_text):
            with contextlib.suppress(ReplyError):
                parse(Completion(text, "stop", None))
        return time.thread_time() - began

    assert min(seconds() for _ in range(2)) < 1.0

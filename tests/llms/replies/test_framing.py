"""Reasoning and control tokens: off where they frame the answer, kept where it speaks of them."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from datafast.errors import ReplyError
from datafast.llms.base import Completion
from datafast.llms.replies.framing import reasoning_in
from datafast.llms.replies.parse import parse_reply, parse_text
from datafast.llms.schema import ResponseSchema

STORY = "A story.\n\nIt ends well."


def text(reply: str) -> str | None:
    try:
        return parse_text(Completion(reply, "stop", None))
    except ReplyError:
        return None


FRAMED = {
    "think": f"<think>\nhm\n</think>\n\n{STORY}",
    "two blocks": f"<think>hm</think>\n<think>and</think>\n{STORY}",
    "a block in a block": f"<think>a <think>b</think> c</think>{STORY}",
    "a later block": "<think>a</think>\nA story.\n\n<think>\nand?\n</think>\nIt ends well.",
    "no opening tag": f"First I think.\n</think>\n\n{STORY}",
    "thinking in capitals": f"<THINKING>hm</THINKING>{STORY}",
    "seed": f"<seed:think>hm</seed:think>{STORY}",
    "seed without its opening tag": f"hm\n</seed:think>\n{STORY}",
    "Mistral": f"[THINK]hm[/THINK]{STORY}",
    "Cohere": f"<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>{STORY}<|END_RESPONSE|>",
    "Kimi": f"\u25c1think\u25b7hm\u25c1/think\u25b7{STORY}",
    "thought and solution": f"<|begin_of_thought|>hm<|end_of_thought|><|begin_of_solution|>{STORY}<|end_of_solution|>",
    "Gemma": f"<unused94>thought\nhm<unused95>{STORY}",
    "Granite": f"Here is my thought process: hm\nHere is my response: {STORY}",
    "answer tags after reasoning": f"<think>hm</think>\n<answer>{STORY}</answer>",
    "box": f"<think>hm</think><|begin_of_box|>{STORY}<|end_of_box|>",
    "harmony": f"<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>{STORY}<|return|>",
    "harmony without its beginning": f"hm<|end|><|start|>assistant<|channel|>final<|message|>{STORY}",
    "harmony without tokens": f"analysisThe user wants it.assistantfinal{STORY}",
    "harmony with a commentary": "<|channel|>commentary<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>"
    + STORY,
    "harmony without a channel": f"<|start|>assistant<|message|>{STORY}<|return|>",
    "harmony's message alone": f"<|message|>{STORY}<|end|>",
    "ChatML without a role": f"<|im_start|>{STORY}<|im_end|>",
    "ChatML": f"<|im_start|>assistant\n{STORY}<|im_end|>",
    "ChatML and the next turn": f"{STORY}<|im_end|>\n<|im_start|>user\nMore!",
    "Llama": f"<|start_header_id|>assistant<|end_header_id|>\n\n{STORY}<|eot_id|>",
    "Gemma's turn": f"<start_of_turn>model\n{STORY}<end_of_turn>\n<eos>",
    "sentence tokens": f"<s> {STORY}</s>",
    "DeepSeek": f"<\uff5cAssistant\uff5c>{STORY}<\uff5cend\u2581of\u2581sentence\uff5c>",
    "many ends": STORY + "<|endoftext|>" * 500,
    "an end behind a space": f"{STORY} <|im_end|>",
}


THOUGHTS = {
    "two blocks": "hm\n\nand",
    "a block in a block": "a <think>b</think> c",
    "a later block": "a\n\nand?",
    "no opening tag": "First I think.",
    "harmony without tokens": "The user wants it.",
    "answer tags after reasoning": "hm",
    **dict.fromkeys(
        ["think", "thinking in capitals", "seed", "seed without its opening tag", "Mistral", "Cohere", "Kimi"], "hm"
    ),
    **dict.fromkeys(
        ["thought and solution", "Gemma", "Granite", "box", "harmony", "harmony without its beginning"], "hm"
    ),
}


@pytest.mark.parametrize("name", FRAMED)
def test_reasoning_is_what_stands_in_the_frame(name: str) -> None:
    assert reasoning_in(FRAMED[name], is_json=False) == THOUGHTS.get(name, "")


def test_reasoning_before_an_object_may_hold_drafts_of_it() -> None:
    assert reasoning_in('<think>{"a": 1}?</think>\n{"a": 2}', is_json=True) == '{"a": 1}?'
    assert reasoning_in('Perhaps {"a": 1}\n</think>\n{"a": 2}', is_json=True) == 'Perhaps {"a": 1}'
    assert reasoning_in('{"a": "<think>b</think>"}', is_json=True) == ""


@pytest.mark.parametrize("reply", [pytest.param(reply, id=name) for name, reply in FRAMED.items()])
def test_what_frames_the_answer_is_taken_off(reply: str) -> None:
    assert text(reply) == STORY


@pytest.mark.parametrize(
    "reply",
    [
        "Close it with </think> always.",
        "Write `\n</think>\n` here",
        "a <think> b",
        "Each turn ends with <|im_end|>",
        "ChatML: <|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\nThat is all.",
        "<|im_start|>user\nHi<|im_end|>\nis how a turn of the user looks.",
        "The tags [THINK] and [/THINK] frame it.",
        "Use `<|channel|>final<|message|>` there.",
        "Now <s>10</s> 5 euros, <s>20</s>",
        "<s>Old</s> New",
        "<answer>As asked for.</answer>",
        "An analysis of the assistant.",
        "analysis is fun",
        "x < y and [z]",
    ],
)
def test_a_text_that_speaks_of_marks_keeps_them(reply: str) -> None:
    assert text(reply) == reply


@pytest.mark.parametrize(
    "reply",
    [
        "<think>only",
        "[THINK]only",
        "<|START_THINKING|>only<|END_THINKING|>",
        "<|channel|>analysis<|message|>only<|end|>",
        "<think>the tag </think> ends it</think>\nA story.",
    ],
)
def test_reasoning_without_an_answer_is_none(reply: str) -> None:
    assert text(reply) is None


class Texts(BaseModel):
    texts: list[str]


@pytest.mark.parametrize("name", FRAMED)
def test_objects_are_found_in_the_same_frames(name: str) -> None:
    reply = FRAMED[name].replace(STORY, '{"texts": ["one"]}')
    if "hm" in reply:
        reply = reply.replace("hm", 'maybe {"texts": ["no"]}')
    if STORY in FRAMED[name]:
        assert parse_reply(Completion(reply, "stop", None), ResponseSchema.of(Texts)) == Texts(texts=["one"])

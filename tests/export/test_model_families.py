"""Rows with tools in the chat templates of model families, as TRL's package has them (under the Apache License 2.0)."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from tests.export.test_kinds import CALLED
from tests.export.test_trainers import TWO_CALLS, written
from tests.support import rows_of

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("trl") is None, reason="TRL is not installed: pip install -e '.[trainers]'"
)

# For each template what it puts around a call, so that a tool or an argument elsewhere is not taken for one.
FAMILIES = {
    "qwen2_5": '<tool_call>\n{"name": "level", "arguments": {"at": "pier"}}\n</tool_call>',
    "qwen3": '<tool_call>\n{"name": "level", "arguments": {"at": "pier"}}\n</tool_call>',
    "qwen3_5_think": "<function=level>\n<parameter=at>\npier\n</parameter>",
    "llama3_1": '{"name": "level", "parameters": {"at": "pier"}}',
    "llama3_2": '{"name": "level", "parameters": {"at": "pier"}}',
    "gemma4": '<|tool_call>call:level{at:<|"|>pier<|"|>}<tool_call|>',
    "deepseekv3": 'level\n```json\n{"at": "pier"}\n```',
    "glm4moe": "<tool_call>level\n<arg_key>at</arg_key>\n<arg_value>pier</arg_value>\n</tool_call>",
    "gptoss": 'to=functions.level<|channel|>commentary json<|message|>{"at": "pier"}<|call|>',
    "lfm2_2_5": "<|tool_call_start|>[level(at='pier')]<|tool_call_end|>",
    "nemotron_3_nano": "<function=level>\n<parameter=at>\npier\n</parameter>",
    "muse_glimmer": '<atem:invoke name="level">\n<atem:parameter name="at">pier</atem:parameter>\n</atem:invoke>',
}
ONE_CALL_AT_A_TIME = {"llama3_1", "llama3_2", "gptoss"}


def model_of(folder: Path, name: str) -> Path:
    """The folder of a model with one of TRL's templates."""
    import trl

    text = (Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja").read_text("utf-8")
    folder.mkdir()
    (folder / "chat_template.jinja").write_text(text, "utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>"}), "utf-8")
    return folder


def text_of(folder: Path, row: Any, name: str) -> str:
    done = written(folder / "a.jsonl", row, "chat_template", tokenizer=model_of(folder / "model", name))
    assert not done.left_out
    (record,) = rows_of(done.path)
    text: str = record["text"]
    return text


@pytest.mark.parametrize("name", FAMILIES)
def test_calls_and_results_stand_in_the_text_in_their_order(tmp_path: Path, name: str) -> None:
    text = text_of(tmp_path, CALLED, name)
    parts = ["How high?", FAMILIES[name], "0.7 m", "0.7 m."]
    places = [text.find(parts[0])]
    for part in parts[1:]:
        places.append(text.find(part, places[-1] + 1))
    assert -1 not in places, (parts, text)
    if name != "deepseekv3":  # its template has no place for tools
        assert "level" in text[: places[1]]


@pytest.mark.parametrize("name", sorted(FAMILIES.keys() - ONE_CALL_AT_A_TIME))
def test_several_calls_of_one_message_all_stand_in_the_text(tmp_path: Path, name: str) -> None:
    text = text_of(tmp_path, TWO_CALLS, name)
    for part in ("pier", "beach", "0.7 m", "0.2 m"):
        assert part in text


@pytest.mark.parametrize("name", ["llama3", "phi3_5", "deepseek_r1_distill", "lfm2"])
def test_rows_with_calls_are_left_out_of_templates_that_know_none(tmp_path: Path, name: str) -> None:
    done = written(tmp_path / "a.jsonl", CALLED, "chat_template", tokenizer=model_of(tmp_path / "model", name))
    assert dict(done.left_out) == {"has calls of tools, which the chat template leaves away": 1}


@pytest.mark.parametrize("name", ["gemma3", "cohere2"])
def test_rows_with_calls_are_left_out_of_templates_that_refuse_them(tmp_path: Path, name: str) -> None:
    done = written(tmp_path / "a.jsonl", CALLED, "chat_template", tokenizer=model_of(tmp_path / "model", name))
    (reason,) = done.left_out
    assert reason.startswith("is refused by the chat template: Conversation roles must alternate")


@pytest.mark.parametrize("name", ["qwen3", "llama3_1", "gptoss"])
def test_texts_are_those_of_transformers(tmp_path: Path, tiny_transformers: Path, name: str) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(tiny_transformers)
    text = text_of(tmp_path, CALLED, name)
    theirs.chat_template = (tmp_path / "model" / "chat_template.jinja").read_text("utf-8")
    row = CALLED.model_dump(mode="json")
    assert text == theirs.apply_chat_template(row["messages"], tools=row["tools"], tokenize=False)

"""`length` by tokens: the counts are those of transformers, and the tokenizer is a setting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from datafast.datasets import RawDataset
from datafast.errors import ConfigError
from datafast.llms import SimulatedProvider
from datafast.quality.length import LengthStage
from datafast.schema.config import RawDatasetConfig
from datafast.templates.chat_template import ChatTemplate, RefusedByTemplate
from tests.support import CountingProvider, assert_balanced, raw

WORDS = "the a boat tide harbour pilot leaves waits user assistant system tool name said and to with"
SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = """
{%- if tools %}<|im_start|>tools
{{ tools | tojson }}<|im_end|>
{% endif -%}
{{ bos_token }}
{%- set seen = namespace(user=false) %}
{%- for message in messages %}
    {%- if message.role == 'user' and seen.user and loop.last %}{{ raise_exception('Nobody answers.') }}{% endif %}
    {%- if message['role'] == 'assistant' %}
        {%- generation %}{% if message.reasoning_content is defined %}<think>{{ message.reasoning_content }}</think>{% endif %}
        {{- message.content | trim }}{% if message.tool_calls is defined %}{{ message.tool_calls | tojson(indent=2) }}{% endif %}
        {%- endgeneration %}
    {%- else %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endif %}
    {%- if message.role == 'user' %}{% set seen.user = true %}{% endif %}
    {%- if loop.index > 40 %}{% break %}{% endif %}
{%- endfor -%}
{{ eos_token }}
"""
TALKS: list[list[dict[str, Any]]] = [
    [{"role": "user", "content": "the boat waits"}, {"role": "assistant", "content": "  and the pilot leaves "}],
    [
        {"role": "system", "content": "a tide <|im_end|> <b>'&"},
        {"role": "user", "content": "wait: the harbour"},
        {"role": "assistant", "content": "so?", "reasoning_content": "the pilot said to"},
    ],
    [
        {"role": "user", "content": "the tide, s'il vous plaît 潮"},
        {"role": "assistant", "content": "", "tool_calls": [{"name": "tide", "arguments": {"at": "Köln", "n": None}}]},
        {"role": "tool", "content": "high", "name": "tide", "tool_call_id": None},
        {"role": "assistant", "content": "high"},
    ],
]
TOOLS = [{"type": "function", "function": {"name": "tide", "parameters": {"type": "object", "properties": {}}}}]


class Talk(BaseModel):
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None = None


class Row(BaseModel):
    text: str
    answer: Any = None


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tokenizer that adds a special token to texts and would cut them."""
    return made(tmp_path_factory.mktemp("model"))


def made(folder: Path, *, template: str | None = TEMPLATE, vocabulary: int = 330) -> Path:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=SPECIAL,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator([WORDS] * 9, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    tokenizer.enable_truncation(5)
    tokenizer.save(str(folder / "tokenizer.json"))
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": {"content": "</s>", "__type": "AddedToken"},
        "unk_token": "<unk>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    if template is not None:
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return folder


def counted(path: Path, row: BaseModel, **settings: Any) -> float | None:
    """The tokens of a row, as its verdict tells them."""
    stage = LengthStage(max_tokens=1, tokenizer=path, **settings)
    stage.check(type(row))
    return stage.decide(row, None).score  # type: ignore[arg-type]  # it looks at the row alone


def test_counts_are_those_of_transformers(model: Path) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(str(model), local_files_only=True)
    for messages in TALKS:
        for tools in (None, TOOLS):
            expected = theirs.apply_chat_template(messages, tools=tools, tokenize=True)["input_ids"]
            assert counted(model, Talk(messages=messages, tools=tools)) == len(expected)
            assert counted(model, Row(text="x", answer=messages), field="answer") == len(
                theirs.apply_chat_template(messages, tokenize=True)["input_ids"]
            )
    for text in ("the boat waits for the tide and leaves", "潮水 s'il vous plaît </s>", "x"):
        assert counted(model / "tokenizer.json", Row(text=text)) == len(theirs(text)["input_ids"])


def test_templates_are_read_from_the_config_as_well(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    folder = made(tmp_path, template=None)
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    config["chat_template"] = [
        {"name": "default", "template": "{% for m in messages %}{{ m.content }}{% endfor %}"},
        {"name": "tool_use", "template": TEMPLATE},
    ]
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    theirs = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    for tools in (None, TOOLS):
        expected = theirs.apply_chat_template(TALKS[0], tools=tools, tokenize=True)["input_ids"]
        assert counted(folder, Talk(messages=TALKS[0], tools=tools)) == len(expected)


def test_messages_that_the_chat_template_refuses_are_dropped(model: Path) -> None:
    stage = LengthStage(max_tokens=500, tokenizer=model)
    row = Talk(messages=[*TALKS[0], {"role": "user", "content": "and?"}])
    assert stage.decide(row, None).reason == "refused by the chat template"  # type: ignore[arg-type]
    assert stage.decide(Talk(messages=TALKS[0]), None).keeps  # type: ignore[arg-type]


def test_too_few_and_too_many_tokens(model: Path) -> None:
    row = Row(text="the boat waits for the tide")
    tokens = counted(model, row)
    assert tokens is not None
    for least, most, reason in [
        (1, int(tokens), ""),
        (int(tokens) + 1, None, f"fewer than {int(tokens) + 1} tokens"),
        (None, int(tokens) - 1, f"more than {int(tokens) - 1} tokens"),
    ]:
        stage = LengthStage(min_tokens=least, max_tokens=most, tokenizer=model)
        assert stage.decide(row, None).reason == reason  # type: ignore[arg-type]


def test_what_does_not_go_together_is_refused(tmp_path: Path, model: Path) -> None:
    with pytest.raises(ValueError, match="tokenizer: It goes together with min_tokens or max_tokens"):
        LengthStage(max_tokens=3)
    with pytest.raises(ValueError, match="tokenizer: It goes together with min_tokens or max_tokens"):
        LengthStage(max_words=3, tokenizer=model)
    with pytest.raises(ValueError, match="min_tokens: 9 is more than max_tokens, 3"):
        LengthStage(min_tokens=9, max_tokens=3, tokenizer=model)
    with pytest.raises(ConfigError, match=r"tokenizer: .*is not a tokenizer\.json"):
        LengthStage(max_tokens=3, tokenizer=tmp_path / "none").check(Row)
    bare = made(tmp_path, template=None)
    with pytest.raises(
        ConfigError, match=r"tokenizer: .* has no chat template .*Give the folder of a model that chats"
    ):
        LengthStage(max_tokens=3, tokenizer=bare).check(Talk)
    LengthStage(max_tokens=3, tokenizer=bare).check(Row)


def test_another_tokenizer_decides_again_and_the_same_in_another_place_does_not(tmp_path: Path) -> None:
    one, same, other = (tmp_path / name for name in ("one", "same", "other"))
    for folder, vocabulary in ((one, 330), (same, 330), (other, 262)):
        folder.mkdir()
        made(folder, vocabulary=vocabulary)

    text = "the boat waits for the tide and leaves the harbour"
    few, many = (counted(folder, Row(text=f"{text} 0")) for folder in (one, other))
    assert few is not None
    assert many is not None
    assert few < many
    provider = CountingProvider(
        "m",
        log=tmp_path / "requests",
        reply=lambda request: json.dumps(
            {
                "texts": [
                    "the tide"
                    if "topic 0" in (asked := request.messages[-1]["content"])
                    else f"{text} {asked.split('topic ')[1][0]}"
                ]
            }
        ),
    )

    def run(folder: Path) -> tuple[int, int, int]:
        dataset = raw(tmp_path, quality=[{"stage": "length", "max_tokens": few, "tokenizer": str(folder)}])
        report = assert_balanced(dataset.generate([provider]).report)
        return report.written, report.filtered, report.calls

    assert run(one) == (6, 0, 6)
    kept = (tmp_path / "out.jsonl").read_bytes()
    settings = [LengthStage(max_tokens=9, tokenizer=folder).settings() for folder in (one, same, other)]
    assert settings[0] == settings[1] != settings[2]
    assert run(same) == (6, 0, 0)
    assert run(other) == (1, 5, 0)
    assert run(one) == (6, 0, 0)
    assert (tmp_path / "out.jsonl").read_bytes() == kept


def test_a_tokenizer_lies_beside_its_config(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    made(tmp_path / "model")
    given = {"document_types": ["note"], "topics": ["tides"], "output_file": str(tmp_path / "out.jsonl")}
    stage = {"stage": "length", "max_tokens": 9000, "tokenizer": "model"}
    config = RawDatasetConfig.model_validate({**given, "quality": [stage]}, context={"folder": tmp_path})
    assert assert_balanced(RawDataset(config).generate([SimulatedProvider()]).report).written


def test_a_template_that_wants_arguments_as_text_gets_them_so(tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_text(
        "{% for message in messages %}{% for call in message.tool_calls or [] %}"
        "{{ call.function.name + '(' + call.function.arguments + ')' }}{% endfor %}{% endfor %}",
        encoding="utf-8",
    )
    template = ChatTemplate(tmp_path)
    call = {"type": "function", "function": {"name": "level", "arguments": {"at": "pier"}}}
    messages = [{"role": "assistant", "content": "", "tool_calls": [call]}]
    assert template.render(messages) == 'level({"at": "pier"})'
    with pytest.raises(RefusedByTemplate, match="can only concatenate"):
        template.render([{"role": "assistant", "tool_calls": [{"function": {"name": "level", "arguments": 5}}]}])

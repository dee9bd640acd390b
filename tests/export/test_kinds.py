"""What rows of each kind become in the formats of trainers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, create_model

from datafast.datasets.conversation.rows import InstructionFormatRow
from datafast.errors import ConfigError
from datafast.export.files import export_rows, targets_of
from datafast.export.formats import Options
from datafast.schema.data_rows import (
    ChatRow,
    ConversationRow,
    DocumentQARow,
    InstructionRow,
    MCQRow,
    PreferenceRow,
    TextClassificationRow,
    TextRow,
    ToolConversationRow,
)

ABOUT = {"model_id": "m", "language": "en", "uuid": "u"}
TEXT = TextRow(text="The tide turns.", **ABOUT)
LABELLED = TextClassificationRow(text="Too slow.", label="bad", **ABOUT)
PAIR = PreferenceRow(
    input_document="A pier.", question="Why?", chosen_response="So.", rejected_response="No.", language="en", uuid="u"
)
CHOICE = MCQRow(
    source_document="A pier.",
    question="Which?",
    correct_answer="right",
    incorrect_answer_1="a",
    incorrect_answer_2="b",
    incorrect_answer_3="c",
    options=["a", "right", "b", "c"],
    answer_index=1,
    answer_letter="B",
    **ABOUT,
)
ASKED = DocumentQARow(
    document="d", heading="h", chunk="A pier.", question="Why?", answer="So.", evidence=["A pier."], **ABOUT
)
TASK = InstructionRow(instruction="Add.", input="1, 2", response="3", language="en", uuid="u")
TALK = ConversationRow(
    messages=[
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "So."},
        {"role": "user", "content": "Still?"},
        {"role": "assistant", "content": "Yes."},
    ],
    **ABOUT,
)
CHAT = ChatRow(
    opening_question="Why?",
    messages=[{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}],
    **ABOUT,
)
CALL = {"id": "call00000", "type": "function", "function": {"name": "level", "arguments": {"at": "pier"}}}
TOOL = {"type": "function", "function": {"name": "level", "description": "", "parameters": {"type": "object"}}}
CALLED = ToolConversationRow(
    messages=[
        {"role": "user", "content": "How high?"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},  # type: ignore[typeddict-item]
        {"role": "tool", "content": "0.7 m", "name": "level", "tool_call_id": "call00000"},
        {"role": "assistant", "content": "0.7 m."},
    ],
    tools=[TOOL],
    **ABOUT,
)


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def exported(folder: Path, row: BaseModel | Mapping[str, Any], form: str, **options: Any) -> list[Any]:
    """The records that one row becomes."""
    if isinstance(row, BaseModel):
        model, plain = type(row), row.model_dump(mode="json")
    else:
        fields: Any = dict.fromkeys(row, (Any, None))
        model, plain = create_model("Row", **fields), dict(row)
    target = targets_of(folder / "out.jsonl", [form])
    (done,) = export_rows([plain], target, row_model=model, options=Options(**options))
    lines = [json.loads(line) for line in done.path.read_text("utf-8").splitlines()]
    assert (done.rows, done.records) == (1, len(lines))
    return lines


LETTERED = "Which?\n\nA. a\nB. right\nC. b\nD. c"


@pytest.mark.parametrize(
    ("row", "prompt", "completion"),
    [
        (LABELLED, [user("Too slow.")], [assistant("bad")]),
        (PAIR, [user("Why?")], [assistant("So.")]),
        (CHOICE, [user(LETTERED)], [assistant("B")]),
        (ASKED, [user("A pier.\n\nWhy?")], [assistant("So.")]),
        (TASK, [user("Add.\n\n1, 2")], [assistant("3")]),
        (TALK, TALK.model_dump()["messages"][:4], [assistant("Yes.")]),
        (CHAT, [user("Why?")], [assistant("So.")]),
        (InstructionFormatRow(instruction="Why?", response="So."), [user("Why?")], [assistant("So.")]),
        ({"question": "Why?", "answer": "So.", "score": 4}, [user("Why?")], [assistant("So.")]),
        ({"instruction": "Add.", "input": "1", "output": "1"}, [user("Add.\n\n1")], [assistant("1")]),
        (
            {"system": "Be kind.", "prompt": "Why?", "completion": "So."},
            [{"role": "system", "content": "Be kind."}, user("Why?")],
            [assistant("So.")],
        ),
        (
            {"conversations": [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "So."}]},
            [user("Why?")],
            [assistant("So.")],
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_prompt_and_its_completion(tmp_path: Path, row: Any, prompt: list[Any], completion: list[Any]) -> None:
    assert exported(tmp_path, row, "prompt_completion") == [{"prompt": prompt, "completion": completion}]
    assert exported(tmp_path, row, "prompt_only") == [{"prompt": prompt}]
    assert exported(tmp_path, row, "trl_conversational") == [{"messages": prompt + completion}]
    assert exported(tmp_path, row, "trl") == [{"messages": prompt + completion}]


def test_prompts_and_completions_are_texts_where_that_is_asked_for(tmp_path: Path) -> None:
    assert exported(tmp_path, CHOICE, "prompt_completion", texts=True) == [{"prompt": LETTERED, "completion": "B"}]
    assert exported(tmp_path, PAIR, "dpo", texts=True) == [{"prompt": "Why?", "chosen": "So.", "rejected": "No."}]
    assert exported(tmp_path, CHAT, "prompt_only", texts=True) == [{"prompt": "Why?"}]


def test_a_row_that_is_not_two_texts_is_left_out_of_a_format_of_texts_and_counted(tmp_path: Path) -> None:
    rows = [CHAT.model_dump(mode="json"), {**CHAT.model_dump(mode="json"), "messages": TALK.model_dump()["messages"]}]
    (done,) = export_rows(
        rows, targets_of(tmp_path / "a.jsonl", ["prompt_completion"]), row_model=ChatRow, options=Options(texts=True)
    )
    assert (done.rows, done.records, done.left_out.total()) == (2, 1, 1)
    assert "Left out, because a row is more than one text for a prompt and one for its answer: 1." in done.in_words()


def test_texts_to_go_on_writing(tmp_path: Path) -> None:
    assert exported(tmp_path, TEXT, "language_modeling") == [{"text": "The tide turns."}]
    assert exported(tmp_path, LABELLED, "language_modeling") == [{"text": "Too slow."}]
    assert exported(tmp_path, LABELLED, "classification") == [{"text": "Too slow.", "label": "bad"}]
    assert exported(tmp_path, {"text": "a", "label": 1}, "classification") == [{"text": "a", "label": 1}]


def test_preferences(tmp_path: Path) -> None:
    prompt, chosen, rejected = [user("Why?")], [assistant("So.")], [assistant("No.")]
    assert exported(tmp_path, PAIR, "dpo") == [{"prompt": prompt, "chosen": chosen, "rejected": rejected}]
    assert exported(tmp_path, PAIR, "dpo_implicit") == [{"chosen": prompt + chosen, "rejected": prompt + rejected}]
    assert exported(tmp_path, PAIR, "kto") == [
        {"prompt": prompt, "completion": chosen, "label": True},
        {"prompt": prompt, "completion": rejected, "label": False},
    ]
    assert exported(tmp_path, PAIR, "openai_dpo") == [
        {
            "input": {"messages": prompt, "tools": [], "parallel_tool_calls": True},
            "preferred_output": chosen,
            "non_preferred_output": rejected,
        }
    ]


def test_the_document_stands_before_the_prompt_where_that_is_asked_for(tmp_path: Path) -> None:
    (record,) = exported(tmp_path, PAIR, "dpo", with_document=True)
    assert record["prompt"] == [user("A pier.\n\nWhy?")]
    (record,) = exported(tmp_path, CHOICE, "prompt_only", with_document=True, texts=True)
    assert record["prompt"] == f"A pier.\n\n{LETTERED}"
    with pytest.raises(ConfigError, match=r"with_document: Rows with text, .* have no document"):
        exported(tmp_path, TEXT, "language_modeling", with_document=True)


def test_a_prompt_that_is_shared_is_found_in_two_conversations(tmp_path: Path) -> None:
    row = {"chosen": [user("Why?"), assistant("So.")], "rejected": [user("Why?"), assistant("No.")]}
    (record,) = exported(tmp_path, row, "dpo")
    assert record == {"prompt": [user("Why?")], "chosen": [assistant("So.")], "rejected": [assistant("No.")]}


def test_steps(tmp_path: Path) -> None:
    row = {"prompt": "1+1?", "completions": ["1+1 is", "3"], "labels": [True, False]}
    assert exported(tmp_path, row, "stepwise") == [row]


def test_tools_stand_beside_messages(tmp_path: Path) -> None:
    messages = CALLED.model_dump()["messages"]
    assert exported(tmp_path, CALLED, "trl_conversational") == [{"messages": messages, "tools": [TOOL]}]
    assert exported(tmp_path, CALLED, "prompt_completion") == [
        {"prompt": messages[:1], "completion": messages[1:], "tools": [TOOL]}
    ]
    assert exported(tmp_path, CALLED, "prompt_only") == [{"prompt": messages[:1], "tools": [TOOL]}]


def test_alpaca_keeps_the_input_of_an_instruction_apart(tmp_path: Path) -> None:
    assert exported(tmp_path, TASK, "alpaca") == [{"instruction": "Add.", "input": "1, 2", "output": "3"}]
    assert exported(tmp_path, PAIR, "alpaca") == [{"instruction": "Why?", "input": "", "output": "So."}]


def test_columns_are_carried_along(tmp_path: Path) -> None:
    (record,) = exported(tmp_path, CHOICE, "prompt_only", keep=["correct_answer", "uuid"])
    assert record == {"prompt": [user(LETTERED)], "correct_answer": "right", "uuid": "u"}
    with pytest.raises(ConfigError, match="keep: The rows have no column 'answer'"):
        exported(tmp_path, CHOICE, "prompt_only", keep=["answer"])
    with pytest.raises(ConfigError, match="keep: The format classification has a column 'label' of its own"):
        exported(tmp_path, LABELLED, "classification", keep=["label"])


def test_what_a_kind_cannot_give_is_refused_with_what_it_can(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"The format dpo is for rows with a better and a worse answer\. Rows with"
    ) as told:
        exported(tmp_path, TEXT, "dpo")
    assert str(told.value).endswith("language_modeling, axolotl_pretraining, llama_factory_pretraining, custom.")
    assert not list(tmp_path.iterdir())


def test_custom_columns_are_templates_and_one_field_keeps_its_type(tmp_path: Path) -> None:
    custom = {
        "q": "Q: {{ question }}",
        "n": "{{ n }}",
        "m": "{n}",
        "inner": "{{ more.a }}",
        "up": "{{ question | upper }}",
    }
    row = {"question": "why", "n": 5, "more": {"a": [1.5]}}
    (record,) = exported(tmp_path, row, "custom", custom=custom)
    assert record == {"q": "Q: why", "n": 5, "m": 5, "inner": [1.5], "up": "WHY"}
    with pytest.raises(ConfigError, match="custom: There is no column"):
        exported(tmp_path, row, "custom")
    with pytest.raises(ConfigError, match=r"custom\.q: .*qestion"):
        exported(tmp_path, row, "custom", custom={"q": "{{ qestion }}"})


def test_several_formats_are_written_in_one_pass(tmp_path: Path) -> None:
    class Once:
        passes = 0

        def __iter__(self) -> Any:
            self.passes += 1
            yield from [PAIR.model_dump(mode="json")] * 3

    rows: Any = Once()
    targets = targets_of(tmp_path / "train.jsonl", ["dpo", "kto", "openai"])
    done = export_rows(rows, targets, row_model=PreferenceRow)
    assert [one.path.name for one in done] == ["train.dpo.jsonl", "train.kto.jsonl", "train.openai.jsonl"]
    assert [one.records for one in done] == [3, 6, 3]
    assert rows.passes == 1
    assert [target.path for target in targets_of(tmp_path / "out", ["dpo", "csv"])] == [
        tmp_path / "out" / "dpo.jsonl",
        tmp_path / "out" / "csv.csv",
    ]

"""Files for LLaMA-Factory and Axolotl, with what they want beside them, and texts by a model's chat template."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import BaseModel, create_model
from ruamel.yaml import YAML

from datafast import load
from datafast.cli.main import cli
from datafast.errors import ConfigError
from datafast.export.files import Exported, export_rows, targets_of
from datafast.export.formats import Options
from tests.export.test_kinds import CALLED, CHAT, PAIR, TALK, TEXT, TOOL, assistant, user
from tests.support import rows_of

CALL_OF_LEVEL = {"name": "level", "arguments": {"at": "pier"}}
TWO_CALLS = {
    "messages": [
        user("How high?"),
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": str(number), "type": "function", "function": {"name": "level", "arguments": {"at": place}}}
                for number, place in enumerate(["pier", "beach"])
            ],
        },
        {"role": "tool", "content": "0.7 m", "tool_call_id": "0"},
        {"role": "tool", "content": "0.2 m", "tool_call_id": "1"},
        assistant("0.7 m and 0.2 m."),
    ],
    "tools": [TOOL],
}


def written(path: Path, row: BaseModel | dict[str, Any], form: str, **options: Any) -> Exported:
    """What one row is written as."""
    if isinstance(row, BaseModel):
        model, plain = type(row), row.model_dump(mode="json")
    else:
        fields: Any = dict.fromkeys(row, (Any, None))
        model, plain = create_model("Row", **fields), row
    (done,) = export_rows([plain], targets_of(path, [form]), row_model=model, options=Options(**options))
    return done


def info(folder: Path) -> Any:
    return json.loads((folder / "dataset_info.json").read_text("utf-8"))


def yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def test_llama_factory_has_turns_and_an_entry_that_says_where_they_are(tmp_path: Path) -> None:
    done = written(tmp_path / "talk.jsonl", TALK, "llama_factory")
    assert rows_of(done.path) == [
        {
            "conversations": [
                {"from": "human", "value": "Why?"},
                {"from": "gpt", "value": "So."},
                {"from": "human", "value": "Still?"},
                {"from": "gpt", "value": "Yes."},
            ],
            "system": "Be kind.",
        }
    ]
    entry = {
        "file_name": "talk.jsonl",
        "formatting": "sharegpt",
        "columns": {"messages": "conversations", "system": "system"},
    }
    assert info(tmp_path) == {"talk": entry}
    assert done.beside is not None
    assert json.loads(done.beside.text) == {"talk": entry}


def test_llama_factory_takes_calls_of_tools(tmp_path: Path) -> None:
    (record,) = rows_of(written(tmp_path / "a.jsonl", CALLED, "llama_factory").path)
    assert [turn["from"] for turn in record["conversations"]] == ["human", "function_call", "observation", "gpt"]
    assert json.loads(record["conversations"][1]["value"]) == CALL_OF_LEVEL
    assert json.loads(record["tools"]) == [TOOL["function"]]
    assert info(tmp_path)["a"]["columns"]["tools"] == "tools"


@pytest.mark.parametrize("form", ["llama_factory", "sharegpt"])
def test_several_calls_are_one_turn_and_so_are_their_results(tmp_path: Path, form: str) -> None:
    (record,) = rows_of(written(tmp_path / "a.jsonl", TWO_CALLS, form).path)
    _, called, observed, _ = record["conversations"]
    assert json.loads(called["value"]) == [CALL_OF_LEVEL, {"name": "level", "arguments": {"at": "beach"}}]
    assert observed == {"from": "observation", "value": "0.7 m\n0.2 m"}
    # What was written is read as the same calls.
    again = rows_of(written(tmp_path / "b.jsonl", record, "trl").path)[0]["messages"]
    assert [call["function"] for call in again[1]["tool_calls"]] == json.loads(called["value"])


def test_what_is_said_before_a_call_is_read_again(tmp_path: Path) -> None:
    said = {**CALLED.model_dump(mode="json")}
    said["messages"][1] |= {"content": "Let me look.", "reasoning_content": "A tool?"}
    (record,) = rows_of(written(tmp_path / "a.jsonl", said, "sharegpt").path)
    assert record["conversations"][1]["value"].startswith("<think>\nA tool?\n\nLet me look.\n</think>\n\n{")
    again = rows_of(written(tmp_path / "b.jsonl", record, "trl").path)[0]["messages"][1]
    assert (again["content"], again["tool_calls"][0]["function"]) == ("A tool?\n\nLet me look.", CALL_OF_LEVEL)


@pytest.mark.parametrize("form", ["llama_factory", "sharegpt"])
@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([user("Why?"), user("Why?"), assistant("So.")], "does not take turns between user and assistant"),
        ([assistant("Hello."), user("Why?")], "does not take turns between user and assistant"),
        ([user("Why?")], "ends without an answer"),
        ([{"role": "system", "content": "Be kind."}], "ends without an answer"),
    ],
)
def test_conversations_that_do_not_alternate_are_left_out(
    tmp_path: Path, form: str, messages: list[Any], reason: str
) -> None:
    done = written(tmp_path / "a.jsonl", {"messages": messages}, form)
    assert (done.records, dict(done.left_out)) == (0, {reason: 1})


def test_llama_factory_takes_preferences_and_texts(tmp_path: Path) -> None:
    for form in ("llama_factory_dpo", "llama_factory_kto"):
        written(tmp_path / f"{form}.jsonl", PAIR, form)
    written(tmp_path / "text.jsonl", TEXT, "llama_factory_pretraining")
    asked, better, worse = (
        {"from": "human", "value": "Why?"},
        {"from": "gpt", "value": "So."},
        {"from": "gpt", "value": "No."},
    )
    assert rows_of(tmp_path / "llama_factory_dpo.jsonl") == [
        {"conversations": [asked], "system": "", "chosen": better, "rejected": worse}
    ]
    assert rows_of(tmp_path / "llama_factory_kto.jsonl") == [
        {"conversations": [asked, better], "system": "", "kto_tag": True},
        {"conversations": [asked, worse], "system": "", "kto_tag": False},
    ]
    assert rows_of(tmp_path / "text.jsonl") == [{"text": "The tide turns."}]
    assert info(tmp_path) == {
        "llama_factory_dpo": {
            "file_name": "llama_factory_dpo.jsonl",
            "formatting": "sharegpt",
            "ranking": True,
            "columns": {"messages": "conversations", "system": "system", "chosen": "chosen", "rejected": "rejected"},
        },
        "llama_factory_kto": {
            "file_name": "llama_factory_kto.jsonl",
            "formatting": "sharegpt",
            "columns": {"messages": "conversations", "system": "system", "kto_tag": "kto_tag"},
        },
        "text": {"file_name": "text.jsonl", "formatting": "alpaca", "columns": {"prompt": "text"}},
    }


def test_entries_of_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text('{"identity": {"file_name": "identity.json"}}', encoding="utf-8")
    written(tmp_path / "talk.jsonl", TALK, "llama_factory")
    written(tmp_path / "talk.jsonl", TALK, "llama_factory")  # the same again
    assert list(info(tmp_path)) == ["identity", "talk"]


@pytest.mark.parametrize(
    ("there", "path", "message"),
    [
        ('{"talk": {"file_name": "other.json"}}', "talk.jsonl", "knows other rows as 'talk' already"),
        ('{"talk": {"hf_hub_url": "a/b"}}', "talk.jsonl", "knows other rows as 'talk' already"),
        ('{"citation": ""}', "talk.jsonl", "is not a list of datasets"),
        ("{", "talk.jsonl", "is not a list of datasets"),
        ("{}", "talk.txt", "does not end as jsonl does"),
        ("{}", "talk.csv", "The format llama_factory is not for the container csv, but for jsonl, json, parquet"),
    ],
)
def test_what_llama_factory_could_not_read_is_not_written(tmp_path: Path, there: str, path: str, message: str) -> None:
    (tmp_path / "dataset_info.json").write_text(there, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        written(tmp_path / path, TALK, "llama_factory")
    assert [file.name for file in tmp_path.iterdir()] == ["dataset_info.json"]
    assert (tmp_path / "dataset_info.json").read_text("utf-8") == there


def test_axolotl_has_messages_and_a_yaml_block(tmp_path: Path) -> None:
    done = written(tmp_path / "talk.jsonl", CALLED, "axolotl")
    (record,) = rows_of(done.path)
    assert json.loads(record["tools"]) == [TOOL]
    assert record["messages"][1]["tool_calls"][0]["function"] == {"name": "level", "arguments": '{"at":"pier"}'}
    assert record["messages"][2] == {
        "role": "tool",
        "content": "0.7 m",
        "name": "level",
        "tool_call_id": "call00000",
    }
    assert done.beside is not None
    assert done.beside.path == tmp_path / "talk.axolotl.yaml"
    assert done.beside.path.read_text("utf-8") == done.beside.text
    entry = {"path": str(done.path), "ds_type": "json", "type": "chat_template", "field_messages": "messages"}
    assert yaml(done.beside.path) == {"datasets": [entry]}


def test_axolotl_takes_preferences_steps_and_texts(tmp_path: Path) -> None:
    steps = {"prompt": "1+1?", "completions": ["1+1 is", "3"], "labels": [True, False]}
    thought = {"prompt": "Why?", "chosen": [{**assistant("So."), "reasoning_content": "Hm."}], "rejected": "No."}
    written(tmp_path / "a.parquet", thought, "axolotl_dpo")
    written(tmp_path / "b.jsonl", PAIR, "axolotl_kto")
    written(tmp_path / "c", steps, "axolotl_stepwise")
    written(tmp_path / "d.jsonl", TEXT, "axolotl_pretraining")
    (record,) = load(tmp_path / "a.parquet").rows_to_export()
    assert record == {
        "messages": [user("Why?")],
        "chosen": assistant("<think>\nHm.\n</think>\n\nSo."),
        "rejected": assistant("No."),
    }
    assert rows_of(tmp_path / "b.jsonl") == [
        {"completion": [user("Why?"), assistant("So.")], "label": True},
        {"completion": [user("Why?"), assistant("No.")], "label": False},
    ]
    assert rows_of(tmp_path / "c") == [steps]
    config = yaml(tmp_path / "a.axolotl_dpo.yaml")
    assert (config["rl"], config["datasets"][0]["type"]) == ("dpo", "chat_template.default")
    assert config["datasets"][0]["ds_type"] == "parquet"
    assert yaml(tmp_path / "b.axolotl_kto.yaml")["datasets"][0]["type"] == "chatml.argilla_chat"
    assert yaml(tmp_path / "c.axolotl_stepwise.yaml")["process_reward_model"] is True
    assert yaml(tmp_path / "d.axolotl_pretraining.yaml")["datasets"][0]["field"] == "text"


def test_calls_of_tools_are_left_out_where_axolotl_takes_texts_alone(tmp_path: Path) -> None:
    row = {"prompt": CALLED.model_dump()["messages"][:3], "chosen": "So.", "rejected": "No."}
    done = written(tmp_path / "a.jsonl", row, "axolotl_dpo")
    assert dict(done.left_out) == {"has calls of tools": 1}


def test_a_yaml_file_of_the_user_is_not_replaced(tmp_path: Path) -> None:
    own = tmp_path / "talk.axolotl.yaml"
    own.write_text("base_model: x\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="datafast has not written it"):
        written(tmp_path / "talk.jsonl", TALK, "axolotl")
    assert own.read_text("utf-8") == "base_model: x\n"
    own.unlink()
    for _ in range(2):
        written(tmp_path / "talk.jsonl", TALK, "axolotl")


def test_all_splits_and_formats_are_told_of_together(tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    line = json.dumps({"question": "Why?", "answer": "So."}) + "\n"
    source.write_text(line * 10, encoding="utf-8")
    arguments = ["export", str(source), "--to", "axolotl", "--to", "llama_factory", "-o", str(tmp_path / "out")]
    for _ in range(2):  # once more into the same place
        done = CliRunner().invoke(cli, [*arguments, "--train-size", "0.6", "--validation-size", "0.2"])
        assert done.exit_code == 0, done.output
    folder = tmp_path / "out" / "axolotl"
    assert done.output.count("datasets:\n") == 2  # of them one is test_datasets
    config = yaml(folder / "axolotl.yaml")
    assert [Path(one["path"]) for one in config["datasets"]] == [folder / "train.jsonl"]
    assert [Path(one["path"]) for one in config["test_datasets"]] == [folder / "validation.jsonl"]
    entries = info(tmp_path / "out" / "llama_factory")
    assert {name: entry["file_name"] for name, entry in entries.items()} == {
        name: f"{name}.jsonl" for name in ("train", "test", "validation")
    }


def test_datasets_takes_a_folder_with_what_stands_beside_the_rows(tmp_path: Path) -> None:
    from datasets import load_dataset

    source = tmp_path / "rows.jsonl"
    source.write_text((json.dumps({"question": "Why?", "answer": "So."}) + "\n") * 10, encoding="utf-8")
    for form in ("axolotl", "llama_factory"):
        load(source).export(tmp_path / form, form, train_size=0.5)
        found = load_dataset(str(tmp_path / form), cache_dir=str(tmp_path / "cache"))
        assert {name: len(split) for name, split in found.items()} == {"train": 5, "test": 5}


def test_arguments_of_calls_that_become_texts_are_told_of(tmp_path: Path) -> None:
    for name, form, columns in [
        ("a.parquet", "trl", ["messages"]),
        ("b.parquet", "prompt_completion", ["completion"]),
        ("c.parquet", "openai", []),  # where they are text everywhere
        ("d.parquet", "axolotl", []),
        ("e.jsonl", "trl", []),
    ]:
        done = written(tmp_path / name, TWO_CALLS, form)
        assert done.arguments_as_text == columns
        assert ("JSON text, which many chat templates" in done.in_words()) == bool(columns)
        assert done.to_dict().get("arguments_as_text", []) == columns
    assert written(tmp_path / "f.parquet", TALK, "trl").arguments_as_text == []


def template(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": text, "bos_token": "<s>"}), "utf-8")
    return folder


def test_a_chat_template_makes_one_text(tmp_path: Path) -> None:
    folder = template(
        tmp_path / "model", "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}"
    )
    done = written(tmp_path / "a.jsonl", CHAT, "chat_template", tokenizer=folder)
    assert rows_of(done.path) == [{"text": "<s>[user] Why?[assistant] So."}]
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    again = written(tmp_path / "b.jsonl", CHAT, "chat_template", tokenizer=folder / "tokenizer.json")
    assert rows_of(again.path) == rows_of(done.path)


def test_what_a_chat_template_refuses_is_left_out_with_its_reason(tmp_path: Path) -> None:
    folder = template(
        tmp_path / "model", "{% if messages[0].role == 'system' %}{{ raise_exception('No system role') }}{% endif %}"
    )
    done = written(tmp_path / "a.jsonl", TALK, "chat_template", tokenizer=folder)
    assert dict(done.left_out) == {"is refused by the chat template: No system role": 1}


def test_a_chat_template_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tokenizer: The format chat_template needs a chat template"):
        written(tmp_path / "a.jsonl", CHAT, "chat_template")
    with pytest.raises(ConfigError, match=r"tokenizer: There is no .*model"):
        written(tmp_path / "a.jsonl", CHAT, "chat_template", tokenizer=tmp_path / "model")
    (tmp_path / "model").mkdir()
    with pytest.raises(ConfigError, match="has no chat template"):
        written(tmp_path / "a.jsonl", CHAT, "chat_template", tokenizer=tmp_path / "model")


def test_the_command_takes_the_folder_of_a_model(tmp_path: Path) -> None:
    folder = template(tmp_path / "model", "{{ messages[0].content }}")
    source = tmp_path / "rows.jsonl"
    source.write_text('{"question": "Why?", "answer": "So."}\n', encoding="utf-8")
    arguments = ["export", str(source), "--to", "chat_template", "--tokenizer", str(folder), "-o"]
    done = CliRunner().invoke(cli, [*arguments, str(tmp_path / "a.jsonl")])
    assert done.exit_code == 0, done.output
    assert rows_of(tmp_path / "a.jsonl") == [{"text": "Why?"}]


def test_json_of_what_was_written_tells_of_what_stands_beside_it(tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text('{"question": "Why?", "answer": "So."}\n', encoding="utf-8")
    arguments = ["export", str(source), "--to", "axolotl", "--json", "-o", str(tmp_path / "a.jsonl")]
    (told,) = json.loads(CliRunner().invoke(cli, arguments).output)
    assert told["beside"]["path"] == str(tmp_path / "a.axolotl.yaml")
    assert told["beside"]["text"].endswith("field_messages: messages\n")

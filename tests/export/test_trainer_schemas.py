"""Files for trainers and providers are as their documentation says, and are read by the loaders of those that are installed."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from tests.export.test_kinds import ASKED, CALLED, CHAT, CHOICE, LABELLED, PAIR, TALK, TASK, TEXT
from tests.export.test_trainers import TWO_CALLS, written
from tests.export.trainer_schemas import AXOLOTL, ENTRY, RECORDS
from tests.support import rows_of

STEPS = {"prompt": "1+1?", "completions": ["1+1 is", "3"], "labels": [True, False]}
THOUGHT = {"prompt": "Why?", "completion": [{"role": "assistant", "content": "So.", "reasoning_content": "Hm."}]}
CALLS: list[Any] = [CALLED, TWO_CALLS]
TALKS: list[Any] = [TALK, CHAT, LABELLED, CHOICE, ASKED, TASK, PAIR, THOUGHT]
NO_CALLS = {"bedrock", "bedrock_anthropic"}


def rows_for(form: str) -> list[Any]:
    """Rows of all sorts that a format is for."""
    if form.endswith(("_dpo", "_kto")):
        return [PAIR]
    if form.endswith("stepwise"):
        return [STEPS]
    if form.endswith("_pretraining"):
        return [TEXT, LABELLED]
    return TALKS if form in NO_CALLS else [*TALKS, *CALLS]


@pytest.mark.parametrize("form", RECORDS)
def test_records_are_as_they_are_documented(tmp_path: Path, form: str) -> None:
    check = Draft202012Validator(RECORDS[form])
    for number, row in enumerate(rows_for(form)):
        done = written(tmp_path / f"rows{number}.jsonl", row, form)
        assert done.records > 0
        for record in rows_of(done.path):
            check.validate(record)
    if form.startswith("llama_factory"):
        entries = json.loads((tmp_path / "dataset_info.json").read_text("utf-8"))
        assert len(entries) == number + 1
        for entry in entries.values():
            Draft202012Validator(ENTRY).validate(entry)
    if form.startswith("axolotl"):
        Draft202012Validator(AXOLOTL).validate(YAML(typ="safe").load(tmp_path / f"rows0.{form}.yaml"))


@pytest.mark.filterwarnings("ignore")
def test_llama_factory_loads_its_files_by_itself(tmp_path: Path) -> None:
    pytest.importorskip("llamafactory", reason="LLaMA-Factory is not installed; it wants other versions than ours")
    from llamafactory.data.loader import _load_single_dataset
    from llamafactory.data.parser import get_dataset_list

    for name, row, form in [
        ("talk.jsonl", TALK, "llama_factory"),
        ("called.parquet", CALLED, "llama_factory"),
        ("two.json", TWO_CALLS, "llama_factory"),
        ("pair.arrow", PAIR, "llama_factory_dpo"),
        ("kto.jsonl", PAIR, "llama_factory_kto"),
        ("text.jsonl", TEXT, "llama_factory_pretraining"),
    ]:
        written(tmp_path / name, row, form)
    data = SimpleNamespace(
        dataset_dir=str(tmp_path),
        preprocessing_num_workers=1,
        streaming=False,
        max_samples=None,
        overwrite_cache=True,
    )
    model, training = (
        SimpleNamespace(cache_dir=str(tmp_path / "cache"), hf_hub_token=None),
        SimpleNamespace(local_process_index=0),
    )

    def read(name: str) -> Any:
        (attributes,) = get_dataset_list([name], str(tmp_path))
        return _load_single_dataset(attributes, model, data, training)[0]

    talk, called, two = read("talk"), read("called"), read("two")
    assert (talk["_system"], talk["_response"][0]["content"]) == ("Be kind.", "Yes.")
    assert [turn["role"] for turn in called["_prompt"]] == ["user", "function", "observation"]
    assert json.loads(called["_tools"])[0]["name"] == "level"
    assert len(json.loads(two["_prompt"][1]["content"])) == 2
    assert [answer["content"] for answer in read("pair")["_response"]] == ["So.", "No."]
    assert [answer["content"] for answer in read("kto")["_response"]] == ["So.", ""]
    assert read("text")["_prompt"][0]["content"] == "The tide turns."


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("container", ["jsonl", "parquet"])
def test_axolotl_loads_its_files_by_itself(tmp_path: Path, tiny_transformers: Path, container: str) -> None:
    pytest.importorskip("axolotl", reason="Axolotl is not installed; it wants other versions than ours")
    from axolotl.prompt_strategies import load
    from axolotl.prompt_strategies.dpo import load as load_dpo
    from axolotl.prompt_strategies.kto import load as load_kto
    from axolotl.utils.data.shared import load_dataset_with_config
    from axolotl.utils.dict import DictDefault
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_transformers)
    more = {"sequence_len": 512, "chat_template": "tokenizer_default", "train_on_inputs": False}

    def read(row: Any, form: str) -> tuple[Any, Any]:
        done = written(tmp_path / f"rows.{container}", row, form)
        assert done.beside is not None
        config = DictDefault(YAML(typ="safe").load(done.beside.path) | more)
        return config, load_dataset_with_config(config.datasets[0], False, False)

    config, rows = read(TALK, "axolotl")
    made = load("chat_template", tokenizer, config, config.datasets[0]).tokenize_prompt(rows[0])
    assert tokenizer.decode(made["input_ids"]).endswith("Still?<|im_end|>\n<|im_start|>assistant\nYes.<|im_end|>\n")
    config, rows = read(CALLED, "axolotl")
    made = load("chat_template", tokenizer, config, config.datasets[0]).tokenize_prompt(rows[0])
    assert '"function": {"name": "level"' in tokenizer.decode(made["input_ids"])
    config, rows = read(PAIR, "axolotl_dpo")
    change, _ = load_dpo(config.datasets[0].type, config, dataset_idx=0)
    assert change(dict(rows[0]), tokenizer=tokenizer) == {
        "prompt": "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n",
        "chosen": "So.<|im_end|>",
        "rejected": "No.<|im_end|>",
    }
    config, rows = read(PAIR, "axolotl_kto")
    change = load_kto(config.datasets[0].type, config, dataset_idx=0)
    assert [change(dict(row))["completion"] for row in rows] == ["So.<|im_end|>", "No.<|im_end|>"]
    config, rows = read(STEPS, "axolotl_stepwise")
    made = load("stepwise_supervised", tokenizer, config, config.datasets[0]).tokenize_prompt(rows[0])
    assert [label for label in made["labels"] if label != -100] == [1, 0]

"""TRL's own trainers take what is exported for them: one step each on a tiny model with random weights."""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from datafast.export.files import export_rows, targets_of
from datafast.export.formats import Options
from tests.export.test_kinds import ASKED, CALLED, CHAT, LABELLED, PAIR, TALK, TEXT

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("trl") is None, reason="TRL is not installed: pip install -e '.[trainers]'"
)
CONTAINERS = pytest.mark.parametrize("container", ["jsonl", "parquet"])


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Warnings of TRL, transformers and torch about themselves are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def loaded(folder: Path, row: BaseModel, form: str, container: str, **options: Any) -> Any:
    """Two records of a row and more, as `load_dataset` gives them to a trainer."""
    from datasets import load_dataset

    target = targets_of(folder / f"rows.{container}", [form])
    (done,) = export_rows([row.model_dump(mode="json")] * 2, target, row_model=type(row), options=Options(**options))
    kind = "json" if container == "jsonl" else container
    return load_dataset(kind, data_files=str(done.path), split="train", cache_dir=str(folder / "cache"))


def settings(folder: Path, **more: Any) -> dict[str, Any]:
    return {
        "output_dir": str(folder / "out"),
        "max_steps": 1,
        "per_device_train_batch_size": 2,
        "use_cpu": True,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "max_length": 512,
        **more,
    }


def one_step(trainer: Any) -> Mapping[str, Any]:
    """What a trainer tells of one step."""
    loss = trainer.train().training_loss
    assert math.isfinite(loss)
    assert loss > 0
    (row, *_) = trainer.train_dataset
    found: Mapping[str, Any] = row
    return found


def model_of(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


SAID_WHY = "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"


@CONTAINERS
@pytest.mark.parametrize(
    ("row", "form", "options", "text"),
    [
        (TEXT, "language_modeling", {}, "The tide turns.</s>"),
        (CHAT, "trl_conversational", {}, f"{SAID_WHY}So.<|im_end|>\n"),
        (CHAT, "prompt_completion", {}, f"{SAID_WHY}So.<|im_end|>\n"),
        (ASKED, "prompt_completion", {"texts": True}, "A pier.\n\nWhy?So.</s>"),
        (LABELLED, "prompt_completion", {}, "user\nToo slow.<|im_end|>\n<|im_start|>assistant\nbad<|im_end|>\n"),
        (TALK, "prompt_completion", {}, "Still?<|im_end|>\n<|im_start|>assistant\nYes.<|im_end|>\n"),
    ],
    ids=["text", "messages", "pair", "pair of texts", "label", "conversation"],
)
def test_sft(
    tmp_path: Path, tiny_transformers: Path, container: str, row: BaseModel, form: str, options: Any, text: str
) -> None:
    from trl import SFTConfig, SFTTrainer

    model, tokenizer = model_of(tiny_transformers)
    rows = loaded(tmp_path, row, form, container, **options)
    trainer = SFTTrainer(model, SFTConfig(**settings(tmp_path)), train_dataset=rows, processing_class=tokenizer)
    seen = one_step(trainer)
    assert tokenizer.decode(seen["input_ids"]).endswith(text)
    if form == "prompt_completion":  # the loss is that of the completion alone
        learned = [token for token, label in zip(seen["input_ids"], seen["labels"], strict=True) if label != -100]
        assert tokenizer.decode(learned).strip() in text
        assert "user" not in tokenizer.decode(learned)


@pytest.mark.parametrize(
    ("form", "container", "arguments"),
    [
        ("trl_conversational", "jsonl", '{"at": "pier"}'),
        ("prompt_completion", "jsonl", '{"at": "pier"}'),
        # Of which the export tells: this template is one of those that write texts in quotes.
        ("trl_conversational", "parquet", r'"{\"at\":\"pier\"}"'),
    ],
)
def test_sft_on_calls_of_tools(
    tmp_path: Path, tiny_transformers: Path, form: str, container: str, arguments: str
) -> None:
    from trl import SFTConfig, SFTTrainer

    model, tokenizer = model_of(tiny_transformers)
    rows = loaded(tmp_path, CALLED, form, container)
    trainer = SFTTrainer(model, SFTConfig(**settings(tmp_path)), train_dataset=rows, processing_class=tokenizer)
    text = tokenizer.decode(one_step(trainer)["input_ids"])
    assert '"function": {"name": "level"' in text  # of the tools
    assert f'{{"name": "level", "parameters": {arguments}}}' in text  # of the call
    assert "tool\n0.7 m<|im_end|>" in text


@CONTAINERS
@pytest.mark.parametrize(
    ("form", "options"),
    [("dpo", {}), ("dpo", {"texts": True}), ("dpo_implicit", {})],
    ids=["explicit", "texts", "implicit"],
)
def test_dpo_and_reward_models(
    tmp_path: Path, tiny_transformers: Path, container: str, form: str, options: Any
) -> None:
    from trl import DPOConfig, DPOTrainer

    model, tokenizer = model_of(tiny_transformers)
    rows = loaded(tmp_path, PAIR, form, container, **options)
    trainer = DPOTrainer(model, args=DPOConfig(**settings(tmp_path)), train_dataset=rows, processing_class=tokenizer)
    seen = one_step(trainer)
    said = {name: tokenizer.decode(ids) for name, ids in seen.items() if name.endswith("_ids")}
    assert "Why?" in said["prompt_ids"]
    assert said["chosen_ids"].startswith("So.")
    assert said["rejected_ids"].startswith("No.")


@pytest.mark.parametrize("form", ["dpo", "dpo_implicit"])
def test_reward_models(tmp_path: Path, tiny_transformers: Path, form: str) -> None:
    from transformers import AutoModelForSequenceClassification
    from trl import RewardConfig, RewardTrainer

    _, tokenizer = model_of(tiny_transformers)
    model = AutoModelForSequenceClassification.from_pretrained(tiny_transformers, num_labels=1)
    rows = loaded(tmp_path, PAIR, form, "parquet")
    trainer = RewardTrainer(
        model, args=RewardConfig(**settings(tmp_path)), train_dataset=rows, processing_class=tokenizer
    )
    seen = one_step(trainer)
    assert tokenizer.decode(seen["chosen_ids"]).startswith(f"{SAID_WHY}So.")
    assert tokenizer.decode(seen["rejected_ids"]).startswith(f"{SAID_WHY}No.")


@CONTAINERS
@pytest.mark.parametrize("texts", [False, True])
def test_kto(tmp_path: Path, tiny_transformers: Path, container: str, texts: bool) -> None:
    from trl import KTOConfig, KTOTrainer

    model, tokenizer = model_of(tiny_transformers)
    rows = loaded(tmp_path, PAIR, "kto", container, texts=texts)
    assert rows["label"][:2] == [True, False]
    trainer = KTOTrainer(model, args=KTOConfig(**settings(tmp_path)), train_dataset=rows, processing_class=tokenizer)
    one_step(trainer)


@pytest.mark.parametrize("row", [CHAT, CALLED], ids=["pair", "tools"])
def test_prompts_for_grpo(tmp_path: Path, tiny_transformers: Path, row: BaseModel) -> None:
    from trl import GRPOConfig, GRPOTrainer

    model, tokenizer = model_of(tiny_transformers)
    rows = loaded(tmp_path, row, "prompt_only", "jsonl", keep=["uuid"])
    scored: list[Any] = []

    def score(prompts: list[Any], completions: list[Any], uuid: list[str], **_: Any) -> list[float]:
        scored.extend(zip(prompts, uuid, strict=True))
        return [float(len(completion[0]["content"])) for completion in completions]

    given = settings(tmp_path, num_generations=2, max_completion_length=4)
    given.pop("max_length")
    trainer = GRPOTrainer(model, score, args=GRPOConfig(**given), train_dataset=rows, processing_class=tokenizer)
    trainer.train()
    prompt, uuid = scored[0]
    assert (prompt[0]["role"], uuid) == ("user", "u")

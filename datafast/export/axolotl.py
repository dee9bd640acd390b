"""Files for Axolotl, with the YAML that its config wants for them: `rows.axolotl.yaml` beside `rows.jsonl`.

    axolotl              {"messages": [...], "tools": "[...]"}: type chat_template
    axolotl_dpo          {"messages": [...], "chosen": {...}, "rejected": {...}}: rl dpo, ipo, simpo
    axolotl_kto          {"completion": [...], "label": true}: rl kto, two records a row
    axolotl_stepwise     {"prompt": ..., "completions": [...], "labels": [...]}: process reward models
    axolotl_pretraining  {"text": ...}: type completion

The tools and the arguments of calls are JSON text, which Axolotl parses, because their keys differ from one row to another. Of splits, that
of the validation (else that of the test) stands under `test_datasets`. Limits: its preference trainings take text alone, so rows with calls
of tools are left out there, and reasoning stands in <think> tags.
Its data formats: https://docs.axolotl.ai/docs/dataset-formats/ and https://docs.axolotl.ai/docs/rlhf.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from typing_extensions import TypedDict

from datafast.export.formats import Format, Record, Row
from datafast.export.reading import Unfit, as_answer, as_prompt
from datafast.export.targets import Beside, Target, common_name
from datafast.export.trl import LanguageModeling, Stepwise
from datafast.export.turns import TEMPLATE_KEYS, json_text, openai_messages, said, system_and_rest, turns_of
from datafast.types import Messages, Preference

__all__ = ["Axolotl", "AxolotlDpo", "AxolotlKto", "AxolotlPretraining", "AxolotlStepwise"]

_TYPES = {"jsonl": "json", "json": "json", "parquet": "parquet", "arrow": "arrow"}


class _Said(TypedDict):
    role: str
    content: str


class _Axolotl(Format):
    """Files with a block of YAML for all of them."""

    containers = ("jsonl", "json", "parquet", "arrow", "save_to_disk")
    trains: ClassVar[Sequence[str]] = ()
    """What the config says at its top."""
    block: ClassVar[Sequence[str]]
    """What it says of each file."""

    def beside(self, targets: Sequence[Target]) -> Beside:
        by_split = {target.split: target for target in targets}
        held_out = by_split.get("validation", by_split.get("test"))
        lines = [*self.trains, *self._listed("datasets", by_split.get("train", targets[0]))]
        if held_out is not None and held_out is not targets[0]:
            lines += self._listed("test_datasets", held_out)
        name = ".".join(filter(None, [common_name(targets), targets[0].format, "yaml"]))
        return Beside.of_yaml(targets[0].path.with_name(name), lines)

    def _listed(self, name: str, target: Target) -> list[str]:
        kind = _TYPES.get(target.container or "")
        return [
            f"{name}:",
            f"  - path: {json_text(target.path.as_posix())}",
            *([f"    ds_type: {kind}"] if kind else []),
            *(f"    {line}" for line in self.block),
        ]


class Axolotl(_Axolotl):
    """Conversations with their tools for Axolotl's supervised training."""

    reads = "messages"
    block = ("type: chat_template", "field_messages: messages")

    def columns(self) -> Mapping[str, Any]:
        tools = {"tools": str | None} if "tools" in self.row_model.model_fields else {}
        return {"messages": self.message_list(arguments_as_text=True), **tools}

    def records(self, read: Messages, row: Row) -> Iterator[Record]:
        if not read or read[-1]["role"] != "assistant":
            raise Unfit("ends without an answer")
        tools = self.reader.tools(row)
        yield {"messages": openai_messages(read, TEMPLATE_KEYS), **({"tools": json_text(tools)} if tools else {})}


class AxolotlDpo(_Axolotl):
    """A better and a worse answer for Axolotl's dpo, ipo and simpo."""

    reads = "preference"
    trains = ("rl: dpo",)
    block = (
        "type: chat_template.default",
        "field_messages: messages",
        "field_chosen: chosen",
        "field_rejected: rejected",
    )

    def columns(self) -> Mapping[str, Any]:
        return {"messages": list[_Said], "chosen": _Said, "rejected": _Said}

    def records(self, read: Preference, row: Row) -> Iterator[Record]:
        told = _texts(as_prompt(read.prompt), answered=False)
        yield {"messages": told, "chosen": _answer(read.chosen), "rejected": _answer(read.rejected)}


class AxolotlKto(_Axolotl):
    """Answers that are good or bad for Axolotl's kto, whose last message is the answer."""

    reads = "preference"
    trains = ("rl: kto", "remove_unused_columns: false")
    block = ("type: chatml.argilla_chat  # or llama3.argilla_chat, as the model has it",)

    def columns(self) -> Mapping[str, Any]:
        return {"completion": list[_Said], "label": bool}

    def records(self, read: Preference, row: Row) -> Iterator[Record]:
        prompt = _texts(as_prompt(read.prompt), answered=False)
        for answer, label in ((read.chosen, True), (read.rejected, False)):
            yield {"completion": [*prompt, _answer(answer)], "label": label}


class AxolotlStepwise(_Axolotl, Stepwise):
    """Steps of an answer, each right or wrong, for Axolotl's process reward models."""

    trains = ("process_reward_model: true",)
    block = ("type: stepwise_supervised",)


class AxolotlPretraining(_Axolotl, LanguageModeling):
    """Texts to go on writing, for Axolotl."""

    block = ("type: completion", "field: text")


def _texts(messages: Messages, *, answered: bool) -> list[dict[str, str]]:
    """Messages of text alone."""
    turns_of(system_and_rest(messages)[1], answered=answered)
    if any(message.get("tool_calls") or message["role"] == "tool" for message in messages):
        raise Unfit("has calls of tools")
    return [{"role": message["role"], "content": said(message)} for message in messages]


def _answer(answer: str | Messages) -> dict[str, str]:
    messages = as_answer(answer)
    if len(messages) != 1 or messages[0]["role"] != "assistant":
        raise Unfit("has an answer of more than one message")
    if messages[0].get("tool_calls"):
        raise Unfit("has calls of tools")
    return {"role": "assistant", "content": said(messages[0])}

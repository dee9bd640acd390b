"""Files for LLaMA-Factory, with their entries in the `dataset_info.json` that it looks for in its `dataset_dir`.

    llama_factory              {"conversations": [{"from": "human", "value": ...}, ...], "system": ..., "tools": "[...]"}
    llama_factory_dpo          the same, with {"chosen": {"from": "gpt", "value": ...}, "rejected": {...}}: stages rm and dpo
    llama_factory_kto          the same with its answer, and {"kto_tag": true}: stage kto, two records a row
    llama_factory_pretraining  {"text": ...}: stage pt

The entry is named as the file without its ending. Those of other files in `dataset_info.json` stay.
LLaMA-Factory skips conversations that do not alternate; here they are left out, and counted.
Its data format: https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from datafast.errors import ConfigError
from datafast.export.containers import container_of
from datafast.export.formats import Format, Record, Row
from datafast.export.reading import Unfit, as_answer, as_prompt
from datafast.export.targets import Beside, Target
from datafast.export.turns import SaidBy, json_text, sharegpt_turn, sharegpt_turns, system_and_rest
from datafast.types import Messages, Preference

__all__ = ["LlamaFactory", "LlamaFactoryDpo", "LlamaFactoryKto", "LlamaFactoryPretraining"]


class _LlamaFactory(Format):
    """Files with an entry each."""

    containers = ("jsonl", "json", "parquet", "arrow")
    formatting: ClassVar[str] = "sharegpt"
    ranking: ClassVar[bool] = False

    def beside(self, targets: Sequence[Target]) -> Beside:
        for target in targets:
            if container_of(target.path) != target.container:
                raise ConfigError(
                    f"LLaMA-Factory knows the container of a file by its ending, and {target.path.name} does not end as "
                    f"{target.container} does. Give it another name.",
                    key="path",
                )
        columns = {_NAMES[name]: name for name in self.columns() if name in _NAMES}
        entries = {_entry(target): self._told(target, columns) for target in targets}
        return Beside.of_entries(targets[0].path.parent / "dataset_info.json", entries)

    def _told(self, target: Target, columns: Mapping[str, str]) -> dict[str, Any]:
        ranking = {"ranking": True} if self.ranking else {}
        return {"file_name": target.path.name, "formatting": self.formatting, **ranking, "columns": columns}

    def talk_columns(self) -> dict[str, Any]:
        tools = {"tools": str} if "tools" in self.row_model.model_fields else {}
        return {"conversations": list[SaidBy], "system": str, **tools}

    def talk(self, messages: Messages, row: Row, *, answered: bool = True) -> Record:
        """All columns are in each record, because its loader takes those of its entry for given."""
        system, rest = system_and_rest(messages)
        turns = sharegpt_turns(rest, answered=answered)
        told: Record = {"conversations": turns, "system": system or ""}
        if "tools" in self.row_model.model_fields:
            tools = self.reader.tools(row)
            told["tools"] = json_text([tool["function"] for tool in tools]) if tools else ""
        return told


# The columns of an entry, by the names that they have in the files.
_NAMES = {
    "conversations": "messages",
    "system": "system",
    "tools": "tools",
    "chosen": "chosen",
    "rejected": "rejected",
    "kto_tag": "kto_tag",
    "text": "prompt",
}


def _entry(target: Target) -> str:
    """The name of an entry. In its configs, commas part the names of several."""
    return target.path.stem.replace(",", "_").strip()


class LlamaFactory(_LlamaFactory):
    """Conversations for LLaMA-Factory's supervised training."""

    reads = "messages"

    def columns(self) -> Mapping[str, Any]:
        return self.talk_columns()

    def records(self, read: Messages, row: Row) -> Iterator[Record]:
        yield self.talk(read, row)


class LlamaFactoryDpo(_LlamaFactory):
    """A better and a worse answer for LLaMA-Factory's stages rm and dpo."""

    reads = "preference"
    ranking = True

    def columns(self) -> Mapping[str, Any]:
        return {**self.talk_columns(), "chosen": SaidBy, "rejected": SaidBy}

    def records(self, read: Preference, row: Row) -> Iterator[Record]:
        told = self.talk(as_prompt(read.prompt), row, answered=False)
        yield {**told, "chosen": _answer(read.chosen), "rejected": _answer(read.rejected)}


class LlamaFactoryKto(_LlamaFactory):
    """Answers that are good or bad for LLaMA-Factory's stage kto."""

    reads = "preference"

    def columns(self) -> Mapping[str, Any]:
        return {**self.talk_columns(), "kto_tag": bool}

    def records(self, read: Preference, row: Row) -> Iterator[Record]:
        for answer, label in ((read.chosen, True), (read.rejected, False)):
            yield {**self.talk(as_prompt(read.prompt) + as_answer(answer), row), "kto_tag": label}


class LlamaFactoryPretraining(_LlamaFactory):
    """Texts for LLaMA-Factory's stage pt."""

    reads = "text"
    formatting = "alpaca"

    def columns(self) -> Mapping[str, Any]:
        return {"text": str}

    def records(self, read: str, row: Row) -> Iterator[Record]:
        yield {"text": read}


def _answer(answer: str | Messages) -> dict[str, str]:
    messages = as_answer(answer)
    if len(messages) != 1 or messages[0]["role"] != "assistant":
        raise Unfit("has an answer of more than one message")
    return sharegpt_turn(messages)

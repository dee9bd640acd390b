"""The tables of docs/reference that are made from the code. `python -m tests.doc_tables` writes them anew.

In a page, `<!-- table: NAME ARGUMENT -->` and `<!-- end -->` stand around each of them.
"""

from __future__ import annotations

import importlib
import re
import typing
from collections.abc import Collection
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticUndefined

ROOT = Path(__file__).parent.parent
_MARKED = re.compile(r"(<!-- table: (\w+)(?: (\w+(?: \w+)?))? -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def rewritten(text: str) -> str:
    """A page with its tables as the code is now."""
    return _MARKED.sub(lambda found: f"{found[1]}\n{TABLES[found[2]](found[3] or '')}\n{found[5]}", text)


def pages() -> list[Path]:
    return [
        page
        for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
        if page.exists()
    ]


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |\n" for row in lines)


# -- models


def config_table(name: str) -> str:
    return _fields(getattr(importlib.import_module("datafast.schema.config"), name))


def column_table(name: str) -> str:
    """The fields of a type of column; of "any", those that all types have."""
    from datafast.columns import Column, load_column

    return _fields(Column) if name == "any" else _fields(load_column(name), without={"type", "when", "on_error"})


def stage_table(name: str) -> str:
    """The fields of a stage."""
    from datafast.quality.registry import STAGES

    return _fields(STAGES.load(name), without={"stage"})


def _fields(model: type[BaseModel], *, without: Collection[str] = ()) -> str:
    schema = model.model_json_schema()
    rows = []
    for field, info in model.model_fields.items():
        if field in without:
            continue
        default = "required" if info.is_required() else f"`{_shown(info)}`"
        part = schema["properties"][field]
        words = _words(part, schema.get("$defs", {}))
        rows.append([f"`{field}`", words, default, _sentence(part.get("description", ""))])
    return table(["field", "value", "default", "meaning"], rows)


def row_table(name: str) -> str:
    model = getattr(importlib.import_module("datafast.schema.data_rows"), name)
    return _columns(model.model_json_schema())


def part_table(name: str) -> str:
    """The entries of what is nested in rows."""
    part = getattr(importlib.import_module("datafast.datasets.conversation.rows"), name)
    schema = TypeAdapter(part).json_schema()
    return _columns(schema, absent=set(schema["properties"]) - set(schema["required"]))


def _columns(schema: dict[str, Any], *, absent: Collection[str] = ()) -> str:
    defs = schema.get("$defs", {})
    is_told = any("description" in part for part in schema["properties"].values())
    rows = []
    for field, part in schema["properties"].items():
        words = _words(part, defs) + (", or absent" if field in absent else "")
        rows.append([f"`{field}`", words, *([_sentence(part.get("description", ""))] if is_told else [])])
    return table(["column", "value", *(["meaning"] if is_told else [])], rows)


def _shown(info: Any) -> str:
    value = info.get_default(call_default_factory=True)
    if value is PydanticUndefined or isinstance(value, BaseModel):
        return "{}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {entry}" for key, entry in value.items()) + "}"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value) or '""'


def _sentence(text: str) -> str:
    return " ".join(text.split())


def _words(schema: dict[str, Any], defs: dict[str, Any]) -> str:
    """A JSON Schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name.startswith("_"):  # too small for a table of its own
            return "{" + ", ".join(f"`{key}`" for key in defs[name]["properties"]) + "}"
        return " or ".join(f"`{value}`" for value in defs[name].get("enum", [])) or f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        parts = dict.fromkeys(_words(part, defs) for part in schema["anyOf"])  # formats of one type read alike
        comma = "," if any(" of " in part for part in parts) and len(parts) > 2 else ""
        return f"{comma} or ".join(parts)
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "oneOf" in schema:
        return _one_of(schema["oneOf"], defs)
    match schema.get("type"):
        case None:
            return "anything"
        case "array":
            return f"list of {_words(schema['items'], defs)}"
        case "object":
            values = schema.get("additionalProperties")
            return f"mapping of names to {_words(values, defs)}" if isinstance(values, dict) else "mapping"
        case "integer" | "number" as kind:
            return _number(kind, schema)
        case kind:
            return {"string": "text", "boolean": "true or false", "null": "null"}[kind]


def _one_of(parts: list[dict[str, Any]], defs: dict[str, Any]) -> str:
    found = defs[parts[0]["$ref"].rpartition("/")[2]] if "$ref" in parts[0] else parts[0]
    if "properties" not in found:
        return " or ".join(_words(part, defs) for part in parts)
    return "[stages](#stages)" if "stage" in found["properties"] else "a column; see [Columns](#columns)"


def _number(kind: str, schema: dict[str, Any]) -> str:
    words = "whole number" if kind == "integer" else "number"
    low, above, high = (schema.get(key) for key in ("minimum", "exclusiveMinimum", "maximum"))
    if low is not None and high is not None:
        return f"{words}, {low:,} to {high:,}"
    if low is not None:
        return f"{words}, {low:g} or more"
    return f"{words} above {above:g}" if above is not None else words


# -- events, errors, commands


def event_table(_: str) -> str:
    from datafast.engine import events

    rows = []
    for event in typing.get_args(events.Event):
        names = ", ".join(f"`{field.name}`" for field in fields(event))
        rows.append([f"`{event.type}`", f"`{event.__name__}`", names, _sentence(event.__doc__ or "")])
    return table(["`type`", "class", "fields", "when"], rows)


def error_kind_table(_: str) -> str:
    from datafast.errors import ErrorKind

    words = {
        "retry": "waits and sends again",
        "weigh": "fails this item if others succeed; stops this provider if it repeats",
        "stop_provider": "stops this provider; the others go on, its items stay pending",
        "fail_item": "fails this item; the others go on",
        "stop_run": "stops the run",
    }
    return table(
        ["category", "what the engine does"], [[f"`{kind.value}`", words[kind.action.value]] for kind in ErrorKind]
    )


def error_tree(_: str) -> str:
    from datafast import errors

    tree = (errors.__doc__ or "").split("\n\n")[1]
    return "```text\n" + "\n".join(line.removeprefix("    ") for line in tree.splitlines()) + "\n```\n"


def command_table(name: str) -> str:
    from datafast.cli.main import cli

    command = command_of(cli, name.split())
    rows = [_parameter(parameter) for parameter in command.params]
    return table(["argument or option", "meaning"], rows)


def command_of(group: click.Group, names: list[str]) -> click.Command:
    """A command, or the command of a group of commands, by its names."""
    command = group.get_command(click.Context(group), names[0])
    assert command is not None, f"there is no command {names[0]}"
    return command_of(command, names[1:]) if isinstance(command, click.Group) and names[1:] else command


def leaf_commands(group: click.Group, *above: str) -> list[str]:
    """The names of all commands that are no groups."""
    found: list[str] = []
    for name in group.list_commands(click.Context(group)):
        command = command_of(group, [name])
        found += (
            leaf_commands(command, *above, name) if isinstance(command, click.Group) else [" ".join([*above, name])]
        )
    return found


def _parameter(parameter: click.Parameter) -> list[str]:
    if not isinstance(parameter, click.Option):
        shown = parameter.human_readable_name
        return [f"`{shown if parameter.required else f'[{shown}]'}`", ""]
    value = "" if parameter.is_flag else f" {parameter.make_metavar(click.Context(click.Command('x')))}"
    default = f" Default: {parameter.default}." if parameter.show_default else ""
    return [
        ", ".join(f"`{option}{value}`" for option in (*parameter.opts, *parameter.secondary_opts)),
        _sentence(parameter.help or "") + default,
    ]


def finish_reason_table(argument: str) -> str:
    """What each reason that servers give for the end of a reply becomes."""
    from datafast.llms.replies.endings import ENDINGS, Ending

    become = {
        Ending.WHOLE: "taken",
        Ending.TOOL_CALL: "taken where a structure was asked for; else `invalid_reply`",
        Ending.TRUNCATED: "`truncated`",
        Ending.REFUSED: "`refused`",
        Ending.BROKEN_OFF: "`broken_reply`",
    }
    rows = [
        [", ".join(f"`{name}`" for name, known in ENDINGS.items() if known is ending), words]
        for ending, words in become.items()
    ]
    return table(["`finish_reason`", "what becomes of the reply"], rows)


def services_table(argument: str) -> str:
    """What the reasons of each service become."""
    from tests.llms.replies.services import SERVICES

    rows = [
        [name, *(", ".join(f"`{reason}`" for reason in reasons) for reasons in row)] for name, row in SERVICES.items()
    ]
    return table(["service", "taken", "a tool is called", "`truncated`", "`refused`", "`broken_reply`"], rows)


# -- providers

# What no class says of its vendor.
_CACHE_BY_THEMSELVES = ("azure", "gemini", "openai")
_TELL_NO_LIMITS = ("gemini",)
_OWN_WAYS_TO_A_PRICE = {"azure": "with `model` or `price`", "litellm": "for listed models"}
_ADDRESSES = {
    "azure": {"api_base": "https://example.openai.azure.com"},
    "openai_compatible": {"api_base": "http://127.0.0.1:8000"},
}


def provider_table(_: str) -> str:
    """What each provider can do."""
    from datafast.llms.registry import PROVIDERS

    head = ["provider", "structured replies", "system prompts", "streaming", "prompt caching", "reasoning effort"]
    rows = [_provider_row(name) for name in PROVIDERS if name != "simulated"]
    return table([*head, "rate limits told", "price known", "batches"], rows)


def _provider_row(name: str) -> list[str]:
    from datafast.llms.providers.direct import DirectProvider
    from datafast.llms.registry import PROVIDERS, provider_from_spec
    from datafast.types import Usage

    cls = PROVIDERS[name]
    spec: dict[str, Any] = {"provider": name} if cls.default_model_id else {"provider": name, "model_id": "m.gguf"}
    provider = provider_from_spec(spec | _ADDRESSES.get(name, {}))
    direct, local = issubclass(cls, DirectProvider), "api_base" in cls.unused_options
    structured = {"schema": "by schema", None: "[differ](../reference/cli.md#check)"}[cls.structured_replies]
    cached = "by itself" if name in _CACHE_BY_THEMSELVES else "as its server does"
    effort = cls.wire_names.get("reasoning_effort", ("reasoning_effort",))[0]
    cost, discount = provider.cost_usd(Usage(1000, 1000)), provider.batch_discount
    listed = "free" if cost == 0 else "listed" if cost is not None else "with `price`"
    batched = f"at {1 - discount:.0%} of the price" if discount else "where its server has them"
    return [
        f"`{name}`",
        structured,
        "yes" if direct or local else "as litellm sends them",
        "yes" if cls.can_stream else "no",
        "`prompt_cache: auto`" if "prompt_cache" in cls.own_params else "no" if local else cached,
        "no" if local else f"`{effort}`",
        "no" if local or name in _TELL_NO_LIMITS else "used",
        _OWN_WAYS_TO_A_PRICE.get(name, listed),
        batched if discount or provider.open_batches() is not None else "no",
    ]


def format_table(_: str) -> str:
    """Which kinds can be exported in which formats: yes, or if their columns have names that say how they read."""
    from datafast.export.formats import FORMATS, Format
    from datafast.export.reading import Reader
    from datafast.registry import BUILT_IN, load_kind

    kinds = list(BUILT_IN["datafast.kinds"])
    models = [load_kind(kind).row_model for kind in kinds]
    says = [any(hasattr(model, f"as_{way}") for way in ("text", "messages", "pair", "preference")) for model in models]
    rows = []
    for name in BUILT_IN["datafast.formats"]:
        found = FORMATS.load(name)
        assert isinstance(found, type)
        assert issubclass(found, Format)
        cells = [
            "yes" if found.reads in Reader(model).can else "" if declared else "if"
            for model, declared in zip(models, says, strict=True)
        ]
        rows.append([f"`{name}`", *cells])
    return table(["format", *(f"`{kind}`" for kind in kinds)], rows)


TABLES = {
    "command": command_table,
    "column": column_table,
    "config": config_table,
    "error_kinds": error_kind_table,
    "error_tree": error_tree,
    "events": event_table,
    "formats": format_table,
    "finish_reasons": finish_reason_table,
    "part": part_table,
    "providers": provider_table,
    "row": row_table,
    "services": services_table,
    "stage": stage_table,
}


if __name__ == "__main__":
    for page in pages():
        page.write_text(rewritten(page.read_text(encoding="utf-8")), encoding="utf-8")

"""What README and docs say is true: their blocks run, their configs load, their commands exist, their links lead somewhere.

A page is run from top to bottom in an empty folder with the examples in it and no key in the environment:

* `python` blocks run, sharing their names;
* a `yaml` block that begins with `# name.yaml` is written to that file, and loaded if it has a `kind`;
* a `mermaid` block is what the page's own `graph` draws;
* `datafast ...` lines of `sh` blocks run, and must end with exit code 0.

`<!--- skip: next "reason" -->` in front of a block: its commands are only parsed, its Python is only compiled.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import re
import shlex
import shutil
import tomllib
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from sybil.document import Document
from sybil.example import Example
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

import datafast
from datafast.cli.main import cli
from datafast.errors import ErrorKind, ReplyCategory
from datafast.types import RunReport, StopCause
from tests.doc_tables import ROOT, command_of, leaf_commands, pages, rewritten

PAGES = pages()
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def text_of(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


# -- blocks


@each_page
def test_the_blocks_of_a_page_run_from_top_to_bottom(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    parsers = [
        PythonCodeBlockParser(),
        CodeBlockParser("yaml", save_config),
        CodeBlockParser("json", parse_json),
        CodeBlockParser("mermaid", check_drawing),
        CodeBlockParser("sh", run_commands),
        SkipParser(),
    ]
    document = Document.parse(str(page), *parsers)
    for example in document.examples():
        with contextlib.suppress(unittest.SkipTest):  # a block that is marked to be skipped, with its reason
            example.evaluate()


def save_config(example: Example) -> None:
    from datafast.config_files.loader import load_project

    text = str(example.parsed)
    name = re.match(r"# (\S+\.ya?ml)\n", text)
    assert name, f"{example.path}:{example.line}: begin the block with the name of its file, `# name.yaml`"
    Path(name[1]).write_text(text, encoding="utf-8")
    if re.search(r"^kind:", text, re.MULTILINE):
        load_project(Path(name[1]))


def parse_json(example: Example) -> None:
    text = str(example.parsed)
    for part in [text] if text.startswith("{\n") else text.splitlines():
        json.loads(part)


def check_drawing(example: Example) -> None:
    assert str(example.parsed).strip() == example.namespace["graph"].to_mermaid()


def run_commands(example: Example) -> None:
    for words in commands(str(example.parsed)):
        result = CliRunner().invoke(cli, words)
        assert result.exit_code == 0, f"{example.path}:{example.line}: datafast {shlex.join(words)}\n{result.output}"


def commands(block: str) -> Iterator[list[str]]:
    """The arguments of each `datafast` command in a block of shell lines."""
    for line in block.splitlines():
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            if words and re.search(r"(^|[/\\])datafast$", words[0]):
                yield words[1:]


@each_page
def test_every_command_of_a_page_has_the_options_it_is_shown_with(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    blocks = [body for language, body in _BLOCK.findall(text) if language in {"sh", "bat", "console"}]
    for words in [words for body in blocks for words in commands(body.replace("\\", "/"))]:
        command = command_of(cli, words)
        depth = 2 if isinstance(cli.get_command(click.Context(cli), words[0]), click.Group) else 1
        command.make_context(words[depth - 1], words[depth:])


@each_page
def test_every_python_block_of_a_page_compiles(page: Path) -> None:
    for language, body in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            compile(body, str(page), "exec")


@pytest.mark.parametrize(
    "command",
    [
        "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt . && "
        ".venv/bin/datafast generate examples/space_engineering.yaml --offline",
        "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt -e '.[test]' && .venv/bin/python -m pytest",
    ],
)
def test_the_readme_gives_the_two_commands_each_in_one_line(command: str) -> None:
    assert command in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()


def test_the_readme_shows_what_its_first_command_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shown,) = [body for language, body in _BLOCK.findall(text_of("../README.md")) if language == "text"]
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, ["generate", "examples/space_engineering.yaml", "--offline"])
    assert done.exit_code == 0
    assert unvarying(done.stderr) == unvarying(shown)


def unvarying(output: str) -> list[str]:
    """The lines of what `generate` prints, without what differs from run to run: which row is shown, and the time."""
    lines = [line.rstrip() for line in output.splitlines()]
    return [
        line.split(":")[0] if line.startswith("  ") and ":" in line else line
        for line in lines
        if not line.startswith("time ")
    ]


# -- links


@each_page
def test_internal_links_of_a_page_lead_to_a_file_and_a_heading(page: Path) -> None:
    for target in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        goal = (page.parent / path).resolve() if path else page
        assert goal.is_file(), f"{page}: {target} leads nowhere"
        if anchor:
            assert anchor in anchors(goal), f"{page}: there is no heading #{anchor} in {goal.name}"


@functools.cache
def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = _HEADING.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_navigation() -> None:
    navigation = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    listed = set(re.findall(r"[\w/.-]+\.md", json.dumps(navigation)))
    assert listed == {page.relative_to(ROOT / "docs").as_posix() for page in PAGES if page.parent != ROOT}


# -- reference pages against the code


@each_page
def test_tables_that_are_made_from_the_code_are_up_to_date(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == rewritten(text), "run `python -m tests.doc_tables`"


def missing(page: str, names: list[str]) -> list[str]:
    """The names that do not stand in code font on a page."""
    text = text_of(page)
    return [name for name in names if not re.search(rf"`{re.escape(name)}\b[^`]*`", text)]


@pytest.mark.parametrize(
    "model",
    [
        "ClassificationDatasetConfig",
        "ColumnsDatasetConfig",
        "ConversationDatasetConfig",
        "InstructionDatasetConfig",
        "InstructionEvolution",
        "InstructionJudge",
        "JointRate",
        "PreferenceDatasetConfig",
        "PromptExpansionConfig",
        "RawDatasetConfig",
        "LedgerConfig",
        "RayConfig",
        "RunConfig",
        "Source",
        "TextClass",
        "TopicsConfig",
    ],
)
def test_every_config_model_has_its_table(model: str) -> None:
    assert f"<!-- table: config {model} -->" in text_of("reference/config.md")


def test_every_type_of_column_has_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    from datafast.columns import column_types
    from datafast.columns.registry import COLUMNS

    monkeypatch.setattr(COLUMNS, "_registered", {})  # a page shows how to register one
    assert [
        name
        for name in ["any", *column_types()]
        if f"<!-- table: column {name} -->" not in text_of("reference/config.md")
    ] == []


def test_every_stage_has_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    from datafast.quality.registry import STAGES

    monkeypatch.setattr(STAGES, "_registered", {})  # a page shows how to register one
    assert [
        name for name in STAGES.names() if f"<!-- table: stage {name} -->" not in text_of("reference/config.md")
    ] == []


def test_every_stage_is_in_the_table_of_the_guide(monkeypatch: pytest.MonkeyPatch) -> None:
    from datafast.quality.registry import STAGES

    monkeypatch.setattr(STAGES, "_registered", {})
    shown = re.findall(r"^\| \[?`(\w+)`", text_of("guides/filtering.md"), re.MULTILINE)
    assert [name for name in STAGES.names() if name not in shown] == []


def test_every_command_has_its_table() -> None:
    documented = set(re.findall(r"<!-- table: command (\w+(?: \w+)?) -->", text_of("reference/cli.md")))
    assert documented == set(leaf_commands(cli))


def test_every_public_name_is_in_the_python_reference() -> None:
    assert missing("reference/python.md", list(datafast.__all__)) == []


PUBLIC_MODULES = [
    "datafast",
    "datafast.datasets",
    "datafast.datasets.base",
    "datafast.schema.config",
    "datafast.schema.data_rows",
    "datafast.llms",
    "datafast.engine.events",
    "datafast.columns",
    "datafast.topics",
    "datafast.statistics",
    "datafast.quality.base",
    "datafast.quality.near_groups",
    "datafast.errors",
    "datafast.utils",
]
# Values whose names say all, and what has its documentation under another name.
_NO_ENTRY = {"__version__", "NonBlank", "NOT_ALLOWED", "WHO_MADE_IT", "plain_text"}


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_every_public_name_has_one_entry_in_the_reference_that_is_made_from_docstrings(module: str) -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs/reference/api").glob("*.md"))
    entries = re.findall(r"^::: (\S+)$", pages, re.MULTILINE)
    assert len(entries) == len(set(entries))
    there = {id(value_of(entry)): entry for entry in entries}
    names = [name for name in importlib.import_module(module).__all__ if name not in _NO_ENTRY]
    assert [name for name in names if id(value_of(f"{module}.{name}")) not in there] == []


def value_of(dotted: str) -> object:
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_every_field_of_the_report_is_in_its_reference() -> None:
    assert missing("reference/events-and-report.md", list(RunReport.__dataclass_fields__)) == []


def test_every_failure_category_is_in_the_error_reference() -> None:
    values = [member.value for member in (*ErrorKind, *ReplyCategory)]
    assert missing("reference/errors.md", values) == []


def test_every_failure_category_has_advice_or_stops_the_provider() -> None:
    failing = [kind.value for kind in ErrorKind if kind.action in {"fail_item", "retry", "weigh"}]
    advised = [value for value in failing if value != "rate_limited"]
    assert missing("guides/resume-and-failures.md", [*advised, *(member.value for member in ReplyCategory)]) == []


def test_the_messages_that_the_resume_guide_quotes_are_those_of_the_code() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "datafast").rglob("*.py"))
    quoted = re.findall(r'^\*\*"(.+?)"\*\*', text_of("guides/resume-and-failures.md"), re.MULTILINE)
    assert len(quoted) >= 6
    assert [words for words in quoted if words not in source] == []


def test_every_error_of_the_errors_module_is_in_the_error_reference() -> None:
    from datafast import errors

    classes = [name for name in errors.__all__ if isinstance(getattr(errors, name), type)]
    raised = [name for name in classes if issubclass(getattr(errors, name), BaseException)]
    assert [name for name in raised if name not in text_of("reference/errors.md")] == []


@pytest.mark.parametrize("page", ["reference/cli.md", "reference/errors.md"])
def test_the_exit_codes_are_those_that_the_command_line_documents(page: str) -> None:
    from datafast.cli import main

    codes = re.findall(r"^ {4}(\d+)\b", main.__doc__ or "", re.MULTILINE)
    shown = re.findall(r"^\| (\d+) \|", text_of(page), re.MULTILINE)
    assert shown == codes


def test_every_provider_is_in_the_providers_guide() -> None:
    from datafast.llms import PROVIDERS

    names = [name for name, provider in PROVIDERS.items() for name in (name, provider.__name__)]
    assert missing("guides/providers.md", names) == []


def test_keys_and_default_models_of_the_providers_guide_are_those_of_the_code() -> None:
    from datafast.llms import PROVIDERS

    lines = re.findall(r"^\| `\w+Provider` .*$", text_of("guides/providers.md"), re.MULTILINE)
    assert len(lines) >= len(PROVIDERS) - 3  # simulated and local models have pages of their own
    for line in lines:
        _, name, key, model, _ = [cell.strip().strip("`") for cell in line.strip("| ").split("|")]
        provider: Any = PROVIDERS[name]
        assert model == (provider.default_model_id or "none")
        assert key == provider.env_key_name or not provider.env_key_name


def test_every_reason_for_an_early_end_is_in_the_reference_of_the_report() -> None:
    line = next(
        line for line in text_of("reference/events-and-report.md").splitlines() if line.startswith("| `stop_cause`")
    )
    assert [cause.value for cause in StopCause if f"`{cause.value}`" not in line] == []


def test_every_provider_parameter_is_in_the_providers_guide() -> None:
    from datafast.llms.options import OPTION_SCHEMAS

    assert missing("guides/providers.md", list(OPTION_SCHEMAS)) == []


def test_every_fault_is_in_the_providers_guide() -> None:
    from datafast.llms.simulated.provider import FAULTS

    assert missing("guides/providers.md", list(FAULTS)) == []


def test_the_sizes_of_covering_sets_in_the_prompts_guide_are_those_measured_in_the_design_page() -> None:
    design = text_of("design/expansion.md")
    rows = re.findall(
        r"^\| (\d+ of \d+) \| [\d,]+ \| ([\d,]*) ?\| ([\d,]*) ?\|", text_of("guides/prompts.md"), re.MULTILINE
    )
    assert rows
    for shape, pairs, triples in rows:
        for strength, count in ((2, pairs), (3, triples)):
            if count:
                assert re.search(
                    rf"^\| {shape} \| {strength} \| \d+ \| \**{count.replace(',', '')}\b", design, re.MULTILINE
                )


def test_the_rows_that_the_conversations_guide_shows_are_rows_of_the_four_styles() -> None:
    from datafast.schema.data_rows import (
        AgentConversationRow,
        ConversationRow,
        ReasonedConversationRow,
        ToolConversationRow,
    )

    shown = [body for language, body in _BLOCK.findall(text_of("guides/conversations.md")) if language == "json"]
    models = [ConversationRow, ReasonedConversationRow, AgentConversationRow, ToolConversationRow]
    for row, model in zip(shown, models, strict=True):
        assert model.model_validate_json(row).model_dump(exclude_unset=True) == json.loads(row)


def test_the_picture_in_the_topics_guide_shows_the_graph_below_it() -> None:
    (drawing,) = [body for language, body in _BLOCK.findall(text_of("guides/topics.md")) if language == "mermaid"]
    picture = ROOT / "docs" / "pictures" / "topic-graph.svg"
    assert picture.stat().st_size < 30_000
    shown = re.sub(r"<[^>]*>", "", picture.read_text(encoding="utf-8"))
    labels = re.findall(r'\["(.+?)"\]', drawing)
    assert len(labels) == 9
    assert [label for label in labels if label not in shown] == [], "run docs/pictures/render.sh"


def test_the_commented_config_in_the_examples_is_the_one_that_init_writes() -> None:
    for kind in ("columns", "conversation"):
        template = ROOT / "datafast" / "config_files" / "starters" / f"{kind}.yaml"
        assert (ROOT / "examples" / f"{kind}.yaml").read_bytes() == template.read_bytes()


def test_every_kind_that_init_has_a_config_for_is_named_where_init_is_described() -> None:
    from datafast.cli.commands.init import command

    templates = ROOT / "datafast" / "config_files" / "starters"
    kinds = sorted(path.stem for path in templates.glob("*.yaml"))
    assert len(kinds) >= 5
    reference = text_of("reference/cli.md").partition("\n## init\n")[2].partition("\n## ")[0]
    started = next(part for part in text_of("getting-started.md").split("\n\n") if "`datafast init`" in part)
    for told in (reference, started, str(command.help)):
        assert [kind for kind in kinds if not re.search(rf"\b{kind}\b", told)] == []


# Models that their vendors have ended, or have said when they will. Pages about other tools quote their old configs.
ENDED = re.compile(r"gpt-(3\.5|4|5-|5\.1)|o[34]-mini|claude-[23]\b|gemini-(1|2\.0)")


def test_no_page_example_or_template_names_a_model_that_has_ended() -> None:
    places = [ROOT / "README.md"]
    for folder, ending in (("docs", "md"), ("examples", "py"), ("examples", "yaml"), ("datafast/cli", "yaml")):
        places += (ROOT / folder).rglob(f"*.{ending}")
    texts = {path: path.read_text(encoding="utf-8") for path in places if not path.match("docs/changelog.md")}
    named = {
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path, text in texts.items()
        if "coming-from" not in path.parts
        for found in ENDED.finditer(text)
    }
    assert named == set()

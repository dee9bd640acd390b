"""Configs, keys and files made to break what reads them: each is refused with its place, in no time and without a traceback."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli

RAW = "kind: raw\ndocument_types: [note]\ntopics: [a, b]\nnum_samples_per_prompt: 1\nproviders: [openai/gpt-5-mini]\n"
COLUMNS = "kind: columns\nnum_rows: 1\nproviders: {m: openai/gpt-5-mini}\n"
TALK = "kind: conversation\nnum_rows: 1\nproviders: [openai/gpt-5-mini]\n"
OUT = "output_file: out.jsonl\n"
LONG = "o" * 300
HUGE = "0x" + "f" * 8_000
AT_MOST_S = 10
LINKS = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")


def constant(value: str) -> str:
    return f"{COLUMNS}{OUT}columns: {{a: {{type: constant, value: x}}, b: {value}}}\n"


def prompt(text: str) -> str:
    return constant(f"{{type: text, provider: m, prompt: '{text}'}}")


def structured(schema: str) -> str:
    return constant(
        f"{{type: structured, provider: m, prompt: hi, json_schema: {{type: object, properties: {{x: {schema}}}, required: [x]}}}}"
    )


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    yield tmp_path
    os.environ.clear()
    os.environ.update(before)


def outcome(config: str, *options: str) -> tuple[int, str]:
    """The exit code and what is said of a config; fails on a traceback, and on one that takes long."""
    Path("c.yaml").write_text(config, encoding="utf-8")
    began = time.process_time()
    result = CliRunner().invoke(cli, ["generate", "c.yaml", "--offline", *options])
    assert time.process_time() - began < AT_MOST_S
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


BOMB = "topics: [&a0 [x,x,x,x,x,x,x,x,x,x]" + "".join(f", &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            RAW + OUT + "run: {seed: 18446744073709551616}",
            "c.yaml:7: run.seed: expected a whole number of at most 64 bits.",
        ),
        (RAW + OUT + "run: {seed: -9223372036854775809}", "c.yaml:7: run.seed: expected"),
        (RAW + OUT + "expansion: {seed: 18446744073709551616}", "c.yaml:7: expansion.seed: expected"),
        (RAW + OUT + f"run: {{seed: {HUGE}}}", "c.yaml:7: '0xffff"),
        (RAW + OUT + f"run: {{max_concurrency: {HUGE}}}", "is not of the type int, or too large."),
        (RAW.replace("[a, b]", f"[{HUGE}]") + OUT, "c.yaml:3: '0xffff"),
        (RAW + OUT + f"run: {{seed: {'9' * 9_000}}}", "c.yaml:7: '9999"),
        (constant(f"{{type: range, start: 0, end: {'9' * 30}}}"), "c.yaml:5: columns.b.end"),
        (constant(f"{{type: range, start: 0, end: 0b{'1' * 300}}}"), "c.yaml:5: '0b1111"),
        (
            constant("{type: choice, values: {x: 1, y: 99999999999999999999}}"),
            "columns.b: There is a whole number of more",
        ),
        (RAW + "output_file: /", "c.yaml:6: output_file: expected the name of a file"),
        (RAW + OUT + "run: {ledger: .}", "c.yaml:7: run.ledger: expected the name of a file"),
        (f"{TALK}{OUT}topics: {{topic_prompt: x, file: /}}", "c.yaml:5: topics.file: expected the name of a file"),
        (RAW + f"output_file: {LONG}.jsonl", "c.yaml:6: output_file: " + "o" * 40 + "...: No file can have a name"),
        (RAW + OUT + f"run: {{ledger: {LONG}}}", "c.yaml:7: run.ledger: ooooo"),
        (RAW + 'output_file: "a\\0b.jsonl"', "c.yaml:6: output_file: 'a\\x00b.jsonl': A path cannot hold control"),
        (constant(f"{{type: source, source: {LONG}.jsonl}}"), "c.yaml:5: columns.b.source: ooooo"),
        (constant('{type: source, source: "a\\0.jsonl"}'), "c.yaml:5: columns.b.source: 'a\\x00.jsonl': A path"),
        (f"{TALK}{OUT}topics: {LONG}.json", "c.yaml:5: topics: ooooo"),
        (f"{TALK}{OUT}topics: {{topic_prompt: x, file: {LONG}.json}}", "c.yaml:5: topics.file: ooooo"),
        (RAW + OUT + '"\\e[31mred\\a": 1', "c.yaml:7: \\x1b[31mred\\x07: There is no such field."),
        (RAW + OUT + '"\\u202etxt": 1', "c.yaml:7: \\u202etxt: There is no such field."),
        (RAW + OUT + 'languages: {"\\e]0;x\\a": ""}', "c.yaml:7: languages.\\x1b]0;x\\x07: must not be blank."),
        (RAW + OUT + '"\\ea": 1\n"\\ea": 2', "c.yaml:8: \\x1ba: given twice"),
        (RAW.replace("topics: [a, b]", BOMB + "]") + OUT, "c.yaml:3: Aliases (*) repeat more than"),
        (BOMB.replace("topics", "x").replace(", &", "\nx: &", 0) + "]\n" + RAW + OUT, "c.yaml:1: Aliases (*) repeat"),
        (RAW.replace("[a, b]", "[" + "[x], " * 500 + "]") + OUT, "c.yaml: There are 400 more problems."),
        (prompt("{{ a" + "|trim" * 1_500 + " }}"), "c.yaml:5: columns.b.prompt: {{ a|trim"),
        (prompt("{% set x = a" + "|trim" * 1_500 + " %}{{ x }}"), "columns.b.prompt: This is nested too deeply."),
        (prompt("{{ a" + "|trim" * 300 + " }}"), "columns.b.prompt: This is nested too deeply."),
        (prompt("{% if a %}" * 900 + "x" + "{% endif %}" * 900), "columns.b.prompt: This is nested too deeply."),
        (prompt("{% if a %}x{% endif %}" * 20_000), "c.yaml:5: columns.b.prompt: There are 40,000 tags"),
        (constant(f"{{type: expression, expression: 'a{'|trim' * 3_000}'}}"), "b.expression: This is nested too"),
        (constant(f"{{type: expression, expression: '{'[' * 3_000}a{']' * 3_000}'}}"), "This is nested too deeply."),
        (constant(f"{{type: text, provider: m, prompt: x, when: '{'not ' * 3_000}a'}}"), "columns.b.when: 'not not"),
        (
            structured("{$schema: 'https://json-schema.org/draft/2020-12/schema', pattern: '(x+x+)+y'}"),
            "c.yaml:5: columns.b.json_schema: Only the whole schema has a $schema.",
        ),
        (
            structured("{allOf: [{patternProperties: {'(x+x+)+y': {}}}], unevaluatedProperties: false}"),
            "json_schema: patternProperties and unevaluatedProperties cannot stand together.",
        ),
    ],
)
def test_it_is_refused_with_its_place(config: str, message: str) -> None:
    code, said = outcome(config)
    assert message in said
    assert code == 2
    assert not [character for character in said if not character.isprintable() and character != "\n"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("secrets.env", b"A=1\n\0B=2\n", "secrets.env:2: There is a null character here"),
        ("secrets.env", "KEY=ä\n".encode("utf-16")[2:], "secrets.env:1: "),
        ("secrets.env", b"A=1\nB=\xff\n", "secrets.env:2: This is not text in UTF-8."),
        ("rows.jsonl", b'{"a": ' + b"[" * 900 + b"]" * 900 + b"}\n", "line 1: The column 'a' is nested more than 250"),
        ("rows.jsonl", b'{"a": ' + b"[" * 99_000 + b"]" * 99_000 + b"}\n", "rows.jsonl:1: This line is not JSON"),
        ("rows.json", b"[" * 99_000 + b"]" * 99_000, "rows.json is not JSON"),
    ],
)
def test_a_file_is_refused_with_its_place(folder: Path, name: str, content: bytes, message: str) -> None:
    (folder / name).write_bytes(content)
    kind = f"{{type: source, source: {name}}}" if name.startswith("rows") else "{type: constant, value: 1}"
    code, said = outcome(constant(kind))
    assert message in said
    assert code == 2


SOURCE = "{{type: source, source: {}}}"
TOPICS = f"{TALK}{OUT}topics: {{}}"


@pytest.mark.parametrize(
    ("name", "size", "config", "message"),
    [
        ("secrets.env", 2**20 + 1, RAW + OUT, "secrets.env: The file has more than 1 MiB, and a file of keys"),
        ("rows.jsonl", 2**26 + 2**20, SOURCE, "columns.b.source: rows.jsonl has a line of more than 64 MiB"),
        ("rows.csv", 2**26 + 2**20, SOURCE, "columns.b.source: rows.csv has a line of more than 64 MiB"),
        ("rows.json", 2**30 + 1, SOURCE, "columns.b.source: rows.json has more than 1 GiB"),
        ("t.json", 2**28 + 1, TOPICS, "topics: t.json: The file has more than 256 MiB"),
    ],
)
def test_a_file_without_end_is_refused_before_it_fills_the_memory(
    folder: Path, name: str, size: int, config: str, message: str
) -> None:
    (folder / name).touch()
    os.truncate(folder / name, size)  # zeros that take no room on the disk
    code, said = outcome(constant(config.format(name)) if config is SOURCE else config.format(name))
    assert message in said
    assert code == 2


def test_a_config_without_end_is_refused_too(folder: Path) -> None:
    (folder / "c.yaml").touch()
    os.truncate(folder / "c.yaml", 2**26 + 1)
    result = CliRunner().invoke(cli, ["plan", "c.yaml"])
    assert "c.yaml: The file has more than 64 MiB, and a config may have no more." in result.output
    assert result.exit_code == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such pipes there")
def test_a_pipe_is_no_source(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    code, said = outcome(constant("{type: source, source: pipe}"))
    assert "columns.b.source: pipe is not a regular file." in said
    assert code == 2


def test_a_quote_that_does_not_end_takes_no_more_than_a_cell_may_have(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datafast.sources.delimited._LARGEST_CELL", 1_000)
    (folder / "rows.csv").write_text('a,b\n1,"x\n' + "y,z\n" * 1_000, encoding="utf-8")
    code, said = outcome(constant("{type: source, source: rows.csv}"))
    assert "rows.csv:2: This record is not CSV: a quoted cell does not end." in said
    assert code == 2


def test_keys_are_read_as_powershell_writes_them(folder: Path) -> None:
    (folder / "secrets.env").write_bytes('OPENAI_API_KEY="sk-1"\r\n'.encode("utf-16"))
    assert outcome(RAW + OUT)[0] == 0
    assert os.environ["OPENAI_API_KEY"] == "sk-1"


@LINKS
@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("out.jsonl", RAW + OUT),
        ("out.jsonl.ledger", RAW + OUT),
        ("out.jsonl.ledger-replies", RAW + OUT),
        ("out.jsonl.ledger-lock", RAW + OUT),
        ("rows.jsonl", constant("{type: source, source: rows.jsonl}")),
        ("t.json", f"{TALK}{OUT}topics: t.json"),
        ("t.json", f"{TALK}{OUT}topics: {{topic_prompt: x, file: t.json}}"),
    ],
)
def test_a_link_that_leads_to_itself_is_refused(folder: Path, name: str, config: str) -> None:
    (folder / name).symlink_to(name)
    code, said = outcome(config)
    assert name.partition(".ledger")[0] in said
    assert code == 2


@pytest.mark.parametrize(
    "options", [["--env-file", LONG], ["--output", LONG], ["--events", LONG], ["--env-file", "a\tb"]]
)
def test_a_name_on_the_command_line_that_no_file_can_have_is_refused(options: list[str]) -> None:
    code, said = outcome(RAW + OUT, *options)
    assert "No file can have a name" in said or "cannot hold control characters" in said
    assert code == 2


def test_what_fresh_cannot_move_is_told() -> None:
    config = RAW + f"output_file: {'o' * 234}.jsonl\n"
    assert outcome(config)[0] == 0
    code, said = outcome(config, "--fresh")
    assert "aside: File name too long." in " ".join(said.split())
    assert code == 2


@pytest.mark.parametrize(
    "schema",
    [
        "{type: string, minLength: 100000000}",
        "{type: array, items: {type: string}, minItems: 10000000}",
        "{type: array, minItems: 4000, items: {type: array, minItems: 4000, items: {type: string}}}",
        "{type: string, pattern: '^(a+)+$', minLength: 100000000}",
    ],
)
def test_what_no_model_can_give_is_simulated_in_no_time(schema: str) -> None:
    assert outcome(structured(schema) + "run: {max_parse_retries: 0}\n")[0] == 3


def test_a_pattern_that_takes_forever_to_deny_is_simulated_in_no_time() -> None:
    assert outcome(structured("{type: string, pattern: '(\\w+)+!$'}"))[0] == 0


def test_a_schema_without_an_end_is_simulated_in_no_time() -> None:
    endless = "{$ref: '#/$defs/n'}}, $defs: {n: {type: object, properties: {y: {$ref: '#/$defs/n'}}, required: [y]}"
    assert outcome(structured(endless))[0] == 3


@pytest.mark.parametrize("part", ["k: true", "k: {anyOf: [true, {type: string}]}", "k: {type: array, items: true}"])
def test_a_part_of_a_schema_may_be_a_boolean(part: str) -> None:
    config = structured(f"{{type: object, properties: {{{part}}}}}")
    assert outcome(config)[0] == 0
    tool = f"{{name: look, parameters: {{type: object, properties: {{{part}}}}}}}"
    talk = (
        f"{TALK}output_file: talk.jsonl\ntopics: [a]\ntools: [{tool}]\nconversation_type: cot\nreasoning_style: agent\n"
    )
    assert outcome(talk)[0] == 0


def test_very_many_providers_take_seconds() -> None:
    many = ", ".join(f"openai/m{number}" for number in range(1_000))
    config = RAW.replace("openai/gpt-5-mini", many) + OUT
    assert outcome(config)[0] == 0

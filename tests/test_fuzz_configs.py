"""Configs of every kind, changed at random: each ends with exit code 0, 2, 3 or 4 and a message, never with a traceback, in no time.

`DATAFAST_FUZZ=20` makes twenty times as many; a failure tells its number and shows its config.
"""

from __future__ import annotations

import copy
import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from datafast.cli.main import cli
from datafast.errors import ConfigError
from datafast.sources.reading import Reading
from tests.support import ROOT

MANY = int(os.environ.get("DATAFAST_FUZZ", "1"))
CASES = 50 * MANY
AT_MOST_S = 10

COLUMNS = """\
kind: columns
num_rows: 6
output_file: out.jsonl
providers:
  writer: openai/gpt-5-mini
  judge: {provider: anthropic, model_id: x, temperature: 0.5, price: {input_usd_per_million: 1, output_usd_per_million: 2}}
run: {max_concurrency: 4, seed: 7, budget_usd: 5}
quality: [{stage: length, min_words: 2}]
columns:
  id: {type: uuid}
  n: {type: range, start: 1, end: 9, step: 2}
  when: {type: datetime, start: 2024-01-01, end: 2024-02-01}
  topic: {type: choice, values: [tides, ice]}
  level: {type: choice, values: {easy: 2, hard: 1}, by: null}
  who: {type: person, locale: en_US}
  row: {type: source, source: rows.jsonl, column: a, mode: cycle, shuffle: true}
  cell: {type: source, source: cells.csv, types: {n: integer}}
  twice: {type: expression, expression: "{{ n * 2 }}"}
  question: {type: text, provider: writer, prompt: "Ask about {topic}, {{ level | upper }}. {% if n > 3 %}Long.{% endif %}"}
  form: {type: structured, provider: writer, prompt: "Describe {topic}", json_schema: {type: object, properties: {t: {type: string,
         pattern: "^[a-z]+$"}, k: {type: array, items: {type: integer, minimum: 1}}}, required: [t]}}
  verdict: {type: judge, provider: judge, prompt: "{question}", rubric: {1: bad, 5: good}, when: "level == 'easy'", on_error: null}
"""
RAW = """\
kind: raw
output_file: out.jsonl
document_types: [manual, note]
topics: [pumps, "valves: big"]
num_samples_per_prompt: 2
languages: {en: English, de: German}
prompts: ["Write {num_samples} {document_type}s about {topic} in {language_name} for <<reader>>."]
expansion: {placeholders: {reader: [pilots, cooks]}, combinatorial: false, num_random_samples: 1, seed: 3}
providers: [openai/gpt-5-mini, {provider: mistral, model_id: m, api_key_env: MY_KEY, timeout: 20, rpm_limit: 900, extra: {a: 1}}]
run: {max_concurrency: 8, fan_out: all, ordered: true, top_up: true, max_tokens: 1000000, ledger: x.ledger}
"""
CLASSES = """\
kind: classification
output_file: out.jsonl
classes: [{name: spam, description: unwanted}, {name: ham, description: wanted}]
num_samples_per_prompt: 2
prompts: ["Write {num_samples} mails of the class {label_name} ({label_description}) in {language_name}, {{style}}."]
expansion: {placeholders: {style: [short, long]}}
providers: [openai/gpt-5-mini]
"""
PREFERENCE = """\
kind: preference
output_file: out.jsonl
input_documents: [Cranes lift boxes., Tides come twice.]
num_samples_per_prompt: 1
llm_as_judge: true
evol_instruct: false
providers: {question: openai/gpt-5-mini, chosen: openai/a, rejected: openai/b, judge: openai/c}
"""
QUESTIONS = """\
kind: mcq
output_file: out.jsonl
source: [{text: Cranes lift boxes from ships., about: harbours}, {text: Tides come twice a day., about: the sea}]
text_column: text
context_column: about
sample_count: 5
min_document_length: 5
max_document_length: 500
num_samples_per_prompt: 2
prompts: ["{document} {context} Write {num_samples} questions in {language_name} for <<reader>>."]
distractor_prompt: "{question} {correct_answer} Three wrong answers in {language_name}, please."
expansion: {placeholders: {reader: [pilots, cooks]}}
system_prompt: {distractors: Be wrong.}
providers: [openai/gpt-5-mini]
"""
DOCUMENTS = """\
kind: document_qa
output_file: out.jsonl
source: ["# Cranes\\n\\nCranes lift boxes.", {text: Tides come twice a day., file: b.md}]
chunk_size: 40
chunk_overlap: 10
num_samples_per_prompt: 2
prompts: ["{heading} {chunk} Ask {num_samples} in {language_name}."]
providers: [openai/gpt-5-mini]
"""
TABLE = """\
kind: generic_pipeline
output_file: out.jsonl
source: [{t: Cranes lift boxes., n: 1, language: en}, {t: Tides come twice., n: 2, language: fr}, {t: "", n: 3, language: en}]
input_columns: [t]
forward_columns: {from: language}
output_columns: {short: text, mood: [good, bad], stars: integer, tags: texts}
key_column: n
skip_if: not t
sample_count: 5
num_samples_per_prompt: 2
languages: {en: English, de: German}
prompts: ["{t} {num_samples} {language} <<reader>>"]
expansion: {placeholders: {reader: [pilots, cooks]}}
system_prompt: Be exact.
providers: [openai/gpt-5-mini]
"""
JUDGED = """\
kind: judgement
output_file: out.jsonl
source: [{q: When?, a: At noon., b: Never.}, {q: Where?, a: Here., b: There.}]
columns: [q, a, b]
compare: [a, b]
prompt: "{q} {first} {second}"
rubric: {1: bad, 3: good}
min: 1
max: 4
judges: [one, two]
system_prompt: {one: Be strict.}
providers: {one: openai/gpt-5-mini, two: openai/a}
"""
TASKS = """\
kind: instruction
output_file: out.jsonl
topics: {sea: [tides, cranes]}
seed_tasks: [Explain a crane., {instruction: Sum this up., input: The tide rose.}]
num_seed_tasks: 2
with_input: always
num_samples_per_prompt: 2
prompts: ["{num_samples} {language_name} {topic} {seed_tasks} <<reader>>"]
response_prompt: "{instruction} {input}"
evolution: {rounds: 2, depth: [constraints, reasoning], breadth: 0.5, keep: all, information_gain: model, gain_prompt: "{first} {second}",
  prompts: {breadth: "{instruction} in {language_name}"}}
judge: {rubric: {1: bad, 3: good}, max: 4, providers: {one: openai/b, two: openai/c}, min_score: 2, prompt: "{instruction} {response}"}
expansion: {placeholders: {reader: [pilots, cooks]}}
system_prompt: {instruction: Be curious., two: Be strict.}
providers: {instruction: openai/gpt-5-mini, evolution: openai/gpt-5-mini, response: openai/a}
"""
TALK = """\
kind: conversation
output_file: out.jsonl
topics: {topic_prompt: The sea, degree: 2, depth: 2, shape: graph, file: topics.json}
num_rows: 4
examples_per_call: 2
conversation_type: chain_of_thought
reasoning_style: agent
max_turns: 2
example_data: rows.jsonl
tools: [{name: look, parameters: {type: object, properties: {where: {type: string, pattern: "^[a-z]+$"}}, required: [where]}}]
providers: [openai/gpt-5-mini]
"""
CHATS = """\
kind: ultrachat
output_file: out.jsonl
domain: The sea
topics_and_subtopics: {Tides: [Spring tides, Ebb], Ice: [Floes]}
personas: [A sailor., A child.]
num_samples: 2
max_turns: 3
conversation_continuation_prob: 0.7
question_generation_prompts: ["{num_samples} {language_name} {domain} {topic} {subtopic} <<reader>>"]
persona_question_reformulation_prompt: "{question} {persona} {subtopic}"
simulated_assistant_prompt: "{domain} {topic} {subtopic} {question} {language_name}"
user_followup_prompt: "{dialog_summary} {persona} {domain} {subtopic}"
expansion: {placeholders: {reader: [pilots, cooks]}}
system_prompt: {assistant: Be exact.}
dataset_system_prompt: You help.
providers: [openai/gpt-5-mini]
"""
PIPELINE = """\
data_engine: {generation_system_prompt: You teach., instructions: Be short., provider: openai, model: gpt-4, temperature: 0.8,
  rate_limit: {max_requests_per_minute: 600}}
topic_tree: {topic_prompt: The sea, degree: 2, depth: 1, save_as: topics.json}
dataset: {creation: {num_steps: 3, batch_size: 1}, save_as: rows-out.jsonl}
"""
CONFIGS = {
    "columns": COLUMNS,
    "raw": RAW,
    "classification": CLASSES,
    "document_qa": DOCUMENTS,
    "generic_pipeline": TABLE,
    "instruction": TASKS,
    "judgement": JUDGED,
    "mcq": QUESTIONS,
    "preference": PREFERENCE,
    "talk": TALK,
    "ultrachat": CHATS,
    "pipeline": PIPELINE,
}
ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 2**31, 2**63, 10**30, 0.1, -0.0, 1e308, float("nan"), float("inf"), 5e-324),
    *(
        "",
        " ",
        "\n",
        "x",
        "x" * 5_000,
        "é\u202e",
        "\x00",
        "\x1b[31m",
        "\ud800",
        "null",
        "true",
        "1",
        "1e5",
        "-",
        "*",
        "&a",
        "!!str x",
    ),
    *(
        "{",
        "}",
        "{{",
        "}}",
        "{%",
        "%}",
        "{% raw %}",
        "{{ x }}",
        "{topic}",
        "{{topic}}",
        "{{ topic | nothing }}",
        "<<x>>",
        "<<reader>>",
    ),
    *(
        "{a.b[0]}",
        "{{ n / 0 }}",
        "{{ range(10**9) }}",
        "a: b",
        "[",
        "../x",
        "/",
        "~",
        "~nobody/x",
        "out.jsonl",
        "rows.jsonl",
        "c.yaml",
        "a/b/c",
    ),
    *(
        "openai",
        "openai/",
        "/",
        "simulated",
        "litellm/x/y",
        "no/such",
        "http://x",
        "http://[::1",
        "(a+)+$",
        "(?=x)",
        "[",
        "\\p{L}",
    ),
    *(
        [],
        {},
        [None],
        [[]],
        {"": ""},
        {"a": {}},
        [1, "1", 1.0],
        ["x"] * 300,
        {"provider": "openai"},
        {"type": "text"},
        {"$ref": "#"},
    ),
]


def paths_in(node: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values."""
    if above:
        yield above
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in entries:
        yield from paths_in(value, (*above, key))


def changed(node: Any, chance: random.Random) -> Any:
    """A copy in which one value is replaced, removed, renamed, doubled or exchanged."""
    node = copy.deepcopy(node)
    paths = list(paths_in(node))
    if not paths:
        return node
    *way, last = chance.choice(paths)
    parent = node
    for step in way:
        parent = parent[step]
    what = chance.randrange(12)
    if what == 0:
        del parent[last]
    elif what == 1 and isinstance(parent, dict):
        parent[chance.choice([f"{last}s", str(last)[:-1], str(last).upper(), str(chance.choice(ODD))[:80]])] = (
            parent.pop(last)
        )
    elif what == 2:
        parent[last] = [parent[last], parent[last]] if chance.random() < 0.5 else {"x": parent[last]}
    elif what == 3:
        other = chance.choice(paths)
        found = node
        for step in other:
            try:
                found = found[step]
            except (KeyError, IndexError, TypeError):
                break
        parent[last] = copy.deepcopy(found)
    elif what < 7:
        parent[last] = chance.choice(ODD)
    else:
        alike = [value for value in ODD if isinstance(value, type(parent[last]))]
        parent[last] = chance.choice(alike or ODD)
    return node


def garbled(text: str, chance: random.Random) -> str:
    """A text in which a few characters or lines are changed."""
    for _ in range(chance.choice([1, 1, 2])):
        lines = text.split("\n")
        place, line = chance.randrange(len(text) + 1), chance.randrange(len(lines))
        match chance.randrange(5):
            case 0:
                text = text[:place] + chance.choice("{}[]:,-#&*!|>'\"%@`\t \n\x85é\u2028") + text[place:]
            case 1:
                text = text[:place] + text[place + chance.randint(1, 9) :]
            case 2:
                lines.insert(chance.randrange(len(lines) + 1), lines[line])
                text = "\n".join(lines)
            case 3:
                lines[line] = " " * chance.randrange(4) + lines[line].lstrip()
                text = "\n".join(lines)
            case _:
                lines.pop(line)
                text = "\n".join(lines)
    return text


def made(kind: str, number: int) -> str:
    """The config of a case."""
    chance = random.Random(f"{kind} {number}")
    text = CONFIGS[kind]
    if number % 3 == 0:
        return garbled(text, chance)
    config = YAML(typ="safe", pure=True).load(text)
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        config = changed(config, chance)
    return json.dumps(config, indent=1, default=str)


def no_hub(name: str, reading: Reading) -> NoReturn:
    raise ConfigError(f"{reading.field}: There is no file {name!r}.")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datafast.sources.opening.from_hub", no_hub)
    before = dict(os.environ)
    (tmp_path / "rows.jsonl").write_text('{"a": "one", "b": 1}\n{"a": "two", "b": null}\n', encoding="utf-8")
    (tmp_path / "cells.csv").write_text("n,t\n1,x\n2,y\n", encoding="utf-8")
    yield tmp_path
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", CONFIGS)
def test_a_changed_config_ends_with_a_message(kind: str, folder: Path) -> None:
    for number in range(CASES):
        text = made(kind, number)
        (folder / "c.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
        command = ["plan", "c.yaml"] if number % 5 == 4 else ["generate", "c.yaml", "--offline", "--limit", "3"]
        began = time.process_time()
        result = CliRunner().invoke(cli, command)
        told = f"{kind} {number}: {text}\n{result.output[-2_000:]}"
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise AssertionError(told) from result.exception
        assert time.process_time() - began < AT_MOST_S, told
        assert result.exit_code in (0, 2, 3, 4), told
        assert result.output.strip(), told
        assert all(letter.isprintable() or letter in "\n\t" for letter in result.output), told
        for path in folder.iterdir():
            if path.name not in ("rows.jsonl", "cells.csv") and path.is_file():
                path.unlink()


def test_the_configs_are_good_before_they_are_changed(folder: Path) -> None:
    for text in CONFIGS.values():
        (folder / "c.yaml").write_text(text, encoding="utf-8")
        result = CliRunner().invoke(cli, ["plan", "c.yaml"])
        assert result.exit_code == 0, result.output
        assert ROOT not in folder.parents

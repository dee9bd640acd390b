"""What holds for every kind, those of other packages included: one small config each, run offline and against a server on loopback.

A kind that is registered and has no line in `CASES` fails here, and so does one with a prompt that no case sends.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import signal
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree

import pytest
import yaml
from pyarrow import parquet

from datafast import load
from datafast._util.plugins import installed
from datafast.cli.commands.plugin_package import plugin_files
from datafast.config_files.loader import load_project
from datafast.config_files.project import Project
from datafast.datasets.instruction.evolution import Depth
from datafast.engine.options import RunOptions
from datafast.errors import ConfigError, DatafastWarning, RunStopped
from datafast.export.containers import CONTAINERS
from datafast.export.formats import FORMATS, format_names
from datafast.llms import provider_from_spec
from datafast.llms.base import Request, Response
from datafast.llms.simulated.provider import SimulatedBackend
from datafast.registry import kind_names, load_kind
from datafast.types import RunReport, StopCause
from tests.servers.fault_server import FaultServer
from tests.support import ForkServer, assert_balanced, rows_of, same_rows
from tests.test_plugin_package import KIND as RIDDLES

Fields = dict[str, Any]

SPEC = {
    "provider": "simulated",
    "model_id": "m",
    "price": {"input_usd_per_million": 1.0, "output_usd_per_million": 2.0},
}
LANGUAGES = {"en": "English", "fr": "French"}
TOPICS = [f"crane {number}" for number in range(25)]
TEXTS = [f"The {topic} lifts forty tons. It was built by hand, and it still turns with the tide." for topic in TOPICS]
TWO_LANGUAGES = {"languages": LANGUAGES}


@dataclass(frozen=True)
class Case:
    """A config of a kind with 50 items.

    Attributes:
        fields: the config's own, without `output_file`, `run` and `providers`.
        roles: who is asked, in kinds with roles.
        prompts: further fields, in as many configs as it takes, that give every prompt a text with a `mark:NAME` of its own.
        kind: the kind, where a case has another name, because it is a further one of the same kind.
    """

    fields: Fields
    roles: tuple[str, ...] = ()
    prompts: tuple[Fields, ...] = ({},)
    kind: str | None = None

    def providers(self, spec: Mapping[str, Any]) -> Any:
        return dict.fromkeys(self.roles, spec) if self.roles else [spec]


PROMPTS_OF_PAIRS = {
    "question_generation_prompts": ["mark:question {num_samples} {language_name} {document}"],
    "chosen_response_generation_prompt": "mark:chosen {language_name} {document} {question}",
    "judge_prompt": "mark:judge {document} {question} {response}",
}
SYSTEMS_OF_PAIRS = {role: f"mark:system-{role}" for role in ("question", "chosen", "rejected", "evolution", "judge")}

TOOL = {"name": "lift", "parameters": {"type": "object", "properties": {"crane": {"type": "string"}}}}

CASES = {
    "raw": Case(
        {"document_types": ["note"], "topics": TOPICS, "num_samples_per_prompt": 2, **TWO_LANGUAGES},
        prompts=(
            {
                "prompts": [
                    f"mark:{name} {{num_samples}} {{language_name}} {{document_type}} {{topic}}" for name in "ab"
                ],
                "system_prompt": "mark:system",
            },
        ),
    ),
    "classification": Case(
        {
            "classes": [{"name": topic, "description": f"about {topic}"} for topic in TOPICS],
            "num_samples_per_prompt": 2,
            **TWO_LANGUAGES,
        },
        prompts=(
            {
                "prompts": [
                    f"mark:{name} {{num_samples}} {{language_name}} {{label_name}} {{label_description}}"
                    for name in "ab"
                ],
                "system_prompt": "mark:system",
            },
        ),
    ),
    "preference": Case(
        {
            "input_documents": TEXTS,
            "num_samples_per_prompt": 1,
            "evol_instruct": True,
            "llm_as_judge": True,
            **TWO_LANGUAGES,
        },
        roles=("question", "chosen", "rejected", "evolution", "judge"),
        prompts=(
            {
                **PROMPTS_OF_PAIRS,
                "rejected_response_generation_prompt": "mark:rejected {language_name} {document} {question}",
                "evolution_prompt": "mark:evolution {document} {question} {answer}",
                "system_prompt": SYSTEMS_OF_PAIRS,
            },
            {
                **PROMPTS_OF_PAIRS,
                "strategy": "degrade",
                "degrade_prompt": "mark:degrade {question} {answer} {flaw}",
                "flaws": ["mark:flaw"],
                "system_prompt": "mark:system",
            },
        ),
    ),
    "columns": Case(
        {
            "num_rows": 50,
            "columns": {
                "uuid": {"type": "uuid"},
                "topic": {"type": "choice", "values": TOPICS},
                "text": {"type": "text", "provider": "writer", "prompt": "A note about {topic}."},
                "verdict": {"type": "judge", "provider": "judge", "prompt": "{text}", "rubric": {1: "bad", 5: "good"}},
                "is_good": {"type": "expression", "expression": "verdict.score > 2", "returns": "boolean"},
            },
        },
        roles=("writer", "judge"),
        prompts=(
            {
                "columns": {
                    "text": {
                        "type": "text",
                        "provider": "writer",
                        "prompt": "mark:text",
                        "system": "mark:system-writer",
                    },
                    "facts": {
                        "type": "structured",
                        "provider": "writer",
                        "prompt": "mark:facts {text}",
                        "system": "mark:system-facts",
                        "json_schema": {"type": "object", "properties": {"fact": {"type": "string"}}},
                    },
                    "verdict": {
                        "type": "judge",
                        "provider": "judge",
                        "prompt": "mark:judge {text}",
                        "system": "mark:system-judge",
                        "rubric": {1: "mark:bad", 5: "mark:good"},
                    },
                },
            },
        ),
    ),
    "conversation": Case(
        {"topics": TOPICS, "max_turns": 2, **TWO_LANGUAGES},
        prompts=(
            {
                "prompts": [f"mark:{name} {{num_samples}} {{language_name}} {{topic}}" for name in "ab"],
                "generation_system_prompt": "mark:system",
                "dataset_system_prompt": "mark:told",
            },
            {"instructions": "mark:instructions"},
        ),
    ),
    "conversation with tools": Case(
        {
            "conversation_type": "tools",
            "topics": TOPICS,
            "tools": [TOOL, {"name": "now"}],
            "tool_results": {"now": {"table": [{"arguments": {}, "result": "17:25"}]}},
            # So that the number of calls depends neither on replies nor on draws.
            "max_steps": 1,
            "share_without_calls": 0.0,
            **TWO_LANGUAGES,
        },
        prompts=(
            {
                "prompts": [f"mark:{name} {{num_samples}} {{language_name}} {{topic}}" for name in "ab"],
                "generation_system_prompt": "mark:system",
                "dataset_system_prompt": "mark:system-told",
                "tools": [TOOL],
                "tool_results": "model",
            },
            {"instructions": "mark:instructions", "tools": [TOOL], "tool_results": "model"},
        ),
        kind="conversation",
    ),
    "ultrachat": Case(
        {
            "domain": "Harbours",
            "topics_and_subtopics": {f"topic {number // 5}": TOPICS[number : number + 5] for number in range(0, 25, 5)},
            "personas": ["A crane driver.", "A child."],
            "num_samples": 2,
            "max_turns": 3,
            **TWO_LANGUAGES,
        },
        prompts=(
            {
                "question_generation_prompts": [
                    f"mark:{name} {{num_samples}} {{language_name}} {{domain}} {{topic}} {{subtopic}}" for name in "ab"
                ],
                "persona_question_reformulation_prompt": "mark:reformulation {question} {persona} {subtopic}",
                "simulated_assistant_prompt": "mark:assistant {domain} {topic} {subtopic} {question}",
                "user_followup_prompt": "mark:followup {dialog_summary} {persona} {domain} {subtopic}",
                "conversation_continuation_prob": 1,
                "system_prompt": {role: f"mark:system-{role}" for role in ("question", "user", "assistant")},
            },
            {
                "user_system_prompt": "mark:system-user",
                "dataset_system_prompt": "mark:system-told",
                "conversation_continuation_prob": 1,
            },
            {"system_prompt": "mark:system", "conversation_continuation_prob": 0},
        ),
    ),
    "mcq": Case(
        {"source": TEXTS, "min_document_length": 5, "num_samples_per_prompt": 2, **TWO_LANGUAGES},
        prompts=(
            {
                "prompts": [f"mark:{name} {{num_samples}} {{language_name}} {{document}}" for name in "ab"],
                "distractor_prompt": "mark:distractors {language_name} {question} {correct_answer}",
                "system_prompt": {"question": "mark:system-question", "distractors": "mark:system-distractors"},
            },
            {"system_prompt": "mark:system"},
        ),
    ),
    "document_qa": Case(
        {"source": TEXTS, "num_samples_per_prompt": 2, **TWO_LANGUAGES},
        prompts=(
            {
                "prompts": [f"mark:{name} {{num_samples}} {{language_name}} {{chunk}}" for name in "ab"],
                "system_prompt": "mark:system",
            },
        ),
    ),
    "judgement": Case(
        {
            "source": [{"text": text, "language": name} for text in TEXTS for name in LANGUAGES],
            "columns": ["text"],
            "judges": ["strict", "mild"],
        },
        roles=("strict", "mild"),
        prompts=(
            {
                "prompt": "mark:prompt {text}",
                "rubric": {1: "mark:bad", 5: "mark:good"},
                "system_prompt": {"strict": "mark:system-strict", "mild": "mark:system-mild"},
            },
            {"system_prompt": "mark:system"},
        ),
    ),
    "generic_pipeline": Case(
        {
            "source": [{"id": topic, "text": text} for topic, text in zip(TOPICS, TEXTS, strict=True)],
            "input_columns": ["text"],
            "output_columns": {"summary": "text", "mood": ["calm", "grim"], "tags": "texts"},
            "key_column": "id",
            "num_samples_per_prompt": 2,
            **TWO_LANGUAGES,
        },
        prompts=(
            {
                "prompts": [f"mark:{name} {{num_samples}} {{language}} {{text}}" for name in "ab"],
                "system_prompt": "mark:system",
            },
        ),
    ),
    "instruction": Case(
        {
            "topics": TOPICS,
            "num_samples_per_prompt": 2,
            "evolution": {"rounds": 2},
            "judge": {},
            **TWO_LANGUAGES,
        },
        prompts=(
            {
                "prompts": [f"mark:{name} {{num_samples}} {{language_name}} {{topic}}" for name in "ab"],
                "response_prompt": "mark:response {instruction} {input}",
                "evolution": {
                    "rounds": 6,
                    "prompts": {name: f"mark:{name} {{instruction}}" for name in (*get_args(Depth), "breadth")},
                },
                "judge": {"prompt": "mark:judge {instruction} {response}", "rubric": {1: "mark:bad", 5: "mark:good"}},
                "system_prompt": {
                    role: f"mark:system-{role}" for role in ("instruction", "evolution", "response", "judge")
                },
            },
            {"topics": None, "seed_tasks": [{"instruction": "mark:seed", "input": "mark:input"}], "num_rows": 8},
            {"system_prompt": "mark:system"},
        ),
    ),
    "riddle": Case({"answers": [f"{topic}, {side}" for topic in TOPICS for side in ("left", "right")]}),
    "river_songs": Case({"topics": [f"{topic}, {side}" for topic in TOPICS for side in ("left", "right")]}),
}
WRITTEN = plugin_files("river_songs")
ITEMS = 50
CASES_OF = {name: case.kind or name for name, case in CASES.items()}
COUNTED = [kind for kind in CASES if kind not in ("judgement", "riddle", "river_songs")]
"""The kinds whose number of rows can be said."""
WITH_PERSONAS = [kind for kind in COUNTED if kind != "columns"]
"""The kinds that ask with prompts."""
WITH_CANDIDATES = [kind for kind in WITH_PERSONAS if kind != "preference"]
"""Those of them that have `best_of_n`; pairs have a strategy for it."""
PERSONAS = ["a crane driver who writes in capitals", "a harbour pilot who quotes poems", "a clerk who counts"]
SEED_TEXTS = ["The hook came down in the fog.", "Tuesday: two lifts, no wind."]
WITH_OPTIONS = {"custom", "chat_template"}
"""The formats that need to be told more."""
WITHOUT_CALLS = {"alpaca", "bedrock", "bedrock_anthropic"}
"""Those with no place for calls of tools."""
every_kind = pytest.mark.parametrize("kind", CASES)


@dataclass(frozen=True)
class Bench:
    """A kind's config, in a YAML file of its own and in Python, with an output beside it."""

    kind: str
    folder: Path
    spec: Mapping[str, Any]
    changes: Mapping[str, Any]

    def changed(self, folder: Path | None = None, **changes: Any) -> Bench:
        return replace(self, folder=folder or self.folder, changes={**self.changes, **changes})

    @property
    def fields(self) -> Fields:
        own = {**CASES[self.kind].fields, **self.changes}
        return {**own, "output_file": str(self.output), "run": {"max_concurrency": 4, **own.get("run", {})}}

    @property
    def output(self) -> Path:
        return self.folder / "out.jsonl"

    @property
    def rows(self) -> list[dict[str, Any]]:
        return rows_of(self.output)

    @cached_property
    def project(self) -> Project:
        self.folder.mkdir(exist_ok=True)
        path = self.folder / "config.yaml"
        given = {"kind": CASES_OF[self.kind], **self.fields, "providers": CASES[self.kind].providers(self.spec)}
        path.write_text(json.dumps(given), encoding="utf-8")  # JSON is YAML
        return load_project(path)

    def run(self, **options: Any) -> RunReport:
        """Runs it to its end, or until its budget is used up."""
        dataset = self.project.dataset()
        with suppress(RunStopped):
            self.project.generate(dataset, RunOptions(progress=False, **options))
        return assert_balanced(dataset.report)


@pytest.fixture(autouse=True)
def others(offer: Callable[..., None]) -> None:
    """Kinds of another package: one of ours, and the one that `datafast init plugin` writes."""
    points = tomllib.loads(WRITTEN["pyproject.toml"])["project"]["entry-points"]["datafast.kinds"]
    kinds = {"riddle": "riddles.kind:RiddleDataset", **points}
    modules = {"riddles/__init__.py": "", "riddles/kind.py": RIDDLES}
    modules |= {path.removeprefix("src/"): code for path, code in WRITTEN.items() if path.startswith("src/")}
    lines = [f"{name} = {place}" for name, place in kinds.items()]
    offer("others", modules, entry_points="\n".join(["[datafast.kinds]", *lines]))


@pytest.fixture
def bench(kind: str, tmp_path: Path) -> Iterator[Bench]:
    return Bench(kind, tmp_path / "one", SPEC, {})


def test_every_kind_is_under_contract() -> None:
    assert set(CASES_OF.values()) == set(kind_names())
    counted = {name for name, kind in CASES_OF.items() if "num_rows" in load_kind(kind).config_model.model_fields}
    assert counted == set(COUNTED)
    assert {name for name, kind in CASES_OF.items() if "personas" in load_kind(kind).config_model.model_fields} == set(
        WITH_PERSONAS
    )


@every_kind
def test_a_plan_is_counted_repeatable_and_the_same_from_yaml_and_python(bench: Bench) -> None:
    project = bench.project
    plan = project.dataset().plan_for(project.routes)
    assert len(plan) == ITEMS
    items = [plan[position] for position in range(ITEMS)]
    uuids = [item.row_uuid(number) for item in items for number in range(item.num_rows)]
    assert len(set(uuids)) == plan.num_rows == len(uuids)

    of_kind = load_kind(CASES_OF[bench.kind])
    in_python = of_kind(of_kind.config_model(**bench.fields))
    again = in_python.plan_for(project.routes)
    assert list(again.keys()) == list(plan.keys()) == [item.key for item in items]
    assert again.fingerprint == plan.fingerprint
    # A dumped config tells only what data of the user's in memory is, so that is given again.
    data = {name: bench.fields[name] for name in of_kind.config_model.input_fields if name in bench.fields}
    dumped = in_python.config.model_dump(mode="json") | data
    assert list(of_kind(of_kind.config_model(**dumped)).plan_for(project.routes).keys()) == list(plan.keys())
    assert [again[position].num_rows for position in range(ITEMS)] == [item.num_rows for item in items]
    providers = CASES[bench.kind].providers(provider_from_spec(bench.spec))
    assert in_python.get_num_expected_rows(providers) == plan.num_rows


@every_kind
def test_rows_are_valid_complete_and_made_again_without_a_request(bench: Bench) -> None:
    bench = replace(bench, spec={"provider": "openai", "model_id": "gpt-6-luna"})
    report = bench.run(offline=True)
    dataset, rows = bench.project.dataset(), bench.rows
    assert report.requested == report.written == dataset.plan_for(bench.project.routes).num_rows >= ITEMS
    assert len({row["uuid"] for row in rows}) == len(rows)
    for row in rows:
        assert json.loads(dataset.written_model.model_validate(row).model_dump_json()) == row
    if bench.kind in WITH_PERSONAS:  # whose metadata are known before, so that no stage writes over them
        assert {name for row in rows for name in row["metadata"]} <= dataset.config.metadata_names

    before = bench.output.read_bytes()
    assert bench.run(offline=True).calls == 0
    assert bench.output.read_bytes() == before
    bench.output.unlink()
    report = bench.run(offline=True)
    assert (report.calls, report.written) == (0, len(rows))
    assert same_rows(bench.rows, rows)


@every_kind
@pytest.mark.parametrize("budget", ["max_calls", "max_tokens", "budget_usd"])
def test_a_budget_holds_and_a_larger_one_ends_in_the_rows_of_one_run(bench: Bench, budget: str, tmp_path: Path) -> None:
    whole = bench.run()
    used = {
        "max_calls": whole.calls,
        "max_tokens": whole.input_tokens + whole.output_tokens,
        "budget_usd": whole.cost_usd,
    }
    allowed = {
        **used,
        "max_calls": whole.calls // 2,
        "max_tokens": used["max_tokens"] // 2,
        "budget_usd": used["budget_usd"] / 2,
    }
    cut = bench.changed(tmp_path / "cut", run={budget: allowed[budget]})
    first = cut.run()
    spent = {
        "max_calls": first.calls,
        "max_tokens": first.input_tokens + first.output_tokens,
        "budget_usd": first.cost_usd,
    }
    assert first.stop_cause is StopCause.BUDGET
    assert 0 < spent[budget] <= allowed[budget]
    assert first.written < whole.written
    rest = bench.changed(tmp_path / "cut").run()
    assert first.calls + rest.calls == whole.calls
    assert same_rows(cut.rows, bench.rows)


def killed_run(kind: str, folder: str, site: str, at: int, **changes: Any) -> None:
    """A run whose process is gone when so many requests were sent."""
    sys.path.insert(0, site)
    installed.cache_clear()
    sent, own = itertools.count(1), SimulatedBackend.complete

    async def complete(backend: SimulatedBackend, request: Request) -> Response:
        if next(sent) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return await own(backend, request)

    SimulatedBackend.complete = complete  # type: ignore[method-assign]
    Bench(kind, Path(folder), SPEC, changes).run()


@every_kind
def test_a_run_whose_process_was_killed_ends_in_the_rows_of_one_run(
    bench: Bench, children: ForkServer, tmp_path: Path
) -> None:
    whole = bench.run()
    killed = bench.changed(tmp_path / "killed")
    arguments = {"kind": bench.kind, "folder": str(killed.folder), "site": str(tmp_path / "site-others")}
    died = children.run("tests.datasets.test_contract:killed_run", **arguments, at=whole.calls // 2)
    assert died == -signal.SIGKILL
    rest = killed.run()
    assert rest.calls <= whole.calls
    assert rest.written == whole.written
    assert same_rows(killed.rows, bench.rows)


@every_kind
def test_the_manifest_tells_the_file_and_its_rows_are_rebuilt_byte_for_byte(bench: Bench, tmp_path: Path) -> None:
    bench = bench.changed(run={"ordered": True})
    report = bench.run()
    dataset = bench.project.dataset()
    told = dataset.manifest
    assert told["output"]["sha256"] == hashlib.sha256(bench.output.read_bytes()).hexdigest()
    assert told["counts"]["written"] == report.written
    assert told["row"]["fields"] == list(bench.rows[0])
    made = dataset.replay(tmp_path / "again.jsonl")
    assert made.rows == report.written
    assert (tmp_path / "again.jsonl").read_bytes() == bench.output.read_bytes()


@every_kind
@pytest.mark.parametrize("inputs", [None, "none"])
def test_a_card_is_made_of_it_with_no_more_of_the_inputs_than_is_wanted(bench: Bench, inputs: str | None) -> None:
    bench.changed(card={"license": "mit", "inputs": inputs}).run()
    folder = bench.folder / "card"
    text = load(bench.output).card(folder / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["license"] == "mit"
    assert f"{len(bench.rows):,} rows of synthetic data" in text
    shown = re.findall(r"\]\((figures/[\w-]+\.svg)\)", text)
    assert sorted(shown) == sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.svg"))
    drawn = [(folder / place).read_text(encoding="utf-8") for place in shown]
    for picture in drawn:
        ElementTree.fromstring(picture)
    table = text.split("## Columns")[1].split("\n\n")[1].splitlines()[2:]
    assert len(table) == len(bench.rows[0])
    if inputs == "none":
        told = "\n".join([text.split("## How it was generated")[1], *drawn]).replace("\\", "")
        assert [given for given in _texts(bench.fields) if " " in given and given in told] == []


def _texts(value: Any) -> Iterator[str]:
    """The texts in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner)


@every_kind
def test_each_row_is_explained_with_what_was_asked(bench: Bench) -> None:
    bench.run()
    dataset = bench.project.dataset()
    for line in (1, ITEMS // 2, len(bench.rows)):
        row = bench.rows[line - 1]
        told = dataset.explain(row["uuid"])
        assert (told.state, told.line, told.row) == ("written", line, row)
        assert told.values
        assert told.calls
        assert all(call["messages"] and call["used"] for call in told.calls if call["attempts"])


@every_kind
def test_a_limit_holds_and_the_rest_comes_later(bench: Bench, tmp_path: Path) -> None:
    whole = bench.run()
    limited = bench.changed(tmp_path / "limited")
    assert limited.run(limit=3).written == 3 * whole.written // ITEMS
    rest = limited.run()
    assert rest.written == whole.written
    assert same_rows(limited.rows, bench.rows)


@pytest.mark.parametrize("kind", COUNTED)
def test_a_number_of_rows_is_exact_and_more_rows_keep_those_that_are_there(bench: Bench) -> None:
    assert bench.changed(num_rows=7).run().written == 7
    few = {row["uuid"]: row for row in bench.rows}
    more = bench.changed(num_rows=20)
    assert more.run().written == 20
    assert {uuid: row for row in more.rows if (uuid := row["uuid"]) in few} == few


@pytest.mark.parametrize("kind", WITH_PERSONAS)
def test_a_target_is_met_by_language_and_a_higher_one_keeps_what_is_there(bench: Bench) -> None:
    odd = [{"stage": "keep_if", "expression": "uuid[0] in '13579bdf'"}]
    asked = "languages" in CASES[bench.kind].fields
    few = bench.changed(quality=odd, target_rows={"by": "language", "each": 3} if asked else 6)
    assert few.run().written == 6
    assert not asked or sorted(row["language"] for row in bench.rows) == ["en"] * 3 + ["fr"] * 3
    rows = {row["uuid"]: row for row in bench.rows}
    assert few.run().calls == 0
    more = bench.changed(quality=odd, target_rows={"by": "language", "each": 5} if asked else 10)
    assert more.run().written == 10
    assert {row["uuid"]: row for row in more.rows if row["uuid"] in rows} == rows


@every_kind
def test_what_has_lost_all_rows_is_bought_again_until_nothing_is_missing(bench: Bench) -> None:
    some = bench.changed(quality=[{"stage": "keep_if", "expression": "uuid[0] in '12345'"}])
    report = some.run()
    kept, calls = {row["uuid"]: row for row in some.rows}, 0
    for _ in range(40):
        try:
            more = some.run(fill=True)
        except DatafastWarning:  # nothing is missing
            break
        calls += more.calls
        assert more.requested > report.requested
        report, rows = more, {row["uuid"]: row for row in some.rows}
        assert {uuid: rows[uuid] for uuid in kept} == kept
        kept = rows
    else:
        raise AssertionError("something is missing after 40 further draws")
    assert report.written >= 20
    assert calls > 0
    assert some.run().calls == 0
    assert some.rows == list(kept.values())


@every_kind
def test_every_prompt_and_system_message_reaches_the_server(
    bench: Bench, fault_server: FaultServer, tmp_path: Path
) -> None:
    prompts = CASES[bench.kind].prompts
    named = {
        name
        for name in load_kind(CASES_OF[bench.kind]).config_model.model_fields
        if re.search(r"(?<!per_)prompts?$", name)
    }
    assert named <= {name for fields in prompts for name in fields}
    spec = {"provider": "openai_compatible", "model_id": "m", "api_base": fault_server.url}
    for number, fields in enumerate(prompts):
        fault_server.requests.clear()
        report = replace(bench, spec=spec).changed(tmp_path / str(number), **fields).run(limit=4)
        assert report.calls == len(fault_server.requests) > 0
        assert report.failed == 0
        sent = {True: "", False: ""}
        for request in fault_server.requests:
            for message in request.json["messages"]:
                sent[message["role"] == "system"] += message["content"] + "\n"
        for mark in re.findall(r"mark:[\w-]+", json.dumps(fields)):
            is_system = mark.startswith("mark:system")
            assert mark in re.findall(r"mark:[\w-]+", sent[is_system])
            assert mark not in sent[not is_system]


@pytest.mark.parametrize("kind", WITH_CANDIDATES)
def test_the_best_of_several_is_the_same_after_a_kill_and_another_judge_buys_only_the_judging(
    bench: Bench, children: ForkServer, tmp_path: Path
) -> None:
    def choice(judge: str) -> Fields:
        return {"best_of_n": {"n": 2, "judge": {"providers": [{**SPEC, "model_id": judge}], "rubric": "Is it true?"}}}

    chosen = bench.changed(num_rows=12, **choice("j"))
    whole = chosen.run()
    assert (whole.written + whole.filtered, whole.failed) == (12, 0)
    for row in chosen.rows:
        told = row["metadata"]["best_of_n"]
        assert (told["n"], len(told["scores"])) == (2, 2)
        assert told["scores"][told["chosen"]] == max(told["scores"])
    judged = whole.usage_by_provider["simulated/j"].calls
    assert chosen.project.estimate(chosen.project.dataset()).calls == 0

    killed = chosen.changed(tmp_path / "killed")
    arguments = {"kind": bench.kind, "folder": str(killed.folder), "site": str(tmp_path / "site-riddles")}
    children.run("tests.datasets.test_contract:killed_run", **arguments, at=whole.calls // 2, **killed.changes)
    killed.run()
    assert same_rows(killed.rows, chosen.rows)

    again = chosen.changed(**choice("k")).run(on_change=lambda ahead: ahead.calls == judged)
    assert again.stop_cause is None
    assert {name: used.calls for name, used in again.usage_by_provider.items()} == {"simulated/k": judged}


@pytest.mark.parametrize("pair", ["all", "random", "cycle"])
@pytest.mark.parametrize("kind", WITH_PERSONAS)
def test_personas_and_seed_texts_reach_the_server_with_every_prompt_of_an_item(
    bench: Bench, pair: str, fault_server: FaultServer
) -> None:
    spec = {"provider": "openai_compatible", "model_id": "m", "api_base": fault_server.url}
    paired = replace(bench, spec=spec).changed(personas=PERSONAS, seed_texts=SEED_TEXTS, pair=pair)
    of_kind = load_kind(CASES_OF[bench.kind])
    plan = paired.project.dataset().plan_for(paired.project.routes)
    items = [plan[position] for position in range(len(plan))]
    assert len(items) == ITEMS * (6 if pair == "all" else 1)
    assert [item.key for item in items] == list(plan.keys())
    in_python = of_kind(of_kind.config_model(**paired.fields))
    assert list(in_python.plan_for(paired.project.routes).keys()) == list(plan.keys())

    report = paired.run(limit=6)
    assert report.failed == 0
    sent = ["\n".join(one["content"] for one in request.json["messages"]) for request in fault_server.requests]
    for row in paired.rows:
        assert any(row["metadata"]["persona"] in text and row["metadata"]["seed_text"] in text for text in sent)
    assert {row["metadata"]["persona"] for row in paired.rows} <= set(PERSONAS)
    assert paired.run(limit=6).calls == 0


@pytest.mark.parametrize("kind", [kind for kind in WITH_PERSONAS if kind != "ultrachat"])  # chats have their own ones
def test_prompts_that_tell_no_persona_are_refused_and_those_that_do_are_sent(
    bench: Bench, fault_server: FaultServer, tmp_path: Path
) -> None:
    of_kind, own = load_kind(CASES_OF[bench.kind]), CASES[bench.kind].prompts[0]
    plain = bench.changed(**own, personas=PERSONAS)
    with pytest.raises(ValueError, match=r"\{persona\} is missing, and personas are given"):
        of_kind.config_model(**plain.fields)
    field = of_kind.config_model.prompts_field
    prompts = [f"{text} mark:{{persona}}" for text in own[field]]
    spec = {"provider": "openai_compatible", "model_id": "m", "api_base": fault_server.url}
    replace(plain, spec=spec).changed(tmp_path / "told", **{field: prompts}).run(limit=3)
    sent = "\n".join(one["content"] for request in fault_server.requests for one in request.json["messages"])
    assert any(f"mark:{person}" in sent for person in PERSONAS)


@every_kind
def test_prompts_of_ones_own_give_every_row_offline_for_the_calls_that_were_estimated(
    bench: Bench, tmp_path: Path
) -> None:
    of_kind = load_kind(CASES_OF[bench.kind])
    for number, fields in enumerate(CASES[bench.kind].prompts):
        own = bench.changed(tmp_path / str(number), **fields)
        project = own.project
        in_python = of_kind(of_kind.config_model(**own.fields))
        keys = [list(dataset.plan_for(project.routes).keys()) for dataset in (project.dataset(), in_python)]
        assert keys[0] == keys[1]
        estimated = project.estimate(project.dataset()).calls
        report = own.run()
        # What a simulated judge thinks is chance; nothing else may be filtered.
        chance = report.filtered_by_stage.get("pair", {}).get("the degraded response is judged better", 0)
        assert report.written == report.requested - chance
        assert estimated == report.calls
        assert own.run().calls == 0


@every_kind
def test_statistics_count_what_the_report_counts_and_groups_add_up(bench: Bench) -> None:
    faults = dict.fromkeys(("empty", "refused", "short", "truncated"), 0.05)
    faulty = replace(bench, spec={**SPEC, "faults": faults}).changed(run={"retry_delay_s": 0.001})
    report = faulty.run()
    found = faulty.project.dataset().statistics()
    total = found.total
    assert (found.requested, total.rows, total.filtered, total.failed, found.pending) == (
        report.requested,
        report.written,
        report.filtered,
        report.failed,
        0,
    )
    assert (total.calls, total.output_tokens, total.cost_usd) == (
        report.calls,
        report.output_tokens,
        pytest.approx(report.cost_usd),
    )
    assert total.words is not None
    assert total.words.p50 >= 1
    assert found.notes == []
    for grouping in found.by:
        groups = [*grouping.groups, *(group for group in (grouping.others, grouping.unknown) if group is not None)]
        assert sum(group.cost_usd or 0 for group in groups) == pytest.approx(total.cost_usd)
        for count in ("rows", "filtered", "failed"):
            counted = sum(getattr(group, count) for group in groups)
            assert counted == getattr(total, count) or (grouping.overlaps and counted > getattr(total, count))
    if "languages" in faulty.fields:
        assert found.grouping("language").unknown is None


@every_kind
def test_rows_are_exported_in_every_format_that_they_can_be_read_as(bench: Bench, tmp_path: Path) -> None:
    bench.run()
    rows, found = bench.rows, load(bench.output)
    shapes = [name for name, form in FORMATS.loaded().items() if isinstance(form, type) and name not in CONTAINERS]
    can = [name for name in format_names(found.written_model) if name in shapes and name not in WITH_OPTIONS]
    if "tools" in found.written_model.model_fields:
        can = [name for name in can if name not in WITHOUT_CALLS]
    typed = [name for name in can if not FORMATS.load(name).containers or "parquet" in FORMATS.load(name).containers]
    written = found.export(tmp_path / "typed", typed, container="parquet") if typed else []
    assert [parquet.read_table(done.path).num_rows for done in written] == [done.records for done in written]
    if plain := [name for name in can if name not in typed]:
        written += found.export(tmp_path / "plain", plain)
    for done in written:
        assert (done.rows, done.left_out.total()) == (len(rows), 0)
        assert (done.records % len(rows), done.records > 0) == (0, True)
    for name in set(shapes).difference(can, WITH_OPTIONS, WITHOUT_CALLS):
        with pytest.raises(ConfigError, match=f"The format {name} (is for rows with|has no place for)"):
            found.export(tmp_path / name, name)
    assert rows_of(found.to_jsonl(tmp_path / "again")) == rows
    assert parquet.read_table(found.to_parquet(tmp_path / "rows")).num_rows == len(rows)


@every_kind
def test_what_failed_is_tried_again_and_the_rest_is_kept(bench: Bench) -> None:
    faults = dict.fromkeys(("connection", "empty", "invalid_json", "refused", "schema_violation", "short"), 0.05)
    faulty = replace(bench, spec={**SPEC, "faults": faults}).changed(run={"retry_delay_s": 0.001})
    first = faulty.run()
    rows = {row["uuid"]: row for row in faulty.rows}
    assert first.pending == 0
    assert faulty.run().calls == 0
    again = faulty.run(retry_failed=True)
    assert again.pending == 0
    assert {row["uuid"]: row for row in faulty.rows}.items() >= rows.items()
    faulty.output.unlink()
    made_again = faulty.run()
    assert (made_again.calls, made_again.written) == (0, again.written)

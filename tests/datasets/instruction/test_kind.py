"""The instruction kind: what its prompts are made of, who is asked, rows and counts, judging, and what a changed config buys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from datafast.config_files.loader import load_project
from datafast.llms import OpenAIProvider, SimulatedProvider
from datafast.schema.config import InstructionDatasetConfig, RunConfig
from datafast.schema.data_rows import InstructionRow
from tests.datasets.instruction.support import ANSWER, HARDER, TASK, instructions, model
from tests.support import assert_balanced, requests_in, rows_of, same_rows

SEEDS: list[Any] = [
    "Explain a tide.",
    {"instruction": "Sort these.", "input": "boat, ship"},
    "Plan a trip.",
    "Find the mistake.",
]


def prompts(folder: Path) -> list[str]:
    return [prompt for _, prompt in requests_in(folder / "requests")]


# -- what instructions are made of


def test_numbers_in_front_of_instructions_are_left_out(tmp_path: Path) -> None:
    dataset = instructions(tmp_path, topics=["Sea"], num_samples_per_prompt=2, with_input="never")
    dataset.generate([model(tmp_path, tasks=["1. Explain a tide.", "2. Sort these."])])
    assert [row.instruction for row in dataset.data_rows] == ["Explain a tide.", "Sort these."]


def test_topics_give_instructions_with_responses(tmp_path: Path) -> None:
    dataset = instructions(tmp_path, topics={"Sea": ["Tides", "Ice"]}, num_samples_per_prompt=2, with_input="sometimes")
    tasks = ["Explain a tide.", {"instruction": "Sort these.", "input": " boat, ship "}]
    tasks = [task if isinstance(task, dict) else {"instruction": task, "input": "N/A"} for task in tasks]
    provider = model(tmp_path, tasks=tasks)
    assert dataset.get_num_expected_rows([provider]) == 4
    dataset.generate([provider])
    assert assert_balanced(dataset.report).written == 4
    assert dataset.report is not None
    assert dataset.report.calls == 6
    row = next(row for row in dataset.data_rows if row.instruction == "Sort these." and row.metadata["topic"] == "Ice")
    told = row.model_dump(mode="json")
    assert told.pop("uuid")
    assert told == {
        "instruction": "Sort these.",
        "input": "boat, ship",
        "response": ANSWER,
        "instruction_source": "synthetic",
        "original_instruction": None,
        "original_input": None,
        "evolutions": [],
        "score": None,
        "judgements": [],
        "instruction_model_id": "simulated/m",
        "evolution_model_id": None,
        "response_model_id": "simulated/m",
        "language": "en",
        "metadata": {"topic": "Ice", "topic_path": "Sea > Ice", "prompt_index": 0},
    }
    assert {row.input for row in dataset.data_rows} == {None, "boat, ship"}
    assert sorted(prompts(tmp_path))[:4] == ["Explain a tide."] * 2 + ["Sort these.\n\nboat, ship"] * 2


def test_each_seed_task_leads_a_prompt_with_others_that_are_drawn(tmp_path: Path) -> None:
    dataset = instructions(tmp_path, seed_tasks=SEEDS, num_samples_per_prompt=1, num_seed_tasks=3, with_input="never")
    dataset.generate([model(tmp_path, tasks=["Tie a knot."])])
    assert assert_balanced(dataset.report).written == 4
    asked = [prompt for prompt in prompts(tmp_path) if "<task>" in prompt]
    assert [prompt.count("<task>") for prompt in asked] == [3] * 4
    assert any("<task>\nSort these.\n\n<input>\nboat, ship\n</input>\n</task>" in prompt for prompt in asked)
    for row in dataset.data_rows:
        (shown,) = [prompt for prompt in asked if prompt.partition("<task>\n")[2].startswith(row.metadata["seed_task"])]
        assert "exactly 1" in shown


def test_topics_and_seed_tasks_meet_in_one_prompt(tmp_path: Path) -> None:
    dataset = instructions(
        tmp_path,
        topics=["Ice", "Tides"],
        seed_tasks=SEEDS,
        num_seed_tasks=2,
        num_samples_per_prompt=1,
        with_input="never",
    )
    dataset.generate([model(tmp_path, tasks=["Tie a knot."])])
    asked = [prompt for prompt in prompts(tmp_path) if "<task>" in prompt]
    assert [prompt.count("<task>") for prompt in asked] == [2, 2]
    assert [sum(f"topic: {topic}" in prompt for prompt in asked) for topic in ("Ice", "Tides")] == [1, 1]


def test_a_seed_task_that_comes_back_is_missing_and_asked_for_again(tmp_path: Path) -> None:
    fields: dict[str, Any] = {"seed_tasks": ["Explain a tide."], "num_samples_per_prompt": 2, "with_input": "never"}
    provider = model(tmp_path, tasks=[" explain  a TIDE. ", "Tie a knot.", "Tie a  knot."])
    dataset = instructions(tmp_path, **fields).generate([provider])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failures) == (1, {"short_reply": 1})
    topped = instructions(tmp_path / "topped", **fields, run=RunConfig(top_up=True))
    topped.generate([model(tmp_path, tasks=["Explain a tide.", "Tie a knot.", "Coil a rope."])])
    assert assert_balanced(topped.report).written == 2


@pytest.mark.parametrize("form", ["jsonl", "csv", "source"])
def test_tasks_come_from_files_and_sources(tmp_path: Path, form: str) -> None:
    rows = [{"instruction": "Sort these.", "input": "boat, ship"}, {"instruction": "Plan a trip.", "input": ""}]
    path = tmp_path / f"tasks.{'csv' if form == 'csv' else 'jsonl'}"
    if form == "csv":
        path.write_text('instruction,input\nSort these.,"boat, ship"\nPlan a trip.,\n', encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    given: Any = {"source": path, "where": "input"} if form == "source" else path
    dataset = instructions(tmp_path, instructions=given).generate([model(tmp_path)])
    assert {(row.instruction, row.input) for row in dataset.data_rows} == {
        ("Sort these.", "boat, ship"),
        *([] if form == "source" else [("Plan a trip.", None)]),
    }
    assert {row.instruction_model_id for row in dataset.data_rows} == {None}


def test_a_task_that_is_edited_is_the_only_one_that_is_bought_again(tmp_path: Path) -> None:
    instructions(tmp_path, instructions=["One.", "Two.", "Three."]).generate([model(tmp_path)])
    edited = instructions(tmp_path, instructions=["One.", "Two!", "Three."])
    edited.generate([model(tmp_path)], on_change=lambda _: True)
    assert assert_balanced(edited.report).calls == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"topics": None}, "topics: Give topics, seed_tasks, or both"),
        ({"topics": []}, "topics: The list is empty."),
        ({"topics": ["a"], "num_seed_tasks": 2}, "num_seed_tasks: There are no seed_tasks to show."),
        ({"instructions": ["a"], "topics": ["a"]}, "topics: The instructions are given, so none are written."),
        ({"instructions": ["a"], "num_samples_per_prompt": 2}, "num_samples_per_prompt: The instructions are given"),
        ({"seed_tasks": [{"task": "a", "other": "b"}]}, "has no column 'instruction', but task, other."),
        ({"seed_tasks": ["a", " "]}, "seed_tasks: "),
        ({"topics": ["a"], "prompts": ["{num_samples} {language_name}"]}, "{topic} is missing"),
        ({"topics": ["a"], "response_prompt": "Answer."}, "response_prompt: {instruction} is missing"),
        ({"topics": ["a"], "system_prompt": {"judge": "x"}}, "system_prompt: There is no role 'judge'."),
        ({"topics": ["a"], "judge": {"min_score": 6}}, "min_score: 6 is not between min, 1, and max, 5."),
        (
            {"topics": ["a"], "judge": {"providers": {"response": "openai/x"}}},
            "providers.response: This is another role.",
        ),
        ({"topics": ["a"], "judge": {"prompt": "{instruction}"}}, "judge.prompt: {response} is missing"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        InstructionDatasetConfig(output_file=tmp_path / "out.jsonl", **fields)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("with_input", "inputs"), [("never", {None}), ("sometimes", {None, "boat"}), ("always", {"boat"})]
)
def test_inputs_are_as_the_config_says(tmp_path: Path, with_input: Any, inputs: set[str | None]) -> None:
    tasks = [{"instruction": "Sort these.", "input": "boat"}, {"instruction": "Plan.", "input": "None"}]
    tasks = [{"instruction": task["instruction"]} for task in tasks] if with_input == "never" else tasks
    run = RunConfig(max_parse_retries=0)
    dataset = instructions(tmp_path, topics=["a"], num_samples_per_prompt=2, with_input=with_input, run=run)
    dataset.generate([model(tmp_path, tasks=tasks)])
    assert_balanced(dataset.report)
    assert {row.input for row in dataset.data_rows} == inputs


def test_offline_runs_have_inputs_and_evolutions_that_mostly_stand(tmp_path: Path) -> None:
    dataset = instructions(
        tmp_path,
        topics=[f"crane {n}" for n in range(20)],
        evolution={"rounds": 2},
        languages={"en": "English", "de": "German"},
    )
    dataset.generate([OpenAIProvider(model_id="gpt-6-luna")], offline=True)
    report = assert_balanced(dataset.report)
    assert (report.written, report.calls) == (120, 40 + 120 * 3)
    steps = [step for row in dataset.data_rows for step in row.evolutions]
    assert sum(step.dropped is not None for step in steps) < len(steps) / 4
    assert any(row.input for row in dataset.data_rows)


# -- who is asked


def test_one_provider_does_all_or_one_in_each_role(tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        "topics": ["a"],
        "num_samples_per_prompt": 1,
        "evolution": {},
        "judge": {},
    }
    dataset = instructions(tmp_path / "list", **fields)
    dataset.generate([SimulatedProvider("a"), SimulatedProvider("b")])
    assert {row.response_model_id for row in dataset.data_rows} == {"simulated/a", "simulated/b"}

    dataset = instructions(tmp_path / "roles", **fields)
    assert dataset.config.roles == ["instruction", "evolution", "response", "judge"]
    dataset.generate({role: SimulatedProvider(role) for role in dataset.config.roles})
    (row,) = dataset.data_rows
    assert (row.instruction_model_id, row.evolution_model_id, row.response_model_id) == (
        "simulated/instruction",
        "simulated/evolution",
        "simulated/response",
    )
    assert [said.model_id for said in row.judgements] == ["simulated/judge"]


def test_judges_of_their_own_stand_beside_a_list_and_beside_roles(tmp_path: Path) -> None:
    judge = {"providers": {"strict": "simulated/s", "mild": SimulatedProvider("m")}}
    fields: dict[str, Any] = {"topics": ["a"], "num_samples_per_prompt": 1, "judge": judge}
    roles = {"instruction": SimulatedProvider("a"), "response": SimulatedProvider("b")}
    for name, providers, rows in (("list", list(roles.values()), 2), ("roles", roles, 1)):
        dataset = instructions(tmp_path / name, **fields, system_prompt={"strict": "Be strict."})
        assert dataset.config.roles == ["instruction", "response"]
        assert dataset.estimate(providers).calls == 4 * rows
        dataset.generate(providers)
        assert assert_balanced(dataset.report).written == rows
        for row in dataset.data_rows:
            judged = [(said.judge, said.model_id) for said in row.judgements]
            assert judged == [("strict", "simulated/s"), ("mild", "simulated/m")]


def test_another_model_in_a_role_buys_only_what_follows_from_it(tmp_path: Path) -> None:
    fields: dict[str, Any] = {"topics": ["a", "b"], "num_samples_per_prompt": 1, "judge": {}}
    given = {role: SimulatedProvider(role) for role in ("instruction", "response", "judge")}
    assert assert_balanced(instructions(tmp_path, **fields).generate(given).report).calls == 6
    other = instructions(tmp_path, **fields)
    other.generate({**given, "judge": SimulatedProvider("other")}, on_change=lambda _: True)
    assert assert_balanced(other.report).calls == 2
    asked = instructions(tmp_path, **{**fields, "judge": {"prompt": "{instruction} {response}"}})
    asked.generate({**given, "judge": SimulatedProvider("other")}, on_change=lambda _: True)
    assert assert_balanced(asked.report).calls == 2
    evolved = instructions(tmp_path, **fields, evolution={"rounds": 1})
    evolved.generate({**given, "evolution": SimulatedProvider("evolution")}, on_change=lambda _: True)
    assert assert_balanced(evolved.report).calls == 6  # of the first run's, the instructions stay


def test_yaml_takes_roles_and_says_which_one_is_missing(tmp_path: Path) -> None:
    config = {"kind": "instruction", "topics": ["a"], "judge": {}, "providers": {"instruction": "simulated/a"}}
    (tmp_path / "c.yaml").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(Exception, match=r"No provider is given for response, judge\."):
        load_project(tmp_path / "c.yaml")


# -- judging


def test_scores_and_reasons_are_in_the_row_and_low_ones_are_filtered_at_no_cost(tmp_path: Path) -> None:
    given = {"topics": [f"topic {n}" for n in range(12)], "num_samples_per_prompt": 1}
    judge = {"providers": ["simulated/one", "simulated/two"]}
    dataset = instructions(tmp_path, **given, judge=judge)
    roles = dict.fromkeys(dataset.config.roles, SimulatedProvider("m"))
    dataset.generate(roles)
    assert assert_balanced(dataset.report).written == 12
    for row in dataset.data_rows:
        scores = [said.score for said in row.judgements]
        assert len(scores) == 2
        assert row.score == sum(scores) / 2
        assert all(said.reason for said in row.judgements)
    low = sum(row.score < 3 for row in dataset.data_rows if row.score is not None)
    assert 0 < low < 12
    strict = instructions(tmp_path / "strict", **given, judge={**judge, "min_score": 3}).generate(roles)
    report = assert_balanced(strict.report)
    assert (report.filtered, report.written) == (low, 12 - low)
    assert report.filtered_by_stage == {"score": {"score below 3": low}}


def test_judges_see_the_task_its_input_and_a_rubric_of_ones_own(tmp_path: Path) -> None:
    dataset = instructions(
        tmp_path,
        instructions=[{"instruction": "Sort these.", "input": "boat"}],
        judge={"rubric": {1: "bad", 5: "good"}},
    )
    dataset.generate([model(tmp_path)])
    (asked,) = [prompt for prompt in prompts(tmp_path) if "scores mean" in prompt]
    assert "<task>\nSort these.\n\n<input>\nboat\n</input>\n</task>" in asked
    assert f"<response>\n{ANSWER}\n</response>" in asked
    assert "What the scores mean:\n1: bad\n5: good" in asked


# -- the same rows, whatever happens


def test_shuffled_replies_give_the_same_rows(tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        "topics": [f"topic {n}" for n in range(6)],
        "seed_tasks": SEEDS,
        "evolution": {"rounds": 2, "keep": "all", "information_gain": "model"},
        "judge": {},
    }
    one = instructions(tmp_path / "one", **fields, run=RunConfig(max_concurrency=1))
    one.generate([SimulatedProvider("m")])
    many = instructions(tmp_path / "many", **fields, run=RunConfig(max_concurrency=16))
    many.generate([SimulatedProvider("m", latency_jitter_s=0.005)])
    assert same_rows(rows_of(tmp_path / "one" / "out.jsonl"), rows_of(tmp_path / "many" / "out.jsonl"))


def test_rows_of_given_instructions_need_no_writer(tmp_path: Path) -> None:
    dataset = instructions(tmp_path, evolution={"rounds": 1, "breadth": 0, "depth": ["constraints"]})
    assert dataset.config.roles == ["evolution", "response"]
    dataset.generate([model(tmp_path)])
    (row,) = dataset.data_rows
    assert isinstance(row, InstructionRow)
    assert (row.instruction, row.original_instruction, row.response) == (HARDER, TASK, ANSWER)
    assert len(prompts(tmp_path)) == 2

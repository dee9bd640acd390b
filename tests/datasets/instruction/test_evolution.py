"""Evolution: which operations are drawn, what is dropped and why, a row for each round, and the rules by themselves."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from datafast.datasets.instruction.rows import Task
from datafast.datasets.instruction.rules import why_evolution_fails, why_response_fails
from datafast.llms import SimulatedProvider
from datafast.schema.config import InstructionDatasetConfig, RunConfig
from tests.datasets.instruction.support import ANSWER, HARDER, TASK, instructions, model
from tests.support import assert_balanced, requests_in, rows_of

REFUSAL = "I'm sorry, but I cannot help with that."
GAINED = "nothing is gained"


def evolved(folder: Path, *, fields: dict[str, Any] | None = None, provider: Any = None, **evolution: Any) -> Any:
    given = {"breadth": 0, "depth": ["constraints"], **evolution}
    dataset = instructions(folder, evolution=given, **(fields or {}))
    return dataset.generate([provider or model(folder)])


# -- what is drawn


def test_operations_are_drawn_by_the_seed_and_stay_where_rounds_are_added(tmp_path: Path) -> None:
    tasks = [f"Explain crane {n}." for n in range(40)]
    for name, rounds, seed in (("a", 3, 0), ("b", 3, 0), ("c", 4, 0), ("d", 3, 1)):
        dataset = instructions(
            tmp_path / name,
            instructions=tasks,
            evolution={"rounds": rounds},
            run=RunConfig(max_concurrency=8, seed=seed),
        )
        dataset.generate([SimulatedProvider("m")])
    drawn = {
        name: {
            row["original_instruction"]: [step["operation"] for step in row["evolutions"]][:3]
            for row in rows_of(tmp_path / name / "out.jsonl")
        }
        for name in "abcd"
    }
    assert drawn["a"] == drawn["b"] == drawn["c"] != drawn["d"]
    counts = Counter(name for names in drawn["a"].values() for name in names)
    assert set(counts) == {"constraints", "deepening", "concretizing", "reasoning", "complicate_input", "breadth"}
    assert 0.1 < counts["breadth"] / counts.total() < 0.35


def test_another_round_buys_only_that_round_and_what_follows(tmp_path: Path) -> None:
    evolved(tmp_path, provider=SimulatedProvider("m"), rounds=1)
    dataset = instructions(tmp_path, evolution={"rounds": 2, "breadth": 0, "depth": ["constraints"]})
    dataset.generate([SimulatedProvider("m")], on_change=lambda _: True)
    assert assert_balanced(dataset.report).calls == 2  # the second round, and the response


@pytest.mark.parametrize(
    ("operation", "given", "row"),
    [
        ("constraints", None, (HARDER, None)),
        ("constraints", "a table", (HARDER, "a table")),
        ("complicate_input", "a table", (HARDER, "12 boxes, 3 cranes")),
        ("breadth", "a table", (HARDER, "12 boxes, 3 cranes")),
    ],
)
def test_only_operations_on_inputs_and_in_breadth_change_the_input(
    tmp_path: Path, operation: str, given: str | None, row: tuple[str, str | None]
) -> None:
    ways: dict[str, Any] = {"breadth": 1, "depth": None} if operation == "breadth" else {"depth": [operation]}
    task = {"instruction": TASK, **({"input": given} if given else {})}
    dataset = evolved(tmp_path, fields={"instructions": [task], "with_input": "sometimes"}, **ways)
    assert [(row.instruction, row.input) for row in dataset.data_rows] == [row]
    (step,) = dataset.data_rows[0].evolutions
    assert (step.operation, step.dropped, dataset.data_rows[0].original_input) == (operation, None, given)


def test_without_inputs_there_are_none_after_breadth_either(tmp_path: Path) -> None:
    fields = {"instructions": [{"instruction": TASK, "input": "a table"}], "with_input": "never"}
    dataset = evolved(tmp_path, fields=fields, breadth=1, depth=None)
    assert dataset.data_rows[0].input is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"evolution": {"depth": ["complicate_input"]}, "with_input": "never"},
            "There are no inputs for complicate_input",
        ),
        ({"evolution": {"depth": ["constraints"], "breadth": 1}}, "depth: All rounds go in breadth."),
        ({"evolution": {"depth": ["constraints", "constraints"]}}, "An operation is given twice."),
        ({"evolution": {"gain_prompt": "{first} {second}"}}, "gain_prompt: It is not used without"),
        (
            {"evolution": {"breadth": 0, "prompts": {"breadth": "{instruction}"}}},
            "evolution.prompts.breadth: This operation",
        ),
        ({"evolution": {"prompts": {"deepening": "x"}}}, "evolution.prompts.deepening: {instruction} is missing"),
        (
            {"evolution": {"information_gain": "model", "gain_prompt": "{first}"}},
            "evolution.gain_prompt: {second} is missing",
        ),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        InstructionDatasetConfig(topics=["a"], output_file=tmp_path / "out.jsonl", **fields)
    assert said in str(refused.value)


# -- what is dropped


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"evolved": TASK.upper()}, GAINED),
        ({"evolved": f"Please {TASK}"}, GAINED),
        ({"evolved": "And so on, if you will ..."}, "the instruction says nothing"),
        ({"evolved": f"{HARDER} This is the rewritten prompt."}, "it has words of the prompt"),
        ({"evolved": f"Here is a task for an AI assistant: {HARDER}"}, "it has words of the prompt"),
        ({"evolved": "I'm sorry, but I can't help with rewriting that."}, "the instruction is a refusal"),
        ({"evolved": "I’m sorry, but I can’t help with rewriting that."}, "the instruction is a refusal"),
    ],
)
def test_an_evolution_that_fails_is_dropped_and_the_one_before_is_answered(
    tmp_path: Path, said: dict[str, Any], why: str
) -> None:
    dataset = evolved(tmp_path, provider=model(tmp_path, **said))
    report = assert_balanced(dataset.report)
    assert (report.written, report.filtered, report.calls) == (1, 0, 2)
    (row,) = dataset.data_rows
    assert (row.instruction, row.original_instruction, row.response) == (TASK, TASK, ANSWER)
    assert [(step.instruction, step.dropped) for step in row.evolutions] == [(said["evolved"], why)]


def test_words_of_a_prompt_of_ones_own_may_stand_in_what_comes_of_it(tmp_path: Path) -> None:
    asked = f"{TASK} The answer has at most one hundred words."
    own = {"constraints": "{instruction}\n\nAdd that the answer has at most one hundred words."}
    dataset = evolved(tmp_path, provider=model(tmp_path, evolved=asked), depth=["constraints"], prompts=own)
    assert [row.instruction for row in dataset.data_rows] == [asked]


@pytest.mark.parametrize("label", ["New task: ", "**Instruction:** ", "Task:\n"])
def test_what_stands_in_front_of_an_instruction_is_left_out(tmp_path: Path, label: str) -> None:
    dataset = evolved(tmp_path, provider=model(tmp_path, evolved=f"{label}{HARDER}"))
    assert [row.instruction for row in dataset.data_rows] == [HARDER]


def test_json_in_an_instruction_is_asked_again(tmp_path: Path) -> None:
    said = iter([json.dumps({"instruction": HARDER}), HARDER])
    dataset = evolved(tmp_path, provider=model(tmp_path, evolved=lambda prompt: next(said)))
    assert [row.instruction for row in dataset.data_rows] == [HARDER]
    assert assert_balanced(dataset.report).retries == 1


def test_what_was_dropped_does_not_go_on(tmp_path: Path) -> None:
    again = f"{HARDER} Name three dangers."

    rounds = iter([f"Please {TASK}", HARDER, again])
    dataset = evolved(tmp_path, provider=model(tmp_path, evolved=lambda prompt: next(rounds)), rounds=3)
    (row,) = dataset.data_rows
    assert [step.dropped for step in row.evolutions] == [GAINED, None, None]
    assert row.instruction == again
    about = [prompt.partition("<task>\n")[2].partition("\n")[0] for _, prompt in requests_in(tmp_path / "requests")]
    assert about[:3] == [TASK, TASK, HARDER]


@pytest.mark.parametrize(
    ("response", "why"), [(REFUSAL, "the response refuses"), ("It is ...", "the response says nothing")]
)
def test_an_evolution_whose_response_fails_is_dropped_and_the_one_before_is_answered(
    tmp_path: Path, response: str, why: str
) -> None:
    again = f"{HARDER} Name three dangers."
    provider = model(
        tmp_path,
        evolved=lambda prompt: again if HARDER in prompt else HARDER,
        response=lambda prompt: response if "dangers" in prompt else ANSWER,
    )
    dataset = evolved(tmp_path, provider=provider, rounds=2)
    report = assert_balanced(dataset.report)
    assert (report.written, report.calls) == (1, 4)
    (row,) = dataset.data_rows
    assert (row.instruction, row.response) == (HARDER, ANSWER)
    assert [step.dropped for step in row.evolutions] == [None, why]


def test_a_first_instruction_that_is_refused_is_a_row_because_nothing_stands_before_it(tmp_path: Path) -> None:
    dataset = evolved(tmp_path, provider=model(tmp_path, response=REFUSAL))
    (row,) = dataset.data_rows
    assert (row.instruction, row.response) == (TASK, REFUSAL)
    assert [step.dropped for step in row.evolutions] == ["the response refuses"]


@pytest.mark.parametrize(("same", "stands"), [(True, TASK), (False, HARDER)])
def test_a_model_says_whether_anything_is_gained(tmp_path: Path, same: bool, stands: str) -> None:
    fields: dict[str, Any] = {"information_gain": "model", "gain_prompt": "Compare {first} with {second}"}
    dataset = evolved(tmp_path, provider=model(tmp_path, same=same), **fields)
    (row,) = dataset.data_rows
    assert (row.instruction, row.evolutions[0].dropped) == (stands, GAINED if same else None)
    assert f"Compare {TASK} with {HARDER}" in [prompt for _, prompt in requests_in(tmp_path / "requests")]


def test_a_model_is_not_asked_about_what_the_words_tell(tmp_path: Path) -> None:
    dataset = evolved(tmp_path, provider=model(tmp_path, evolved=TASK), information_gain="model")
    assert assert_balanced(dataset.report).calls == 2


# -- a row for each round


def test_each_round_has_a_row_and_a_failed_one_is_filtered_with_its_reason(tmp_path: Path) -> None:
    again = f"{HARDER} Name three dangers."
    rounds = iter([f"Please {TASK}", HARDER, again])
    provider = model(
        tmp_path, evolved=lambda prompt: next(rounds), response=lambda prompt: REFUSAL if prompt == again else ANSWER
    )
    ways = {"rounds": 3, "keep": "all", "breadth": 0, "depth": ["constraints"]}
    dataset = instructions(tmp_path, evolution=ways, judge={"min_score": 2})
    assert dataset.get_num_expected_rows([provider]) == 4
    dataset.generate([provider])
    report = assert_balanced(dataset.report)
    assert (report.requested, report.written) == (4, 2)
    assert report.filtered_by_stage == {"evolution": {GAINED: 1, "the response refuses": 1}}
    rows = sorted(dataset.data_rows, key=lambda row: len(row.evolutions))
    assert [row.instruction for row in rows] == [TASK, HARDER]
    assert [step.dropped for step in rows[1].evolutions] == [GAINED, None]
    assert report.calls == 3 + 3 + 2  # evolutions; responses but to what is dropped; judgements of what stands


def test_a_number_of_rows_may_end_between_two_rounds(tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        "topics": ["a", "b"],
        "num_samples_per_prompt": 2,
        "evolution": {"rounds": 2, "keep": "all"},
    }
    few = instructions(tmp_path, **fields, num_rows=8)
    assert few.get_num_expected_rows([SimulatedProvider("m")]) == 8
    few.generate([SimulatedProvider("m")])
    report = assert_balanced(few.report)
    assert (report.requested, report.failed) == (8, 0)
    kept = {row["uuid"]: row for row in rows_of(tmp_path / "out.jsonl")}
    more = instructions(tmp_path, **fields, num_rows=12).generate([SimulatedProvider("m")], on_change=lambda _: True)
    assert assert_balanced(more.report).requested == 12
    assert {row["uuid"]: row for row in rows_of(tmp_path / "out.jsonl")}.items() >= kept.items()


def test_a_row_that_fails_leaves_the_others_and_is_tried_again(tmp_path: Path) -> None:
    provider = SimulatedProvider("m", faults={"refused": 0.15})
    fields: dict[str, Any] = {"topics": [f"t {n}" for n in range(8)], "evolution": {"rounds": 2, "keep": "all"}}
    dataset = instructions(tmp_path, **fields).generate([provider])
    first = assert_balanced(dataset.report)
    assert first.failed
    assert first.written
    again = instructions(tmp_path, **fields).generate(
        [SimulatedProvider("m")], retry_failed=True, on_change=lambda _: True
    )
    assert assert_balanced(again.report).failed == 0


# -- the rules


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ("Write a poem.", "Write a poem in French.", None),
        ("Write a poem.", "write a  POEM!", GAINED),
        ("Write a poem.", "Compose a poem.", GAINED),
        ("Schreibe ein Gedicht.", "Schreibe ein Gedicht über Ebbe und Flut.", None),
        ("潮汐について説明して", "潮汐について子供に説明して", None),
        ("潮汐について説明して", "潮汐について説明して。", GAINED),
        ("Do it.", "... and ?!", "the instruction says nothing"),
        ("Write a poem.", "Here is the #Rewritten Prompt#: write a poem on love", "it has words of the prompt"),
        ("What is a given prompt?", "What is a given prompt, and how does a model read it?", None),
        ("Write a poem.", "<task>Write a poem about the wide sea</task>", "it has words of the prompt"),
    ],
)
def test_why_an_evolution_fails(before: str, after: str, why: str | None) -> None:
    assert why_evolution_fails(Task(before), Task(after)) == why


@pytest.mark.parametrize(
    ("response", "why"),
    [
        ("42", None),
        ("Yes.", None),
        ("?!", "the response says nothing"),
        ("It is, and so on.", "the response says nothing"),
        (REFUSAL, "the response refuses"),
        ("As an AI language model, I do not have feelings.", "the response refuses"),
        ("Unfortunately, I can't browse.", "the response refuses"),
        ("Je suis désolé, mais je ne peux pas vous aider.", "the response refuses"),
        ("Es tut mir leid, dabei kann ich nicht helfen.", "the response refuses"),
        ("Ich kann dir dabei leider nicht helfen.", "the response refuses"),
        ("Lo siento, no puedo ayudar.", "the response refuses"),
        ("Mi dispiace, non posso.", "the response refuses"),
        ("Desculpe, não posso ajudar.", "the response refuses"),
        ("I’m sorry, but I can’t help with that.", "the response refuses"),
        ("申し訳ありませんが、お手伝いできません。", "the response refuses"),
        ("The captain said he was sorry.", None),
        (f"I'm sorry to hear that. {'Here is what to do next. ' * 20}", None),
    ],
)
def test_why_a_response_fails(response: str, why: str | None) -> None:
    assert why_response_fails(response) == why

"""The best of several instructions with their responses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datafast.llms.base import Request
from tests.datasets.instruction.support import ANSWER, Told, instructions
from tests.support import CountingProvider, assert_balanced, requests_in, rows_of


@pytest.mark.parametrize("by_role", [False, True])
def test_where_no_judge_is_named_who_writes_responses_judges_them(tmp_path: Path, by_role: bool) -> None:
    def reply(request: Request) -> str:
        prompt = request.messages[-1]["content"]
        if "Judge this" in prompt:
            return json.dumps({"reason": "so", "score": 5 if "the second" in prompt else 2})
        return f"{ANSWER} This is {['the first', 'the second', 'the third'][request.again]} answer."

    dataset = instructions(tmp_path, best_of_n={"n": 3, "judge": {"rubric": "Is it right?"}})
    model = CountingProvider("r", log=tmp_path / "log", reply=reply)
    given: Any = {"response": model} if by_role else [model]
    assert_balanced(dataset.generate(given).report)
    (row,) = rows_of(tmp_path / "out.jsonl")
    assert row["response"] == f"{ANSWER} This is the second answer."
    assert row["metadata"]["best_of_n"] == {"n": 3, "chosen": 1, "scores": [2, 5, 2]}
    assert len(requests_in(tmp_path / "log")) == 6
    assert dataset.generate(given).report.calls == 0  # type: ignore[union-attr]


def test_a_check_may_look_at_what_the_judges_of_the_kind_say(tmp_path: Path) -> None:
    told = Told(score=2)
    model = CountingProvider("m", log=tmp_path / "log", reply=told)
    dataset = instructions(tmp_path, judge={"rubric": "Is it right?"}, best_of_n={"n": 2, "check": "score >= 3"})
    report = assert_balanced(dataset.generate([model]).report)
    assert report.failures == {"rejected": 1}
    told._score = 4
    assert assert_balanced(dataset.generate([model], retry_failed=True).report).written == 1

"""Which of two files models prefer: judged blind, in both orders, recorded, and only until it is clear."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from datafast.errors import ConfigError, DatafastWarning, RunStopped
from datafast.llms.base import Request
from datafast.schema.config import RunConfig
from datafast.sources import SourceRows, open_source
from datafast.statistics.pairs import Pairs
from datafast.statistics.verdicts import Judging, Verdicts, judge_pairs
from tests.support import CountingProvider, requests_in, rows_of


def _source(by: str, qualities: list[int], *, rows: int = 200, seed: int = 1) -> SourceRows:
    rng = random.Random(f"{by} {seed}")
    made = [
        {
            "uuid": f"{by} {number}",
            "text": f"text {rng.random()} of quality {rng.choice(qualities)}",
            "model_id": f"secret-{by}",
            "metadata": {"topic": f"topic {number}"},
        }
        for number in range(rows)
    ]
    return open_source(made, field="rows")


class _Judge:
    """A judge that sees the quality, and gives the text that stands first `bias` more."""

    def __init__(self, folder: Path, *, bias: int = 0, name: str = "j") -> None:
        self.log = folder / f"requests of {name}"
        self.prompts: list[str] = []
        self.bias = bias
        self.provider = CountingProvider(name, log=self.log, reply=self._reply)

    def _reply(self, request: Request) -> str:
        prompt = request.messages[-1]["content"]
        self.prompts.append(prompt)
        first, second = map(int, re.findall(r"quality (\d)", prompt))
        scores = {"first_score": min(5, first + self.bias), "second_score": second}
        return json.dumps({"first_reason": "so", "second_reason": "so", **scores})

    @property
    def calls(self) -> int:
        return len(requests_in(self.log)) if self.log.exists() else 0


def _judged(folder: Path, judge: _Judge, one: SourceRows, other: SourceRows, **how: Any) -> Verdicts:
    return judge_pairs(Pairs(one, other), Judging(judges=[judge.provider], file=folder / "verdicts.jsonl", **how))


def test_a_better_file_wins_early_and_what_was_paid_for_is_found_again(tmp_path: Path) -> None:
    judge = _Judge(tmp_path)
    one, other = _source("a", [1, 2]), _source("b", [3, 4])
    found = _judged(tmp_path, judge, one, other)
    assert (found.win_rate, found.preferred, found.stopped) == (1.0, "b", "winner")
    assert (found.pairs, found.wins_a, found.wins_b, found.ties) == (20, 0, 20, 0)
    assert found.low > 0.5
    assert (found.calls, found.failed, found.matched) == (40, 0, "values")
    assert judge.calls == 40
    assert len(rows_of(tmp_path / "verdicts.jsonl")) == 20
    assert _judged(tmp_path, judge, one, other) == found
    assert judge.calls == 40
    swapped = judge_pairs(Pairs(other, one), Judging(judges=[judge.provider], file=tmp_path / "swapped.jsonl"))
    assert (swapped.win_rate, swapped.preferred) == (0.0, "a")


def test_files_that_are_alike_are_judged_as_often_as_wanted_and_more_goes_on_from_there(tmp_path: Path) -> None:
    judge = _Judge(tmp_path)
    one, other = _source("a", [2, 3, 4]), _source("b", [2, 3, 4])
    found = _judged(tmp_path, judge, one, other, max_pairs=50)
    assert (found.pairs, found.stopped, found.preferred) == (50, "max_pairs", None)
    assert found.low < 0.5 < found.high
    assert found.wins_a + found.wins_b + found.ties == 50
    assert judge.calls == 100
    more = _judged(tmp_path, judge, one, other, max_pairs=70)
    assert more.pairs == 70
    assert judge.calls == 140
    fewer = _judged(tmp_path, judge, one, other, max_pairs=50)
    assert fewer.model_copy(update={"calls": 100}) == found  # the 20 more are kept
    assert judge.calls == 140
    every = _judged(tmp_path, judge, one, other, max_pairs=1000)
    assert every.stopped == "no_more_pairs" or every.preferred is not None


def test_a_judge_that_favours_the_first_place_decides_nothing_by_it(tmp_path: Path) -> None:
    judge = _Judge(tmp_path, bias=2)
    found = _judged(tmp_path, judge, _source("a", [2]), _source("b", [2]), max_pairs=40)
    assert (found.win_rate, found.ties, found.unsteady) == (0.5, 40, 40)
    assert found.preferred is None


def test_a_judge_sees_what_was_asked_for_both_orders_and_no_names(tmp_path: Path) -> None:
    judge = _Judge(tmp_path)
    found = _judged(
        tmp_path, judge, _source("a", [1], rows=3), _source("b", [5], rows=3), rubric={1: "dull", 5: "sharp"}
    )
    assert (found.pairs, found.stopped) == (3, "no_more_pairs")
    assert not any("secret" in prompt for prompt in judge.prompts)
    assert all("1: dull\n5: sharp" in prompt for prompt in judge.prompts)
    assert sum("topic: topic 1" in prompt for prompt in judge.prompts) == 2
    firsts = sorted(re.findall(r"First:\n.* of quality (\d)", "\n".join(judge.prompts)))
    assert firsts == ["1"] * 3 + ["5"] * 3


def test_another_rubric_and_another_judge_buy_their_own_verdicts_and_keep_the_others(tmp_path: Path) -> None:
    judge, other = _Judge(tmp_path), _Judge(tmp_path, name="other")
    files = _source("a", [1], rows=3), _source("b", [5], rows=3)
    _judged(tmp_path, judge, *files)
    _judged(tmp_path, judge, *files, rubric="Which is shorter?")
    assert judge.calls == 12
    _judged(tmp_path, other, *files)
    _judged(tmp_path, judge, *files)
    assert (judge.calls, other.calls) == (12, 6)
    assert len(rows_of(tmp_path / "verdicts.jsonl")) == 9


def test_several_judges_count_with_the_mean_of_their_scores(tmp_path: Path) -> None:
    judge, other = _Judge(tmp_path), _Judge(tmp_path, name="other")
    pairs = Pairs(_source("a", [1], rows=4), _source("b", [4], rows=4))
    how = Judging(judges=[judge.provider, other.provider], file=tmp_path / "verdicts.jsonl")
    found = judge_pairs(pairs, how)
    assert (found.calls, found.judges) == (16, ["simulated/j", "simulated/other"])
    assert [len(row["judgements"]) for row in rows_of(tmp_path / "verdicts.jsonl")] == [2] * 4


def test_pairs_of_the_same_text_are_counted_and_not_judged(tmp_path: Path) -> None:
    judge = _Judge(tmp_path)
    rows = [{"text": f"text {number} of quality 3", "uuid": str(number)} for number in range(10)]
    changed = [
        {**row, "text": f"better {number} of quality 5"} if number < 4 else row for number, row in enumerate(rows)
    ]
    found = _judged(tmp_path, judge, open_source(rows, field="a"), open_source(changed, field="b"))
    assert (found.matched, found.same, found.pairs, found.wins_b) == ("uuid", 6, 4, 4)
    with pytest.raises(ConfigError, match="nothing to judge"):
        _judged(tmp_path, judge, open_source(rows, field="a"), open_source(rows, field="b"))


def test_a_judge_of_the_family_that_wrote_one_of_the_files_is_told(tmp_path: Path) -> None:
    judge = _Judge(tmp_path, name="gpt-6")
    files = [_source(by, [3], rows=3) for by in ("gpt-5", "mistral-large")]
    with pytest.warns(DatafastWarning, match="gpt-6 is of a family that wrote rows of a alone"):
        found = judge_pairs(Pairs(*files), Judging(judges=[judge.provider], file=tmp_path / "v.jsonl"))
    assert found.partial == {"simulated/gpt-6": "a"}
    both = [_source(by, [3], rows=3) for by in ("gpt-5", "gpt-4")]
    assert judge_pairs(Pairs(*both), Judging(judges=[judge.provider], file=tmp_path / "w.jsonl")).partial == {}


def test_pairs_without_a_verdict_count_as_failed(tmp_path: Path) -> None:
    judge = _Judge(tmp_path)
    inner = judge._reply
    judge.provider.reply = lambda request: (
        "no" if "topic: topic 1\n" in request.messages[-1]["content"] else inner(request)
    )
    found = _judged(tmp_path, judge, _source("a", [1], rows=4), _source("b", [5], rows=4))
    assert (found.pairs, found.failed) == (3, 1)


def test_a_budget_that_is_used_up_stops_it_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    judge = _Judge(tmp_path)
    files = _source("a", [3]), _source("b", [3])
    with pytest.raises(RunStopped):
        _judged(tmp_path, judge, *files, max_pairs=40, run=RunConfig(max_calls=50))
    assert judge.calls == 50
    found = _judged(tmp_path, judge, *files, max_pairs=40)
    assert (found.pairs, judge.calls) == (40, 80)


def test_what_cannot_be_asked_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    files = _source("a", [1], rows=2), _source("b", [5], rows=2)
    judge = _Judge(tmp_path)
    for how, match in (
        ({"judges": []}, "judges: expected a list"),
        ({"judges": "openai/gpt-4.1"}, "judges: expected a list"),
        ({"max_pairs": 0}, "max_pairs: expected at least 1"),
        ({"rubric": {9: "best"}}, r"rubric: .*9 is not between"),
        ({"rubric": " "}, r"rubric: .*blank"),
    ):
        with pytest.raises(ConfigError, match=match):
            judge_pairs(Pairs(*files), Judging(**{"judges": [judge.provider], "file": tmp_path / "v.jsonl", **how}))
    assert judge.calls == 0


def test_equal_texts_alone_say_how_others_are_matched(tmp_path: Path) -> None:
    judge = _Judge(tmp_path)
    files = [open_source([{"uuid": "one", "text": "the same"}], field="rows") for _ in range(2)]
    with pytest.raises(ConfigError, match=r"say the same, .* Match them in another way"):
        _judged(tmp_path, judge, *files)


def test_a_judge_is_not_told_whether_a_person_or_a_model_wrote_a_text() -> None:
    files = [
        open_source([{"text": f"text of {who}", "text_source": who}], field="rows")
        for who in ("seed_file", "synthetic")
    ]
    (pair,) = Pairs(*files)
    assert (pair.one, pair.other) == ("text of seed_file", "text of synthetic")

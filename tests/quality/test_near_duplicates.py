"""Rows that are nearly the same as an earlier row, or as one of another file."""

from __future__ import annotations

import json
import random
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError, create_model

from datafast.cli.main import cli
from datafast.errors import ConfigError
from datafast.llms.base import Request
from datafast.quality.near_duplicates import NearDuplicatesStage
from tests.quality.test_shingles import runs
from tests.support import CountingProvider, assert_balanced, raw, requests_in, rows_of

pytestmark = pytest.mark.filterwarnings("ignore:All .* rows were filtered")


def decided(rows: list[dict[str, Any]], **fields: Any) -> list[tuple[str, float | None]]:
    """The reason and the score of each row; '' for those that are kept."""
    names: Any = {name: (Any, None) for row in rows for name in row}
    model: type[BaseModel] = create_model("Row", **names)
    stage = NearDuplicatesStage(**fields)
    stage.check(model)
    walk = stage.walk()
    found: list[tuple[str, float | None]] = []
    for features in stage.features([model(**row) for row in rows]):
        verdict = walk.decide(features)
        found.append((verdict.reason, verdict.score))
        if verdict.keeps:
            walk.keep(features)
    return found


def kept(texts: list[str], **fields: Any) -> list[int]:
    return [
        number for number, (reason, _) in enumerate(decided([{"text": text} for text in texts], **fields)) if not reason
    ]


@lru_cache(maxsize=1000)
def runs_of(text: str, ngram: int) -> set[Any]:
    return set(runs([text], ngram))


def similarity(one: str, other: str, ngram: int) -> float:
    first, second = runs_of(one, ngram), runs_of(other, ngram)
    return len(first & second) / len(first | second) if first or second else 0.0


WORDS = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "lmnrs"]


def prose(chance: random.Random, count: int) -> list[str]:
    return chance.choices(WORDS, k=count)


def changed(words: list[str], share: float, chance: random.Random) -> list[str]:
    """A copy with some of the words replaced, dropped or doubled."""
    made: list[str] = []
    for word in words:
        if chance.random() >= share:
            made.append(word)
        elif (how := chance.random()) < 0.6:
            made.append(chance.choice(WORDS))
        elif how < 0.8:
            made += [word, word]
    return made


@given(st.integers(0, 2**32), st.sampled_from([0.5, 0.8, 0.9]), st.sampled_from([1, 2, 3]))
@settings(max_examples=10, deadline=None)
def test_verdicts_are_those_of_a_comparison_of_all_pairs(seed: int, threshold: float, ngram: int) -> None:
    chance = random.Random(seed)
    bases = [prose(chance, chance.choice((3, 12, 60, 150))) for _ in range(4)]
    texts = [
        " ".join(changed(chance.choice(bases), chance.choice((0, 0.01, 0.03, 0.1, 0.3)), chance)) for _ in range(40)
    ]
    found = decided([{"text": text} for text in texts], threshold=threshold, ngram=ngram)
    before: list[str] = []
    overlooked = 0
    for text, (reason, score) in zip(texts, found, strict=True):
        nearest = max((similarity(text, other, ngram) for other in before), default=0.0)
        if reason:
            assert reason == "near-duplicate of an earlier row"
            assert score is not None
            assert threshold <= score <= round(nearest, 4)
            assert score == max(
                round(similarity(text, other, ngram), 4)
                for other in before
                if abs(similarity(text, other, ngram) - score) < 1e-3
            )
        else:
            overlooked += nearest >= threshold
            before.append(text)
    assert overlooked <= 3


@pytest.mark.parametrize(
    "text",
    [
        "The tide comes in twice a day, and whoever lives there keeps a boat beside the bed and a lamp in the window for the others.",
        "潮水一天涨落两次，住在滩涂上的人床边总放着一条小船，窗前总点着一盏灯，好让别人夜里也能找到回家的路。",
        "يأتي المد مرتين في اليوم، ومن يسكن قرب الشاطئ يبقي قاربا بجانب سريره ومصباحا في نافذته ليهتدي به الآخرون في الليل.",
        "ज्वार दिन में दो बार आता है, और जो लोग किनारे पर रहते हैं वे अपने बिस्तर के पास एक नाव और खिड़की में एक दीपक रखते हैं।",
        "น้ำทะเลขึ้นวันละสองครั้ง ผู้คนที่อาศัยอยู่ริมหาดจึงวางเรือไว้ข้างเตียงและจุดตะเกียงไว้ที่หน้าต่างเพื่อให้คนอื่นหาทางกลับบ้านได้",
        "潮は一日に二度満ちてくるので、干潟に住む人は寝床のそばに小舟を置き、窓辺に灯りをともして、ほかの人の帰り道を照らす。",
    ],
)
def test_a_copy_with_another_end_is_found_in_any_script(text: str) -> None:
    assert kept([text, text[:-3], text + " !", text[: len(text) // 2], text[::-1]]) == [0, 3, 4]


def test_of_a_chain_the_last_stays_if_the_middle_is_out() -> None:
    """A ~ B ~ C, but not A ~ C: C is compared with A alone, since B is out."""
    words = [f"w{number}" for number in range(40)]
    first, middle, last = (" ".join(words[start : start + 30]) for start in (0, 3, 6))
    assert similarity(first, middle, 2) >= 0.8 > similarity(first, last, 2)
    assert similarity(middle, last, 2) >= 0.8
    assert kept([first, middle, last]) == [0, 2]
    assert kept([middle, first, last]) == [0]


def test_texts_of_few_words_are_the_same_only_if_all_of_them_are() -> None:
    assert kept(["Yes", "yes!", "No", "yes yes", "", " ", "?!", "?!", "the red door", "the blue door", "The red door."]) == [
        0, 2, 3, 4, 5, 6, 7, 8, 9,
    ]  # fmt: skip


def test_all_texts_of_a_row_count_or_one_field() -> None:
    same = "the harbour is deep enough for large ships and has a crane"
    rows = [
        {"uuid": "1", "question": same, "answer": "Two of them can lie there at a time if the wind is not too strong."},
        {
            "uuid": "2",
            "question": same,
            "answer": "Nobody has measured it since the war, and the charts are old and wrong.",
        },
    ]
    assert [reason for reason, _ in decided(rows)] == ["", ""]
    assert [reason for reason, _ in decided(rows, field="question")] == ["", "near-duplicate of an earlier row"]
    assert decided(rows, field="question")[1][1] == 1.0


def test_long_texts_are_compared_whole() -> None:
    chance = random.Random(5)
    words = prose(chance, 100_000)
    text = " ".join(words)
    assert kept([text, f"And {text}", " ".join(words[:70_000]), " ".join(prose(chance, 100_000))], ngram=4) == [0, 2, 3]


# -- against


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


SENTENCES = [" ".join(prose(random.Random(number), 25)) for number in range(8)]


def test_rows_of_other_files_are_named_and_count_as_earlier(tmp_path: Path) -> None:
    one = written(tmp_path / "one.jsonl", [{"text": SENTENCES[0], "uuid": "a"}, {"text": SENTENCES[1], "uuid": "b"}])
    other = written(tmp_path / "other.jsonl", [{"body": SENTENCES[2], "title": SENTENCES[3]}])
    rows = [{"text": f"{text} ok"} for text in SENTENCES]
    source = {"source": str(other), "column": "body"}
    found = decided(rows, against=[str(one), source])
    assert [reason.removeprefix("near-duplicate of a row of ") for reason, _ in found] == [
        *([str(one)] * 2), str(other), "", "", "", "", "",
    ]  # fmt: skip
    assert decided(rows, against=str(one))[:2] == found[:2]
    assert [bool(reason) for reason, _ in decided(rows, against=[{"text": SENTENCES[7]}])] == [False] * 7 + [True]


def test_of_other_files_the_fields_count_that_rows_have_or_else_all(tmp_path: Path) -> None:
    question, answer, note = SENTENCES[:3]
    earlier = written(tmp_path / "a.jsonl", [{"question": question, "answer": answer, "note": note, "model_id": note}])
    row = {"question": question, "answer": answer, "model_id": "m"}
    assert decided([row], against=[earlier])[0][1] == 1.0
    assert decided([{"text": f"{question} {answer} {note}"}], against=[earlier])[0][1] == pytest.approx(0.97, abs=0.03)
    assert decided([{"question": note}], against=[earlier], field="question")[0][0] == ""


def test_what_other_files_hold_is_a_setting(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", [{"text": SENTENCES[0]}])
    first = NearDuplicatesStage(against=[path]).settings()
    assert NearDuplicatesStage(against=path).settings() == first
    written(path, [{"text": SENTENCES[1]}])
    assert NearDuplicatesStage(against=[path]).settings() != first
    written_down = NearDuplicatesStage(against={"source": path, "column": "text"}).model_dump(mode="json")
    assert NearDuplicatesStage(**written_down).settings()["against"][0][1] == "text"


@pytest.mark.parametrize(
    ("against", "message"),
    [
        (
            ["Some text that is no file."],
            "expected a file or a dataset with rows, got 'Some text that is no file.'. Write the texts",
        ),
        (["missing.jsonl"], "missing.jsonl"),
        ({"source": [{"text": "a"}], "column": "body"}, "has no column 'body'. Name the one with the texts"),
    ],
)
def test_what_is_no_source_is_refused(
    against: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValidationError) as refused:
        NearDuplicatesStage(against=against)
    assert message in str(refused.value)


def test_a_field_that_the_other_file_lacks_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^against: .* has no column 'text'\. Name the one with the texts"):
        decided([{"text": "a"}], field="text", against=[{"body": "a b c"}])


# -- in runs


def copies(request: Request) -> str:
    """Three texts of a topic; those of topics with the same number modulo four are nearly the same."""
    topic = int(request.messages[-1]["content"].split("topic ")[-1].split(".")[0])
    base = prose(random.Random(topic % 4), 90)
    return json.dumps({"texts": [" ".join([*base[place * 30 : place * 30 + 30], f"end{topic}"]) for place in range(3)]})


def generate(folder: Path, *, jitter: float = 0.0, limit: int | None = None, seed: int = 0, **fields: Any) -> Any:
    asked = CountingProvider("m", log=folder / "requests", reply=copies, latency_jitter_s=jitter)
    run = {"max_concurrency": 6, "seed": seed}
    stage = {"stage": "near_duplicates", **fields}
    dataset = raw(folder, topics=12, num_samples_per_prompt=3, quality=[stage], run=run).generate([asked], limit=limit)
    return assert_balanced(dataset.report)


def test_the_kept_rows_are_the_same_in_any_order_of_replies_and_after_any_stops(tmp_path: Path) -> None:
    whole = generate(tmp_path / "whole")
    assert (whole.written, whole.filtered) == (12, 24)
    assert whole.filtered_by_stage == {"near_duplicates": {"near-duplicate of an earlier row": 24}}
    expected = {row["text"] for row in rows_of(tmp_path / "whole/out.jsonl")}
    for number in range(3):
        parts = tmp_path / f"parts{number}"
        for limit in (2 + number, 7, None):
            generate(parts, jitter=0.02, limit=limit)
        assert {row["text"] for row in rows_of(parts / "out.jsonl")} == expected


def test_a_threshold_changed_and_changed_back_buys_nothing_and_gives_the_same_bytes(tmp_path: Path) -> None:
    generate(tmp_path)
    before, asked = (tmp_path / "out.jsonl").read_bytes(), requests_in(tmp_path / "requests")
    other = generate(tmp_path, threshold=1.0)
    assert (other.filtered, other.returned_at_end + other.returned) == (0, 24)
    assert generate(tmp_path).filtered == 24
    assert (tmp_path / "out.jsonl").read_bytes() == before
    assert requests_in(tmp_path / "requests") == asked


def test_a_file_of_another_tool_is_filtered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    texts = [f"{text} {number}" for number, text in enumerate([*SENTENCES, *SENTENCES])]
    written(Path("in.jsonl"), [{"text": text} for text in texts])
    written(Path("earlier.jsonl"), [{"text": SENTENCES[3]}])
    Path("q.yaml").write_text("quality: [{stage: near_duplicates, against: [earlier.jsonl]}]\n", encoding="utf-8")
    options = ["in.jsonl", "--quality", "q.yaml", "-o", "kept.jsonl", "--json"]
    found = json.loads(CliRunner().invoke(cli, ["filter", *options]).stdout)
    assert (found["kept"], found["filtered"]) == (7, 9)
    assert [row["text"] for row in rows_of(Path("kept.jsonl"))] == [text for text in texts[:8] if text != texts[3]]

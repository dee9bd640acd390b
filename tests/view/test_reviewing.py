"""Rows and pairs as reviewers get them, and what they decide, through a real server."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import datafast
from datafast.llms import SimulatedProvider
from tests.support import raw
from tests.view.client import Answer, Client, viewing


def row(number: int, **more: Any) -> dict[str, Any]:
    return {"uuid": f"u{number}", "text": f"Text {number}.", "stars": number % 5, **more}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return path


@pytest.fixture
def rows_file(tmp_path: Path) -> Path:
    return write(tmp_path / "rows.jsonl", [row(number) for number in range(7)])


@pytest.fixture
def client(rows_file: Path) -> Iterator[Client]:
    with viewing(rows_file, "review") as client:
        yield client


def look(client: Client, wanted: str = "open", start: int = 0, *, who: str = "ann", back: bool = False) -> Any:
    output = client.output("rows.jsonl")
    query = f"wanted={wanted}&from={start}&reviewer={who}{'&back=1' if back else ''}"
    return client.get(f"/api/o/{output}/review/row?{query}").json()


def post(client: Client, what: str, value: object) -> Answer:
    return client.post(f"/api/o/{client.output('rows.jsonl')}/{what}", value)


def decide(client: Client, shown: Any, action: str, *, who: str = "ann", wanted: str = "open", **more: Any) -> Answer:
    told = {"number": shown["number"], "row": shown["row"], "seen": shown["seen"]}
    return post(client, "review/decide", {"action": action, "reviewer": who, "wanted": wanted, **told, **more})


def test_each_reviewer_goes_through_the_rows_that_are_open_to_them(client: Client, rows_file: Path) -> None:
    for number in range(7):
        shown = look(client)
        assert shown["number"] == number
        assert f"Text {number}." in shown["html"]
        assert (
            decide(client, shown, "accept" if number % 2 else "reject", reason="" if number % 2 else "odd").status
            == 200
        )
    ended = look(client)
    assert ended["ended"]
    assert "html" not in ended
    assert (ended["rows"], ended["exact"], ended["reviewers"]) == (7, True, {"ann": 7})
    assert look(client, who="bea")["number"] == 0
    assert look(client, "accepted")["number"] == 1
    assert look(client, "accepted", 6, back=True)["number"] == 5
    assert look(client, "rejected", 1)["number"] == 2
    assert look(client, "rejected", 1)["state"]["reason"] == "odd"
    progress = datafast.load(rows_file).reviews().progress()
    assert (progress.accepted, progress.rejected, progress.reasons) == (3, 4, {"odd": 4})


def test_edits_labels_and_notes_are_kept_and_shown(client: Client, rows_file: Path) -> None:
    shown = look(client, start=3)
    assert shown["fields"] == [["text", "Text 3.", True], ["stars", "3", False]]
    assert decide(client, shown, "edit", fields={"text": "Better.", "stars": 5}).status == 200
    assert decide(client, look(client, "all", 3), "label", wanted="all", name="tone", value="warm").status == 200
    assert decide(client, look(client, "all", 3), "note", wanted="all", text="Ask Bea.").status == 200
    again = look(client, "edited")
    assert again["number"] == 3
    assert "Better." in again["html"]
    assert again["state"]["labels"] == {"tone": {"ann": "warm"}}
    assert [note["text"] for note in again["state"]["notes"]] == ["Ask Bea."]
    assert [state.current["text"] for state in datafast.load(rows_file).reviews().rows()][3] == "Better."
    assert json.loads(rows_file.read_text(encoding="utf-8").splitlines()[3]) == row(3)  # the file itself is a run's


def test_an_edit_of_one_value_rounds_no_number_beside_it(tmp_path: Path) -> None:
    held = {"id": 12345678901234567, "weight": 2.0, "topic": "ice"}
    path = write(tmp_path / "rows.jsonl", [{"uuid": "u0", "facts": held}])
    with viewing(path, "review") as client:
        shown = look(client)
        ((name, text, is_text),) = shown["fields"]
        assert (name, is_text) == ("facts", False)
        assert decide(client, shown, "edit", written={"facts": text.replace("ice", "tides")}).status == 200
    (edited,) = datafast.load(path).reviews().rows()
    assert edited.current["facts"] == {**held, "topic": "tides"}
    assert isinstance(edited.current["facts"]["weight"], float)


def test_nobody_decides_about_a_text_that_they_have_not_seen(client: Client, rows_file: Path) -> None:
    shown = look(client)
    assert decide(client, look(client, who="bea"), "edit", who="bea", fields={"text": "Another."}).status == 200
    refused = decide(client, shown, "accept")
    assert refused.status == 422
    assert "was edited since it was shown" in refused.json()["error"]["message"]
    assert decide(client, look(client), "accept").status == 200
    shown = look(client, "all", 1)
    write(rows_file, [row(number, text="Made again.") if number == 1 else row(number) for number in range(7)])
    assert decide(client, shown, "accept", wanted="all").status == 422
    assert datafast.load(rows_file).reviews().progress().by_reviewer["ann"].accepted == 1


def test_without_a_name_the_user_of_the_process_decides_and_undoes(client: Client) -> None:
    assert decide(client, look(client), "accept", who="").status == 200
    assert post(client, "review/undo", {"reviewer": None}).json()["record"]["action"] == "accept"


def test_undo_takes_back_what_this_reviewer_has_done_last(client: Client) -> None:
    decide(client, look(client), "accept")
    decide(client, look(client, who="bea"), "reject", who="bea", reason="dull")
    assert look(client, "disputed")["number"] == 0
    assert post(client, "review/undo", {"reviewer": "ann"}).json()["record"]["action"] == "accept"
    assert look(client)["number"] == 0
    assert post(client, "review/undo", {"reviewer": "ann"}).json() == {"record": None}
    assert look(client, "rejected")["number"] == 0


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"row": "u5"}, "another row stands here now"),
        ({"action": "burn"}, "action: 'burn' is none."),
        ({"number": 99}, "There is no row 100 any more."),
        ({"number": "0"}, "Say which row is meant."),
        ({"action": "edit", "fields": {"uuid": "x"}}, "uuid: It says which row it is"),
        ({"action": "edit", "written": {"stars": "4,"}}, "stars: This is not JSON"),
        ({"action": "edit", "written": {"stars": "NaN"}}, "stars: This is not JSON"),
        ({"action": "edit", "written": {"stars": "1" + "0" * 30}}, "Give a value that JSON can hold."),
        ({"action": "edit", "fields": [1]}, "Say which fields have which values."),
        ({"action": "edit", "fields": {"txt": "x"}}, "txt: Rows have no such field."),
        ({"reviewer": ["ann"]}, "reviewer: A text is expected."),
        ({"action": "note", "text": " "}, "text: A note is empty."),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_saved(
    client: Client, rows_file: Path, told: dict[str, Any], message: str
) -> None:
    shown = look(client)
    answer = post(
        client, "review/decide", {"action": "accept", "wanted": "open", "number": 0, "row": shown["row"], **told}
    )
    assert answer.status == 422
    assert message in answer.json()["error"]["message"]
    assert not rows_file.with_name("rows.jsonl.reviews").exists()


def test_a_row_that_somebody_has_edited_meanwhile_is_not_decided_about(client: Client) -> None:
    shown = look(client)
    decide(client, shown, "edit", who="bea", fields={"text": "New."})
    fresh = look(client)
    decide(client, fresh, "edit", who="cem", fields={"text": "Newer."})
    answer = decide(client, fresh, "accept")
    assert answer.status == 422
    assert "edited since it was shown" in answer.json()["error"]["message"]


def test_nothing_is_decided_without_the_permission(rows_file: Path) -> None:
    with viewing(rows_file) as client:
        shown = look(client, "all")
        assert shown["number"] == 0
        assert decide(client, shown, "accept").status == 403
        assert post(client, "pairs/prefer", {}).status == 403
        output = client.output("rows.jsonl")
        assert "--review" in client.get(f"/o/{output}/review").text
        assert f"/o/{output}/review" not in client.get(f"/o/{output}/rows").text
    assert not rows_file.with_name("rows.jsonl.reviews").exists()


def test_rows_of_other_tools_and_far_down_in_a_file(tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    table.write_text("text,stars\n" + "".join(f"Line {number},{number}\n" for number in range(3000)), encoding="utf-8")
    with viewing(table, "review") as client:
        output = client.output("rows.csv")
        shown = client.get(f"/api/o/{output}/review/row?wanted=open&from=2998&reviewer=ann").json()
        assert shown["number"] == 2998
        told = {"action": "reject", "wanted": "open", "number": 2998, "row": shown["row"], "reviewer": "ann"}
        assert client.post(f"/api/o/{output}/review/decide", told).status == 200
        assert client.get(f"/api/o/{output}/review/row?wanted=open&from=2998&reviewer=ann").json()["number"] == 2999
    assert datafast.load(table).reviews().progress().rejected == 1


# -- pairs


def following(client: Client, name: str, *, who: str = "ann", skip: str = "") -> Any:
    return client.get(f"/api/o/{client.output(name)}/pairs/next?reviewer={who}{skip and f'&skip={skip}'}").json()


def prefer(client: Client, name: str, pair: Any, better: str, *, who: str = "ann") -> Answer:
    told = {"pair": pair["name"], "rows": pair["rows"], "better": better, "reviewer": who}
    return client.post(f"/api/o/{client.output(name)}/pairs/prefer", told)


def test_responses_are_compared_without_telling_who_wrote_them(tmp_path: Path) -> None:
    rows = [
        {
            "uuid": f"p{number}",
            "question": f"Question {number}?",
            "chosen": f"Good answer {number}.",
            "rejected": f"Weak answer {number}.",
            "chosen_model_id": "openai/strong",
            "rejected_model_id": "openai/weak",
            "chosen_score": 9,
            "rejected_score": 2,
        }
        for number in range(12)
    ]
    path = write(tmp_path / "pairs.jsonl", rows)
    turned = set()
    with viewing(path, "review") as client:
        for left in range(12, 0, -1):
            told = following(client, "pairs.jsonl")
            assert (told["left"], told["pairs"], told["are_all"]) == (left, 12, True)
            pair = told["pair"]
            assert not any(
                word in json.dumps(pair["sides"] + [pair["common"]]) for word in ("openai", "score", "chosen")
            )
            assert "Question" in pair["common"]
            good = next(place for place, side in enumerate(pair["sides"]) if "Good" in side)
            turned.add(good)
            assert prefer(client, "pairs.jsonl", pair, ("left", "right")[good]).status == 200
        assert "pair" not in following(client, "pairs.jsonl")
        assert following(client, "pairs.jsonl", who="bea")["left"] == 12
        results = client.get(f"/api/o/{client.output('pairs.jsonl')}/pairs/results").json()
        undone = client.post(f"/api/o/{client.output('pairs.jsonl')}/review/undo", {"reviewer": "ann"})
        assert undone.json()["record"]["action"] == "prefer"
        assert following(client, "pairs.jsonl")["left"] == 1
    assert turned == {0, 1}  # either may stand on the left
    assert [(one["model"], one["wins"]) for one in results["models"]] == [("openai/strong", 12), ("openai/weak", 0)]
    assert (results["judged"], results["agreed"]) == (12, 1.0)


def test_models_are_compared_over_the_same_prompt(tmp_path: Path) -> None:
    rows = [
        {
            "uuid": f"{topic}-{model}",
            "text": f"{topic} by {number}",
            "model_id": model,
            "language": "en",
            "metadata": {"topic": topic},
        }
        for topic in ("ice", "tides")
        for number, model in enumerate(("x/one", "y/two", "x/one"))
    ]
    path = write(tmp_path / "models.jsonl", rows)
    with viewing(path, "review") as client:
        first = following(client, "models.jsonl")
        assert (first["left"], first["pairs"]) == (2, 2)
        assert "ice" in first["pair"]["common"] or "tides" in first["pair"]["common"]
        skipped = following(client, "models.jsonl", skip=first["pair"]["name"])
        assert skipped["pair"]["name"] != first["pair"]["name"]
        assert prefer(client, "models.jsonl", skipped["pair"], "tie").status == 200
        path.write_text("", encoding="utf-8")
        gone = prefer(client, "models.jsonl", first["pair"], "left")
        assert gone.status == 422
        assert "this pair is gone" in gone.json()["error"]["message"]


def test_pairs_are_compared_as_they_are_after_edits(tmp_path: Path) -> None:
    rows = [{"uuid": f"p{number}", "question": "Why?", "chosen": "Good.", "rejected": "Weak."} for number in range(2)]
    path = write(tmp_path / "pairs.jsonl", rows)
    with viewing(path, "review") as client:
        before = following(client, "pairs.jsonl")["pair"]
        datafast.load(path).reviews().edit(rows[int(before["rows"][0][0][1])], {"chosen": "Better."})
        refused = prefer(client, "pairs.jsonl", before, "left")
        assert refused.status == 422
        assert "texts have changed since they were shown" in refused.json()["error"]["message"]
        now = following(client, "pairs.jsonl")["pair"]
        assert any("Better." in side for side in now["sides"])
        assert prefer(client, "pairs.jsonl", now, "tie").status == 200


def test_reviewers_who_compare_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    rows = [{"uuid": f"p{number}", "question": "Why?", "chosen": "Good.", "rejected": "Weak."} for number in range(8)]
    path = write(tmp_path / "pairs.jsonl", rows)
    names = ("ann", "bea", "cid", "dan")

    def compare(client: Client, who: str) -> None:
        while (told := following(client, "pairs.jsonl", who=who))["left"]:
            assert prefer(client, "pairs.jsonl", told["pair"], "tie", who=who).status == 200

    with viewing(path, "review") as client, ThreadPoolExecutor() as pool:
        list(pool.map(lambda who: compare(client, who), names))
    found = datafast.load(path).reviews().decisions.preferences
    assert Counter(one.reviewer for one in found) == dict.fromkeys(names, 8)


def test_all_pairs_of_a_table_are_there_at_once(tmp_path: Path) -> None:
    table = tmp_path / "pairs.csv"
    lines = "".join(f"Why {number}?,Good {number}.,Weak {number}.\n" for number in range(3000))
    table.write_text(f"question,chosen,rejected\n{lines}", encoding="utf-8")
    with viewing(table, "review") as client:
        told = following(client, "pairs.csv")
        assert (told["pairs"], told["rows"]) == (3000, 3000)


def test_a_file_without_pairs_says_so(client: Client) -> None:
    assert following(client, "rows.jsonl") == {"left": 0, "pairs": 0, "rows": 7, "are_all": True}


def test_where_reviewers_disagree_the_rule_of_the_config_decides(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=1, disagreement="newest").generate([SimulatedProvider("m")], progress=False)
    made = dataset.data_rows[0]
    dataset.reviews().reject(made, "dull", reviewer="ann")
    dataset.reviews().accept(made, reviewer="bob")
    with viewing(tmp_path / "out.jsonl", "review") as client:
        output = client.output("out.jsonl")
        shown = client.get(f"/api/o/{output}/review/row?wanted=accepted&from=0&reviewer=cy").json()
    assert shown["row"] == made.uuid

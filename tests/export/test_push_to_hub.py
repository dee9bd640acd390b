"""Publishing: the real `huggingface_hub` and `datasets` clients against a Hub on loopback."""

from __future__ import annotations

import io
import json
import os
import random
import re
import subprocess
import sys
from enum import StrEnum
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any, Literal

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from datafast.errors import ConfigError, DatafastWarning, MissingKeyError, PublishError
from datafast.export import CardInfo, push_to_hub
from datafast.export.features import row_schema
from datafast.export.parquet import export_parquet
from tests.servers.hub_server import Fault, HubServer

if TYPE_CHECKING:
    from pathlib import Path


TOKEN = "hf_test_token"
REPO = "someone/things"


class TextRow(BaseModel):
    text: str = Field(description="The generated <text> | body")
    text_source: str
    model_id: str
    language: str
    uuid: str
    metadata: dict[str, str | int]


class Answer(BaseModel):
    text: str
    comment: str | None = None


class PreferenceRow(BaseModel):
    question: str
    chosen: Answer
    rejected: Answer | None = None
    chosen_score: int | None = None
    rejected_score: int | None = None
    labels: list[str]
    quality: float | None = None
    asked_on: str | None = None
    uuid: str


def text_rows(count: int) -> list[TextRow]:
    return [
        TextRow(
            text=f"row {number}\n🚀 語 \u2028 \x00 \"quotes\" 'and' \\",
            text_source="synthetic",
            model_id="openai/gpt-5-mini" if number % 2 else "anthropic/claude",
            language="fr" if number % 3 else "en",
            uuid=f"00000000-0000-4000-8000-{number:012d}",
            metadata={"topic": "2024-01-01", "number": number} if number % 2 else {"level": "5"},
        )
        for number in range(count)
    ]


def preference_rows(count: int) -> list[PreferenceRow]:
    return [
        PreferenceRow(
            question="2025-03-04T10:00:00",
            chosen=Answer(text="yes", comment=None if number % 2 else "good"),
            rejected=None if number % 3 else Answer(text="no"),
            chosen_score=None,
            rejected_score=number if number > 3 else None,
            labels=[] if number < 3 else ["a", "b"],
            quality=number / 3,
            asked_on="2024-05-06",
            uuid=f"u{number}",
        )
        for number in range(count)
    ]


def write(path: Path, rows: list[Any]) -> Path:
    path.write_bytes(b"".join(row.model_dump_json().encode() + b"\n" for row in rows))
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "texts.jsonl", text_rows(10))


def push(source: Path, **changes: Any) -> str:
    return push_to_hub(source, **{"row_model": TextRow, "repo_id": REPO, **changes})


def front(hub: HubServer) -> dict[str, Any]:
    return yaml.safe_load(card(hub).split("---\n")[1])


def card(hub: HubServer) -> str:
    return hub.repos[REPO].files["README.md"].decode()


def stored(hub: HubServer, split: str) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    files = sorted(path for path in hub.repos[REPO].files if path.startswith(f"data/{split}-"))
    return [row for path in files for row in pq.read_table(io.BytesIO(hub.repos[REPO].files[path])).to_pylist()]


def uuids(hub: HubServer, split: str) -> list[str]:
    return [row["uuid"] for row in stored(hub, split)]


def load(hub: HubServer, tmp_path: Path, *repos: str) -> dict[str, Any]:
    """What `datasets.load_dataset` gives for each repository in a fresh process: {repo: {split: rows}}."""
    script = (
        "import json, sys, datasets\n"
        "datasets.disable_progress_bars()\n"
        "found = {repo: datasets.load_dataset(repo) for repo in sys.argv[1:]}\n"
        "print(json.dumps({repo: {split: list(rows) for split, rows in data.items()} for repo, data in found.items()}))"
    )
    keep = {key: value for key, value in os.environ.items() if key != "PYTHONWARNINGS"}
    done = subprocess.run(
        [sys.executable, "-c", script, *repos],
        env={**keep, "HF_HOME": str(tmp_path / "reader"), "HF_HUB_DISABLE_XET": "1", "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_pushed_rows_load_back_exactly_with_every_column_typed(hub: HubServer, tmp_path: Path) -> None:
    texts, preferences = text_rows(10), preference_rows(7)
    url = push(write(tmp_path / "a.jsonl", texts), train_size=0.8, seed=20250304)
    push(write(tmp_path / "b.jsonl", preferences), row_model=PreferenceRow, repo_id="someone/prefs", shuffle=False)

    found = load(hub, tmp_path, REPO, "someone/prefs")

    assert url == f"{hub.url}/datasets/{REPO}"
    assert {split: len(rows) for split, rows in found[REPO].items()} == {"train": 8, "test": 2}
    rows = [dict(row, metadata=json.loads(row["metadata"])) for rows in found[REPO].values() for row in rows]
    assert sorted(rows, key=lambda row: row["uuid"]) == [row.model_dump() for row in texts]
    assert found["someone/prefs"] == {"train": [row.model_dump() for row in preferences]}


def test_data_and_card_arrive_in_one_commit(hub: HubServer, source: Path) -> None:
    push(source, train_size=0.8, commit_message="First release")

    assert hub.count("POST .*/commit/") == 1
    assert hub.repos[REPO].messages == ["initial commit", "First release"]
    assert set(hub.repos[REPO].files) == {
        ".gitattributes",
        "README.md",
        "data/train-00000-of-00001.parquet",
        "data/test-00000-of-00001.parquet",
    }


def test_a_push_of_what_is_there_already_makes_no_commit(hub: HubServer, source: Path) -> None:
    push(source)
    push(source)
    assert hub.count("POST .*/commit/") == 1


@pytest.mark.parametrize("asked", [True, False])
def test_a_new_repository_has_the_visibility_that_was_asked_for(hub: HubServer, source: Path, asked: bool) -> None:
    push(source, private=asked)
    assert hub.repos[REPO].private is asked


def test_a_push_is_private_unless_public_is_asked_for(hub: HubServer, source: Path) -> None:
    push(source)
    assert hub.repos[REPO].private


def test_a_private_push_is_refused_by_a_public_repository(hub: HubServer, source: Path) -> None:
    hub.add_repo(REPO, private=False)
    with pytest.raises(PublishError, match="is public"):
        push(source)
    assert hub.count("preupload|commit|PUT") == 0


def test_a_public_push_into_a_private_repository_says_that_it_stays_private(hub: HubServer, source: Path) -> None:
    hub.add_repo(REPO, private=True)
    with pytest.warns(DatafastWarning, match="stays so"):
        push(source, private=False)
    assert hub.repos[REPO].private


def test_the_split_is_the_same_whatever_order_the_rows_were_written_in(hub: HubServer, tmp_path: Path) -> None:
    rows = text_rows(20)
    found = []
    for number in range(3):
        random.Random(number).shuffle(rows)
        push(write(tmp_path / f"{number}.jsonl", rows), train_size=0.8, seed=7)
        found.append((uuids(hub, "train"), uuids(hub, "test")))
    assert found[0] == found[1] == found[2]
    assert len(set(found[0][0]) | set(found[0][1])) == 20


def test_another_seed_gives_another_split(hub: HubServer, source: Path) -> None:
    push(source, train_size=0.5, seed=1)
    first = uuids(hub, "train")
    push(source, train_size=0.5, seed=2)
    assert set(first) != set(uuids(hub, "train"))


def test_without_shuffling_the_order_of_the_file_is_kept(hub: HubServer, source: Path) -> None:
    push(source, train_size=0.8, shuffle=False)
    assert uuids(hub, "train") + uuids(hub, "test") == [row.uuid for row in text_rows(10)]


def test_without_train_size_all_rows_are_one_train_split(hub: HubServer, source: Path) -> None:
    push(source)
    assert len(stored(hub, "train")) == 10
    assert [split["split"] for split in front(hub)["configs"][0]["data_files"]] == ["train"]


@pytest.mark.parametrize(("count", "train", "test"), [(2, 1, 1), (3, 2, 1), (10, 8, 2)])
def test_an_80_20_split_of_few_rows_has_no_empty_part(
    hub: HubServer, tmp_path: Path, count: int, train: int, test: int
) -> None:
    push(write(tmp_path / "few.jsonl", text_rows(count)), train_size=0.8)
    assert (len(stored(hub, "train")), len(stored(hub, "test"))) == (train, test)


@pytest.mark.parametrize(("count", "message"), [(0, "has no rows"), (1, "at least 2 rows")])
def test_too_few_rows_to_split_are_refused_before_any_request(
    hub: HubServer, tmp_path: Path, count: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        push(write(tmp_path / "few.jsonl", text_rows(count)), train_size=0.8)
    assert hub.requests == []


def test_a_share_is_taken_as_the_decimal_it_was_written_as(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", text_rows(100))
    export = export_parquet(source, tmp_path, row_model=TextRow, train_size=0.29, seed=0, shuffle=True)
    assert [split.num_rows for split in export.splits] == [29, 71]


def test_a_missing_token_is_named_before_anything_is_read_or_sent(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(MissingKeyError, match="HF_TOKEN") as caught:
        push(tmp_path / "there is no such file.jsonl")
    assert caught.value.variable == "HF_TOKEN"
    assert hub.requests == []


def test_a_token_that_is_passed_wins_over_the_environment(
    hub: HubServer, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_some_other_token")
    push(source, token=TOKEN)
    assert hub.count("POST .*/commit/") == 1


@pytest.mark.parametrize(
    "repo_id",
    ["things", "a/b/c", "someone/", "/things", "some one/x", "someone/x--y", "someone/x.git", "s/" + "x" * 97],
)
def test_a_malformed_repo_id_is_refused_before_any_request(hub: HubServer, source: Path, repo_id: str) -> None:
    with pytest.raises(ConfigError, match="owner/name"):
        push(source, repo_id=repo_id)
    assert hub.requests == []


@pytest.mark.parametrize("train_size", [0, 1, -0.5, 1.5, float("nan")])
def test_a_train_size_outside_0_and_1_is_refused(hub: HubServer, source: Path, train_size: float) -> None:
    with pytest.raises(ConfigError, match="train_size"):
        push(source, train_size=train_size)
    assert hub.requests == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "cut', "line 11 .* not a JSON object"),
        ("[]", "line 11 .* not a JSON object but a list"),
        (text_rows(1)[0].model_dump_json()[:-1] + ', "extra": 1}', "line 11 .* the field 'extra'"),
        (
            '{"text": "x", "text_source": "s", "model_id": "m", "language": "en", "uuid": "u"}',
            "metadata: Field required",
        ),
        (
            '{"text": 5, "text_source": "", "model_id": "", "language": "", "uuid": "", "metadata": {}}',
            "text: .*string",
        ),
    ],
)
def test_a_row_that_does_not_fit_is_named_by_its_line_before_any_request(
    hub: HubServer, source: Path, line: str, message: str
) -> None:
    with source.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(ConfigError, match=message):
        push(source)
    assert hub.requests == []


def test_a_file_that_is_not_there_is_refused(hub: HubServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no file"):
        push(tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    ("token", "repo_id", "advice"),
    [("hf_wrong_token", REPO, r"HTTP 401.*HF_TOKEN"), (TOKEN, "another/things", r"HTTP 403.*may not write.*'another'")],
)
def test_a_refused_token_raises_an_error_that_says_what_to_do(
    hub: HubServer, source: Path, token: str, repo_id: str, advice: str
) -> None:
    before = source.read_bytes()
    with pytest.raises(PublishError, match=advice) as caught:
        push(source, token=token, repo_id=repo_id)
    assert caught.value.__cause__ is not None
    assert token not in str(caught.value)
    assert source.read_bytes() == before
    assert hub.count("POST /api/repos/create") == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault("repos/create", 500, headers={"Retry-After": "0"}),
        Fault("GET /api/datasets/someone/things$", 503, headers={"Retry-After": "0"}),
        Fault("/tree/", 500, headers={"Retry-After": "0"}),
        Fault("validate-yaml", 502, headers={"Retry-After": "0"}),
        Fault("/commit/", 429, times=2, headers={"Retry-After": "0"}),
        Fault("/commit/", 500, headers={"Retry-After": "0"}),
        Fault("/commit/", 0),
        Fault("/commit/", 412, headers={"Retry-After": "0"}),
        Fault("/commit/", 500, late=True, headers={"Retry-After": "0"}),
    ],
    ids=lambda fault: f"{fault.status} on {fault.pattern}{' late' * fault.late}",
)
def test_a_passing_fault_leads_to_exactly_one_commit(
    hub: HubServer, source: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datafast.export.hub._DELAYS_S", (0.0, 0.0, 0.0))
    hub.faults.append(fault)
    push(source, train_size=0.8)
    assert fault.times == 0
    assert len(hub.repos[REPO].messages) == 2
    assert len(stored(hub, "train")) == 8


def test_a_lasting_fault_ends_after_a_bounded_number_of_tries(
    hub: HubServer, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datafast.export.hub._DELAYS_S", (0.0, 0.0))
    hub.faults.append(Fault("/commit/", 500, times=100))
    before = source.read_bytes()
    with pytest.raises(PublishError, match=r"HTTP 500.*Nothing on disk was changed"):
        push(source)
    assert hub.count("/commit/") == 3
    assert source.read_bytes() == before


def test_a_long_retry_after_is_not_waited_for(hub: HubServer, source: Path) -> None:
    hub.faults.append(Fault("/commit/", 429, times=100, headers={"Retry-After": "3600"}))
    with pytest.raises(PublishError, match="HTTP 429"):
        push(source)
    assert hub.count("/commit/") == 1


def test_a_hub_that_cannot_be_reached_raises_an_error_that_names_it(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HubServer() as gone:
        pass
    monkeypatch.setenv("HF_ENDPOINT", gone.url)
    monkeypatch.setattr("datafast.export.hub._DELAYS_S", (0.0,))
    with pytest.raises(PublishError, match=f"{gone.url} could not be reached"):
        push(source, token=TOKEN)


def test_another_push_at_the_same_time_is_built_upon(hub: HubServer, source: Path) -> None:
    repo = hub.add_repo(REPO, private=True)
    commit = hub.faults
    commit.append(Fault("/commit/", 412, headers={"Retry-After": "0"}))
    repo.commit({**repo.files, "notes.txt": b"of another"}, "by another")
    push(source)
    assert repo.files["notes.txt"] == b"of another"
    assert repo.messages[-2:] == ["by another", "Upload 10 rows with datafast"]


def test_a_second_push_with_other_columns_keeps_the_users_part_and_nothing_of_ours(
    hub: HubServer, source: Path, tmp_path: Path
) -> None:
    push(source, train_size=0.8)
    repo = hub.repos[REPO]
    edited = card(hub).replace("tags:\n", "license: cc-by-4.0\ntags:\n- space\n", 1)
    edited += "\n## Known gaps\n\nFew rows about <i>Mars</i>.\n"
    repo.commit({**repo.files, "README.md": edited.encode()}, "edited by hand")

    push(write(tmp_path / "b.jsonl", preference_rows(5)), row_model=PreferenceRow)

    assert card(hub).endswith("\n## Known gaps\n\nFew rows about <i>Mars</i>.\n")
    assert card(hub).count("datafast:begin") == 1
    found = front(hub)
    assert found["license"] == "cc-by-4.0"
    assert found["tags"] == ["synthetic", "datafast", "space"]
    assert [feature["name"] for feature in found["dataset_info"]["features"]] == list(PreferenceRow.model_fields)
    assert [file for file in repo.files if file.startswith("data/")] == ["data/train-00000-of-00001.parquet"]


def test_every_data_file_of_the_card_exists_and_its_features_are_those_of_the_parquet(
    hub: HubServer, tmp_path: Path
) -> None:
    import pyarrow.parquet as pq
    from datasets import Features

    push(write(tmp_path / "b.jsonl", preference_rows(5)), row_model=PreferenceRow, train_size=0.6)

    found = front(hub)
    for entry in found["configs"][0]["data_files"]:
        paths = [path for path in hub.repos[REPO].files if fnmatch(path, entry["path"])]
        assert len(paths) == 1
        features = Features._from_yaml_list(found["dataset_info"]["features"])
        assert features.arrow_schema == pq.read_schema(io.BytesIO(hub.repos[REPO].files[paths[0]]))
    assert [split["num_examples"] for split in found["dataset_info"]["splits"]] == [3, 2]


def test_a_readme_that_datafast_did_not_write_is_kept_below(hub: HubServer, source: Path) -> None:
    hub.add_repo(REPO, private=True, files={"README.md": b"# Mine\n\n--- \nmy words\n"})
    push(source)
    assert card(hub).endswith("datafast:end -->\n\n# Mine\n\n--- \nmy words\n")


def test_broken_front_matter_is_not_overwritten(hub: HubServer, source: Path) -> None:
    broken = b"---\ntags: [a\n---\nmy words\n"
    hub.add_repo(REPO, private=True, files={"README.md": broken})
    with pytest.raises(PublishError, match="not valid YAML"):
        push(source)
    assert card(hub).encode() == broken


HOSTILE = (
    "x\n---\nlicense: mit\n---\n<script>alert(1)</script> | `a` [b](javascript:c) ![d](e) <!-- datafast:end --> # f"
)


def test_hostile_texts_break_neither_front_matter_nor_page(hub: HubServer, source: Path) -> None:
    info = CardInfo(
        title=HOSTILE,
        kind=HOSTILE,
        models=[HOSTILE],
        languages={"en": HOSTILE},
        settings={"topics": [HOSTILE], HOSTILE: HOSTILE, "prompts": [f"{HOSTILE}\n````\n<b>", "<!-- datafast:end -->"]},
    )
    push(source, card=info)
    first = card(hub)
    push(source, card=info)

    assert card(hub) == first
    assert set(front(hub)) == {"language", "size_categories", "pretty_name", "tags", "dataset_info", "configs"}
    outside = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", first.split("---\n", 2)[2], flags=re.DOTALL | re.MULTILINE)
    assert outside.count("<") == 2  # our two markers
    assert not re.search(r"(?<!\\)\]\(", outside)  # no link
    assert all(len(re.findall(r"(?<!\\)\|", line)) in (0, 3, 4) for line in outside.splitlines())
    assert "`````text\n" in first


def test_the_card_tells_what_the_rows_are_and_how_they_were_made(hub: HubServer, source: Path) -> None:
    info = CardInfo(
        title="Space texts",
        kind="raw text",
        models=["openai/gpt-5-mini", "mistral/none"],
        languages={"en": "English", "fr": "French"},
        settings={
            "document_types": ["essay", "blog"],
            "expansion": {"strategy": "random"},
            "prompts": ["Write {topic}"],
        },
    )
    push(source, train_size=0.8, card=info)
    text = card(hub)
    for part in (
        "# Space texts",
        "10 rows of synthetic data (raw text), made with **datafast**.",
        "| fr French | 6 |",
        "| openai/gpt-5-mini | 5 |",
        "| mistral/none | 0 |",
        "- document\\_types: 2 (essay, blog)",
        "- expansion.strategy: random",
        "```text\nWrite {topic}\n```",
        "| text | string | The generated &lt;text&gt; \\| body |",
        "| metadata | JSON text |",
        f'load_dataset("{REPO}")',
    ):
        assert part in text
    assert front(hub)["pretty_name"] == "Space texts"
    assert front(hub)["size_categories"] == ["n<1K"]


def test_only_iso_639_1_codes_reach_the_front_matter(hub: HubServer, source: Path) -> None:
    names = {"no": "Norwegian", "pt-BR": "Brazilian", "xx": "none", "klingon": "Klingon", "en": "English"}
    push(source, card=CardInfo(title="t", kind="k", languages=names))
    assert front(hub)["language"] == ["en", "fr", "no", "pt"]


def test_no_key_reaches_the_card(hub: HubServer, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-very_secret_value")
    info = CardInfo(
        title="t sk-very_secret_value",
        kind="k",
        settings={
            "providers": [{"model_id": "m", "api_key": "sk-another-secret", "max_completion_tokens": 7}],
            "topics": ["sk-very_secret_value", f"Bearer {TOKEN}"],
            "prompts": ["use sk-very_secret_value"],
            "output_file": "private/path.jsonl",
            "extra_headers": {"x": "header-secret"},
        },
    )
    push(source, card=info)
    text = card(hub).replace("\\", "")
    for secret in ("very_secret", "another-secret", TOKEN, "private/path", "header-secret"):
        assert secret not in text
    assert "max_completion_tokens: 7" in text


@pytest.mark.parametrize("told_by", ["card", "rows"])
def test_simulated_rows_are_called_so(hub: HubServer, tmp_path: Path, told_by: str) -> None:
    rows = text_rows(2)
    if told_by == "rows":
        rows[0].model_id = "simulated/openai/gpt-5-mini"
    push(write(tmp_path / "a.jsonl", rows), card=CardInfo(title="t", kind="k", simulated=told_by == "card"))
    assert "**Simulated rows.**" in card(hub)


def test_real_rows_are_not_called_simulated(hub: HubServer, source: Path) -> None:
    push(source)
    assert "imulated" not in card(hub)


def test_large_splits_are_written_as_numbered_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datafast.export.parquet._BATCH_ROWS", 4)
    source = write(tmp_path / "rows.jsonl", text_rows(10))
    export = export_parquet(
        source, tmp_path, row_model=TextRow, train_size=None, seed=0, shuffle=True, max_shard_bytes=1
    )
    assert [file.path_in_repo for file in export.files] == [f"data/train-0000{n}-of-00003.parquet" for n in range(3)]
    assert export.num_rows == 10


class Colour(StrEnum):
    RED = "red"


class Tree(BaseModel):
    children: list[Tree] = []


class EveryType(BaseModel):
    colour: Colour | None
    level: Literal["a", "b"]
    number: int | float
    flags: list[bool]
    nested: list[Answer]
    matrix: tuple[tuple[float, ...], ...]
    tools: list[dict[str, Any]]
    anything: Any
    mixed: str | int
    tree: Tree | None


def test_columns_have_the_types_of_the_row_model() -> None:
    from datasets import List, Value

    assert dict(row_schema(EveryType).features) == {
        "colour": Value("string"),
        "level": Value("string"),
        "number": Value("float64"),
        "flags": List(Value("bool")),
        "nested": List({"text": Value("string"), "comment": Value("string")}),
        "matrix": List(List(Value("float64"))),
        "tools": List(Value("string")),
        "anything": Value("string"),
        "mixed": Value("string"),
        "tree": {"children": List(Value("string"))},
    }


def test_a_type_without_a_column_is_refused_by_the_name_of_its_field() -> None:
    class Row(BaseModel):
        payload: bytes

    with pytest.raises(ConfigError, match="field 'payload' of Row"):
        row_schema(Row)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


class FreeRow(BaseModel):
    uuid: str
    texts: list[str | None]
    score: float | None
    count: int | None
    nested: Answer | None
    metadata: dict[str, Any]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.builds(
            FreeRow,
            uuid=st.text(),
            texts=st.lists(st.none() | st.text(), max_size=3),
            score=st.none() | st.floats(allow_nan=False, allow_infinity=False),
            count=st.none() | st.integers(-(2**63), 2**63 - 1),
            nested=st.none() | st.builds(Answer, text=st.text(), comment=st.none() | st.text()),
            metadata=st.dictionaries(st.text(), JSON, max_size=3),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_whatever_the_rows_hold_comes_back_from_parquet_unchanged(tmp_path: Path, rows: list[FreeRow]) -> None:
    import pyarrow.parquet as pq

    source = write(tmp_path / "free.jsonl", rows)
    export = export_parquet(source, tmp_path, row_model=FreeRow, train_size=None, seed=0, shuffle=False)
    found = pq.read_table(export.files[0].path).to_pylist()
    assert [dict(row, metadata=json.loads(row["metadata"])) for row in found] == [row.model_dump() for row in rows]


def test_importing_the_package_imports_no_hugging_face_library() -> None:
    heavy = "('datasets', 'huggingface_hub', 'pyarrow', 'numpy')"
    script = f"import sys, datafast.export; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

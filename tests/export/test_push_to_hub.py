"""Publishing: the real `huggingface_hub` and `datasets` clients against a Hub on loopback."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import traceback
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from datafast.errors import ConfigError, DatafastWarning, MissingKeyError, PublishError
from datafast.export.parquet import export_parquet
from datafast.export.splits import Splitting
from datafast.export.splits.rows import SplitRows
from tests.export.support import (
    REPO,
    TOKEN,
    PreferenceRow,
    TextRow,
    front,
    load,
    preference_rows,
    push,
    stored,
    text_rows,
    uuids,
    write,
)
from tests.servers.hub_server import Fault, HubServer

if TYPE_CHECKING:
    from pathlib import Path


WHO = "GET /api/whoami-v2"


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
def test_too_few_rows_to_split_are_refused_before_anything_is_sent(
    hub: HubServer, tmp_path: Path, count: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        push(write(tmp_path / "few.jsonl", text_rows(count)), train_size=0.8)
    assert hub.requests == [WHO]


def test_a_share_is_taken_as_the_decimal_it_was_written_as(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", text_rows(100))
    export = export_parquet(SplitRows.of(source, Splitting(0.29)), tmp_path, row_model=TextRow)
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


@pytest.mark.parametrize("token", ["hf_a b", "hf_a\nb", "hf_\u00e9", "hf_\x00"])
def test_what_cannot_be_a_token_is_told_without_showing_it(hub: HubServer, source: Path, token: str) -> None:
    with pytest.raises(ConfigError, match="a character that no token has") as raised:
        push(source, token=token)
    assert token not in str(raised.value)
    assert not hub.requests


@pytest.mark.parametrize("message", [" ", "first\nsecond", "first\u2028second"])
def test_a_message_that_is_not_one_line_is_refused(hub: HubServer, source: Path, message: str) -> None:
    with pytest.raises(ConfigError, match=r"commit_message=.* is not one line of text"):
        push(source, commit_message=message)
    assert not hub.requests


def test_the_token_of_hf_auth_login_counts(
    hub: HubServer, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    kept = tmp_path / "token"
    kept.write_text(TOKEN + "\n", encoding="utf-8")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(kept))
    push(source)
    assert hub.count("POST .*/commit/") == 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"train_size": "0.8"}, r"train_size: expected a number between 0 and 1, like 0\.8, got '0\.8' \(str\)\."),
        ({"train_size": True}, r"train_size: .* got True \(bool\)\."),
        ({"seed": "7"}, r"seed: expected a whole number, got '7' \(str\)\."),
        ({"repo_id": None}, r"repo_id: expected a text, like \"owner/name\", got None \(NoneType\)\."),
        ({"commit_message": 5}, r"commit_message: expected a text, got 5 \(int\)\."),
        ({"token": b"hf_secret"}, r"token: expected a text, got bytes\."),
    ],
)
def test_arguments_of_another_type_are_refused_by_name(
    hub: HubServer, source: Path, given: dict[str, object], told: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{told}$") as caught:
        push(source, **given)
    assert caught.value.key == next(iter(given))
    assert hub.requests == []


def test_without_a_card_only_the_front_matter_is_written(hub: HubServer, source: Path, tmp_path: Path) -> None:
    push(source, upload_card=False)
    assert hub.repos[REPO].files["README.md"].decode().split("---\n")[2].strip() == ""
    assert len(load(hub, tmp_path, REPO)[REPO]["train"]) == 10
    push(source, train_size=0.5)
    made = hub.repos[REPO].files["README.md"].decode().split("---\n", 2)[2]
    with pytest.warns(DatafastWarning, match="The text of its card is still that of an earlier push"):
        push(source, train_size=0.8, upload_card=False)
    kept = hub.repos[REPO].files["README.md"].decode().split("---\n", 2)[2]
    assert kept.partition("<!-- datafast:end")[0] == made.partition("<!-- datafast:end")[0]
    push(source, train_size=0.5)  # without a word: nobody else has changed anything
    assert hub.repos[REPO].files["README.md"].decode().split("---\n", 2)[2] == made


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
        ('{"text": "cut', "Line 11 .* not a JSON object"),
        ("[]", "Line 11 .* not a JSON object but a list"),
        (text_rows(1)[0].model_dump_json()[:-1] + ', "extra": 1}', "Line 11 .* the field 'extra'"),
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
def test_a_row_that_does_not_fit_is_named_by_its_line_before_anything_is_sent(
    hub: HubServer, source: Path, line: str, message: str
) -> None:
    with source.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(ConfigError, match=message):
        push(source)
    assert hub.requests == [WHO]


def test_a_file_that_is_not_there_is_refused(hub: HubServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no file"):
        push(tmp_path / "none.jsonl")


def test_a_refused_token_is_told_before_a_row_is_read(hub: HubServer, tmp_path: Path) -> None:
    wrong = "hf_" + "wrong_token"
    with pytest.raises(PublishError, match=r"HTTP 401.*HF_TOKEN") as caught:
        push(tmp_path / "there is no such file.jsonl", token=wrong)
    assert wrong not in "".join(traceback.format_exception(caught.value))
    assert hub.requests == [WHO]


def test_a_token_that_may_only_read_is_told_before_a_row_is_read(hub: HubServer, tmp_path: Path) -> None:
    hub.role = "read"
    with pytest.raises(ConfigError, match=r"^The token may only read\. Create one with write access"):
        push(tmp_path / "there is no such file.jsonl")
    assert hub.requests == [WHO]


@pytest.mark.parametrize("status", [404, 429])
def test_a_hub_that_does_not_say_whose_the_token_is_gets_the_rows(hub: HubServer, source: Path, status: int) -> None:
    hub.faults.append(Fault("whoami", status, times=100, headers={"Retry-After": "300"}))
    push(source)
    assert len(stored(hub, "train")) == 10


def test_an_owner_that_the_token_may_not_write_to_is_named(hub: HubServer, source: Path) -> None:
    before = source.read_bytes()
    with pytest.raises(PublishError, match=r"HTTP 403.*may not write.*'another'") as caught:
        push(source, repo_id="another/things")
    assert TOKEN not in "".join(traceback.format_exception(caught.value))
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
        Fault("repos/create", 0),
        Fault("GET /api/datasets/someone/things$", 0),
        Fault("/tree/", 0),
        Fault("/preupload/", 0),
        Fault("/commit/", 0),
        Fault("/commit/", 412, headers={"Retry-After": "0"}),
        Fault("/commit/", 500, late=True, headers={"Retry-After": "0"}),
    ],
    ids=lambda fault: f"{fault.status} on {fault.pattern}{' late' * fault.late}",
)
def test_a_passing_fault_leads_to_exactly_one_commit(
    hub: HubServer, source: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datafast.export.hub_client.DELAYS_S", (0.0, 0.0, 0.0))
    hub.faults.append(fault)
    push(source, train_size=0.8)
    assert fault.times == 0
    assert len(hub.repos[REPO].messages) == 2
    assert len(stored(hub, "train")) == 8


def test_a_repository_that_is_there_is_found_whatever_the_answer_says(hub: HubServer, source: Path) -> None:
    hub.add_repo(REPO, private=True)
    hub.faults.append(Fault("repos/create", 409))  # its body has no url
    push(source)
    hub.faults.append(Fault("repos/create", 403))  # a token for this repository alone
    push(source, commit_message="again", train_size=0.5)
    assert hub.repos[REPO].messages == ["initial commit", "Upload 10 rows with datafast", "again"]


def test_a_repository_that_may_not_be_made_is_told_so(hub: HubServer, source: Path) -> None:
    hub.faults.append(Fault("repos/create", 403))
    with pytest.raises(PublishError, match=r"HTTP 403.*may not write"):
        push(source)


def test_what_the_client_cannot_read_is_no_error_of_its_own(
    hub: HubServer, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("sha")

    monkeypatch.setattr("huggingface_hub.HfApi.repo_info", broken)
    with pytest.raises(PublishError, match=r"no answer.*for the reason below(.|\n)*KeyError: 'sha'") as caught:
        push(source)
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


def test_a_lasting_fault_ends_after_a_bounded_number_of_tries(
    hub: HubServer, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datafast.export.hub_client.DELAYS_S", (0.0, 0.0))
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


@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        ({"Retry-After": "300"}, 300),
        ({"Retry-After": "a date"}, 1),
        ({"RateLimit": '"api";r=0;t=55', "RateLimit-Policy": '"fixed window";"api";q=500;w=300'}, 55),
        ({"RateLimit": '"api";r=10;t=55'}, 1),
        ({}, 1),
    ],
)
def test_the_wait_is_what_the_hub_asks_for(
    hub: HubServer, source: Path, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], waited: float
) -> None:
    slept: list[float] = []
    # Ours alone: the module itself is everybody's.
    monkeypatch.setattr("datafast.export.hub_client.time", SimpleNamespace(sleep=slept.append))
    hub.faults.append(Fault("/commit/", 429, headers=headers))
    push(source)
    assert slept == [waited]
    assert len(stored(hub, "train")) == 10


def test_a_hub_that_cannot_be_reached_raises_an_error_that_names_it(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HubServer() as gone:
        pass
    monkeypatch.setenv("HF_ENDPOINT", gone.url)
    monkeypatch.setattr("datafast.export.hub_client.DELAYS_S", (0.0,))
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


def test_importing_the_package_imports_no_hugging_face_library() -> None:
    heavy = "('datasets', 'huggingface_hub', 'pyarrow', 'numpy')"
    script = f"import sys, datafast.export; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_xet_is_off_during_a_push_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    from datafast.export.hub_client import without_xet

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    monkeypatch.delenv("HF_HUB_DISABLE_XET", raising=False)
    with without_xet():
        with without_xet():  # a second push, in another thread
            pass
        assert constants.HF_HUB_DISABLE_XET
    assert not constants.HF_HUB_DISABLE_XET
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "0")
    with without_xet():
        assert not constants.HF_HUB_DISABLE_XET

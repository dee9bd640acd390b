"""A changed config buys what is new, moves aside what is no longer asked for, and gets it back for nothing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datafast.datasets import ClassificationDataset
from datafast.errors import OutputWriteError
from datafast.llms import OpenAICompatibleProvider
from datafast.llms.simulated.provider import SimulatedProvider
from datafast.schema.config import ClassificationDatasetConfig, PromptExpansionConfig
from datafast.store import compaction as rewrite
from tests.servers.fault_server import FaultServer
from tests.support import (
    CountingProvider,
    ForkServer,
    assert_balanced,
    fork_server,
    one_of_two,
    preference,
    raw,
    requests_in,
    roles,
    rows_of,
    same_rows,
)

TEMPLATES = [
    f"{style} {{num_samples}} text in {{language_name}} as {{document_type}} about {{topic}}."
    for style in ("Write", "Compose", "Draft")
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "requests"


@pytest.fixture
def provider(log: Path) -> CountingProvider:
    return CountingProvider("m", log=log)


def texts(rows: list[dict[str, Any]]) -> dict[str, str]:
    return {row["uuid"]: row["text"] for row in rows}


def stale(folder: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(folder.glob("out.jsonl.stale-*")) for row in rows_of(path)]


def test_an_edited_template_buys_its_items_alone_and_coming_back_is_free(
    tmp_path: Path, provider: CountingProvider, log: Path
) -> None:
    raw(tmp_path, prompts=TEMPLATES).generate([provider])
    first = rows_of(tmp_path / "out.jsonl")
    old = [row for row in first if row["metadata"]["prompt_index"] == 1]
    edited = [TEMPLATES[0], TEMPLATES[1] + " Be brief.", TEMPLATES[2]]
    report = assert_balanced(raw(tmp_path, prompts=edited).generate([provider]).report)
    assert (report.calls, report.written, report.requested) == (6, 18, 18)
    assert all("Be brief" in prompt for _, prompt in requests_in(log)[18:])
    assert same_rows(stale(tmp_path), old)
    assert report.set_aside == [str(path) for path in tmp_path.glob("out.jsonl.stale-*")]
    report = assert_balanced(raw(tmp_path, prompts=TEMPLATES).generate([provider]).report)
    assert report.calls == 0
    assert same_rows(rows_of(tmp_path / "out.jsonl"), first)
    assert len(requests_in(log)) == 24


def test_no_room_for_moving_rows_is_said_and_changes_nothing(
    tmp_path: Path, provider: CountingProvider, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    raw(tmp_path, prompts=TEMPLATES).generate([provider])
    first = (tmp_path / "out.jsonl").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(rewrite.os, "fsync", full)
        with pytest.raises(OutputWriteError, match=r"No space left on device.*nothing was sent"):
            raw(tmp_path, prompts=TEMPLATES[:2]).generate([provider])
    assert (tmp_path / "out.jsonl").read_bytes() == first
    assert not list(tmp_path.glob(".datafast-*"))
    assert len(requests_in(log)) == 18
    report = assert_balanced(raw(tmp_path, prompts=TEMPLATES[:2]).generate([provider]).report)
    assert (report.written, report.calls) == (12, 0)


@pytest.mark.skipif(os.name != "posix", reason="links and modes as POSIX has them")
def test_a_rewrite_keeps_the_mode_of_the_file_and_a_link_to_it(tmp_path: Path, provider: CountingProvider) -> None:
    (tmp_path / "disk").mkdir()
    real = tmp_path / "disk" / "rows.jsonl"
    real.touch(mode=0o600)
    (tmp_path / "out.jsonl").symlink_to(real)
    raw(tmp_path, prompts=TEMPLATES).generate([provider])
    report = assert_balanced(raw(tmp_path, prompts=TEMPLATES[:2]).generate([provider]).report)
    assert (tmp_path / "out.jsonl").is_symlink()
    assert len(rows_of(real)) == report.written == 12
    assert real.stat().st_mode & 0o777 == 0o600
    (moved,) = map(Path, report.set_aside)
    assert (len(rows_of(moved)), moved.stat().st_mode & 0o777) == (6, 0o600)


@pytest.mark.parametrize("run", [{}, {"ordered": True}])
def test_files_of_the_user_are_neither_removed_nor_replaced(
    tmp_path: Path, provider: CountingProvider, run: dict[str, Any]
) -> None:
    mine = [tmp_path / f"out.jsonl{name}" for name in (".rewrite", ".rewrite-stale", ".tail", ".stale", ".tmp", ".bak")]
    mine.append(tmp_path / ".datafast-notes")
    for path in mine:
        path.write_text("mine", encoding="utf-8")
    for prompts in (TEMPLATES, TEMPLATES[1:], TEMPLATES):
        raw(tmp_path, prompts=prompts, run=run).generate([provider])
    assert [path.read_text(encoding="utf-8") for path in mine] == ["mine"] * len(mine)


def test_going_back_and_forth_many_times_is_free(tmp_path: Path, provider: CountingProvider, log: Path) -> None:
    configs: list[dict[str, Any]] = [{"prompts": TEMPLATES}, {"prompts": TEMPLATES[:1]}, {"prompts": TEMPLATES[1:]}]
    expected = []
    for number, fields in enumerate(configs):
        dataset = raw(tmp_path / str(number), **fields).generate([SimulatedProvider("m")])
        expected.append(rows_of(dataset.config.output_file))
    for number in (0, 1, 2, 0, 2, 1, 0):
        dataset = raw(tmp_path, **configs[number]).generate([provider])
        assert assert_balanced(dataset.report).pending == 0
        assert texts(rows_of(tmp_path / "out.jsonl")) == texts(expected[number])
    assert len(requests_in(log)) == 18


def test_a_removed_template_moves_only_its_rows(tmp_path: Path, provider: CountingProvider) -> None:
    raw(tmp_path, prompts=TEMPLATES).generate([provider])
    report = assert_balanced(raw(tmp_path, prompts=TEMPLATES[:2]).generate([provider]).report)
    assert (report.calls, report.written) == (0, 12)
    assert {row["metadata"]["prompt_index"] for row in stale(tmp_path)} == {2}
    assert len(stale(tmp_path)) == 6


def test_a_new_topic_buys_only_its_items(tmp_path: Path, provider: CountingProvider, log: Path) -> None:
    raw(tmp_path, topics=["a", "b"]).generate([provider])
    before = (tmp_path / "out.jsonl").read_bytes()
    report = assert_balanced(raw(tmp_path, topics=["new", "a", "b"]).generate([provider]).report)
    assert (report.calls, report.written) == (1, 3)
    assert "new" in requests_in(log)[-1][1]
    assert (tmp_path / "out.jsonl").read_bytes().startswith(before)
    assert not stale(tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        {"topics": ["c", "a", "b"]},
        {"languages": {"fr": "French", "en": "English"}},
        {"prompts": TEMPLATES[:2][::-1]},
        {"run": {"max_concurrency": 3, "max_retries": 1, "max_parse_retries": 0, "grace_s": 1, "durability": "full"}},
        {"run": {"top_up": True}},
    ],
)
def test_what_does_not_change_a_prompt_buys_nothing(
    tmp_path: Path, provider: CountingProvider, log: Path, changed: dict[str, Any]
) -> None:
    fields: dict[str, Any] = {
        "topics": ["a", "b", "c"],
        "languages": {"en": "English", "fr": "French"},
        "prompts": TEMPLATES[:2],
    }
    raw(tmp_path, **fields).generate([provider])
    before = (tmp_path / "out.jsonl").read_bytes()
    assert assert_balanced(raw(tmp_path, **{**fields, **changed}).generate([provider]).report).calls == 0
    assert (tmp_path / "out.jsonl").read_bytes() == before
    assert len(requests_in(log)) == 12


def test_keys_addresses_and_limits_buy_nothing(tmp_path: Path, fault_server: FaultServer) -> None:
    raw(tmp_path).generate([OpenAICompatibleProvider("m", api_base=fault_server.url, api_key="one", timeout=5)])
    other = OpenAICompatibleProvider(
        "m",
        api_base=fault_server.url.replace("127.0.0.1", "localhost") + "/v1",
        api_key="two",
        timeout=77,
        max_completion_tokens=999,
        rpm_limit=1000,
        tpm_limit=100_000,
        max_concurrency=2,
        extra_headers={"X-Team": "a"},
    )
    report = assert_balanced(raw(tmp_path).generate([other]).report)
    assert (report.calls, report.written) == (0, 6)
    assert len(fault_server.requests) == 6


def test_another_temperature_buys_anew_and_moves_the_old_rows(tmp_path: Path, log: Path) -> None:
    raw(tmp_path).generate([CountingProvider("m", log=log)])
    report = assert_balanced(raw(tmp_path).generate([CountingProvider("m", log=log, temperature=0.2)]).report)
    assert (report.calls, report.written) == (6, 6)
    assert len(stale(tmp_path)) == 6


def test_the_order_of_providers_buys_nothing_and_a_removed_one_moves_its_rows(tmp_path: Path, log: Path) -> None:
    one, two, three = (CountingProvider(name, log=log) for name in ("one", "two", "three"))
    raw(tmp_path).generate([one, two])
    first = rows_of(tmp_path / "out.jsonl")
    assert assert_balanced(raw(tmp_path).generate([two, one]).report).calls == 0
    report = assert_balanced(raw(tmp_path).generate([two, three]).report)
    assert (report.calls, report.written) == (6, 12)
    assert {row["model_id"] for row in stale(tmp_path)} == {"simulated/one"}
    assert assert_balanced(raw(tmp_path).generate([one, two]).report).calls == 0
    assert same_rows(rows_of(tmp_path / "out.jsonl"), first)
    assert Counter(model for model, _ in requests_in(log)) == dict.fromkeys(
        ("simulated/one", "simulated/two", "simulated/three"), 6
    )


def test_the_same_provider_twice_makes_rows_of_its_own(tmp_path: Path, log: Path) -> None:
    twins = [CountingProvider("m", log=log), CountingProvider("m", log=log)]
    assert assert_balanced(raw(tmp_path).generate(twins).report).written == 12
    assert assert_balanced(raw(tmp_path).generate(twins).report).calls == 0
    report = assert_balanced(raw(tmp_path).generate(twins[:1]).report)
    assert (report.calls, report.written) == (0, 6)


def test_equal_topics_and_equal_templates_make_rows_of_their_own(tmp_path: Path, provider: CountingProvider) -> None:
    report = assert_balanced(raw(tmp_path, topics=["a", "a"], prompts=[TEMPLATES[0]] * 2).generate([provider]).report)
    assert (report.requested, report.written, report.calls) == (4, 4, 4)
    assert assert_balanced(raw(tmp_path, topics=["a"], prompts=TEMPLATES[:1]).generate([provider]).report).calls == 0


def test_more_placeholder_values_buy_only_the_new_ones(tmp_path: Path, provider: CountingProvider, log: Path) -> None:
    def fields(*values: str) -> dict[str, Any]:
        expansion = PromptExpansionConfig(placeholders={"tone": list(values)})
        return {"prompts": [TEMPLATES[0] + " Tone: <<tone>>."], "expansion": expansion}

    raw(tmp_path, **fields("dry", "warm")).generate([provider])
    report = assert_balanced(raw(tmp_path, **fields("warm", "sharp", "dry")).generate([provider]).report)
    assert (report.calls, report.written) == (6, 18)
    assert all("sharp" in prompt for _, prompt in requests_in(log)[12:])


# -- roles


def test_another_judge_buys_only_the_judging(tmp_path: Path, log: Path) -> None:
    llm, judge = CountingProvider("m", log=log), CountingProvider("judge", log=log)
    preference(tmp_path).generate_roles(roles(llm, judge=llm))
    first = rows_of(tmp_path / "out.jsonl")
    asked = len(requests_in(log))
    report = assert_balanced(preference(tmp_path).generate_roles(roles(llm, judge=judge)).report)
    assert report.calls == len(requests_in(log)) - asked == 4 * 4
    assert {model for model, _ in requests_in(log)[asked:]} == {"simulated/judge"}
    assert same_rows(stale(tmp_path), first)
    answers = [
        {row["question"]: {row["chosen_response"], row["rejected_response"]} for row in rows}
        for rows in (first, rows_of(tmp_path / "out.jsonl"))
    ]
    assert answers[0] == answers[1]
    assert assert_balanced(preference(tmp_path).generate_roles(roles(llm, judge=llm)).report).calls == 0
    assert same_rows(rows_of(tmp_path / "out.jsonl"), first)


def test_another_judge_prompt_buys_only_the_judging(tmp_path: Path, provider: CountingProvider, log: Path) -> None:
    preference(tmp_path).generate_roles(roles(provider))
    asked = len(requests_in(log))
    prompt = "Judge {response} to {question} about {document} from 1 to 10."
    report = assert_balanced(preference(tmp_path, judge_prompt=prompt).generate_roles(roles(provider)).report)
    assert report.calls == len(requests_in(log)) - asked == 16
    assert all(prompt.startswith("Judge ") for _, prompt in requests_in(log)[asked:])


def test_a_judge_that_was_switched_off_comes_back_for_nothing(
    tmp_path: Path, provider: CountingProvider, log: Path
) -> None:
    preference(tmp_path).generate_roles(roles(provider))
    first, asked = rows_of(tmp_path / "out.jsonl"), len(requests_in(log))
    plain = dict.fromkeys(("question", "chosen", "rejected"), provider)
    report = assert_balanced(preference(tmp_path, llm_as_judge=False).generate_roles(plain).report)
    assert report.calls == 0
    preference(tmp_path).generate_roles(roles(provider))
    assert same_rows(rows_of(tmp_path / "out.jsonl"), first)
    assert len(requests_in(log)) == asked


def test_a_run_cut_short_under_another_judge_still_finds_what_the_first_one_bought(tmp_path: Path, log: Path) -> None:
    """The JSONL is lost as well: the rows of the second judge are rebuilt from the replies of both runs."""
    llm, judge = CountingProvider("m", log=log), CountingProvider("judge", log=log)
    preference(tmp_path).generate_roles(roles(llm))
    preference(tmp_path).generate_roles(roles(llm, judge=judge), limit=2)
    preference(tmp_path).generate_roles(roles(llm, judge=judge))
    rows, asked = rows_of(tmp_path / "out.jsonl"), len(requests_in(log))
    (tmp_path / "out.jsonl").unlink()
    preference(tmp_path).generate_roles(roles(llm, judge=judge))
    assert same_rows(rows_of(tmp_path / "out.jsonl"), rows)
    assert len(requests_in(log)) == asked == 4 * 9 + 4 * 4


def test_one_provider_object_or_equal_ones_in_each_role_are_the_same(tmp_path: Path, log: Path) -> None:
    """A run that was cut short with one object for all roles goes on with one for each, and buys nothing again."""

    class Stop(Exception):
        pass

    def stop(event: Any) -> None:
        if event.type == "call_finished" and len(requests_in(log)) > 12:
            raise Stop

    one = CountingProvider("m", log=log)
    with pytest.raises(Stop):
        preference(tmp_path, run={"max_concurrency": 2}).generate_roles(roles(one), on_event=stop)
    each = {role: CountingProvider("m", log=log) for role in roles(one)}
    assert assert_balanced(preference(tmp_path).generate_roles(each).report).written == 8
    assert len(requests_in(log)) == 4 * 9


def test_another_question_model_buys_the_whole_item(tmp_path: Path, log: Path) -> None:
    llm, other = CountingProvider("m", log=log), CountingProvider("other", log=log)
    preference(tmp_path).generate_roles(roles(llm))
    report = assert_balanced(preference(tmp_path).generate_roles(roles(llm, question=other)).report)
    assert (report.calls, report.written) == (36, 8)


# -- one answer for each prompt, whoever gives it


def fanned(folder: Path, fan_out: str, **fields: Any) -> Any:
    return raw(folder, run={"fan_out": fan_out, "max_concurrency": 4}, **fields)


@pytest.mark.parametrize("fan_out", ["split", "fallback"])
def test_a_second_run_that_shares_out_its_prompts_makes_no_call(tmp_path: Path, log: Path, fan_out: str) -> None:
    providers = [CountingProvider(name, log=log) for name in ("one", "two")]
    report = assert_balanced(fanned(tmp_path, fan_out, topics=20).generate(providers).report)
    assert (report.written, report.calls) == (20, 20)
    for again in (providers, providers[::-1], providers[:1], [*providers, CountingProvider("three", log=log)]):
        assert assert_balanced(fanned(tmp_path, fan_out, topics=20).generate(again).report).calls == 0
    (tmp_path / "out.jsonl").unlink()
    assert assert_balanced(fanned(tmp_path, fan_out, topics=20).generate(providers).report).calls == 0


@pytest.mark.parametrize("fan_out", ["split", "fallback"])
def test_lost_rows_are_rebuilt_also_without_the_provider_that_answered(tmp_path: Path, log: Path, fan_out: str) -> None:
    """Who answers is no part of what such an item is: what one provider was paid for is not bought from another."""
    one, two = CountingProvider("one", log=log), CountingProvider("two", log=log)
    fanned(tmp_path, fan_out, topics=12).generate([one])
    (tmp_path / "out.jsonl").unlink()
    report = assert_balanced(fanned(tmp_path, fan_out, topics=12).generate([two]).report)
    assert (report.written, report.calls) == (12, 0)


# -- failures and other kinds


def test_failed_items_that_leave_the_plan_count_no_more_and_come_back_as_they_were(tmp_path: Path, log: Path) -> None:
    broken = CountingProvider(
        "m", log=log, reply=lambda request: "x" if "topic b" in request.messages[0]["content"] else None
    )
    raw(tmp_path, topics=["a", "topic b"]).generate([broken])
    report = assert_balanced(raw(tmp_path, topics=["a"]).generate([broken]).report)
    assert (report.failed, report.written, report.failures) == (0, 1, {})
    asked = len(requests_in(log))
    report = assert_balanced(raw(tmp_path, topics=["a", "topic b"]).generate([broken]).report)
    assert (report.failed, report.written) == (1, 1)
    assert len(requests_in(log)) == asked


def test_rows_of_an_item_that_failed_in_part_move_with_it(tmp_path: Path, log: Path) -> None:
    provider = CountingProvider("m", log=log, reply=one_of_two)
    fields: dict[str, Any] = {"num_samples_per_prompt": 2}
    raw(tmp_path, topics=["topic 1", "topic 2"], **fields).generate([provider])
    report = assert_balanced(raw(tmp_path, topics=["topic 1"], **fields).generate([provider]).report)
    assert (report.written, report.failed) == (2, 0)
    assert len(stale(tmp_path)) == 1
    report = assert_balanced(raw(tmp_path, topics=["topic 1", "topic 2"], **fields).generate([provider]).report)
    assert (report.written, report.failed) == (3, 1)
    assert len(requests_in(log)) == 2


def test_another_kind_on_the_same_output_moves_all_rows_aside(tmp_path: Path, provider: CountingProvider) -> None:
    raw(tmp_path).generate([provider])
    config = ClassificationDatasetConfig(
        classes=[{"name": "good", "description": "praise"}, {"name": "bad", "description": "blame"}],
        num_samples_per_prompt=1,
        output_file=tmp_path / "out.jsonl",
    )
    report = assert_balanced(ClassificationDataset(config).generate([provider]).report)
    assert (report.written, report.requested) == (2, 2)
    assert len(stale(tmp_path)) == 6


# -- a crash in the middle of moving rows

REWRITE = [
    ("datafast.store.ledger:Ledger.set_state", "before"),
    ("datafast.store.ledger:Ledger.set_state", "after"),
    ("datafast.store.recovery:move_stale_rows", "before"),
    ("datafast.store.compaction:os.fsync", "before"),
    ("datafast.store.compaction:_divide", "after"),
    ("datafast.store.ledger:Ledger.replace_appends", "after"),
    ("datafast.store.compaction:finish_rewrite", "before"),
    ("pathlib:Path.replace", "before"),
    ("pathlib:Path.replace", "after"),
    ("datafast.store.recovery:move_stale_rows", "after"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with fork_server() as running:
        yield running


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("then", ["goes on", "goes back"])
@pytest.mark.parametrize(("point", "when"), REWRITE)
def test_a_crash_while_rows_are_moved_aside_loses_none(
    tmp_path: Path,
    server: ForkServer,
    provider: CountingProvider,
    log: Path,
    point: str,
    when: str,
    then: str,
    nth: int,
) -> None:
    raw(tmp_path, topics=6).generate([provider])
    first = rows_of(tmp_path / "out.jsonl")
    crash = {"folder": str(tmp_path), "log": str(log), "point": point, "when": when, "topics": 4}
    # At the start of a run, finish_rewrite is called once to see whether there is anything to finish.
    nth += "finish_rewrite" in point
    code = server.run("tests.support:crashing_run", nth=nth, **crash)
    assert code in (0, 9)
    topics = 4 if then == "goes on" else 6
    report = assert_balanced(raw(tmp_path, topics=topics).generate([provider]).report)
    assert (report.written, report.calls) == (topics, 0)
    kept = rows_of(tmp_path / "out.jsonl")
    assert all(row in kept + stale(tmp_path) for row in first)
    assert len(requests_in(log)) == 6
    assert not list(tmp_path.glob(".datafast-*"))
    report = assert_balanced(raw(tmp_path, topics=6).generate([provider]).report)
    assert (report.written, report.calls) == (6, 0)
    assert same_rows(rows_of(tmp_path / "out.jsonl"), first)

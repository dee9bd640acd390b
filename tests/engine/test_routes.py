"""Fan-out: every prompt to every provider, to one of them, or to the first that can answer it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from datafast.cli.main import cli
from datafast.datasets import RawDataset
from datafast.engine.routes import FurtherRole, Route, call_identities, providers_of, route_identities, with_further
from datafast.engine.shares import pick_weighted
from datafast.errors import ConfigError, RunStopped
from datafast.llms import OpenAICompatibleProvider, SimulatedProvider
from datafast.schema.config import PreferenceDatasetConfig, RawDatasetConfig, RunConfig
from tests.servers.fault_server import Answer, FaultServer, Recorded


def dataset(tmp_path: Path, fan_out: str, *, topics: int = 200, **run: Any) -> RawDataset:
    config = RawDatasetConfig(
        document_types=["note"],
        topics=[f"topic {number}" for number in range(topics)],
        num_samples_per_prompt=1,
        output_file=tmp_path / "out.jsonl",
        run=RunConfig(fan_out=fan_out, max_concurrency=8, **run),
    )
    return RawDataset(config)


def models(*names: str, **weights: float) -> list[SimulatedProvider]:
    return [SimulatedProvider(name, weight=weights.get(name, 1.0)) for name in names]


def test_split_asks_one_provider_per_prompt_in_proportion_to_the_weights(tmp_path: Path) -> None:
    raw = dataset(tmp_path, "split", topics=1000)
    providers = models("a", "b", a=3.0)
    assert raw.get_num_expected_rows(providers) == 1000
    raw.generate(providers)
    counts = Counter(row.model_id for row in raw.data_rows)
    assert sum(counts.values()) == 1000
    assert 700 < counts["simulated/a"] < 800


def test_the_report_and_the_status_say_what_was_used_of_each_provider(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    raw = dataset(tmp_path, "all", topics=3)
    cheap, dear = (
        OpenAICompatibleProvider(
            name,
            api_base=fault_server.url,
            price={"input_usd_per_million": usd, "output_usd_per_million": usd},
        )
        for name, usd in (("cheap", 1.0), ("dear", 100.0))
    )
    report = raw.generate([cheap, dear]).report
    assert report is not None
    used = {name: asdict(usage) for name, usage in report.usage_by_provider.items()}
    assert used == {
        f"openai_compatible/{name}": {
            "calls": 3, "input_tokens": 33, "output_tokens": 21, "cost_usd": pytest.approx(54 * usd / 1e6),
        }
        for name, usd in (("cheap", 1.0), ("dear", 100.0))
    }  # fmt: skip
    assert (report.input_tokens, report.output_tokens) == (66, 42)
    assert report.cost_usd == pytest.approx(54 * 101 / 1e6)
    status = CliRunner().invoke(cli, ["status", str(tmp_path / "out.jsonl"), "--json"], catch_exceptions=False).stdout
    assert json.loads(status)["usage_by_provider"] == used
    shown = CliRunner().invoke(cli, ["status", str(tmp_path / "out.jsonl")], catch_exceptions=False).stdout
    assert "openai_compatible/dear: 3 calls, 33 tokens in, 21 out, $0.0054" in shown
    assert raw.generate([cheap, dear]).report.usage_by_provider == {}  # type: ignore[union-attr]


def test_changed_weights_buy_nothing_that_is_there(tmp_path: Path) -> None:
    raw = dataset(tmp_path, "split")
    raw.generate(models("a", "b"))
    raw.generate(models("a", "b", "c", b=5.0))
    assert raw.report is not None
    assert (raw.report.calls, raw.report.written) == (0, 200)


@given(
    keys=st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=50),
    weights=st.lists(st.floats(0.1, 10), min_size=2, max_size=5),
)
def test_a_heavier_provider_takes_keys_but_no_others_trade_them(keys: list[bytes], weights: list[float]) -> None:
    names = [f"model {number}" for number in range(len(weights))]
    heavier = [weights[0] * 2, *weights[1:]]
    for key in keys:
        before, after = pick_weighted(key, names, weights), pick_weighted(key, names, heavier)
        assert after in (before, 0)


def test_fallback_asks_the_next_provider_where_the_first_fails(tmp_path: Path, fault_server: FaultServer) -> None:
    def respond(request: Recorded) -> Answer:
        odd = int(request.prompt.rpartition("topic: topic ")[2].split(".")[0]) % 2
        if request.json["model"] == "first" and odd:
            return Answer(text="no", finish_reason="content_filter")
        return Answer(text='{"texts": ["a text"]}')

    fault_server.respond = respond
    raw = dataset(tmp_path, "fallback", topics=20)
    providers = [OpenAICompatibleProvider(name, api_base=fault_server.url) for name in ("first", "second")]
    assert raw.get_num_expected_rows(providers) == 20
    raw.generate(providers)
    assert Counter(row.model_id for row in raw.data_rows) == {"first": 10, "second": 10}
    assert raw.report is not None
    assert (raw.report.failed, raw.report.pending) == (0, 0)
    raw.generate(providers)
    assert raw.report.calls == 0


def test_fallback_goes_on_with_the_next_provider_when_one_is_stopped(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(status=401 if request.json["model"] == "first" else 200)
    raw = dataset(tmp_path, "fallback", topics=20)
    raw.generate([OpenAICompatibleProvider(name, api_base=fault_server.url) for name in ("first", "second")])
    assert Counter(row.model_id for row in raw.data_rows) == {"second": 20}
    assert raw.report is not None
    assert list(raw.report.stopped_providers) == ["openai_compatible/first"]
    assert raw.report.stop_reason is None


def test_fallback_stops_when_all_are_stopped(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(status=401)
    raw = dataset(tmp_path, "fallback", topics=20)
    with pytest.raises(RunStopped):
        raw.generate([OpenAICompatibleProvider(name, api_base=fault_server.url) for name in ("first", "second")])
    assert raw.report is not None
    assert (raw.report.failed, raw.report.pending) == (0, 20)


def test_a_kind_with_roles_refuses_other_modes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one provider in each role"):
        PreferenceDatasetConfig(input_documents=["d"], run=RunConfig(fan_out="split"))


def test_a_weight_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="weight"):
        SimulatedProvider("m", weight=0)


# -- routes


def test_on_a_single_route_one_answers_in_every_role() -> None:
    route = Route.single("a")
    assert (route.of("question"), route.of("whatever"), route.sole) == ("a", "a", "a")
    assert (route.members, route.roles) == (["a"], ())


def test_on_a_route_of_roles_each_has_its_own() -> None:
    one, other = object(), object()
    route = Route.by_role({"question": one, "judge": other, "chosen": one})
    assert (route.of("question"), route.of("judge"), route.sole) == (one, other, None)
    assert route.members == [one, other]
    assert route.roles == ("question", "judge", "chosen")
    with pytest.raises(KeyError):
        route.of("rejected")


def test_who_answers_in_several_roles_is_changed_once() -> None:
    one, other = object(), object()
    changed: list[object] = []

    def change(member: object) -> object:
        changed.append(member)
        return object()

    route = Route.by_role({"question": one, "judge": other, "chosen": one}).map(change)
    assert changed == [one, other]
    assert route.roles == ("question", "judge", "chosen")
    assert route.of("question") is route.of("chosen") is not route.of("judge")
    assert Route.single(2).map(str).sole == "2"


def test_a_route_does_not_change_with_what_it_was_made_from() -> None:
    given = {"question": 1}
    route = Route.by_role(given)
    given["judge"] = 2
    assert route.roles == ("question",)
    with pytest.raises(AttributeError):
        route.sole = 3  # type: ignore[misc]


def test_a_route_without_roles_asks_nobody() -> None:
    assert Route.by_role({}).members == []


# -- further roles


def test_a_further_role_stands_beside_the_own_ones_and_in_no_key() -> None:
    first, second = models("a", "b")
    judge = FurtherRole("judge", SimulatedProvider("j"), like="generator", place=("judge",))
    own = [Route.single(first), Route.single(second)]
    routes = with_further(own, [judge])
    assert [route.of("judge") for route in routes] == [judge.provider] * 2
    assert [route.of("generator") for route in routes] == [first, second]
    assert providers_of(routes) == [first, second, judge.provider]
    assert route_identities(routes, fan_out="all") == route_identities(own, fan_out="all")
    assert call_identities(routes, fan_out="all") == call_identities(own, fan_out="all")
    assert with_further(routes, [judge]) == routes
    assert with_further(own, []) == own


def test_where_no_provider_is_named_a_role_of_the_config_answers() -> None:
    user, assistant = models("user", "assistant")
    judge = FurtherRole("judge", None, like="assistant", place=())
    (route,) = with_further([Route.by_role({"user": user, "assistant": assistant})], [judge])
    assert route.of("judge") is assistant
    assert route.roles == ("user", "assistant")
    nobody = FurtherRole("judge", None, like="generator", place=("best_of_n", "judge"))
    with pytest.raises(ConfigError, match=r"best_of_n\.judge: There is no provider for 'generator'"):
        with_further([Route.by_role({"user": user})], [nobody])
    (single,) = with_further([Route.single(user)], [judge])
    assert single.of("judge") is user


def test_a_provider_that_is_named_again_is_the_same_one() -> None:
    def named(**options: Any) -> OpenAICompatibleProvider:
        return OpenAICompatibleProvider("m", api_base="http://localhost:1", **options)

    own = named(rpm_limit=60, temperature=0)
    roles = [
        FurtherRole(str(number), provider, like="generator", place=())
        for number, provider in enumerate(
            [named(temperature=0.0), named(), named(rpm_limit=30, temperature=0), own, named()]
        )
    ]
    (route,) = with_further([Route.single(own)], roles)
    assert [route.of(str(number)) is own for number in range(5)] == [True, False, False, True, False]
    assert route.of("1") is route.of("4")
    assert len(providers_of([route])) == 3

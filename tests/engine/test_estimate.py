"""What is left will use, cost and take: `dataset.estimate` and `datafast plan`, before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from datafast import AnthropicProvider, Estimate, OpenAICompatibleProvider, OpenAIProvider
from datafast.cli.main import cli
from datafast.engine.expected_usage import Span
from datafast.llms.simulated.provider import SimulatedProvider
from datafast.types import Usage
from tests.support import ROOT, CountingProvider, preference, raw, requests_in, snapshot

PRICE = {"input_usd_per_million": 1.0, "output_usd_per_million": 10.0}
CONFIG = """\
kind: raw
output_file: rows.jsonl
document_types: [manual]
topics: [pumps, valves, seals]
num_samples_per_prompt: 2
providers:
"""


def priced(**options: Any) -> OpenAICompatibleProvider:
    return OpenAICompatibleProvider(model_id="m", api_base="http://127.0.0.1:1", price=PRICE, **options)


def in_order(span: Span | None) -> bool:
    return span is not None and 0 <= span.low <= span.expected <= span.high


# -- in Python


def test_an_estimate_needs_no_key_and_writes_nothing(tmp_path: Path) -> None:
    estimate = raw(tmp_path, topics=10).estimate([OpenAIProvider(), AnthropicProvider()])
    assert isinstance(estimate, Estimate)
    assert (estimate.items, estimate.rows, estimate.calls) == (20, 20, 20)
    assert [part.provider for part in estimate.providers] == [OpenAIProvider().label, AnthropicProvider().label]
    assert in_order(estimate.input_tokens)
    assert in_order(estimate.output_tokens)
    assert in_order(estimate.cost_usd)
    assert in_order(estimate.seconds)
    assert list(tmp_path.iterdir()) == []


def test_the_length_of_prompts_and_reply_schemas_decides_the_input(tmp_path: Path) -> None:
    short = raw(tmp_path, topics=["a"]).estimate([priced()]).input_tokens
    long = raw(tmp_path, topics=["a" * 4001]).estimate([priced()]).input_tokens
    assert long.expected - short.expected == pytest.approx(1000)
    assert long.low - short.low == pytest.approx(800)
    assert long.high - short.high == pytest.approx(4000 / 3)


def test_output_that_nobody_has_seen_yet_is_guessed_by_the_text_and_says_so(tmp_path: Path) -> None:
    (part,) = raw(tmp_path, topics=4, num_samples_per_prompt=5).estimate([priced()]).providers
    assert part.output_tokens == Span(4 * 5 * 100, 4 * 5 * 300, 4 * 5 * 600)
    assert part.output_basis == "guessed"


def test_a_guess_stays_within_the_longest_reply_allowed(tmp_path: Path) -> None:
    (part,) = raw(tmp_path, topics=1).estimate([priced(max_completion_tokens=250)]).providers
    assert part.output_tokens == Span(100, 250, 250)


def test_the_cost_is_that_of_the_tokens_at_list_price(tmp_path: Path) -> None:
    (part,) = raw(tmp_path, topics=1).estimate([priced()]).providers
    assert part.cost_usd is not None
    tokens = Usage(round(part.input_tokens.expected), round(part.output_tokens.expected))
    assert part.cost_usd.expected == pytest.approx(priced().cost_usd(tokens))


def test_an_unknown_price_makes_the_cost_unknown_and_never_0(tmp_path: Path) -> None:
    unknown = OpenAICompatibleProvider(model_id="mystery", api_base="http://127.0.0.1:1")
    estimate = raw(tmp_path).estimate([priced(), unknown])
    assert estimate.cost_usd is None
    assert [part.cost_usd is None for part in estimate.providers] == [False, True]
    assert any("cost is unknown" in note for note in estimate.notes)


def test_a_model_that_the_price_list_does_not_know_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    notes = raw(tmp_path).estimate([OpenAIProvider("gpt-4.1-mnii", api_key="sk-0123456789")]).notes
    assert any("openai/gpt-4.1-mnii" in note and "Did you mean 'gpt-4.1-mini'?" in note for note in notes)


def test_earlier_replies_of_the_output_take_the_place_of_the_guess(tmp_path: Path) -> None:
    provider = CountingProvider("m", log=tmp_path / "log", reply=lambda request: '{"texts": ["a text"]}')
    dataset = raw(tmp_path, topics=40)
    dataset.generate([provider], limit=12)
    (part,) = dataset.estimate([provider]).providers
    assert part.output_basis == "recorded"
    assert part.latency_basis == "recorded"
    assert part.output_tokens == Span(28 * 20, 28 * 20, 28 * 20)  # each of its replies says 20


def test_few_earlier_replies_leave_a_wide_range(tmp_path: Path) -> None:
    provider = CountingProvider("m", log=tmp_path / "log", reply=lambda request: '{"texts": ["a text"]}')
    dataset = raw(tmp_path, topics=10)
    dataset.generate([provider], limit=2)
    assert dataset.estimate([provider]).output_tokens == Span(8 * 10, 8 * 20, 8 * 40)


def test_what_is_done_is_not_counted(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=10)
    dataset.generate([SimulatedProvider("a"), SimulatedProvider("b")], limit=6)
    estimate = dataset.estimate([SimulatedProvider("a"), SimulatedProvider("b")])
    assert (estimate.items, estimate.rows, estimate.calls) == (14, 14, 14)
    dataset.generate([SimulatedProvider("a"), SimulatedProvider("b")])
    estimate = dataset.estimate([SimulatedProvider("a"), SimulatedProvider("b")])
    assert (estimate.items, estimate.rows, estimate.calls, estimate.seconds) == (0, 0, 0, Span())


def test_what_has_failed_for_good_is_not_counted(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=5)
    dataset.generate([SimulatedProvider("a", faults={"refused": 1.0})])
    assert dataset.estimate([SimulatedProvider("a")]).items == 0


def test_a_config_that_has_grown_counts_what_is_new(tmp_path: Path) -> None:
    raw(tmp_path, topics=["a", "b"]).generate([SimulatedProvider("m")])
    estimate = raw(tmp_path, topics=["b", "c", "d"]).estimate([SimulatedProvider("m")])
    assert (estimate.items, estimate.rows) == (2, 2)


def test_rows_of_simulated_models_do_not_count_for_real_ones(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=5)
    dataset.generate([OpenAIProvider()], offline=True)
    assert dataset.estimate([OpenAIProvider()]).items == 5


def test_a_ledger_that_cannot_be_read_is_told_and_everything_counted(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl.ledger").write_bytes(b"no database" * 999)
    estimate = raw(tmp_path, topics=5).estimate([priced()])
    assert estimate.items == 5
    assert "Cannot read the ledger" in estimate.notes[0]


def test_an_estimate_equals_what_the_run_then_does_in_items_and_calls(tmp_path: Path) -> None:
    dataset = preference(tmp_path, documents=3)
    model = CountingProvider("m", log=tmp_path / "log")
    llms: Any = dict.fromkeys(
        ("question_gen_llm", "chosen_response_gen_llm", "rejected_response_gen_llm", "judge_llm"), model
    )
    estimate = dataset.estimate(**llms)
    (part,) = estimate.providers
    assert part.calls == {"question": 3, "chosen": 6, "rejected": 6, "judge": 12}
    dataset.generate(**llms)
    assert len(requests_in(tmp_path / "log")) == estimate.calls
    assert dataset.estimate(**llms).calls == 0


@pytest.mark.parametrize(("fan_out", "calls"), [("all", [40, 40]), ("split", [30, 10]), ("fallback", [40, 0])])
def test_calls_are_dealt_as_the_run_deals_them(tmp_path: Path, fan_out: str, calls: list[int]) -> None:
    dataset = raw(tmp_path, topics=40, run={"fan_out": fan_out})
    parts = dataset.estimate([priced(weight=3, name="a"), priced(weight=1, name="b")]).providers
    assert [sum(part.calls.values()) for part in parts] == calls


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({}, 20 * 3 / 2),
        ({"max_concurrency": 1}, 20 * 3),
        ({"rpm_limit": 6}, 200),
        ({"tpm_limit": 60}, None),
    ],
)
def test_concurrency_and_limits_per_minute_decide_the_time(
    tmp_path: Path, options: dict[str, Any], seconds: float | None
) -> None:
    provider = SimulatedProvider("m", latency_s=3.0, **options)
    estimate = raw(tmp_path, topics=20, run={"max_concurrency": 2}).estimate([provider])
    tokens = estimate.input_tokens.expected + estimate.output_tokens.expected
    assert estimate.seconds.expected == pytest.approx(tokens if seconds is None else seconds)


def test_providers_share_the_slots_of_the_run(tmp_path: Path) -> None:
    providers = [SimulatedProvider("a", latency_s=3.0), SimulatedProvider("b", latency_s=3.0)]
    estimate = raw(tmp_path, topics=20, run={"max_concurrency": 2}).estimate(providers)
    assert [part.seconds.expected for part in estimate.providers] == [30, 30]
    assert estimate.seconds.expected == 60


def test_an_estimate_reads_the_output_and_changes_nothing(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=5)
    dataset.generate([SimulatedProvider("a")], limit=2)
    before = snapshot(tmp_path)
    dataset.estimate([SimulatedProvider("a")])
    assert snapshot(tmp_path) == before


@given(st.lists(st.floats(0, 1e300), min_size=3, max_size=3).map(sorted), st.floats(0, 1e6))
def test_a_span_stays_in_order_whatever_it_is_multiplied_with(values: list[float], factor: float) -> None:
    span = Span(*values) * factor
    assert in_order(span)
    assert json.loads(json.dumps(span.whole())) == span.whole()


# -- on the command line

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_plan_tells_tokens_cost_and_time_without_a_key(run: Run) -> None:
    Path("c.yaml").write_text(CONFIG + "  - openai/gpt-4.1-mini-2025-04-14\n", encoding="utf-8")
    out = run("plan", "c.yaml", "-n", 0).stdout
    assert "left to do          6 rows from 3 prompts, 3 calls" in out
    assert "estimate            openai/gpt-4.1-mini-2025-04-14: " in out
    assert "1.8 k [600 to 3.6 k] out (guessed), cost $0.00" in out
    assert "Retries are not included" in out


def test_plan_shows_an_unknown_price_as_unknown(run: Run) -> None:
    mystery = '  - {provider: openai_compatible, model_id: x, api_base: "http://127.0.0.1:1"}\n'
    Path("c.yaml").write_text(CONFIG + mystery, encoding="utf-8")
    assert "cost unknown" in run("plan", "c.yaml", "-n", 0).stdout


def test_plan_json_carries_all_numbers(run: Run) -> None:
    Path("c.yaml").write_text(CONFIG + "  - openai/gpt-4.1-mini-2025-04-14\n", encoding="utf-8")
    found = json.loads(run("plan", "c.yaml", "--json").stdout)["estimate"]
    assert set(found) == set(Estimate.__dataclass_fields__)
    assert found["output_tokens"] == {"low": 600, "expected": 1800, "high": 3600}
    assert found["providers"][0]["output_basis"] == "guessed"
    assert found["cost_usd"]["low"] < found["cost_usd"]["expected"] < found["cost_usd"]["high"]


def test_plan_after_the_run_has_nothing_left_to_estimate(run: Run) -> None:
    Path("c.yaml").write_text(CONFIG + "  - simulated/a\n", encoding="utf-8")
    run("generate", "c.yaml")
    assert "left to do          nothing" in run("plan", "c.yaml", "-n", 0).stdout


def test_plan_names_the_roles_of_each_provider(run: Run) -> None:
    out = run("plan", ROOT / "examples" / "preference.yaml", "-n", 0).stdout
    assert "openai/gpt-6-luna (question): " in out
    assert "(judge): " in out

"""Costs: the user's own price first, the price list next, and None where neither knows."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafast.errors import ConfigError
from datafast.llms.prices import Price, cost_usd, nearest_model
from datafast.types import Usage

MILLION = 1_000_000


@pytest.mark.parametrize(
    ("provider_name", "model_id", "near"),
    [
        ("openai", "gpt-4.1-mnii", "gpt-4.1-mini"), ("gemini", "gemini-2.0-flahs", "gemini-2.0-flash"),
        ("openai", "gpt-5-mini-2025-08-07", None), ("openai", "zzzzzz", None), ("openai_compatible", "gpt-4.1-mnii", None),
        ("ollama", "gemma3:4b", None),
    ],
)  # fmt: skip
def test_the_model_that_a_slip_was_meant_for_is_found(provider_name: str, model_id: str, near: str | None) -> None:
    assert nearest_model(provider_name, model_id) == near


def test_tokens_are_priced_per_million() -> None:
    price = Price(2.0, 10.0)
    usage = Usage(MILLION, MILLION // 2)
    assert cost_usd(usage, provider_name="openai_compatible", model_id="mine", price=price) == 7.0


def test_cached_tokens_cost_their_own_rate_and_count_once() -> None:
    usage = Usage(input_tokens=MILLION, output_tokens=0, cached_tokens=MILLION // 2)
    assert Price(2.0, 10.0, 0.5).cost_usd(usage) == 1.25
    assert Price(2.0, 10.0).cost_usd(usage) == 2.0


def test_tokens_written_to_a_cache_cost_more_than_others_and_count_once() -> None:
    usage = Usage(input_tokens=MILLION, output_tokens=0, cached_tokens=MILLION // 4, cache_write_tokens=MILLION // 2)
    assert Price(2.0, 10.0, 0.2, 3.0).cost_usd(usage) == 0.25 * 2.0 + 0.25 * 0.2 + 0.5 * 3.0
    assert Price(2.0, 10.0, 0.2).cost_usd(usage) == 0.25 * 2.0 + 0.25 * 0.2 + 0.5 * 2.5
    for_an_hour = replace(usage, long_cache_write_tokens=MILLION // 4)
    assert Price(2.0, 10.0, 0.2).cost_usd(for_an_hour) == 0.25 * 2.0 + 0.25 * 0.2 + 0.25 * 2.5 + 0.25 * 4.0


@pytest.mark.parametrize(
    ("model_id", "plain"), [("claude-haiku-4-5", 1.0), ("claude-sonnet-4-5", 3.0), ("claude-opus-5", 5.0)]
)
def test_the_list_knows_what_the_cache_of_anthropic_costs(model_id: str, plain: float) -> None:
    def cost(**tokens: int) -> float:
        usage = Usage(100_000, 0, **tokens)
        return (cost_usd(usage, provider_name="anthropic", model_id=model_id) or 0.0) / (plain / 10)

    assert cost() == pytest.approx(1.0)
    assert cost(cached_tokens=100_000) == pytest.approx(0.1)
    assert cost(cache_write_tokens=100_000) == pytest.approx(1.25)
    assert cost(cache_write_tokens=100_000, long_cache_write_tokens=100_000) == pytest.approx(2.0)
    assert cost(cached_tokens=50_000, cache_write_tokens=25_000) == pytest.approx(0.25 + 0.05 + 0.25 * 1.25)


def test_who_lists_no_price_for_writing_to_a_cache_asks_none() -> None:
    usage = Usage(MILLION, 0, cache_write_tokens=MILLION)
    assert cost_usd(usage, provider_name="mistral", model_id="mistral-small-latest") == pytest.approx(0.15)


def test_the_users_price_wins_over_the_list() -> None:
    usage = Usage(MILLION, 0)
    assert cost_usd(usage, provider_name="openai", model_id="gpt-4o-mini", price=Price(9.0, 9.0)) == 9.0


@pytest.mark.parametrize(
    ("provider_name", "model_id"),
    [
        ("openai", "gpt-4o-mini"),
        ("anthropic", "claude-haiku-4-5"),
        ("gemini", "gemini-2.5-flash"),
        ("mistral", "mistral-small-latest"),
        ("openrouter", "openai/gpt-4o-mini"),
    ],
)
def test_known_models_have_a_price_that_grows_with_the_tokens(provider_name: str, model_id: str) -> None:
    costs = [
        cost_usd(Usage(1000 * factor, 500 * factor), provider_name=provider_name, model_id=model_id)
        for factor in (1, 2)
    ]
    assert costs[0] is not None
    assert costs[0] > 0
    assert costs[1] == pytest.approx(2 * costs[0])


def test_a_price_that_depends_on_the_prompts_length_is_taken_per_request() -> None:
    short = cost_usd(Usage(100_000, 0), provider_name="gemini", model_id="gemini-2.5-pro")
    long = cost_usd(Usage(1_000_000, 0), provider_name="gemini", model_id="gemini-2.5-pro")
    assert short is not None
    assert long is not None
    assert long > 10 * short


@pytest.mark.parametrize(
    ("provider_name", "model_id"),
    [
        ("openai", "no-such-model-at-all"),
        ("nobody", "no-such-model-at-all"),
        ("openai_compatible", "gpt-4o"),
        ("ollama", "gpt-oss:120b-cloud"),
    ],
)
def test_an_unknown_price_is_none_and_not_zero(provider_name: str, model_id: str) -> None:
    assert cost_usd(Usage(10, 10), provider_name=provider_name, model_id=model_id) is None


@pytest.mark.parametrize(
    ("provider_name", "model_id"), [("simulated", "m"), ("openai", "simulated/gpt-4o"), ("ollama", "gemma3:4b")]
)
def test_simulated_and_local_models_are_free(provider_name: str, model_id: str) -> None:
    assert cost_usd(Usage(10, 10), provider_name=provider_name, model_id=model_id) == 0.0


def test_prices_are_looked_up_without_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a price was looked up on the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert cost_usd(Usage(10, 10), provider_name="openai", model_id="gpt-4.1-nano") is not None


def test_more_cached_tokens_than_input_tokens_do_not_make_a_reply_cheaper_than_nothing() -> None:
    usage = Usage(input_tokens=10, output_tokens=0, cached_tokens=50)
    assert Price(1.0, 1.0, 0.5).cost_usd(usage) == pytest.approx(5e-6)
    assert (cost_usd(usage, provider_name="gemini", model_id="gemini-2.5-pro") or -1) > 0


def test_a_price_may_be_given_as_a_mapping() -> None:
    assert Price.of({"input_usd_per_million": 1, "output_usd_per_million": 2}) == Price(1, 2)
    assert Price.of(None) is None


@pytest.mark.parametrize(
    "value",
    [
        {"input_usd_per_million": 1},
        {"input_usd_per_million": 1, "output_usd_per_million": 2, "per_thousand": 3},
        {"input_usd_per_million": -1, "output_usd_per_million": 2},
        {"input_usd_per_million": "1", "output_usd_per_million": 2},
        {"input_usd_per_million": float("nan"), "output_usd_per_million": 2},
    ],
)
def test_a_wrong_price_is_refused_naming_the_field(value: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="price") as caught:
        Price.of(value)
    assert caught.value.key == "price"


@given(st.lists(st.builds(Usage, *[st.integers(0, 10**7)] * 2), max_size=5))
def test_costs_of_replies_add_up(usages: list[Usage]) -> None:
    price = Price(0.15, 0.6, 0.075)
    total = sum(usages, Usage())
    assert sum(price.cost_usd(usage) for usage in usages) == pytest.approx(price.cost_usd(total))


@pytest.mark.parametrize("discount", [-0.1, 1.5, True, float("nan"), "half"])
def test_a_discount_for_batches_is_a_part_of_the_price(discount: object) -> None:
    price = {"input_usd_per_million": 1, "output_usd_per_million": 2, "batch_discount": discount}
    with pytest.raises(ConfigError, match=r"price\.batch_discount: expected a number from 0 to 1, such as 0\.5"):
        Price.of(price)

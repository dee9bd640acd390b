"""Providers as the ledger describes them: enough to reach them again, and no secret."""

from __future__ import annotations

from typing import Any

import pytest

from datafast.engine.batches.description import described, provider_of
from datafast.llms import (
    AnthropicProvider,
    AzureOpenAIProvider,
    GeminiProvider,
    LLMProvider,
    MistralProvider,
    OpenAICompatibleProvider,
    OpenAIProvider,
)

OWN = "http://127.0.0.1:1/v1"
SECRET = "sk-secret-0123456789-abcdefghij"
PRICE = {"input_usd_per_million": 1.0, "output_usd_per_million": 2.0, "batch_discount": 0.5}


@pytest.mark.parametrize(
    "provider",
    [
        OpenAIProvider("m", temperature=0.5, price=PRICE, timeout={"connect_s": 5}),
        OpenAIProvider("m", api_base=OWN, api_key_env="KEY", extra={"seed": 3}, extra_headers={"X-Project": "p"}),
        AnthropicProvider("m", prompt_cache="auto"),
        GeminiProvider("m", reasoning_effort="low"),
        MistralProvider("m", max_concurrency="auto"),
        OpenAICompatibleProvider("m", api_base=OWN, name="mine"),
        AzureOpenAIProvider(
            deployment="d",
            model="m",
            batch_deployment="b",
            api_version="2024-10-21",
            api_base="https://a.openai.azure.com",
        ),
    ],
    ids=repr,
)
def test_a_provider_is_made_again_as_it_was(provider: LLMProvider) -> None:
    made = provider_of(described(provider))
    assert type(made) is type(provider)
    assert made is not None
    assert (made.identity, made.api_base, made.key_variable) == (
        provider.identity,
        provider.api_base,
        provider.key_variable,
    )
    assert (made.price, made.batch_discount, made.label) == (provider.price, provider.batch_discount, provider.label)
    for name in provider.own_params:
        assert getattr(made, name, None) == getattr(provider, name, None)


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": SECRET},
        {"extra_headers": {"Authorization": f"Bearer {SECRET}", "X-Project": "p"}},
        {"extra": {"token": SECRET, "nested": {"password": SECRET}}},
    ],
)
def test_nothing_secret_is_described(options: dict[str, Any]) -> None:
    text = described(OpenAIProvider("m", **options))
    assert text
    assert SECRET not in text
    assert ("X-Project" in text) == ("extra_headers" in options)


@pytest.mark.parametrize(
    "options",
    [{"api_base": OWN, "api_key": SECRET}, {"api_base": f"https://example.com/v1?api-key={SECRET}"}],
)
def test_no_other_key_is_sent_to_an_address_of_the_users_own(options: dict[str, Any]) -> None:
    assert described(OpenAIProvider("m", **options)) == ""
    assert provider_of("") is None


def test_a_class_of_the_users_own_cannot_be_made_again() -> None:
    class Mine(OpenAIProvider):
        pass

    assert described(Mine("m")) == ""


def test_the_address_stands_there_also_if_the_environment_has_named_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", OWN)
    text = described(OpenAIProvider("m"))
    monkeypatch.delenv("OPENAI_BASE_URL")
    made = provider_of(text)
    assert made is not None
    assert made.api_base.startswith("http://127.0.0.1:1")


def test_a_description_of_a_provider_that_is_gone_makes_none() -> None:
    assert provider_of('{"provider":"acme","model_id":"m"}') is None
    assert provider_of('{"provider":"openai","model_id":"m","unheard_of":1}') is None

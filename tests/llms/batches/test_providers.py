"""Which providers have batches, where, at what price, and what `datafast check` says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.errors import ConfigError
from datafast.llms import (
    AnthropicProvider,
    AzureOpenAIProvider,
    GeminiProvider,
    LiteLLMProvider,
    LLMProvider,
    MistralProvider,
    OllamaProvider,
    OpenAICompatibleProvider,
    OpenAIProvider,
    OpenRouterProvider,
    SimulatedProvider,
)
from tests.llms.batches.support import asking

OWN = "https://gateway.example/v1"
RESOURCE = "https://example.openai.azure.com"


@pytest.mark.parametrize(
    ("provider", "has_batches", "discount"),
    [
        (OpenAIProvider("m"), True, 0.5),
        (OpenAIProvider("m", api_base="https://eu.api.openai.com/v1"), True, 0.5),
        (OpenAIProvider("m", api_base=OWN), True, None),
        (OpenAIProvider("m", api_base="https://not-api.openai.com.example"), True, None),
        (OpenAICompatibleProvider("m", api_base=OWN), True, None),
        (AzureOpenAIProvider("m", api_base=RESOURCE), True, 0.5),
        (AzureOpenAIProvider("m", api_base=OWN), True, None),
        (MistralProvider("m"), True, 0.5),
        (MistralProvider("m", api_base=OWN), True, None),
        (AnthropicProvider("m"), True, 0.5),
        (AnthropicProvider("m", api_base=OWN), True, None),
        (GeminiProvider("m"), True, 0.5),
        (GeminiProvider("m", api_base=OWN), True, None),
        (OpenRouterProvider("m"), False, None),
        (OllamaProvider("m"), False, None),
        (LiteLLMProvider("openai/m"), False, None),
        (SimulatedProvider(), False, None),
    ],
    ids=repr,
)
def test_batches_and_what_they_save(provider: LLMProvider, has_batches: bool, discount: float | None) -> None:
    assert (provider.open_batches() is not None) is has_batches
    assert provider.has_batches is has_batches
    assert provider.batch_discount == discount


@pytest.mark.parametrize("api_base", [None, OWN])
def test_a_discount_that_the_user_gives_wins(api_base: str | None) -> None:
    price = {"input_usd_per_million": 1, "output_usd_per_million": 2, "batch_discount": 0.25}
    assert OpenAIProvider("m", api_base=api_base, price=price).batch_discount == 0.25
    price.pop("batch_discount")
    assert OpenAIProvider("m", api_base=api_base, price=price).batch_discount == (None if api_base else 0.5)


def line_of(provider: LLMProvider) -> dict[str, Any]:
    backend = provider.open_batches()
    assert backend is not None
    return json.loads(backend.line("id-1", asking("a")))


@pytest.mark.parametrize(
    ("base", "path"),
    [
        ("https://api.groq.com/openai/v1", "/v1/chat/completions"),
        ("http://localhost:8000", "/v1/chat/completions"),
        ("https://open.bigmodel.cn/api/paas/v4", "/v4/chat/completions"),
        ("https://api.example/v1/chat/completions", "/v1/chat/completions"),
    ],
)
def test_lines_name_the_path_below_the_version_of_the_api(base: str, path: str) -> None:
    assert line_of(OpenAICompatibleProvider("m", api_base=base))["url"] == path


def test_batches_of_azure_ask_for_the_deployment_that_is_made_for_them() -> None:
    provider = AzureOpenAIProvider("chat", api_base=RESOURCE, batch_deployment=" chat-batch ")
    assert line_of(provider)["body"]["model"] == "chat-batch"
    assert line_of(provider)["url"] == "/chat/completions"
    assert line_of(AzureOpenAIProvider("chat", api_base=RESOURCE))["body"]["model"] == "chat"
    assert provider.identity == AzureOpenAIProvider("chat", api_base=RESOURCE).identity


@pytest.mark.parametrize("name", ["", 7])
def test_a_batch_deployment_is_a_name(name: Any) -> None:
    with pytest.raises(ConfigError, match="batch_deployment: expected the name of a deployment"):
        AzureOpenAIProvider("chat", api_base=RESOURCE, batch_deployment=name)


@pytest.mark.parametrize(
    ("spec", "batches", "told"),
    [
        ({"provider": "anthropic", "model_id": "claude-haiku-4-5"}, True, "batches save 50% of it"),
        ({"provider": "openai_compatible", "model_id": "m", "api_base": OWN}, None, ""),
        ({"provider": "ollama", "model_id": "m"}, False, ""),
    ],
)
def test_check_tells_of_batches_without_a_call(
    spec: dict[str, Any], batches: bool | None, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-canary-0123456789")
    config = {"kind": "raw", "output_file": "o.jsonl", "document_types": ["d"], "topics": ["t"], "providers": [spec]}
    Path("c.yaml").write_text(json.dumps(config), encoding="utf-8")
    (found,) = json.loads(CliRunner().invoke(cli, ["check", "c.yaml", "--no-call", "--json"]).stdout)["providers"]
    assert found["batches"] is batches
    shown = CliRunner().invoke(cli, ["check", "c.yaml", "--no-call"]).stdout
    assert ("batches" in shown) is bool(told)
    assert told in " ".join(shown.split())

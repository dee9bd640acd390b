"""Azure OpenAI: where a deployment is called, with which key, at which price, and what its content filter refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datafast.errors import ConfigError, ErrorKind, MissingKeyError, ProviderError
from datafast.llms import AzureOpenAIProvider, OpenAIProvider, provider_from_spec
from datafast.types import Usage
from tests.servers.fault_server import Answer, FaultServer
from tests.support import assert_balanced, raw

RESOURCE = "https://example.openai.azure.com"
V1 = f"{RESOURCE}/openai/v1/chat/completions"
DATED = f"{RESOURCE}/openai/deployments/chat-eu/chat/completions?api-version=2024-10-21"
FILTERED = {
    "error": {
        "message": "The response was filtered due to the prompt.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {
                "hate": {"filtered": True, "severity": "high"},
                "jailbreak": {"filtered": True, "detected": True},
                "violence": {"filtered": False, "severity": "safe"},
            },
        },
    }
}


def azure(**options: Any) -> AzureOpenAIProvider:
    return AzureOpenAIProvider("chat-eu", **{"api_key": "0123456789abcdef", "api_base": RESOURCE} | options)


@pytest.mark.parametrize(
    ("base", "version", "url"),
    [
        (RESOURCE, None, V1),
        (f"{RESOURCE}/openai", None, V1),
        (f"{RESOURCE}/openai/v1/", None, V1),
        (RESOURCE, "preview", f"{V1}?api-version=preview"),
        (RESOURCE, "2024-10-21", DATED),
        (f"{RESOURCE}/openai/v1", "2024-10-21", DATED),
        (DATED, None, DATED),
        (DATED, "2025-01-01-preview", DATED.replace("2024-10-21", "2025-01-01-preview")),
        ("https://gateway/team", None, "https://gateway/team/openai/v1/chat/completions"),
    ],
)
def test_a_deployment_is_called_by_its_path_or_below_v1(base: str, version: str | None, url: str) -> None:
    provider = azure(api_base=base, api_version=version)
    provider.require_ready()
    assert provider.request_url == url


def test_the_request_names_the_deployment_and_carries_the_key_in_its_own_header(fault_server: FaultServer) -> None:
    azure(api_base=fault_server.url, model="gpt-4.1-mini", max_completion_tokens=9).generate("Hello")
    (request,) = fault_server.requests
    assert request.target == "/openai/v1/chat/completions"
    assert request.headers["api-key"] == "0123456789abcdef"
    assert "authorization" not in request.headers
    assert (request.json["model"], request.json["max_completion_tokens"]) == ("chat-eu", 9)


def test_key_and_address_come_from_the_environment(fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "key-of-the-environment")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", f"{fault_server.url}/")
    provider = provider_from_spec({"provider": "azure", "deployment": "chat eu", "api_version": "2024-10-21"})
    provider.generate("Hello")
    (request,) = fault_server.requests
    assert request.target == "/openai/deployments/chat%20eu/chat/completions?api-version=2024-10-21"
    assert request.headers["api-key"] == "key-of-the-environment"


def test_without_a_key_or_an_address_nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="AZURE_OPENAI_ENDPOINT"):
        AzureOpenAIProvider("chat-eu", "key").require_ready()
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", RESOURCE)
    with pytest.raises(MissingKeyError, match="AZURE_OPENAI_API_KEY"):
        AzureOpenAIProvider("chat-eu").require_ready()
    AzureOpenAIProvider("chat-eu", extra_headers={"Authorization": "Bearer token-of-entra-id"}).require_ready()


def test_an_address_of_another_deployment_is_refused() -> None:
    with pytest.raises(ConfigError, match="another deployment, 'chat-eu'"):
        AzureOpenAIProvider("chat-us", "key", api_base=DATED).require_ready()


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({}, "deployment"),
        ({"deployment": "a", "model_id": "b"}, "model_id"),
        ({"deployment": "a", "api_version": "newest"}, "api_version"),
        ({"deployment": "a", "api_version": 2024}, "api_version"),
        ({"deployment": "a", "model": ""}, "model"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(options: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        provider_from_spec({"provider": "azure", **options})
    assert caught.value.key == key


def test_the_price_is_that_of_the_model_behind_the_deployment() -> None:
    usage = Usage(1000, 500)
    assert azure(model="gpt-4.1-mini").cost_usd(usage) == OpenAIProvider("gpt-4.1-mini").cost_usd(usage)
    assert azure().cost_usd(usage) is None
    assert AzureOpenAIProvider("gpt-4.1-mini").cost_usd(usage) is None  # it may be any model
    assert azure(price={"input_usd_per_million": 1, "output_usd_per_million": 2}).cost_usd(usage) == 0.002


def test_another_address_version_or_model_for_the_price_buys_nothing_again() -> None:
    assert azure().identity == azure(api_base="https://other.azure.com", api_version="preview", model="gpt-5").identity


def test_a_prompt_that_its_content_filter_refuses_says_for_what(fault_server: FaultServer) -> None:
    fault_server.answer_next(Answer(status=400, body=FILTERED))
    with pytest.raises(ProviderError, match=r"Filtered for hate \(high\), jailbreak\.") as caught:
        azure(api_base=fault_server.url).generate("Hello")
    assert caught.value.kind is ErrorKind.CONTENT_FILTER


def test_filtered_prompts_and_replies_fail_their_items_alone(tmp_path: Path, fault_server: FaultServer) -> None:
    empty = {"choices": [{"index": 0, "finish_reason": "content_filter", "message": {"role": "assistant"}}]}
    answers = {"topic 1.": Answer(status=400, body=FILTERED), "topic 2.": Answer(body=empty)}
    fault_server.respond = lambda request: next(
        (answer for topic, answer in answers.items() if topic in request.raw.decode()), Answer()
    )
    dataset = raw(tmp_path, topics=[f"topic {number}." for number in range(5)], run={"max_concurrency": 1})
    dataset.generate([azure(api_base=fault_server.url)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failures) == (3, {"content_filter": 1, "refused": 1})
    assert len(fault_server.requests) == 5

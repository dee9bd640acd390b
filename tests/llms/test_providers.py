"""Providers as descriptions: parameters, identity, keys and addresses."""

from __future__ import annotations

import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import datafast.llms
from datafast.errors import ConfigError, MissingKeyError, ProviderError
from datafast.llms import (
    AnthropicProvider,
    GeminiProvider,
    LiteLLMProvider,
    LLMProvider,
    MistralProvider,
    OllamaProvider,
    OpenAICompatibleProvider,
    OpenAIProvider,
    OpenRouterProvider,
)
from datafast.llms.base_urls import chat_url
from datafast.llms.local.llama_cpp import LlamaCppProvider
from datafast.llms.simulated.provider import SimulatedProvider
from tests.servers.fault_server import Answer, FaultServer

DEFAULTS = [
    (OpenAIProvider, "openai/gpt-6-luna", "OPENAI_API_KEY"),
    (AnthropicProvider, "anthropic/claude-haiku-4-5-20251001", "ANTHROPIC_API_KEY"),
    (GeminiProvider, "gemini/gemini-3.5-flash-lite", "GEMINI_API_KEY"),
    (MistralProvider, "mistral/mistral-small-latest", "MISTRAL_API_KEY"),
    (OpenRouterProvider, "openrouter/openai/gpt-6-luna", "OPENROUTER_API_KEY"),
]
EVERY_CLASS = [entry[0] for entry in DEFAULTS] + [OllamaProvider]


def local(server: FaultServer, **options: Any) -> OpenAICompatibleProvider:
    return OpenAICompatibleProvider("tiny", api_base=server.url, **options)


# --- Parameters


@pytest.mark.parametrize(("cls", "label", "variable"), DEFAULTS)
def test_a_provider_without_arguments_has_its_default_model(cls: type[LLMProvider], label: str, variable: str) -> None:
    assert cls().label == label
    assert cls.env_key_name == variable


def test_every_exported_name_exists() -> None:
    assert all(hasattr(datafast.llms, name) for name in datafast.llms.__all__)


@pytest.mark.parametrize("cls", EVERY_CLASS)
def test_every_provider_takes_the_same_parameters(cls: type[LLMProvider]) -> None:
    provider = cls(
        "some-model", api_key="k", api_base="http://127.0.0.1:1", temperature=1, max_completion_tokens=10, top_p=0.5,
        frequency_penalty=-1, reasoning_effort="low", rpm_limit=60, tpm_limit=1000, timeout=5, max_concurrency=3,
        extra={"seed": 1}, extra_headers={"X": "y"}, name="mine",
        price={"input_usd_per_million": 1, "output_usd_per_million": 2},
    )  # fmt: skip
    assert (provider.model_id, provider.rpm_limit, provider.timeout) == ("some-model", 60, 5)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("temperature", 2.1), ("temperature", -0.1), ("temperature", "hot"), ("temperature", True), ("temperature", float("nan")),
        ("top_p", 1.5), ("frequency_penalty", 3), ("max_completion_tokens", 0), ("max_completion_tokens", 1.5), ("rpm_limit", 1e-9),
        ("tpm_limit", -1), ("timeout", 0), ("timeout", float("inf")), ("timeout", {"total": 1}), ("timeout", {"total_s": 0}),
        ("timeout", {"connect_s": True}), ("timeout", "1 m"), ("timeout", {"idle_s": 1}), ("stream", "yes"), ("stream", 1),
        ("max_concurrency", 0), ("extra", [1]),
        ("extra", {"messages": []}), ("extra", {"x": object()}), ("extra_headers", {"a": "b\nc"}), ("api_base", "localhost:8000"),
        ("api_base", "http://user:secret@host"), ("api_base", "http://host:99999"), ("api_key", " "), ("api_key", 5), ("name", ""),
        ("price", {"input": 1}), ("reasoning_effort", 3), ("ssl_ca", 1), ("max_reply_mb", 0),
        ("api_base", "http://a..b/v1"), ("api_base", f"http://{'a' * 64}.com"), ("api_base", "http://[::1"), ("api_base", "http://a b/v1"),
        ("api_base", f"http://{'a.' * 127}com"), ("api_base", "http://host/模型"), ("api_base", "http://host:port"),
        ("extra_headers", {"X-Team": "研究"}), ("extra_headers", {"X Team": "a"}), ("extra_headers", {"X-é": "a"}),
        ("extra_headers", {"X-Team": "a\0"}), ("extra_headers", {"Content-Length": "3"}), ("api_key", "sk-ключ"), ("api_key", "a\nb"),
        ("max_completion_tokens", 2**31), ("max_completion_tokens", 10**20), ("extra", {"x": [float("nan")]}), ("extra", {"x": 10**20}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("cls", [OpenAIProvider, AnthropicProvider])
def test_a_value_out_of_range_is_refused_by_name(cls: type[LLMProvider], key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=key) as caught:
        cls(**{key: value})
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (30, 600, None)),
        ({"timeout": 5}, (5, 5, None)),
        ({"timeout": {"connect_s": 2}}, (2, 600, None)),
        ({"timeout": {"total_s": 40, "connect_s": 50}}, (50, 40, None)),
        ({"stream": True}, (30, None, 300)),
        ({"stream": True, "timeout": 5}, (5, 5, 5)),
        ({"stream": True, "timeout": {"idle_s": 7}}, (30, None, 7)),
        ({"stream": True, "timeout": {"total_s": 1000, "connect_s": 1}}, (1, 1000, 300)),
    ],
)
def test_time_limits_are_those_that_were_set_and_the_usual_ones(options: dict[str, Any], expected: Any) -> None:
    assert OpenAIProvider(**options).timeouts == expected


@pytest.mark.parametrize(
    "make",
    [
        lambda **options: LiteLLMProvider("openai/m", **options),
        lambda **options: LlamaCppProvider("m.gguf", **options),
        lambda **options: SimulatedProvider("m", **options),
    ],
)
def test_what_cannot_stream_or_connect_says_so_by_name(make: Callable[..., LLMProvider]) -> None:
    with pytest.raises(ConfigError, match=r"^stream: .*Leave it out") as caught:
        make(stream=True)
    assert caught.value.key == "stream"
    with pytest.raises(ConfigError, match=r"^timeout\.connect_s: .*Leave it out"):
        make(timeout={"connect_s": 1})
    assert make(timeout={"total_s": 7}).timeout == 7


def test_an_unknown_parameter_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"temprature.*temperature") as caught:
        OpenAIProvider(temprature=1)  # type: ignore[call-arg]
    assert caught.value.key == "temprature"


def test_an_openai_compatible_provider_needs_model_and_address() -> None:
    with pytest.raises(ConfigError, match="api_base"):
        OpenAICompatibleProvider("tiny")
    with pytest.raises(ConfigError, match="model_id"):
        OpenAICompatibleProvider(api_base="http://127.0.0.1:1")


def test_litellm_takes_its_own_name_of_the_model() -> None:
    assert LiteLLMProvider(model="bedrock/some.model").label == LiteLLMProvider("bedrock/some.model").label
    with pytest.raises(ConfigError, match="model"):
        LiteLLMProvider()


def test_a_key_is_not_shown() -> None:
    provider = OpenAIProvider(
        api_key="sk-canary-1", extra_headers={"Authorization": "sk-canary-2"}, extra={"aws_secret": "sk-canary-3"}
    )
    shown = repr(provider) + str(vars(provider.origin) if hasattr(provider.origin, "__dict__") else provider.origin)
    assert "canary" not in shown + provider.identity
    assert set(provider.secrets) == {"sk-canary-1", "sk-canary-2", "sk-canary-3"}


@pytest.mark.parametrize(
    "options",
    [
        {"extra_headers": {"X-Auth": "canary-0123456789"}},
        {"extra_headers": {"X-Auth": "Basic canary-0123456789"}},
        {"extra": {"options": {"headers": [{"apiKey": "canary-0123456789"}]}}},
        {"extra": {"auth": {"value": "canary-0123456789"}}},
        {"api_base": "http://127.0.0.1:9/v1?api-key=canary-0123456789"},
        {"api_base": "http://127.0.0.1:9/v1?api-key=canary-0123%34%356789"},
    ],
    ids=["header", "header with a scheme", "nested extra", "below a secret's name", "query", "encoded query"],
)
def test_a_secret_is_one_wherever_it_stands(options: dict[str, Any]) -> None:
    provider = OllamaProvider(**options)
    assert "canary-0123456789" in provider.secrets
    assert "canary" not in repr(provider) + repr(provider.origin) + provider.origin.address


def test_a_key_in_the_address_is_sent_and_never_shown(fault_server: FaultServer) -> None:
    key = "canary-0123456789"
    fault_server.answer_next(Answer(status=404, body={"error": {"message": f"no {key} here"}}))
    with pytest.raises(ProviderError) as caught:
        OllamaProvider(api_base=f"{fault_server.url}/v1?api-key={key}&version=2").generate("Hello")
    assert fault_server.requests[0].target.endswith(f"?api-key={key}&version=2")
    assert "?api-key=...&version=2" in str(caught.value)
    assert key not in "".join(traceback.format_exception(caught.value)) + caught.value.body


@pytest.mark.parametrize(
    "options",
    [
        {"api_key_env": "sk-canary-0123456789"},
        {"api_key_env": "MY_KEY=canary-0123456789"},
        {"api_base": "sk-canary-0123456789"},
        {"extra_headers": ["Authorization: canary-0123456789"]},
        {"extra_headers": {"X-Auth": ["canary-0123456789"]}},
        {"extra": "canary-0123456789"},
        {"name": ["sk-canary-0123456789"]},
    ],
)
def test_a_key_in_the_wrong_place_is_refused_without_being_shown(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        OllamaProvider(**options)
    assert caught.value.key == next(iter(options))
    assert "canary" not in str(caught.value)


def test_the_name_of_a_cookie_is_not_secret() -> None:
    provider = OllamaProvider(extra_headers={"Cookie": "session_identifier=canary-0123456789; theme=dark"})
    assert "canary-0123456789" in provider.secrets
    assert "session_identifier" not in provider.secrets


def test_names_that_only_resemble_a_secrets_are_none() -> None:
    provider = OllamaProvider(
        extra={
            "think_tokens": "many-tokens-1",
            "author": "somebody-else-1",
            "tokenizer": "mistral-v3-1",
            "lib": "sk-learn-classifier",
        },
        extra_headers={"X-Title": "Token classification", "HTTP-Referer": "https://example.com/app"},
        api_base="http://127.0.0.1:9/v1?api-version=2024-10-21",
    )
    assert provider.secrets == ()
    assert "api-version=2024-10-21" in repr(provider)


def test_a_litellm_error_has_no_key_in_its_traceback(fault_server: FaultServer) -> None:
    key = "sk-canary-0123456789abcdef"
    fault_server.respond = lambda request: Answer(status=400, body={"error": {"message": f"refused: {key}"}})
    with pytest.raises(ProviderError) as caught:
        LiteLLMProvider("openai/m", api_base=fault_server.url, api_key=key).generate("Hello")
    assert key not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


# --- Identity


@pytest.mark.parametrize(
    "change",
    [
        {"api_key": "other"}, {"api_base": "http://127.0.0.1:2"}, {"max_completion_tokens": 5}, {"timeout": 1},
        {"rpm_limit": 1}, {"tpm_limit": 1}, {"max_concurrency": 1}, {"extra_headers": {"a": "b"}}, {"temperature": 1.0},
        {"stream": True}, {"stream": True, "timeout": {"connect_s": 1, "idle_s": 2, "total_s": 3}},
    ],
)  # fmt: skip
def test_what_does_not_shape_replies_is_not_in_the_identity(change: dict[str, Any]) -> None:
    assert OpenAIProvider(**{"temperature": 1} | change).identity == OpenAIProvider(temperature=1).identity


@pytest.mark.parametrize(
    "change",
    [
        {"model_id": "x"}, {"temperature": 0.5}, {"top_p": 0.5}, {"frequency_penalty": 0.5}, {"reasoning_effort": "high"},
        {"extra": {"seed": 1}}, {"name": "second"},
    ],
)  # fmt: skip
def test_what_shapes_replies_is_in_the_identity(change: dict[str, Any]) -> None:
    assert OpenAIProvider(**change).identity != OpenAIProvider().identity


@given(st.dictionaries(st.sampled_from(["temperature", "top_p", "frequency_penalty"]), st.floats(0, 1)))
def test_the_identity_does_not_depend_on_the_order_of_arguments(options: dict[str, float]) -> None:
    backwards = dict(reversed(options.items()))
    assert OpenAIProvider(**options).identity == OpenAIProvider(**backwards).identity  # type: ignore[arg-type]


# --- Keys and addresses


@pytest.mark.parametrize(("cls", "label", "variable"), DEFAULTS)
def test_a_missing_key_is_told_at_the_start_of_a_run_by_its_variable(
    cls: type[LLMProvider], label: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = cls()
    with pytest.raises(MissingKeyError, match=rf"{variable}.*secrets\.env") as caught:
        provider.require_ready()
    assert caught.value.variable == variable
    monkeypatch.setenv(variable, "from-the-environment")
    provider.require_ready()
    assert provider.secrets == ("from-the-environment",)


def test_a_server_of_ones_own_needs_no_key_unless_a_variable_is_named() -> None:
    OllamaProvider().require_ready()
    OpenAIProvider(api_base="http://127.0.0.1:1").require_ready()
    OpenAICompatibleProvider("m", api_base="http://127.0.0.1:1").require_ready()
    with pytest.raises(MissingKeyError, match="MY_KEY"):
        OpenAICompatibleProvider("m", api_base="http://127.0.0.1:1", api_key_env="MY_KEY").require_ready()


@pytest.mark.parametrize("cls", [OpenAIProvider, AnthropicProvider, GeminiProvider, OllamaProvider])
def test_the_key_of_any_provider_may_be_in_a_variable_of_its_own(
    cls: type[LLMProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = cls("m", api_base="http://127.0.0.1:1", api_key_env="TEAM_KEY")
    monkeypatch.setenv("OPENAI_API_KEY", "the-usual-one")
    with pytest.raises(MissingKeyError, match="TEAM_KEY"):
        provider.require_ready()
    monkeypatch.setenv("TEAM_KEY", "the-key-of-the-team")
    provider.require_ready()
    assert provider.api_key == "the-key-of-the-team"
    assert provider.identity == cls("m").identity


def test_a_refused_key_is_sought_where_it_came_from(fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "from-the-environment")
    fault_server.respond = lambda request: Answer(status=401)
    with pytest.raises(ProviderError, match=r"Check the value of OPENAI_API_KEY\."):
        OpenAIProvider(api_base=fault_server.url).generate("Hello")
    with pytest.raises(ProviderError, match=r"Check api_key\."):
        OpenAIProvider(api_base=fault_server.url, api_key="given").generate("Hello")
    fault_server.respond = lambda request: Answer(status=403)
    with pytest.raises(ProviderError, match=r"Check what the key in OPENAI_API_KEY may use\."):
        OpenAIProvider(api_base=fault_server.url).generate("Hello")
    with pytest.raises(ProviderError, match=r"No key was sent\. Set api_key_env to the variable with the key\."):
        OpenAICompatibleProvider("m", api_base=fault_server.url).generate("Hello")


def test_a_model_that_is_not_found_is_told_with_the_nearest_known_one(fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(status=404)
    with pytest.raises(ProviderError, match=r"Did you mean 'gpt-4\.1-mini'\?"):
        OpenAIProvider("gpt-4.1-mnii", api_base=fault_server.url).generate("Hello")


def test_a_response_format_that_is_no_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="response_format: expected a pydantic model, got <class 'dict'>"):
        OllamaProvider().generate("Hello", response_format=dict)  # type: ignore[type-var]


def test_litellm_is_given_the_key_of_the_named_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM_KEY", "the-key-of-the-team")
    assert LiteLLMProvider("groq/m", api_key_env="TEAM_KEY").litellm_key == "the-key-of-the-team"
    assert LiteLLMProvider("groq/m").litellm_key is None


def test_a_missing_certificate_file_is_told_at_the_start_of_a_run() -> None:
    with pytest.raises(ConfigError, match=r"ssl_ca.*nowhere\.pem"):
        OllamaProvider(ssl_ca="nowhere.pem").require_ready()


def test_a_certificate_file_that_holds_none_is_told_at_the_start_of_a_run(tmp_path: Path) -> None:
    for number, content in enumerate(
        [b"", b"not PEM", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
    ):
        path = tmp_path / f"{number}.pem"
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=rf"ssl_ca.*{number}\.pem.*PEM") as caught:
            OllamaProvider(ssl_ca=path).require_ready()
        assert caught.value.key == "ssl_ca"


def test_a_variable_of_the_environment_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-ключ")
    with pytest.raises(ConfigError, match=r"^OPENAI_API_KEY: The key has characters"):
        OpenAIProvider().require_ready()
    monkeypatch.setenv("OPENAI_BASE_URL", "http://me:hidden@a..b")
    with pytest.raises(ConfigError, match=r"^OPENAI_BASE_URL: ") as caught:
        OpenAIProvider().require_ready()
    assert "hidden" not in str(caught.value)


def test_a_host_in_other_letters_is_asked_by_the_name_that_the_wire_has() -> None:
    assert OllamaProvider(api_base="http://bücher.example:81/v1").api_base == "http://xn--bcher-kva.example:81/v1"
    assert OllamaProvider(api_base="http://my_box.lan.:81").api_base == "http://my_box.lan.:81"


def test_a_server_that_wants_a_key_where_none_was_given_says_where_one_goes(fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(status=401)
    with pytest.raises(ProviderError, match=r"none was sent.*Set api_key_env to"):
        local(fault_server).generate("Hello")
    with pytest.raises(ProviderError, match=r"none was sent.*Set OPENAI_API_KEY in the environment"):
        OpenAIProvider(api_base=fault_server.url).generate("Hello")


def test_the_address_is_the_argument_then_base_url_then_api_base(monkeypatch: pytest.MonkeyPatch) -> None:
    assert OpenAIProvider().api_base == "https://api.openai.com/v1"
    monkeypatch.setenv("OPENAI_API_BASE", "http://third")
    assert OpenAIProvider().api_base == "http://third"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://second/")
    assert OpenAIProvider().api_base == "http://second"
    assert OpenAIProvider(api_base="http://first").api_base == "http://first"


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("gpu-box", "http://gpu-box:11434"), ("0.0.0.0", "http://127.0.0.1:11434"), ("0.0.0.0:9", "http://127.0.0.1:9"),
        ("https://ollama.lan", "https://ollama.lan:443"), ("[::1]:7", "http://[::1]:7"),
    ],
)  # fmt: skip
def test_ollama_is_found_where_its_own_variable_says(monkeypatch: pytest.MonkeyPatch, host: str, base: str) -> None:
    monkeypatch.setenv("OLLAMA_HOST", host)
    assert OllamaProvider().api_base == base


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1/chat/completions"),
        ("http://localhost:8000/v1", "http://localhost:8000/v1/chat/completions"),
        ("https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1/chat/completions"),
        ("https://host/gateway", "https://host/gateway/v1/chat/completions"),
        ("https://host/v1beta/openai", "https://host/v1beta/openai/chat/completions"),
        ("https://host/chat/completions", "https://host/chat/completions"),
        ("https://host/v1?api-version=2", "https://host/v1/chat/completions?api-version=2"),
    ],
)
def test_the_url_of_a_base_address(base: str, url: str) -> None:
    assert chat_url(base) == url


@pytest.mark.parametrize("code", ["import datafast.llms", "from datafast.llms import OpenAIProvider; OpenAIProvider()"])
def test_a_provider_is_described_without_what_calls_it(code: str) -> None:
    heavy = (
        "aiohttp",
        "asyncio",
        "genai_prices",
        "httptools",
        "jsonschema",
        "litellm",
        "openai",
        "pydantic",
        "ssl",
        "urllib.request",
    )
    script = f"import sys\n{code}\nprint([name for name in {heavy} if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (
            {"max_tokens": 300},
            "extra: max_tokens would limit replies without the budget knowing it. Write max_completion_tokens: 300",
        ),
        ({"generationConfig": {"maxOutputTokens": 9}}, "extra.generationConfig: maxOutputTokens would limit replies"),
        (
            {"options": {"num_predict": "ask"}},
            "num_predict would limit replies without the budget knowing it. Write max_completion_tokens beside",
        ),
        ({"n": 4}, "extra: n asks for several replies, of which one would be used and all paid for. Leave it out."),
        ({"extra_body": {"best_of": 2}}, "extra.extra_body: best_of asks for several replies"),
    ],
)
def test_fields_that_budgets_would_not_know_are_refused_with_what_to_write(extra: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        OpenAICompatibleProvider("m", api_base="http://127.0.0.1:9", extra=extra)
    assert told in str(caught.value)
    OpenAICompatibleProvider("m", api_base="http://127.0.0.1:9", extra={"n": 1, "options": {"num_ctx": 8192}})

"""What is sent to Anthropic's Messages API. The server refuses what the API's documentation does not allow."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from datafast.errors import ConfigError, ProviderError
from datafast.llms import AnthropicProvider
from datafast.llms.base import ReplyMode
from datafast.llms.schema import ResponseSchema
from datafast.types import Message
from tests.llms.asking import asked, completed, send
from tests.servers.fault_server import Answer, FaultServer
from tests.support import raw


class Entry(BaseModel):
    title: Annotated[str, Field(min_length=3, pattern="^[A-Z]")]
    stars: Annotated[int, Field(ge=1, le=5)] = 3
    kind: Literal["book", "film"]
    size: Literal[7]


class Entries(BaseModel):
    entries: Annotated[list[Entry], Field(min_length=2, max_length=4)]


class Free(BaseModel):
    values: dict[str, int]


class Node(BaseModel):
    name: str
    below: list[Node]


SCHEMA = ResponseSchema.of(Entries)
NEW, OLD = "claude-sonnet-5", "claude-3-5-haiku-latest"


def provider(server: FaultServer, model: str = "claude-haiku-4-5", **options: Any) -> AnthropicProvider:
    return AnthropicProvider(model, **{"api_base": server.url, "api_key": "sk-canary-0123456789", **options})


def body(server: FaultServer, model: str = "claude-haiku-4-5", request: Any = None, **options: Any) -> dict[str, Any]:
    """What is sent; the server has answered it with a reply."""
    send(provider(server, model, **options), request or asked())
    return server.requests[-1].json


def test_a_request_has_the_key_and_the_version_in_its_head(fault_server: FaultServer) -> None:
    sent = body(fault_server)
    assert sent == {
        "model": "claude-haiku-4-5",
        "max_tokens": 64_000,
        "messages": [{"role": "user", "content": "Hello"}],
    }
    (request,) = fault_server.requests
    assert request.target == "/v1/messages"
    assert (request.headers["x-api-key"], request.headers["anthropic-version"]) == (
        "sk-canary-0123456789",
        "2023-06-01",
    )
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("base", "target"),
    [
        ("", "/v1/messages"),
        ("/v1", "/v1/messages"),
        ("/v1/messages", "/v1/messages"),
        ("/anthropic", "/anthropic/v1/messages"),
    ],
)
def test_the_address_is_completed(fault_server: FaultServer, base: str, target: str) -> None:
    body(fault_server, api_base=fault_server.url + base)
    assert fault_server.requests[0].target == target


def test_system_prompts_have_a_field_of_their_own(fault_server: FaultServer) -> None:
    messages = [
        Message(role="system", content="Be brief."),
        Message(role="user", content="Hello", name="Ann"),
        Message(role="assistant", content="Yes?"),
        Message(role="developer", content="In French."),
        Message(role="tool", content="42"),
    ]
    sent = body(fault_server, request=asked(messages=messages))
    assert sent["system"] == "Be brief.\n\nIn French."
    assert [(message["role"], message["content"]) for message in sent["messages"]] == [
        ("user", "Hello"),
        ("assistant", "Yes?"),
        ("user", "42"),
    ]


def test_an_empty_system_prompt_is_none(fault_server: FaultServer) -> None:
    messages: list[Message] = [{"role": "system", "content": ""}, {"role": "user", "content": "hi"}]
    assert "system" not in body(fault_server, request=asked(messages=messages))
    more: list[Message] = [{"role": "system", "content": "Be short."}, *messages]
    assert body(fault_server, request=asked(messages=more))["system"] == "Be short."


def test_a_system_prompt_alone_is_asked_as_the_users(fault_server: FaultServer) -> None:
    sent = body(fault_server, request=asked(messages=[Message(role="system", content="Write a haiku.")]))
    assert (sent.get("system"), sent["messages"]) == (None, [{"role": "user", "content": "Write a haiku."}])


# -- structure


def test_a_schema_is_sent_in_the_form_of_the_schema_mode(fault_server: FaultServer) -> None:
    sent = body(fault_server, request=asked(schema=SCHEMA))
    form = sent["output_config"]["format"]
    assert form["type"] == "json_schema"
    entries = form["schema"]["properties"]["entries"]
    assert entries["description"] == "(maxItems: 4, minItems: 2)"
    (entry,) = form["schema"]["$defs"].values()
    assert entry["properties"]["title"] == {"type": "string", "description": "(minLength: 3, pattern: ^[A-Z])"}
    assert entry["properties"]["stars"] == {"type": "integer", "description": "(maximum: 5, minimum: 1)"}
    assert entry["required"] == ["title", "stars", "kind", "size"]
    assert "tools" not in sent


@pytest.mark.parametrize("model", [OLD, "claude-sonnet-4-20250514", "claude-opus-4-1"])
def test_a_model_without_the_schema_mode_has_to_call_a_tool(fault_server: FaultServer, model: str) -> None:
    sent = body(fault_server, model, asked(schema=SCHEMA))
    (tool,) = sent["tools"]
    assert tool["input_schema"] == SCHEMA.json_schema
    assert sent["tool_choice"] == {"type": "tool", "name": "Entries", "disable_parallel_tool_use": True}
    assert "output_config" not in sent


@pytest.mark.parametrize("model", [Free, Node])
def test_what_the_schema_mode_cannot_say_is_asked_by_a_tool(fault_server: FaultServer, model: type[BaseModel]) -> None:
    fault_server.answer_next(Answer(text="{}"))
    sent = body(fault_server, request=asked(schema=ResponseSchema.of(model)))
    assert sent["tools"][0]["input_schema"] == ResponseSchema.of(model).json_schema
    assert "output_config" not in sent


def test_lower_modes_are_a_tool_and_words(fault_server: FaultServer) -> None:
    sent = body(fault_server, request=asked(schema=SCHEMA, mode=ReplyMode.JSON_OBJECT))
    assert sent["tool_choice"]["type"] == "tool"
    assert "system" not in sent
    sent = body(fault_server, request=asked(schema=SCHEMA, mode=ReplyMode.PROMPT))
    assert '"entries"' in sent["system"]
    assert "tools" not in sent


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (OLD, {"reasoning_effort": "low"}),
        (OLD, {"extra": {"thinking": {"type": "enabled", "budget_tokens": 1024}}}),
        (NEW, {}),
        ("claude-opus-4-8", {"extra": {"thinking": {"type": "adaptive"}}}),
    ],
)
def test_no_tool_is_forced_on_a_model_that_thinks(
    fault_server: FaultServer, model: str, options: dict[str, Any]
) -> None:
    sent = body(fault_server, model, asked(schema=SCHEMA, mode=ReplyMode.JSON_OBJECT), **options)
    assert sent["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert '"entries"' in sent["system"]


def test_a_tool_may_be_forced_where_thinking_is_off(fault_server: FaultServer) -> None:
    for options in ({"reasoning_effort": "none"}, {"extra": {"thinking": {"type": "disabled"}}}):
        sent = body(fault_server, NEW, asked(schema=SCHEMA, mode=ReplyMode.JSON_OBJECT), **options)
        assert (sent["tool_choice"]["type"], sent["thinking"]) == ("tool", {"type": "disabled"})


# -- thinking


@pytest.mark.parametrize(
    ("effort", "budget"),
    [("minimal", 1024), ("low", 1024), ("medium", 2048), ("high", 4096), ("xhigh", 8192), ("max", 16_384)],
)
def test_older_models_are_told_how_many_tokens_to_think(fault_server: FaultServer, effort: str, budget: int) -> None:
    sent = body(fault_server, reasoning_effort=effort)
    assert sent["thinking"] == {"type": "enabled", "budget_tokens": budget}
    assert "output_config" not in sent


THINKING = {"thinking": {"type": "enabled", "budget_tokens": 20_000}}


def test_a_limit_that_thinking_alone_uses_up_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"max_completion_tokens: 20,000 must be above the budget_tokens of thinking"):
        AnthropicProvider(OLD, max_completion_tokens=20_000, extra=THINKING)
    AnthropicProvider(OLD, max_completion_tokens=20_001, extra=THINKING)


def test_limits_of_our_own_are_above_what_thinking_may_use(fault_server: FaultServer, tmp_path: Path) -> None:
    for number, (model, run) in enumerate(
        [("claude-haiku-4-5", {"budget_usd": 50.0}), ("tiny", {"max_tokens": 99_000}), ("tiny", {})]
    ):
        price = {"input_usd_per_million": 1.0, "output_usd_per_million": 5.0}
        provider = AnthropicProvider(model, api_key="k" * 9, api_base=fault_server.url, price=price, extra=THINKING)
        raw(tmp_path / str(number), topics=1, run=run).generate([provider])
    assert fault_server.requests
    assert all(request.json["max_tokens"] > 20_000 for request in fault_server.requests)


def test_a_small_limit_leaves_tokens_for_the_answer(fault_server: FaultServer) -> None:
    sent = body(fault_server, reasoning_effort="high", max_completion_tokens=3000)
    assert (sent["max_tokens"], sent["thinking"]["budget_tokens"]) == (3000, 1500)


@pytest.mark.parametrize(("effort", "told"), [("minimal", "low"), ("low", "low"), ("high", "high"), ("max", "max")])
@pytest.mark.parametrize("model", ["claude-opus-4-6", NEW, "claude-haiku-5-5", "claude-fable-5-2"])
def test_newer_models_are_told_how_much_effort_to_make(
    fault_server: FaultServer, model: str, effort: str, told: str
) -> None:
    sent = body(fault_server, model, asked(schema=SCHEMA), reasoning_effort=effort)
    assert sent["thinking"] == {"type": "adaptive"}
    assert sent["output_config"]["effort"] == told
    assert sent["output_config"]["format"]["type"] == "json_schema"


# -- parameters and limits


@pytest.mark.parametrize(
    ("asked_for", "sent"),
    [
        ({"type": "disabled"}, {"type": "disabled"}),
        ({"type": "adaptive"}, {"type": "adaptive"}),
        ({"type": "enabled", "budget_tokens": 2000}, {"type": "enabled", "budget_tokens": 2000}),
        ({"display": "omitted"}, {"type": "enabled", "budget_tokens": 1024, "display": "omitted"}),
    ],
)
def test_thinking_of_another_type_in_extra_goes_before_the_effort(
    fault_server: FaultServer, asked_for: dict[str, Any], sent: dict[str, Any]
) -> None:
    assert body(fault_server, reasoning_effort="low", extra={"thinking": asked_for})["thinking"] == sent


def test_parameters_and_extra_fields_are_sent(fault_server: FaultServer) -> None:
    extra = {"top_k": 5, "output_config": {"effort": "low"}, "metadata": {"user_id": "x"}}
    sent = body(fault_server, request=asked(schema=SCHEMA), temperature=0.5, top_p=0.9, extra=extra)
    assert (sent["temperature"], sent["top_p"], sent["top_k"], sent["metadata"]) == (0.5, 0.9, 5, {"user_id": "x"})
    assert sent["output_config"].keys() == {"effort", "format"}


def test_what_the_model_refused_is_left_out(fault_server: FaultServer) -> None:
    dropped = frozenset({"temperature", "reasoning_effort", "top_k", "max_tokens"})
    sent = body(
        fault_server,
        request=asked(dropped_params=dropped),
        temperature=0.5,
        top_p=0.9,
        reasoning_effort="low",
        extra={"top_k": 5},
    )
    assert sent.keys() == {"model", "max_tokens", "messages", "top_p"}


@pytest.mark.parametrize(
    ("model", "most"),
    [
        ("claude-3-haiku-20240307", 4096),
        ("claude-3-5-haiku-latest", 8192),
        ("claude-3-7-sonnet-latest", 64_000),
        ("claude-opus-4-20250514", 32_000),
        ("claude-opus-4-1", 32_000),
        ("claude-sonnet-4-20250514", 64_000),
        ("claude-haiku-4-5-20251001", 64_000),
        ("claude-sonnet-4-6", 128_000),
        ("claude-haiku-5-5", 128_000),
        ("anthropic/claude-sonnet-4.5", 64_000),
        ("claude-v1", 8192),
        ("some-model-of-a-gateway", 8192),
    ],
)
def test_the_limit_is_one_that_the_model_takes(fault_server: FaultServer, model: str, most: int) -> None:
    assert body(fault_server, model)["max_tokens"] == most
    assert body(fault_server, model, max_completion_tokens=77)["max_tokens"] == 77
    lifted = body(fault_server, model, asked(token_limit=200_000))["max_tokens"]
    assert lifted == (most if provider(fault_server, model).model.most_tokens else 200_000)


# -- answers


def test_a_tool_called_with_an_error_is_a_reply(fault_server: FaultServer) -> None:
    said = {"content": [{"type": "tool_use", "input": {"error": "none"}}], "stop_reason": "tool_use"}
    fault_server.answer_next(Answer(body=said))
    assert completed(provider(fault_server)).structured == '{"error":"none"}'


def test_a_request_that_the_server_would_refuse_is_noticed_here(fault_server: FaultServer) -> None:
    """The rules of the server that these tests rely on."""
    with pytest.raises(ProviderError, match="Extra inputs are not permitted"):
        send(provider(fault_server, extra={"frequency_penalty": 1}), asked())

"""What is sent to Gemini's generateContent. The server refuses what the API's documentation does not allow."""

from __future__ import annotations

from typing import Any

import pytest

from datafast.errors import ProviderError
from datafast.llms import GeminiProvider
from datafast.llms.base import ReplyMode
from datafast.llms.schema import ResponseSchema
from datafast.types import Message
from tests.llms.asking import asked, refused, send
from tests.llms.providers.test_anthropic import SCHEMA, Free, Node
from tests.servers.fault_server import Answer, FaultServer
from tests.servers.vendors import gemini_error

KEY = "AIza-canary-0123456789"


def provider(server: FaultServer, model: str = "gemini-3.8-flash", **options: Any) -> GeminiProvider:
    return GeminiProvider(model, **{"api_base": server.url, "api_key": KEY, **options})


def body(server: FaultServer, model: str = "gemini-3.8-flash", request: Any = None, **options: Any) -> dict[str, Any]:
    """What is sent; the server has answered it with a reply."""
    send(provider(server, model, **options), request or asked())
    return server.requests[-1].json


def test_the_key_is_in_the_head_and_nowhere_else(fault_server: FaultServer) -> None:
    assert body(fault_server) == {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
    (request,) = fault_server.requests
    assert request.target == "/v1beta/models/gemini-3.8-flash:generateContent"
    assert request.headers["x-goog-api-key"] == KEY


@pytest.mark.parametrize(
    ("base", "model", "target"),
    [
        ("/v1", "gemini-x", "/v1/models/gemini-x:generateContent"),
        ("/gateway/gemini", "gemini-x", "/gateway/gemini/v1beta/models/gemini-x:generateContent"),
        ("", "tunedModels/mine-1", "/v1beta/tunedModels/mine-1:generateContent"),
        ("", "models/gemini-x", "/v1beta/models/gemini-x:generateContent"),
        ("", "a b?c", "/v1beta/models/a%20b%3Fc:generateContent"),
    ],
)
def test_the_address_is_completed(fault_server: FaultServer, base: str, model: str, target: str) -> None:
    body(fault_server, model, api_base=fault_server.url + base)
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
    assert sent["systemInstruction"] == {"parts": [{"text": "Be brief.\n\nIn French."}]}
    assert [(content["role"], content["parts"][0]["text"]) for content in sent["contents"]] == [
        ("user", "Hello"),
        ("model", "Yes?"),
        ("user", "42"),
    ]


def test_an_empty_system_prompt_is_none(fault_server: FaultServer) -> None:
    messages: list[Message] = [{"role": "system", "content": ""}, {"role": "user", "content": "hi"}]
    assert "systemInstruction" not in body(fault_server, request=asked(messages=messages))
    more: list[Message] = [{"role": "system", "content": "Be short."}, *messages]
    sent = body(fault_server, request=asked(messages=more))
    assert sent["systemInstruction"] == {"parts": [{"text": "Be short."}]}


def test_a_system_prompt_alone_is_asked_as_the_users(fault_server: FaultServer) -> None:
    sent = body(fault_server, request=asked(messages=[Message(role="system", content="Write a haiku.")]))
    assert sent == {"contents": [{"role": "user", "parts": [{"text": "Write a haiku."}]}]}


def test_a_schema_is_sent_with_the_keywords_that_the_api_knows(fault_server: FaultServer) -> None:
    settings = body(fault_server, request=asked(schema=SCHEMA))["generationConfig"]
    schema = settings["responseJsonSchema"]
    assert settings["responseMimeType"] == "application/json"
    assert (schema["properties"]["entries"]["minItems"], schema["properties"]["entries"]["maxItems"]) == (2, 4)
    (entry,) = schema["$defs"].values()
    assert entry["properties"]["title"] == {"type": "string", "description": "(minLength: 3, pattern: ^[A-Z])"}
    assert entry["properties"]["stars"] == {"maximum": 5, "minimum": 1, "type": "integer"}
    assert entry["properties"]["size"] == {"enum": [7], "type": "integer"}


@pytest.mark.parametrize("model", [Free, Node])
def test_free_and_recursive_schemas_are_sent_too(fault_server: FaultServer, model: Any) -> None:
    fault_server.answer_next(Answer(text="{}"))
    settings = body(fault_server, request=asked(schema=ResponseSchema.of(model)))["generationConfig"]
    assert settings["responseJsonSchema"]["properties"].keys() == model.model_fields.keys()


def test_lower_modes_are_json_and_words(fault_server: FaultServer) -> None:
    sent = body(fault_server, request=asked(schema=SCHEMA, mode=ReplyMode.JSON_OBJECT))
    assert sent["generationConfig"] == {"responseMimeType": "application/json"}
    assert '"entries"' in sent["systemInstruction"]["parts"][0]["text"]
    sent = body(fault_server, request=asked(schema=SCHEMA, mode=ReplyMode.PROMPT))
    assert "generationConfig" not in sent
    assert '"entries"' in sent["systemInstruction"]["parts"][0]["text"]


def test_parameters_are_sent_by_the_apis_names(fault_server: FaultServer) -> None:
    sent = body(fault_server, temperature=0.5, top_p=0.9, frequency_penalty=0.1, max_completion_tokens=77)
    assert sent["generationConfig"] == {"temperature": 0.5, "topP": 0.9, "frequencyPenalty": 0.1, "maxOutputTokens": 77}


def test_extra_fields_stand_where_the_api_has_them(fault_server: FaultServer) -> None:
    safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    extra = {
        "safetySettings": safety,
        "seed": 5,
        "generationConfig": {"topK": 3},
        "thinkingConfig": {"includeThoughts": True},
    }
    sent = body(fault_server, reasoning_effort="low", temperature=0.5, extra=extra)
    assert sent["safetySettings"] == safety
    assert sent["generationConfig"] == {
        "temperature": 0.5,
        "topK": 3,
        "seed": 5,
        "thinkingConfig": {"thinkingLevel": "low", "includeThoughts": True},
    }


@pytest.mark.parametrize(
    ("model", "effort", "told"),
    [
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-flash", "low", {"thinkingBudget": 1024}),
        ("gemini-2.5-pro", "high", {"thinkingBudget": 4096}),
        ("gemini-2.5-pro", "max", {"thinkingBudget": 16_384}),
        ("gemini-3.8-flash", "none", {"thinkingLevel": "minimal"}),
        ("gemini-3.8-flash", "high", {"thinkingLevel": "high"}),
        ("gemini-4-argon", "xhigh", {"thinkingLevel": "xhigh"}),
        ("gemini-flash-latest", "low", {"thinkingLevel": "low"}),
    ],
)
def test_a_model_is_told_how_much_to_think(fault_server: FaultServer, model: str, effort: str, told: Any) -> None:
    assert body(fault_server, model, reasoning_effort=effort)["generationConfig"] == {"thinkingConfig": told}


@pytest.mark.parametrize("nested", [True, False])
def test_thinking_in_extra_goes_before_the_effort(fault_server: FaultServer, nested: bool) -> None:
    for own in ({"thinkingBudget": 5}, {"thinkingLevel": "high"}):
        extra: dict[str, Any] = {"thinkingConfig": {"includeThoughts": True, **own}}
        sent = body(fault_server, reasoning_effort="low", extra={"generationConfig": extra} if nested else extra)[
            "generationConfig"
        ]["thinkingConfig"]
        assert sent == {"includeThoughts": True, **own}
    extra = {"thinkingConfig": {"includeThoughts": True}}
    sent = body(fault_server, reasoning_effort="low", extra=extra)["generationConfig"]["thinkingConfig"]
    assert sent == {"includeThoughts": True, "thinkingLevel": "low"}


def test_what_the_model_refused_is_left_out(fault_server: FaultServer) -> None:
    dropped = frozenset({"temperature", "reasoning_effort", "seed"})
    options: dict[str, Any] = {"temperature": 0.5, "top_p": 0.9, "reasoning_effort": "low", "extra": {"seed": 5}}
    assert body(fault_server, request=asked(dropped_params=dropped), **options)["generationConfig"] == {"topP": 0.9}


@pytest.mark.parametrize(
    ("model", "most"), [("gemini-2.0-flash", 8192), ("gemini-2.5-pro", 65_536), ("gemini-3.8-flash", 65_536)]
)
def test_a_limit_of_ours_is_one_that_the_model_takes(fault_server: FaultServer, model: str, most: int) -> None:
    assert body(fault_server, model, asked(token_limit=200_000))["generationConfig"] == {"maxOutputTokens": most}


def violation(field: str) -> dict[str, Any]:
    found = [{"field": field, "description": "Invalid value"}]
    return {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": found}


@pytest.mark.parametrize(
    ("field", "param"),
    [
        ("generation_config.temperature", "temperature"),
        ("generationConfig.topP", "top_p"),
        ("generation_config.top_p", "top_p"),
        ("generation_config.thinking_config.thinking_level", "reasoning_effort"),
        ("contents[0].parts", "contents[0].parts"),
    ],
)
def test_the_field_that_is_refused_is_named_as_we_name_it(fault_server: FaultServer, field: str, param: str) -> None:
    fault_server.answer_next(Answer(status=400, body=gemini_error(400, "INVALID_ARGUMENT", violation(field))))
    assert refused(provider(fault_server)).param == param


def test_a_request_that_the_server_would_refuse_is_noticed_here(fault_server: FaultServer) -> None:
    """The rules of the server that these tests rely on."""
    with pytest.raises(ProviderError) as caught:
        send(provider(fault_server, extra={"no_such_setting": 1}), asked())
    assert caught.value.param == "no_such_setting"

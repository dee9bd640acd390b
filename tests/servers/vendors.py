"""What the vendors' servers answer, and what Anthropic's and Google's refuse, as their documentation says it.

`refusal` gives the error for a request that breaks a rule of its API; `chat_completion`, `anthropic_message` and `gemini_content` make
replies with every field that is read, and those that always stand beside them. `azure_completion` is what Azure makes of the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = [
    "anthropic_error",
    "anthropic_message",
    "azure_completion",
    "chat_completion",
    "gemini_content",
    "gemini_error",
    "openai_error",
    "refusal",
]

ANTHROPIC_FIELDS = frozenset(
    [
        *("model", "max_tokens", "messages", "system", "temperature", "top_p", "top_k", "stop_sequences", "stream"),
        *("tools", "tool_choice", "thinking", "output_config", "metadata", "service_tier", "cache_control"),
    ]
)
SCHEMA_MODE_REFUSES = frozenset(
    [
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"),
        *("maxItems", "uniqueItems", "minProperties", "maxProperties", "propertyNames"),
    ]
)


# -- OpenAI and Azure


def chat_completion(text: str | None, *, model: str = "", finish_reason: str = "stop", **fields: Any) -> dict[str, Any]:
    """A chat completion of one choice. `fields` replace others, `message` those of the message and `usage` those of the usage."""
    message = {"role": "assistant", "content": text, "refusal": None, "annotations": [], **fields.pop("message", {})}
    usage = {
        "prompt_tokens": 11,
        "completion_tokens": 7,
        "total_tokens": 18,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "service_tier": "default",
        "system_fingerprint": "fp_1",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}],
        **fields,
        "usage": usage | fields.get("usage", {}),
    }


def azure_completion(whole: Mapping[str, Any]) -> dict[str, Any]:
    """A chat completion with what Azure's content filter found in the prompt and in each choice."""
    names = ("hate", "self_harm", "sexual", "violence")
    found = {name: {"filtered": False, "severity": "safe"} for name in names}
    return {
        **whole,
        "choices": [{**choice, "content_filter_results": found} for choice in whole["choices"]],
        "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": found}],
    }


def openai_error(
    message: str = "the server's own words", *, kind: str = "invalid_request_error", **fields: Any
) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": None, **fields}}


# -- Anthropic


def anthropic_message(text: str, *, model: str = "", stop_reason: str = "end_turn", **fields: Any) -> dict[str, Any]:
    """A message of one text. `fields` replace others, `usage` those of the usage."""
    usage = {
        "input_tokens": 11,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 0},
        "service_tier": "standard",
    }
    return {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": text}],
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "stop_details": None,
        **fields,
        "usage": usage | fields.get("usage", {}),
    }


def anthropic_error(kind: str, message: str = "the server's own words", **fields: Any) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message, **fields}, "request_id": "req_01"}


def _anthropic_refusals(asked: Mapping[str, Any], headers: Mapping[str, str]) -> Iterator[str]:
    if headers.get("anthropic-version") != "2023-06-01":
        yield "anthropic-version: header is required"
    yield from (f"{name}: Extra inputs are not permitted" for name in asked.keys() - ANTHROPIC_FIELDS)
    limit = asked.get("max_tokens")
    if type(limit) is not int or limit < 1:
        yield "max_tokens: Field required"
    if not asked.get("messages"):
        yield "messages: at least one message is required"
    for number, message in enumerate(asked.get("messages", ())):
        yield from (
            f"messages.{number}.{name}: Extra inputs are not permitted" for name in message.keys() - {"role", "content"}
        )
        if message["role"] not in {"user", "assistant"}:
            yield f"messages.{number}.role: Input should be 'user' or 'assistant'"
        if not message["content"]:
            yield f"messages.{number}: text content blocks must be non-empty"
    thinking, choice = asked.get("thinking") or {}, asked.get("tool_choice") or {}
    if thinking.get("type") in {"enabled", "adaptive"} and choice.get("type") in {"tool", "any"}:
        yield "Thinking may not be enabled when tool_choice forces tool use."
    if thinking.get("type") == "enabled" and not 1024 <= thinking["budget_tokens"] < (limit or 0):
        yield "max_tokens must be greater than thinking.budget_tokens"
    if form := (asked.get("output_config") or {}).get("format"):
        yield from _schema_refusals(form["schema"], "output_config.format.schema")


def _schema_refusals(node: Any, place: str) -> Iterator[str]:
    if not isinstance(node, Mapping):
        return
    yield from (
        f"{place}: For this type, property {name!r} is not supported" for name in node.keys() & SCHEMA_MODE_REFUSES
    )
    if node.get("type") == "object" and node.get("additionalProperties") is not False:
        yield f"{place}: For 'object' type, 'additionalProperties' must be explicitly set to false"
    for holder in ("properties", "$defs"):
        for name, below in (node.get(holder) or {}).items():
            yield from _schema_refusals(below, f"{place}.{name}")
    for number, below in enumerate(node.get("anyOf", ())):
        yield from _schema_refusals(below, f"{place}.anyOf.{number}")
    yield from _schema_refusals(node.get("items"), f"{place}.items")


# -- Gemini

GEMINI_FIELDS = frozenset(
    ["contents", "systemInstruction", "generationConfig", "safetySettings", "tools", "toolConfig", "cachedContent"]
)
GENERATION_FIELDS = frozenset(
    [
        *("temperature", "topP", "topK", "seed", "stopSequences", "maxOutputTokens", "candidateCount"),
        *("frequencyPenalty", "presencePenalty", "responseMimeType", "responseJsonSchema", "responseSchema"),
        "thinkingConfig",
    ]
)
GEMINI_SCHEMA_FIELDS = frozenset(
    [
        *("$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items", "prefixItems"),
        *("minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties"),
        *("required", "propertyOrdering"),
    ]
)


def gemini_content(text: str, *, finish_reason: str = "STOP", **fields: Any) -> dict[str, Any]:
    """A reply of one candidate and one part. `fields` replace others, `usageMetadata` those of the usage."""
    usage = {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18}
    return {
        "candidates": [
            {
                "content": {"role": "model", "parts": [{"text": text}]},
                "finishReason": finish_reason,
                "index": 0,
                "safetyRatings": [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"}],
            }
        ],
        "modelVersion": "gemini-tiny-001",
        "responseId": "response-1",
        **fields,
        "usageMetadata": usage | fields.get("usageMetadata", {}),
    }


def gemini_error(code: int, status: str, *details: dict[str, Any], message: str = "the server's own words") -> Any:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def _gemini_refusals(asked: Mapping[str, Any], target: str) -> Iterator[tuple[str, str]]:
    """The fields that are not as they must be, and why."""
    if "key=" in target:
        yield "key", "A key in the address would stand in every log."
    yield from ((name, "Cannot find field.") for name in asked.keys() - GEMINI_FIELDS)
    settings = asked.get("generationConfig", {})
    yield from ((f"generation_config.{name}", "Cannot find field.") for name in settings.keys() - GENERATION_FIELDS)
    if not asked.get("contents"):
        yield "contents", "contents are required"
    for number, content in enumerate(asked.get("contents", ())):
        if content.get("role") not in {"user", "model"}:
            yield f"contents[{number}].role", "Please use a valid role: user, model."
        if not content.get("parts") or not all(part.get("text") for part in content["parts"]):
            yield f"contents[{number}].parts", "contents.parts must not be empty."
    thinking = settings.get("thinkingConfig", {})
    if {"thinkingBudget", "thinkingLevel"} <= thinking.keys():
        yield "generation_config.thinking_config", "You can only set one of thinking budget and thinking level."
    if "responseJsonSchema" in settings:
        if settings.get("responseMimeType") != "application/json":
            yield "generation_config.response_mime_type", "It must be application/json where there is a schema."
        yield from _gemini_schema_refusals(settings["responseJsonSchema"], "generation_config.response_json_schema")


def _gemini_schema_refusals(node: Any, place: str) -> Iterator[tuple[str, str]]:
    if not isinstance(node, Mapping):
        return
    yield from ((f"{place}.{name}", "Unknown keyword.") for name in node.keys() - GEMINI_SCHEMA_FIELDS)
    for holder in ("properties", "$defs"):
        for name, below in (node.get(holder) or {}).items():
            yield from _gemini_schema_refusals(below, f"{place}.{name}")
    for number, below in enumerate(node.get("anyOf", ())):
        yield from _gemini_schema_refusals(below, f"{place}.any_of[{number}]")
    for holder in ("items", "additionalProperties"):
        yield from _gemini_schema_refusals(node.get(holder), f"{place}.{holder}")


# -- both


def refusal(target: str, headers: Mapping[str, str], asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """The body of the 400 that a request gets which breaks a rule of its API; None for one that breaks none."""
    if target.endswith("/messages"):
        told = next(_anthropic_refusals(asked, headers), None)
        return None if told is None else anthropic_error("invalid_request_error", told)
    if ":generateContent" in target or ":streamGenerateContent" in target:
        found = [{"field": field, "description": why} for field, why in _gemini_refusals(asked, target)]
        details = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": found}
        return gemini_error(400, "INVALID_ARGUMENT", details) if found else None
    return None

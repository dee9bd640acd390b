"""What the contract has to know of each wire format: how its servers answer, and where requests have what.

One class for each format. Bodies are those that the vendors' documentation describes (`tests.servers.vendors`).
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from datafast.errors import ErrorKind
from datafast.llms.replies.endings import Ending
from datafast.types import Usage
from tests.servers.fault_server import Recorded
from tests.servers.vendors import (
    anthropic_error,
    anthropic_message,
    chat_completion,
    gemini_content,
    gemini_error,
    openai_error,
)

__all__ = ["ANTHROPIC", "CHAT", "COUNTED", "GEMINI", "THOUGHT", "Wire"]

COUNTED = Usage(2310, 90, cached_tokens=2000, reasoning_tokens=60, cache_write_tokens=300)
"""What `Wire.reply(counted=True)` says it used; where the format tells of no writing to a cache, that is part of the input."""
THOUGHT = "Let me see."
Told = tuple[int, dict[str, Any], ErrorKind, str | None]


class Wire(ABC):
    """One wire format."""

    writes_cache = True
    """Whether its servers tell how many tokens were written to a prompt cache."""
    endings: ClassVar[Mapping[Ending, tuple[str, ...]]]
    """The documented reasons for the end of a reply, by what they mean."""
    tells_kinds = True
    """Whether the body of an error alone tells its kind."""
    an_extra: str
    """A field of requests that datafast has no option for."""
    errors: tuple[Told, ...]
    """Documented errors: status, body, kind, and the code that is kept."""

    @abstractmethod
    def reply(
        self, text: str = "Hello.", *, reason: str = "", counted: bool = False, thought: bool = False
    ) -> dict[str, Any]:
        """A whole reply.

        Args:
            reason: why it ended; by default as good replies do.
            counted: with `COUNTED` as its usage.
            thought: behind `THOUGHT`, as reasoning.
        """

    @abstractmethod
    def calling(self, name: str, given: dict[str, Any], *, cut: bool) -> dict[str, Any]:
        """A reply that answers by calling a tool. `cut`: it was cut off, and its server has closed what was open."""

    @abstractmethod
    def refusing(self, words: str) -> dict[str, Any]:
        """A reply in which the model refuses, with its words where the format has a place for them."""

    @abstractmethod
    def hollow(self) -> dict[str, Any]:
        """A success of the format with nothing in it."""

    def system_extras(self, text: str) -> list[dict[str, Any]]:
        """The fields of `extra` that hold a system prompt, in each form that the API has."""
        return []

    @abstractmethod
    def system_of(self, body: Mapping[str, Any]) -> str:
        """The system prompt of a request."""

    @abstractmethod
    def turns_of(self, body: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Role and text of each turn of a request, the model's as `assistant`."""

    @abstractmethod
    def structure_of(self, body: Mapping[str, Any]) -> str | None:
        """How a request asks for structure beside words: `schema`, `tool`, `json`, or None."""

    def setting(self, sent: Recorded, *names: str) -> Any:
        """A parameter as it was sent, by any of its names."""
        return next((sent.json[name] for name in names if name in sent.json), None)

    def limit_of(self, sent: Recorded) -> Any:
        return self.setting(sent, "max_tokens", "max_completion_tokens")


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


class ChatCompletions(Wire):
    tells_kinds = False
    an_extra = "seed"
    endings: ClassVar = {
        Ending.WHOLE: ("stop",),
        Ending.TRUNCATED: ("length",),
        Ending.REFUSED: ("content_filter",),
    }
    errors = (
        (400, openai_error(param="temperature", code="unsupported_value"), ErrorKind.BAD_REQUEST, "unsupported_value"),
        (400, openai_error(code="context_length_exceeded"), ErrorKind.CONTEXT_LENGTH, "context_length_exceeded"),
        (400, openai_error(code="content_filter"), ErrorKind.CONTENT_FILTER, "content_filter"),
        (401, openai_error(code="invalid_api_key"), ErrorKind.AUTHENTICATION, "invalid_api_key"),
        (403, openai_error(code="unsupported_country_region_territory"), ErrorKind.PERMISSION, "unsupported_country_region_territory"),
        (404, openai_error(code="model_not_found"), ErrorKind.MODEL_NOT_FOUND, "model_not_found"),
        (429, openai_error(kind="requests", code="rate_limit_exceeded"), ErrorKind.RATE_LIMITED, "rate_limit_exceeded"),
        (429, openai_error(kind="tokens", code="rate_limit_exceeded"), ErrorKind.RATE_LIMITED, "rate_limit_exceeded"),
        (429, openai_error(kind="insufficient_quota", code="insufficient_quota"), ErrorKind.QUOTA, "insufficient_quota"),
        (500, openai_error(kind="server_error"), ErrorKind.SERVER, "server_error"),
        (503, openai_error(kind="service_unavailable"), ErrorKind.SERVER, "service_unavailable"),
    )  # fmt: skip

    def reply(
        self, text: str = "Hello.", *, reason: str = "", counted: bool = False, thought: bool = False
    ) -> dict[str, Any]:
        usage = {
            "prompt_tokens": COUNTED.input_tokens,
            "completion_tokens": COUNTED.output_tokens,
            "total_tokens": COUNTED.input_tokens + COUNTED.output_tokens,
            "prompt_tokens_details": {
                "cached_tokens": COUNTED.cached_tokens,
                "cache_write_tokens": COUNTED.cache_write_tokens,
            },
            "completion_tokens_details": {"reasoning_tokens": COUNTED.reasoning_tokens},
        }
        return chat_completion(
            text,
            model="m",
            finish_reason=reason or "stop",
            message={"reasoning_content": THOUGHT} if thought else {},
            **({"usage": usage} if counted else {}),
        )

    def calling(self, name: str, given: dict[str, Any], *, cut: bool) -> dict[str, Any]:
        function = {"name": name, "arguments": json.dumps(given)}
        calls = [{"id": "call_1", "type": "function", "function": function}]
        return chat_completion(
            None, model="m", finish_reason="length" if cut else "tool_calls", message={"tool_calls": calls}
        )

    def refusing(self, words: str) -> dict[str, Any]:
        return chat_completion(None, model="m", message={"refusal": words})

    def hollow(self) -> dict[str, Any]:
        return {**self.reply(), "choices": []}

    def system_of(self, body: Mapping[str, Any]) -> str:
        return "\n\n".join(_text(message["content"]) for message in body["messages"] if message["role"] == "system")

    def turns_of(self, body: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [
            (message["role"], _text(message["content"])) for message in body["messages"] if message["role"] != "system"
        ]

    def structure_of(self, body: Mapping[str, Any]) -> str | None:
        form = body.get("response_format", {}).get("type")
        return {"json_schema": "schema", "json_object": "json"}.get(form)


def _spent(code: str) -> dict[str, Any]:
    return anthropic_error("rate_limit_error", details={"error_code": code})


class AnthropicMessages(Wire):
    an_extra = "top_k"
    endings: ClassVar = {
        Ending.WHOLE: ("end_turn", "stop_sequence"),
        Ending.TRUNCATED: ("max_tokens", "model_context_window_exceeded"),
        Ending.REFUSED: ("refusal",),
        Ending.BROKEN_OFF: ("pause_turn", "a reason of tomorrow"),
    }
    errors = (
        (400, anthropic_error("invalid_request_error"), ErrorKind.BAD_REQUEST, "invalid_request_error"),
        (401, anthropic_error("authentication_error"), ErrorKind.AUTHENTICATION, "authentication_error"),
        (402, anthropic_error("billing_error"), ErrorKind.QUOTA, "billing_error"),
        (403, anthropic_error("permission_error"), ErrorKind.PERMISSION, "permission_error"),
        (404, anthropic_error("not_found_error"), ErrorKind.MODEL_NOT_FOUND, "not_found_error"),
        (413, anthropic_error("request_too_large"), ErrorKind.BAD_REQUEST, "request_too_large"),
        (429, anthropic_error("rate_limit_error"), ErrorKind.RATE_LIMITED, "rate_limit_error"),
        (429, _spent("enforced_spend_limit_reached"), ErrorKind.QUOTA, "rate_limit_error"),
        (429, _spent("contract_spend_limit_reached"), ErrorKind.QUOTA, "rate_limit_error"),
        (500, anthropic_error("api_error"), ErrorKind.SERVER, "api_error"),
        (504, anthropic_error("timeout_error"), ErrorKind.TIMEOUT, "timeout_error"),
        (529, anthropic_error("overloaded_error"), ErrorKind.SERVER, "overloaded_error"),
    )  # fmt: skip

    def reply(
        self, text: str = "Hello.", *, reason: str = "", counted: bool = False, thought: bool = False
    ) -> dict[str, Any]:
        usage = {
            "input_tokens": COUNTED.input_tokens - COUNTED.cached_tokens - COUNTED.cache_write_tokens,
            "cache_creation_input_tokens": COUNTED.cache_write_tokens,
            "cache_read_input_tokens": COUNTED.cached_tokens,
            "cache_creation": {"ephemeral_5m_input_tokens": COUNTED.cache_write_tokens, "ephemeral_1h_input_tokens": 0},
            "output_tokens": COUNTED.output_tokens,
            "output_tokens_details": {"thinking_tokens": COUNTED.reasoning_tokens},
        }
        thinking = [{"type": "thinking", "thinking": THOUGHT, "signature": "c2ln"}] if thought else []
        content = [*thinking, {"type": "text", "text": text}]
        told = {"usage": usage} if counted else {}
        return anthropic_message("", model="m", stop_reason=reason or "end_turn", content=content, **told)

    def calling(self, name: str, given: dict[str, Any], *, cut: bool) -> dict[str, Any]:
        call = {"type": "tool_use", "id": "toolu_01", "name": name, "input": given}
        return anthropic_message("", model="m", content=[call], stop_reason="max_tokens" if cut else "tool_use")

    def refusing(self, words: str) -> dict[str, Any]:
        details = {"type": "refusal", "category": "bio", "explanation": words}
        return anthropic_message("", model="m", content=[], stop_reason="refusal", stop_details=details)

    def hollow(self) -> dict[str, Any]:
        return {**self.reply(), "content": None}

    def system_extras(self, text: str) -> list[dict[str, Any]]:
        return [{"system": text}, {"system": [{"type": "text", "text": text}]}]

    def system_of(self, body: Mapping[str, Any]) -> str:
        return _text(body.get("system", ""))

    def turns_of(self, body: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [(message["role"], _text(message["content"])) for message in body["messages"]]

    def structure_of(self, body: Mapping[str, Any]) -> str | None:
        if "format" in body.get("output_config", {}) or "output_format" in body:
            return "schema"
        return "tool" if "tools" in body else None


_PER_MINUTE, _PER_DAY = (
    {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaId": f"GenerateRequestsPer{unit}PerProjectPerModel-FreeTier", "quotaValue": "15"}],
    }
    for unit in ("Minute", "Day")
)
_RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}
_BAD_KEY = {
    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
    "reason": "API_KEY_INVALID",
    "domain": "googleapis.com",
}


class GeminiContent(Wire):
    an_extra = "topK"
    writes_cache = False
    endings: ClassVar = {
        Ending.WHOLE: ("STOP",),
        Ending.TRUNCATED: ("MAX_TOKENS",),
        Ending.REFUSED: ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"),
        Ending.BROKEN_OFF: ("OTHER", "MALFORMED_FUNCTION_CALL", "a reason of tomorrow"),
    }
    errors = (
        (400, gemini_error(400, "INVALID_ARGUMENT"), ErrorKind.BAD_REQUEST, "INVALID_ARGUMENT"),
        (400, gemini_error(400, "INVALID_ARGUMENT", _BAD_KEY), ErrorKind.AUTHENTICATION, "INVALID_ARGUMENT"),
        (400, gemini_error(400, "FAILED_PRECONDITION"), ErrorKind.BAD_REQUEST, "FAILED_PRECONDITION"),
        (403, gemini_error(403, "PERMISSION_DENIED"), ErrorKind.PERMISSION, "PERMISSION_DENIED"),
        (404, gemini_error(404, "NOT_FOUND"), ErrorKind.MODEL_NOT_FOUND, "NOT_FOUND"),
        (429, gemini_error(429, "RESOURCE_EXHAUSTED"), ErrorKind.RATE_LIMITED, "RESOURCE_EXHAUSTED"),
        (429, gemini_error(429, "RESOURCE_EXHAUSTED", _PER_MINUTE, _RETRY), ErrorKind.RATE_LIMITED, "RESOURCE_EXHAUSTED"),
        (429, gemini_error(429, "RESOURCE_EXHAUSTED", _PER_DAY, _RETRY), ErrorKind.QUOTA, "RESOURCE_EXHAUSTED"),
        (500, gemini_error(500, "INTERNAL"), ErrorKind.SERVER, "INTERNAL"),
        (503, gemini_error(503, "UNAVAILABLE"), ErrorKind.SERVER, "UNAVAILABLE"),
        (504, gemini_error(504, "DEADLINE_EXCEEDED"), ErrorKind.TIMEOUT, "DEADLINE_EXCEEDED"),
    )  # fmt: skip

    def reply(
        self, text: str = "Hello.", *, reason: str = "", counted: bool = False, thought: bool = False
    ) -> dict[str, Any]:
        usage = {
            "promptTokenCount": COUNTED.input_tokens,
            "cachedContentTokenCount": COUNTED.cached_tokens,
            "candidatesTokenCount": COUNTED.output_tokens - COUNTED.reasoning_tokens,
            "thoughtsTokenCount": COUNTED.reasoning_tokens,
            "totalTokenCount": COUNTED.input_tokens + COUNTED.output_tokens,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": COUNTED.input_tokens}],
        }
        whole = gemini_content(text, finish_reason=reason or "STOP", **({"usageMetadata": usage} if counted else {}))
        if thought:
            whole["candidates"][0]["content"]["parts"].insert(0, {"text": THOUGHT, "thought": True})
        return whole

    def calling(self, name: str, given: dict[str, Any], *, cut: bool) -> dict[str, Any]:
        whole = gemini_content("", finish_reason="MAX_TOKENS" if cut else "STOP")
        whole["candidates"][0]["content"]["parts"] = [{"functionCall": {"name": name, "args": given}}]
        return whole

    def refusing(self, words: str) -> dict[str, Any]:
        """A prompt that was blocked; the format has no place for words."""
        whole = gemini_content("", promptFeedback={"blockReason": "SAFETY"})
        del whole["candidates"]
        return {**whole, "usageMetadata": {"promptTokenCount": 11, "totalTokenCount": 11}}

    def hollow(self) -> dict[str, Any]:
        return {**self.reply(), "candidates": []}

    def system_extras(self, text: str) -> list[dict[str, Any]]:
        return [{name: {"parts": [{"text": text}]}} for name in ("systemInstruction", "system_instruction")]

    def system_of(self, body: Mapping[str, Any]) -> str:
        told = body.get("systemInstruction", body.get("system_instruction", {}))
        return _text(told.get("parts", []))

    def turns_of(self, body: Mapping[str, Any]) -> list[tuple[str, str]]:
        roles = {"model": "assistant"}
        return [(roles.get(turn["role"], turn["role"]), _text(turn["parts"])) for turn in body["contents"]]

    def structure_of(self, body: Mapping[str, Any]) -> str | None:
        settings = body.get("generationConfig", {})
        names = {"responseJsonSchema", "responseSchema", "response_json_schema", "response_schema"}
        if names & settings.keys():
            return "schema"
        return "json" if "responseMimeType" in settings or "response_mime_type" in settings else None

    def setting(self, sent: Recorded, *names: str) -> Any:
        settings = sent.json.get("generationConfig", {})
        return next((settings[name] for name in names if name in settings), None)

    def limit_of(self, sent: Recorded) -> Any:
        return self.setting(sent, "maxOutputTokens", "max_output_tokens")


CHAT, ANTHROPIC, GEMINI = ChatCompletions(), AnthropicMessages(), GeminiContent()

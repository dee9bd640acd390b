"""Google's Gemini models, by generateContent, and the bodies of their requests, for our own HTTP client.

Structured replies are asked for by the API's own schema mode, then by its JSON mode with the schema in words, then in words alone.

Guarantee and limits: those of `JsonApi`. The key goes in a header, never in the address. Cost: about that of chat completions.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote, urlsplit, urlunsplit

import orjson

from datafast.llms.base import ReplyMode
from datafast.llms.base_urls import versioned_base
from datafast.llms.providers.direct import Bodies, DirectBackend, DirectProvider
from datafast.llms.replies.body import first_of
from datafast.llms.schema import ask
from datafast.llms.strict_schema import mapped_schema, tell
from datafast.llms.transport.wire_format import WireFormat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from datafast.llms.base import Backend, Request
    from datafast.llms.batches.base import BatchBackend
    from datafast.llms.schema import ResponseSchema
    from datafast.types import Message

__all__ = ["GeminiBodies", "GeminiProvider"]

_SYSTEM_ROLES = frozenset({"system", "developer"})
_SYSTEM_NAMES = frozenset({"systemInstruction", "system_instruction"})
_JSON = "application/json"
_SETTINGS = "generationConfig"
_WIRE_NAMES = {"temperature": "temperature", "top_p": "topP", "frequency_penalty": "frequencyPenalty"}
_MODEL = re.compile(r"gemini-(\d{1,2})(?:\.(\d{1,2}))?")
_WITH_LEVELS = (3, 0)  # from here on models are told how much to think by a name, before by a number of tokens
_WITHOUT_LEVELS = {
    "none": 0,
    "minimal": 512,
    "low": 1024,
    "medium": 2048,
    "high": 4096,
    "xhigh": 8192,
    "max": 16_384,
}
_LEVELS = {"none": "minimal"}
# Fields of the body beside its settings. Other fields of `extra` are settings.
_BODY_FIELDS = frozenset(
    [
        *("cachedContent", "cached_content", _SETTINGS, "generation_config", "labels", "safetySettings"),
        *("safety_settings", "serviceTier", "service_tier", "store", "systemInstruction", "system_instruction"),
        *("toolConfig", "tool_config", "tools"),
    ]
)
# Keywords of JSON Schema that the API does not know; they are told in words.
_TOLD_IN_WORDS = frozenset(
    [
        *("minLength", "maxLength", "pattern", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("const", "uniqueItems", "minProperties", "maxProperties", "propertyNames"),
    ]
)


def _candidate(data: dict[str, Any]) -> dict[str, Any] | None:
    return first_of(data.get("candidates"))


_CONTENT = WireFormat("gemini_generate_content", re.compile(rb'"candidates"\s*+:\s*+\[\s*+\{'), _candidate)


class GeminiProvider(DirectProvider):
    """Google's Gemini models, by a key of the Gemini API."""

    provider_name = "gemini"
    structured_replies = "schema"
    env_key_name = "GEMINI_API_KEY"
    default_model_id = "gemini-3.5-flash-lite"
    default_base = "https://generativelanguage.googleapis.com/v1beta"
    wire_names: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "top_p": ("topP",),
        "frequency_penalty": ("frequencyPenalty",),
        "reasoning_effort": ("thinkingConfig", "thinkingLevel", "thinkingBudget", "thinking_level", "thinking_budget"),
    }

    @property
    def request_url(self) -> str:
        """See `DirectProvider`: below the address, with `/v1beta` if it has no version."""
        model = quote(self.model_id, safe="/:@")
        parts = urlsplit(versioned_base(self.api_base, version="/v1beta"))
        path = f"{parts.path}/{model if '/' in model else f'models/{model}'}"
        if self.stream:
            events = "&".join(filter(None, (parts.query, "alt=sse")))
            return urlunsplit(parts._replace(path=f"{path}:streamGenerateContent", query=events))
        return urlunsplit(parts._replace(path=f"{path}:generateContent"))

    @property
    def models_url(self) -> str | None:
        parts = urlsplit(self.request_url)
        return urlunsplit(parts._replace(path=parts.path.rpartition(":")[0], query=urlsplit(self.api_base).query))

    @property
    def key_headers(self) -> dict[str, str]:
        return {"x-goog-api-key": self.api_key} if self.api_key else {}

    @property
    def most_tokens(self) -> int | None:
        """The most tokens that the model writes, where that is known."""
        found = _MODEL.match(self.model_id)
        if found is None or int(found[1]) > 3:
            return None
        return 65_536 if (int(found[1]), int(found[2] or 0)) >= (2, 5) else 8192

    @property
    def longest_reply(self) -> int | None:
        return self.max_completion_tokens or self.most_tokens or self.known_context

    @property
    def listed_batch_discount(self) -> float | None:
        return 0.5 if self.api_base == self.default_base else None

    def open_batches(self) -> BatchBackend | None:
        from datafast.llms.batches.gemini import GeminiBatches

        root = versioned_base(self.api_base, version="/v1beta")
        model = self.model_id if "/" in self.model_id else f"models/{self.model_id}"
        return GeminiBatches(self, GeminiBodies(self), root=root, model=model)

    def open(self, *, max_connections: int) -> Backend:
        return DirectBackend(self, GeminiBodies(self), max_connections=max_connections)


class GeminiBodies(Bodies):
    """Makes bodies of generateContent."""

    wire = _CONTENT

    def __init__(self, provider: GeminiProvider) -> None:
        self._provider = provider
        self._limit = provider.max_completion_tokens
        self._most_tokens = provider.most_tokens
        self._settings = {
            name: {wire: provider.sampling[name]} for name, wire in _WIRE_NAMES.items() if name in provider.sampling
        }
        if provider.reasoning_effort is not None and not _says_how_much_to_think(provider.extra):
            self._settings["reasoning_effort"] = {"thinkingConfig": _thinking(provider)}

    def body(self, request: Request) -> bytes:
        settings: dict[str, Any] = {}
        for name, fields in self._settings.items():
            if name not in request.dropped_params:
                settings |= fields
        limit = (
            self._limit
            if request.token_limit is None
            else min(request.token_limit, self._most_tokens or request.token_limit)
        )
        if limit is not None:
            settings["maxOutputTokens"] = limit
        messages: Sequence[Message] = request.messages
        if request.schema is not None:
            if request.mode is not ReplyMode.JSON_SCHEMA:
                messages = ask(messages, request.schema, request.mode)
            if request.mode is not ReplyMode.PROMPT:
                settings["responseMimeType"] = _JSON
            if request.mode is ReplyMode.JSON_SCHEMA:
                settings["responseJsonSchema"] = _response_schema(request.schema)
        body = _parted(messages)
        if settings:
            body[_SETTINGS] = settings
        self._add_extra(body, request.dropped_params)
        return orjson.dumps(body)

    def _add_extra(self, body: dict[str, Any], dropped: frozenset[str]) -> None:
        """Puts the fields of `extra` where they belong; those of an object that stands there already are added to it."""
        for name, value in self._provider.extra.items():
            if name in dropped:
                continue
            if name in _SYSTEM_NAMES:
                told = body.get("systemInstruction")
                body["systemInstruction"] = value if told is None else _both(value, told)
                continue
            place = body if name in _BODY_FIELDS else body.setdefault(_SETTINGS, {})
            mine = place.get(name)
            place[name] = {**mine, **value} if isinstance(mine, dict) and isinstance(value, dict) else value


def _says_how_much_to_think(extra: Mapping[str, Any]) -> bool:
    """Whether `extra` does; the API takes one of level and budget."""
    for place in (extra, extra.get(_SETTINGS)):
        asked = place.get("thinkingConfig") if isinstance(place, dict) else None
        if isinstance(asked, dict) and not asked.keys().isdisjoint({"thinkingBudget", "thinkingLevel"}):
            return True
    return False


def _thinking(provider: GeminiProvider) -> dict[str, Any]:
    """How much a model is told to think."""
    effort = str(provider.reasoning_effort)
    found = _MODEL.match(provider.model_id)
    if found is not None and (int(found[1]), int(found[2] or 0)) < _WITH_LEVELS and effort in _WITHOUT_LEVELS:
        return {"thinkingBudget": _WITHOUT_LEVELS[effort]}
    return {"thinkingLevel": _LEVELS.get(effort, effort)}


def _parted(messages: Sequence[Message]) -> dict[str, Any]:
    """The system prompt, which is a field of its own, and the turns. There must be a turn."""
    system = [message["content"] for message in messages if message["role"] in _SYSTEM_ROLES and message["content"]]
    turns = [
        {"role": "model" if message["role"] == "assistant" else "user", "parts": [{"text": message["content"]}]}
        for message in messages
        if message["role"] not in _SYSTEM_ROLES
    ]
    told = [{"text": "\n\n".join(system)}] if system else []
    if not turns:
        return {"contents": [{"role": "user", "parts": told or [{"text": ""}]}]}
    return {"systemInstruction": {"parts": told}, "contents": turns} if told else {"contents": turns}


def _both(first: Any, second: dict[str, Any]) -> Any:
    """A system prompt of `extra` and that of a request behind it."""
    parts = first.get("parts") if isinstance(first, dict) else None
    return {**first, "parts": [*parts, *second["parts"]]} if isinstance(parts, list) else first


@lru_cache(maxsize=512)
def _response_schema(schema: ResponseSchema) -> orjson.Fragment:
    return orjson.Fragment(orjson.dumps(mapped_schema(schema.json_schema, _with_known_keywords)))


def _with_known_keywords(node: dict[str, Any]) -> None:
    if isinstance(node.get("const"), (str, float, int)) and not isinstance(node["const"], bool):
        node["enum"] = [node.pop("const")]
    tell(node, [name for name in node if name in _TOLD_IN_WORDS])

"""Anthropic's models, by the Messages API, and the bodies of their requests, for our own HTTP client.

Structured replies are asked for by the API's own schema mode; where the model or the schema is not made for that, by a tool that has to
be called. No tool is forced on a model that thinks, since the API refuses that: it is offered, and the schema told in words.

Guarantee and limits: those of `JsonApi`. Cost: about that of chat completions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Unpack
from urllib.parse import quote, urlsplit, urlunsplit

import orjson

from datafast._util.notify import warn_user
from datafast.errors import ConfigError
from datafast.llms.base import ReplyMode
from datafast.llms.base_urls import versioned_base
from datafast.llms.options import ProviderOptions
from datafast.llms.prices import context_window
from datafast.llms.providers.claude_models import ClaudeModel, claude_model
from datafast.llms.providers.direct import Bodies, DirectBackend, DirectProvider
from datafast.llms.providers.prompt_cache import PromptCache
from datafast.llms.schema import ask
from datafast.llms.strict_schema import inlined_schema, mapped_schema, tell
from datafast.llms.transport.wire_format import WireFormat
from datafast.types import Usage

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from datafast.llms.base import Backend, Request, Response
    from datafast.llms.batches.base import BatchBackend
    from datafast.llms.schema import ResponseSchema
    from datafast.types import Message

__all__ = ["AnthropicBodies", "AnthropicProvider"]

_VERSION = "2023-06-01"
_MESSAGES = "/messages"
_CHARACTERS_PER_TOKEN = 4
_SYSTEM_ROLES = frozenset({"system", "developer"})
_UNKNOWN_LIMIT = 8192
"""The limit for a model whose own is not known. Each request must have one, and nearly every model takes this."""

# Tokens to think with, of models that are told how many.
_THINKING_TOKENS = {"minimal": 1024, "low": 1024, "medium": 2048, "high": 4096, "xhigh": 8192, "max": 16_384}
_LEAST_THINKING_TOKENS = 1024
_EFFORTS = {"minimal": "low"}
# What the schema mode refuses; it is told in words. `minItems` may be 0 or 1.
_TOLD_IN_WORDS = frozenset(
    [
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minLength", "maxLength", "pattern", "minItems", "maxItems", "uniqueItems"),
        *("minProperties", "maxProperties", "propertyNames"),
    ]
)
_FORMATS = frozenset(["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"])


def _part(data: dict[str, Any]) -> dict[str, Any] | None:
    return data if isinstance(data.get("content"), list) else None


_MESSAGE = WireFormat("anthropic_messages", re.compile(rb'"content"\s*+:\s*+\['), _part)


class AnthropicProvider(DirectProvider):
    """Anthropic's models, or others at a server that speaks the Messages API (`api_base`).

    Args:
        model_id: the model, as Anthropic names it.
        api_key: the key; by default the environment variable is read when a run starts.
        prompt_cache: "auto" marks long system prompts that come more than once for the prompt cache; "off", the default, marks none.
        **options: see `ProviderOptions`.
    """

    provider_name = "anthropic"
    structured_replies = "schema"
    env_key_name = "ANTHROPIC_API_KEY"
    default_model_id = "claude-haiku-4-5-20251001"
    default_base = "https://api.anthropic.com"
    wire_names: ClassVar[Mapping[str, tuple[str, ...]]] = {"reasoning_effort": ("thinking", "effort", "budget_tokens")}
    own_params: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "prompt_cache": {
            "enum": ["auto", "off"],
            "description": "auto: long system prompts are marked for the prompt cache.",
        }
    }

    def __init__(
        self,
        model_id: str | None = None,
        api_key: str | None = None,
        *,
        prompt_cache: str | None = None,
        **options: Unpack[ProviderOptions],
    ) -> None:
        if prompt_cache not in {None, "auto", "off"}:
            raise ConfigError(f"prompt_cache: expected auto or off, got {prompt_cache!r}.", key="prompt_cache")
        super().__init__(model_id, api_key, **options)
        if self.max_completion_tokens is not None and self.max_completion_tokens <= self.thinking_tokens:
            raise ConfigError(
                f"max_completion_tokens: {self.max_completion_tokens:,} must be above the budget_tokens of thinking in extra, "
                f"{self.thinking_tokens:,}: the answer needs some of it too. Raise it, or lower budget_tokens.",
                key="max_completion_tokens",
            )
        self.prompt_cache = prompt_cache or "off"
        self._options |= {"prompt_cache": prompt_cache} if prompt_cache else {}

    @property
    def request_url(self) -> str:
        """See `DirectProvider`: below the address, with `/v1` if it has no version."""
        parts = urlsplit(versioned_base(self.api_base.removesuffix(_MESSAGES)))
        return urlunsplit(parts._replace(path=parts.path + _MESSAGES))

    @property
    def models_url(self) -> str | None:
        parts = urlsplit(self.request_url)
        return urlunsplit(
            parts._replace(path=f"{parts.path.removesuffix(_MESSAGES)}/models/{quote(self.model_id, safe='')}")
        )

    @property
    def key_headers(self) -> dict[str, str]:
        return {"anthropic-version": _VERSION} | ({"x-api-key": self.api_key} if self.api_key else {})

    @property
    def model(self) -> ClaudeModel:
        """What is known of the model."""
        return claude_model(self.model_id)

    @property
    def thinks(self) -> bool:
        """Whether the model thinks before it answers, as it is asked here."""
        asked = self.extra.get("thinking")
        if isinstance(asked, dict):
            return asked.get("type") != "disabled"
        if self.reasoning_effort is not None:
            return self.reasoning_effort != "none"
        return self.model.thinks_unasked

    @property
    def longest_reply(self) -> int | None:
        return self.max_completion_tokens or self.model.most_tokens or context_window(self.provider_name, self.model_id)

    @property
    def needed_limit(self) -> int | None:
        return None if self.max_completion_tokens or self.model.most_tokens else self.unknown_limit

    @property
    def unknown_limit(self) -> int:
        """The limit for a model whose own one is not known."""
        return _UNKNOWN_LIMIT + self.thinking_tokens

    @property
    def thinking_tokens(self) -> int:
        asked = self.extra.get("thinking")
        tokens = asked.get("budget_tokens") if isinstance(asked, dict) and asked.get("type") == "enabled" else None
        return tokens if isinstance(tokens, int) else 0

    def most_usd(self, given: int, written: int) -> float | None:
        caching = self.extra.get("cache_control")
        cached = given if caching or self.prompt_cache == "auto" else 0
        kept_long = given if isinstance(caching, dict) and caching.get("ttl") == "1h" else 0
        return self.cost_usd(Usage(given, written, cache_write_tokens=cached, long_cache_write_tokens=kept_long))

    def open(self, *, max_connections: int) -> Backend:
        return AnthropicBackend(self, max_connections=max_connections)

    @property
    def listed_batch_discount(self) -> float | None:
        return 0.5 if self.api_base == self.default_base else None

    def open_batches(self) -> BatchBackend | None:
        from datafast.llms.batches.anthropic import AnthropicBatches

        return AnthropicBatches(self, AnthropicBodies(self, stream=False))


class AnthropicBackend(DirectBackend):
    """Lets one request go first where some share a prefix that is to be cached."""

    def __init__(self, provider: AnthropicProvider, *, max_connections: int) -> None:
        self._bodies = AnthropicBodies(provider, stream=provider.stream)
        super().__init__(provider, self._bodies, max_connections=max_connections)
        self._model = provider.model
        self._cache = PromptCache() if provider.prompt_cache == "auto" else None
        if provider.frequency_penalty is not None:
            warn_user(f"{provider.label} does not take frequency_penalty. It is left out of every request.")

    def complete(self, request: Request) -> Coroutine[Any, Any, Response]:
        if self._cache is None:
            return super().complete(request)
        fields = self._bodies.fields(request)
        prefix = self._long_prefix(fields)
        if prefix is not None and self._cache.is_shared(prefix):
            return self._cache.in_turn(prefix, lambda: self._api.post(orjson.dumps(_marked(fields))))
        return self._api.post(orjson.dumps(fields))

    def _long_prefix(self, body: Mapping[str, Any]) -> tuple[str, int] | None:
        """What comes before the turns, if it is long enough for the prompt cache. The API puts tools and schema into it too."""
        system = body.get("system")
        if not isinstance(system, str):
            return None
        form = orjson.dumps([body.get("tools"), body.get("output_config")])
        tokens = (len(system) + len(form)) // _CHARACTERS_PER_TOKEN
        return (system, hash(form)) if tokens >= self._model.least_cached else None


class AnthropicBodies(Bodies):
    """Makes bodies of the Messages API."""

    wire = _MESSAGE

    def __init__(self, provider: AnthropicProvider, *, stream: bool) -> None:
        self._provider = provider
        self._model = provider.model
        self._forces_tools = not provider.thinks
        self._default_limit = provider.max_completion_tokens or self._model.most_tokens or provider.unknown_limit
        self._params: dict[str, Any] = {
            name: value for name, value in provider.sampling.items() if name in {"temperature", "top_p"}
        }
        if stream:
            self._params["stream"] = True

    def body(self, request: Request) -> bytes:
        return orjson.dumps(self.fields(request))

    def fields(self, request: Request) -> dict[str, Any]:
        """The body of a request, as a mapping."""
        limit = self._limit(request.token_limit)
        messages, form = self._asked(request)
        system, turns = _parted(messages)
        body: dict[str, Any] = {
            "model": self._provider.model_id,
            "max_tokens": limit,
            "messages": turns,
            **self._params,
        }
        if system:
            body["system"] = system
        effort = self._provider.reasoning_effort
        if effort is not None and "reasoning_effort" not in request.dropped_params:
            body |= self._thinking(effort, limit)
        body = _merged(body, form)
        if _other_type(body.get("thinking"), self._provider.extra.get("thinking")):
            del body["thinking"]  # the fields of one type are refused beside those of another
        extra = self._provider.extra
        if system and "system" in extra:
            extra = {**extra, "system": _both(extra["system"], system)}
        body = _merged(body, extra)
        for name in request.dropped_params:
            if name == "system" and system:
                body["system"] = system  # dropped is the one of `extra`
            elif name not in {"model", "messages", "max_tokens"}:
                body.pop(name, None)
        return body

    def _limit(self, asked: int | None) -> int:
        if asked is None:
            return self._default_limit
        return asked if self._model.most_tokens is None else min(asked, self._model.most_tokens)

    def _thinking(self, effort: str, limit: int) -> dict[str, Any]:
        if effort == "none":
            return {"thinking": {"type": "disabled"}}
        if self._model.is_adaptive:
            return {"thinking": {"type": "adaptive"}, "output_config": {"effort": _EFFORTS.get(effort, effort)}}
        # The answer needs some of the limit too.
        tokens = min(_THINKING_TOKENS.get(effort, _THINKING_TOKENS["medium"]), limit // 2)
        return {"thinking": {"type": "enabled", "budget_tokens": max(tokens, _LEAST_THINKING_TOKENS)}}

    def _asked(self, request: Request) -> tuple[Sequence[Message], Mapping[str, Any]]:
        """The messages, and the fields that ask for structure."""
        schema, mode = request.schema, request.mode
        if schema is None:
            return request.messages, {}
        if mode is ReplyMode.PROMPT:
            return ask(request.messages, schema, mode), {}
        form = _output_format(schema) if mode is ReplyMode.JSON_SCHEMA and self._model.has_schemas else None
        if form is not None:
            return request.messages, form
        if self._forces_tools:
            return request.messages, _tool(schema, forced=True)
        return ask(request.messages, schema, ReplyMode.PROMPT), _tool(schema, forced=False)


def _parted(messages: Sequence[Message]) -> tuple[str, list[dict[str, str]]]:
    """The system prompt, which is a field of its own, and the turns. There must be a turn."""
    system = [message["content"] for message in messages if message["role"] in _SYSTEM_ROLES and message["content"]]
    turns = [
        {"role": "assistant" if message["role"] == "assistant" else "user", "content": message["content"]}
        for message in messages
        if message["role"] not in _SYSTEM_ROLES
    ]
    told = "\n\n".join(system) if system else ""
    return (told, turns) if turns else ("", [{"role": "user", "content": told}])


def _both(first: Any, second: str) -> Any:
    """A system prompt of `extra`, a text or blocks, and that of a request behind it."""
    if isinstance(first, str):
        return f"{first}\n\n{second}" if first else second
    return [*first, {"type": "text", "text": second}] if isinstance(first, list) else first


def _other_type(mine: object, asked: object) -> bool:
    """Whether another type of thinking is asked for in `extra`."""
    return isinstance(mine, dict) and isinstance(asked, dict) and asked.get("type", mine["type"]) != mine["type"]


def _marked(body: dict[str, Any]) -> dict[str, Any]:
    """The body with a mark behind its system prompt: all before it is to be kept."""
    return {**body, "system": [{"type": "text", "text": body["system"], "cache_control": {"type": "ephemeral"}}]}


def _merged(body: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """The body with further fields; those of an object that stands in both are put together."""
    for name, value in more.items():
        mine = body.get(name)
        body[name] = {**mine, **value} if isinstance(mine, dict) and isinstance(value, dict) else value
    return body


@lru_cache(maxsize=512)
def _output_format(schema: ResponseSchema) -> Mapping[str, Any] | None:
    """The fields of the schema mode; None for what it cannot say: objects with any keys, and references to themselves."""
    if schema.free or "$defs" in inlined_schema(schema.json_schema):
        return None
    wire = mapped_schema(schema.json_schema, _without_refused)
    return {"output_config": {"format": {"type": "json_schema", "schema": orjson.Fragment(orjson.dumps(wire))}}}


def _without_refused(node: dict[str, Any]) -> None:
    """Tells the keywords that the schema mode refuses in words."""
    refused = [name for name in node if name in _TOLD_IN_WORDS and not (name == "minItems" and node[name] in {0, 1})]
    if "format" in node and node["format"] not in _FORMATS:
        refused.append("format")
    tell(node, refused)


@lru_cache(maxsize=512)
def _tool(schema: ResponseSchema, *, forced: bool) -> Mapping[str, Any]:
    """The fields that let the model answer by calling a tool."""
    tool = {
        "name": schema.name,
        "description": "Takes your whole answer. Call it once.",
        "input_schema": schema.json_schema,
    }
    choice = {"type": "tool", "name": schema.name} if forced else {"type": "auto"}
    return {
        "tools": [orjson.Fragment(orjson.dumps(tool))],
        "tool_choice": {**choice, "disable_parallel_tool_use": True},
    }

"""A simulated model: deterministic, schema-valid replies made on this machine, with faults on demand.

Guarantee: the same seed, model_id and request give the same reply, in any order and on any machine; another prompt or
model gives another reply. No key, no network, no cost: usage is estimated at four characters a token, at a price of 0. A
reply's model id always begins with "simulated/", so it cannot be mistaken for a real model's reply.
Faults occur in a fixed share of requests, chosen by the request and by how often this back end has failed it before. So a
retry is a new draw, and a second run has the same draws.
Cost: about 60 us for a reply of 600 characters. Limits: see `text` and `values`; memory grows with the number of requests
that met a fault.
"""

from __future__ import annotations

import asyncio
import math
import random
import re
import time
from collections import Counter
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import orjson

from datafast._util.notify import did_you_mean
from datafast.errors import ConfigError, ErrorKind, ProviderError
from datafast.llms.base import Request, Response
from datafast.llms.options import NETWORK_OPTIONS, ProviderOptions, checked_number, mapping_schema, number_schema
from datafast.llms.provider import LLMProvider
from datafast.llms.replies.completion import encode_completion
from datafast.llms.simulated.text import Writer
from datafast.llms.simulated.values import ValueMaker
from datafast.types import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping


__all__ = ["FAULTS", "SimulatedBackend", "SimulatedProvider"]

_ERRORS = {
    "rate_limited": (ErrorKind.RATE_LIMITED, 429, "too many requests"),
    "server_error": (ErrorKind.SERVER, 503, "service unavailable"),
    "timeout": (ErrorKind.TIMEOUT, None, "no answer in time"),
    "connection": (ErrorKind.CONNECTION, None, "connection dropped"),
    "authentication": (ErrorKind.AUTHENTICATION, 401, "invalid API key"),
}
_SPOILED = ("empty", "invalid_json", "refused", "schema_violation", "short", "truncated")
FAULTS = tuple(sorted([*_ERRORS, *_SPOILED]))
"""Names of the faults: errors instead of a reply, and replies that are not what was asked.

"invalid_json", "schema_violation" and "short" do not change free text, which has no structure.
"""

_RETRY_AFTER_S = 0.05
_CHARS_PER_TOKEN = 4
_MAX_ITEMS = 200
_ASKED_COUNT = re.compile(
    r"\b(?:exactly|generate|write|create|produce|give|list|provide|return|propose|suggest)\b\D{0,40}?(\d{1,3})\b",
    re.IGNORECASE,
)
_PREFIX = "simulated/"
_LONGEST_REPLY = 100_000  # tokens; far more than it writes


class SimulatedProvider(LLMProvider):
    """A simulated model, for trying out a config and for tests. Needs no key and no network, and costs nothing.

    Args:
        model_id: any name; in rows and replies it is `simulated/<model_id>`.
        latency_s: seconds until a reply comes.
        latency_jitter_s: at most this many seconds more, different for each request.
        faults: share of requests, from 0 to 1, that meet each fault; see `FAULTS` for the names.
        seed: another seed gives other replies.
        **options: sampling parameters, limits, `max_completion_tokens` (longer replies are cut off, as a server would),
            `timeout`, `name` and `price` of `ProviderOptions`.

    Raises:
        ConfigError: an unknown parameter or fault, or a value out of range.
    """

    provider_name = "simulated"
    default_model_id = "simulated"
    simulated = True
    unused_options = (*NETWORK_OPTIONS, "extra")
    connects = False
    own_params: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "latency_s": number_schema("Seconds until a reply.", minimum=0),
        "latency_jitter_s": number_schema("Up to so many seconds more.", minimum=0),
        "faults": mapping_schema("Share of requests that fail, by fault.", of="number"),
        "seed": {"type": "integer", "description": "Another seed gives other replies."},
    }

    def __init__(
        self,
        model_id: str | None = None,
        *,
        latency_s: float = 0.0,
        latency_jitter_s: float = 0.0,
        faults: Mapping[str, float] | None = None,
        seed: int = 0,
        **options: Unpack[ProviderOptions],
    ) -> None:
        super().__init__(model_id, **options)
        if not self.model_id.startswith(_PREFIX) and self.model_id != self.default_model_id:
            self.model_id = _PREFIX + self.model_id  # rows have it, and must show that they are simulated
        self.latency_s = checked_number("latency_s", latency_s) or 0.0
        self.latency_jitter_s = checked_number("latency_jitter_s", latency_jitter_s) or 0.0
        self.faults = _checked_faults(faults)
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise ConfigError(f"seed: expected a whole number, got {seed!r}.", key="seed")
        self.seed = seed
        self._original: LLMProvider | None = None
        own = {"latency_s": latency_s, "latency_jitter_s": latency_jitter_s, "faults": self.faults, "seed": seed}
        self._options |= {key: value for key, value in own.items() if value}

    @classmethod
    def standing_in_for(
        cls,
        provider: LLMProvider,
        *,
        latency_s: float = 0.0,
        latency_jitter_s: float = 0.0,
        faults: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> SimulatedProvider:
        """A simulated model instead of a real one, as `simulated/<model_id>`; a simulated provider is returned itself.

        It keeps the name, sampling parameters, weight and limit of concurrency, but no limits per minute, which would only
        make it slow. Originals with different identities get replacements with different identities.
        """
        if isinstance(provider, SimulatedProvider):
            return provider
        kept = (*provider.sampling, "name", "max_concurrency", "weight")
        options: Any = {key: getattr(provider, key) for key in kept}
        made = cls(
            _PREFIX + provider.model_id,
            latency_s=latency_s,
            latency_jitter_s=latency_jitter_s,
            faults=faults,
            seed=seed,
            **options,
        )
        made._original = provider
        return made

    @property
    def label(self) -> str:
        return self.model_id

    @property
    def longest_reply(self) -> int:
        return self.max_completion_tokens or _LONGEST_REPLY

    @property
    def identity(self) -> str:
        parts = orjson.loads(super().identity)
        if self.seed:
            parts["seed"] = self.seed
        if self._original is not None:
            parts["stands_in_for"] = orjson.loads(self._original.identity)
        return orjson.dumps(parts, option=orjson.OPT_SORT_KEYS).decode()

    def require_ready(self) -> None:
        """A simulated model is always ready."""

    def open(self, *, max_connections: int) -> SimulatedBackend:
        """Opens a back end. Nothing is connected, so any number of requests may be in flight."""
        return SimulatedBackend(self)


class SimulatedBackend:
    """Replies of one simulated model during one run."""

    def __init__(self, provider: SimulatedProvider) -> None:
        self._provider = provider
        self._salt = provider.identity
        self._failed: Counter[bytes] = Counter()

    async def complete(self, request: Request) -> Response:
        """Answers one request, after the latency.

        Raises:
            ProviderError: a fault says so, or the latency is longer than the provider's timeout.
        """
        began = time.perf_counter()
        digest = self._digest(request)
        fault = self._fault(digest)
        if fault:
            self._failed[digest] += 1
        provider = self._provider
        latency_s = provider.latency_s + provider.latency_jitter_s * _share(digest, b"latency")
        if latency_s > provider.timeout:
            latency_s, fault = provider.timeout, "timeout"
        await asyncio.sleep(latency_s)
        if fault in _ERRORS:
            kind, status, what = _ERRORS[fault]
            raise ProviderError(
                f"{self._name}: {what} (simulated).",
                kind=kind,
                status=status,
                retry_after_s=_RETRY_AFTER_S if kind is ErrorKind.RATE_LIMITED else None,
            )
        raw = self._reply(request, random.Random(digest), fault)
        return Response(raw=raw, latency_s=time.perf_counter() - began)

    async def aclose(self) -> None:
        """Forgets which requests met a fault."""
        self._failed.clear()

    @property
    def _name(self) -> str:
        model_id = self._provider.model_id
        return model_id if model_id.startswith(_PREFIX) else _PREFIX + model_id

    def _digest(self, request: Request) -> bytes:
        asked = [[message["role"], message["content"]] for message in request.messages]
        about = orjson.dumps([self._salt, asked, request.again] if request.again else [self._salt, asked])
        return blake2b(about + (request.schema.digest if request.schema else b""), digest_size=16).digest()

    def _fault(self, digest: bytes) -> str | None:
        if not self._provider.faults:
            return None
        draw = _share(digest, b"fault%d" % self._failed.get(digest, 0))
        for name, share in self._provider.faults.items():
            if draw < share:
                return name
            draw -= share
        return None

    def _reply(self, request: Request, rng: random.Random, fault: str | None) -> bytes:
        prompt = "\n".join(message["content"] for message in request.messages if message["role"] == "user")
        writer = Writer(rng, prompt)
        if request.schema is None:
            text = writer.paragraph()
        else:
            count = min(int(found[1]), _MAX_ITEMS) if (found := _ASKED_COUNT.search(prompt)) else 3
            schema = request.schema
            value = ValueMaker(
                schema.json_schema, writer, num_items=count, examples=schema.examples, given=schema.simulated
            ).make()
            text = _as_json(value, fault)
        spoiled = {"empty": "", "refused": "", "truncated": text[: len(text) // 2]}
        text = spoiled.get(fault or "", text)
        limit = request.token_limit or self._provider.max_completion_tokens
        if limit is not None and _tokens(len(text)) > limit:
            text, fault = text[: limit * _CHARS_PER_TOKEN], "truncated"
        sent = sum(len(message["content"]) for message in request.messages)
        return encode_completion(
            text,
            model=self._name,
            usage=Usage(_tokens(sent), max(_tokens(len(text)), 1)),
            finish_reason="length" if fault == "truncated" else "stop",
            refusal="I cannot help with that (simulated refusal)." if fault == "refused" else "",
        )


def _checked_faults(faults: Mapping[str, float] | None) -> dict[str, float]:
    for name, share in (faults or {}).items():
        if name not in FAULTS:
            raise ConfigError(f"faults: There is no fault {name!r}. {did_you_mean(name, FAULTS)}", key="faults")
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
            raise ConfigError(f"faults.{name}: expected a share of requests from 0 to 1, got {share!r}.", key="faults")
    checked = dict(faults or {})
    if math.fsum(checked.values()) > 1 + 1e-9:
        raise ConfigError(
            f"faults: The shares add up to {math.fsum(checked.values()):g}, which is more than 1. Lower them.",
            key="faults",
        )
    return checked


def _share(digest: bytes, salt: bytes) -> float:
    """A number from 0 to below 1 that depends only on its arguments."""
    return int.from_bytes(blake2b(digest, digest_size=6, salt=salt[:16]).digest(), "big") / 2**48


def _tokens(num_chars: int) -> int:
    return -(-num_chars // _CHARS_PER_TOKEN)


def _as_json(value: Any, fault: str | None) -> str:
    """The value as JSON, broken as the fault says."""
    if fault == "short" and isinstance(value, dict):
        value = {key: _shortened(sub) for key, sub in value.items()}
    elif fault == "schema_violation" and isinstance(value, dict) and value:
        first = next(iter(value))
        value = {**value, first: "unexpected" if isinstance(value[first], (dict, list)) else {"unexpected": True}}
    text = orjson.dumps(value).decode()
    return f"Here is what you asked for:\n{text[: len(text) * 2 // 3]}" if fault == "invalid_json" else text


def _shortened(value: Any) -> Any:
    """A list without its second half (without its only element, if it has one); other values unchanged."""
    return value[: len(value) // 2] if isinstance(value, list) else value

"""Looks whether a provider can be used, by the cheapest request that there is, and what its model can do.

Guarantee: nothing that costs is sent where a server tells about its models and how they are asked for structure. Otherwise one short reply
is asked for, in the strongest way that the model takes; a weaker one costs a further short reply. Never raises for what a provider, its
server or its model cannot do: that is what is told. Limits: what no request and no list tells is None, not guessed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import BaseModel

from datafast.errors import ConfigError, ErrorKind, ProviderError, ReplyCategory, ReplyError
from datafast.llms.base import ReplyMode, Request
from datafast.llms.complete import without_refused
from datafast.llms.providers.direct import DirectProvider
from datafast.llms.refused_params import RefusedParams
from datafast.llms.replies.formats import decode_reply
from datafast.llms.replies.parse import parse_reply
from datafast.llms.schema import ResponseSchema
from datafast.llms.transport.redaction import address_shown
from datafast.types import Message, Usage

if TYPE_CHECKING:
    from datafast.llms.provider import LLMProvider

__all__ = ["CheckStatus", "ProviderCheck", "check_provider"]

TIMEOUT_S = 20.0
_REPLY_TOKENS = 64  # for a tool call; some models refuse less than 16
_ASKED = "a short reply"
_PRICED = 1000
_CONTEXT = (
    "context_length",
    "max_model_len",
    "max_context_length",
    "max_input_tokens",
    "inputTokenLimit",
    "context_window",
)
_REPLY = ("outputTokenLimit", "max_tokens", "max_completion_tokens", "max_output_tokens")
_PASSING = frozenset({ErrorKind.RATE_LIMITED, ErrorKind.SERVER})
# The server may have no list, or one without this model, and answer for it all the same.
_UNTOLD = frozenset({ErrorKind.MODEL_NOT_FOUND, ErrorKind.BAD_REQUEST, ErrorKind.NO_COMPLETION})


_WAYS = {ReplyMode.JSON_SCHEMA: "schema", ReplyMode.JSON_OBJECT: "json", ReplyMode.PROMPT: "words"}


class _Works(BaseModel):
    works: bool


class CheckStatus(StrEnum):
    """Whether a run with a provider could begin."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(kw_only=True)
class ProviderCheck:
    """What was found about one provider.

    Attributes:
        status: `warning`: a run could begin, and something may not go as meant.
        message: what is wrong and what to do; '' where nothing is.
        key: where the key comes from: a variable's name, `api_key`, or None for no key.
        asked: what was sent: `the list of models`, `a short reply`, both (`the list of models, a short reply`), or `nothing`.
        model: `listed` by the server, `answered`, or `unknown`.
        structured_replies: `schema`, `json` or `words`: the strongest way that is known to work; None where nothing tells.
        system_prompts: whether they reach the model as such; None where nothing tells.
        context_tokens, reply_tokens: the most that the model takes and writes; None where nothing tells.
        batches: whether there is a batch service; None for a server of the user's own, which may have one.
        batch_discount: the part of the price that a request in a batch saves; None where that is not known.
        price: USD per million tokens, `input` and `output`; None where it is not known.
    """

    provider: str
    status: CheckStatus = CheckStatus.OK
    message: str = ""
    address: str = ""
    key: str | None = None
    asked: str = "nothing"
    model: str = "unknown"
    structured_replies: str | None = None
    system_prompts: bool | None = None
    context_tokens: int | None = None
    reply_tokens: int | None = None
    rpm_limit: float | None = None
    tpm_limit: float | None = None
    max_concurrency: int | None = None
    batches: bool | None = None
    batch_discount: float | None = None
    price: dict[str, float] | None = None
    places: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def found(self, status: CheckStatus, message: str) -> None:
        """Notes what is wrong."""
        self.status = status
        self.message = message if message.startswith(self.provider) else f"{self.provider}: {message}"


async def check_provider(provider: LLMProvider, *, call: bool = True) -> ProviderCheck:
    """Checks one provider.

    Args:
        call: False sends nothing, and looks only at what is configured and known.
    """
    check = _known(provider)
    try:
        provider.require_ready()
    except ConfigError as error:
        check.found(CheckStatus.ERROR, str(error))
        return check
    if not call or "api_base" in provider.unused_options:
        return check
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await _ask(provider, check)
    except TimeoutError:
        check.found(
            CheckStatus.ERROR,
            f"No answer came from {check.address or 'the server'} within {TIMEOUT_S:g} s. Check the address and the network.",
        )
    except ProviderError as error:
        passing = error.kind in _PASSING or error.kind is ErrorKind.BAD_REQUEST
        check.found(CheckStatus.WARNING if passing else CheckStatus.ERROR, str(error))
    return check


def _known(provider: LLMProvider) -> ProviderCheck:
    """What is known without a request."""
    is_direct = isinstance(provider, DirectProvider)
    prices = [provider.cost_usd(usage) for usage in (Usage(_PRICED, 0), Usage(0, _PRICED))]
    given, written = (None if price is None else round(price * 1e6 / _PRICED, 6) for price in prices)
    discount = provider.batch_discount
    has_own_key = provider.api_key is not None and provider.origin.key_variable is None
    return ProviderCheck(
        provider=provider.label,
        address=address_shown(provider.api_base)[0],
        key="api_key" if has_own_key else provider.key_variable if provider.api_key else None,
        structured_replies=provider.structured_replies,
        system_prompts=True if is_direct else None,
        context_tokens=provider.known_context,
        reply_tokens=provider.max_completion_tokens,
        rpm_limit=provider.rpm_limit,
        tpm_limit=provider.tpm_limit,
        max_concurrency=provider.max_concurrency,
        batches=True if discount is not None else False if provider.open_batches() is None else None,
        batch_discount=discount,
        price=None if given is None or written is None else {"input": given, "output": written},
    )


async def _ask(provider: LLMProvider, check: ProviderCheck) -> None:
    """Asks the server about the model, or for a short reply where it tells nothing."""
    if isinstance(provider, DirectProvider):
        if provider.key_url is not None:
            await provider.get(provider.key_url)
        if provider.models_url is not None:
            check.asked = "the list of models"
            told = await _told_about(provider, provider.models_url)
            if told is not None:
                check.model = "listed"
                _learn(check, told)
                if check.structured_replies is not None or check.status is CheckStatus.ERROR:
                    return
                check.asked = f"{check.asked}, {_ASKED}"
                with contextlib.suppress(TimeoutError):  # a server that has yet to load the model
                    async with asyncio.timeout(TIMEOUT_S / 2):
                        await _ask_for_structure(provider, check)
                return
    check.asked = _ASKED
    await _ask_for_structure(provider, check)


async def _ask_for_structure(provider: LLMProvider, check: ProviderCheck) -> None:
    """Asks for a short reply in each way, from the strongest one on, until one works."""
    schema = ResponseSchema.of(_Works)
    refused = RefusedParams(provider.label, provider.droppable_params, provider.wire_names)
    request = Request([Message(role="user", content="Say that it works.")], schema, token_limit=_REPLY_TOKENS)
    backend = provider.open(max_connections=1)
    try:
        for mode, way in _WAYS.items():
            try:
                response = await without_refused(backend, replace(request, mode=mode), refused)
            except ProviderError as error:
                if error.kind is not ErrorKind.BAD_REQUEST or mode is ReplyMode.PROMPT:
                    raise
                continue
            check.model = "answered" if check.model == "unknown" else check.model
            try:
                parse_reply(decode_reply(response.raw, response.format), schema)
            except ReplyError as error:
                if error.category is not ReplyCategory.INVALID:
                    return  # cut off by its thoughts, perhaps: that tells nothing
            else:
                check.structured_replies = way
                return
    finally:
        await backend.aclose()


async def _told_about(provider: DirectProvider, url: str) -> Mapping[str, Any] | None:
    """What the server tells about the model; None where it tells nothing, or does not list it."""
    try:
        body = await provider.get(url)
    except ProviderError as error:
        if error.kind in _UNTOLD:
            return None
        raise
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(data, dict):
        return None
    listed = data.get("data", data.get("models"))
    if listed is None:
        return data if {"id", "name"} & data.keys() else None
    entries = (entry for entry in listed if isinstance(entry, dict)) if isinstance(listed, list) else ()
    return next((entry for entry in entries if provider.model_id in _names(entry)), None)


def _names(entry: Mapping[str, Any]) -> Iterator[str]:
    """The names of a listed model."""
    aliases = entry.get("aliases")
    for name in [entry.get("id"), *(aliases if isinstance(aliases, list) else ())]:
        if isinstance(name, str):
            yield name
            yield name.removesuffix(":latest")  # Ollama's


def _learn(check: ProviderCheck, told: Mapping[str, Any]) -> None:
    """Takes what the server tells about the model."""
    check.context_tokens = _count(told, _CONTEXT) or check.context_tokens
    top = told.get("top_provider")
    most = _count(told, _REPLY) or (_count(top, _REPLY) if isinstance(top, dict) else None)
    if most is not None:
        check.reply_tokens = min(most, check.reply_tokens or most)
    takes = told.get("supported_parameters")
    can = told.get("capabilities")
    if isinstance(takes, list):
        check.structured_replies = (
            "schema" if "structured_outputs" in takes else "json" if "response_format" in takes else "words"
        )
    if not isinstance(can, dict):
        can = {}
    schemas = can.get("structured_outputs")
    if isinstance(schemas, dict) and schemas.get("supported") is False:
        check.structured_replies = "words"
    methods = told.get("supportedGenerationMethods")
    if can.get("completion_chat") is False or (isinstance(methods, list) and "generateContent" not in methods):
        check.found(CheckStatus.ERROR, "The model exists, and writes no texts. Choose another.")


def _count(told: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    return next((value for name in names if type(value := told.get(name)) is int and value > 0), None)

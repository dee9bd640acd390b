"""The base of all providers: a description of a model, and how to call it.

Guarantee: every provider takes the same parameters; only parameters that were set are sent. Keys are read when a run
starts and passed with each request. They are never written to the environment, shown by `repr` or part of `identity`.
Cost: making one needs no key, no network and no heavy import.
Many runs and threads may use a provider at once, because connections belong to the back end that `open` returns.
"""

from __future__ import annotations

import copy
import math
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack, overload

import orjson

from datafast.errors import ConfigError, MissingKeyError
from datafast.llms.base_urls import base_from_environment, check_base
from datafast.llms.options import ProviderOptions, check_key, check_options
from datafast.llms.pace import Pace
from datafast.llms.prices import context_window, cost_usd
from datafast.llms.timeouts import Timeouts
from datafast.llms.transport.origin import Origin
from datafast.llms.transport.redaction import address_shown, secrets_in
from datafast.types import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel

    from datafast.llms.base import Backend
    from datafast.llms.batches.base import BatchBackend
    from datafast.types import Message

__all__ = ["LLMProvider"]

# Never more, never less: another choice of names would buy again what these identities have bought.
_NOT_IDENTIFYING = ("authorization", "cookie", "credential", "credentials", "key", "password", "secret", "token")
_SAMPLING = ("temperature", "top_p", "frequency_penalty", "reasoning_effort")


class LLMProvider:
    """A model, and how to call it. Base of all providers; a new one overrides `open`.

    Args:
        model_id: the model, as the provider names it.
        api_key: the key; by default the provider's environment variable is read when a run starts.
        **options: see `ProviderOptions`.

    Raises:
        ConfigError: a parameter does not exist or its value is out of range; `key` names it.
    """

    provider_name: ClassVar[str]
    env_key_name: ClassVar[str | None] = None
    default_model_id: ClassVar[str | None] = None
    default_base: ClassVar[str] = ""
    token_limit_param: ClassVar[str] = "max_tokens"  # noqa: S105 - tokens of text
    simulated: ClassVar[bool] = False
    own_params: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """The class's parameters besides `ProviderOptions`, each with its JSON Schema ({} allows all values)."""
    unused_options: ClassVar[tuple[str, ...]] = ()
    """Names of `ProviderOptions` that are useless for the class; they are refused."""
    wire_names: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """What options are called in requests, where that is something else: errors may name them so."""
    can_stream: ClassVar[bool] = False
    """Whether its back end takes replies as streams of events."""
    connects: ClassVar[bool] = True
    """Whether its back end makes connections that `timeout.connect_s` can bound."""
    takes_text_bounds: ClassVar[bool] = False
    """Whether its servers may accept bounds on lengths of texts, which the strict mode of OpenAI's own API refuses."""

    structured_replies: ClassVar[str | None] = None
    """The strongest way of asking for structure that the API has for all present models: `schema`, `json` or `words`; None: it differs."""

    def __init__(
        self, model_id: str | None = None, api_key: str | None = None, **options: Unpack[ProviderOptions]
    ) -> None:
        model_id = model_id if model_id is not None else self.default_model_id
        if not isinstance(model_id, str) or not model_id.strip() or not model_id.strip().isprintable():
            raise ConfigError(f"model_id: expected the name of a model, got {model_id!r}.", key="model_id")
        given = {"api_key": api_key, **options}
        checked = check_options(given, own=self.own_params, unused=self.unused_options)
        self.model_id = model_id.strip()
        self.temperature: float | None = checked["temperature"]
        self.top_p: float | None = checked["top_p"]
        self.frequency_penalty: float | None = checked["frequency_penalty"]
        self.max_completion_tokens: int | None = checked["max_completion_tokens"]
        self.reasoning_effort: str | None = checked["reasoning_effort"]
        self.rpm_limit: float | None = checked["rpm_limit"]
        self.tpm_limit: float | None = checked["tpm_limit"]
        self.stream: bool = checked["stream"] or False
        if self.stream and not self.can_stream:
            raise ConfigError(
                f"stream: {self.provider_name} takes whole replies only. Leave it out, or use a provider that streams: one of chat "
                "completions, anthropic or gemini.",
                key="stream",
            )
        if not self.connects and isinstance(checked["timeout"], dict) and "connect_s" in checked["timeout"]:
            raise ConfigError(
                f"timeout.connect_s: {self.provider_name} has no use for it. Leave it out; total_s is for all of a request.",
                key="timeout",
            )
        self.timeouts = Timeouts.of(checked["timeout"], stream=self.stream)
        self.auto_concurrency: bool = checked["max_concurrency"] == "auto"
        self.max_concurrency: int | None = None if self.auto_concurrency else checked["max_concurrency"]
        self.weight: float = checked["weight"]
        self.extra: dict[str, Any] = checked["extra"] or {}
        self.extra_headers: dict[str, str] = checked["extra_headers"] or {}
        self.max_reply_mb: float = checked["max_reply_mb"]
        self.ssl_ca = checked["ssl_ca"]
        self.name: str | None = checked["name"]
        self.price = checked["price"]
        self._api_key: str | None = checked["api_key"]
        self._found_key: str | None = None
        self.api_key_env: str | None = checked["api_key_env"]
        self._api_base = check_base(checked["api_base"]) if checked["api_base"] else None
        self.pace = Pace(self.rpm_limit, self.tpm_limit)
        self._options = {key: value for key, value in given.items() if value is not None}

    def __repr__(self) -> str:
        shown = [repr(self.model_id)]
        for key, value in self._options.items():
            hidden = key in {"api_key", "extra_headers"} or (key == "extra" and any(secrets_in(self.extra)))
            value = address_shown(str(value))[0] if key == "api_base" else value
            shown.append(f"{key}=..." if hidden else f"{key}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

    @property
    def label(self) -> str:
        """Its name in messages and reports: `openai/gpt-6-luna`."""
        return f"{self.provider_name}/{self.model_id}"

    @property
    def timeout(self) -> float:
        """Seconds for one request, infinity for no limit; `timeouts` has the parts."""
        return math.inf if self.timeouts.total_s is None else self.timeouts.total_s

    @property
    def spec(self) -> dict[str, Any] | None:
        """It as a mapping that `provider_from_spec` takes, without what is secret; its key is then read from the environment.

        None if that could send a key to an address for which it is not meant: the address has a secret in it, or is the user's own and the
        key was given by argument.
        """
        own_address = self.api_base if self.api_base != self.default_base else None
        if own_address is not None and (self._api_key or address_shown(own_address)[1]):
            return None
        own = {name: getattr(self, name, None) for name in self.own_params}
        given = {**self._options, **own, "api_base": own_address}
        given["price"] = None if self.price is None else asdict(self.price)
        found = {"provider": self.provider_name, "model_id": self.model_id, **given}
        found.pop("api_key", None)
        for name, parts in (("extra", self.extra), ("extra_headers", self.extra_headers)):
            found[name] = {key: value for key, value in parts.items() if not any(secrets_in({key: value}))} or None
        return {name: value for name, value in found.items() if value is not None}

    @property
    def identity(self) -> str:
        """Canonical JSON of the parameters that replies depend on. Equal identities mean interchangeable replies.

        Not in it: key, address, max_completion_tokens, stream, timeouts, limits, headers, and fields of `extra` whose names end like a
        secret's. It is hashed wherever it is stored.
        """
        parts: dict[str, Any] = {"provider": self.provider_name, "model_id": self.model_id}
        parts |= {key: float(value) if isinstance(value, int) else value for key, value in self.sampling.items()}
        parts |= {"extra": _without_secrets(self.extra) or None, "name": self.name}
        return orjson.dumps(
            {key: value for key, value in parts.items() if value is not None}, option=orjson.OPT_SORT_KEYS
        ).decode()

    def agrees_with(self, other: LLMProvider) -> bool:
        """Whether it names the same model with the same key at the same server as another provider, and sets nothing otherwise."""
        if self is other:
            return True
        if type(self) is not type(other) or (self.identity, self.api_base) != (other.identity, other.api_base):
            return False
        set_there = {**other._options, "api_key": None, "api_base": None, **other.sampling}
        told = {name: value for name, value in self._options.items() if name not in ("api_key", "api_base")}
        told |= self.sampling
        return self.api_key == other.api_key and all(set_there.get(name) == value for name, value in told.items())

    @property
    def sampling(self) -> dict[str, Any]:
        """The sampling and reasoning parameters that were set."""
        values = {key: getattr(self, key) for key in _SAMPLING}
        return {key: value for key, value in values.items() if value is not None}

    @property
    def droppable_params(self) -> frozenset[str]:
        """Parameters that may be left out if the model refuses them."""
        return frozenset(self.sampling) | frozenset(self.extra)

    @property
    def api_key(self) -> str | None:
        """The key: the argument, else what `settled` has found, else the environment variable's current value, else None."""
        return self._api_key or self._found_key or (os.environ.get(self.key_variable or "", "").strip() or None)

    def settled(self) -> Self:
        """It with the key and the address that this process finds for it, for another process, whose environment may have none."""
        made = copy.copy(self)
        made._found_key, made._api_base = self.api_key, self._configured_base()
        return made

    @property
    def key_variable(self) -> str | None:
        """The environment variable that the key is read from."""
        return self.api_key_env or self.env_key_name

    @property
    def api_base(self) -> str:
        """Address of the server: the argument, else the environment, else the provider's own."""
        return self._configured_base() or self.default_base

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything that must never be stored or shown, for redaction."""
        in_address = address_shown(self.api_base)[1]
        found = [self.api_key or "", *secrets_in(self.extra_headers), *secrets_in(self.extra), *in_address]
        return tuple(dict.fromkeys(secret for secret in found if secret))

    @property
    def origin(self) -> Origin:
        """The origin of errors, for their messages."""
        return Origin(
            label=self.label,
            model_id=self.model_id,
            address=address_shown(self.api_base)[0],
            key_variable=None if self._api_key else self.key_variable,
            has_key=self.api_key is not None,
            timeouts=self.timeouts,
            secrets=self.secrets,
        )

    def require_ready(self) -> None:
        """Checks what is needed for sending. Sends nothing.

        Raises:
            MissingKeyError: the provider's own server is used and there is no key; `variable` is the environment variable.
            ConfigError: the class does not say how it is called; or the file of `ssl_ca`, or the address in the environment,
                cannot be used.
        """
        if type(self).open is LLMProvider.open:
            raise ConfigError(
                f"{self.label}: {type(self).__name__} does not say how it is called: datasets and generate() use open(). Override "
                f"open(), or use LiteLLMProvider({self.label!r})."
            )
        base = self._configured_base()
        variable = self.key_variable
        if variable and not self.api_key and not (base and self.key_is_optional):
            raise MissingKeyError(
                f"{self.label} needs an API key. Set {variable} in the environment, put {variable}=... into secrets.env and "
                "load it, or pass api_key=.",
                variable=variable,
            )
        if self.api_key:
            check_key(self.api_key, place="api_key" if self._api_key else str(variable))
        if self.ssl_ca is not None:
            from datafast.llms.transport.certificates import trusting

            trusting(self.ssl_ca)

    @property
    def key_is_optional(self) -> bool:
        """Whether a server at the user's own address may need no key, like most local ones. Not so if a variable is named."""
        return self.api_key_env is None

    @property
    def known_context(self) -> int | None:
        """The size of the model's context in tokens, where the price list has it."""
        return context_window(self.provider_name, self.model_id)

    @property
    def longest_reply(self) -> int | None:
        """The most output tokens of one reply: the limit that was set, else the size of the model's context."""
        return self.max_completion_tokens or self.known_context

    @property
    def needed_limit(self) -> int | None:
        """The limit on a reply that is sent where the API wants one, the user has set none, and the model's own is not known."""
        return None

    @property
    def thinking_tokens(self) -> int:
        """The tokens that the model may think with before it answers, where `extra` sets them. A limit must be above them."""
        return 0

    def cost_usd(self, usage: Usage) -> float | None:
        """The cost of one reply in USD; None if the price is not known."""
        return cost_usd(usage, provider_name=self.provider_name, model_id=self.model_id, price=self.price)

    def most_usd(self, given: int, written: int) -> float | None:
        """The most that a request with so many tokens can cost in USD; None if the price is not known."""
        return self.cost_usd(Usage(given, written))

    def open(self, *, max_connections: int) -> Backend:
        """Opens a back end for one run, on the event loop that first awaits its `complete`.

        Args:
            max_connections: most requests that will be in flight at once.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how it is called. Override open().")

    @property
    def batch_discount(self) -> float | None:
        """The part of the price that a request in a batch saves: 0.5 for half; None where that is not known, or there are no batches."""
        given = self.price.batch_discount if self.price is not None else None
        return self.listed_batch_discount if given is None else given

    @property
    def listed_batch_discount(self) -> float | None:
        """The same, as the vendor's price list says."""
        return None

    @property
    def has_batches(self) -> bool:
        """Whether it may have a batch service. Whether a server has one shows when it is asked."""
        return type(self).open_batches is not LLMProvider.open_batches

    def open_batches(self) -> BatchBackend | None:
        """Opens its batch service for one run; None where it has none, or none that is known here."""
        return None

    @overload
    def generate(self, prompt: str, messages: None = ..., response_format: None = ...) -> str: ...
    @overload
    def generate(self, prompt: list[str], messages: None = ..., response_format: None = ...) -> list[str]: ...
    @overload
    def generate(
        self,
        prompt: str | list[str] | None = ...,
        messages: Sequence[Message] | Sequence[Sequence[Message]] | None = ...,
        response_format: type[BaseModel] | None = ...,
    ) -> Any: ...
    def generate(
        self,
        prompt: str | list[str] | None = None,
        messages: Sequence[Any] | None = None,
        response_format: type[BaseModel] | None = None,
    ) -> Any:
        """Asks the model directly, outside any dataset: no retry, no ledger. Works in scripts, threads and notebooks. `rpm_limit` and
        `tpm_limit` hold over all calls of this provider.

        Args:
            prompt: one prompt, or a list of them.
            messages: one conversation (a list of messages), or a list of conversations. Give either this or `prompt`.
            response_format: a pydantic model, of which the replies are then validated instances; by default stripped text.

        Returns:
            One result for one input; for a list (also of one), a list of results in the same order.

        Raises:
            ValueError: both or neither of prompt and messages, nothing in them, or an element of the wrong shape.
            ProviderError: the request failed.
            ReplyError: the reply is not what was asked for.
            PartialResults: of a list, some of these; its `results` are those that came, with an error in the place of each other one.
        """
        from datafast.llms.complete import generate

        return generate(self, prompt=prompt, messages=messages, response_format=response_format)

    def _configured_base(self) -> str | None:
        return self._api_base or base_from_environment(self.provider_name.upper())


def _without_secrets(extra: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in extra.items()
        if not (isinstance(value, str) and key.lower().endswith(_NOT_IDENTIFYING))
    }

"""The back ends that keep the contract: each one entry, with what it does in its own way.

A back end that streams stands here twice. A new one joins by its entry; if it speaks a format of its own, that joins `wires`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from datafast.llms import (
    AnthropicProvider,
    AzureOpenAIProvider,
    GeminiProvider,
    LiteLLMProvider,
    LLMProvider,
    OpenAICompatibleProvider,
    OpenAIProvider,
)
from tests.llms.contract.wires import ANTHROPIC, CHAT, GEMINI, Wire
from tests.support import warm_litellm

__all__ = [
    "BACKENDS",
    "DIRECT",
    "KEY",
    "ONE_OF_EACH",
    "ONE_OF_EACH_STREAMED",
    "STREAMED",
    "BackEnd",
    "every_backend",
    "every_backend_in_runs",
    "every_direct_backend",
    "every_kind_of_backend",
    "every_stream",
]

KEY = "sk-canary-0123456789-abcdefghij"


@dataclass(frozen=True, kw_only=True)
class BackEnd:
    """One way to a model. Called with the address of a server, it makes a provider.

    Attributes:
        maker: the provider's class.
        targets: what requests are posted to, without the way in which replies come.
        has_system: whether system prompts reach the model as such.
        structures: how requests ask for structure, beside words, in the modes schema, JSON and words.
        lacks: options that the API does not have.
        limit: the limit on replies where none is set.
        stream: whether replies come as streams.
    """

    name: str
    maker: Callable[..., LLMProvider]
    model: str
    wire: Wire
    targets: str
    structures: tuple[str | None, str | None, str | None]
    has_system: bool = True
    lacks: frozenset[str] = frozenset()
    limit: int | None = None
    stream: bool = False

    def __str__(self) -> str:
        return self.name

    def __call__(self, base: str, **options: Any) -> LLMProvider:
        if self.is_litellm:
            warm_litellm()
        given = {"api_base": base, "api_key": KEY, **({"stream": True} if self.stream else {}), **options}
        return self.maker(self.model, **given)

    @property
    def is_litellm(self) -> bool:
        return self.maker is LiteLLMProvider

    @property
    def target(self) -> str:
        """The path that requests are posted to."""
        return (
            self.targets.replace(":generateContent", ":streamGenerateContent?alt=sse") if self.stream else self.targets
        )


_WHOLE = [
    BackEnd(
        name="chat_completions",
        maker=OpenAICompatibleProvider,
        model="tiny",
        wire=CHAT,
        targets="/v1/chat/completions",
        structures=("schema", "json", None),
    ),
    BackEnd(
        name="openai",
        maker=OpenAIProvider,
        model="gpt-6-luna",
        wire=CHAT,
        targets="/v1/chat/completions",
        structures=("schema", "json", None),
    ),
    BackEnd(
        name="azure",
        maker=AzureOpenAIProvider,
        model="tiny",
        wire=CHAT,
        targets="/openai/v1/chat/completions",
        structures=("schema", "json", None),
    ),
    BackEnd(
        name="anthropic",
        maker=AnthropicProvider,
        model="claude-haiku-4-5",
        wire=ANTHROPIC,
        targets="/v1/messages",
        structures=("schema", "tool", None),
        lacks=frozenset({"frequency_penalty"}),
        limit=64_000,
    ),
    BackEnd(
        name="anthropic_tools",
        maker=AnthropicProvider,
        model="claude-3-5-haiku-latest",
        wire=ANTHROPIC,
        targets="/v1/messages",
        structures=("tool", "tool", None),
        lacks=frozenset({"frequency_penalty"}),
        limit=8192,
    ),
    BackEnd(
        name="gemini",
        maker=GeminiProvider,
        model="gemini-3.5-flash-lite",
        wire=GEMINI,
        targets="/v1beta/models/gemini-3.5-flash-lite:generateContent",
        structures=("schema", "json", None),
    ),
]
_OF_OTHER_MODELS = {"openai", "anthropic_tools"}
# Of two entries for one class of back end, one is tried streamed too.
_STREAMED_TOO = [backend for backend in _WHOLE if backend.name not in _OF_OTHER_MODELS]
DIRECT = [*_WHOLE, *(replace(backend, name=f"{backend.name}_streamed", stream=True) for backend in _STREAMED_TOO)]
STREAMED = [backend for backend in DIRECT if backend.stream]
LITELLM = [
    BackEnd(
        name="litellm_openai",
        maker=LiteLLMProvider,
        model="openai/tiny",
        wire=CHAT,
        targets="/v1/chat/completions",
        structures=("schema", "json", None),
    ),
    BackEnd(
        name="litellm_anthropic",
        maker=LiteLLMProvider,
        model="anthropic/tiny",
        wire=ANTHROPIC,
        targets="/v1/messages",
        structures=("tool", None, None),
        lacks=frozenset({"frequency_penalty"}),
        limit=128_000,
    ),
    BackEnd(
        name="litellm_gemini",
        maker=LiteLLMProvider,
        model="gemini/gemini-2.0-flash",
        wire=GEMINI,
        targets="/v1beta/models/gemini-2.0-flash:generateContent",
        structures=("schema", "json", None),
        has_system=False,  # it hands them to models that it does not know as the user's text
    ),
]
BACKENDS = [*DIRECT, *LITELLM]
_NAMED = {backend.name: backend for backend in BACKENDS}
# For what costs a whole run each: one for each wire format, whole and streamed, and one through litellm.
ONE_OF_EACH = [_NAMED[name] for name in ("chat_completions", "anthropic", "gemini", "litellm_openai")]
ONE_OF_EACH_STREAMED = [_NAMED[f"{name}_streamed"] for name in ("chat_completions", "anthropic", "gemini")]


def _each(backends: list[BackEnd]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("make", [pytest.param(backend, id=backend.name) for backend in backends])


every_backend, every_direct_backend, every_stream = map(_each, (BACKENDS, DIRECT, STREAMED))
# For what is the same for all models of a back end, and streamed or not.
every_kind_of_backend = _each(
    [backend for backend in BACKENDS if not backend.stream and backend.name not in _OF_OTHER_MODELS]
)
every_backend_in_runs = _each([*ONE_OF_EACH, *ONE_OF_EACH_STREAMED, *LITELLM[1:]])

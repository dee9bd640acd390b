"""Both wire formats against a real inference server: llama.cpp with a tiny model, constrained decoding included."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel

from datafast.errors import ErrorKind, ProviderError, ReplyCategory, ReplyError
from datafast.llms import AnthropicProvider, LiteLLMProvider, LLMProvider, OpenAICompatibleProvider
from tests.servers.llama import LlamaServer

pytestmark = pytest.mark.slow


class Judged(BaseModel):
    texts: list[str]
    label: Literal["good", "bad"]
    fits: bool


def over_openai(server: LlamaServer, **options: object) -> LLMProvider:
    options = {"api_key": server.key, "max_concurrency": 4, "max_completion_tokens": 1500} | options
    return OpenAICompatibleProvider(server.model_id, api_base=server.url, **options)  # type: ignore[arg-type]


def over_openai_by_litellm(server: LlamaServer, **options: object) -> LLMProvider:
    options = {"api_key": server.key, "max_concurrency": 4, "max_completion_tokens": 1500} | options
    return LiteLLMProvider(f"openai/{server.model_id}", api_base=server.url, **options)  # type: ignore[arg-type]


def over_anthropic(server: LlamaServer, **options: object) -> LLMProvider:
    options = {"api_key": server.key, "max_concurrency": 4, "max_completion_tokens": 1500} | options
    return AnthropicProvider(server.model_id, api_base=server.url, **options)  # type: ignore[arg-type]


every_wire = pytest.mark.parametrize("over", [over_openai, over_openai_by_litellm, over_anthropic])


@pytest.mark.parametrize("over", [over_openai, over_openai_by_litellm])
def test_replies_of_a_real_server_keep_the_schema(llama_server: LlamaServer, over: object) -> None:
    replies = over(llama_server).generate([f"Write text {n}" for n in range(20)], response_format=Judged)  # type: ignore[operator]
    assert len(replies) == 20
    assert all(isinstance(reply, Judged) for reply in replies)


def test_forced_tool_calls_of_a_real_server_keep_the_schema(llama_server: LlamaServer) -> None:
    """llama.cpp passes over `disable_parallel_tool_use`. Several different calls are refused; each of them keeps the schema."""
    kept, refused = 0, []
    for number in range(20):
        try:
            kept += isinstance(
                over_anthropic(llama_server).generate(f"Write text {number}", response_format=Judged), Judged
            )
        except ReplyError as error:
            refused.append(str(error))
    assert kept
    assert kept + len(refused) == 20
    assert all("several different JSON objects" in message for message in refused)


@every_wire
def test_a_real_server_refuses_a_wrong_key(llama_server: LlamaServer, over: object) -> None:
    with pytest.raises(ProviderError) as caught:
        over(llama_server, api_key="sk-wrong-key-0123456789").generate("Hello")  # type: ignore[operator]
    assert (caught.value.kind, caught.value.status) == (ErrorKind.AUTHENTICATION, 401)


@every_wire
def test_a_prompt_over_the_context_is_told_from_other_refusals(llama_server: LlamaServer, over: object) -> None:
    with pytest.raises(ProviderError) as caught:
        over(llama_server).generate("river " * 2 * llama_server.context_tokens)  # type: ignore[operator]
    assert caught.value.kind is ErrorKind.CONTEXT_LENGTH


@every_wire
def test_a_reply_cut_at_the_token_limit_is_told_from_bad_json(llama_server: LlamaServer, over: object) -> None:
    with pytest.raises(ReplyError) as caught:
        over(llama_server, max_completion_tokens=12).generate("Hello", response_format=Judged)  # type: ignore[operator]
    assert caught.value.category is ReplyCategory.TRUNCATED

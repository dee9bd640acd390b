"""A provider that was called through litellm and is now called directly: its replies, rows and keys stay."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from datafast.llms import AnthropicProvider, GeminiProvider, LiteLLMProvider, LLMProvider
from tests.servers.fault_server import Answer, FaultServer
from tests.support import assert_balanced, raw, rows_of


class ThroughLiteLLM(LiteLLMProvider):
    """A provider as it was called before."""

    @property
    def litellm_model(self) -> str:
        return f"{self.provider_name}/{self.model_id}"


class FormerAnthropic(ThroughLiteLLM):
    provider_name = "anthropic"


class FormerGemini(ThroughLiteLLM):
    provider_name = "gemini"


PAIRS = [
    pytest.param(FormerAnthropic, AnthropicProvider, "claude-haiku-4-5", "anthropic_messages", id="anthropic"),
    pytest.param(FormerGemini, GeminiProvider, "gemini-2.5-flash", "gemini_generate_content", id="gemini"),
]
OPTIONS: dict[str, Any] = {"api_key": "sk-canary-0123456789", "temperature": 0.5, "max_completion_tokens": 2000}


def formats(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "out.jsonl.ledger")) as ledger:
        found = ledger.execute("SELECT DISTINCT coalesce(format, 'chat_completions') FROM calls ORDER BY 1").fetchall()
    return [name for (name,) in found]


@pytest.mark.parametrize(("former", "native", "model", "wire_format"), PAIRS)
def test_moving_a_provider_to_its_own_back_end_buys_nothing(
    tmp_path: Path,
    fault_server: FaultServer,
    former: type[LLMProvider],
    native: type[LLMProvider],
    model: str,
    wire_format: str,
) -> None:
    old = former(model, api_base=fault_server.url, **OPTIONS)
    new = native(model, api_base=fault_server.url, **OPTIONS)
    assert (new.identity, new.label) == (old.identity, old.label)
    raw(tmp_path, topics=3).generate([old])
    bought, rows = len(fault_server.requests), rows_of(tmp_path / "out.jsonl")
    assert formats(tmp_path) == ["chat_completions"]

    again = raw(tmp_path, topics=3)
    again.generate([new])
    assert len(fault_server.requests) == bought
    # Also where the rows have to be made anew of the recorded replies.
    (tmp_path / "out.jsonl").unlink()
    again = raw(tmp_path, topics=3)
    again.generate([new])
    assert len(fault_server.requests) == bought
    assert sorted(map(str, rows_of(tmp_path / "out.jsonl"))) == sorted(map(str, rows))

    more = raw(tmp_path, topics=5)
    more.generate([new])
    assert assert_balanced(more.report).calls == 2
    assert formats(tmp_path) == sorted(["chat_completions", wire_format])


@pytest.mark.parametrize(("former", "native", "model", "wire_format"), PAIRS)
def test_rows_are_made_anew_of_the_apis_own_replies(
    tmp_path: Path,
    fault_server: FaultServer,
    former: type[LLMProvider],
    native: type[LLMProvider],
    model: str,
    wire_format: str,
) -> None:
    """Also by a back end that speaks another format."""
    provider = native(model, api_base=fault_server.url, **OPTIONS)
    raw(tmp_path, topics=3).generate([provider])
    rows = rows_of(tmp_path / "out.jsonl")
    (tmp_path / "out.jsonl").unlink()
    fault_server.respond = lambda request: Answer(status=500)
    raw(tmp_path, topics=3).generate([former(model, api_base=fault_server.url, **OPTIONS)])
    assert sorted(map(str, rows_of(tmp_path / "out.jsonl"))) == sorted(map(str, rows))
    assert formats(tmp_path) == [wire_format]

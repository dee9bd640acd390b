"""What fails inside litellm, and how it is told from what a server answers."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from datafast.errors import Action, ErrorKind
from datafast.llms import LiteLLMProvider
from datafast.llms.providers.litellm_glue import import_litellm
from tests.llms.asking import asked, refused, send
from tests.servers.fault_server import Answer, FaultServer

KEY = "sk-canary-0123456789-abcdefghij"


@pytest.mark.parametrize("model", ["openai/tiny", "anthropic/tiny"])
def test_a_success_that_litellm_cannot_read_is_retried_and_kept(fault_server: FaultServer, model: str) -> None:
    fault_server.answer_next(Answer(body="<html>a proxy's page</html>", headers={"Content-Type": "text/html"}))
    error = refused(LiteLLMProvider(model, KEY, api_base=fault_server.url))
    assert error.kind.action is Action.RETRY
    assert "a proxy's page" in error.body


@pytest.mark.parametrize(
    ("model", "extra", "answer", "kind"),
    [
        ("anthropic/claude-3-haiku-20240307", {"presence_penalty": 1}, None, ErrorKind.BAD_REQUEST),
        ("no-such-service/m", {}, None, ErrorKind.BAD_REQUEST),
        ("openai/gpt-5", {"temperature": 0.5}, None, ErrorKind.BAD_REQUEST),
        ("openai/m", {"response_format": 5}, None, ErrorKind.BAD_REQUEST),
        ("anthropic/claude-3-haiku-20240307", {}, Answer(body={"nothing": 1}), ErrorKind.NO_COMPLETION),
        ("anthropic/claude-3-haiku-20240307", {}, Answer(body="[]"), ErrorKind.NO_COMPLETION),
    ],
)
def test_what_fails_inside_litellm_is_no_answer_of_the_server(
    fault_server: FaultServer, model: str, extra: dict[str, Any], answer: Answer | None, kind: ErrorKind
) -> None:
    if answer is not None:
        fault_server.answer_next(answer)
    error = refused(LiteLLMProvider(model, KEY, api_base=fault_server.url, extra=extra))
    assert (error.kind, error.status) == (kind, None)
    assert ("litellm itself failed" in str(error)) is (answer is None)
    assert "HTTP" not in str(error)
    assert "Traceback" not in str(error) + error.body
    assert error.maybe_paid is (answer is not None)
    assert len(fault_server.requests) == (answer is not None)


@pytest.mark.parametrize("model", ["openai/gpt-5-mini", "anthropic/claude-haiku-4-5"])
def test_litellm_without_credentials_is_an_authentication_fault_of_no_server(model: str) -> None:
    error = refused(LiteLLMProvider(model))
    assert (error.kind, error.status) == (ErrorKind.AUTHENTICATION, None)
    assert "litellm itself failed, and sent nothing. Set the credentials" in str(error)


def test_a_local_server_needs_no_key(fault_server: FaultServer) -> None:
    send(LiteLLMProvider("openai/tiny", api_base=fault_server.url), asked())
    assert len(fault_server.requests) == 1


def test_what_litellm_tells_of_a_call_is_freed_with_the_call(
    fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Details(dict[str, Any]):
        """What litellm hands to its logger; it holds the logger too."""

    litellm, _ = import_litellm()
    told: list[weakref.ref[Details]] = []
    acompletion = litellm.acompletion

    async def telling(**arguments: Any) -> Any:
        details = Details(logger_fn=arguments["logger_fn"])
        arguments["logger_fn"](details)
        told.append(weakref.ref(details))
        return await acompletion(**arguments)

    monkeypatch.setattr(litellm, "acompletion", telling)
    gc.disable()
    try:
        send(LiteLLMProvider("openai/tiny", api_base=fault_server.url), asked())
        assert [details() for details in told] == [None]
    finally:
        gc.enable()

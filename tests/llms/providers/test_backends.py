"""What every back end promises, as one suite that each of them passes against a real server on loopback."""

from __future__ import annotations

import asyncio
import errno
import gc
import json
import socket
import ssl
import subprocess
import sys
import weakref
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from datafast._util import background
from datafast.errors import Action, DatafastWarning, ErrorKind, ProviderError
from datafast.llms import (
    AnthropicProvider,
    AzureOpenAIProvider,
    GeminiProvider,
    LiteLLMProvider,
    LLMProvider,
    OpenAICompatibleProvider,
)
from datafast.llms.base import Completion, ReplyMode, Request, Response
from datafast.llms.providers.litellm_glue import import_litellm
from datafast.llms.replies.formats import decode_reply
from datafast.llms.replies.parse import parse_reply
from datafast.llms.schema import ResponseSchema
from datafast.llms.transport.errors import from_transport
from datafast.types import Message
from tests.servers.fault_server import Answer, FaultServer, Recorded

KEY = "sk-canary-0123456789-abcdefghij"
MakeProvider = Callable[..., LLMProvider]


class Entries(BaseModel):
    entries: list[str]


def direct(base: str, **options: Any) -> LLMProvider:
    return OpenAICompatibleProvider("tiny", **{"api_base": base, "api_key": KEY} | options)


def litellm_openai(base: str, **options: Any) -> LLMProvider:
    return LiteLLMProvider("openai/tiny", **{"api_base": base, "api_key": KEY} | options)


def direct_streamed(base: str, **options: Any) -> LLMProvider:
    return direct(base, **{"stream": True} | options)


def anthropic(base: str, **options: Any) -> LLMProvider:
    return AnthropicProvider("tiny", **{"api_base": base, "api_key": KEY} | options)


def azure(base: str, **options: Any) -> LLMProvider:
    return AzureOpenAIProvider("tiny", **{"api_base": base, "api_key": KEY} | options)


def gemini(base: str, **options: Any) -> LLMProvider:
    return GeminiProvider("gemini-2.0-flash", **{"api_base": base, "api_key": KEY} | options)


def azure_streamed(base: str, **options: Any) -> LLMProvider:
    return azure(base, **{"stream": True} | options)


def anthropic_streamed(base: str, **options: Any) -> LLMProvider:
    return anthropic(base, **{"stream": True} | options)


def gemini_streamed(base: str, **options: Any) -> LLMProvider:
    return gemini(base, **{"stream": True} | options)


def litellm_anthropic(base: str, **options: Any) -> LLMProvider:
    return LiteLLMProvider("anthropic/tiny", **{"api_base": base, "api_key": KEY} | options)


def litellm_gemini(base: str, **options: Any) -> LLMProvider:
    return LiteLLMProvider("gemini/gemini-2.0-flash", **{"api_base": base, "api_key": KEY} | options)


STREAMED_BACKENDS = [direct_streamed, azure_streamed, anthropic_streamed, gemini_streamed]
BACKENDS = [direct, azure, anthropic, gemini, litellm_openai, litellm_anthropic, litellm_gemini, *STREAMED_BACKENDS]
OPENAI_BACKENDS = [direct, direct_streamed, azure, azure_streamed, litellm_openai]
every_backend = pytest.mark.parametrize("make", BACKENDS)
every_openai_backend = pytest.mark.parametrize("make", OPENAI_BACKENDS)


def send(provider: LLMProvider, *requests: Request) -> list[Response]:
    """Sends the requests at once over one back end."""

    async def all_of_them() -> list[Response]:
        backend = provider.open(max_connections=max(1, len(requests)))
        try:
            return await asyncio.gather(*map(backend.complete, requests))
        finally:
            await backend.aclose()

    return background.run(all_of_them())


def asked(text: str = "Hello", **fields: Any) -> Request:
    return Request(messages=[Message(role="user", content=text)], **fields)


def refused(provider: LLMProvider, request: Request | None = None) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        send(provider, request or asked())
    return caught.value


def completed(provider: LLMProvider, request: Request | None = None) -> Completion:
    response = send(provider, request or asked())[0]
    return decode_reply(response.raw, response.format)


def setting(sent: Recorded, *names: str) -> Any:
    """A parameter as it was sent, wherever the protocol puts it."""
    settings = sent.json | sent.json.get("generationConfig", {})
    return next((settings[name] for name in names if name in settings), None)


def error_body(**fields: Any) -> dict[str, Any]:
    return {"type": "error", "error": {"message": "the server's own words", **fields}}


FAULTS = [
    (400, {"code": "unsupported_parameter", "param": "temperature"}, ErrorKind.BAD_REQUEST),
    (400, {"code": "context_length_exceeded"}, ErrorKind.CONTEXT_LENGTH),
    (400, {"type": "exceed_context_size_error"}, ErrorKind.CONTEXT_LENGTH),
    (400, {"code": "content_filter"}, ErrorKind.CONTENT_FILTER),
    (400, {"code": "content_policy_violation"}, ErrorKind.CONTENT_FILTER),
    (400, {"details": [{"reason": "API_KEY_INVALID"}]}, ErrorKind.AUTHENTICATION),
    (401, {"type": "authentication_error"}, ErrorKind.AUTHENTICATION),
    (402, {}, ErrorKind.QUOTA),
    (403, {}, ErrorKind.PERMISSION),
    (404, {"type": "not_found_error"}, ErrorKind.MODEL_NOT_FOUND),
    (408, {}, ErrorKind.TIMEOUT),
    (409, {}, ErrorKind.SERVER),
    (400, {"code": "json_validate_failed"}, ErrorKind.UNUSABLE_REPLY),
    (400, {"code": "tool_use_failed"}, ErrorKind.UNUSABLE_REPLY),
    (413, {"type": "request_too_large"}, ErrorKind.BAD_REQUEST),
    (420, {}, ErrorKind.RATE_LIMITED),
    (421, {}, ErrorKind.SERVER),
    (422, {}, ErrorKind.BAD_REQUEST),
    (423, {}, ErrorKind.SERVER),
    (424, {}, ErrorKind.SERVER),
    (425, {}, ErrorKind.SERVER),
    (429, {"type": "rate_limit_error"}, ErrorKind.RATE_LIMITED),
    (429, {"code": "insufficient_quota"}, ErrorKind.QUOTA),
    (429, {"type": "insufficient_quota"}, ErrorKind.QUOTA),
    (498, {}, ErrorKind.SERVER),
    (499, {}, ErrorKind.SERVER),
    (500, {}, ErrorKind.SERVER),
    (502, {"code": "insufficient_quota"}, ErrorKind.SERVER),
    (503, {}, ErrorKind.SERVER),
    (504, {}, ErrorKind.TIMEOUT),
    (529, {"type": "overloaded_error"}, ErrorKind.SERVER),
]


@every_backend
@pytest.mark.parametrize(("status", "fields", "kind"), FAULTS)
def test_a_status_and_the_fields_of_its_body_decide_the_kind(
    fault_server: FaultServer, make: MakeProvider, status: int, fields: dict[str, Any], kind: ErrorKind
) -> None:
    fault_server.answer_next(Answer(status=status, body=error_body(**fields)))
    error = refused(make(fault_server.url))
    assert (error.kind, error.status) == (kind, status)
    assert len(fault_server.requests) == 1


@every_backend
def test_the_code_and_parameter_of_an_error_body_are_kept(fault_server: FaultServer, make: MakeProvider) -> None:
    fault_server.answer_next(Answer(status=400, body=error_body(code="unsupported_value", param="temperature")))
    error = refused(make(fault_server.url))
    assert (error.code, error.param) == ("unsupported_value", "temperature")
    assert "the server's own words" in error.body
    assert "the server's own words" in str(error)


@every_backend
@pytest.mark.parametrize(
    ("headers", "expected_s"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after-ms": "1500", "Retry-After": "2"}, 1.5),
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-reset-tokens": "1s"}, 360.0),
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-tokens": "12ms"}, 0.012),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_the_wait_that_a_server_asks_for_is_read(
    fault_server: FaultServer, make: MakeProvider, headers: dict[str, str], expected_s: float | None
) -> None:
    fault_server.answer_next(Answer(status=429, headers=headers, body=error_body()))
    assert refused(make(fault_server.url)).retry_after_s == pytest.approx(expected_s)


@every_backend
def test_a_wait_given_as_a_date_is_read(fault_server: FaultServer, make: MakeProvider) -> None:
    in_an_hour = formatdate(__import__("time").time() + 3600, usegmt=True)
    fault_server.answer_next(Answer(status=503, headers={"Retry-After": in_an_hour}, body=error_body()))
    assert refused(make(fault_server.url)).retry_after_s == pytest.approx(3600, abs=60)


@every_backend
@pytest.mark.parametrize("answer", [Answer(drop=True), Answer(cut_after=20)], ids=["dropped", "cut"])
def test_a_broken_connection_is_told_from_a_server_error(
    fault_server: FaultServer, make: MakeProvider, answer: Answer
) -> None:
    fault_server.answer_next(answer)
    error = refused(make(fault_server.url))
    assert (error.kind, error.status) == (ErrorKind.CONNECTION, None)
    assert len(fault_server.requests) == 1


@every_backend
def test_a_refused_connection_says_where_nothing_listens(make: MakeProvider) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        error = refused(make(address))
    assert error.kind is ErrorKind.CONNECTION
    assert address in str(error)


@every_backend
def test_an_unknown_host_is_a_connection_fault(make: MakeProvider) -> None:
    assert refused(make("http://no-such-host.invalid")).kind is ErrorKind.CONNECTION


@every_backend
def test_a_late_answer_is_a_timeout_that_names_the_setting(fault_server: FaultServer, make: MakeProvider) -> None:
    fault_server.answer_next(Answer(delay_s=3.0))
    error = refused(make(fault_server.url, timeout=0.3))
    assert error.kind is ErrorKind.TIMEOUT
    assert "timeout=0.3" in str(error)
    assert len(fault_server.requests) == 1


def test_a_direct_completion_is_returned_byte_for_byte_whatever_is_in_it(fault_server: FaultServer) -> None:
    odd = b'\xef\xbb\xbf {"choices": [ {"message": {"content": "\\ud800"}, "logprobs": NaN} ], "error": null} '
    fault_server.answer_next(Answer(body=odd))
    assert send(direct(fault_server.url), asked())[0].raw == odd


@pytest.mark.parametrize("make", [litellm_openai, litellm_anthropic])
def test_a_success_that_litellm_cannot_read_is_retried_and_kept(fault_server: FaultServer, make: MakeProvider) -> None:
    fault_server.answer_next(Answer(body="<html>a proxy's page</html>", headers={"Content-Type": "text/html"}))
    error = refused(make(fault_server.url))
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
        send(litellm_openai(fault_server.url), asked())
        assert [details() for details in told] == [None]
    finally:
        gc.enable()


def test_a_redirect_is_not_followed(fault_server: FaultServer) -> None:
    fault_server.answer_next(Answer(status=307, headers={"Location": "http://127.0.0.1:9/elsewhere"}, body=""))
    error = refused(direct(fault_server.url))
    assert error.kind.action is Action.STOP_PROVIDER
    assert len(fault_server.requests) == 1


NASTY = (
    'a {topic} {{x}} <<y>> {"json": [1, "\\n"]} \\frac{1}{2} $x_i$ %s \x00 \u2028 emoji 🙂 العربية "quoted"\r\n\ttab'
)


@every_backend
def test_prompts_arrive_to_the_character(fault_server: FaultServer, make: MakeProvider) -> None:
    send(make(fault_server.url), asked(NASTY))
    assert fault_server.requests[0].prompt == NASTY


def system_of(sent: Recorded) -> Any:
    """The system prompt as it was sent, where the protocol has it."""
    body = sent.json
    if "messages" not in body:
        return "".join(
            part["text"] for part in body.get("systemInstruction", body.get("system_instruction", {})).get("parts", [])
        )
    told = body.get("system", next((m["content"] for m in body["messages"] if m["role"] == "system"), ""))
    return told if isinstance(told, str) else "".join(part["text"] for part in told)


# litellm hands it to models of Gemini that it does not know as the user's text.
@pytest.mark.parametrize("make", [direct, anthropic, gemini, litellm_openai, litellm_anthropic])
def test_a_system_prompt_arrives_as_one(fault_server: FaultServer, make: MakeProvider) -> None:
    system, user = Message(role="system", content=NASTY), Message(role="user", content="Hello")
    send(make(fault_server.url), Request(messages=[system, user]))
    (sent,) = fault_server.requests
    assert (system_of(sent), sent.prompt) == (NASTY, "Hello")


@every_backend
def test_the_callers_messages_are_not_changed(fault_server: FaultServer, make: MakeProvider) -> None:
    messages = [Message(role="system", content="Be brief."), Message(role="user", content="Hello")]
    before = json.dumps(messages)
    for mode in ReplyMode:
        send(make(fault_server.url), Request(messages=messages, schema=ResponseSchema.of(Entries), mode=mode))
    assert json.dumps(messages) == before


@every_backend
def test_a_reply_carries_text_usage_and_finish_reason(fault_server: FaultServer, make: MakeProvider) -> None:
    fault_server.answer_next(Answer(text=NASTY, finish_reason="length"))
    completion = completed(make(fault_server.url))
    assert (completion.text, completion.finish_reason) == (NASTY, "length")
    assert completion.usage is not None
    assert (completion.usage.input_tokens, completion.usage.output_tokens) == (11, 7)


@every_backend
def test_a_schema_reaches_the_server_and_its_reply_validates(fault_server: FaultServer, make: MakeProvider) -> None:
    schema = ResponseSchema.of(Entries)
    completion = completed(make(fault_server.url), asked(schema=schema))
    assert len(parse_reply(completion, schema).entries) == 3  # type: ignore[attr-defined]


@every_openai_backend
def test_the_schema_is_sent_as_it_was_written(fault_server: FaultServer, make: MakeProvider) -> None:
    schema = ResponseSchema.of(Entries)
    send(make(fault_server.url), asked(schema=schema))
    assert fault_server.requests[0].json["response_format"] == json.loads(schema.wire)


@every_openai_backend
@pytest.mark.parametrize(("mode", "form"), [(ReplyMode.JSON_OBJECT, {"type": "json_object"}), (ReplyMode.PROMPT, None)])
def test_lower_steps_describe_the_schema_in_words(
    fault_server: FaultServer, make: MakeProvider, mode: ReplyMode, form: dict[str, str] | None
) -> None:
    send(make(fault_server.url), asked("Hello", schema=ResponseSchema.of(Entries), mode=mode))
    sent = fault_server.requests[0]
    assert sent.json.get("response_format") == form
    assert '"entries"' in sent.json["messages"][0]["content"]
    assert sent.prompt == "Hello"


@every_openai_backend
def test_only_what_was_set_is_sent(fault_server: FaultServer, make: MakeProvider) -> None:
    send(make(fault_server.url), asked())
    assert fault_server.requests[0].json.keys() - {"stream", "stream_options"} == {"model", "messages"}


@every_openai_backend
def test_parameters_and_extra_fields_are_sent(fault_server: FaultServer, make: MakeProvider) -> None:
    settings = {"temperature": 0.5, "top_p": 0.9, "frequency_penalty": 0.1}
    extra = {"logit_bias": {"5": 1}}
    send(make(fault_server.url, max_completion_tokens=9, extra=extra, **settings), asked())
    sent = fault_server.requests[0].json
    assert {name: sent[name] for name in settings} == settings
    assert sent["logit_bias"] == {"5": 1}
    assert sent.get("max_tokens", sent.get("max_completion_tokens")) == 9


@every_backend
def test_dropped_parameters_are_left_out(fault_server: FaultServer, make: MakeProvider) -> None:
    provider = make(fault_server.url, temperature=0.5, top_p=0.9)
    send(provider, asked(dropped_params=frozenset({"temperature"})))
    sent = fault_server.requests[0]
    assert setting(sent, "temperature") is None
    assert setting(sent, "top_p", "topP") == 0.9


@every_backend
def test_a_lifted_token_limit_is_above_the_usual_one(fault_server: FaultServer, make: MakeProvider) -> None:
    send(make(fault_server.url), asked(token_limit=16_384))
    (sent,) = fault_server.requests
    assert setting(sent, "max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens") >= 8192


@pytest.mark.parametrize("make", [anthropic, litellm_anthropic])
def test_parameters_that_an_api_lacks_are_named_once(fault_server: FaultServer, make: MakeProvider) -> None:
    provider = make(fault_server.url, frequency_penalty=0.5)
    with pytest.warns(DatafastWarning, match="frequency_penalty") as caught:
        send(provider, asked("one"), asked("two"))
    assert len(caught) == 1
    assert all("frequency_penalty" not in request.json for request in fault_server.requests)


@every_backend
def test_two_providers_at_once_keep_their_keys_and_addresses(make: MakeProvider) -> None:
    async def both(first: LLMProvider, second: LLMProvider) -> None:
        backends = [provider.open(max_connections=4) for provider in (first, second)]
        await asyncio.gather(*(backend.complete(asked(str(number))) for number in range(4) for backend in backends))
        for backend in backends:
            await backend.aclose()

    keys = ["key-of-the-first-server", "key-of-the-second-server"]
    with FaultServer() as one, FaultServer() as two:
        background.run(both(make(one.url, api_key=keys[0]), make(two.url, api_key=keys[1])))
        for server, own, other in ((one, *keys), (two, *reversed(keys))):
            assert len(server.requests) == 4
            assert all(own in str(request.headers) and other not in str(request.headers) for request in server.requests)


def test_without_a_key_no_authorization_is_sent(
    fault_server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password something\n")
    monkeypatch.setenv("NETRC", str(netrc))
    send(direct(fault_server.url, api_key=None), asked())
    assert "authorization" not in fault_server.requests[0].headers


def test_a_local_server_needs_no_key(fault_server: FaultServer) -> None:
    for make in (litellm_openai, anthropic):
        send(make(fault_server.url, api_key=None), asked())
    assert len(fault_server.requests) == 2


@pytest.mark.parametrize("model", ["openai/gpt-5-mini", "anthropic/claude-haiku-4-5"])
def test_litellm_without_credentials_is_an_authentication_fault_of_no_server(model: str) -> None:
    error = refused(LiteLLMProvider(model))
    assert (error.kind, error.status) == (ErrorKind.AUTHENTICATION, None)
    assert "litellm itself failed, and sent nothing. Set the credentials" in str(error)


@every_backend
@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_the_version_in_the_address_is_neither_needed_nor_doubled(
    fault_server: FaultServer, make: MakeProvider, suffix: str
) -> None:
    send(make(fault_server.url + suffix), asked())
    path, _, last = fault_server.requests[0].target.rpartition("/")
    assert path in {"/v1/chat", "/openai/v1/chat", "/v1", "/v1/models", "/v1beta/models"}
    assert last in {
        *("completions", "messages"),
        *("gemini-2.0-flash:generateContent", "gemini-2.0-flash:streamGenerateContent?alt=sse"),
    }


@every_backend
def test_extra_headers_are_sent(fault_server: FaultServer, make: MakeProvider) -> None:
    send(make(fault_server.url, extra_headers={"X-Team": "research"}), asked())
    assert fault_server.requests[0].headers["x-team"] == "research"


@every_backend
@pytest.mark.parametrize("echo", [KEY, KEY[:14], KEY[-12:], f"{KEY[:5]}*****{KEY[-4:]}", f"{KEY[:7]}...{KEY[-4:]}"])
def test_a_key_echoed_by_the_server_is_redacted(fault_server: FaultServer, make: MakeProvider, echo: str) -> None:
    fault_server.answer_next(Answer(status=401, body=error_body(message=f"Incorrect key provided: {echo}.")))
    error = refused(make(fault_server.url))
    assert echo not in error.body + str(error) + repr(error)
    assert "Incorrect key provided" in error.body


@every_backend
def test_as_many_requests_as_allowed_are_in_flight(fault_server: FaultServer, make: MakeProvider) -> None:
    fault_server.respond = lambda request: Answer(delay_s=0.5)
    send(make(fault_server.url), *(asked(str(number)) for number in range(20)))
    assert fault_server.max_in_flight == 20


@pytest.mark.parametrize("make", [direct, anthropic, litellm_anthropic])
def test_a_certificate_of_ones_own_is_trusted_only_with_ssl_ca(
    certificate: tuple[Path, Path], make: MakeProvider
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    with FaultServer(ssl_context=context) as server:
        error = refused(make(server.url))
        assert (error.kind, error.status) == (ErrorKind.PERMISSION, None)
        assert "ssl_ca" in str(error)
        send(make(server.url, ssl_ca=certificate[0]), asked())
        assert len(server.requests) == 1


def test_too_few_file_descriptors_stop_the_run_and_say_how_to_get_more() -> None:
    error = from_transport(direct("http://127.0.0.1:9").origin, OSError(errno.EMFILE, "Too many open files"))
    assert error.kind.action is Action.STOP_RUN
    assert "ulimit -n" in str(error)


QUIET = """
import sys
from datafast.llms import AnthropicProvider, LiteLLMProvider, OpenAICompatibleProvider
from datafast.errors import ProviderError
for make, model in ((OpenAICompatibleProvider, "tiny"), (AnthropicProvider, "tiny"), (LiteLLMProvider, "anthropic/tiny")):
    provider = make(model, api_base=sys.argv[1], api_key="sk-canary-0123456789")
    provider.generate(["one", "two"])
    provider.generate("three")
    try:
        provider.generate("fail")
    except ProviderError as error:
        assert error.kind == "server_error", error
    else:
        raise AssertionError("the server fails on this prompt")
"""


FEW_FILES = """
import asyncio, resource, sys
from datafast._util import background
from datafast.errors import ProviderError
from datafast.llms import OpenAICompatibleProvider
from datafast.llms.base import Request
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
async def calls():
    backend = OpenAICompatibleProvider("tiny", api_base=sys.argv[1]).open(max_connections=100)
    request = Request(messages=[{"role": "user", "content": "Hello"}])
    ended = await asyncio.gather(*(backend.complete(request) for _ in range(100)), return_exceptions=True)
    await backend.aclose()
    return {error.kind.value for error in ended if isinstance(error, ProviderError)}
print(background.run(calls()))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_more_connections_than_file_descriptors_are_a_local_fault(fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(delay_s=0.5)
    command = [sys.executable, "-W", "error", "-c", FEW_FILES, fault_server.url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.stdout.strip(), ended.returncode) == ("{'local_resources'}", 0), ended.stderr


def test_a_process_that_used_several_back_ends_ends_without_a_word(fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(status=500 if request.prompt == "fail" else 200, body=None)
    command = [sys.executable, "-W", "error", "-c", QUIET, fault_server.url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")

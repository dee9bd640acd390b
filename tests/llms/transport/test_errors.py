"""Errors of every vendor's shape, waits read from headers, and keys taken out of text."""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafast.errors import ErrorKind, ProviderError, ReplyError
from datafast.llms import OpenAICompatibleProvider
from datafast.llms.transport.error_body import ErrorBody, error_within, read_error
from datafast.llms.transport.redaction import is_secret_name, redact
from datafast.llms.transport.retry_after import retry_after_s
from tests.servers.fault_server import Answer, FaultServer

KEY_TEXT = st.text(st.characters(min_codepoint=48, max_codepoint=122), min_size=16, max_size=60)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("1s", 1), ("6m0s", 360), ("120ms", 0.12), ("2m59.56s", 179.56), ("1h2m3s", 3723), ("12", 12), ("0", 0)],
)
def test_durations_of_rate_limit_headers(value: str, seconds: float) -> None:
    assert retry_after_s({"X-RateLimit-Reset-Tokens": value}, status=429) == pytest.approx(seconds)


@pytest.mark.parametrize("factor", [1, 1000])
def test_a_reset_given_as_a_point_in_time(factor: int) -> None:
    at = str(int((time.time() + 100) * factor))
    assert retry_after_s({"x-ratelimit-reset-requests": at}, status=429) == pytest.approx(100, abs=10)


def test_resets_mean_a_wait_only_when_a_limit_was_hit() -> None:
    assert retry_after_s({"x-ratelimit-reset-tokens": "6m0s"}, status=503) is None


def test_the_copies_that_litellm_makes_of_headers_are_read() -> None:
    assert retry_after_s({"llm_provider-retry-after": "3"}, status=500) == 3


def test_a_delay_in_the_body_counts_where_headers_are_silent() -> None:
    assert retry_after_s({}, status=429, delay="34s") == 34


@given(st.text(max_size=30))
def test_any_header_gives_a_wait_or_none(value: str) -> None:
    headers = {"retry-after": value, "retry-after-ms": value, "x-ratelimit-reset-tokens": value}
    wait = retry_after_s(headers, status=429)
    assert wait is None or wait >= 0


@given(before=st.text(max_size=40), key=KEY_TEXT, after=st.text(max_size=40))
def test_a_whole_key_never_survives(before: str, key: str, after: str) -> None:
    assert key not in redact(before + key + after, [key])


@given(key=KEY_TEXT, data=st.data())
def test_a_cut_key_never_survives(key: str, data: st.DataObject) -> None:
    size = data.draw(st.integers(8, len(key)))
    cut = data.draw(st.sampled_from([key[:size], key[-size:]]))
    assert cut not in redact(f"key <{cut}> refused", [key])


@pytest.mark.parametrize("echo", ["sk-ab***yz09", "sk-a...z09", "sk-abc•••••09", "sk-ab…"])
def test_a_masked_echo_of_a_key_is_taken_out(echo: str) -> None:
    assert echo not in redact(f"Incorrect key: {echo}", ["sk-abcdefghijklmnopqrstuvwxyz09"])


@pytest.mark.parametrize(
    ("secret", "text", "shown"),
    [
        ("k", "The key is unknown.", "The key is unknown."),
        ("test", "The latest test failed.", "The latest [redacted] failed."),
        ("hunter2", "hunter2 is not hunter22", "[redacted] is not hunter22"),
    ],
)
def test_a_short_key_garbles_no_text(secret: str, text: str, shown: str) -> None:
    assert redact(text, [secret]) == shown


def test_text_that_only_looks_masked_stays() -> None:
    text = "Use **bold** ... and wait..."
    assert redact(text, ["sk-abcdefghijklmnop"]) == text


def test_names_of_secrets_are_told_from_other_names() -> None:
    assert all(
        map(
            is_secret_name,
            [
                "Authorization",
                "x-api-key",
                "aws_session_token",
                "password",
                "X-Auth",
                "apiKey",
                "XAuthToken",
                "ocp-apim-subscription-key",
                "JWT",
                "api_keys",
                "accessTokens",
            ],
        )
    )
    assert not any(
        map(
            is_secret_name,
            [
                "max_tokens",
                "top_k",
                "seed",
                "X-Team",
                "author",
                "tokenizer",
                "keyword",
                "signal",
                "keys",
                "stop_tokens",
            ],
        )
    )


# --- Errors, as a provider's users meet them


def refused(server: FaultServer, answer: Answer, **options: Any) -> ProviderError:
    server.answer_next(answer)
    with pytest.raises(ProviderError) as caught:
        OpenAICompatibleProvider("m", api_base=server.url, **options).generate("Hello")
    return caught.value


def choice(**fields: Any) -> dict[str, Any]:
    return {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop", **fields}]
    }


WITHIN_A_SUCCESS = {
    "OpenRouter": ({"error": {"code": 429, "message": "slow down"}}, ErrorKind.RATE_LIMITED, 429),
    "OpenRouter, in the choice": (choice(error={"code": 502, "message": "upstream"}), ErrorKind.SERVER, 502),
    "OpenRouter, a limit in the choice": (choice(error={"code": 429, "message": "slow"}), ErrorKind.RATE_LIMITED, 429),
    "MiniMax, limit": ({"base_resp": {"status_code": 1002, "status_msg": "rate limit"}}, ErrorKind.RATE_LIMITED, 429),
    "MiniMax, balance": (
        {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, ErrorKind.QUOTA, 402,
    ),
    "MiniMax, refusal": (
        choice() | {"base_resp": {"status_code": 1027, "status_msg": "sensitive"}}, ErrorKind.CONTENT_FILTER, 400,
    ),
    "Zhipu": ({"error": {"code": "1302", "message": "concurrency"}}, ErrorKind.RATE_LIMITED, 429),
    "Zhipu, arrears": ({"error": {"code": "1113", "message": "arrears"}}, ErrorKind.QUOTA, 402),
    "Zhipu, gateway": ({"code": 401, "msg": "token expired", "success": False}, ErrorKind.AUTHENTICATION, 401),
    "Vertex": ([{"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}], ErrorKind.SERVER, 503),
    "Vertex, by name": ({"error": {"message": "quota", "status": "RESOURCE_EXHAUSTED"}}, ErrorKind.RATE_LIMITED, 429),
    "Qianfan": ({"error_code": 18, "error_msg": "qps limit reached"}, ErrorKind.RATE_LIMITED, 429),
    "a stream": ('data: {"error": {"code": 503, "message": "overloaded"}}\n\n', ErrorKind.SERVER, 503),
    "a number too long": ({"error": {"code": "9" * 5000, "message": "odd"}}, ErrorKind.SERVER, 502),
}  # fmt: skip


@pytest.mark.parametrize(("body", "kind", "status"), WITHIN_A_SUCCESS.values(), ids=WITHIN_A_SUCCESS)
def test_an_error_within_a_success_is_read_wherever_it_stands(
    fault_server: FaultServer, body: Any, kind: ErrorKind, status: int
) -> None:
    error = refused(fault_server, Answer(body=body))
    assert (error.kind, error.status) == (kind, status)
    assert "The server said: " in str(error)
    assert error.maybe_paid is (isinstance(body, dict) and bool(body.get("choices")))


@pytest.mark.parametrize(
    "body",
    [
        "<!doctype html><title>Sign in</title>",
        'data: {"choices": [{"delta": {"content": "a"}}]}\n\ndata: [DONE]\n',
        ": keep-alive\n\n",
        {"choices": [], "usage": {"prompt_tokens": 9}},
        {"choices": None},
        {"choices": [], "message": "nothing"},
        {"models": []},
        "",
        "null",
        "OK",
    ],
)
def test_a_success_without_a_completion_is_a_reply_that_is_recorded_and_cannot_be_used(
    fault_server: FaultServer, body: Any
) -> None:
    """It may have been paid for, and only those who read replies of its format can tell what it is."""
    fault_server.answer_next(Answer(body=body))
    with pytest.raises(ReplyError, match=r"not JSON|without a choice"):
        OpenAICompatibleProvider("m", api_base=fault_server.url).generate("Hello")


@pytest.mark.parametrize(
    "fields",
    [
        {"error": None}, {"error": {}}, {"error": {"message": "", "type": "", "code": None}}, {"base_resp": {"status_code": 0}},
        {"code": 200, "msg": "success", "base_resp": None}, {"error": "a warning"},
    ],
)  # fmt: skip
def test_a_completion_with_an_error_that_says_nothing_is_a_completion(
    fault_server: FaultServer, fields: dict[str, Any]
) -> None:
    fault_server.answer_next(Answer(body=choice() | fields))
    assert OpenAICompatibleProvider("m", api_base=fault_server.url).generate("Hello") == "x"


def test_what_the_provider_behind_a_gateway_said_is_told_and_counts(fault_server: FaultServer) -> None:
    raw = '{"error": {"code": "context_length_exceeded", "message": "9000 tokens are too many"}}'
    metadata = {"raw": raw, "provider_name": "Acme"}
    body = {"error": {"code": 400, "message": "Provider returned error", "metadata": metadata}}
    error = refused(fault_server, Answer(status=400, body=body))
    assert error.kind is ErrorKind.CONTEXT_LENGTH
    assert "Provider returned error (Acme: 9000 tokens are too many)" in str(error)


def test_a_prompt_that_moderation_flagged_fails_alone(fault_server: FaultServer) -> None:
    body = {"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["violence"], "flagged_input": "..."}}}
    assert refused(fault_server, Answer(status=403, body=body)).kind is ErrorKind.CONTENT_FILTER


def test_the_fields_that_a_422_is_about_are_told(fault_server: FaultServer) -> None:
    detail = [
        {"loc": ["body", "temperature"], "msg": "Input should be at most 1", "type": "less_than_equal"},
        {"loc": ["body", "messages", 0, "role"], "msg": "Field required", "type": "missing"},
    ]
    error = refused(fault_server, Answer(status=422, body={"detail": detail}))
    assert error.param == "temperature"
    assert "body.temperature: Input should be at most 1; body.messages.0.role: Field required" in str(error)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "error",
                        "errors",
                        "choices",
                        "code",
                        "message",
                        "detail",
                        "loc",
                        "metadata",
                        "raw",
                        "base_resp",
                        "status_code",
                        "details",
                        "reason",
                        "status",
                        "innererror",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_nothing_in_a_body_raises(data: Any) -> None:
    assert isinstance(read_error(json.dumps(data)), ErrorBody)
    assert isinstance(error_within(data), ErrorBody | None)


def test_a_date_is_measured_against_the_servers_own_clock() -> None:
    ahead = time.time() + 7200
    headers = {"Date": formatdate(ahead, usegmt=True), "Retry-After": formatdate(ahead + 30, usegmt=True)}
    assert retry_after_s(headers, status=429) == 30
    reset = {"Date": formatdate(ahead, usegmt=True), "x-ratelimit-reset-requests": str(int(ahead) + 40)}
    assert retry_after_s(reset, status=429) == 40

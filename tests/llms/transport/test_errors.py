"""Waits read from headers, and keys taken out of text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafast.llms.transport.redaction import is_secret_name, redact
from datafast.llms.transport.retry_after import retry_after_s

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


def test_text_that_only_looks_masked_stays() -> None:
    text = "Use **bold** ... and wait..."
    assert redact(text, ["sk-abcdefghijklmnop"]) == text


def test_names_of_secrets_are_told_from_other_names() -> None:
    assert all(map(is_secret_name, ["Authorization", "x-api-key", "aws_session_token", "password"]))
    assert not any(map(is_secret_name, ["max_tokens", "top_k", "seed", "X-Team"]))

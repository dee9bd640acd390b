"""What servers tell about their limits, by the documentation of each vendor."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from datafast.llms import OpenAICompatibleProvider
from datafast.llms.transport.rate_limits import rate_limits
from datafast.types import RateLimit, RateLimits
from tests.llms.asking import asked, refused, send
from tests.servers.fault_server import Answer, FaultServer

NOW = 1_790_000_000
DATE = {"Date": formatdate(NOW, usegmt=True)}

OPENAI = {
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "499",
    "x-ratelimit-reset-requests": "120ms",
    "x-ratelimit-limit-tokens": "200000",
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-reset-tokens": "1m6.5s",
}
ANTHROPIC = {
    "anthropic-ratelimit-requests-limit": "1000",
    "anthropic-ratelimit-requests-remaining": "999",
    "anthropic-ratelimit-requests-reset": "2026-09-21T14:13:21Z",
    "anthropic-ratelimit-tokens-limit": "96000",
    "anthropic-ratelimit-tokens-remaining": "90000",
    "anthropic-ratelimit-tokens-reset": "2026-09-21T14:13:25Z",
    "anthropic-ratelimit-input-tokens-limit": "80000",
    "anthropic-ratelimit-input-tokens-remaining": "79000",
    "anthropic-ratelimit-input-tokens-reset": "2026-09-21T14:13:20Z",
    "anthropic-ratelimit-output-tokens-limit": "16000",
    "anthropic-ratelimit-output-tokens-remaining": "0",
    "anthropic-ratelimit-output-tokens-reset": "2026-09-21T14:13:50.5+00:00",
}
MISTRAL = {
    "x-ratelimit-limit-req-minute": "60",
    "x-ratelimit-remaining-req-minute": "59",
    "x-ratelimit-limit-tokens-minute": "500000",
    "x-ratelimit-remaining-tokens-minute": "499000",
}
OPENROUTER = {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str((NOW + 30) * 1000)}
STANDARD = {"RateLimit-Limit": "100", "RateLimit-Remaining": "7", "RateLimit-Reset": "50"}

VENDORS = [
    (OPENAI, RateLimits(RateLimit(500, 499, 0.12), RateLimit(200_000, 149_984, 66.5))),
    (
        ANTHROPIC,
        RateLimits(
            RateLimit(1000, 999, 1.0),
            RateLimit(96_000, 90_000, 5.0),
            RateLimit(80_000, 79_000, 0.0),
            RateLimit(16_000, 0, 30.5),
        ),
    ),
    (MISTRAL, RateLimits(RateLimit(60, 59), RateLimit(500_000, 499_000))),
    (OPENROUTER, RateLimits(RateLimit(20, 0, 30.0))),
    (STANDARD, RateLimits(RateLimit(100, 7, 50.0))),
    ({"x-request-id": "1", "x-ratelimit-limit-unicorns": "5"}, None),
]


def provider(server: FaultServer) -> OpenAICompatibleProvider:
    return OpenAICompatibleProvider("tiny", api_base=server.url)


@pytest.mark.parametrize(("headers", "expected"), VENDORS)
def test_the_limits_come_with_each_answer(
    fault_server: FaultServer, headers: dict[str, str], expected: RateLimits | None
) -> None:
    fault_server.answer_next(
        Answer(headers=headers | DATE),
        Answer(status=429, headers=headers | DATE, body={"error": {"message": "slower"}}),
    )
    (response,) = send(provider(fault_server), asked())
    assert response.rate_limits == expected
    assert refused(provider(fault_server)).rate_limits == expected


def test_a_429_waits_for_the_limit_that_has_nothing_left(fault_server: FaultServer) -> None:
    fault_server.answer_next(Answer(status=429, headers=ANTHROPIC | DATE, body={"error": {"message": "slower"}}))
    assert refused(provider(fault_server)).retry_after_s == 30.5
    fault_server.answer_next(
        Answer(status=429, headers=ANTHROPIC | DATE | {"retry-after": "9"}, body={"error": {"message": "slower"}})
    )
    assert refused(provider(fault_server)).retry_after_s == 9.0


@pytest.mark.parametrize("value", ["", "soon", "-1", "nan", "inf", "1e400", "0x10", "\x00"])
def test_a_value_that_cannot_be_read_is_skipped(value: str) -> None:
    headers = {"x-ratelimit-remaining-requests": value, "x-ratelimit-limit-requests": "5"}
    assert rate_limits(headers) == RateLimits(RateLimit(5))
    assert rate_limits({"anthropic-ratelimit-requests-reset": value}) in (None, RateLimits(RateLimit(reset_s=0.0)))

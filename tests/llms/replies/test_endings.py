"""How replies end: what each vendor's reason becomes."""

from __future__ import annotations

import re

import orjson
import pytest

from datafast.errors import ReplyCategory, ReplyError
from datafast.llms.replies.completion import decode_completion
from datafast.llms.replies.endings import ENDINGS, Ending
from datafast.llms.replies.parse import parse_text

from .services import SERVICES

CATEGORIES = {
    Ending.TRUNCATED: ReplyCategory.TRUNCATED,
    Ending.REFUSED: ReplyCategory.REFUSED,
    Ending.BROKEN_OFF: ReplyCategory.BROKEN,
    Ending.TOOL_CALL: ReplyCategory.INVALID,
}


def category(reason: object, **fields: object) -> ReplyCategory | None:
    """What becomes of a text that ended so; None where it is taken."""
    choice = {"message": {"content": "Some text."}, "finish_reason": reason, **fields}
    try:
        assert parse_text(decode_completion(orjson.dumps({"choices": [choice]}))) == "Some text."
    except ReplyError as error:
        return error.category
    return None


@pytest.mark.parametrize(
    "reason", [None, "", "stop", "STOP", "end_turn", "stop_sequence", "COMPLETE", "eos_token", "EOS"]
)
def test_known_good_endings_pass(reason: str | None) -> None:
    assert category(reason) is None


EACH = (None, ReplyCategory.INVALID, ReplyCategory.TRUNCATED, ReplyCategory.REFUSED, ReplyCategory.BROKEN)


@pytest.mark.parametrize(
    ("service", "reason", "expected"),
    [
        (service, reason, expected)
        for service, columns in SERVICES.items()
        for reasons, expected in zip(columns, EACH, strict=True)
        for reason in reasons
    ],
)
def test_the_reasons_of_each_service_become_what_they_mean(
    service: str, reason: str, expected: ReplyCategory | None
) -> None:
    assert category(reason) is expected
    assert ENDINGS.keys() & {reason.casefold(), re.sub("(?<=[a-z])(?=[A-Z])", "_", reason).casefold()}


@pytest.mark.parametrize("reason", ENDINGS)
def test_every_known_reason_becomes_what_the_table_says(reason: str) -> None:
    for spelled in (reason, reason.upper(), reason.replace("_", "-"), f"{reason}: more"):
        assert category(spelled) is CATEGORIES.get(ENDINGS[reason])


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("insufficient_system_resource", ReplyCategory.BROKEN),
        ("abort", ReplyCategory.BROKEN),
        ("network_error", ReplyCategory.BROKEN),
        ("model_context_window_exceeded", ReplyCategory.TRUNCATED),
        ("sensitive", ReplyCategory.REFUSED),
        ("content_filter: RECITATION", ReplyCategory.REFUSED),
        ("MALFORMED_FUNCTION_CALL", ReplyCategory.BROKEN),
        ("a reason nobody has seen yet", ReplyCategory.BROKEN),
    ],
)
def test_everything_else_is_truncated_refused_or_broken_off(reason: str, expected: ReplyCategory) -> None:
    assert category(reason) is expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"native_finish_reason": "RECITATION"}, ReplyCategory.REFUSED),
        ({"provider_specific_fields": {"native_finish_reason": "MAX_TOKENS"}}, ReplyCategory.TRUNCATED),
        ({"provider_specific_fields": {"native_finish_reason": "STOP"}}, None),
        ({"native_finish_reason": "some word of theirs"}, None),
        ({"provider_specific_fields": None}, None),
    ],
)
def test_the_reason_of_the_models_own_server_counts_behind_a_gateway(
    fields: dict[str, object], expected: ReplyCategory | None
) -> None:
    assert category("stop", **fields) is expected


def test_the_message_quotes_the_reason() -> None:
    with pytest.raises(ReplyError, match="insufficient_system_resource"):
        parse_text(
            decode_completion(
                b'{"choices": [{"message": {"content": "x"}, "finish_reason": "insufficient_system_resource"}]}'
            )
        )

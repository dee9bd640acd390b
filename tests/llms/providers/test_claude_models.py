"""What is known of Claude models by their names."""

from __future__ import annotations

import pytest

from datafast.llms.providers.claude_models import ClaudeModel, claude_model


@pytest.mark.parametrize(
    ("model_id", "expected"),
    [
        ("claude-3-haiku-20240307", ClaudeModel(4096, False, False, False, 2048)),
        ("claude-3-opus-latest", ClaudeModel(4096, False, False, False, 1024)),
        ("claude-3-5-haiku-latest", ClaudeModel(8192, False, False, False, 2048)),
        ("claude-3-7-sonnet-20250219", ClaudeModel(64_000, False, False, False, 1024)),
        ("claude-opus-4-20250514", ClaudeModel(32_000, False, False, False, 1024)),
        ("claude-opus-4-1-20250805", ClaudeModel(32_000, False, False, False, 1024)),
        ("claude-sonnet-4-5-20250929", ClaudeModel(64_000, True, False, False, 1024)),
        ("claude-haiku-4-5", ClaudeModel(64_000, True, False, False, 4096)),
        ("claude-opus-4-5-20251101", ClaudeModel(64_000, True, False, False, 4096)),
        ("claude-opus-4-6", ClaudeModel(128_000, True, True, False, 4096)),
        ("claude-opus-4-7-20260416", ClaudeModel(128_000, True, True, False, 2048)),
        ("anthropic.claude-sonnet-4.6", ClaudeModel(128_000, True, True, False, 1024)),
        ("claude-opus-5", ClaudeModel(128_000, True, True, True, 512)),
        ("claude-fable-5-2", ClaudeModel(128_000, True, True, True, 1024)),
        ("claude-haiku-5-5", ClaudeModel(128_000, True, True, True, 1024)),
        ("claude-haiku-12", ClaudeModel(128_000, True, True, True, 1024)),
        ("claude-instant-1.2", ClaudeModel(4096, False, False, False, 1024)),
        ("claude-next", ClaudeModel(has_schemas=True)),
        ("kimi-k3", ClaudeModel(has_schemas=False)),
    ],
)
def test_a_name_tells_what_the_model_can_do(model_id: str, expected: ClaudeModel) -> None:
    assert claude_model(model_id) == expected

"""DeepFabric's formatters, and the forms of ours that correspond to them."""

from __future__ import annotations

__all__ = ["FORMS", "form_of"]

FORMS = ("trl", "openai", "sharegpt", "alpaca", "chatml")
"""The forms of conversations that recipes may name."""

_FORMS = {
    "alpaca": "alpaca",
    "chatml": "chatml",
    "im_format": "chatml",
    "conversations": "sharegpt",
    "openai": "openai",
    "openai_schema": "openai",
    "trl_sft_tools": "trl",
    "tool_calling": "trl",
    "unsloth": "sharegpt",
}


def form_of(template: str) -> str | None:
    """The form for a template like `builtin://alpaca.py`; None for those of one training method or model alone."""
    return _FORMS.get(template.removeprefix("builtin://").removesuffix(".py"))

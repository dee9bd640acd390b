"""Anthropic's models, called through litellm."""

from __future__ import annotations

from datafast.llms.providers.litellm import NamedLiteLLMProvider

__all__ = ["AnthropicProvider"]


class AnthropicProvider(NamedLiteLLMProvider):
    provider_name = "anthropic"
    env_key_name = "ANTHROPIC_API_KEY"
    default_model_id = "claude-haiku-4-5-20251001"
    default_base = "https://api.anthropic.com"
    litellm_prefix = "anthropic/"

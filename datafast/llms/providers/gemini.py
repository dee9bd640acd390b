"""Google's Gemini models, called through litellm."""

from __future__ import annotations

from datafast.llms.providers.litellm import NamedLiteLLMProvider

__all__ = ["GeminiProvider"]


class GeminiProvider(NamedLiteLLMProvider):
    provider_name = "gemini"
    env_key_name = "GEMINI_API_KEY"
    default_model_id = "gemini-2.0-flash"
    default_base = "https://generativelanguage.googleapis.com/v1beta"
    litellm_prefix = "gemini/"

"""Which models are of one family, by their names: a model favours texts of its own (Panickssery, Bowman and Feng, "LLM Evaluators Recognize
and Favor Their Own Generations", 2024, arXiv:2404.13076).

Limits: a name that says nothing, such as that of a deployment or of a model that was trained further, is a family of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

__all__ = ["families"]

_NAMES: Mapping[str, str] = {
    "OpenAI": r"(?:chat)?gpt|o[1-9](?![a-z0-9.])|davinci|codex",
    "Anthropic": r"claude",
    "Google": r"gemini|gemma|learnlm|palm-?2",
    "Mistral": r"(?:open-)?(?:mistral|mixtral|ministral|magistral|codestral|devstral|pixtral|voxtral|mathstral)",
    "Llama": r"(?:code|tiny|meta)?-?llama|vicuna",
    "Qwen": r"(?:code)?qw(?:en|q)|qvq",
    "DeepSeek": r"deepseek",
    "xAI": r"grok",
    "Cohere": r"command(?![a-z])|c4ai|aya(?![a-z])",
    "Microsoft": r"phi-?[1-9]|wizardlm|mai-",
    "Amazon": r"nova-(?:micro|lite|pro|premier|\d)|titan-text",
    "NVIDIA": r"nemotron",
    "Zhipu": r"(?:chat)?glm",
    "Moonshot": r"kimi|moonshot-v",
    "MiniMax": r"minimax|abab\d",
    "01.AI": r"yi-(?:\d|large|light)",
    "IBM": r"granite",
    "AI21": r"jamba|jurassic",
    "Ai2": r"olmo|tulu|molmo",
    "Baidu": r"ernie",
    "Tencent": r"hunyuan",
    "ByteDance": r"doubao|seed-",
    "TII": r"falcon",
    "Hugging Face": r"smollm|zephyr",
    "LG": r"exaone",
    "Liquid": r"lfm",
    "InternLM": r"intern(?:lm|vl)",
    "Baichuan": r"baichuan",
}
_VENDORS: Mapping[str, str] = {
    "openai": "OpenAI",
    "azure": "OpenAI",
    "anthropic": "Anthropic",
    "google": "Google",
    "gemini": "Google",
    "vertex_ai": "Google",
    "mistral": "Mistral",
    "mistralai": "Mistral",
    "meta-llama": "Llama",
    "qwen": "Qwen",
    "deepseek": "DeepSeek",
    "deepseek-ai": "DeepSeek",
    "xai": "xAI",
    "x-ai": "xAI",
    "cohere": "Cohere",
    "microsoft": "Microsoft",
    "amazon": "Amazon",
    "nvidia": "NVIDIA",
}
_PATTERNS = {family: re.compile(rf"(?<![a-z])(?:{pattern})") for family, pattern in _NAMES.items()}


@lru_cache(maxsize=4096)
def families(model: str) -> frozenset[str]:
    """The families of a model, which is named like `openai/gpt-6-luna`, or without the vendor. More than one for a model that was made of
    another one: `deepseek-r1-distill-llama-70b`."""
    name = model.lower().strip()
    *vendors, own = name.split("/")
    found = {family for family, pattern in _PATTERNS.items() if pattern.search(own)}
    if found:
        return frozenset(found)
    by_vendor = {_VENDORS[vendor] for vendor in vendors if vendor in _VENDORS}
    return frozenset([own.split(":")[0], *by_vendor])

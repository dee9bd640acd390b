"""Licences as the Hub knows them, and where the terms of providers are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

__all__ = ["license_front", "terms_of", "without_terms"]

# The ids that the Hub takes for `license`; all others are "other", with a name.
_LICENSES = (
    "afl-3.0 agpl-3.0 apache-2.0 apple-amlr apple-ascl artistic-2.0 bigcode-openrail-m bigscience-bloom-rail-1.0 bigscience-openrail-m "
    "bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 "
    "cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 "
    "cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0 creativeml-openrail-m deepfloyd-if-license ecl-2.0 epl-1.0 epl-2.0 "
    "etalab-2.0 eupl-1.1 eupl-1.2 gemma gfdl gpl gpl-2.0 gpl-3.0 h-research intel-research isc lgpl lgpl-2.1 lgpl-3.0 lgpl-lr llama2 "
    "llama3 llama3.1 llama3.2 llama3.3 llama4 lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 openrail openrail++ osl-3.0 pddl "
    "postgresql unknown unlicense wtfpl zlib"
)

# By the first part of an identity like openai/gpt-5-mini.
_TERMS = {
    "anthropic": ("Anthropic", "https://www.anthropic.com/legal/commercial-terms"),
    "azure": ("Microsoft Azure OpenAI", "https://www.microsoft.com/licensing/terms/"),
    "gemini": ("Google Gemini API", "https://ai.google.dev/gemini-api/terms"),
    "mistral": ("Mistral AI", "https://mistral.ai/terms"),
    "openai": ("OpenAI", "https://openai.com/policies/services-agreement/"),
    "openrouter": ("OpenRouter, and those that it routes to", "https://openrouter.ai/terms"),
}


def license_front(name: str, link: str) -> dict[str, str]:
    """The keys of the front matter for a licence."""
    known = name.strip().lower().replace(" ", "-")
    if known in _LICENSES.split():
        return {"license": known}
    slug = re.sub(r"[^a-z0-9.]+", "-", known).strip("-.")[:64] or "other"
    return {"license": "other", "license_name": slug, **({"license_link": link} if link else {})}


def terms_of(providers: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Name and address of the terms of each provider that has some which are known here."""
    for provider in dict.fromkeys(providers):
        if provider in _TERMS:
            yield _TERMS[provider]


def without_terms(providers: Iterable[str]) -> list[str]:
    """The providers of which none are known here, because they run models that have licences of their own."""
    return [provider for provider in dict.fromkeys(providers) if provider not in _TERMS and provider != "simulated"]

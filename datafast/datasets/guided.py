"""Configs of kinds whose rows can be guided by a prompt template."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from datafast._util.config_model import Accepts, default_of
from datafast.datasets.config import PromptDatasetConfig, PromptExpansionConfig
from datafast.plan.defaults import Edition, PromptText
from datafast.plan.expansion import Expansion
from datafast.plan.template import Template
from datafast.prompt_library.field import TemplateInput
from datafast.prompt_library.template import PromptTemplate

__all__ = ["GuidedConfig"]


class GuidedConfig(PromptDatasetConfig):
    """A config with a `template`, whose guidance is a part of every prompt.

    Attributes:
        guidance_told: what stands in front of the guidance in a prompt.
    """

    guidance_told: ClassVar[str] = "What they should be like:"

    template: Accepts[TemplateInput, PromptTemplate | str | Path | Mapping[str, Any] | None] = default_of(None)
    """What the rows should be like, by name (basic, advanced, domain/medicine, ...; `datafast templates` lists them) or as a YAML
    file. Its placeholders are drawn at random, unless `expansion` says how."""

    @property
    def persona_asks(self) -> bool:
        """Whether the persona is who asks, in the place of values of the template."""
        user = self.template.user if self.template is not None else None
        return user is not None and self.personas is not None and user not in super().placeholders

    @property
    def _guiding(self) -> PromptTemplate | None:
        """The template for the prompts of this config."""
        return self.template.for_persona() if self.template is not None and self.persona_asks else self.template

    @property
    def guidance(self) -> str:
        """What the rows should be like, for each prompt; empty if nothing is said about it."""
        return template.guidance if (template := self._guiding) is not None else ""

    def template_texts(self, edition: Edition) -> list[PromptText]:
        return self.guided(super().template_texts(edition))

    def guided(self, texts: Sequence[PromptText]) -> list[PromptText]:
        """These prompts with the guidance."""
        wish = PromptText(f"\n\n{self.guidance_told}\n{self.guidance}" if self.guidance else "")
        return [PromptText.joined([prompt, wish], "") for prompt in texts]

    @property
    def placeholders(self) -> Collection[str]:
        own = super().placeholders
        return dict.fromkeys([*template.placeholders, *own]) if (template := self._guiding) is not None else own

    def placeholder_field(self, name: str) -> str:
        return super().placeholder_field(name) if name in super().placeholders else f"template.placeholders.{name}"

    @property
    def varied(self) -> PromptExpansionConfig:
        own = super().varied
        given = template.placeholders if (template := self._guiding) is not None else {}
        if not given:
            return own
        if self.expansion is None:
            each = len(self.template_texts(self.editions()[0]))  # every prompt once, as without the template
            return PromptExpansionConfig(
                placeholders=given, strategy="random", num_random_samples=each, max_samples=max(each, 1000)
            )
        return own.model_copy(update={"placeholders": {**given, **own.placeholders}})

    def _build_expansion(self, edition: Edition, *, remark: bool = True) -> Expansion:
        names = self.filled(self.names_in_prompts)
        Template.parse(
            template.guidance if (template := self._guiding) is not None else "",
            mandatory=(),
            optional=[*names.mandatory, *names.optional],
            placeholders=self.placeholders,
            field="template",
            remark=remark and not self.tells_given,  # else they are told of the prompts that have it
        )
        return super()._build_expansion(edition, remark=remark)

"""Prompt templates by name: what rows of a certain sort should be like, in words that go into the prompts of several kinds.

template    what a template is
library     those that come with datafast, by name
field       `template` in a config: a name, a file, or a template
"""

from __future__ import annotations

from datafast.prompt_library.library import TEMPLATE_NAMES, named_template
from datafast.prompt_library.template import PromptTemplate, Requirement

__all__ = ["TEMPLATE_NAMES", "PromptTemplate", "Requirement", "named_template"]

"""The templates that come with datafast. Their texts never change once released, because prompts and keys are made of them; a better one
gets a name of its own."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path

from pydantic import ValidationError

from datafast._util.notify import did_you_mean
from datafast._util.yaml_file import YamlFile
from datafast._util.yaml_problems import Problems
from datafast.errors import ConfigError
from datafast.prompt_library.template import PromptTemplate

__all__ = ["TEMPLATE_NAMES", "named_template", "read_template", "template_source"]

TEMPLATE_NAMES = (
    "basic",
    "advanced",
    "advanced/code_examples",
    "advanced/structured_output",
    "advanced/multi_part",
    "domain/customer_support",
    "domain/education",
    "domain/finance",
    "domain/law",
    "domain/medicine",
    "domain/software",
)
"""The names, in the order in which they are listed."""


@lru_cache(maxsize=len(TEMPLATE_NAMES))
def named_template(name: str) -> PromptTemplate:
    """A template that comes with datafast.

    Raises:
        ConfigError: there is none of this name; says which is the nearest.
    """
    _check(name)
    with as_file(_folder() / f"{name}.yaml") as path:
        return read_template(path)


def template_source(name: str) -> str:
    """The file of such a template, to copy and change."""
    _check(name)
    return (_folder() / f"{name}.yaml").read_text(encoding="utf-8")


def read_template(path: Path) -> PromptTemplate:
    """A template from a YAML file.

    Raises:
        ConfigError: there is no such file, or it is not a template. The message begins with FILE:LINE.
    """
    file = YamlFile(path, what="a template", hint="`datafast templates basic` prints one to start from.")
    try:
        return PromptTemplate.model_validate(file.data)
    except ValidationError as error:
        problems = Problems(file)
        problems.add_errors(error, PromptTemplate)
        raise problems.refusal() from None


def _check(name: str) -> None:
    if name not in TEMPLATE_NAMES:
        raise ConfigError(f"There is no template {name!r}. {did_you_mean(name, TEMPLATE_NAMES)}")


def _folder() -> Traversable:
    return files("datafast.prompt_library") / "templates"

"""What a parsed template and a parsed expression are to those that use them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["Expression", "RenderError", "Template", "TypesDifferError", "rendered"]


class RenderError(ValueError):
    """A template or an expression cannot be carried out with the values of this row."""


class TypesDifferError(RenderError):
    """Values of different types were compared or reckoned with."""


class Template(Protocol):
    """A parsed template."""

    @property
    def names(self) -> frozenset[str]:
        """The columns that it needs."""
        ...

    def render(self, values: Mapping[str, Any]) -> str:
        """The text with the values of a row. Raises RenderError."""
        ...


class Expression(Protocol):
    """A parsed expression; `names` are the columns that it needs."""

    @property
    def names(self) -> frozenset[str]: ...

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        """Its value in a row. Raises RenderError."""
        ...


def rendered(template: Template, field: str, values: Mapping[str, Any]) -> str:
    """A template with the values of a row. Raises RenderError, with the config field that the template stands in."""
    try:
        return template.render(values)
    except RenderError as error:
        raise RenderError(f"{field}: {error}") from None

"""Expressions that are true or false."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datafast._util.notify import warn_user
from datafast.templates.base import Expression
from datafast.templates.values import counted_true, perhaps_no

__all__ = ["Condition"]


class Condition:
    """An expression whose value is taken as true or false. An empty text and the text "false" are false.

    It warns once of a text that counts as true and may be meant as a no.

    Args:
        text: the expression as it is written.
        place: where, for messages.
        hint: what else helps where a text counts as true, after a comma.

    Attributes:
        names: the columns that it needs.
    """

    def __init__(self, text: str, expression: Expression, *, place: str, hint: str = "") -> None:
        self.text = text
        self.place = place
        self.names = expression.names
        self._expression = expression
        self._hint = hint
        self._warned = False

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it is true in a row. Raises RenderError."""
        value = self._expression.evaluate(values)
        if perhaps_no(value) and not self._warned:
            self._warned = True
            warn_user(
                f"{self.place}: The text {value!r} counts as true: of all texts only 'false' and '' are false. If it means no, compare "
                f"it ({self.text} != {value!r}){self._hint}."
            )
        return bool(counted_true(value))

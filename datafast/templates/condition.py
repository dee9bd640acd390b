"""Expressions that are true or false: `where` and `skip_if` of sources, `when` and constraints of columns, `check` of rows. They are one
language.

Guarantee: the same text is true of the same values everywhere. An empty text and the text "false" are false, as are null, 0, false and
what is empty; everything else is true. A text like "no", which is true and may be meant as a no, is told once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from datafast._util.notify import warn_user
from datafast.templates.base import Expression, RenderError, TypesDifferError
from datafast.templates.parse import parse_expression
from datafast.templates.values import counted_true, perhaps_no

__all__ = ["Condition"]


class Condition:
    """A condition over the columns of a row.

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
        self._has_told = False

    @classmethod
    def parsed(cls, text: str, *, names: Collection[str] | None, field: str) -> Condition:
        """The condition that a text says.

        Args:
            names: the columns that it may use; None for whatever columns it names.
            field: the config field that it stands in.

        Raises:
            ConfigError: it is no expression, or uses an unknown name.
        """
        return cls(text, parse_expression(text, names=names, field=field), place=field)

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it is true of a row; columns that the row lacks are null. Raises RenderError."""
        needed = {name: values.get(name) for name in self.names}
        try:
            value = self._expression.evaluate(needed)
        except TypesDifferError as error:
            texts = sorted(name for name, given in needed.items() if isinstance(given, str))
            if not texts:
                raise
            hint = f"makes a number of a text, and so does types: {{{texts[0]}: number}} where a CSV file is read"
            raise RenderError(f"{str(error).rstrip('.')}. {texts[0]} | float {hint}.") from None
        if perhaps_no(value) and not self._has_told:
            self._has_told = True
            warn_user(
                f"{self.place}: The text {value!r} counts as true: of all texts only 'false' and '' are false. If it means no, "
                f"compare it ({self.text} != {value!r}){self._hint}."
            )
        return bool(counted_true(value))

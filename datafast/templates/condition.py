"""Expressions that are asked yes or no: `where` and `skip_if` of sources, `when` of columns, `check` of rows. They are one language.

Guarantee: the same text is true of the same values everywhere. An empty text and the text "false" are false, as are null, 0, false and
what is empty; everything else is true. A text like "no", which is true and may be meant as a no, is told once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from datafast._util.notify import warn_user
from datafast.templates.base import RenderError, TypesDifferError
from datafast.templates.parse import parse_expression
from datafast.templates.values import counted_true, perhaps_no

__all__ = ["Condition"]


class Condition:
    """A condition over the columns of a row.

    Args:
        text: the expression.
        names: the columns that it may use; None where they are not known yet.
        field: the config field that errors of it name.
        place: what warnings call it, if not by the field.

    Attributes:
        names: the columns that it needs.

    Raises:
        ConfigError: it is no expression, or uses an unknown name.
    """

    def __init__(self, text: str, *, names: Collection[str] | None, field: str, place: str | None = None) -> None:
        self._text = text
        self._place = place or field
        self._expression = parse_expression(text, names=names, field=field)
        self._has_told = False
        self.names = self._expression.names

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
                f"{self._place}: The text {value!r} counts as true: of all texts only 'false' and '' are false. If it means no, "
                f"compare it ({self._text} != {value!r})."
            )
        return bool(counted_true(value))

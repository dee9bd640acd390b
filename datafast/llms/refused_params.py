"""The parameters that a model refuses, learned from its refusals.

A parameter that was sent and whose exact name stands in a 400 is left out on trial. It stays out, with one warning, where that helps:
where the next answer is a reply. Where the refusal comes again and still names it, it was not the reason, and is sent again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from datafast._util.notify import warn_user
from datafast.errors import ErrorKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datafast.errors import ProviderError

__all__ = ["RefusedParams"]


class RefusedParams:
    """What is known about one model's parameters.

    Args:
        label: the model's name in warnings.
        droppable: what may be left out.
        wire_names: what parameters are called in requests, where that is something else.

    Attributes:
        dropped: parameters that it has refused; they are left out of every request.
        innocent: those that refusals named, and that were not the reason.
    """

    def __init__(self, label: str, droppable: frozenset[str], wire_names: Mapping[str, tuple[str, ...]]) -> None:
        self.dropped: frozenset[str] = frozenset()
        self.innocent: frozenset[str] = frozenset()
        self._label = label
        self._droppable = droppable
        self._wire_names = wire_names

    def after(
        self, error: ProviderError, absent: frozenset[str], on_trial: str | None
    ) -> tuple[frozenset[str], str | None]:
        """What to leave out of a refused request when it is sent again, and the parameter of it that is newly on trial.

        Args:
            absent: what it did not carry.
            on_trial: the one of these that was left out on trial.

        Returns:
            Where nothing is on trial, the request need not be sent again at once.
        """
        if on_trial is not None and self.is_named(error, on_trial):
            self.innocent |= {on_trial}
            absent -= {on_trial}
        suspect = self._suspect(error, absent)
        return (absent, None) if suspect is None else (absent | {suspect}, suspect)

    def leave_out(self, names: frozenset[str]) -> None:
        """Leaves parameters out from now on, with one warning for each."""
        for name in sorted(names - self.dropped):
            warn_user(f"{self._label} refuses the parameter {name!r}. It is left out from now on.")
        self.dropped |= names

    def is_named(self, error: ProviderError, name: str) -> bool:
        """Whether an error holds a parameter's exact name, as it is written here or on the wire."""
        names = "|".join(map(re.escape, (name, *self._wire_names.get(name, ()))))
        return error.param == name or re.search(rf"(?<!\w)({names})(?!\w)", error.body) is not None

    def _suspect(self, error: ProviderError, absent: frozenset[str]) -> str | None:
        """The parameter that may be the reason for a refusal: the one in its machine field, else one that its words name."""
        if error.kind is not ErrorKind.BAD_REQUEST:
            return None
        possible = sorted(self._droppable - absent - self.innocent)
        if error.param in possible:
            return error.param
        return next((name for name in possible if self.is_named(error, name)), None)

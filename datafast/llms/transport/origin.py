"""The destination of a request, for error messages."""

from __future__ import annotations

from dataclasses import dataclass

from datafast.llms.timeouts import Timeouts

__all__ = ["Origin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The facts for error messages about a request. `secrets` never appear in them."""

    label: str
    model_id: str
    address: str
    key_variable: str | None
    has_key: bool
    timeouts: Timeouts
    secrets: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Origin({self.label!r}, {self.address!r})"

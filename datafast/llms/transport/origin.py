"""Where a request goes, for the messages of errors."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Origin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What an error message says about where a request went. `secrets` never appear in it."""

    label: str
    model_id: str
    address: str
    key_variable: str | None
    has_key: bool
    timeout_s: float
    secrets: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Origin({self.label!r}, {self.address!r})"

"""The licence of a dataset on the Hub, as its owner tells it there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast.export.hub_access import endpoint

__all__ = ["license_of"]

_WAIT_S = 10.0
_TAG = "license:"


@foreign_warnings_ignored()
def license_of(hub_id: str) -> tuple[str, str]:
    """The licence, '' where it is not known, and then why. One request; what keeps it from being answered is told, never raised."""
    from huggingface_hub import HfApi

    try:
        found = HfApi(endpoint=endpoint()).dataset_info(hub_id, timeout=_WAIT_S)
    except Exception as error:  # noqa: BLE001 - whatever the client raises: the card is made without it, and says so
        return "", f"not known: the Hub did not tell it ({type(error).__name__})"
    named = list(_named(found))
    return (", ".join(named), "") if named else ("", "its owner names none")


def _named(found: Any) -> Iterable[str]:
    data: Any = getattr(found, "card_data", None) or {}
    given = data.get("license")
    if given == "other" and data.get("license_name"):
        given = str(data.get("license_name"))
    if given:
        yield from map(str, given if isinstance(given, list) else [given])
    else:
        yield from (tag.removeprefix(_TAG) for tag in getattr(found, "tags", None) or () if tag.startswith(_TAG))

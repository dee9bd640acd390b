"""Dataset kinds by name. Built-in ones and those of other packages enter by the same door.

A package offers a kind by an entry point of the group `datafast.kinds`, here in its pyproject.toml:

    [project.entry-points."datafast.kinds"]
    dialogue = "my_package.dialogue:DialogueDataset"

Guarantee: nothing is imported before a kind is asked for by its name, and then that kind alone. Cost: listing the names
reads the metadata of the installed packages, a few milliseconds. Limits: a name belongs to one package; where two claim
it, using it is refused with both named.

A kind is a class with `kind` (its name), `config_model` and `row_model`. It either takes a list of providers
(`generate(providers)`), or its config has `roles` and it takes one provider for each (`generate_roles(roles)`).
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from datafast._util.notify import nearest
from datafast.errors import ConfigError

__all__ = ["GROUP", "kind_names", "load_kind"]

GROUP = "datafast.kinds"

_BUILT_IN = [
    EntryPoint(name="raw", value="datafast.datasets.raw:RawDataset", group=GROUP),
    EntryPoint(name="classification", value="datafast.datasets.classification:ClassificationDataset", group=GROUP),
    EntryPoint(name="preference", value="datafast.datasets.preference:PreferenceDataset", group=GROUP),
    EntryPoint(name="columns", value="datafast.datasets.columns:ColumnsDataset", group=GROUP),
    EntryPoint(name="conversation", value="datafast.datasets.conversation.kind:ConversationDataset", group=GROUP),
]
_REQUIRED = ("config_model", "row_model", "plan", "produce")


def kind_names() -> list[str]:
    """The names of all kinds: the built-in ones first, then those of installed packages. Imports none of them."""
    return list(dict.fromkeys(point.name for point in _points()))


def load_kind(name: str) -> type[Any]:
    """The dataset class of a kind.

    Raises:
        ConfigError: there is no such kind (with the nearest name), two packages claim the name, or what the package
            offers cannot be imported or is no kind.
    """
    found = {point.value: point for point in _points() if point.name == name}
    if not found:
        near = nearest(name, kind_names())
        hint = f"did you mean {near!r}?" if near else f"known kinds: {', '.join(kind_names())}"
        raise ConfigError(f"there is no kind {name!r}; {hint}", key="kind")
    if len(found) > 1:
        raise ConfigError(
            f"the kind {name!r} is offered more than once ({', '.join(sorted(found))}); uninstall all but one of them",
            key="kind",
        )
    (point,) = found.values()
    return _loaded(point)


def _points() -> list[EntryPoint]:
    return [*_BUILT_IN, *entry_points(group=GROUP)]


def _loaded(point: EntryPoint) -> type[Any]:
    try:
        kind = point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"the kind {point.name!r} cannot be loaded from {point.value}: {error}. "
            f"Reinstall or update the package that offers it",
            key="kind",
        ) from error
    lacking = [name for name in _REQUIRED if not hasattr(kind, name)]
    if not isinstance(kind, type) or lacking or getattr(kind, "kind", None) != point.name:
        raise ConfigError(
            f"{point.value} is no dataset kind named {point.name!r}: expected a class derived from "
            f"datafast.datasets.base.Dataset with kind = {point.name!r}",
            key="kind",
        )
    return kind

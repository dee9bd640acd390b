"""The door of config models that say their name as the default of a field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest

from datafast.columns import Column, registry
from datafast.errors import ConfigError
from datafast.quality import registry as stages
from datafast.quality.base import KEEP, Stage

Offer = Callable[..., None]


class Unnamed(Stage):
    stage: Literal["unnamed"]

    def decide(self, row: Any, item: Any) -> Any:
        return KEEP


class UnnamedColumn(Column):
    type: Literal["unnamed"]


@pytest.mark.parametrize(
    ("add", "tag"), [(lambda: registry.register(UnnamedColumn), "type"), (lambda: stages.register(Unnamed), "stage")]
)
def test_a_class_without_a_name_is_refused_with_the_field_to_add(add: Callable[[], object], tag: str) -> None:
    with pytest.raises(ConfigError, match="has no name") as caught:
        add()
    assert f'Give it a field `{tag}: Literal["..."] = "..."`.' in str(caught.value)


@pytest.mark.parametrize("thing", [int, "length", UnnamedColumn(type="unnamed"), UnnamedColumn])
def test_what_is_no_such_class_cannot_be_registered(thing: Any) -> None:
    with pytest.raises(
        ConfigError, match=r"cannot be registered\. A class derived from datafast.quality.base.Stage.* is expected"
    ):
        stages.register(thing)


@pytest.mark.parametrize("text", ["it = 3", "class it: pass", "from datafast.quality.length import LengthStage as it"])
@pytest.mark.parametrize(
    ("door", "group", "home"),
    [
        (registry.COLUMNS, "datafast.columns", "datafast.columns.Column"),
        (stages.STAGES, "datafast.stages", "datafast.quality.base.Stage"),
    ],
)
def test_what_is_not_such_a_class_is_refused_with_what_is_expected(
    offer: Offer, door: Any, group: str, home: str, text: str
) -> None:
    offer("odd", {"odd_things.py": text}, entry_points=f"[{group}]\nodd = odd_things:it\n")
    with pytest.raises(ConfigError, match=f"a class derived from {home}.* with a field") as caught:
        door.load("odd")
    assert "of the package odd" in str(caught.value)

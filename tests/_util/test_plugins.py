"""The door for what other packages add: which names there are, what is behind them, and what goes wrong with packages."""

from __future__ import annotations

import importlib
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from datafast._util.plugins import Door
from datafast.errors import ConfigError, DatafastWarning

Offer = Callable[..., None]
POINTS = "[datafast.things]\n"


def door(**built_in: str) -> Door[Any]:
    return Door(
        "datafast.things",
        noun="thing",
        built_in=built_in or {"path": "os:path"},
        check=lambda name, thing: "a number is not expected" if isinstance(thing, int) else None,
        key="thing",
    )


def refusal(ask: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        ask()
    assert caught.value.key == "thing"
    return str(caught.value)


def test_names_are_the_built_in_ones_then_those_of_packages_then_those_of_this_process(offer: Offer) -> None:
    offer("shelf", {}, entry_points=POINTS + "book = shelf:Book")
    things = door()
    things.register("lamp", "a lamp")
    assert things.names() == ["path", "book", "lamp"]


def test_a_name_that_two_packages_claim_is_refused_with_both_named(offer: Offer) -> None:
    offer("one", {"one.py": "it = 'one'"}, entry_points=POINTS + "it = one:it")
    offer("two", {"two.py": "it = 'two'"}, entry_points=POINTS + "it = two:it")
    assert refusal(lambda: door().load("it")) == (
        "The thing 'it' is offered more than once: by the package one (one:it) and the package two (two:it). "
        "Uninstall all but one of them."
    )


def test_a_built_in_name_stays_built_in_and_a_list_says_once_who_claims_it(offer: Offer) -> None:
    import os

    offer("grabber", {"grabber.py": "it = 'mine'"}, entry_points=POINTS + "path = grabber:it")
    things = door()
    assert things.load("path") is os.path
    with pytest.warns(DatafastWarning) as told:
        names = [things.names(), things.names()]
    assert names == [["path"], ["path"]]
    assert [str(warning.message) for warning in told] == [
        "The thing 'path' of the package grabber (grabber:it) cannot be used, because datafast has a built-in one of that "
        "name. Ask the author of the package for another name."
    ]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(1)", "SystemExit: 1"),
        ("it = ", "SyntaxError: "),
        ("", "AttributeError: module 'broken' has no attribute 'it'"),
    ],
)
def test_a_package_that_is_broken_harms_only_what_it_offers(offer: Offer, code: str, why: str) -> None:
    offer("broken", {"broken.py": code}, entry_points=POINTS + "it = broken:it")
    things = door()
    assert things.names() == ["path", "it"]
    message = refusal(lambda: things.load("it"))
    assert message.startswith(f"The thing 'it' of the package broken cannot be loaded from broken:it: {why}")
    assert message.endswith("Reinstall or update that package.")
    with pytest.warns(DatafastWarning, match="cannot be loaded from broken:it"):
        assert list(things.loaded()) == ["path"]


def test_what_is_not_as_it_should_be_is_refused(offer: Offer) -> None:
    offer("wrong", {"wrong.py": "it = 3"}, entry_points=POINTS + "it = wrong:it")
    assert (
        refusal(lambda: door().load("it"))
        == "wrong:it of the package wrong is not a thing named 'it': a number is not expected."
    )


def test_an_unknown_name_is_refused_with_the_nearest_or_all_of_them() -> None:
    assert refusal(lambda: door().load("pth")) == "There is no thing 'pth'. Did you mean 'path'?"
    assert refusal(lambda: door().load("zzz")) == "There is no thing 'zzz'. Known: path."


def test_a_name_that_is_taken_cannot_be_registered() -> None:
    things = door()
    things.register("lamp", int)
    assert refusal(lambda: things.register("lamp", str)) == "There already is a thing 'lamp'. Choose another name."
    assert refusal(lambda: things.register("path", str)) == "There already is a thing 'path'. Choose another name."


@pytest.mark.parametrize("place", ["shop.lamps:Lamp", "shop:Lamp"])
def test_a_class_that_registers_itself_and_has_an_entry_point_is_one_thing(
    offer: Offer, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    things = door()
    monkeypatch.setattr("datafast._util.plugins.shop_door", things, raising=False)
    lamps = """
    from datafast._util import plugins

    class Lamp:
        pass

    class Torch:
        pass

    plugins.shop_door.register("lamp", Lamp)
    """
    files = {"shop/__init__.py": "from shop.lamps import Lamp", "shop/lamps.py": textwrap.dedent(lamps)}
    offer("shop", files, entry_points=POINTS + f"lamp = {place}")
    lamp: Any = things.load("lamp")
    assert (lamp.__name__, things.names(), things.load("lamp")) == ("Lamp", ["path", "lamp"], lamp)
    torch = importlib.import_module("shop.lamps").Torch
    assert refusal(lambda: things.register("lamp", torch)) == "There already is a thing 'lamp'. Choose another name."


def test_a_definition_that_is_run_again_takes_the_place_of_the_former() -> None:
    def defined() -> type:
        class Lamp:
            pass

        return Lamp

    things = door()
    things.register("lamp", defined())
    again = defined()
    things.register("lamp", again)
    assert things.load("lamp") is again


def test_a_built_in_thing_is_found_without_reading_any_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(**_: Any) -> Any:
        raise AssertionError("the metadata of the installed packages was read")

    monkeypatch.setattr("datafast._util.plugins.entry_points", read)
    door().load("path")

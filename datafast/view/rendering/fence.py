"""The second fence around what is made of texts: only these elements, attributes, classes and schemes of addresses pass.

The first fence is that everything is escaped where it is put in.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from datafast.view.rendering.code import CLASSES
from datafast.view.rendering.formulas import ATTRIBUTES, ELEMENTS

if TYPE_CHECKING:
    import nh3

__all__ = ["REL", "SCHEMES", "TAGS", "fenced"]

SCHEMES = frozenset({"http", "https", "mailto"})
"""The schemes of addresses that can be followed."""
REL = "noopener noreferrer nofollow"
"""What every link says of where it leads."""
_OF_BLOCKS = "p h4 h5 h6 blockquote ul ol li table thead tbody tr th td hr pre div"
_OF_LINES = "a br code del em ins mark s span strong"
_BLOCKS = frozenset(_OF_BLOCKS.split())
TAGS = _BLOCKS | ELEMENTS | frozenset(_OF_LINES.split())
"""All elements."""
_CLASSES: dict[str, set[str]] = {
    "span": {*CLASSES, "hidden-character", "picture", "dead-link", "address", "formula", "unseen"},
    "div": {"formula", "table"},
    "code": {"formula-source"},
    "a": {"away"},
    "pre": {"code"},
    "h4": {"first", "second"},
    **{name: {"align-center", "align-right", "align-left"} for name in ("td", "th")},
}


def fenced(made: Markup) -> Markup:
    """What has been made, without anything that is not allowed."""
    return Markup(_cleaner().clean(made))  # noqa: S704 - this is the fence


@cache
def _cleaner() -> nh3.Cleaner:
    import nh3

    attributes: dict[str, set[str]] = {name: set(ATTRIBUTES) for name in ELEMENTS}
    attributes |= {"a": {"href", "title"}, "span": {"title"}, "ol": {"start"}}
    directions: dict[str, Any] = {
        name: {"dir": {"auto", "ltr", "rtl"}} for name in _BLOCKS | {"span", "code", "a"} if name != "hr"
    }
    return nh3.Cleaner(
        tags=set(TAGS),
        clean_content_tags=set(),
        attributes=attributes,
        tag_attribute_values={**directions, "a": {**directions["a"], "target": {"_blank"}}},
        allowed_classes=_CLASSES,
        url_schemes=set(SCHEMES),
        link_rel=REL,
        url_relative="deny",
    )

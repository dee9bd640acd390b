"""Formulas in LaTeX as MathML, which browsers show without a font or a script.

What latex2mathml makes is written out here, element by element: it does not escape texts, and passes styles and addresses of links on.
A formula that it cannot read, or that is long, is shown as its source.
"""

from __future__ import annotations

import html
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from datafast.view.rendering.hidden import coded, with_codes

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["ATTRIBUTES", "ELEMENTS", "formula"]

_LETTERS = 2_000
_DEPTH = 60
_ELEMENTS = (
    "math mrow mi mn mo mtext ms mspace mfrac msqrt mroot mstyle mpadded mphantom menclose msub msup msubsup munder mover munderover "
    "mmultiscripts mprescripts mtable mtr mtd"
)
_ATTRIBUTES = (
    "display displaystyle scriptlevel mathvariant stretchy fence form largeop movablelimits separator minsize maxsize lspace rspace width "
    "height depth voffset linethickness columnalign columnspacing rowspacing columnlines rowlines notation accent accentunder"
)
ELEMENTS = frozenset(_ELEMENTS.split())
"""The elements of MathML that formulas are made of. Those that can hold HTML or fetch something are not among them."""
ATTRIBUTES = frozenset(_ATTRIBUTES.split())
"""Their attributes."""
_PARTS = {"mfrac": 2, "mroot": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2, "msubsup": 3, "munderover": 3}
_VALUE = re.compile(r"[-+.%a-z0-9 ]{1,60}", re.IGNORECASE)


@lru_cache(maxsize=512)
def formula(source: str, *, block: bool = False) -> Markup:
    """A formula as HTML."""
    from latex2mathml.converter import convert_to_element

    if len(source) <= _LETTERS and source.count("{") <= _DEPTH and source.count("\\begin") <= _DEPTH:
        try:
            element = convert_to_element(coded(source), display="block" if block else "inline")
            return _written(element)
        except Exception:  # noqa: BLE001, S110 - it raises errors of many sorts, also of its own code; the source says it all
            pass
    return Markup('<code class="formula-source" dir="ltr">{}</code>').format(with_codes(source))


def _written(element: Element, depth: int = 0) -> Markup:
    if element.tag not in ELEMENTS or depth > 4 * _DEPTH or len(element) != _PARTS.get(element.tag, len(element)):
        raise ValueError(element.tag)
    attributes = Markup("").join(
        Markup(' {}="{}"').format(name, value)
        for name, value in element.attrib.items()
        if name in ATTRIBUTES and _VALUE.fullmatch(value)
    )
    inner = Markup("").join(
        [_text(element.text), *(part for one in element for part in (_written(one, depth + 1), _text(one.tail)))]
    )
    return Markup("<{0}{1}>{2}</{0}>").format(element.tag, attributes, inner)


def _text(text: str | None) -> Markup:
    return escape(coded(html.unescape(text))) if text else Markup("")

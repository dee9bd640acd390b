"""What HTML made of rows may hold, checked with a parser that reads HTML as browsers do."""

from __future__ import annotations

from urllib.parse import urlsplit

import html5lib

HTML = "{http://www.w3.org/1999/xhtml}"
MATH = "{http://www.w3.org/1998/Math/MathML}"

_ELEMENTS = (
    "p h3 h4 h5 h6 blockquote ul ol li dl dt dd table thead tbody tr th td hr pre div section details summary "
    "a br code del em ins mark s span strong"
)
ELEMENTS = frozenset(_ELEMENTS.split())
_FORMULA_ELEMENTS = (
    "math mrow mi mn mo mtext ms mspace mfrac msqrt mroot mstyle mpadded mphantom menclose msub msup msubsup munder mover munderover "
    "mmultiscripts mprescripts mtable mtr mtd"
)
FORMULA_ELEMENTS = frozenset(_FORMULA_ELEMENTS.split())
ATTRIBUTES = frozenset(
    {"dir", "class", "title", "start", "scope", "aria-label", "open", "data-path", "data-from", "data-letters"}
)
LINK = frozenset({"href", "rel", "target"})
SCHEMES = frozenset({"http", "https", "mailto"})


def assert_safe(html: str) -> None:
    """Fails if HTML has an element, an attribute or a scheme of an address beyond these, or a comment."""
    for element in html5lib.parseFragment(html, treebuilder="etree", container="div").iter():
        assert isinstance(element.tag, str), f"a comment: {element.text!r}"
        if element.tag == "DOCUMENT_FRAGMENT":
            continue
        if element.tag.startswith(MATH):
            assert element.tag.removeprefix(MATH) in FORMULA_ELEMENTS, element.tag
            for name, value in element.attrib.items():
                assert not name.startswith(("on", "{", "href", "src", "style", "class", "id")), name
                assert not set(":(") & set(value), value
            continue
        name = element.tag.removeprefix(HTML)
        assert name in ELEMENTS, element.tag
        allowed = ATTRIBUTES | LINK if name == "a" else ATTRIBUTES
        assert set(element.attrib) <= allowed, (element.tag, dict(element.attrib))
        if name == "a":
            assert urlsplit(element.attrib.get("href", "https://")).scheme in SCHEMES, element.attrib
            assert element.attrib.get("rel") == "noopener noreferrer nofollow"


def text_of(html: str, between: str = "") -> str:
    """What is read of HTML."""
    return between.join(html5lib.parseFragment(html, treebuilder="etree").itertext())

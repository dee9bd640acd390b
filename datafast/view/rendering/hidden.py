"""Characters that cannot be seen, or that change how others are shown, as codes.

These are control characters and the terminal escapes that begin with one, marks of direction, characters without a width, letters that
are shown as nothing, tags and selectors that can smuggle a text. Joiners and selectors stay where an orthography needs them: between
letters of Arabic and of Indian scripts, in emoji. Raw text shows those as codes too.
"""

from __future__ import annotations

import re
import unicodedata

from markupsafe import Markup, escape

__all__ = ["coded", "with_codes"]

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_JOINERS = "\u200c\u200d"
_EMOJI_STYLES = "\ufe0e\ufe0f"
_JOINING = re.compile(
    "[\u0600-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u17b3\u17b6-\u17ff\u1810-\u18af\ufb50-\ufdff\ufe70-\ufefc]"
)
_PICTURES = frozenset({"So", "Sk"})
_STYLED = frozenset({"So", "Sm", "Nd", "Po", "Pd"})
_STYLED_LETTERS = "\u2139\u24c2\u3297\u3299\u303d"
_CONTROLS = {
    0x00: "null",
    0x07: "bell",
    0x08: "backspace",
    0x0B: "vertical tab",
    0x0C: "form feed",
    0x0D: "carriage return",
    0x1B: "escape",
    0x7F: "delete",
    0x85: "next line",
    0x9B: "control sequence introducer",
}


def coded(text: str, *, every: bool = False) -> str:
    """A text with codes in the place of hidden characters; what it gives is plain text.

    Args:
        every: those that an orthography needs too.
    """
    return _HIDDEN.sub(lambda found: found[0] if _is_needed(found, every) else _code(found[0]), _lines(text))


def with_codes(text: str, *, every: bool = False) -> Markup:
    """The same as HTML: the codes are marked, and say on hover what they are."""
    parts, end, text = [], 0, _lines(text)
    for found in _HIDDEN.finditer(text):
        if _is_needed(found, every):
            continue
        name = f"U+{ord(found[0]):04X} {_name(found[0])}".strip()
        parts += [escape(text[end : found.start()]), _CODE.format(name=name, code=_code(found[0]))]
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])


_CODE = Markup('<span class="hidden-character" title="{name}">{code}</span>')


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n") if "\r" in text else text


def _code(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _name(character: str) -> str:
    number = ord(character)
    if 0xD800 <= number <= 0xDFFF:
        return "half of a surrogate pair"
    return unicodedata.name(character, _CONTROLS.get(number, "control character")).lower()


def _is_needed(found: re.Match[str], every: bool) -> bool:
    character, text = found[0], found.string
    before = text[found.start() - 1] if found.start() else ""
    after = text[found.end()] if found.end() < len(text) else ""
    if every or not before:
        return False
    if character in _JOINERS:
        if _JOINING.match(before):
            return not after or not _HIDDEN.match(after)
        is_picture = before in _EMOJI_STYLES or unicodedata.category(before) in _PICTURES
        return bool(after) and is_picture and unicodedata.category(after) in _PICTURES and character == "\u200d"
    if character in _EMOJI_STYLES:
        return unicodedata.category(before) in _STYLED or before in _STYLED_LETTERS
    return False

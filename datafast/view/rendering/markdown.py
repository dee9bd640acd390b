"""Markdown as HTML: what a model has written, formatted, and nothing that it could run or load.

HTML in it is shown as text. Of an image its text and address are shown. A link to a page or to a mail address can be followed by a
click, in a window of its own that is told nothing of this one; other links are shown with their address. Each block finds its own
direction.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup

from datafast.view.rendering.code import highlighted
from datafast.view.rendering.fence import REL, SCHEMES, fenced
from datafast.view.rendering.formulas import formula
from datafast.view.rendering.hidden import coded, with_codes

__all__ = ["markdown"]

_ADDRESS = 300
_PRICE = re.compile(r"\d[\d.,]*(?:\s|$)")
_LIKE_FORMULA = re.compile(r"[\\^_={}<>+*/]")
_ALIGNED = re.compile(r"text-align:(left|center|right)")


def markdown(text: str) -> Markup:
    """A text as HTML."""
    return fenced(Markup(_parser().render(_known_lines(text))))  # noqa: S704 - every rule escapes, and the fence is around it


def _known_lines(text: str) -> str:
    """Ends of lines as Markdown knows them. It would take the character 0 for another one."""
    return text.replace("\r\n", "\n").replace("\r", "\\r").replace("\0", "\\x00")


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False, "breaks": True}, renderer_cls=_Renderer)
    parser.enable(["table", "strikethrough"])
    parser.inline.ruler.before("escape", "formula", _inline_formula)
    parser.block.ruler.before("fence", "formula", _block_formula, {"alt": ["paragraph", "blockquote", "list"]})
    return parser


class _Renderer(RendererHTML):
    """How tokens become HTML. The rules of the base class that are left put in nothing that a text holds."""

    def text(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return with_codes(tokens[idx].content)

    def text_special(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return with_codes(tokens[idx].content)

    def code_inline(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return Markup('<code dir="auto">{}</code>').format(with_codes(tokens[idx].content))

    def code_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return _block_of_code(with_codes(tokens[idx].content))

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        language = tokens[idx].info.strip().partition(" ")[0]
        return _block_of_code(highlighted(tokens[idx].content, language))

    def html_inline(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return with_codes(tokens[idx].content)

    html_block = html_inline

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[idx]
        address = _cut(str(token.attrs.get("src", "")))
        shown = with_codes(self.renderInlineAsText(token.children or [], options, env) or "without a text")
        return Markup(
            '<span class="picture">Image, not loaded: {} <span class="address" dir="ltr">{}</span></span>'
        ).format(shown, with_codes(address))

    def link_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        address = _followed(tokens[idx])
        if address is None:
            return '<span class="dead-link">'
        return Markup('<a class="away" href="{}" title="{}" target="_blank" rel="{}">').format(
            address, coded(_cut(address)), REL
        )

    def link_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        opened = _opening(tokens, idx)
        address = _followed(opened)
        shown = _cut(address if address is not None else str(opened.attrs.get("href", "")))
        told = Markup(' <span class="address" dir="ltr">{}</span>').format(with_codes(shown))
        if address is not None and _is_its_own_text(tokens, idx, address):
            told = Markup("")
        return Markup("</span>{}").format(told) if address is None else Markup("</a>{}").format(told)

    def formula_inline(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return Markup('<span class="formula" dir="ltr">{}</span>').format(
            formula(tokens[idx].content, block=tokens[idx].block)
        )

    def formula_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return Markup('<div class="formula" dir="ltr">{}</div>\n').format(formula(tokens[idx].content, block=True))

    def heading_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        level = int(tokens[idx].tag[1])
        name = {1: ' class="first"', 2: ' class="second"'}.get(level, "")
        return f'<{_heading(level)} dir="auto"{name}>'

    def heading_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f"</{_heading(int(tokens[idx].tag[1]))}>\n"

    def ordered_list_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        start = tokens[idx].attrs.get("start")
        number = "" if start is None else f' start="{int(start)}"'
        return f'<ol dir="{_direction(tokens, idx)}"{number}>\n'

    def _placed(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """What has marks at its beginning: these stand where its first line begins."""
        return f'<{tokens[idx].tag} dir="{_direction(tokens, idx)}">'

    bullet_list_open = _placed
    blockquote_open = _placed
    list_item_open = _placed

    def table_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return '<div class="table"><table>\n'

    def table_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return "</table></div>\n"

    def th_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        aligned = _ALIGNED.search(str(tokens[idx].attrs.get("style", "")))
        name = f' class="align-{aligned[1]}"' if aligned else ""
        return f'<{tokens[idx].tag} dir="auto"{name}>'

    td_open = th_open

    def _directed(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[idx]
        return "" if token.hidden else f'<{token.tag} dir="auto">'

    paragraph_open = _directed


def _direction(tokens: Sequence[Token], idx: int) -> str:
    """The direction of the first line in a block. Browsers find none where the blocks in it find their own."""
    first = next((token.content for token in tokens[idx:] if token.type in ("inline", "fence", "code_block")), "")
    strong = (direction for direction in map(unicodedata.bidirectional, first) if direction in ("L", "R", "AL"))
    return "rtl" if next(strong, "L") in ("R", "AL") else "ltr"


def _heading(level: int) -> str:
    """Below the headings of the page."""
    return f"h{min(level + 3, 6)}"


def _block_of_code(inner: Markup) -> str:
    return Markup('<pre class="code" dir="ltr"><code dir="ltr">{}</code></pre>\n').format(inner)


def _opening(tokens: Sequence[Token], index: int) -> Token:
    level = tokens[index].level
    return next(one for one in reversed(tokens[:index]) if one.type == "link_open" and one.level == level)


def _followed(opened: Token) -> str | None:
    """The address of a link if it can be followed."""
    address = str(opened.attrs.get("href", ""))
    scheme, colon, rest = address.partition(":")
    return address if colon and rest and scheme.lower() in SCHEMES else None


def _is_its_own_text(tokens: Sequence[Token], index: int, address: str) -> bool:
    before = tokens[index - 1]
    said = before.content if before.type == "text" and tokens[index - 2].type == "link_open" else ""
    return said.rstrip("/") in {address.rstrip("/"), address.removeprefix("mailto:")}


def _cut(address: str) -> str:
    return address if len(address) <= _ADDRESS else f"{address[:_ADDRESS]}…"


_MARKS = (("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"), ("$", "$"))


def _inline_formula(state: StateInline, silent: bool) -> bool:
    for opens, closes in _MARKS:
        if state.src.startswith(opens, state.pos):
            start = state.pos + len(opens)
            end = _end_of(state.src, start, closes)
            if end is None or end > state.posMax or not _is_formula(state.src, state.pos, start, end, opens):
                return False
            if not silent:
                token = state.push("formula_inline", "math", 0)
                token.content, token.block = state.src[start:end].strip(), opens in ("$$", "\\[")
            state.pos = end + len(closes)
            return True
    return False


def _end_of(source: str, start: int, closes: str) -> int | None:
    end = source.find(closes, start, start + 2_100)
    while end > 0 and source[end - 1] == "\\" and closes.startswith("$"):
        end = source.find(closes, end + 1, start + 2_100)
    return None if end < start + 1 else end


def _is_formula(source: str, begin: int, start: int, end: int, opens: str) -> bool:
    """Whether it is no price: single dollar signs touch what they enclose, and no letters outside."""
    if opens != "$":
        return bool(source[start:end].strip())
    inner, before, after = source[start:end], source[begin - 1 : begin], source[end + 1 : end + 2]
    if inner[0].isspace() or inner[-1].isspace() or before.isalnum() or after.isalnum() or "\n\n" in inner:
        return False
    return not (_PRICE.match(inner) and " " in inner and not _LIKE_FORMULA.search(inner))


def _block_formula(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """A formula whose marks begin a line and end one."""
    if state.is_code_block(first):
        return False
    begin = state.bMarks[first] + state.tShift[first]
    opens, closes = next(((one, other) for one, other in _MARKS[:2] if state.src.startswith(one, begin)), ("", ""))
    if not opens:
        return False
    end = _end_of(state.src, begin + len(opens), closes)
    if end is None or not state.src[begin + len(opens) : end].strip():
        return False
    line = next((one for one in range(first, last) if state.bMarks[one] <= end < state.eMarks[one] + 1), None)
    if line is None or state.src[end + len(closes) : state.eMarks[line]].strip():
        return False
    if not silent:
        token = state.push("formula_block", "math", 0)
        inner = state.getLines(first, line + 1, state.blkIndent, False).strip()
        token.content = inner.removeprefix(opens).removesuffix(closes).strip()
        token.map = [first, line + 1]
    state.line = line + 1
    return True

"""Markdown as HTML: formats, links, images, code, formulas, directions."""

from __future__ import annotations

import pytest

from datafast.view.rendering.markdown import markdown
from tests.view.rendering.safe_html import text_of


def test_html_in_a_text_is_shown_as_text() -> None:
    assert markdown("<b>a</b>\n\n<div>c</div>") == (
        '<p dir="auto">&lt;b&gt;a&lt;/b&gt;</p>\n<p dir="auto">&lt;div&gt;c&lt;/div&gt;</p>\n'
    )


def test_headings_stand_below_those_of_the_page() -> None:
    assert markdown("# a\n## b\n#### d") == (
        '<h4 dir="auto" class="first">a</h4>\n<h5 dir="auto">b</h5>\n<h6 dir="auto">d</h6>\n'
    )


def test_lines_stay_lines() -> None:
    assert markdown("a\nb") == '<p dir="auto">a<br>\nb</p>\n'


@pytest.mark.parametrize("address", ["https://a.test/x?y=1", "http://a.test", "mailto:a@b.test"])
def test_a_link_can_be_followed_and_shows_its_address(address: str) -> None:
    html = markdown(f"[here]({address})")
    assert f'href="{address}"' in html
    assert 'rel="noopener noreferrer nofollow"' in html
    assert text_of(html).strip() == f"here {address}"


def test_a_link_that_is_its_address_is_not_said_twice() -> None:
    assert text_of(markdown("<https://a.test> <a@b.test>")).strip() == "https://a.test a@b.test"


@pytest.mark.parametrize("address", ["/o/1/rows", "ftp://a.test/x", "#top", "other:x", "//a.test/x"])
def test_other_links_are_shown_and_cannot_be_followed(address: str) -> None:
    html = markdown(f"[here]({address})")
    assert "<a" not in html
    assert text_of(html).strip() == f"here {address}"


def test_bare_addresses_are_no_links() -> None:
    assert markdown("see https://a.test/x") == '<p dir="auto">see https://a.test/x</p>\n'


def test_an_image_is_its_text_and_its_address() -> None:
    html = markdown("![a *small* cat](https://a.test/cat.png)")
    assert "<img" not in html
    assert text_of(html).strip() == "Image, not loaded: a small cat https://a.test/cat.png"


def test_the_address_of_an_image_is_cut() -> None:
    assert len(markdown(f"![x](data:image/png;base64,{'A' * 50_000})")) < 1_000


def test_code_has_the_colours_of_its_language_and_else_none() -> None:
    assert '<span class="code-k">def</span>' in markdown("```python\ndef f(): pass\n```")
    assert "<span" not in markdown("```klingon\ndef f(): pass\n```")
    assert text_of(markdown('```json\n{"a": [1]}\n```')) == '{"a": [1]}\n\n'


def test_tables_keep_their_alignment_without_a_style() -> None:
    html = markdown("| a | b |\n|:-:|--:|\n| 1 | 2 |")
    assert '<td dir="auto" class="align-center">1</td>' in html
    assert "style" not in html


@pytest.mark.parametrize("text", ["$x^2$", "\\(x^2\\)", "a $x^2$, b", "**$x^2$**"])
def test_a_formula_in_a_line_is_mathml(text: str) -> None:
    assert '<math display="inline"><mrow><msup><mi>x</mi><mn>2</mn></msup></mrow></math>' in markdown(text)


@pytest.mark.parametrize(
    "text", ["$$a = b$$", "\\[a = b\\]", "$$\na\n= b\n$$", "\\[\na = b\n\\]", "so\n$$\na = b\n$$\nand", "- $$a = b$$"]
)
def test_a_formula_of_its_own_is_a_block(text: str) -> None:
    assert '<math display="block"><mrow><mi>a</mi><mo>=</mo><mi>b</mi></mrow></math>' in markdown(text)


@pytest.mark.parametrize(
    "text",
    [
        "It costs $5 and $6.",
        "$5-$6",
        "from $5 to 6$ and",
        "US$5 or A$7",
        "$HOME and $PATH",
        "$HOME/$USER",
        "a $ b $ c",
        "$5",
    ],
)
def test_prices_and_names_are_no_formulas(text: str) -> None:
    assert markdown(text) == f'<p dir="auto">{text}</p>\n'


def test_a_formula_that_cannot_be_read_is_its_source() -> None:
    assert '<code class="formula-source" dir="ltr">\\frac{a</code>' in markdown("$\\frac{a$")
    assert "<math" not in markdown(f"${'x' * 2_050}$")


def test_formulas_in_code_are_code() -> None:
    assert "<math" not in markdown("`$x^2$`\n\n```\n$$x$$\n```\n\n    \\(x\\)")


def test_each_block_finds_its_direction() -> None:
    assert markdown("שלום") == '<p dir="auto">שלום</p>\n'
    assert '<blockquote dir="rtl"><p dir="auto">مرحبا</p>' in markdown("> مرحبا")
    assert '<ul dir="rtl"><li dir="rtl">1. שלום</li>' in markdown("- 1\\. שלום").replace("\n", "")
    assert '<ol dir="ltr" start="3"><li dir="ltr">hi</li>' in markdown("3. hi").replace("\n", "")


def test_hidden_characters_are_codes_everywhere() -> None:
    html = markdown(
        "a\u202eb `c\u200bd`\n\n```\n\x1b[31m\n```\n\n[e\u2066](https://a.test/\u202ex) ![\u200b](x\u200by)\n\n# \u061c"
    )
    assert not set("\u202e\u200b\x1b\u2066\u061c") & set(html)
    assert '<span class="hidden-character" title="U+202E right-to-left override">\\u202e</span>' in html

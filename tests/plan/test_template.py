"""Templates: what is replaced, what is kept to the byte, what is refused."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datafast import logger_config
from datafast.errors import ConfigError, DatafastWarning
from datafast.plan.template import Template

BRACE_TEXT = st.text(alphabet=st.sampled_from(list('{}<>ab_x \\"\n$:é')), max_size=60)
KNOWN = {"topic": "T", "tone": "O", "labels": "L"}


def parse(text: str, **changes: object) -> Template:
    settings = {"mandatory": (), "optional": ("topic", "labels"), "placeholders": {"tone": ["warm"]}} | changes
    return Template.parse(text, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("spelling", ["<<tone>>", "{{tone}}", "{tone}"])
def test_a_declared_placeholder_is_replaced_in_each_spelling(spelling):
    assert parse(f"a {spelling} text").render(KNOWN) == "a O text"


def test_a_name_that_the_kind_fills_is_replaced():
    assert parse("about {topic}, {topic}!", mandatory=("topic",)).render(KNOWN) == "about T, T!"


@pytest.mark.parametrize(
    "text",
    [
        '{"a": {"b": [1]}}',
        "{",
        "}",
        "{{",
        "}}",
        "{}",
        "{{}}",
        "{x!r:>10}",
        r"\frac{a}{bc} and x_{max} and \textbf{bold}",
        "${HOME} f{x} p={value}",
        "for (i = 1 << n; i >> 1;) { i++ }",
        "<<EOF\n{}\nEOF",
        "100 % {a}",
        "<< 3 >>",
    ],
)
def test_braces_of_code_and_latex_are_kept_to_the_byte_without_a_warning(text):
    assert parse(text).render(KNOWN) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{{tone}}}", "{O}"),
        ("{{topic}", "{T"),
        ("{topic}}", "T}"),
        ("{<<tone>>}", "{O}"),
        ("<{tone}>", "<O>"),
        ("<<<tone>>>", "<O>"),
        (r"\frac{topic}{2}", r"\fracT{2}"),
        ('{"q": "{topic}"}', '{"q": "T"}'),
    ],
)
def test_only_the_token_itself_is_replaced_among_other_braces(text, expected):
    assert parse(text).render(KNOWN) == expected


def test_a_pair_of_tags_in_angle_brackets_is_text_unless_its_name_is_declared():
    text = "[INST] <<SYS>>\nAbout {topic}.\n<</SYS>> [/INST] <<tone>>"
    assert parse(text).render(KNOWN) == "[INST] <<SYS>>\nAbout T.\n<</SYS>> [/INST] O"
    with pytest.raises(ConfigError, match=r"<<SYS>> is not declared"):
        parse(text.replace("<</SYS>>", ""))
    declared = Template.parse(text, mandatory=(), optional=["topic"], placeholders=["SYS", "tone"])
    assert declared.render({**KNOWN, "SYS": "!"}) == "[INST] !\nAbout T.\n<</SYS>> [/INST] O"


@given(BRACE_TEXT)
@example("Write for <<x>>.")
def test_text_without_known_names_never_raises_and_renders_to_the_byte(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DatafastWarning)
        try:
            template = parse(text)
        except ConfigError as error:
            assert "not declared" in str(error)  # noqa: PT017 - `<<x>>` may turn up by chance
            return
    assert template.render({}) == text


@given(
    st.lists(
        st.one_of(st.sampled_from(["{topic}", "<<tone>>", "{{tone}}", "{labels}"]), st.text("{}<> ,.\n")), max_size=12
    )
)
def test_pieces_joined_by_hand_equal_the_rendered_template(pieces):
    separated = "|".join(pieces)  # the bar keeps a brace of one piece from meeting a token of the next
    by_hand = "|".join({"{topic}": "T", "<<tone>>": "O", "{{tone}}": "O", "{labels}": "L"}.get(p, p) for p in pieces)
    assert parse(separated).render(KNOWN) == by_hand


@given(
    st.dictionaries(st.sampled_from(list(KNOWN)), st.sampled_from(["{topic}", "<<tone>>", "{{tone}}", "{", "<<x>>"]))
)
def test_inserted_values_are_never_scanned_again(values):
    filled = KNOWN | values
    assert parse("{topic}|<<tone>>|{labels}").render(filled) == "|".join(filled[n] for n in ("topic", "tone", "labels"))


def test_a_missing_mandatory_name_is_named_with_its_field():
    with pytest.raises(ConfigError, match=r"prompts\[1\]: \{topic\}, \{language_name\} are missing"):
        parse("Write.", mandatory=("topic", "language_name"), field="prompts[1]")


@pytest.mark.parametrize("token", ["{{topic}}", "<<topic>>"])
def test_a_mandatory_name_in_the_spelling_of_placeholders_is_refused_with_the_fix(token):
    with pytest.raises(ConfigError, match=r"Write \{topic\}"):
        parse(f"About {token}.", mandatory=("topic",))


def test_an_undeclared_placeholder_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"<<tonne>> is not declared. Did you mean <<tone>>\?"):
        parse("In a <<tonne>> voice")


def test_an_undeclared_placeholder_without_a_near_name_is_refused_with_the_fix():
    with pytest.raises(ConfigError, match=r"Declare its values under expansion.placeholders: \{'audience': \[...\]\}"):
        parse("For <<audience>>")


def test_a_placeholder_named_like_a_name_of_the_kind_is_refused():
    with pytest.raises(ConfigError, match="topic is filled by the dataset itself"):
        parse("{topic}", placeholders={"topic": ["a"]})


@pytest.mark.parametrize("name", ["", " tone", "a}b", "a<b", "a\nb"])
def test_a_name_that_cannot_be_written_in_a_template_is_refused(name):
    with pytest.raises(ConfigError, match="cannot be a placeholder name"):
        parse("x", placeholders=[name])


def test_names_with_spaces_and_signs_can_be_declared():
    assert (
        parse("<<reading level>> {c++}", placeholders=["reading level", "c++"]).render(
            {"reading level": "A2", "c++": "yes"}
        )
        == "A2 yes"
    )


def test_a_text_that_is_no_string_is_refused():
    with pytest.raises(ConfigError, match="expected a text, got int"):
        parse(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("token", ["{topc}", "{{topc}}", "{Topic}"])
def test_an_unknown_name_is_kept_with_a_warning_that_names_the_nearest(token):
    with pytest.warns(DatafastWarning, match="did you mean topic"):
        template = parse(f"About {token} now")
    assert template.render(KNOWN) == f"About {token} now"


def test_all_unknown_names_of_a_template_share_one_warning():
    with pytest.warns(DatafastWarning) as caught:
        parse("{audience} and {{mood}} and {audience}")
    assert len(caught) == 1
    assert str(caught[0].message).count("audience") == 1


@pytest.mark.parametrize("token", ["{{ tone }}", "<< tone >>", "{ topic }"])
def test_a_known_name_between_spaces_is_kept_with_a_warning(token):
    with pytest.warns(DatafastWarning, match="without the spaces"):
        template = parse(f"a {token} b")
    assert template.render(KNOWN) == f"a {token} b"


def test_a_warning_goes_to_the_log_alone_where_logging_is_on(monkeypatch):
    messages: list[str] = []
    sink = logger_config.logger.add(messages.append, format="{message}")
    monkeypatch.setattr(logger_config, "is_configured", lambda: True)
    try:
        parse("About {topc}")
    finally:
        logger_config.logger.remove(sink)
    assert len(messages) == 1
    assert "did you mean topic" in messages[0]


def warning_of(text, **options):
    with pytest.warns(DatafastWarning) as caught:
        parse(text, **options)
    (message,) = {str(warning.message) for warning in caught}
    return message


def test_what_was_kept_as_plain_text_is_told_with_the_reason_and_what_helps():
    assert warning_of("About {topc} and {audience}", field="prompts[0]") == (
        "prompts[0]: Kept as plain text, because no such name is known: {topc} (did you mean topic?), {audience}. If it should vary, "
        "declare its values under expansion.placeholders."
    )
    assert warning_of("a << tone >> b { topic }", field="prompts[0]") == (
        "prompts[0]: Kept as plain text, because of its spaces: << tone >> (write it without the spaces to have tone filled in), "
        "{ topic } (write it without the spaces to have topic filled in)."
    )


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        ("x", {"mandatory": ("topic",)}, "prompts[0]: {topic} is missing. The dataset fills it, so add {topic}."),
        (
            "x",
            {"mandatory": ("topic", "labels")},
            "prompts[0]: {topic}, {labels} are missing. The dataset fills them, so add {topic}, {labels}.",
        ),
        (
            "x",
            {"optional": ("topic",), "placeholders": ["topic", "labels"]},
            "prompts[0]: topic is filled by the dataset itself and cannot be declared under expansion.placeholders. Rename the "
            "placeholder there and in the prompts.",
        ),
        (
            "x",
            {"placeholders": ["topic", "labels"]},
            "prompts[0]: labels, topic are filled by the dataset itself and cannot be declared under expansion.placeholders. Rename "
            "the placeholder there and in the prompts.",
        ),
        (
            "<<topik>>",
            {},
            "prompts[0]: <<topik>> is not declared. Did you mean {topic}? Otherwise declare its values under",
        ),
        (
            "<<ton>>",
            {},
            "prompts[0]: <<ton>> is not declared. Did you mean <<tone>>? Otherwise declare its values under",
        ),
    ],
)
def test_a_refusal_names_the_field_and_the_fix(text, options, told):
    with pytest.raises(ConfigError) as refused:
        parse(text, field="prompts[0]", **options)
    assert str(refused.value).startswith(told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{topc}", "prompts[0]: {topc} is not known. Did you mean {topic}? If it is plain text, put spaces"),
        ("{zzzzzzzz}", "prompts[0]: {zzzzzzzz} is not known. There are {labels}, {tone}, {topic}. If it is plain"),
    ],
)
def test_where_all_names_are_known_any_other_is_refused(text, told):
    with pytest.raises(ConfigError) as refused:
        parse(text, field="prompts[0]", closed=True, optional=("topic", "labels"), placeholders=["tone"])
    assert str(refused.value).startswith(told)
    assert parse("{ zz } f{zz} {z}", closed=True).text == "{ zz } f{zz} {z}"


def test_names_of_other_prompts_vary_a_template_and_each_counts_once():
    template = parse("<<b>> {topic}", placeholders=["a", "b", "c"])
    assert template.varied_by(["c", "b", "a"]).placeholder_names == ("b", "c", "a")
    assert template.varied_by(["c"]).render({"b": "x", "topic": "y", "c": "z"}) == "x y"


def test_used_names_are_listed_in_order_of_first_occurrence():
    template = parse("<<b>> {topic} <<a>> <<b>>", placeholders=["a", "b", "c"])
    assert template.placeholder_names == ("b", "a")
    assert template.kind_names == {"topic"}


def test_the_digest_is_that_of_the_text_alone():
    assert parse("{topic}").digest == parse("{topic}", optional=(), placeholders=["topic"]).digest
    assert len(parse("a").digest) == 16
    assert parse("a").digest != parse("b").digest


def test_a_template_cannot_be_changed():
    with pytest.raises(AttributeError):
        parse("a").text = "b"  # type: ignore[misc]


@pytest.mark.parametrize(("text", "remarked"), [("{x}", False), ("{ab}", True), ("a {ab}", True), ("f{ab}", False)])
def test_only_what_looks_like_a_placeholder_is_remarked_on(text, remarked):
    """A single letter, and braces right behind a word, are mathematics or code."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        parse(text)
    assert [str(warning.message) for warning in caught if "{ab}" in str(warning.message)] == (
        [str(caught[0].message)] if remarked else []
    )

"""Templates of columns: what is filled, what is kept to the byte, what is refused, and what is stopped."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafast.errors import ConfigError
from datafast.templates.base import RenderError
from datafast.templates.parse import parse_expression, parse_template

VALUES: dict[str, Any] = {
    "topic": "tides",
    "level": "easy",
    "code": "{topic} {{ topic }} {% if %}",
    "tags": ["sea", "moon"],
    "person": {"name": "Ada", "items": 3, "next step": "rest"},
    "nothing": None,
    "score": 4.25,
    "done": True,
}


def render(text: str, **more: Any) -> str:
    values = {**VALUES, **more}
    return parse_template(text, names=values, field="prompt").render(values)


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_template(text, names=VALUES, field="prompt")
    return str(caught.value)


# -- what is filled


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("about {topic}.", "about tides."),
        ("{topic}{level}", "tideseasy"),
        ("{person.name}, {tags[0]}, {tags[-1]}", "Ada, sea, moon"),
        ("{person['next step']} {person.items}", "rest 3"),
        ("[{nothing}] {nothing.deeper}", "[] "),
        ("{tags} {person}", '["sea","moon"] {"name":"Ada","items":3,"next step":"rest"}'),
        ("{score} {done}", "4.25 true"),
        ("{{ topic | upper }}", "TIDES"),
        ("{{topic}}", "tides"),
        ("{{ person.items }} {{ person['name'] }}", "3 Ada"),
        ("{{ '%.1f' | format(score) }} {{ score | round(1) }}", "4.2 4.2"),
        ("{% for tag in tags %}{{ loop.index }} {{ tag }};{% endfor %}", "1 sea;2 moon;"),
        ("{% if level == 'easy' %}{topic}{% else %}{code}{% endif %}", "tides"),
        ("{% set n = tags | length %}{{ n }} {topic}", "2 tides"),
        ("{% macro shout(x) %}{{ x | upper }}!{% endmacro %}{{ shout(topic) }}", "TIDES!"),
        ("{% raw %}{topic} {{ topic }}{% endraw %} {topic}", "{topic} {{ topic }} tides"),
        ("{# not shown #}{% if done %}{topic}{% endif %}", "tides"),
    ],
)
def test_a_template_is_filled(text: str, expected: str) -> None:
    assert render(text) == expected


def test_a_conditional_with_whitespace_control_and_single_braces_in_its_branches() -> None:
    text = """
           {%- if level == "easy" -%}
           write a prompt about: {topic}
           {%- else -%}
           write a question about: {code}
           {%- endif -%}
           """
    assert render(text) == "write a prompt about: tides"
    assert render(text, level="hard") == f"write a question about: {VALUES['code']}"


def test_inserted_values_are_never_looked_at_again() -> None:
    assert render("{code}|{{ code }}|{% if done %}{code}{% endif %}") == "|".join([VALUES["code"]] * 3)


# -- what is kept


@pytest.mark.parametrize(
    "text",
    [
        '{"a": {"b": [1, {}]}, "c": {{"d": 1}}}',
        "\\frac{ab}{cd} x_{max} \\textbf{bold}",
        "${HOME} f{x} {x} {} { } {{}} {0}",
        "def f(): return {1: 2} if {3} else {**kwargs}",
        "for (;;) { a[i] = {}; }",
        "struct { int x; };\r\n\ttab\r",
        "{%\n a LaTeX comment\n%}",
        "{# of tables",
        "{{ 1 + 2 }} {{ 'text' }}",
        "{topic {level }topic}",
        "{{{{}}}} {{{",
    ],
)
def test_other_braces_are_kept_to_the_byte(text: str) -> None:
    assert render(text) == text
    assert render(text + " {topic}") == text + " tides"


@pytest.mark.parametrize(
    "text", ['{"a": {"b": {{"c": 1}}}}', "\\frac{ab}{cd}", "x\r\ny\rz\n", "{{", "{", "{#", "f{x} ${HOME}"]
)
def test_other_braces_are_kept_to_the_byte_beside_tags_too(text: str) -> None:
    assert (
        render(f"{text}{{% if done %}}{{topic}}{{% endif %}}{text} {{level}}{text}") == f"{text}tides{text} easy{text}"
    )


@given(st.text(alphabet="{}%#- abx\n\r'\"[].:|\\$", max_size=60))
def test_what_has_no_names_of_columns_is_text(text: str) -> None:
    values = {"column": "value"}
    assert parse_template(text, names=values, field="prompt").render(values) == text


@given(
    st.lists(
        st.sampled_from(["{column}", "{", "}", "{{", "}}", '{"a": 1}', "\r\n", "x_{i}", " ", "\\{", "é"]), max_size=12
    )
)
def test_fields_between_braces_are_filled_and_nothing_else_changes(parts: list[str]) -> None:
    text = "§".join(parts)  # apart, so that no two of them make something new
    for tagged in (False, True):
        tail = "{% if true %}{column}{% endif %}" if tagged else ""
        rendered = parse_template(text + "§" + tail, names=["column"], field="prompt").render({"column": "{column}"})
        assert rendered == text + "§" + ("{column}" if tagged else "")


@given(st.text(max_size=200))
def test_any_value_arrives_as_it_is(value: str) -> None:
    for text in ("<{column}>", "{% if true %}<{column}>{% endif %}", "<{{ column }}>"):
        assert parse_template(text, names=["column"], field="prompt").render({"column": value}) == f"<{value}>"


# -- what is refused


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("about {topc}", ["{topc}", "Did you mean 'topic'?", "{% raw %}"]),
        ("about {something_else}", ["no column 'something_else'", "Known: topic, level"]),
        ("{{ topc | upper }} {topic}{% if done %}{% endif %}", ["'topc'", "Did you mean 'topic'?"]),
        ("{{ topc }}", ["'topc'", "Did you mean 'topic'?"]),
        ("{% if levle == 'a' %}x{% endif %}", ["'levle'", "Did you mean 'level'?"]),
        ("{topic:>10}", ["{topic:>10}", "format(topic)"]),
        ("{score!r:}", ["{score!r:}"]),
        ("{% endfi %}", ["{% endfi %}", "'endif'"]),
        ("{% include 'x' %}", ["include", "stands by itself"]),
        ("{% import 'os' as os %}", ["import", "stands by itself"]),
        ("{% if done %}", ["endif"]),
        ("{% for x in tags recursive %}{{ loop(x) }}{% endfor %}", ["recursive"]),
        ("{{ topic | nosuch }}{% if done %}{% endif %}", ["nosuch"]),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_nearest(text: str, words: list[str]) -> None:
    message = refusal(text)
    assert message.startswith("prompt: ")
    assert [word for word in words if word not in message] == []


def test_an_unknown_part_of_an_object_with_known_parts_is_refused() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'score'"):
        parse_template(
            "{verdict.scor}", names=["verdict"], field="prompt", parts={"verdict": frozenset(["score", "reason"])}
        )


@pytest.mark.parametrize(
    "text",
    ["{person.nmae}", "{tags[7]}", "{topic.part}", "{{ person.nmae }}", "{{ tags[7] }}", "{{ 1 / (score - score) }}"],
)
def test_a_part_that_a_row_lacks_fails_the_rendering(text: str) -> None:
    with pytest.raises(RenderError):
        render(text)


# -- expressions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("score > 4 and level == 'easy'", True),
        ("{{ tags | length + 1 }}", 3),
        ("tags | map('upper') | list", ["SEA", "MOON"]),
        ("{'easy': 1, 'hard': 2}[level]", 1),
        ("person", VALUES["person"]),
        ("topic ~ '!' * 3", "tides!!!"),
        ("nothing", None),
        ("not nothing", True),
        ("range(3) | list", [0, 1, 2]),
    ],
)
def test_an_expression_gives_a_value(text: str, expected: Any) -> None:
    assert parse_expression(text, names=VALUES, field="when").evaluate(VALUES) == expected


@pytest.mark.parametrize("text", ["", "score >", "score > 4; x", "{% if done %}", "scroe > 4"])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^when: "):
        parse_expression(text, names=VALUES, field="when")


def test_columns_that_are_used_are_known_and_names_of_the_template_are_not_among_them() -> None:
    template = parse_template(
        "{% for t in tags %}{{ t ~ topic }}{% endfor %}{level}{% set x = score %}{{ x }}{{ range(2) | list }}",
        names=VALUES,
        field="prompt",
    )
    assert template.names == {"tags", "topic", "level", "score"}


def test_a_column_may_have_the_name_of_something_built_in() -> None:
    values = {"range": "wide", "dict": {"items": 1}}
    template = parse_template("{range} {{ range | upper }} {{ dict.items }}", names=values, field="prompt")
    assert template.render(values) == "wide WIDE 1"


# -- hostile templates

HOSTILE = [
    "{{ topic * 10**9 }}",
    "{{ [topic] * 10**9 }}",
    "{{ topic and 10**10**10**10 }}",
    "{{ topic and 9**64**64 }}",
    "{{ (topic and '%1000000000d') % 1 }}",
    "{{ (topic and '%1000000000d') | format(1) }}",
    "{{ (topic and '%*d') % (1000000000, 1) }}",
    "{{ topic | replace('', 'x' * 900000) }}",
    "{{ ([topic] * 200000) | join('x' * 900000) }}",
    "{{ topic | indent(1000000000, true) }}",
    "{{ topic.center(1000000000) }}",
    "{{ topic.ljust(1000000000) }}",
    "{{ (topic | string).zfill(1000000000) }}",
    "{{ topic.format(topic) }}",
    "{{ topic.expandtabs(10**9) }}",
    "{{ '-'.join([topic]) }}",
    "{{ topic.encode() }}",
    "{{ (topic and range(10**9)) | list }}",
    "{{ topic.__class__.__mro__ }}",
    "{{ topic['__class__'] }}",
    "{{ tags.append(1) }}",
    "{{ person.update({'a': 1}) }}",
    "{{ tags | sum(start=[]) }}",
    "{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}",
    "{% for a in range(9999) %}{{ 'x' * 1000 }}{% endfor %}",
    "{% set kept %}{% for a in range(9999) %}{{ 'x' * 90000 }}{% endfor %}{% endset %}{{ kept }}",
    "{% set kept %}{% for a in range(9999) %}" + "text " * 5000 + "{% endfor %}{% endset %}{{ kept }}",
    "{% set ns = namespace(s='xxxxxxxx') %}{% for a in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}",
    "{% set ns = namespace(s='xxxxxxxx') %}{% for a in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
    "{% set ns = namespace(s=[1]) %}{% for a in range(99) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s == ns.s }}",
    "{% set ns = namespace(n=7) %}{% for a in range(99) %}{% set ns.n = ns.n * ns.n %}{% endfor %}{{ ns.n }}",
    "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{% for a in range(9999) %}{% set b = 'x' * 400000 + 'y' * 400000 %}{% endfor %}{{ 1 / 0 }}",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_template_is_stopped_soon(text: str) -> None:
    began = time.process_time()
    with pytest.raises((RenderError, ConfigError)):
        render(text)
    assert time.process_time() - began < 10  # a second usually


@pytest.mark.parametrize(
    "text",
    [
        "{{" * 50_000,
        "{%" * 50_000,
        "{#" * 50_000,
        "{% raw %}" * 20_000,
        "{{ '" * 20_000,
        "{topic" * 50_000,
        "{% if '" * 10_000,
        ("{{" * 3_000 + "}}") * 10,
        ("{% if " * 1_000 + "%}") * 10,
        "{{ x " * 20_000 + "}}",
    ],
)
def test_a_text_full_of_openings_is_read_soon(text: str) -> None:
    began = time.process_time()
    if "%}" in text:
        refusal(text)  # a tag that is not closed, or is none
    else:
        assert render(text) == text
    assert time.process_time() - began < 20


@pytest.mark.parametrize("opening", ["(", "[", "not ", "-"])
def test_an_expression_nested_too_deeply_is_text_or_refused(opening: str) -> None:
    closing = {"(": ")", "[": "]"}.get(opening, "")
    with pytest.raises(ConfigError):
        parse_expression(opening * 3000 + "topic" + closing * 3000, names=VALUES, field="when")


def test_nothing_of_what_a_template_was_given_is_changed() -> None:
    before = json.dumps(VALUES)
    for text in HOSTILE:
        try:
            render(text)
        except (RenderError, ConfigError):
            continue
    assert json.dumps(VALUES) == before


# -- what has no text, and what counts as true


@pytest.mark.parametrize(
    "text",
    [
        "{{ topic.upper }}",
        "{{ topic ~ person.keys }}",
        "{{ [topic.upper] | join }}",
        "{{ tags | map('upper') }}",
        "{{ [topic.title] }}",
        "{% macro m() %}x{% endmacro %}{{ m }}{{ topic }}",
        "{{ person.items.__class__ }}{{ topic }}",
        "{{ {'a': topic.upper} }}",
        "{% for tag in tags %}{{ loop }}{% endfor %}",
    ],
)
def test_what_has_no_text_of_its_own_is_never_sent(text: str) -> None:
    with pytest.raises((RenderError, ConfigError)):
        render(text)


def test_a_method_that_was_not_called_says_so() -> None:
    with pytest.raises(RenderError, match=r"upper is not a value that can be written; call it: upper\(\)"):
        render("{{ topic.upper }}")
    with pytest.raises(RenderError, match="upper is not a value"):
        parse_expression("topic.upper", names=VALUES, field="when").evaluate(VALUES)


@pytest.mark.parametrize("flag", ["false", "False", " FALSE\n", "", None, False, 0])
@pytest.mark.parametrize(
    "text",
    [
        "{% if flag %}yes{% else %}no{% endif %}",
        "{% if not flag %}no{% else %}yes{% endif %}",
        "{% if flag and topic %}yes{% else %}no{% endif %}",
        "{% if topic and flag %}yes{% else %}no{% endif %}",
        "{% if nothing or flag %}yes{% elif flag %}yes{% else %}no{% endif %}",
        "{{ 'yes' if flag else 'no' }}",
        "{% for tag in tags if flag %}yes{% else %}no{% endfor %}",
    ],
)
def test_a_text_that_says_false_is_false(text: str, flag: Any) -> None:
    assert render(text, flag=flag) == "no"


def test_every_other_text_is_true_and_values_stay_what_they_are() -> None:
    assert render("{{ 'yes' if flag else 'no' }}", flag="0") == "yes"
    assert render("{{ flag }} {{ flag or 'x' }}", flag="false") == "false x"

"""Expansion: arithmetic, distinctness, limits, coverage; the permutation under it."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast._util.permutation import Permutation
from datafast.errors import ConfigError, DatafastWarning
from datafast.plan.expansion import Expansion, ExpansionSpec, Variant, expand_prompts
from datafast.plan.items import digest
from datafast.plan.template import Template


def expansion(
    texts: list[str], placeholders: dict[str, list[str]], *, remark: bool = False, **settings: object
) -> Expansion:
    lists = {name: tuple(values) for name, values in placeholders.items()}
    templates = [Template.parse(text, mandatory=(), placeholders=lists) for text in texts]
    return Expansion(templates, ExpansionSpec(placeholders=lists, **settings), remark=remark)  # type: ignore[arg-type]


def picks(of: Expansion, base: bytes = b"") -> list[Variant]:
    return [of.pick(i, base) for i in range(len(of))]


def identity(variant: Variant, texts: list[str]) -> tuple[object, ...]:
    return texts[variant.template_index], tuple(variant.values.items()), variant.repeat


def numbered(count: int) -> list[str]:
    return [str(number) for number in range(count)]


LISTS = {"a": numbered(3), "b": numbered(4), "c": numbered(5)}
HUGE = {name: numbered(10) for name in "abcdefghijkl"}
ALL_OF_HUGE = " ".join(f"<<{name}>>" for name in HUGE)


TWICE = {"a": ["1", "2", "3", "2"], "b": ["x", "y"], "c": ["p", "q", "r", "s", "p"]}
TEMPLATES = {
    "one": ["<<a>> <<b>> <<c>>"],
    "different": ["<<a>>", "<<b>> <<c>>", "plain"],
    "listed twice": ["<<a>> <<b>>", "<<c>>", "<<a>> <<b>>"],
}


@pytest.mark.parametrize("strategy", ["combinatorial", "random", "coverage"])
@pytest.mark.parametrize("texts", TEMPLATES)
def test_after_the_last_expansion_all_come_again_under_the_next_repeat_numbers(texts, strategy):
    drawn = expansion(TEMPLATES[texts], TWICE, strategy=strategy, num_random_samples=7, seed=3)
    for base in (b"", b"base"):
        variants = [drawn.endless(number, base) for number in range(3 * drawn.size + 90)]
        assert variants[: drawn.size] == picks(drawn, base)
        found = [identity(variant, TEMPLATES[texts]) for variant in variants]
        assert len(set(found)) == len(found)
        repeats = Counter((text, values) for text, values, _ in found)
        numbers = {asked: {number for *rest, number in found if tuple(rest) == asked} for asked in repeats}
        assert numbers == {asked: set(range(times)) for asked, times in repeats.items()}


def test_the_expansions_of_all_strategies_stay():
    """A change would buy other prompts for every output that exists."""
    found = [
        tuple(drawn.endless(number, base))
        for texts in TEMPLATES.values()
        for strategy in ("combinatorial", "random", "coverage")
        for drawn in [expansion(texts, TWICE, strategy=strategy, num_random_samples=7, seed=3)]
        for base in (b"", b"base")
        for number in range(3 * drawn.size + 40)
    ]
    assert digest(str(found)).hex() == "ba7c45d58c2294620452c17dd6187573"


# combinatorial


def test_each_template_is_expanded_over_the_names_it_uses():
    result = picks(expansion(["<<a>> <<b>>", "<<c>>", "plain"], LISTS))
    assert Counter(variant.template_index for variant in result) == {0: 12, 1: 5, 2: 1}
    assert result[0].values == {"a": "0", "b": "0"}
    assert result[-1] == Variant(2, {}, 0)


def test_combinations_come_in_the_order_of_the_lists_the_last_name_changing_fastest():
    values = [
        tuple(variant.values.values())
        for variant in picks(expansion(["<<b>> <<a>>"], {"a": ["x", "y"], "b": ["1", "2"]}))
    ]
    assert values == [("1", "x"), ("1", "y"), ("2", "x"), ("2", "y")]


@settings(max_examples=50)
@given(
    st.lists(st.sampled_from(["<<a>>", "<<a>> <<b>>", "<<b>> {a}", "{{b}} <<a>> <<b>>"]), min_size=1, max_size=4),
    st.lists(st.sampled_from("xyz"), min_size=1, max_size=4),
    st.lists(st.sampled_from("xyz"), min_size=1, max_size=4),
    st.sampled_from(["combinatorial", "random", "coverage"]),
)
def test_no_two_expansions_share_template_text_values_and_repeat(texts, a, b, strategy):
    texts = [*texts, "<<a>> <<b>>"]
    result = picks(expansion(texts, {"a": a, "b": b}, strategy=strategy, num_random_samples=60))
    assert len({identity(variant, texts) for variant in result}) == len(result)


def test_repeats_of_a_value_listed_twice_are_numbered_from_zero():
    result = picks(expansion(["<<a>> <<b>>"], {"a": ["x", "x", "y"], "b": ["1", "1"]}))
    assert sorted(v.repeat for v in result if v.values["a"] == "x") == [0, 1, 2, 3]
    assert sorted(v.repeat for v in result if v.values["a"] == "y") == [0, 1]


def test_a_template_listed_twice_gives_its_prompts_a_second_time_with_the_next_repeat():
    assert [variant.repeat for variant in picks(expansion(["<<a>>", "<<a>>"], {"a": ["x", "y"]}))] == [0, 0, 1, 1]


@pytest.mark.parametrize("index", [-1, 12])
def test_an_index_out_of_range_is_an_index_error(index):
    with pytest.raises(IndexError):
        expansion(["<<a>> <<b>>"], {"a": LISTS["a"], "b": LISTS["b"]}).pick(index)


def test_a_space_of_10_to_the_12_is_indexed_without_being_built():
    huge = expansion([ALL_OF_HUGE], HUGE, max_samples=10**12)
    assert len(huge) == 10**12
    assert "".join(huge.pick(123_456_789_012).values.values()) == "123456789012"


# random


def test_ten_random_samples_of_two_possibilities_are_ten_with_two_distinct():
    result = picks(expansion(["<<a>>"], {"a": ["x", "y"]}, strategy="random", num_random_samples=10))
    assert Counter((variant.values["a"], variant.repeat) for variant in result) == {
        (value, repeat): 1 for value in "xy" for repeat in range(5)
    }


def test_a_thousand_random_samples_of_10_to_the_12_are_distinct():
    result = picks(expansion([ALL_OF_HUGE], HUGE, strategy="random", num_random_samples=1000))
    assert len({tuple(variant.values.items()) for variant in result}) == 1000
    assert {variant.repeat for variant in result} == {0}


def test_templates_take_turns_until_their_prompts_are_used_up():
    drawn = expansion(
        ["plain", "<<a>>", "<<c>>"], {"a": numbered(3), "c": numbered(5)}, strategy="random", num_random_samples=18
    )
    result = picks(drawn)
    assert [variant.template_index for variant in result[:9]] == [0, 1, 2, 1, 2, 1, 2, 2, 2]
    assert [variant.repeat for variant in result] == [0] * 9 + [1] * 9
    assert len({identity(variant, ["plain", "<<a>>", "<<c>>"]) for variant in result}) == 18


@settings(max_examples=40)
@given(st.integers(0, 10**9), st.binary(max_size=8), st.integers(1, 40), st.integers(1, 40))
def test_asking_for_more_samples_keeps_the_first_ones(seed, base, fewer, more):
    first, second = (
        picks(expansion(["<<a>>", "<<b>> <<a>>"], {"a": numbered(3), "b": numbered(4)}, strategy="random",
                        num_random_samples=count, seed=seed), base)
        for count in (fewer, fewer + more)
    )  # fmt: skip
    assert second[:fewer] == first


def test_draws_differ_per_base_and_per_seed_and_repeat_for_the_same():
    spec = {"strategy": "random", "num_random_samples": 20}
    one = expansion([ALL_OF_HUGE], HUGE, **spec)
    assert picks(one, b"1") == picks(one, b"1")
    assert picks(one, b"1") != picks(one, b"2")
    assert picks(one, b"1") != picks(expansion([ALL_OF_HUGE], HUGE, seed=1, **spec), b"1")


def test_with_one_draw_per_base_all_templates_are_used_over_the_bases():
    one = expansion(["p", "q", "r"], {}, strategy="random", num_random_samples=1)
    assert {one.pick(0, str(base).encode()).template_index for base in range(40)} == {0, 1, 2}


def test_draws_are_the_same_on_every_platform_and_version():
    drawn = picks(expansion([ALL_OF_HUGE], HUGE, strategy="random", num_random_samples=3, seed=7), b"base")
    assert ["".join(variant.values.values()) for variant in drawn] == ["860767820827", "132724720526", "062921690518"]


# coverage


def covers_everything(result: list[Variant], lists: dict[str, list[str]], strength: int) -> bool:
    return all(
        {tuple(variant.values[name] for name in names) for variant in result}
        == set(product(*(lists[n] for n in names)))
        for names in combinations(lists, min(strength, len(lists)))
    )


@settings(max_examples=60)
@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=6),
    st.sampled_from([2, 3]),
    st.integers(0, 99),
    st.binary(max_size=3),
)
def test_coverage_shows_every_pair_or_triple_of_values(sizes, strength, seed, base):
    lists = {f"n{place}": numbered(size) for place, size in enumerate(sizes)}
    text = " ".join(f"<<{name}>>" for name in lists)
    result = picks(expansion([text], lists, strategy="coverage", strength=strength, seed=seed), base)
    assert covers_everything(result, lists, strength)


@pytest.mark.parametrize(
    ("sizes", "strength", "num_prompts"),
    [
        ([4] * 5, 2, 16),
        ([9] * 10, 2, 81),
        ([5] * 5, 3, 125),
        ([8] * 9, 3, 512),
        ([10] * 10, 2, 120),
        ([10] * 10, 3, 1330),
        ([20, 12, 8, 6, 5, 5, 4, 3], 2, 240),
        ([3, 4], 3, 12),
    ],
)
def test_coverage_stays_as_small_as_documented(sizes, strength, num_prompts):
    lists = {f"n{place}": numbered(size) for place, size in enumerate(sizes)}
    text = " ".join(f"<<{name}>>" for name in lists)
    result = picks(expansion([text], lists, strategy="coverage", strength=strength, max_samples=2000))
    assert covers_everything(result, lists, strength)
    assert len(result) <= num_prompts


def test_coverage_pairs_values_differently_for_each_base():
    lists = {name: numbered(5) for name in "abcd"}
    covered = expansion(["<<a>><<b>><<c>><<d>>"], lists, strategy="coverage")
    assert picks(covered, b"1") == picks(covered, b"1")
    assert picks(covered, b"1") != picks(covered, b"2")


def test_coverage_covers_each_template_over_its_own_names():
    result = picks(expansion(["<<a>> <<b>> <<c>>", "<<a>>", "plain"], LISTS, strategy="coverage"))
    assert covers_everything([v for v in result if v.template_index == 0], LISTS, 2)
    assert Counter(variant.template_index for variant in result)[1] == 3
    assert result[-1] == Variant(2, {}, 0)


# limits


def test_more_combinations_than_max_samples_are_refused_with_the_number_and_the_ways_out():
    with pytest.raises(ConfigError, match=r"1,000,000,000,000 prompts .* Raise max_samples.*random or coverage"):
        expansion([ALL_OF_HUGE], HUGE)


def test_exactly_max_samples_are_accepted():
    assert len(expansion(["<<a>> <<b>> <<c>>"], LISTS, max_samples=60)) == 60


def test_more_random_samples_than_max_samples_are_refused():
    with pytest.raises(ConfigError, match="num_random_samples is 1,001"):
        expansion(["p"], {}, strategy="random", num_random_samples=1001)


def test_coverage_is_refused_by_its_lower_bound_before_it_is_built():
    lists = {name: numbered(100_000) for name in "ab"}
    with pytest.raises(ConfigError, match="at least 10,000,000,000 prompts"):
        expansion(["<<a>> <<b>>"], lists, strategy="coverage")


def test_coverage_is_refused_by_its_real_size_and_never_cut():
    with pytest.raises(ConfigError, match="Covering every pair takes"):
        expansion([ALL_OF_HUGE], HUGE, strategy="coverage", max_samples=110)


def test_coverage_with_too_many_tuples_is_refused():
    lists = {f"n{place}": numbered(20) for place in range(30)}
    text = " ".join(f"<<{name}>>" for name in lists)
    with pytest.raises(ConfigError, match="triples of values to cover"):
        expansion([text], lists, strategy="coverage", strength=3, max_samples=10**6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_samples": 0}, "max_samples: expected 1 to"),
        ({"num_random_samples": -1}, "num_random_samples: expected 1 to"),
        ({"num_random_samples": 1.5}, "num_random_samples: expected a whole number"),
        ({"max_samples": True}, "max_samples: expected a whole number"),
        ({"seed": "x"}, "seed: expected a whole number"),
        ({"strength": 4}, "strength: expected 2"),
        ({"strategy": "randon"}, "Did you mean 'random'"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(changes, message):
    with pytest.raises(ConfigError, match=message):
        expansion(["p"], {}, **changes)


def test_a_declared_placeholder_that_no_prompt_uses_is_warned_about():
    with pytest.warns(DatafastWarning, match="No prompt uses b. Write <<b>>"):
        expansion(["<<a>>"], {"a": ["x"], "b": ["y"]}, remark=True)


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["plain"], "num_random_samples is 10, and there is one prompt, which is sent again and again"),
        (["<<a>>", "plain"], "there are 4 different prompts, which are sent again and again"),
        (["<<a>>", "<<a>>"], "there are 3 different prompts"),
    ],
)
def test_more_random_samples_than_there_are_prompts_are_warned_about(texts, told):
    placeholders = {"a": LISTS["a"]} if "<<a>>" in texts else {}
    with pytest.warns(DatafastWarning, match=told):
        expansion(texts, placeholders, remark=True, strategy="random", num_random_samples=10)


def test_as_many_random_samples_as_there_are_prompts_are_not(recwarn):
    expansion(["<<a>>"], {"a": LISTS["a"]}, remark=True, strategy="random", num_random_samples=3)
    expansion(["plain"], {}, remark=True, strategy="random", num_random_samples=1)
    assert recwarn.list == []


# the public function


@pytest.mark.parametrize("spelling", ["<<tone>>", "{{tone}}", "{tone}"])
def test_expand_prompts_replaces_declared_names_in_each_spelling_and_keeps_the_rest(spelling):
    assert expand_prompts([f'In a {spelling} tone: {{"k": 1}}'], {"tone": ["warm", "dry"]}) == [
        ('In a warm tone: {"k": 1}', {"tone": "warm"}),
        ('In a dry tone: {"k": 1}', {"tone": "dry"}),
    ]


def test_expand_prompts_accepts_numbers_as_values():
    assert expand_prompts(["<<n>>"], {"n": [1, 2.5, "x"]}) == [
        ("1", {"n": "1"}),
        ("2.5", {"n": "2.5"}),
        ("x", {"n": "x"}),
    ]


def test_expand_prompts_without_combinatorial_draws_at_random():
    lists = {"a": numbered(10)}
    assert len(expand_prompts(["<<a>>"], lists, combinatorial=False, num_random_samples=10)) == 10


def test_strategy_wins_over_combinatorial():
    lists = {name: numbered(4) for name in "abcde"}
    text = "<<a>><<b>><<c>><<d>><<e>>"
    assert len(expand_prompts([text], lists, combinatorial=True, strategy="coverage")) == 16


@pytest.mark.parametrize("strategy", ["combinatorial", "coverage"])
def test_a_strategy_that_contradicts_combinatorial_false_is_refused(strategy):
    with pytest.raises(ConfigError, match="Remove one of them"):
        expand_prompts(["p"], {}, combinatorial=False, strategy=strategy)


@pytest.mark.parametrize(
    ("templates", "placeholders", "message"),
    [
        ([], {}, "The list is empty"),
        ("<<a>>", {"a": ["x"]}, r"Write \[prompt\]"),
        (["<<a>>"], {"a": []}, "placeholders.a: The list is empty"),
        (["<<a>>"], {"a": "x"}, "placeholders.a: expected a list of values, got str"),
        (["<<a>>"], {"a": ["x", None]}, r"placeholders.a\[1\]: expected a text or a number, got None"),
        (["<<a>>"], {"a": [True]}, r"placeholders.a\[0\]: expected a text or a number, got True"),
        (["<<a>>"], ["a"], "expected names with lists of values"),
        (["<<a>>"], {}, "<<a>> is not declared"),
    ],
)
def test_expand_prompts_refuses_what_it_cannot_expand(templates, placeholders, message):
    with pytest.raises(ConfigError, match=message):
        expand_prompts(templates, placeholders)


# the permutation


@settings(max_examples=60)
@given(st.integers(1, 3000), st.binary(max_size=16))
def test_a_permutation_visits_every_number_once(n, key):
    assert sorted(Permutation(n, key)) == list(range(n))


@pytest.mark.parametrize("n", [64, 65, 4096])
def test_another_key_is_another_order(n):
    assert list(Permutation(n, b"1")) != list(Permutation(n, b"2"))


def test_the_order_of_few_elements_is_even_over_all_orders():
    counts = Counter(tuple(Permutation(3, str(key).encode())) for key in range(6000))
    assert len(counts) == 6
    assert max(counts.values()) < 1200


def test_the_first_element_of_a_large_permutation_is_spread_evenly():
    counts = Counter(Permutation(100, str(key).encode())[0] // 10 for key in range(5000))
    assert min(counts.values()) > 400
    assert max(counts.values()) < 600


@pytest.mark.parametrize("exponent", [63, 200, 800])
def test_a_permutation_of_any_size_stays_in_range_without_repeats(exponent):
    n = 2**exponent
    order = Permutation(n, b"key")
    drawn = {order[i] for i in [*range(200), n - 1]}
    assert len(drawn) == 201
    assert all(0 <= number < n for number in drawn)


@pytest.mark.parametrize("n", [0, -1, 2**800 + 1])
def test_a_permutation_of_a_size_out_of_range_is_refused(n):
    with pytest.raises(ConfigError, match="1 to 2\\*\\*800"):
        Permutation(n, b"")


# numbers in messages


@pytest.mark.parametrize(
    ("values", "names", "said"),
    [
        (10, "abc", "All combinations are 1,000 prompts"),
        (10, "abcdefghijklmn", "All combinations are 100,000,000,000,000 prompts"),
        (10, "abcdefghijklmno", r"All combinations are about 2\*\*49 prompts"),
        (32, "abcdefghij", r"All combinations are about 2\*\*50 prompts"),
    ],
)
def test_a_number_of_prompts_is_said_in_full_as_long_as_one_can_read_it(values: int, names: str, said: str) -> None:
    lists = {name: numbered(values) for name in names}
    with pytest.raises(ConfigError, match=said):
        expansion([" ".join(f"<<{name}>>" for name in names)], lists, max_samples=999)

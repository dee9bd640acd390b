"""The measures of texts agree with plain reference implementations, and with nltk's BLEU."""

from __future__ import annotations

import gzip
import warnings
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.statistics.diversity import Texts
from datafast.statistics.words import count_words, words_of

WORDS = st.lists(st.sampled_from("abcdef"), max_size=12)


def runs(words: list[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + size]) for start in range(len(words) - size + 1)]


def distinct(texts: list[list[str]], size: int) -> float | None:
    found = [run for words in texts for run in runs(words, size)]
    return len(set(found)) / len(found) if found else None


def self_bleu(texts: list[list[str]]) -> float:
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    smoothing = SmoothingFunction().method1
    scores = []
    for number, words in enumerate(texts):
        others = texts[:number] + texts[number + 1 :]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scores.append(float(sentence_bleu(others, words, smoothing_function=smoothing)))
    return sum(scores) / len(scores)


@settings(deadline=None, max_examples=150)
@given(st.lists(WORDS, min_size=1, max_size=8), st.data())
def test_diversity_is_what_the_papers_define(texts: list[list[str]], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(range(len(texts))), unique=True, min_size=1))
    found = Texts([" ".join(words) for words in texts]).diversity(chosen)
    some = [texts[number] for number in chosen]
    if not any(some):
        assert found is None
        return
    assert found is not None
    assert (found.rows, found.words) == (len(some), sum(map(len, some)))
    assert [found.distinct_1, found.distinct_2, found.distinct_3] == [distinct(some, size) for size in (1, 2, 3)]
    joined = "\n".join(" ".join(words) for words in some).encode()
    assert found.compression_ratio == len(joined) / len(gzip.compress(joined, 9, mtime=0))
    with_words = [words for words in some if words]
    if len(with_words) < 2:
        assert (found.self_bleu, found.self_bleu_rows) == (None, 0)
    else:
        assert found.self_bleu == pytest.approx(self_bleu(with_words))
        assert found.self_bleu_rows == len(with_words)


def test_values_by_hand() -> None:
    found = Texts(["the cat sat", "the cat ran", "a dog"]).diversity([0, 1, 2])
    assert found is not None
    assert (found.distinct_1, found.distinct_2, found.distinct_3) == (6 / 8, 4 / 5, 1.0)
    same = Texts(["one two three four five"] * 3).diversity([0, 1, 2])
    assert same is not None
    assert same.self_bleu == pytest.approx(1.0)
    unlike = Texts(["one two three four", "five six seven eight"]).diversity([0, 1])
    assert unlike is not None
    assert unlike.self_bleu == 0.0


def test_a_thousand_rows_of_a_group_are_looked_at_and_five_hundred_for_self_bleu() -> None:
    found = Texts([f"row number {number}" for number in range(1_200)]).diversity(range(1_200))
    assert found is not None
    assert (found.rows, found.words, found.self_bleu_rows) == (1_000, 3_000, 500)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('The cat -- it sat, "there"!', ["the", "cat", "it", "sat", "there"]),
        ("don't stop-gap", ["don't", "stop-gap"]),
        ("猫坐在这里。", ["猫", "坐", "在", "这", "里"]),
        ("ねこがいる", ["ね", "こ", "が", "い", "る"]),
        ("แมวนั่ง", ["แ", "ม", "ว", "นั่", "ง"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("GPT-4 说 hello", ["gpt-4", "说", "hello"]),
        ("ΣΊΣΥΦΟΣ", ["σίσυφοσ"]),
        (" \n\t", []),
        ("", []),
    ],
)
def test_words_of_any_script(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@given(st.text())
def test_words_are_counted_as_by_spaces_where_there_are_some(text: str) -> None:
    assert len(words_of(text)) <= max(count_words(text), len(words_of(text.casefold())))
    if text.isascii():
        assert count_words(text) == len(text.split())


def test_repeats_make_texts_less_diverse() -> None:
    rows = [f"sentence {number} about {number * 7 % 31} things in the {number % 5} part" for number in range(100)]
    levels = [Texts(rows[: 100 // part] * part).diversity(range(100)) for part in (1, 2, 4, 10)]
    for more, less in pairwise(levels):
        assert more is not None
        assert less is not None
        assert (more.distinct_2 or 0) > (less.distinct_2 or 0)
        assert (more.compression_ratio or 0) < (less.compression_ratio or 0)
        assert (more.self_bleu or 0) <= (less.self_bleu or 0)

"""The effect of placeholders on planted texts: of which the makers know what shaped them."""

from __future__ import annotations

import random

import pytest

from datafast.statistics.placeholder_effect import Observed, PlaceholderEffect, effects_of, words_in

_VOCABULARY = [f"word{number}" for number in range(1500)]
_WEIGHTS = [1 / (number + 5) for number in range(1500)]
_TONE_WORDS = {"formal": "herewith", "friendly": "buddy", "angry": "never"}


def _text(rng: random.Random, extra: list[str], length: int = 60) -> str:
    words = rng.choices(_VOCABULARY, _WEIGHTS, k=length) + extra
    rng.shuffle(words)
    return " ".join(words)


def _planted(items: int, *, seed: int, rows: int = 2) -> list[Observed]:
    """Texts shaped by tone (a word of its own in seven of ten), length, and topic (named in eight of ten); mood is ignored.

    The rows of an item share rare words, which have nothing to do with its values.
    """
    rng = random.Random(seed)
    made = []
    for item in range(items):
        values = {
            "tone": rng.choice(list(_TONE_WORDS)),
            "length": rng.choice(["short", "long"]),
            "topic": rng.choice(["ice cores", "tide gauges"]),
            "mood": rng.choice(["calm", "tense", "bored", "happy"]),
        }
        shared = rng.choices(_VOCABULARY, k=6) * 2
        for _ in range(rows):
            extra = [*shared]
            extra += [_TONE_WORDS[values["tone"]]] * 3 if rng.random() < 0.7 else []
            extra += values["topic"].split() if rng.random() < 0.8 else []
            made.append(Observed(_text(rng, extra, 50 if values["length"] == "short" else 80), item, values))
    return made


@pytest.fixture(scope="module")
def planted() -> dict[str, PlaceholderEffect]:
    return {effect.name: effect for effect in effects_of(_planted(400, seed=1))}


def test_a_placeholder_that_shapes_the_text_is_found(planted):
    tone = planted["tone"]
    assert 0.6 < tone.accuracy < 0.95
    assert tone.low > tone.chance + 0.1
    assert tone.p_value < 0.05
    assert not tone.is_at_chance
    assert tone.effect > 0.35
    assert (tone.texts, tone.values, tone.values_left_out) == (800, 3, 0)


def test_a_placeholder_that_the_model_ignores_is_at_chance(planted):
    mood = planted["mood"]
    assert mood.is_at_chance
    assert mood.accuracy == pytest.approx(0.25, abs=0.07)
    assert mood.chance == pytest.approx(0.27, abs=0.05)
    assert mood.effect < 0.06


def test_the_length_of_texts_tells_a_placeholder_that_asks_for_it(planted):
    assert planted["length"].accuracy > 0.95


def test_a_value_that_the_text_repeats_is_not_told_without_its_words(planted):
    topic = planted["topic"]
    assert topic.accuracy > 0.75
    assert topic.effect_without_words < 0.15
    # Tone has words that are no words of its values: nothing changes.
    assert planted["tone"].accuracy_without_words == planted["tone"].accuracy


def test_rows_of_one_item_do_not_tell_each_others_value():
    # Eight rows of an item share words that no other item has: where they stood in several folds, all would be told.
    effects = {effect.name: effect for effect in effects_of(_planted(60, seed=2, rows=8))}
    assert effects["mood"].is_at_chance
    torn = [one._replace(group=number) for number, one in enumerate(_planted(60, seed=2, rows=8))]
    assert {effect.name: effect for effect in effects_of(torn)}["mood"].accuracy > 0.5


def test_groups_of_different_sizes_have_a_chance_of_their_own():
    rng = random.Random(5)
    observed = []
    for group in range(60):
        mood = rng.choice(["calm", "tense"])
        observed += [Observed(_text(rng, [f"group{group}"] * 3), group, {"mood": mood}) for _ in range(1 + group)]
    (mood,) = effects_of(observed)
    assert mood.is_at_chance


def test_the_same_texts_give_the_same_numbers_and_false_alarms_are_rare():
    alarms = 0
    for seed in range(12):
        texts = _planted(60, seed=seed)
        found = effects_of(texts, seed=seed)
        if seed < 2:
            assert effects_of(texts, seed=seed) == found
        alarms += sum(not effect.is_at_chance for effect in found if effect.name == "mood")
    assert alarms <= 2


def test_values_that_are_rare_are_left_out_and_counted():
    texts = [Observed(f"text {number}", number, {"seed_text": str(number)}) for number in range(50)]
    assert effects_of(texts) == []
    texts += [Observed(f"one {number}", 50 + number, {"seed_text": "one"}) for number in range(20)]
    texts += [Observed(f"two {number}", 80 + number, {"seed_text": "two"}) for number in range(20)]
    (effect,) = effects_of(texts)
    assert (effect.values, effect.values_left_out, effect.texts) == (2, 50, 40)
    assert effect.accuracy == 1.0
    assert effect.accuracy_without_words < 0.8


def test_nothing_to_tell_gives_nothing():
    assert effects_of([]) == []
    assert effects_of([Observed("a text", 1, {"tone": "calm"})]) == []
    assert effects_of([Observed("", number, {"tone": "calm"}) for number in range(20)]) == []
    empty = [Observed("", number, {"tone": ["calm", "tense"][number % 2]}) for number in range(20)]
    assert effects_of(empty)[0].is_at_chance


def test_words_of_scripts_without_spaces_are_letters_and_marks_count():
    assert words_in("Ice-cores,\n2 of them!") == ["ice", "-", "cores", ",", "\n", "2", "of", "them", "!"]
    assert words_in("冰芯 and ภาษา") == ["冰", "芯", "and", "ภ", "า", "ษ", "า"]


def test_a_tone_in_a_script_without_spaces_is_found():
    rng = random.Random(6)
    letters = [chr(0x4E00 + number) for number in range(300)]
    marks = {"formal": "谨", "friendly": "喂"}
    texts = []
    for number in range(300):
        tone = rng.choice(list(marks))
        written = rng.choices(letters, k=40)
        written.insert(rng.randrange(40), marks[tone])
        texts.append(Observed("".join(written), number, {"tone": tone}))
    (effect,) = effects_of(texts)
    assert effect.accuracy > 0.8

# ruff: noqa: E501 - texts in many scripts
"""Stages that look at one row: what they find, what they leave alone, and what they refuse in a config."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from datafast.datasets import RawDataset
from datafast.errors import ConfigError
from datafast.llms import SimulatedProvider
from datafast.quality.base import Stage
from datafast.quality.check import CheckStage
from datafast.quality.contamination import ContaminationStage
from datafast.quality.echo import EchoStage
from datafast.quality.keep_if import KeepIfStage
from datafast.quality.language import LanguageStage
from datafast.quality.pii import PiiStage
from datafast.quality.refusals import RefusalsStage
from datafast.quality.regex import RegexStage
from datafast.quality.repetition import RepetitionStage
from tests.support import assert_balanced, raw

PROSE = (
    "The pilot boat leaves the harbour an hour before high water. By then the channel is deep enough for the freighters that wait "
    "outside the bar, and the wind has usually gone round to the west. Nobody hurries: a ship that misses the tide waits half a day."
)


class Row(BaseModel):
    text: str
    answer: Any = None
    language: str = "en"
    metadata: dict[str, Any] = {}


class Talk(BaseModel):
    messages: list[dict[str, str]]


def item_of(template: str) -> Any:
    return SimpleNamespace(template=SimpleNamespace(text=template))


def dropped(stage: Stage, text: str, *, item: Any = None, **fields: Any) -> str | None:
    """The reason why a row with this text is dropped; None if it is kept."""
    row = Row(text=text, **fields)
    stage.check(Row)
    verdict = stage.decide(row, item)
    return None if verdict.keeps else verdict.reason


# -- keep_if and regex


@pytest.mark.parametrize(
    ("expression", "kept"),
    [
        ("language == 'en'", True),
        ("text | length < 20", False),
        ("metadata.topic == 'pumps' or answer", False),
        ("metadata.topic == 'tides' and answer is none", True),
    ],
)
def test_rows_are_kept_if_an_expression_is_true(expression: str, kept: bool) -> None:
    stage = KeepIfStage(expression=expression)
    assert dropped(stage, PROSE, metadata={"topic": "tides"}) == (None if kept else f"not {expression}")


def test_an_expression_over_what_rows_do_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"quality\[0\]: expression: .*Did you mean 'text'"):
        raw(tmp_path, quality=[{"stage": "keep_if", "expression": "txet | length > 3"}]).generate([SimulatedProvider()])


def test_patterns_that_must_not_and_that_must_be_found() -> None:
    assert dropped(RegexStage(deny=["(?i)PILOT +boat"]), PROSE) == "matches (?i)PILOT +boat"
    assert dropped(RegexStage(deny=["lorem"]), PROSE) is None
    assert dropped(RegexStage(allow=["^The", "^A"]), PROSE) is None
    assert dropped(RegexStage(allow=["^A", "^B"], reason="begins oddly"), PROSE) == "begins oddly"
    assert dropped(RegexStage(field="answer", allow=[r"^\d+$"]), PROSE, answer="12") is None


# -- repetition


LOOP = "and then the boat left the harbour " * 12


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PROSE, None),
        (LOOP, "the same words over and over"),
        ("\n".join(["A line about the tide."] * 5 + ["Another line."]), "the same words over and over"),
        ("\n".join(["yes it is", "no it is not", "yes it is", "yes it is", "maybe"]), "the same lines over and over"),
        ("\n".join(f"{n}. 船离开了港口去远方的海岛。" for n in range(1, 9)), "the same lines over and over"),
        ("Nooooooooooooooooooooooooooooo", "one letter over and over"),
        ("---------------------------\nA table\n---------------------------", None),
        (
            "潮水每天涨落两次，港口的船只都要等待高潮才能离开，领航员总是提前一个小时出发，在航道足够深的时候带着货船越过沙洲，没有人着急。",
            None,
        ),
        ("船离开了港口然后船又回来了。" * 10, "the same words over and over"),
        ("one two three", None),
    ],
)
def test_texts_that_go_round_in_circles(text: str, reason: str | None) -> None:
    assert dropped(RepetitionStage(), text) == reason


def test_a_repeated_chorus_is_a_matter_of_the_threshold() -> None:
    song = f"{PROSE}\nThe tide comes in, the tide goes out again.\n{PROSE[:120]}"
    assert dropped(RepetitionStage(max_share=0.2), song) is not None
    assert dropped(RepetitionStage(max_share=0.9), song) is None


# -- echo


TEMPLATE = "Write a short report of what you have seen at {topic}, in the words of <<who>>, and leave out everything that others have told you."


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PROSE, None),
        (
            "Write a short report of what you have seen at the harbour, in the words of a pilot. I saw boats.",
            "copied from the prompt",
        ),
        ("At {topic} there was little to see.", "a placeholder that is not filled"),
        ("I, <<who>>, saw it.", "a placeholder that is not filled"),
        ("Dear [Your Name], the tide is late.", "a placeholder that is not filled"),
        ("Sure! Here is a report for you:\n\nThe tide is late.", "talk around what was asked for"),
        ("The tide is late. Let me know if you'd like another version!", "talk around what was asked for"),
        ("The tide is late.<|im_end|>", "a mark of a chat format"),
        ("### Response: The tide is late.", "a mark of a chat format"),
        ("The tide is late.</s>", "a mark of a chat format"),
        ("<think>A report is wanted.</think>The tide is late.", "a mark of a chat format"),
        ("Assistant: The tide is late.", "a mark of a chat format"),
        ("We left [Town] at six.", "a placeholder that is not filled"),
        ("We left [TOWN NAME] at six.", "a placeholder that is not filled"),
        ("Liebe Frau [Nachname], die Flut ist spät.", "a placeholder that is not filled"),
        ("We met {{ guest.name }} at six.", "a placeholder that is not filled"),
        ("Klar, hier ist der Bericht:\n\nDie Flut ist spät.", "talk around what was asked for"),
        ("Bien sûr ! Voici le rapport :\n\nLa marée est en retard.", "talk around what was asked for"),
        ("好的，以下是报告：\n\n潮水来晚了。", "talk around what was asked for"),
        ("Good question! The tide is late.", "talk around what was asked for"),
        ("The tide is late.\n\nFeel free to change the hour.", "talk around what was asked for"),
        ("The tide is late.\n\nNote: this has 60 words as requested.", "talk around what was asked for"),
        (f"{PROSE} Write a short report of what you have seen at sea.", "copied from the prompt"),
        ("[ERROR] The pump [City](https://example.org) failed at a[CITY].", None),
        ("Glad to help! Here goes:\n\nThe tide is late.", "talk around what was asked for"),
        ("The tide is late.\n\nHope this helps!", "talk around what was asked for"),
        ("Yours,\n{sender}", "a placeholder that is not filled"),
        ("Dear [sic] friends of C<PORT_NAME>, see [OPTIONS].", None),
        ("Hello [Harbour Master], the tide is late.", "a placeholder that is not filled"),
        ("We of <PORT NAME> are late.", "a placeholder that is not filled"),
        ("Here is your report!\n\nThe tide is late.", "talk around what was asked for"),
        ("I have written the report for you.\n\nThe tide is late.", "talk around what was asked for"),
        ("The tide is late. Is there anything else I can do?", "talk around what was asked for"),
        ("<output>The tide is late.</output>", "a mark of a chat format"),
        ("Human: a word of one half of the crew.", None),
        ("The following are late: the tide,\nthe boat.", None),
        ("[Refrain]\nThe tide is late.", None),
        ("Sure, the tide is late, but it comes.", None),
        ("The title stands in `{{ page.title }}`, the town in `[TOWN]`.", None),
        ("So:\n```jinja\nDear {{ customer }},\n```\nThat is all.", None),
        ('GET /users/{user_id} gives f"{user_name}".', None),
        ("Lo hemos visto todo: el puerto, los barcos y la marea.", None),
        ("User: It fails.\nSupport: Try again.", None),
        ("Use f'{name}: {value}' to print both, and arr[0] for the first.", None),
        ("Here is where the pilot lives: a red house.", None),
        ("He wrote [in haste] that the boat had left.", None),
        ("Antwort: Die Flut ist spät.", "a mark of a chat format"),
        ("Usuario: ¿Y la marea?\nAsistente: Llega tarde.", "a mark of a chat format"),
        ("Text 4 von 10 (kurz)\nDie Flut ist spät.", "the number of a text among others"),
        ("La marea llega el <insertar fecha>.", "a placeholder that is not filled"),
        ("[FIRMENNAME] sucht einen Lotsen.", "a placeholder that is not filled"),
        ("Hola, {nombre_cliente}: la marea llega tarde.", "a placeholder that is not filled"),
        ("La marea llega tarde. [continuar aquí]", "a placeholder that is not filled"),
        ("Die Flut ist spät.\n\n(Wortzahl: 98)", "talk around what was asked for"),
        ("Version corrigée : la marée est en retard.", "talk around what was asked for"),
        ("La marea è in ritardo.\n\nVuoi che lo traduca anche?", "talk around what was asked for"),
        ("Wie gewünscht in einem Satz: Die Flut ist spät.", "talk around what was asked for"),
        ("The user wants a report, so I keep it short.\n\nThe tide is late.", "talk around what was asked for"),
        ("Tim fed the fish. Let me know if you need the van on Saturday.", None),
        ("Respuesta corta: la marea llega tarde. ¿Quieres que vaya contigo?", None),
    ],
)
def test_what_belongs_to_the_prompt(text: str, reason: str | None) -> None:
    assert dropped(EchoStage(), text, item=item_of(TEMPLATE)) == reason


def test_talk_around_an_answer_is_a_part_of_a_conversation() -> None:
    row = Talk(
        messages=[{"role": "assistant", "content": "Sure! Here is a list:\n- tides\nLet me know if you want more."}]
    )
    assert EchoStage().decide(row, item_of("x")).keeps


# -- refusals


REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I apologize, but I am unable to fulfill this request.",
    "As an AI language model, I don't have opinions.",
    "I cannot provide medical advice.",
    "This request violates the rules that I follow.",
    "Je suis désolé, mais je ne peux pas répondre à cette demande.",
    "Es tut mir leid, aber dabei kann ich nicht helfen.",
    "Lo siento, pero no puedo ayudarte con eso.",
    "Mi dispiace, ma non posso soddisfare questa richiesta.",
    "Desculpe, mas não posso ajudar com isso.",
    "Het spijt me, maar ik kan u daarbij niet helpen.",
    "Przykro mi, ale nie mogę pomóc w tej sprawie.",
    "Извините, но я не могу помочь с этим запросом.",
    "抱歉，我无法满足您的请求。",
    "申し訳ありませんが、そのご要望にはお応えできません。",
    "죄송하지만 해당 요청에는 도움을 드릴 수 없습니다.",
    "Üzgünüm, bu konuda yardımcı olamam.",
    "عذراً، لا أستطيع مساعدتك في هذا الطلب.",
    "क्षमा करें, मैं इसमें आपकी मदद नहीं कर सकता।",
    "Rất tiếc, tôi không thể hỗ trợ yêu cầu này.",
    "Maaf, saya tidak dapat membantu permintaan tersebut.",
    # without an apology
    "I'd rather not write this essay, since it mocks people.",
    "Such material goes against our content policy.",
    "I'm only a language model and do not know today's weather.",
    "Je refuse de rédiger un message qui insulte quelqu'un. Ce contenu blesserait.",
    "En tant que modèle de langage, je n'ai pas de souvenirs.",
    "Diesen Text möchte ich nicht schreiben; solche Inhalte verletzen andere.",
    "No voy a escribir este texto, porque se burla de una persona.",
    "Como inteligencia artificial, no tengo recuerdos.",
    "Non posso rispondere a questa domanda.",
    "Muszę odrzucić tę prośbę.",
    "この依頼には対応できません。",
    "私はAIなので、思い出がありません。",
    "我不方便回答这个问题。",
    "No puedo ayudarte con eso.",
    "Я не могу помочь вам с этим.",
    "I can't browse the internet.",
    "That isn't something I'm willing to write.",
    "I'd rather not answer.",
    "这个要求我满足不了。",
    "Je crains de ne pas être en mesure de rédiger ce texte.",
    # and nothing else
    "I'm truly sorry, but I cannot.",
    # in two sentences
    "I'm sorry. I can't do that.",
]
ANSWERS = [
    PROSE,
    "I'm sorry about the delay; your parcel left the depot this morning.",
    "I can't believe how quickly the tide came in that afternoon.",
    "Unfortunately the pump was unable to provide enough pressure, so we changed it.",
    "We regret that the museum is closed on Mondays. You can visit on other days.",
    "Sorry, I can't come to the meeting today because I have to help my sister.",
    "As an engineer, I often check the valves twice.",
    "AI models are used in medicine as well.",
    "Leider hat es gestern den ganzen Tag geregnet.",
    "Je ne peux pas dormir quand il fait chaud, dit-elle.",
    "“I'm sorry, but I can't help you with that,” said the clerk, and closed the window.",
    "I can't help it, I love the sea.",
    "As an AI researcher, she was used to long nights.",
    "As an AI system it may not give advice, the box says.",
    "Leider kann ich im Garten nicht überall helfen, wo es nötig wäre.",
    "Unfortunately we cannot provide lunch on Fridays.",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals_are_found(text: str) -> None:
    assert dropped(RefusalsStage(), text) == "a refusal"


@pytest.mark.parametrize("text", ANSWERS)
def test_answers_are_no_refusals(text: str) -> None:
    assert dropped(RefusalsStage(), text) is None


# -- language

SENTENCES = {
    "en": "The pilot boat leaves the harbour an hour before high water, and nobody is in a hurry.",
    "fr": "Le bateau pilote quitte le port une heure avant la pleine mer, et personne ne se presse.",
    "de": "Das Lotsenboot verlässt den Hafen eine Stunde vor Hochwasser, und niemand hat es eilig.",
    "es": "La lancha del práctico sale del puerto una hora antes de la pleamar, y nadie tiene prisa.",
    "pt": "O barco do piloto sai do porto uma hora antes da maré cheia, e ninguém tem pressa nenhuma.",
    "nl": "De loodsboot verlaat de haven een uur voor hoogwater, en niemand heeft haast vandaag.",
    "pl": "Łódź pilotowa opuszcza port godzinę przed wysoką wodą i nikt się nie spieszy.",
    "ru": "Лоцманский катер выходит из порта за час до полной воды, и никто никуда не спешит.",
    "tr": "Kılavuz botu yüksek sudan bir saat önce limandan ayrılır ve kimse acele etmez.",
    "ar": "يغادر قارب المرشد الميناء قبل ساعة من المد العالي، ولا أحد في عجلة من أمره.",
    "zh": "引航船在高潮前一小时离开港口，没有人着急，错过潮水的船要等半天才能出发。",
    "ja": "水先船は満潮の一時間前に港を出ます。誰も急ぎません。潮を逃した船は半日待ちます。",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_rows_in_their_own_language_are_kept_and_others_dropped(language: str) -> None:
    for found, text in SENTENCES.items():
        reason = dropped(LanguageStage(), text, language=language)
        assert reason == (None if found == language else f"in {found} instead of {language}")


def test_codes_with_regions_and_of_three_letters_are_known() -> None:
    assert dropped(LanguageStage(), SENTENCES["pt"], language="pt-BR") is None
    assert dropped(LanguageStage(), SENTENCES["zh"], language="zh_Hant_TW") is None
    assert dropped(LanguageStage(language="deu"), SENTENCES["de"]) is None
    for name in ("German", "german", " DE "):
        assert dropped(LanguageStage(), SENTENCES["de"], language=name) is None
        assert dropped(LanguageStage(), SENTENCES["fr"], language=name) == f"in fr instead of {name.strip()}"
    assert dropped(LanguageStage(language="German"), SENTENCES["de"]) is None
    assert [dropped(LanguageStage(), SENTENCES["de"], language=name) for name in ("und", "mul", "")] == [None] * 3
    assert dropped(LanguageStage(language="fr"), SENTENCES["de"]) == "in de instead of fr"
    assert dropped(LanguageStage(), "def f(x): return x", language="de") is None


def test_half_a_pair_of_surrogates_hides_no_language() -> None:
    assert dropped(LanguageStage(), f"{SENTENCES['de']} \ud800") == "in de instead of en"


def test_rows_that_do_not_say_their_language_are_refused() -> None:
    with pytest.raises(ConfigError, match="language: Rows have no field 'language'"):
        LanguageStage().check(Talk)
    LanguageStage(language="en").check(Talk)


# -- pii


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Write to anna.berg@posteo.de today.", "an address for mail"),
        ("Write to anna@example.com today.", None),
        ("Call +49 30 901820 before noon.", "a phone number"),
        ("Call (415) 867-5309 before noon.", "a phone number"),
        ("Call 415-555-0134 before noon.", None),
        ("Appelez le 01 44 55 66 77.", "a phone number"),
        ("The card 4539 1488 0343 6467 was charged.", "the number of a card"),
        ("The order 4539 1488 0343 6468 was sent.", None),
        ("Pay to DE89 3704 0044 0532 0130 00.", "the number of a bank account"),
        ("Pay to DE88 3704 0044 0532 0130 00.", None),
        ("Her number is 536-90-4399.", "a social security number"),
        ("The server at 87.106.12.4 is down.", "the address of a computer"),
        ("The server at 192.168.0.4 is down, version 1.2.3.4567.", None),
        ("Set the key to sk-abcdefghijklmnopqrstuvwx.", "a secret key"),
        ("Set the key to glpat-" + "a1" * 10, "a secret key"),
        ("Set the key to rk_live_" + "a1" * 12, "a secret key"),
        ("Set the key to " + ".".join(["eyJ" + "a1" * 8] * 3), "a secret key"),
        ("Ruf mich an: 0151 / 2345678.", "a phone number"),
        ("Ruf mich an: 0049 151 2345678 oder später.", "a phone number"),
        ("Phone: 91 234 56 71.", "a phone number"),
        ("Telephone 110, flat 12.", None),
        ("Write to anna.berg (at) posteo (dot) de today.", "an address for mail"),
        ("Section 3.1.4.1 says so.", None),
        ("In 2019 there were 1,234,567 boats, 12.5 % more than in 1998-2001.", None),
        ("pi is 3.14159265358979323846", None),
        ("The level was 1013.25 hPa at 12:30 on 2024-05-17.", None),
    ],
)
def test_data_of_persons(text: str, reason: str | None) -> None:
    assert dropped(PiiStage(), text) == reason


def test_only_the_kinds_that_are_named_are_looked_for() -> None:
    assert dropped(PiiStage(kinds=["phone"]), "Write to anna.berg@posteo.de today.") is None


# -- contamination


TEST = [
    "A ship that misses the tide waits half a day, so how long does a ship wait that misses it twice in a row?",
    "How deep is it?",
]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (PROSE, False),
        (f"{PROSE} A ship that misses the tide waits half a day so how long does a ship wait in all?", True),
        ("Nobody knows it. How deep is it, they asked.", True),
        ("How deep is the water?", False),
    ],
)
def test_words_of_a_test(text: str, found: bool) -> None:
    assert (dropped(ContaminationStage(against=TEST), text) is not None) == found


@given(
    st.lists(st.sampled_from("abcd"), max_size=60), st.lists(st.sampled_from("abcd"), max_size=60), st.integers(4, 7)
)
def test_runs_of_words_are_those_that_both_texts_have(known: list[str], words: list[str], ngram: int) -> None:
    def runs(of: list[str], size: int) -> list[tuple[str, ...]]:
        return [tuple(of[start : start + size]) for start in range(len(of) - size + 1)]

    stage = ContaminationStage(against=[" ".join(["never", *known])], ngram=ngram)
    whole = ["never", *known]
    if len(whole) < ngram:  # counts as a whole
        assert dropped(stage, " ".join(words)) is None
        return
    shared = [run for run in runs(words, ngram) if run in runs(whole, ngram)]
    verdict = stage.decide(Row(text=" ".join(words)), item_of(""))
    assert (verdict.score or 0) == (round(len(shared) / len(runs(words, ngram)), 3) if shared else 0)


def test_the_source_of_a_contamination_is_named_and_its_content_counts(tmp_path: Path) -> None:
    file = tmp_path / "bench.jsonl"
    file.write_text('{"question": "' + TEST[0] + '"}\n')
    stage = ContaminationStage(against={"source": str(file), "column": "question"})  # type: ignore[arg-type]
    assert dropped(stage, TEST[0]) == f"words of {file}"
    before = stage.settings()
    file.write_text('{"question": "Another one, which has nothing to do with it."}\n')
    after = ContaminationStage(against={"source": str(file), "column": "question"}).settings()  # type: ignore[arg-type]
    assert before != after


def test_a_list_of_a_test_may_name_files_beside_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("one.jsonl").write_text(json.dumps({"question": TEST[0]}) + "\n", encoding="utf-8")
    Path("two.csv").write_text(f'id,prompt\n1,"{TEST[1]}"\n', encoding="utf-8")
    written = "Which of these moons has an ocean that is below its ice?"
    stage = ContaminationStage(against=["one.jsonl", {"source": "two.csv", "column": "prompt"}, written])
    assert [dropped(stage, text) for text in (TEST[0], TEST[1], written, PROSE)] == [
        "words of one.jsonl",
        "words of two.csv",
        "words of the test",
        None,
    ]
    assert {path.name for path in stage.files()} == {"one.jsonl", "two.csv"}
    assert ContaminationStage(against=["one.jsonl"]).settings() == ContaminationStage(against="one.jsonl").settings()
    again = ContaminationStage.model_validate_json(stage.model_dump_json())
    assert again.settings() == stage.settings()
    rows = ContaminationStage(against=[{"question": TEST[0]}])  # as `near_duplicates` takes them too
    assert dropped(rows, TEST[0]) is not None


@pytest.mark.parametrize(
    ("against", "problem"),
    [
        (["missing.jsonl"], "missing.jsonl"),
        (["one.jsonl", 5], "got int"),
        ([" "], "blank"),
        ([], "The list is empty. Give at least one text, or a source of texts."),
        ("Is it a text", "got 'Is it a text', which is neither a file nor a dataset. Write"),
    ],
)
def test_what_is_no_test_is_refused(
    against: Any, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("one.jsonl").write_text(json.dumps({"question": TEST[0]}) + "\n", encoding="utf-8")
    with pytest.raises(ValidationError, match=re.escape(problem)):
        ContaminationStage(against=against)


# -- check


@pytest.mark.parametrize(
    ("language", "text", "reason"),
    [
        ("python", "x = [1, 2]\nprint(x)", None),
        ("python", "Like this:\n```python\nfor x in y:\n    pass\n```\nand that is all.", None),
        ("python", "```python\nfor x in y\n    pass\n```", "does not parse as python"),
        ("json", '{"a": [1, 2]}', None),
        ("json", "{'a': 1}", "does not parse as json"),
        ("json", '{"a": NaN}', "does not parse as json"),
        ("sql", "SELECT a, count(*) FROM t GROUP BY a", None),
        ("sql", "SELECT FROM WHERE", "does not parse as sql"),
    ],
)
def test_code_that_has_to_parse(language: Any, text: str, reason: str | None) -> None:
    assert dropped(CheckStage(parses_as=language, field="text"), text) == reason


def test_a_value_that_has_to_fit_a_schema() -> None:
    stage = CheckStage(field="answer", json_schema={"type": "object", "required": ["name"]})
    assert dropped(stage, "", answer={"name": "Husum"}) is None
    assert dropped(stage, "", answer='```json\n{"name": "Husum"}\n```') is None
    assert dropped(stage, "", answer={"town": "Husum"}) == "does not fit the schema"
    assert dropped(stage, "", answer="no json") == "is not JSON"
    assert dropped(stage, "", answer='{"name": Infinity}') == "is not JSON"
    assert dropped(stage, "", answer="[" * 100_000) == "is not JSON"


@pytest.mark.parametrize(
    ("text", "wanted", "reason"),
    [
        ("First 12, no.\nThe answer is 1,250.", "1250.0", None),
        ("The answer is Blue.", " blue", None),
        ("The answer is 7.\nNo: the answer is 8.", 7, "another answer"),
        ("I do not know.", 7, "no answer is found"),
    ],
)
def test_an_answer_that_is_known(text: str, wanted: Any, reason: str | None) -> None:
    stage = CheckStage(field="text", answer=r"(?i)the answer is (\S+?)\.?$", equals="answer")
    assert dropped(stage, text, answer=wanted) == reason


def test_a_pattern_that_would_take_for_ever_takes_no_time() -> None:
    stage = CheckStage(field="text", answer=r"((?:a+)+)$", equals="answer")
    assert dropped(stage, "a" * 50_000 + "!", answer="a") == "no answer is found"


def test_a_function_says_why() -> None:
    def short(row: dict[str, Any]) -> bool | str:
        return len(row["text"]) < 50 or "too long"

    stage = CheckStage(function=short)
    assert dropped(stage, "short") is None
    assert dropped(stage, PROSE) == "too long"
    assert dropped(CheckStage(function=lambda row: np.mean([1, 2]) > 1), "short") is None
    assert dropped(CheckStage(function=lambda row: np.mean([1, 2]) > 2), "short") == "the function says no"
    assert CheckStage(function=lambda row: True).settings() != CheckStage(function=lambda row: False).settings()
    with pytest.raises(TypeError, match="Return true, false, or a reason"):
        dropped(CheckStage(function=lambda row: None), PROSE)


# -- settings


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"stage": "regex"}, "There is no pattern in it"),
        ({"stage": "regex", "deny": ["(?=x)"]}, r"deny\[0\]: The pattern .* look-around"),
        ({"stage": "check"}, "expected one of parses_as, json_schema, answer, command and function, got none"),
        ({"stage": "check", "parses_as": "json", "json_schema": {}}, "got parses_as and json_schema"),
        ({"stage": "check", "json_schema": {}}, "field: Say which field"),
        ({"stage": "check", "answer": "(a)"}, "equals: answer and equals go together"),
        ({"stage": "check", "answer": "a", "equals": "text"}, "expected one group"),
        ({"stage": "check", "function": "f"}, "Functions can be given in Python alone"),
        ({"stage": "pii", "kinds": ["mail"]}, "'email'"),
        (
            {"stage": "language", "language": "Deutsch"},
            "language: expected the code of a language, like fr, got 'Deutsch'",
        ),
        ({"stage": "keep_if"}, "expression"),
        ({"stage": "contamination", "against": []}, "against"),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, given: Any, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        raw(tmp_path, quality=[given])


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"json_schema": {"type": "objekt"}}, r"quality\[0\]: json_schema\.type: This is not a JSON Schema: 'objekt'"),
        ({"json_schema": {"pattern": "(?=x)"}}, r"json_schema: The pattern '\(\?=x\)' cannot be used: .* look-around"),
        ({"json_schema": {"$ref": "#/$defs/town"}}, r"json_schema: The \$ref '#/\$defs/town' leads nowhere"),
        ({"answer": "(?=x)(a)", "equals": "language"}, r"cannot be used: invalid perl operator: \(\?=\. Write"),
    ],
)
def test_checks_that_could_never_decide_are_refused_before_anything_is_bought(
    tmp_path: Path, given: Any, problem: str
) -> None:
    made = raw(tmp_path, quality=[{"stage": "check", "field": "text", **given}])
    with pytest.raises(ConfigError, match=problem):
        made.generate([SimulatedProvider()])
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.filterwarnings("ignore:All .* rows were filtered")
def test_a_schema_may_refer_to_its_own_parts(tmp_path: Path) -> None:
    schema = {"$ref": "#/$defs/town", "$defs": {"town": {"required": ["name"]}}}
    stage = CheckStage(field="answer", json_schema=schema)
    raw(tmp_path, quality=[{"stage": "check", "field": "text", "json_schema": schema}]).generate([SimulatedProvider()])
    assert dropped(stage, "", answer={"name": "Husum"}) is None
    assert dropped(stage, "", answer={}) == "does not fit the schema"


def test_all_of_them_go_through_a_run_and_a_written_config(tmp_path: Path) -> None:
    stages: list[dict[str, Any]] = [
        {"stage": "refusals"},
        {"stage": "echo"},
        {"stage": "repetition"},
        {"stage": "pii"},
        {"stage": "regex", "deny": ["lorem"]},
        {"stage": "keep_if", "expression": "text | length > 10"},
        {"stage": "contamination", "against": TEST},
        {"stage": "check", "function": lambda row: "text" in row},
    ]
    made = raw(tmp_path, quality=stages).generate([SimulatedProvider()])
    assert assert_balanced(made.report).failed == 0
    assert len(made.data_rows) > 0
    config = raw(tmp_path, quality=stages[:-1]).config
    assert type(config).model_validate_json(config.model_dump_json()).quality == config.quality
    assert isinstance(made, RawDataset)

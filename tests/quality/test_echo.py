"""`echo` by patterns: marks of many formats, numbers among others, placeholders of many styles, and texts that have only the look of it."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from datafast.quality.echo import EchoStage
from tests.quality.test_texts import item_of

BODY = "The pilot boat leaves the harbour an hour before high water, and the freighters wait outside the bar."


class Row(BaseModel):
    text: str


def dropped(text: str, prompt: str = "Write.") -> str:
    """The reason why a row with this text is dropped; empty if it is kept."""
    return EchoStage().decide(Row(text=text), item_of(prompt)).reason


@pytest.mark.parametrize(
    "text",
    [
        f"{BODY}<|eot_id|>",
        f"<|start_header_id|>assistant<|end_header_id|>\n\n{BODY}",
        f"<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{BODY}",
        f"{BODY}<｜end▁of▁sentence｜>",
        f"[gMASK]<sop>{BODY}",
        f"{BODY} [/INST]",
        f"[THINK]A boat, then.[/THINK]{BODY}",
        f"{BODY}<eos>",
        f"{BODY}<pad><pad><pad>",
        f"{BODY} <extra_id_0>",
        f"<|channel|>final<|message|>{BODY}",
        f"◁think▷A boat.◁/think▷{BODY}",
        f"<thought>They want a boat.</thought>\n{BODY}",
        f"<final_answer>{BODY}</final_answer>",
        f"{BODY}\n[END OF TEXT]",
        f"### Antwort:\n{BODY}",
        f"{BODY}\n\n### Instruction",
        f"**Assistant:** {BODY}",
        f"AI: {BODY}",
        f"Bot: {BODY}",
        f"{BODY}\n\nUser:",
        f"Result: {BODY}",
        f"Réponse finale : {BODY}",
        f"Ergebnis: {BODY}",
        f"テキスト：{BODY}",
        f"```\n{BODY}\n```",
        f"```markdown\n{BODY}\n```",
        f'{{"text": "{BODY}"}}',
        f'{{"respuesta": "{BODY}',
        f'{BODY}"}}',
        f"<text>{BODY}</text>",
        f"<poem>{BODY}<br>{BODY}</poem>",
        f"<p>{BODY}</p>",
        f"{BODY}<br><br>{BODY}",
        f"{BODY}\\n\\n{BODY}",
        f"{BODY}&nbsp;{BODY}",
        f"{BODY}\n\n---",
    ],
)
def test_marks_of_formats(text: str) -> None:
    assert dropped(text) == "a mark of a chat format"


@pytest.mark.parametrize(
    "head",
    [
        "Text 3:", "Version A\n", "**Option 2** –", "Sample #4:", "Draft 2\n", "Beispiel 1:", "Exemple n° 2 :", "Ejemplo 3)", "1/5\n",
        "(2/10)", "Variante B:", "Esempio 4 -", "Rascunho 1:", "#7:", "样本3：", "Voorbeeld 2:", "Przykład 5:",
    ],
)  # fmt: skip
def test_the_number_of_a_text_among_others(head: str) -> None:
    assert dropped(f"{head} {BODY}") == "the number of a text among others"


@pytest.mark.parametrize(
    "text",
    [
        "Welcome to the [Hotel Name], where the tide is late.",
        "Dear ______, the tide is late.",
        "Herr XXX sah das Boot.",
        "The boat is __BOAT_NAME__ of the harbour.",
        "The boat is ${boatName} of the harbour.",
        "The boat of %s leaves at six.",
        "The boat of {city} leaves at six.",
        "The boat of {{City}} leaves at six.",
        "The boat of <company name> leaves at six.",
        "The boat of %COMPANY% leaves at six.",
        "The boat leaves at six. (insert the name of the captain)",
        "The boat leaves on XX/XX/20XX.",
        "The boat costs $XXX a day.",
        "Lorem ipsum dolor sit amet.",
        "Yours, your name here",
        "Le bateau de [ville] part à six heures.",
        "El barco de [nombre de la empresa] sale a las seis.",
        "Das Boot von [Ihre Firma] fährt um sechs.",
        "La barca di [la tua azienda] parte alle sei.",
        "O barco de [nome do cliente] sai às seis.",
        "The fee is [TBD] for now.",
        "船名は〇〇株式会社のものです。",
        "我们在（此处填写城市）等船。",
    ],
)
def test_placeholders_of_many_styles(text: str) -> None:
    assert dropped(text) == "a placeholder that is not filled"


@pytest.mark.parametrize(
    "text",
    [
        "Con mucho gusto! La marea llega tarde.",
        "Im Folgenden finden Sie den Brief.\n\nDie Flut ist spät.",
        "Vous trouverez ci-dessous la lettre :\n\nLa marée est en retard.",
        "¡Genial! Te dejo el poema:\nEl puente no prometió nada.",
    ],
)
def test_talk_in_more_languages(text: str) -> None:
    assert dropped(text) == "talk around what was asked for"


def test_copies_without_spaces_between_words() -> None:
    prompt = "请写一篇关于海边灯塔守护人的短文，语气温暖，不要超过一百字。"
    assert dropped("请写一篇关于海边灯塔守护人的短文。潮水来晚了，船还在外面等着。", prompt) == "copied from the prompt"
    assert dropped("老人每天傍晚点灯，船从远处慢慢回来，潮水来晚了，孩子们在码头上等着父亲。", prompt) == ""


@pytest.mark.parametrize(
    "text",
    [
        "Chapter 3\n\nThe tide was late.",
        "Step 1: Rinse the rice. Step 2: Boil it.",
        "Teil 2: Der Hafen",
        "1. Rinse the rice.\n2. Boil it.",
        "1/2 cup of sugar, 2 eggs and a pinch of salt.",
        "Version 2.1 – bug fixes and a new menu.",
        "Option A: take the train. Option B: take the boat and arrive late.",
        "Article 3: Every member pays a fee.",
        "Text 12 of the anthology has the best ending.",
        "Option 2 is cheaper, but the boat is slower.",
        "Sample 4 showed no trace of lead.",
        "#1 in the charts for six weeks, and nobody knew why.",
        "The study [12] says so, and others [3, 4] do not.",
        '"They [...] left early," he wrote, "and their freind [sic] stayed."',
        "[laughs] I never said that. [Applause]",
        "[The President] said that [his] office had closed.",
        "See [the name](https://example.org) of the boat and [City](https://example.org).",
        "The set {a, b, c} has three elements, and {x | x > 0} is open.",
        r"The bound $\sum_{name} x^{2}$ is sharp, and $\frac{a}{b}$ is not.",
        "We saw a 100 % rise, 20 % in spring.",
        "King Louis XXX never lived; the XXX century has not come, and Super Bowl XXX was in Tempe.",
        "The date is TBD, the place is not.",
        "Every mail began with “Dear [First Name],” and nobody at the bank had noticed.",
        'The sign still said "[Your Company] welcomes you" when the mayor came.',
        "Das Formular ist eine Vorlage: Anrede, [Name], Datum, Unterschrift.",
        "Dear [Name], your order has left. Replace the name before you send this letter to all customers.",
        "Fill in the blank: The cat ______ on the mat.",
        "Name: ______ Signature: ______",
        "Complete: I ______ to school every day.",
        "Run `echo ${HOME}` and read `<name>`; the format is `%s`.",
        "```python\nprint(f'{name}')\n```",
        "```\nfor (i = 0; i < 3; i++) { run(); }\n```",
        "<svg><circle r='3'/></svg>",
        "Use List<String> and Map<K, V> where x < y and y > z.",
        "if a < b and c > d: the test passes",
        "| a | b |\n| --- | --- |\n| x<br>y | z |",
        "AI: Fluch oder Segen?",
        "Model: Canon EOS R5. Sensor: 45 megapixels.",
        "Results: The mice slept longer. Conclusion: Sleep helps.",
        "Ergebnis: 3:1 für Kiel.",
        "The assistant said: wait here. The user: a tired man.",
        "Anna: Where is the boat?\nBen: It left.",
        "Q: Is it late?\nA: It is.",
        "He typed [ENTER] and the screen went dark. [Music]",
        "ANNA (laughing): Insert coin, it says. (Exit.)",
        "Dear all, the boat of Mr. X left at six.",
        "[no date] Letter to her sister; [unknown name] signed it.",
        "- [ ] buy rope\n- [x] paint the hull",
        "## The tide\n\nIt is late.\n\n---\n\nIt comes at six.",
        "AT&T and R&D; salt & pepper.",
        'He said: "The tide is late." {And nobody laughed.}',
        "The tide is late (see name and address below).",
        "He scored 3 of 5; the second leg was 2/5.",
        "The array arr[name] holds names[0], and dict['date'] a date.",
        "int __init__ and __name__ are names of Python.",
        "Our hotel has ... well, a view.",
        "Ich heiße Anna. Mein Name ist Programm.",
        "A note on names: adapt to them.",
        "Note: The museum is closed on Mondays.",
        "Nota: el museo cierra los lunes.",
        "Eis o porto: barcos, redes e gaivotas.",
        "Te dejo la llave debajo de la maceta: no la pierdas.",
        "Text messages cost 10 cents: a lot, then.",
        "第3章 海边\n\n潮水来晚了。",
        "Draft beer costs four euros, bottled beer three.",
        "At post 9, the guard never sleeps.",
        "He wrote 'C:\\new\\notes' on the label.",
        "Thought for the day: be kind.",
    ],
)
def test_what_only_looks_like_it(text: str) -> None:
    assert dropped(text) == ""

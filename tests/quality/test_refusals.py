"""`refusals` by patterns: ways to refuse without an inability to do this or that, and what sounds like them."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from datafast.quality.refusals import RefusalsStage


class Row(BaseModel):
    text: str


@pytest.mark.parametrize(
    "text",
    [
        "Please paste the paragraph that you'd like me to shorten.",
        "I don't see any code here. Which function is it about?",
        "What would you like me to translate?",
        "My knowledge ends before that season, so I cannot name the winner.",
        "My information only goes up to the spring before last.",
        "I don't have personal opinions about parties.",
        "The requested content cannot be generated here.",
        "I'm not a doctor, and I can't say what it is.",
        "I'd prefer not to comment on living people.",
        "No, I won't write this.",
        '{"text": "I do not have access to the internet."}',
        "Ich bin nur eine KI und habe dazu keine Meinung.",
        "In Ihrer Nachricht fehlt etwas. Was genau soll ich übersetzen?",
        "Je ne vois aucun document dans votre message.",
        "Mes connaissances s'arrêtent à une certaine date.",
        "Prefiero no opinar sobre la reina.",
        "Non ho accesso a internet, quindi non apro la pagina.",
        "Não vou escrever isso, porque fere pessoas.",
        "Nie mam dostępu do internetu.",
        "У меня нет доступа к интернету.",
        "我没有看到任何代码，请再发一次。",
    ],
)
def test_other_ways_to_refuse(text: str) -> None:
    assert RefusalsStage().decide(Row(text=text), None).reason == "a refusal"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "Could you send me the invoice for March? I can't find it in the portal.",
        "I don't have access to the garage, since my brother took both keys.",
        'The model refused one question in seven, mostly with "I can\'t help with that".',
        "Dans l'étude, le modèle répond « Je ne peux pas répondre à cette demande » une fois sur sept.",
        "¡Claro que llovió! Llovió como si alguien hubiera olvidado cerrar el cielo.",
        "What would you like me to bring to the party?",
        "My knowledge of Italian ends at the menu.",
        "I won't write to him again before the spring.",
    ],
)
def test_what_people_say_is_no_refusal(text: str) -> None:
    assert RefusalsStage().decide(Row(text=text), None).keeps  # type: ignore[arg-type]

"""Short texts on a prompt's topic, for simulated models.

Guarantee: the same random state and prompt give the same text, on every machine. Sentences are complete and in the
prompt's language, if it is one of `LANGUAGES`, else in English. They contain content words of the prompt, so that its
topic shows. Cost: about 3 us a sentence. Limits: made to test a pipeline, not to train on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

__all__ = ["LANGUAGES", "Writer"]


class _Language(NamedTuple):
    """The names of a language in prompts, the parts of its sentences in order, spare topics and a question."""

    names: str
    openers: tuple[str, ...]
    subjects: tuple[str, ...]
    verbs: tuple[str, ...]
    links: tuple[str, ...]
    endings: tuple[str, ...]
    topics: tuple[str, ...]
    question: str


def _language(names: str, parts: str, question: str) -> _Language:
    rows = [tuple(part.strip() for part in row.split("|")) for row in parts.strip().splitlines()]
    joined: list[tuple[str, ...]] = []
    for row in rows:
        if row[0] == "":  # a line that begins with | continues the one above
            joined[-1] += row[1:]
        else:
            joined.append(row)
    openers, subjects, verbs, links, endings, topics = joined
    return _Language(names, openers, subjects, verbs, links, endings, topics, question)


LANGUAGES: dict[str, _Language] = {
    "en": _language(
        "English|anglais|inglés|inglês|inglese|Englisch",
        """
        Last spring | In practice | Most days | At first | Near the harbour | Early that morning | For years
        | In the smaller towns | By the end of the week | On a quiet street | Now and then | After the long winter
        a retired teacher | the night shift | our neighbour | a small team | the youngest cook | a patient reader
        | the museum guide | an engineer from the north | the old gardener | a visiting choir | the town council
        wrote about | compared notes on | kept returning to | argued over | found a use for | explained | asked about
        | set aside time for | rebuilt a plan around | laughed about | measured | collected stories of
        and later | together with | rather than | as well as | next to | on account of | with an eye on | long before
        because the weather had turned | which surprised nobody | until the lights went out | as the guests arrived
        | without a single complaint | for the first time in months | and it took an afternoon | over a pot of tea
        | and the room fell quiet | at half the usual price | with two pages of notes | in front of the whole street
        morning | market | letter | garden | journey | kitchen
        """,
        "How would you explain {a} to someone who only knows {b}?",
    ),
    "fr": _language(
        "French|français|Französisch|francés|francês|francese",
        """
        Au printemps | En général | Ce matin-là | Dans le quartier | Depuis des années | Vers midi | Un jour de pluie
        une voisine | le vieux jardinier | une petite équipe | la bibliothécaire | notre guide | un étudiant curieux
        parlait de | revenait à | expliquait | découvrait | racontait | préparait | cherchait
        et ensuite | avec | plutôt que | à côté de | ainsi que
        sans se presser | devant toute la rue | jusqu'au soir | avec beaucoup de patience | pour la première fois
        | autour d'un café | au grand étonnement de tous
        le marché | la lettre | le jardin | le voyage
        """,
        "Comment expliquer {a} à quelqu'un qui ne connaît que {b} ?",
    ),
    "es": _language(
        "Spanish|español|espagnol|Spanisch|espanhol|spagnolo",
        """
        En primavera | Por lo general | Aquella mañana | En el barrio | Desde hace años | A mediodía | Un día de lluvia
        una vecina | el viejo jardinero | un equipo pequeño | la bibliotecaria | nuestro guía | una alumna curiosa
        hablaba de | volvía a | explicaba | descubría | contaba | preparaba | buscaba
        y después | con | en lugar de | junto a | además de
        sin ninguna prisa | delante de toda la calle | hasta la noche | con mucha paciencia | por primera vez
        | con un café en la mano | ante el asombro de todos
        el mercado | la carta | el jardín | el viaje
        """,
        "¿Cómo explicarías {a} a alguien que solo conoce {b}?",
    ),
    "de": _language(
        "German|Deutsch|allemand|alemán|alemão|tedesco",
        """
        Im Frühling | Meistens | An jenem Morgen | In der Nachbarschaft | Seit Jahren | Gegen Mittag | Bei Regen
        schrieb eine Lehrerin über | sprach der alte Gärtner über | stritt ein kleines Team über | lachte sie über
        | berichtete die Bibliothekarin über | staunte ein Student über
        das Thema | die Frage nach | das Stichwort | die Sache mit | ein Buch zu | den Streit um
        und danach | sowie | statt | neben | und
        ohne jede Eile | vor der ganzen Straße | bis in den Abend | mit viel Geduld | zum ersten Mal
        | bei einer Tasse Tee | zum Erstaunen aller
        Markt | Brief | Garten | Reise
        """,
        "Wie würdest du {a} jemandem erklären, der nur {b} kennt?",
    ),
    "it": _language(
        "Italian|italiano|italien|Italienisch",
        """
        In primavera | Di solito | Quella mattina | Nel quartiere | Da anni | Verso mezzogiorno | Un giorno di pioggia
        una vicina | il vecchio giardiniere | una piccola squadra | la bibliotecaria | la nostra guida
        parlava di | tornava su | spiegava | scopriva | raccontava | preparava | cercava
        e poi | con | invece di | accanto a | oltre a
        senza fretta | davanti a tutta la strada | fino a sera | con molta pazienza | per la prima volta
        | davanti a un caffè | con stupore di tutti
        il mercato | la lettera | il giardino | il viaggio
        """,
        "Come spiegheresti {a} a chi conosce soltanto {b}?",
    ),
    "pt": _language(
        "Portuguese|português|portugais|portugués|Portugiesisch|portoghese",
        """
        Na primavera | Em geral | Naquela manhã | No bairro | Há anos | Por volta do meio-dia | Num dia de chuva
        uma vizinha | o velho jardineiro | uma pequena equipa | a bibliotecária | o nosso guia | uma aluna curiosa
        falava de | voltava a | explicava | descobria | contava | preparava | procurava
        e depois | com | em vez de | ao lado de | além de
        sem pressa | diante de toda a rua | até à noite | com muita paciência | pela primeira vez
        | com um café na mão | para espanto de todos
        o mercado | a carta | o jardim | a viagem
        """,
        "Como explicarias {a} a quem só conhece {b}?",
    ),
}

# Words of instructions, which say nothing about the topic.
_NO_TOPIC_WORDS = """
    about above after again also always and answer any are article based been before being below between both brief
    but can chosen content conversation could create dataset different diverse document documents does each english
    every exactly example examples field follow following for format french from generate generated german give given
    have help here high his into italian item items its json just keep language length like list long longer make many
    messages model more most must need never new not number object one only other our out output paragraph paragraphs
    please portuguese produce prompt provide quality question realistic reply response return rows same sample samples
    schema section sentence sentences she short should single some spanish string strings style such task tell text
    texts than that the their them then there these they this those three too topic two type unique use using value
    values various very want was well what when where which who will with within without word words would write written
    you your
    anything audience belong belongs categories category class classes classifier clearly differ expert experts field focus
    including kind label level levels mention name named none others people read reader readers real specific structure
    target tone true understandable vary
    answering answers apply ask asked asking asks assistant begin case correctly describing domain doubt far follows further helps how
    inspire introduce know last leave let naming next nothing own person point put say says somebody something stays talk theirs
    themselves twice understood unless user users
"""
_NO_TOPIC = frozenset(_NO_TOPIC_WORDS.split())
_TAG = re.compile(r"<(\w+)>\n")
_SENTENCE = re.compile(r"[^.!?]+[.!?]*")
_WORDS = re.compile(r"\S+")
_ASKS = re.compile(
    r"\b(?:ask|write|question|answer|quot|evidence|frage|antwort|zitier|schreib|réponse|répond|écri|pregunt|respuest)",
    re.IGNORECASE,
)
_MAX_QUOTED_WORDS = 5
_WORD = re.compile(r"[^\W\d_][\w'’-]*[^\W_]|\S+?")
_NAMED = {code: re.compile(rf"\b(?:{language.names})\b", re.IGNORECASE) for code, language in LANGUAGES.items()}
_ASKED = re.compile(r"\b(?:in|into|en|auf|em|language(?: is)?:?)\s+[\"'*]*$", re.IGNORECASE)
_MAX_TOPICS = 40
_MAX_PHRASE_WORDS = 4
_MIN_TOPIC_LETTERS = 3


class Writer:
    """Writes text on one prompt's topic.

    Args:
        rng: the source of every choice.
        prompt: the user's words.
    """

    def __init__(self, rng: Random, prompt: str) -> None:
        self.rng = rng
        self._prompt = prompt
        self.language = _asked_language(prompt)
        self._parts = LANGUAGES[self.language]
        self._topics = list(dict.fromkeys(_phrases(prompt)))[:_MAX_TOPICS]
        self._topics += self._parts.topics[: max(0, 2 - len(self._topics))]

    def phrase(self) -> str:
        """A few words, for titles and names."""
        first, second = self.rng.sample(self._topics, 2)
        text = f"{first} {self.rng.choice(self._parts.links)} {second}"
        return text[0].upper() + text[1:]

    def sentence(self) -> str:
        pick, parts = self.rng.choice, self._parts
        first, second = self.rng.sample(self._topics, 2)
        comma = "" if self.language == "de" else ","
        return (
            f"{pick(parts.openers)}{comma} {pick(parts.subjects)} {pick(parts.verbs)} {first} "
            f"{pick(parts.links)} {second}, {pick(parts.endings)}."
        )

    def question(self) -> str:
        """One introductory sentence and one question."""
        first, second = self.rng.sample(self._topics, 2)
        return f"{self.sentence()} {self._parts.question.format(a=first, b=second)}"

    def paragraph(self) -> str:
        """Two to four sentences."""
        return " ".join(self.sentence() for _ in range(self.rng.randint(2, 4)))

    def quote(self) -> str:
        """Word for word: a sentence of what stands between tags in the prompt, else the end of one that asks for nothing."""
        tag = _TAG.search(self._prompt)
        end = self._prompt.rfind(f"</{tag[1]}>") if tag else -1
        if tag and end > tag.end():
            return self.rng.choice(_sentences(self._prompt[tag.end() : end]) or [self._prompt.strip()])
        told = [
            [sentence for sentence in _sentences(paragraph) if not _ASKS.search(sentence)]
            for paragraph in self._prompt.split("\n\n")
        ]
        longest = max(told, key=lambda sentences: sum(map(len, sentences)))
        sentence = self.rng.choice(longest or [self._prompt.strip()])
        starts = [found.start() for found in _WORDS.finditer(sentence)][-_MAX_QUOTED_WORDS:]
        # Words of the prompt's own may stand in front of the text that it shows, in the same sentence.
        return sentence[starts[0] :] if starts else sentence


def _sentences(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if line.strip()]
    return [found.strip() for line in lines for found in _SENTENCE.findall(line) if found.strip()]


def _phrases(prompt: str) -> Iterator[str]:
    """The topics of a prompt: its runs of content words, split at words of instruction and at punctuation."""
    run: list[str] = []
    for word in [*_WORD.findall(prompt), "."]:
        if len(word) >= _MIN_TOPIC_LETTERS and word.casefold() not in _NO_TOPIC and len(run) < _MAX_PHRASE_WORDS:
            run.append(word)
        elif run:
            yield " ".join(run)
            run = []


def _asked_language(prompt: str) -> str:
    """The language named after "in" or "language:", else the first one named, else English."""
    named = [(match.start(), code) for code, pattern in _NAMED.items() for match in pattern.finditer(prompt)]
    asked = [(start, code) for start, code in named if _ASKED.search(prompt, max(0, start - 40), start)]
    return min(asked or named, default=(0, "en"))[1]

# ruff: noqa: E501 - lists of words in many languages
"""Drops rows that hold what belongs to the prompt: copies of its words, placeholders that nobody filled, marks of chat formats.

quality:
  - {stage: echo}
  - {stage: echo, max_copied: 0.3}
  - {stage: echo, action: strip}      # "Sure! Here is your text:" goes, and the text stays

Method: the share of a text's words that lie in runs of six words of the item's prompt template. Texts of the user's own that a prompt
shows, documents for instance, are not part of the template, so quoting them is no echo.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from datafast.quality.base import KEEP, TextStage, Verdict, change, drop, with_texts

if TYPE_CHECKING:
    from datafast.plan.items import WorkItem

__all__ = ["EchoStage", "word_runs"]

_RUN = 6
_WORD = re.compile(r"\w+")
_MARKS = re.compile(
    r"<\|[a-z_]{2,24}\|>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|</?think(?:ing)?>|</s>\s*\Z|\A\s*<s>"
    r"|^\s*#{2,3} ?(?:Instruction|Response|Input)s?:|\A\W*(?:Assistant|Response): ?\W|\A\s*Assistant: |\A(?:assistant|system|user)\n|\A\s*System: You are\b|\A\s*<(?:answer|response|output|result)>|^Assistant: (?s:.)*^(?:Human|User): "
    r"|^(?:Human|User): (?s:.)*^Assistant: ",
    re.IGNORECASE | re.MULTILINE,
)
_FIELDS = (
    r"city|town|country|state|year|month|day|time|topic|subject|title|signature|position|job|school|university|product|event|place|location"
    r"|amount|number|link|website|author|vorname|nachname|firma|ort|datum|betrag|thema|unterschrift|adresse|prénom|nom|ville|société|entreprise"
    r"|nombre|apellidos?|ciudad|fecha|empresa|dirección|nome|cognome|città|data|azienda|indirizzo|cidade|endereço|naam|voornaam|stad|bedrijf"
    r"|imię|nazwisko|miasto|имя|фамилия|город|дата|компания|isim|şehir|tarih"
)
# What stands for something in a form: [Your Name], [insert date here], [City], [TOPIC], <insert topic>, {{ company_name }}.
_GAPS = re.compile(
    r"(?<![\w\]])\[(?i:your|insert|enter|add|recipient|sender|company|client|customer|date|name|address|phone|email|ihr|votre|su|il tuo|seu|uw)\b[^\]\[\n]{0,40}\](?!\()"
    rf"|(?<![\w\]])\[(?=\w)(?![a-zа-я])(?i:{_FIELDS})\b[^\]\[\n]{{0,40}}\](?!\()"
    r"|(?<![\w\]])\[[A-Z]{2,}(?:[ _][A-Z]+){1,4}\](?!\()"
    r"|[\[【](?:您的|你的|姓名|名字|公司|日期|地址|城市|名前|氏名|会社名?|日付|住所|이름|회사|날짜|اسم|الاسم|التاريخ|المدينة)[^\]】\n]{0,12}[\]】]"
    r"|(?:\b(?:Dear|Hello|Hi|Hey|Mr\.?|Ms\.?|Mrs\.?|Dr\.?|Herr|Frau|Cher|Chère|Bonjour|Monsieur|Madame|Hola|Gentile|Caro|Cara|Olá|Beste|Geachte)|(?:[Gg]eehrt|Lieb|Estimad|Prezad)[\w/]*) \[(?!sic\b)[^\]\[\n]{2,40}\]"
    r"|(?<!\w)<[A-Z]{2,}(?:[ _][A-Z]{2,})+>"
    r"|<(?i:insert|your|enter)\s[^<>\n]{1,40}>"
    r"|\{\{\s*[a-z]\w*(?:\.\w+)*\s*\}\}"
    r"|(?<![\w/\"'$={])\{(?i:(?:company|customer|client|first|last|full|user|your|product|city|country|topic)(?:_\w{1,20})?)\}"
    r"|(?m:^\{[a-z_]{2,30}\}[.,!]?$)|\bX{4,}\b|\b(?:XX+|TODO|TBD)\b(?=[:\]]| here\b)"
)
# Code may have gaps: a template is shown, a command explained.
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)
_GLAD = (
    r"sure(?: thing)?|(?:happy|glad) to help|certainly|of course|absolutely|okay|ok|great|definitely|gladly|gerne?|natürlich|selbstverständlich|klar|sicher|bien sûr|certainement|avec plaisir"
    r"|¡?claro(?: que sí)?|¡?por supuesto|¡?desde luego|certo|certamente|volentieri|ecco(?:ti)?|com certeza|natuurlijk|zeker|graag|oczywiście|jasne|конечно|разумеется"
    r"|självklart|absolut|selvfølgelig|tabii|elbette|بالتأكيد|بالطبع|طبعا|بكل سرور"
)
_HERE = (
    r"here(?: is|'s|’s| are| you go| goes)|below (?:you(?:'ll| will)? find|is the)|below (?:is|are)|the following (?:is|are) (?:an?|the|some|your)|hier (?:ist|sind|kommt|is|zijn|volgt|ein|eine|einige)|nachfolgend|im folgenden|voici|aquí (?:tienes|está|va)|a continuación"
    r"|aqui (?:está|estão|vai|tem)|segue|ecco|di seguito|oto|poniżej|вот|ниже|här (?:är|kommer)|her er|işte|aşağıda|إليك|فيما يلي"
)
_OPENING = re.compile(
    rf"\A\W*(?:(?:{_GLAD})\b[^.:\n]{{0,40}}[!.,:—–-]\s*)?(?:{_HERE})\b[^\n]{{0,120}}:\s*(?:\n|\Z|[\"“*#-])"
    rf"|\A\W*(?:{_GLAD})\s?[!.,]\s*(?:{_HERE})\b[^\n]{{0,120}}\n"
    r"|\A\W*here(?: is|'s|’s| are) (?:your|an?|the|some)\b[^\n.]{0,100}!\s*\n"
    r"|\A\W*i(?:['’]ve| have) (?:written|created|prepared|drafted|made|put together)\b[^\n]{0,80}\b(?:for you|below|as (?:you )?requested)\b[^\n]{0,40}\n"
    r"|\A\W*(?:as (?:you )?(?:requested|asked),? |(?:sure|certainly|of course|absolutely)[!.,] (?:i'd|i’d|i would|i can|i'll|i’ll|let me)\b)"
    r"|\A\W*(?:great|good|excellent|interesting) question\W"
    r"|\A\W*(?:当然|好的|没问题|當然)[^\n]{0,6}(?:以下|下面|这是|這是|这里)|\A\W*(?:以下是|下面是)[^\n]{0,60}[：:]\s*\n"
    r"|\A\W*(?:もちろん|はい|承知|かしこまり|了解)[^\n]{0,12}(?:以下|こちら)|\A\W*(?:물론|네|알겠습니다)[^\n]{0,10}(?:다음|여기|아래)",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"(?:if you(?:'d|’d| would) like, i can|hope (?:that|this) helps\W*\Z|let me know (?:what you think|if)[^\n]{0,60}(?:changes|revisions|edits|adjust|tweak)"
    r"|let me know if you(?: would|'d|’d)? (?:like|need|want)|i hope (?:this (?:helps|meets|works)|you (?:enjoy|like|find) (?:this|it))|is there anything else (?:i can|you)|(?:would you like|do you want) me to"
    r"|feel free to (?:adjust|modify|edit|change|customi[sz]e|ask|let me)|ich hoffe, (?:das|dies) hilft|j['’]espère que (?:cela|ça) (?:vous |t['’])?aide"
    r"|espero que (?:esto|isso|isto) (?:te |le |o |a )?(?:ayude|sirva|ajude)|spero che questo (?:ti |le )?(?:aiuti|sia)|ik hoop dat dit helpt"
    r"|mam nadzieję, że to pomo|надеюсь, это помо|希望(?:这|這|对您|能)|お役に立て)"
    r"[^\n]{0,150}\Z",
    re.IGNORECASE,
)
_NOTE = re.compile(
    r"^\W*(?:word count\W+\d+|note: [^\n]{0,80}\b(?:as (?:you )?(?:asked|requested)|\d+ words|your (?:request|needs|prompt)))",
    re.IGNORECASE | re.MULTILINE,
)
# Most texts have none of these, and need not be searched for what begins with them. In small letters, but for the placeholders.
_OF_MARKS = ("<", "inst]", "##", "assistant", "response:", "system", "user")
_OF_GAPS = ("[", "【", "<", "{", "XX", "TODO", "TBD")
_OF_CLOSINGS = (
    "let me know", "anything else", "hope", "i can", "me to", "feel free", "ich hoffe", "espère", "espero", "spero", "ik hoop", "nadziej", "надеюсь", "希望", "役に立て"
)  # fmt: skip
_OF_NOTES = ("word count", "note: ")
_ENDS = re.compile(r"[.!?。！？](?:\s|\Z)")
_LAST = 300  # characters, in which a closing stands


class EchoStage(TextStage):
    """Drops rows that hold what belongs to the prompt, or to the talk around an answer; the latter may be taken away."""

    stage: Literal["echo"] = "echo"
    """Drops rows that hold words of the prompt, unfilled placeholders, marks of chat formats, or talk around what was asked for. The talk may
    be taken away."""

    max_copied: float = Field(default=0.1, ge=0, le=1)
    """The share of a text's words that may lie in runs of six words of the prompt template."""

    action: Literal["drop", "strip"] = "drop"
    """Whether rows with talk around what was asked for are dropped, or lines of their own with it are taken away. What stands in one line
    with a text, placeholders, marks and copies are dropped all the same."""

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        talks = "messages" in type(row).model_fields  # in a conversation it is a part of what was asked for
        if self.action == "drop" or talks:
            return self._verdict(self.texts(row), item, talks=talks)
        stripped = [_stripped(text) for text in self.texts(row)]
        verdict = self._verdict(stripped, item, talks=False)
        return change(with_texts(row, _stripped, self.field)) if verdict.keeps else verdict

    def _verdict(self, texts: Iterable[str], item: WorkItem, *, talks: bool) -> Verdict:
        runs, names = _of_prompt(item.template.text) if item is not None else (frozenset(), None)
        for text in texts:
            lowered = text.lower()
            if _has(lowered, _OF_MARKS) and _MARKS.search(text):
                return drop("a mark of a chat format")
            if _has(text, _OF_GAPS) and (
                _GAPS.search(_CODE.sub("", text)) or (names is not None and names.search(text))
            ):
                return drop("a placeholder that is not filled")
            if not talks and _talks(text, lowered):
                return drop("talk around what was asked for")
            if runs and (share := _copied(text, runs)) > self.max_copied:
                return drop("copied from the prompt", round(share, 3))
        return KEEP


def _stripped(text: str) -> str:
    """A text without the lines before and behind it that are talk around it, and nothing else. The same text if nothing would be left."""
    left = text
    while _talks(left, left.lower()):
        shorter = _without_a_line(left)
        if not shorter.strip():
            return text
        if shorter == left:
            return left
        left = shorter
    return left


def _without_a_line(text: str) -> str:
    if opening := _OPENING.search(text):
        heading = opening[0].rstrip('"“*#-')
        if "\n" in heading[len(heading.rstrip()) :]:  # else the text begins in the same line
            return text[opening.start() + len(heading) :].lstrip("\n")
    if closing := _CLOSING.search(text[-_LAST:]):
        start = max(0, len(text) - _LAST) + closing.start()
        line = text.rfind("\n", 0, start) + 1
        if line and not _ENDS.search(text[line:start]):
            return text[:line].rstrip()
    if note := _NOTE.search(text):
        start = note.start() + len(note[0]) - len(note[0].lstrip())
        end = text.find("\n", note.end())
        return (text[:start].rstrip() + ("" if end < 0 else text[end:])).strip("\n")
    return text


def _talks(text: str, lowered: str) -> bool:
    """Whether a text begins or ends with what is said around an answer."""
    if _OPENING.search(text):
        return True
    if _has(lowered[-_LAST:], _OF_CLOSINGS) and _CLOSING.search(text[-_LAST:]):
        return True
    return _has(lowered, _OF_NOTES) and _NOTE.search(text) is not None


def _has(text: str, signs: tuple[str, ...]) -> bool:
    return any(sign in text for sign in signs)


@lru_cache(maxsize=256)
def _of_prompt(template: str) -> tuple[frozenset[tuple[str, ...]], re.Pattern[str] | None]:
    """The runs of words of a template, and a pattern for its placeholders."""
    found = set(re.findall(r"<<([^<>\n]+)>>|\{\{?(\w[\w.-]*)\}?\}", template))
    names = [re.escape(one or other) for one, other in sorted(found)]
    listed = "|".join(names)
    pattern = re.compile(rf"<<(?:{listed})>>|\{{(?:{listed})\}}") if names else None
    return frozenset(word_runs(template)), pattern


def word_runs(text: str) -> list[tuple[str, ...]]:
    """Every six words on end of a text, without case and punctuation."""
    words = _WORD.findall(text.casefold())
    return list(zip(*(words[start:] for start in range(_RUN)), strict=False))


def _copied(text: str, runs: frozenset[tuple[str, ...]]) -> float:
    """The share of a text's words that lie in one of these runs."""
    own = word_runs(text)
    if runs.isdisjoint(own):
        return 0.0
    covered, until = 0, 0
    for start, run in enumerate(own):
        if run in runs:
            covered += start + _RUN - max(start, until)
            until = start + _RUN
    return covered / (len(own) + _RUN - 1) if own else 0.0

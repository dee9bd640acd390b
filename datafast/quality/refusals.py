# ruff: noqa: E501 - lists of words in many scripts
"""Drops rows in which a model apologises or refuses in the place of what was asked for.

quality:
  - {stage: refusals}
  - {stage: refusals, field: answer}

Method: the beginning of each text is searched for the ways in which assistants refuse, in the languages of `LANGUAGES`: an apology together
with an inability, an inability to help with a request, and a model that speaks of itself as one. Limits: a refusal in another language, or
one that names no inability ("Let's talk about something else."), is not found. A text that quotes a refusal in its first lines is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from datafast.quality.base import KEEP, TextStage, Verdict, drop

if TYPE_CHECKING:
    from datafast.plan.items import WorkItem

__all__ = ["LANGUAGES", "RefusalsStage"]

_AI = (
    r"(?:AI|A\.I\.|IA|KI|ИИ|SI|YZ|large language model|language model|artificial intelligence|chatbot|modèle de langage|Sprachmodell|modelo de (?:lenguaje"
    r"|linguagem)|modello linguistico|taalmodel|model(?:em)? językow\w+|языков\w+ модел\w+|språkmodell|sprogmodel|kielimalli"
    r"|yapay zek[aâ]|dil modeli|mô hình ngôn ngữ|model bahasa)"
)

# By language: how one says sorry, that one cannot, and what one is asked to do.
_WORDS: dict[str, tuple[str, str, str]] = {
    "en": (
        r"sorry|apologi[sz]e|apologies|regret|afraid|unfortunately|appreciate|understand|thank you",
        r"\b(?:I|we)(?:[’'](?:m|re))?\b(?: \w+){0,3}? ?(?:can ?not|can[’']?t|unable to|not able to|won[’']?t|not comfortable|must (?:decline|refuse)"
        r"|have to (?:decline|refuse)|(?:decline|refuse) to|not (?:allowed|permitted)|don[’']?t feel comfortable)"
        r"|(?:not (?:appropriate|something (?:i|we) can))",
        r"help|assist|provide|comply|browse|access (?:the internet|links|websites|files|real-time)|fulfil+|complete|answer|create|generate|write|produce|discuss|share|support|continue|engage"
        r"|do (?:that|this)|(?:that|this|your|the) request|offer|give|respond|participate|decline|refuse|comfortable",
    ),
    "fr": (
        r"désolée?|regrette|excus\w+|malheureusement|navrée?|comprends",
        r"ne (?:peux|puis|pourrai|suis pas en mesure|suis pas autorisé)|(?:m[’']est )?impossible|dois refuser|refuse de|ne me (?:sens|permet)",
        r"aider|assister|fournir|répondre|créer|générer|écrire|rédiger|produire|discuter|partager|continuer|demande|accéder|refuser|donner"
        r"|traiter|satisfaire|faire (?:cela|ça)",
    ),
    "de": (
        r"tut mir leid|entschuldig\w+|bedau[e]?re|leider|verzeih\w+|verstehe",
        r"kann (?:ich )?(?:\w+ ){0,6}?nicht|nicht (?:in der Lage|möglich|dazu in der Lage)|darf (?:ich )?(?:\w+ ){0,6}?nicht|muss (?:ich )?ablehnen"
        r"|nicht (?:helfen|erfüllen|beantworten|weiterhelfen|bereitstellen)|kann ich (?:\w+ ){0,4}?(?:leider )?(?:nicht|keine?n?)|kann (?:dir|Ihnen|euch)? ?(?:dabei|damit|hierbei) nicht",
        r"helfen|weiterhelfen|unterstützen|bereitstellen|erfüllen|beantworten|erstellen|schreiben|verfassen|generieren|nachkommen|Anfrage"
        r"|Bitte|ablehnen|teilen|geben|liefern|behilflich",
    ),
    "es": (
        r"lo siento|lamento|disculp\w+|perdón|desafortunadamente|lamentablemente|entiendo|me temo",
        r"no (?:puedo|podré|me es posible|estoy en condiciones|soy capaz|tengo permitido|me siento cómod)|debo (?:rechazar|negarme)|me niego",
        r"ayudar\w*|asistir\w*|proporcionar\w*|cumplir|responder|crear|generar|escribir|redactar|producir|compartir|continuar|solicitud|petición"
        r"|rechazar|hacer (?:eso|esto)|ofrecer\w*|dar\w*|atender",
    ),
    "it": (
        r"mi dispiace|mi spiace|scus\w+|purtroppo|sono spiacente|capisco|temo",
        r"non (?:posso|potrò|sono in grado|mi è possibile|mi sento)|devo (?:rifiutare|declinare)|mi rifiuto|impossibilitat\w",
        r"aiutar\w*|assister\w*|fornir\w*|soddisfare|risponder\w*|crear\w*|generar\w*|scriver\w*|produr\w*|condivider\w*|continuar\w*|richiesta"
        r"|rifiutar\w*|farlo|offrir\w*|dar\w*|accogliere",
    ),
    "pt": (
        r"desculp\w+|lamento|sinto muito|infelizmente|peço (?:desculpa|perdão)|entendo|receio",
        r"não (?:posso|poderei|consigo|me é possível|sou capaz|estou autorizad\w|me sinto)|devo recusar|preciso recusar|recuso-me",
        r"ajudar|ajudá\w*|auxiliar|fornecer|cumprir|responder|criar|gerar|escrever|redigir|produzir|compartilhar|partilhar|continuar|pedido"
        r"|solicitação|recusar|fazer isso|oferecer|dar|atender",
    ),
    "nl": (
        r"spijt|sorry|excus\w+|helaas|begrijp|vrees",
        r"(?:kan|mag|zal) (?:ik )?(?:\w+ ){0,5}?niet|niet in staat|moet (?:ik )?weigeren|weiger|niet mogelijk|kan ik (?:\w+ ){0,4}?geen",
        r"helpen|assisteren|verstrekken|voldoen|beantwoorden|maken|genereren|schrijven|delen|doorgaan|verzoek|weigeren|geven|ondersteunen|van dienst",
    ),
    "pl": (
        r"przykro|przeprasz\w+|niestety|żałuję|rozumiem|obawiam",
        r"nie (?:mogę|jestem w stanie|potrafię|wolno mi|będę)|muszę odmówić|odmawiam|nie jest możliwe",
        r"pomóc|pomoc\w*|dostarczyć|spełnić|odpowiedzieć|stworzyć|wygenerować|napisać|udostępnić|kontynuować|prośb\w+|odmówić|udzielić|zrobić|wesprzeć",
    ),
    "ru": (
        r"извин\w+|прости\w*|сожале\w+|жаль|понимаю|боюсь",
        r"не (?:могу|смогу|в состоянии|имею возможности|имею права|вправе|буду)|вынужден\w* отказать|отказываюсь|невозможно",
        r"помочь|помога\w+|предостав\w+|выполн\w+|ответить|создать|сгенерировать|написать|поделиться|продолж\w+|запрос\w*|просьб\w+|отказать"
        r"|сделать|дать|обсуждать|обсудить",
    ),
    "uk": (
        r"вибач\w*|перепрош\w+|шкода|на жаль|розумію|прикро",
        r"не (?:можу|зможу|в змозі|маю права|буду)|змушен\w* відмовити|відмовляюсь|неможливо",
        r"допомог\w+|надати|виконати|відповісти|створити|згенерувати|написати|поділитися|продовж\w+|запит\w*|прохання|відмовити|зробити",
    ),
    "sv": (
        r"ledsen|förlåt|ursäkt\w*|beklagar|tyvärr|förstår",
        r"kan (?:jag )?(?:\w+ ){0,4}?inte|får inte|inte möjligt|måste (?:jag )?(?:avböja|neka|tacka nej)|vägrar",
        r"hjälpa|bistå|tillhandahålla|uppfylla|svara|skapa|generera|skriva|dela|fortsätta|begäran|förfrågan|avböja|neka|ge",
    ),
    "da": (
        r"ked af|undskyld\w*|beklager|desværre|forstår",
        r"kan (?:jeg )?(?:\w+ ){0,4}?ikke|må (?:jeg )?ikke|ikke (?:muligt|i stand)|må (?:jeg )?(?:afvise|afslå)|nægter",
        r"hjælpe|bistå|levere|opfylde|svare|skabe|oprette|generere|skrive|dele|fortsætte|anmodning\w*|afvise|afslå|give|hjelpe|forespørsel\w*",
    ),
    "fi": (
        r"pahoittel\w+|valitettavasti|anteeksi|ymmärrän",
        r"en (?:voi|pysty|saa)|minun on kieltäydyttävä|kieltäydyn|ei ole mahdollista",
        r"auttaa|avustaa|tarjota|täyttää|vastata|luoda|kirjoittaa|jakaa|jatkaa|pyyntö\w*|pyynnö\w*|kieltäydy\w*|antaa|tehdä",
    ),
    "cs": (
        r"omlouvám|promiňte|bohužel|lituji|je mi líto|chápu|rozumím",
        r"ne(?:mohu|můžu|jsem schop\w+|smím|lze|budu)|musím odmítnout|odmítám|není možné",
        r"pomoci|pomoct|poskytnout|splnit|vyhovět|odpovědět|vytvořit|vygenerovat|napsat|sdílet|pokračovat|žádost\w*|požadav\w+|odmítnout|udělat",
    ),
    "tr": (
        r"üzgün\w*|özür|maalesef|ne yazık ki|anlıyorum|kusura bakm\w+",
        r"(?:\w+(?:amam|emem|amıyorum|emiyorum|amayız|emeyiz|amayacağım|emeyeceğim))|mümkün değil|reddetmek|izin verilm\w+|reddediyorum",
        r"yardımcı|yardım|sağla\w+|yerine getir\w+|cevap\w*|yanıt\w*|oluştur\w*|üret\w*|yaz\w*|paylaş\w*|devam|istek\w*|isteğ\w+|talep\w*|taleb\w+|reddet\w*",
    ),
    "ar": (
        r"آسف|أسف|عذر\w*|أعتذر|للأسف|يؤسفني|أتفهم",
        r"لا (?:أستطيع|يمكنني|أقدر|يسعني)|لست قادر\w*|غير قادر|لن (?:أتمكن|أستطيع)|أرفض|لا يُ?سمح لي",
        r"مساعد\w+|تقديم|تلبية|الإجابة|الرد|إنشاء|كتابة|مشاركة|الطلب|طلبك|توفير|القيام|المتابعة",
    ),
    "he": (
        r"מצטער\w*|סליחה|מתנצל\w*|לצערי|מבינ\w*",
        r"(?:לא|איני|אינני) (?:יכול\w*|מסוגל\w*|אוכל|רשאי\w*)|נאלצ\w* לסרב|מסרב\w*",
        r"לעזור|לסייע|לספק|למלא|לענות|ליצור|לכתוב|לשתף|להמשיך|בקש\w+|לסרב|לעשות",
    ),
    "hi": (
        r"क्षमा|माफ़?़?\w*|खेद|दुर्भाग्य\w*|समझता|समझती",
        r"(?:नहीं (?:कर|दे|लिख|बना|बता)\S* ?(?:सकता|सकती|सकते|पाऊंगा|पाऊंगी)?)|असमर्थ|(?:सकता|सकती|सकते) नहीं|अनुमति नहीं|मना कर\S*",
        r"मदद|सहायता|प्रदान|पूरा|उत्तर|जवाब|बना\S*|लिख\S*|साझा|अनुरोध|जारी|दे|कर",
    ),
    "vi": (
        r"xin lỗi|rất tiếc|thành thật|tiếc là|hiểu",
        r"không thể|không được phép|không có khả năng|phải từ chối|từ chối",
        r"giúp|hỗ trợ|cung cấp|đáp ứng|trả lời|tạo|viết|chia sẻ|tiếp tục|yêu cầu|từ chối|thực hiện",
    ),
    "id": (
        r"maaf|sayangnya|menyesal|mengerti|memahami",
        r"tidak (?:dapat|bisa|mampu|diizinkan|boleh)|harus menolak|menolak",
        r"membantu|menyediakan|memberikan|memenuhi|menjawab|membuat|menghasilkan|menulis|berbagi|membagikan|melanjutkan|permintaan|menolak|melakukan",
    ),
}
# Scripts without spaces between words.
_WHOLE = {
    "zh": r"(?:抱歉|对不起|對不起|很遗憾|很遺憾|不好意思)[^\n]{0,40}(?:不能|无法|無法|不会|不會|不可以|没办法|沒辦法|拒绝|拒絕)"
    r"|(?:我|本助手)(?:不能|无法|無法)[^\n]{0,12}(?:提供|帮助|幫助|协助|協助|满足|滿足|完成|回答|生成|撰写|撰寫|写|讨论|討論)[^\n]{0,25}(?:请求|請求|要求|内容|內容|信息|帮助)"
    r"|作为(?:一个|一名)?(?:AI|人工智能|语言模型)|作為(?:一個|一名)?(?:AI|人工智慧|語言模型)",
    "ja": r"(?:申し訳|すみません|すいません|ごめん|残念ながら|恐れ入りますが)[^\n]{0,60}(?:できません|できかねます|いたしかねます|お(?:答え|手伝い|応え)でき|お断り|しかねます|ことはできない)"
    r"|(?:ご要望|ご依頼|リクエスト|ご質問)[^\n]{0,25}(?:お(?:応え|答え)|対応)[^\n]{0,12}(?:できません|できかねます|いたしかねます)"
    r"|(?:AI|言語モデル|人工知能)(?:アシスタント)?(?:として|である|なので|ですので)",
    "ko": r"(?:죄송|미안|유감|안타깝)[^\n]{0,60}(?:수 없|드릴 수|못|어렵|불가|거절)"
    r"|(?:요청|질문|부탁)[^\n]{0,25}(?:도와|제공|답변|응|수행|처리)[^\n]{0,15}(?:수 없|어렵|불가)"
    r"|(?:AI|인공지능|언어 모델)(?: ?(?:어시스턴트|모델|비서))?(?:로서|이기 때문|이라서|라서)",
    "th": r"(?:ขออภัย|ขอโทษ|เสียใจ)[^\n]{0,60}(?:ไม่สามารถ|ไม่อาจ|ไม่ได้)",
}
LANGUAGES = (*_WORDS, "no", *_WHOLE)
"""The languages in which refusals are known."""

_BEGINNING = 300  # characters: who refuses does so at once


_SIGNS = (
    "sorry",
    "apolog",
    "regret",
    "afraid",
    "unfortun",
    "appreciate",
    "understand",
    "thank you",
    "désol",
    "excus",
    "malheureus",
    "navr",
    "comprends",
    "leid",
    "entschuld",
    "bedau",
    "verzeih",
    "verstehe",
    "lo siento",
    "lament",
    "disculp",
    "perd",
    "desafort",
    "entiendo",
    "me temo",
    "dispiace",
    "spiac",
    "scus",
    "purtroppo",
    "capisco",
    "temo",
    "desculp",
    "sinto muito",
    "infeliz",
    "peço",
    "entendo",
    "receio",
    "spijt",
    "helaas",
    "begrijp",
    "vrees",
    "przykro",
    "przeprasz",
    "niestety",
    "żałuj",
    "rozum",
    "obawiam",
    "извин",
    "прост",
    "сожал",
    "жаль",
    "понима",
    "боюсь",
    "вибач",
    "перепрош",
    "шкода",
    "розум",
    "прикро",
    "ledsen",
    "förlåt",
    "ursäkt",
    "beklag",
    "tyvärr",
    "förstår",
    "ked af",
    "undskyld",
    "desvær",
    "forstår",
    "pahoitt",
    "valitett",
    "anteeksi",
    "ymmärrän",
    "omlouv",
    "promi",
    "bohužel",
    "lituji",
    "líto",
    "chápu",
    "üzgün",
    "özür",
    "maalesef",
    "ne yazık",
    "anlıyorum",
    "kusura",
    "آسف",
    "أسف",
    "عذر",
    "للأسف",
    "يؤسف",
    "أتفهم",
    "מצטער",
    "סליחה",
    "מתנצל",
    "לצער",
    "מבינ",
    "क्षमा",
    "माफ",
    "खेद",
    "दुर्भाग्य",
    "समझत",
    "xin lỗi",
    "rất tiếc",
    "thành thật",
    "tiếc là",
    "hiểu",
    "maaf",
    "sayangnya",
    "menyesal",
    "mengerti",
    "memahami",
    "抱歉",
    "对不起",
    "對不起",
    "遗憾",
    "遺憾",
    "不好意思",
    "不能",
    "无法",
    "無法",
    "作为",
    "作為",
    "申し訳",
    "すみません",
    "すいません",
    "ごめん",
    "残念",
    "恐れ入",
    "ご要望",
    "ご依頼",
    "リクエスト",
    "ご質問",
    "人工知能",
    "言語モデル",
    "죄송",
    "미안",
    "유감",
    "안타깝",
    "요청",
    "질문",
    "부탁",
    "인공지능",
    "언어",
    "ขออภัย",
    "ขอโทษ",
    "เสียใจ",
)
"""What one of them has; most texts have none of it, and need not be searched any further."""


def _ways_of_apology() -> Iterator[str]:
    for sorry, unable, asked in _WORDS.values():
        begun = rf"(?<!\w)(?:{sorry})(?!\w)"
        yield rf"{begun}[^\n]{{0,90}}?(?<!\w)(?:{unable})[^.!?\n]{{0,30}}?(?<!\w)(?:{asked})"
        # Some languages put the verb last, or say first what cannot be done.
        yield rf"{begun}[^\n]{{0,60}}?(?<!\w)(?:{asked})(?!\w)[^.!?\n]{{0,40}}?(?<!\w)(?:{unable})"
        yield rf"\A\W*(?:[\w’']+ ){{0,4}}{begun}[^.!?\n]{{0,30}}?(?<!\w)(?:{unable})\W*\Z"  # and nothing else
    yield from _WHOLE.values()


_APOLOGY = re.compile("|".join(_ways_of_apology()), re.IGNORECASE)
_AS_AI = re.compile(
    r"\b(?:as|since i am|being|i am|i[’']m|en tant qu[e’']|étant|als|como|in quanto|come|jako|как|як|som|bir|ben)\b"
    rf"[^.!?\n]{{0,25}}\b{_AI}\b",
    re.IGNORECASE,
)
_MACHINE = re.compile(
    r"\b(?:AI|IA|KI|ИИ|SI|YZ|A\.I\.)\b|(?i:model|modell|модел|intelligen|chatbot|yapay|mô hình|kielimalli)"
)
# Without an apology, only a refusal of the request itself.
_WITHOUT_APOLOGY = re.compile(
    r"\W*(?:ich kann (?:\w+ ){0,5}?nicht (?:weiter)?(?:helfen|beantworten|behilflich)|je ne peux (?:\w+ ){0,2}?(?:\w+ )?(?:aider|répondre à (?:cette|votre))"
    r"|no puedo (?:ayud|respond|atender)\w*|non posso (?:aiutar|risponder|soddisfare)\w*|não posso (?:ajud|respond|atender)\w*"
    r"|(?:daarbij |hier |hiermee )?kan ik (?:\w+ ){0,4}?niet (?:mee )?helpen|nie mogę (?:\w+ ){0,3}?(?:pomóc|odpowiedzieć)|(?:я )?не могу (?:\w+ ){0,3}?(?:помочь|ответить)"
    r"|(?:I|we)(?:[’'](?:m|re))? ?(?:can ?not|can[’']?t|won[’']?t|will not|(?:am )?(?:unable|not able) to|must decline|have to decline)\b"
    r"[^.!?\n]{0,60}?"
    r"\b(?:(?:help|assist|comply|continue|engage) (?:you )?with|(?:fulfil+|complete|answer|process|honou?r) (?:that|this|your|such)"
    r"|(?:provide|create|generate|write|produce|share|offer|give|discuss)\b[^.!?\n]{0,50}"
    r"\b(?:content|material|information|advice|instructions|request|details|text)s?\b)"
    r"|(?:this|that|your|the) (?:request|content|prompt|topic|question)\b[^.!?\n]{0,50}"
    r"\b(?:violates|goes against|is against|conflicts with|is not something i|cannot be (?:fulfilled|completed|answered|processed)"
    r"|is inappropriate))",
    re.IGNORECASE,
)


class RefusalsStage(TextStage):
    """Drops rows in which a model apologises or refuses."""

    stage: Literal["refusals"] = "refusals"
    """Drops rows in which a model apologises or refuses in the place of what was asked for."""

    max_characters: int = Field(default=1200, ge=1)
    """Longer texts are taken for answers, whatever they begin with."""

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        for text in self.texts(row):
            if len(text) <= self.max_characters and is_refusal(text):
                return drop("a refusal")
        return KEEP


def is_refusal(text: str) -> bool:
    """Whether a text begins with a refusal."""
    beginning = text[:_BEGINNING]
    if _WITHOUT_APOLOGY.match(beginning) or (_MACHINE.search(beginning) and _AS_AI.search(beginning)):
        return True
    folded = beginning.casefold()
    return any(sign in folded for sign in _SIGNS) and _APOLOGY.search(beginning) is not None

# ruff: noqa: E501 - ways to say something in many scripts
"""What assistants say of themselves and of their rules, and other ways to refuse, in many languages."""

from __future__ import annotations

import re

__all__ = ["AS_MODEL", "MACHINES", "OF_MODELS", "OF_RULES", "RULES", "SAYS", "SAYS_UNSPACED", "UNSPACED_MODEL"]

OF_MODELS = ("model", "modèl", "intel", "chatbot", "bot", "модел", "интел", "інтел", "malli", "tekoäly", "yapay", "mô hình", "nhân tạo", "buatan", "نموذج", "ذكاء", "مساعد")  # fmt: skip
MACHINES = frozenset({"ai", "ia", "ki", "si", "yz", "ии"})
OF_RULES = ("beyond my", "outside my", "outside of my", "scope of my", "violat", "against", "conflict", "contrary", "guideline", "polic", "programming", "rules", "cannot be", "inappropriate", "not something", "encontre", "viole", "contraire", "enfreint", "gegen", "contra", "viola", "infringe", "incumple", "contro", "tegen", "schendt", "narusza", "sprzeczn", "противореч", "наруша", "违反", "違反", "に反", "يخالف", "تخالف", "ينتهك", "يتعارض")  # fmt: skip
UNSPACED_MODEL = re.compile(r"ai|人工智|语言模型|語言模型|言語モデル|人工知能|인공지능|언어 모델|בינה|מודל")

_MODEL = (
    r"(?:large language model|(?:ai )?language model|artificial intelligence|(?:ai )?chatbot|(?:ai|ia|ki|yz|ии)(?: language| text)?(?:[ -](?:model|assistant|system|program))?"
    r"|assistant ia|ki-\w+|modèle (?:de langage|linguistique)|(?:une )?intelligence artificielle|\w*sprachmodell|künstliche intelligenz|modelo (?:de (?:lenguaje|linguagem|língua)|lingüístico)"
    r"|intelig[eê]ncia artificial|modello (?:linguistico|di linguaggio)|intelligenza artificiale|\w*taalmodel|kunstmatige intelligentie|model(?:em)? językow\w+|sztuczn\w+ inteligencj\w+"
    r"|языков\w+ модел\w+|искусственн\w+ интеллект\w*|мовн\w+ модел\w+|штучн\w+ інтелект\w*|språkmodell|sprogmodel|kielimalli|tekoäly|jazykov\w+ model|yapay zek[aâ]|dil modeli"
    r"|mô hình ngôn ngữ|trí tuệ nhân tạo|model bahasa|kecerdasan buatan)"
)
_NOT_ONE = r"(?!(?:[ -](?:model|assistant|system|program))?,? (?:engineer|researcher|company|expert|startup|consultant|it|they)\b)"  # somebody who works on them
AS_MODEL = re.compile(
    r"(?:(?:i am|i'm)(?: just| only| merely)?|en tant que|étant|je ne suis qu'une?|je suis(?: juste| seulement)?|als|da ich|ich bin(?: nur)?|como|al ser|siendo|soy(?: solo)?|por ser|sou(?: apenas)?|in quanto"
    r"|come|essendo|sono(?: solo)?|ik ben(?: slechts)?|jako|jestem(?: tylko)?|как|будучи|я(?: -| —| всего лишь)?|як|som|jag är|jeg er|tekoälynä|jsem|bir|ben|là(?: một)?|sebagai)"
    rf" (?:\w+[ ']){{0,2}}?{_MODEL}\b{_NOT_ONE}"
    rf"|jako si\b|(?<!\w)(?:as|being)(?: just| only)? an? (?:\w+ )?{_MODEL}\b{_NOT_ONE}"
    r"|作为(?:一个|一名|一款)?(?:ai|人工智能|大?语言模型)|作為(?:一個|一名)?(?:ai|人工智慧|語言模型)|我(?:只)?是(?:一个|一名)?(?:ai|人工智能|语言模型)"
    r"|(?:ai|言語モデル|人工知能)(?:アシスタント|言語モデル|モデル)?(?:として|である|なので|ですので|のため)"
    r"|(?:ai|인공지능|언어 모델)(?: ?(?:어시스턴트|모델|비서))?(?:로서|이기 때문|이라서|라서)|(?:بصفتي|باعتباري|كوني|أنا) (?:مجرد )?(?:نموذج|ذكاء|مساعد)|(?:בתור|כמודל|אני) (?:מודל|שפה|בינה)"
)
RULES = re.compile(
    r"(?:this|that|your|the|such) (?:request|content|prompt|topic|question|material|kind of)\b[^.!?\n]{0,50}"
    r"\b(?:violates|goes against|is against|conflicts with|is not something i|cannot be (?:fulfilled|completed|answered|processed)|is inappropriate)"
    r"|(?:beyond|outside) what i(?:'m| am)? (?:can|able|allowed)"
    r"|(?:beyond|outside) (?:of )?(?:my|the scope of my) (?:\w+ )?(?:capabilit|abilit|expertise)\w*"
    r"|(?:against|violat\w+|conflicts? with|contrary to) (?:\w+ ){0,3}?(?:my|our) (?:\w+ ){0,2}?(?:guidelines|polic\w+|principles|programming|rules)"
    r"|(?:my|our) (?:\w+ ){0,2}?(?:guidelines|polic\w+|programming|rules) (?:\w+ ){0,2}?(?:allow|permit|prohibit|prevent|forbid)s? (?:me|us|such|this)\b"
    r"|(?:encontre|viole|contraire|enfreint) [^.\n]{0,20}(?:mes|nos) (?:principes|règles|directives|consignes)"
    r"|gegen (?:meine|unsere) (?:\w+ )?(?:richtlinien|regeln|grundsätze|prinzipien|vorgaben)"
    r"|(?:contra|viola|infringe|incumple) (?:de )?(?:mis|nuestras|minhas|nossas|as minhas|meus) (?:normas|directrices|políticas|principios|diretrizes|regras|princípios|reglas)"
    r"|(?:contro|viola|contrari\w) (?:\w+ )?(?:mie|miei|nostre) (?:linee|regole|princìpi|principi|politiche)"
    r"|(?:tegen|schendt) (?:mijn|onze) (?:richtlijnen|regels|beleid|principes)|(?:narusza|sprzeczn\w+ z) (?:moj\w+|nasz\w+) (?:zasad|wytyczn|reguł)\w*"
    r"|(?:противоречит|нарушает) (?:мои\w*|наши\w*) (?:правил|принцип|инструкци)\w*|违反[^。]{0,6}(?:准则|政策|规定|原则)|違反[^。]{0,6}(?:準則|政策|規定)"
    r"|(?:ガイドライン|ポリシー|方針)に(?:反|違反)|(?:يخالف|تخالف|ينتهك|يتعارض مع) (?:إرشاداتي|سياستي|مبادئي|قواعدي|السياسات)"
)


# What is a refusal whatever else is said: the text to work on is missing, the knowledge ends, a machine has no opinion, nothing is made. By
# language, and in English by what is said, with words that each of them has: one of each list.
SAYS = [
    ([frozenset(words.split()) for words in needed.split(";")], re.compile(pattern))
    for needed, pattern in (
        (
            "provide paste share send upload attach specify; please could can kindly; you so me",
            r"\b(?:please|could you|can you|kindly) (?:provide|paste|share|send|upload|attach|specify)\b[^.!?]{0,70}\b(?:you(?:'d| would)? (?:like|want|need) me to|so (?:that )?i can|for me to)\b",
        ),
        (
            "see; i; don do can cannot; text code image file article attachment document passage table list link",
            r"\bi (?:don't|do not|can't|cannot) see (?:any|the|an?) (?:text|code|image|file|article|attachment|document|passage|table|list|link)\b",
        ),
        (
            "through; come",
            r"\b(?:article|text|file|image|attachment|document) (?:didn't|did not) come through",
        ),
        (
            "what; me; to; like want",
            r"\bwhat (?:would you like|do you want) me to (?:translate|summari[sz]e|rewrite|write|explain|correct)",
        ),
        ("missing; your", r"\b(?:is|was|seems to be) missing (?:from|in) your (?:message|prompt|request)"),
        (
            "training knowledge information; my",
            r"\bmy (?:training data|knowledge|information) (?:only )?(?:goes up|ends|stops|extends only|is limited to|cuts off)",
        ),
        (
            "have; i; don do; access ability real live current up opinions preferences feelings experiences memories beliefs",
            r"\bi (?:don't|do not) have (?:access to )?(?:real-time|live|current|up-to-date) (?:data|information|prices|access)"
            r"|\bi (?:don't|do not) have (?:the ability to|access to (?:the internet|the web|external|your (?:\w+ )?(?:account|calendar|files|e-?mails?|data)))|\bi (?:don't|do not) have (?:any |personal |political )*(?:opinions|preferences|feelings|experiences|memories|beliefs)\b",
        ),
        (
            "generated produced created displayed shown fulfilled; can cannot could; content text request response answer",
            r"\b(?:content|text|request|response|answer)\b[^.!?]{0,80}\b(?:cannot|can't|can not|could not) be (?:generated|produced|created|displayed|shown|fulfilled)",
        ),
        (
            "something; not; is",
            r"\bis not something (?:that )?(?:i can|i'm able|i am able|can be generated)",
        ),
        (
            "doctor lawyer attorney physician therapist; not; i",
            r"\bi'm not an? (?:doctor|lawyer|attorney|physician|therapist)\b,? (?:and|so) i (?:can't|cannot)",
        ),
        ("outside; what; i", r"\b(?:falls|is) outside (?:of )?what i(?:'m| am)?\b"),
        (
            "rather prefer; not; i",
            r"\bi'd (?:rather|prefer) not (?:to )?(?:continue|discuss|write|talk about|comment|take a position|answer)",
        ),
        (
            "won will not; i; that this; write help create generate answer",
            r"\A\W*(?:no, )?i (?:won't|will not|'m not going to|am not going to) (?:write|help with|create|generate|answer) (?:that|this)\W*\Z",
        ),
        (
            "appropriate ethical; me",
            r"\b(?:wouldn't|would not|isn't|is not) (?:be )?(?:appropriate|ethical) for me to",
        ),
        (
            "sprachmodell ki keinen keine meinung intelligenz fehlt soll wissensstand wissen verfügung übersteigt überschreitet zu äußere kommt können arzt anwalt fürchte schreiben",
            r"\bals (?:ki-)?sprachmodell\b|\bich (?:habe|hab) (?:leider )?(?:keinen zugriff auf (?:das internet|echtzeit|deine|ihre|externe)|keine (?:eigenen )?(?:erinnerungen|meinung dazu|gefühle)|dazu keine meinung)|\bich bin (?:nur |bloß )?eine (?:ki|künstliche intelligenz)\b"
            r"|\b(?:absatz|text|code|artikel|anhang|datei|bild) fehlt (?:leider )?in (?:deiner|ihrer) nachricht|\bwas (?:genau )?soll ich (?:übersetzen|zusammenfassen|schreiben)|\bmein (?:wissensstand|wissen) (?:endet|reicht nur)|\bstehen mir (?:leider )?nicht zur verfügung"
            r"|\b(?:übersteigt|überschreitet) meine (?:fähigkeiten|möglichkeiten)|\b(?:steht mir nicht zu|äußere ich mich nicht|kommt für mich nicht (?:in ?frage|infrage))|\binhalte?\b[^.!?]{0,90}\bkönnen hier (?:jedoch )?nicht (?:erzeugt|erstellt)|\bich bin kein (?:arzt|anwalt) und (?:darf|kann)"
            r"|\bich fürchte, das darf ich nicht|\A\W*das (?:werde|möchte|will) ich nicht schreiben",
        ),
        (
            "modèle intelligence ia pas connaissances vois reçois dois oublié incomplet merci m appartient interdit préfère médecin avocat juriste encontre refuse chose",
            r"\ben tant que modèle de langage\b|\bje ne suis qu'une? (?:intelligence artificielle|ia)\b|\bje n'ai (?:malheureusement )?pas (?:accès (?:à internet|aux données)|la capacité d|d'(?:avis|opinion) personnel)|\bmes connaissances s'arrêtent|\bje ne (?:vois|reçois) (?:aucun|que la consigne)"
            r"|\bque dois-je (?:résumer|traduire|corriger)|\bvous (?:ayez|avez) oublié de joindre|\bvotre message est incomplet|\bmerci de préciser\b[^.!?]{0,90}\bafin que je puisse|\b(?:il|ça) ne m'appartient pas de|\bm'est interdit|\bje préfère ne pas (?:aborder|me prononcer|répondre)|\bje ne suis pas (?:médecin|avocat|juriste) et"
            r"|\bl'encontre de mes règles|\bje refuse de (?:participer|rédiger|produire|écrire)|\bn'est pas quelque chose que je peux faire|\bje ne (?:rédigerai|écrirai) pas (?:ce|cette|cela)\b",
        ),
        (
            "inteligencia modelo tengo conocimiento falta necesito qué fuera corresponde prefiero médico puedo autorizado autorizada niego voy",
            r"\b(?:soy|como) (?:solo )?(?:una inteligencia artificial|modelo de lenguaje|un modelo de lenguaje)\b|\bno tengo (?:acceso a (?:internet|tu|tus|su|sus|datos)|preferencias políticas|recuerdos propios)|\bmi conocimiento llega|\b(?:falta|necesito) (?:ese dato en tu mensaje|que me pegues)|\bqué tengo que (?:traducir|resumir|corregir)"
            r"|\bfuera de mis (?:capacidades|posibilidades)|\bno me corresponde (?:tomar|opinar)|\bprefiero no (?:opinar|hablar de|responder|comentar)|\bno soy médico y no|\bno puedo hacerme pasar|\bno estoy autorizad[oa] para (?:dar|hablar)|\bme niego a (?:redactar|escribir|crear)|\bno voy a escribir (?:ese|eso|esto|este)\b",
        ),
        (
            "intelligenza modello ho conoscenze devo trovo incolla oltre spetta preferisco medico linee rifiuto temo",
            r"\b(?:sono solo|in quanto|sono) (?:un'intelligenza artificiale|modello linguistico|un modello linguistico)\b|\bnon ho (?:accesso a internet|opinioni politiche|ricordi personali|dati aggiornati)|\ble mie conoscenze si fermano|\bche (?:cosa )?devo (?:tradurre|riassumere)|\bnon lo trovo nel messaggio|\bincolla qui il (?:testo|codice|brano)"
            r"|\boltre le mie (?:possibilità|capacità)|\bnon spetta a me (?:prendere|dire)|\bpreferisco non (?:esprimermi|rispondere|parlarne)|\bnon sono un medico e non|\bcontro le mie linee guida|\bmi rifiuto di (?:produrre|scrivere|redigere)|\btemo di non poter rispondere|\bdevo declinare",
        ),
        (
            "inteligência modelo tenho conhecimento traduzir resumir além cabe prefiro médico recuso vou receio",
            r"\b(?:sou|como) (?:apenas )?(?:uma inteligência artificial|modelo de linguagem|um modelo de linguagem)\b|\bnão tenho (?:acesso à internet|opinião sobre partidos|experiências pessoais|dados em tempo real)|\bo meu conhecimento vai só|\bo que é para (?:traduzir|resumir)|\balém das minhas (?:capacidades|possibilidades)"
            r"|\bnão me cabe (?:tomar|opinar)|\bprefiro não (?:falar sobre|opinar|responder|comentar)|\bnão sou médico e não|\brecuso-me a (?:produzir|escrever)|\bnão vou escrever (?:isso|isto)\b|\breceio não poder",
        ),
        (
            "taalmodel toegang ga arts jako nie wolał wolałbym wolałabym wiadomości как нет врач буду пришлите dil internete doktor bunu",
            r"\bals (?:ai-)?taalmodel\b|\bik heb (?:helaas )?geen toegang tot (?:het )?internet|\bdat ga ik niet schrijven|\bik ben geen arts en kan|\bjako model językowy\b|\bnie mam dostępu do internetu|\bwolał\w*bym nie poruszać|\bw wiadomości brakuje (?:kodu|tekstu)|\bnie jestem lekarzem i nie"
            r"|\bкак языковая модель\b|\bу меня нет доступа к интернету|\bя не врач и не могу|\bтакое я писать не буду|\bпришлите текст, который нужно|\bdil modeli olarak\b|\binternete erişimim yok|\bdoktor değilim ve|\bbunu yazmayacağım",
        ),
    )
]
SAYS_UNSPACED = re.compile(
    r"我(?:只)?是(?:一个|一名)?(?:ai|人工智能)|我的知识截止|我(?:无法|不能)(?:访问|打开|连接)(?:互联网|网络|链接)|我没有(?:看到|收到)(?:任何)?(?:代码|图片|文件|原文)|请把需要\w{0,8}(?:代码|文本|原文)发给我|超出了我的(?:能力|权限)|我不是医生|我们还是换一个聊|恕(?:难从命|我不能)|此处无法生成"
    r"|インターネットに接続できない|(?:要約|翻訳)したい文章を貼り付け|回答を控え|お答えを控え|لا يمكنني الوصول إلى الإنترنت|بصفتي نموذج|أفضّل عدم الخوض|لستُ? طبيب"
)

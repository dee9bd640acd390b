# ruff: noqa: E501 - lists of words in many languages
"""Drops rows that hold what belongs to the prompt: copies of its words, placeholders that nobody filled, marks of chat formats.

quality:
  - {stage: echo}
  - {stage: echo, max_copied: 0.3}
  - {stage: echo, action: strip}      # "Sure! Here is your text:" goes, and the text stays
  - {stage: echo, engine: embeddings}

Method: the share of a text's words that lie in runs of six words of the item's prompt template. Texts of the user's own that a prompt
shows, documents for instance, are not part of the template, so quoting them is no echo. Placeholders, marks of chat formats and talk are
found by patterns.

Method, embeddings: also a head (`datafast.quality.head`) that looks at the first sentence and the last line of each text, for talk in words
of its own. Cost: 1 to 3 ms a row. Limits: the 16 languages of the model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, Field

from datafast.quality.base import KEEP, Verdict, change, drop, with_texts
from datafast.quality.head_stage import HeadStage

if TYPE_CHECKING:
    from datafast.plan.items import WorkItem

__all__ = ["EchoStage", "passages", "word_runs"]

_RUN = 6
_WORD = re.compile(r"\w+")
_ASKS = "Human|User|Mensch|Nutzer|Nutzerin|Benutzer|Utilisateur|Humain|Usuario|Humano|Utente|Umano|Usuário|Utilizador|Gebruiker|Mens|Użytkownik|Człowiek|Пользователь|Человек|Kullanıcı|İnsan|用户|ユーザー|사용자|المستخدم"
_ANSWERS = "Assistant|Assistent|Assistente|Asistente|Asystent|AI|KI|IA|Bot|Chatbot|ChatGPT|GPT|Model|Ассистент|ИИ|Asistan|助手|アシスタント|어시스턴트|المساعد"
# What a prompt writes before a task, or before the place for an answer.
_LABELS = (
    "answer|antwort|réponse|respuesta|risposta|resposta|antwoord|odpowiedź|ответ|cevap|yanıt|答案|回答|الإجابة|output|ausgabe|sortie|salida|task|prompt|instructions?"
    "|aufgabe|anweisung|tâche|consigne|tarea|instrucción|instrucciones|compito|istruzioni|tarefa|instrução|instruções|opdracht|zadanie|polecenie|задание|görev|任务|指令|المهمة"
)
_MARKS = re.compile(
    r"<[|｜][a-z_▁]{2,30}[|｜]>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|</?(?:think(?:ing)?|reasoning|scratchpad|reflection)>|</s>\s*\Z|\A\s*<s>|\[(?:EOS|BOS|PAD|CLS|SEP)\]\s*\Z"
    r"|^\s*#{2,3} ?(?:Instruction|Response|Input)s?:|\A\W*(?:Assistant|Response): ?\W|\A\s*Assistant: |\A(?:assistant|system|user)\n|\A\s*System: You are\b|\A\s*<(?:answer|response|output|result)>|^Assistant: (?s:.)*^(?:Human|User): "
    r"|^(?:Human|User): (?s:.)*^Assistant: ",
    re.IGNORECASE | re.MULTILINE,
)
# The same at the very beginning of a text, in many languages.
_BEGINS = re.compile(
    rf"\W{{0,6}}(?:(?:{_LABELS})\W{{0,3}}[:：]\s|(?:{_ASKS})\W{{0,3}}[:：](?s:.)*^\W{{0,4}}(?:{_ANSWERS})\W{{0,3}}[:：]"
    r"|(?:text|texte|texto|testo|tekst|текст|sample|example|beispiel|exemple|ejemplo|esempio|exemplo|entry|item|output|variant|variante) (?:n[o°r]?\.? ?)?\d{1,3} ?(?:of|von|sur|de|di|van|из|z|/) ?\d{1,3}\b"
    r"|第 ?\d{1,3} ?[篇条段] ?[（(/，,] ?共)",
    re.IGNORECASE | re.MULTILINE,
)
_FIELDS = (
    r"city|town|country|state|year|month|day|time|topic|subject|title|signature|position|job|school|university|product|event|place|location"
    r"|amount|number|link|website|author|vorname|nachname|firma|ort|datum|betrag|thema|unterschrift|adresse|prénom|nom|ville|société|entreprise"
    r"|nombre|apellidos?|ciudad|fecha|empresa|dirección|nome|cognome|città|data|azienda|indirizzo|cidade|endereço|naam|voornaam|stad|bedrijf"
    r"|imię|nazwisko|miasto|имя|фамилия|город|дата|компания|isim|şehir|tarih"
)
_FILL = "einfügen|eintragen|ergänzen|insertar|poner|completar|inserire|compilare|inserir|preencher|insérer|compléter|indiquer|invullen|invoegen|wstaw|вставить|указать"
_CAPITALS = "NOM|PRÉNOM|NOMBRE|NOME|FECHA|DATA|DATE|CITY|VILLE|CIUDAD|CITTÀ|CIDADE|STADT|ORT|EMPRESA|AZIENDA|FIRMA|COMPANY|TOPIC|THEMA|TEMA|TITLE|TITEL|TITRE|TÍTULO|TITOLO|ADDRESS|ADRESSE|EMAIL|PHONE"
# What stands for something in a form: [Your Name], [insert date here], [City], [TOPIC], <insert topic>, {{ company_name }}.
_GAPS = re.compile(
    r"(?<![\w\]])\[(?i:your|insert|enter(?= (?:your|the|an?|name|date|address|text|here)\b)|add|recipient|sender|company|client|customer|date|name|address|phone|email|ihr|votre|su|il tuo|seu|uw)\b[^\]\[\n]{0,40}\](?!\()"
    rf"|(?<![\w\]])\[(?=\w)(?![a-zа-я])(?i:{_FIELDS})\b[^\]\[\n]{{0,40}}\](?!\()"
    r"|(?<![\w\]])\[[A-Z]{2,}(?:[ _][A-Z]+){1,4}\](?!\()"
    r"|[\[【](?:您的|你的|姓名|名字|公司|日期|地址|城市|名前|氏名|会社名?|日付|住所|이름|회사|날짜|اسم|الاسم|التاريخ|المدينة)[^\]】\n]{0,12}[\]】]"
    r"|(?:\b(?:Dear|Hello|Hi|Hey|Mr\.?|Ms\.?|Mrs\.?|Dr\.?|Herr|Frau|Cher|Chère|Bonjour|Monsieur|Madame|Hola|Gentile|Caro|Cara|Olá|Beste|Geachte)|(?:[Gg]eehrt|Lieb|Estimad|Prezad)[\w/]*) \[(?!sic\b)[^\]\[\n]{2,40}\]"
    r"|(?<!\w)<[A-Z]{2,}(?:[ _][A-Z]{2,})+>"
    rf"|[\[<](?i:insert|your|{_FILL})\s[^<>\]\n]{{1,40}}[>\]](?!\()|[\[<][^<>\[\]\n]{{1,40}}\s(?i:{_FILL}|here|einsetzen|à compléter|qui|aquí|aqui|ici|hier)[>\]](?!\()"
    r"|[\[<]\.{3} ?[^<>\[\]\n]{2,40}[>\]]|[\[(](?i:continued?|continua|continuar|hier weiter\w*|suite|rest of (?:the )?\w+|to be continued)\b[^\[\]()\n]{0,30}[\])]\W*\Z"
    rf"|(?<![\w\]])\[[A-ZÄÖÜÉÈÇÁÍÓÚÑ]*(?:NAME|NAMEN|DATUM|{_CAPITALS})\](?!\()|<<[a-zà-ü_ ]{{2,30}}>>"
    rf"|(?<![\w/\"'$={{\\])\{{(?=[^\W_]{{1,20}}_)(?:\w{{1,20}}_)?(?i:{_FIELDS}|name|date|company|customer|client|cliente|kunde|vorname|prenom)(?:_\w{{1,20}})?\}}"
    r"|\b(?i:room|raum|zimmer|saal|salle|sala|aula|stanza|habitación|zaal|kamer|number|nummer|numéro|número|numero|date|datum|fecha|data|n[°º]) XXX\b"
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
    r"|let me know if you(?: would|'d|’d)? (?:like|need|want) (?:any|me to|more|changes|another|further|a different|something|it )|i hope (?:this (?:helps|meets|works)|you (?:enjoy|like|find) (?:this|it))|is there anything else (?:i can|you)|(?:would you like|do you want) me to"
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
# What is said in the first sentence or the last line about the text, or to whoever asked for it; in small letters.
_ABOUT = re.compile(
    r"\bas (?:you )?(?:requested|wished|asked for)\b|\bas you (?:asked|wanted)\b|\b(?:in the )?requested style\b|\bwie (?:gewünscht|verlangt|gefordert|von (?:ihnen|dir) gewünscht|erbeten)\b|\bcomme (?:vous (?:me )?l['’]avez |tu (?:me )?l['’]as )?(?:demandé|souhaité)"
    r"|\b(?:tal (?:y )?como|como|según lo que) (?:me )?(?:pediste|pidió|pidieron|has pedido|solicitaste)\b|\bcomo (?:se )?(?:solicitado|solicitó)\b|\bsegún lo (?:indicado|solicitado|pedido)\b|\b(?:conforme|tal como|como) (?:o )?(?:pedido|solicitado|pediu|solicitou)\b"
    r"|\bcome (?:da )?(?:richiesto|richiesta|(?:mi )?hai chiesto|(?:mi )?ha chiesto)\b|\bzoals (?:je |u )?(?:gevraagd|vroeg|gewenst)\b|\bzgodnie z (?:twoją |państwa )?prośbą|как (?:вы|ты) просил|按照?(?:您|你)?的?要求|ご(?:要望|依頼)(?:どおり|通り)|كما طلبت|istediğiniz gibi"
    r"|\bthe user (?:wants|is asking|asks|asked|needs|would like)\b|\bder (?:nutzer|benutzer) (?:möchte|will|bittet)\b|\bl['’]utilisateur (?:veut|demande|souhaite)|\bel usuario (?:quiere|pide|solicita)|\bl['’]utente (?:vuole|chiede)|\bo (?:usuário|utilizador) (?:quer|pede|pediu)|用户(?:想|要求|希望)"
    r"|\b(?:this|the following|the above) (?:is|text is|story is|content is) (?:a |an )?(?:purely |entirely )?(?:fictional|fictitious|made-up|generated)\b|\bdieser text ist (?:rein )?fiktiv|\bist (?:dies )?ein (?:fiktiver|erfundener) text|\bce texte est (?:purement )?fictif|\bceci est un texte fictif|\beste(?: es un)? texto (?:es )?ficticio|\beste(?: é um)? texto (?:é )?fictício|\bquesto(?: è un)? testo (?:è )?(?:fittizio|di fantasia|inventato)"
    r"|\b(?:this|the) (?:text|version|response|story|note|piece) (?:meets|fulfil+s|complies with|respects|satisfies|follows) (?:all )?(?:of )?(?:the|your) (?:given )?(?:requirements|instructions|limit|constraints|criteria|guidelines|prompt)"
    r"|\b(?:dieser|der) (?:folgende )?text (?:erfüllt|hält|entspricht) \w+ (?:\w+ )?(?:vorgaben|anforderungen|wünschen)|\b(?:ce|le) texte (?:ci-dessous |ci-dessus )?respecte (?:les |la |vos )(?:consignes|contraintes|limite|instructions)|\bel texto (?:cumple|respeta) (?:con )?(?:las instrucciones|los requisitos|el límite)|\bil testo rispetta (?:le istruzioni|i requisiti|il limite)|\bo texto (?:cumpre|respeita|atende) (?:as instruções|os requisitos|o limite)"
    r"|\b(?:would you like|do you want|shall i|should i) (?:me to )?(?:\w+ )?(?:write|rewrite|translate|continue|change|adjust|make it|expand|shorten|another version|a (?:\w+ )?(?:\w+ )?version)\b|\b(?:möchtest du|möchten sie|willst du), dass ich|\bsoll ich (?:\w+ ){0,3}(?:schreiben|übersetzen|kürzen|ändern|ergänzen|anpassen|verlängern)|\b(?:souhaitez|voulez)-vous (?:que je|une (?:autre )?version)|\b(?:souhaites|veux)-tu (?:que je|une (?:autre )?version)"
    r"|¿(?:quieres|quiere|desea|te gustaría) (?:que (?:lo |la |te |le )?(?:escriba|traduzca|haga|redacte|cambie|añada|adapte)|una versión)|\bvuoi che (?:\w+ )?(?:scriva|traduca|faccia|cambi|aggiunga|adatti)|\b(?:quer|queres|deseja|gostaria) que eu (?:\w+ )?(?:escreva|traduza|faça|mude|acrescente|adapte)|\b(?:puedo|posso) (?:también |anche |também )?(?:proponerte|sugerirte|suggerire|proporre|sugerir|propor) (?:un|um) t[ií]t|\bje peux aussi proposer un titre|\beine überschrift kann ich"
    r"|\bfeel free to (?:adapt|adjust|change|modify|edit|replace)|\b(?:n['’]hésite[zs]? pas à|no dudes? en|non esitare a|não hesite em|zögern sie nicht|melde dich) (?:me )?(?:dire|decir|faire|adapter|pedir|chiedere|dizer|jederzeit)|\b(?:fique à vontade para|siéntete libre de|sentiti libero di) "
    r"|\b(?:espero que (?:te|le|lhe) sea? (?:útil|de utilidad)|spero (?:che )?(?:ti|le|vi) sia utile|j['’]espère que (?:cela|ça) (?:vous|te) convien|en espérant que ce texte|spero che (?:corrisponda|vada bene)|ich hoffe, (?:das|dies|es) (?:hilft|entspricht|passt|gefällt))"
)
# What such a sentence or line begins with.
_ABOUT_BEGINS = re.compile(
    r"\W*(?:"
    r"(?:rewritten|revised|improved|corrected|edited|polished|final|updated) (?:version|text|draft) ?:|(?:überarbeitete|verbesserte|korrigierte) (?:fassung|version) ?:|(?:version|texte) (?:révisée?|corrigée?|améliorée?|remaniée?) ?:"
    r"|(?:versión|texto|versão|versione|testo) (?:mejorad[ao]|revisad[ao]|corregid[ao]|melhorad[ao]|corrigid[ao]|migliorat[ao]|corrett[ao]|rivist[ao]|riscritt[ao]|reescrit[ao]|editad[ao]) ?:"
    r"|(?:changes(?: made)?|edits|(?:vorgenommene )?änderungen|modifications(?: apportées)?|cambios(?: realizados)?|modifiche(?: apportate)?|alterações(?: feitas)?)\W{0,3}:"
    r"|(?:(?:word count|wortzahl|wörter|wortanzahl|nombre de mots|número de palabras|recuento de palabras|numero di parole|conteggio (?:delle )?parole|contagem de palavras|número de palavras|aantal woorden|liczba słów|количество слов|字数|字數|文字数)\W*\d+\W*|(?:total: |approx(?:imately|\.)? |about |around |ca\. |environ |unas |circa |cerca de |约|約)?\d{2,4} ?(?:words|wörter|mots|palabras|parole|palavras|woorden|słów|слов|字)\W*)\Z"
    r"|(?:alles klar|okay|ok|perfekt|perfetto|perfecto|parfait|perfeito|vale|beleza|certo|genial|super|klar|d['’]accord|voilà|alright|gotcha|no problem|got it)\b[^.\n]{0,30}(?:los geht|aquí va|aquí (?:lo|la) tienes|vamos lá|ecco|c['’]est parti|here (?:we|you) go|hier (?:kommt|ist)|le voici|la voici|eis)[^.\n]{0,60}[:!]?\s*\Z"
    r"|(?:(?:that['’]s |what )?an? (?:great|good|excellent|interesting|wonderful|fantastic) (?:question|idea)|(?:das ist )?(?:eine )?(?:sehr )?(?:gute|tolle|super|spannende) (?:frage|idee)|(?:très |c['’]est une (?:très )?)?(?:bonne|excellente) question|(?:¡)?(?:excelente|buena|muy buena) (?:pregunta|idea)|(?:ottima|bella|buona) domanda|che bella idea|(?:ótima|excelente|boa) (?:pergunta|ideia))\s?[!]"
    r")"
)
# One of these is in each of them, or such a script.
_OF_ABOUT = frozenset(
    _WORD.findall("""
    requested wished asked wanted gewünscht verlangt gefordert erbeten demandé souhaité pediste pidió pidieron pedido solicitaste solicitado solicitó indicado
    pediu solicitou richiesto richiesta chiesto gevraagd vroeg gewenst prośbą просил просили user nutzer benutzer utilisateur usuario utente usuário
    utilizador fictional fictitious made generated fiktiv fiktiver erfundener fictif ficticio fictício fittizio fantasia inventato meets fulfils fulfills complies
    respects satisfies follows erfüllt hält entspricht respecte cumple respeta rispetta cumpre respeita atende write rewrite translate continue change
    adjust make expand shorten version möchtest möchten willst soll souhaitez voulez souhaites veux versión quieres quiere desea vuoi
    quer queres deseja gostaria titular título titolo titre überschrift free hésitez hésite hésites dudes dude esitare hesite zögern
    melde vontade libre libero espero spero espère espérant hoffe istediğiniz كما
    """)
)
_UNSPACED = re.compile("[一-鿿ぁ-ヿ]")
# Most texts have none of these, and need not be searched for what begins with them. In small letters, but for the placeholders.
_OF_MARKS = ("<", "inst]", "##", "assistant", "response:", "system", "user", "[eos", "[bos", "[pad", "[cls", "[sep")
_OF_GAPS = ("[", "【", "<", "{", "XX", "TODO", "TBD")
_OF_CLOSINGS = (
    "let me know", "anything else", "hope", "i can", "me to", "feel free", "ich hoffe", "espère", "espero", "spero", "ik hoop", "nadziej", "надеюсь", "希望", "役に立て"
)  # fmt: skip
_OF_NOTES = ("word count", "note: ")
_ENDS = re.compile(r"[.!?。！？](?:\s|\Z)")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"”»’)*]*\s+|(?<=[。！？])")
_LEAST = 10  # characters of a sentence
_FEW_LETTERS = 4
PASSAGE = 200
"""The characters of a sentence that embeddings are made of."""
_LAST = 300  # characters, in which a closing stands


class EchoStage(HeadStage):
    """Drops rows that hold what belongs to the prompt, or to the talk around an answer; the latter may be taken away."""

    head_name: ClassVar[str] = "talk"
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

    def _verdict(self, texts: Sequence[str], item: WorkItem, *, talks: bool) -> Verdict:
        runs, names = _of_prompt(item.template.text) if item is not None else (frozenset(), None)
        for text in texts:
            lowered = text.lower()
            if _BEGINS.match(text) or (_has(lowered, _OF_MARKS) and _MARKS.search(text)):
                return drop("a mark of a chat format")
            if _has(text, _OF_GAPS) and (
                _GAPS.search(_CODE.sub("", text)) or (names is not None and names.search(text))
            ):
                return drop("a placeholder that is not filled")
            if not talks and _talks(text, lowered):
                return drop("talk around what was asked for")
            if runs and (share := _copied(text, runs)) > self.max_copied:
                return drop("copied from the prompt", round(share, 3))
        score = None if talks else self.head_score([part for text in texts for part in passages(text)])
        return KEEP if score is None else drop("reads like talk around what was asked for", score)


def passages(text: str) -> list[str]:
    """Where a text may talk: the first sentence of its first line, and its last line, or the last sentence of a text in one line."""
    bare = text.strip()
    if len(bare) < _FEW_LETTERS:
        return []
    first = bare.partition("\n")[0]
    end = next((found.end() for found in _SENTENCE_END.finditer(first, _LEAST)), len(first))
    if end == len(bare):
        return [bare[:PASSAGE]]
    last = bare.rpartition("\n")[2]
    start = 0
    if len(last) == len(bare):
        near = max(end, len(bare) - 2 * PASSAGE)
        start = max((found.end() for found in _SENTENCE_END.finditer(bare, near, len(bare) - _LEAST)), default=near)
    return [first[:end].strip()[:PASSAGE], last[start:].strip()[:PASSAGE]]


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
    if _OPENING.search(text) or any(map(_is_about, passages(lowered))):
        return True
    if _has(lowered[-_LAST:], _OF_CLOSINGS) and _CLOSING.search(text[-_LAST:]):
        return True
    return _has(lowered, _OF_NOTES) and _NOTE.search(text) is not None


def _is_about(passage: str) -> bool:
    if _ABOUT_BEGINS.match(passage):
        return True
    return (
        bool(not _OF_ABOUT.isdisjoint(_WORD.findall(passage)) or _UNSPACED.search(passage))
        and _ABOUT.search(passage) is not None
    )


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

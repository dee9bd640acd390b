# ruff: noqa: E501 - marks of many formats, words in many languages
"""What belongs to a prompt or to the format of a chat, and to no text: control tokens, labels, tags, placeholders that nobody filled,
the number of a text among others. Found by patterns; code may have most of it."""

from __future__ import annotations

import re

from datafast.quality.signs import at_a_line, has_any

__all__ = ["has_gap", "is_marked", "is_numbered"]

_ASKS = "Human|User|Mensch|Nutzer|Nutzerin|Benutzer|Utilisateur|Humain|Usuario|Humano|Utente|Umano|Usuário|Utilizador|Gebruiker|Mens|Użytkownik|Człowiek|Пользователь|Человек|Kullanıcı|İnsan|用户|ユーザー|사용자|المستخدم"
_ANSWERS = "Assistant|Assistent|Assistente|Asistente|Asystent|AI|KI|IA|Bot|Chatbot|ChatGPT|GPT|Model|Ассистент|ИИ|Asistan|助手|アシスタント|어시스턴트|المساعد"
# What a prompt writes before a task, or before the place for an answer.
_LABELS = (
    "answer|antwort|réponse|respuesta|risposta|resposta|antwoord|odpowiedź|ответ|cevap|yanıt|答案|回答|الإجابة|output|ausgabe|sortie|salida|task|prompt|instructions?"
    "|aufgabe|anweisung|tâche|consigne|tarea|instrucción|instrucciones|compito|istruzioni|tarefa|instrução|instruções|opdracht|zadanie|polecenie|задание|görev|任务|指令|المهمة"
)
_MARKS = re.compile(
    r"<[|｜][a-z_▁]{2,30}[|｜]>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|</?(?:think(?:ing)?|reasoning|scratchpad|reflection)>|</s>\s*\Z|\[(?:EOS|BOS|PAD|CLS|SEP)\]\s*\Z",
    re.IGNORECASE,
)
_LINES = re.compile(
    r"\A\s*<s>|^\s*#{2,3} ?(?:Instruction|Response|Input)s?:|\A\W*(?:Assistant|Response): ?\W|\A\s*Assistant: |\A(?:assistant|system|user)\n|\A\s*System: You are\b|\A\s*<(?:answer|response|output|result)>|^Assistant: (?s:.)*^(?:Human|User): "
    r"|^(?:Human|User): (?s:.)*^Assistant: ",
    re.IGNORECASE | re.MULTILINE,
)
# The same at the very beginning of a text, in many languages.
_BEGINS = re.compile(
    rf"\W{{0,6}}(?:(?:{_LABELS})\W{{0,3}}[:：]\s|(?:{_ASKS})\W{{0,3}}[:：](?s:.)*^\W{{0,4}}(?:{_ANSWERS})\W{{0,3}}[:：])",
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
# Who quotes a placeholder, or writes about templates, means it.
_QUOTED = re.compile(
    r"\"[^\"\n]{0,160}\"|“[^”\n]{0,160}”|«[^»\n]{0,160}»|„[^“”\n]{0,160}[“”]|‘[^’\n]{3,80}’|「[^」\n]{0,80}」"
)
_OF_TEMPLATES = re.compile(
    r"\b(?:templates?|placeholders?|mail merge|form letters?|vorlagen?|platzhalter\w*|serienbrief\w*|modèles? de lettre|plantillas?|marcador\w*|modell[oi] di lettera|segnaposto|substitu\w+|replac(?:es?|ed|ing)|ersetz\w+|remplac\w+|reemplaz\w+|sostitu\w+)\b",
    re.IGNORECASE,
)
# Most texts have none of these, and need not be searched for what begins with them. In small letters, but for the placeholders.
_OF_MARKS = ("<", "[")
_OF_GAPS = ("[", "【", "<", "{", "XX", "TODO", "TBD")

# Tokens that chat templates and tokenizers put between turns: ChatML, Llama, Mistral, Gemma, Phi, DeepSeek, Cohere, Granite, GLM, Falcon, T5 ...
_TOKENS = re.compile(
    r"<[|｜]/?[\w▁.:-]{1,40}[|｜]>|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|THINK|gMASK|UNUSED_TOKEN_\d+|unused\d+)\]|◁/?think▷"
    r"|</?(?:eo[acdhmpt]|sop|bos|eos|endoftext|end_of_text|begin_of_text|end_of_(?:turn|utterance|thought|solution)|(?:begin|start)_of_(?:turn|thought|solution|text|sentence)|end_of_sentence|reserved_\d+|extra_id_\d+|unused\d+|0x0A|seed:[a-z_]+|[a-z]+:(?:think|thinking)|tool_calls?|tool_response|function_call|im_start|im_end)>"
    r"|</?(?:thoughts?|think|thinking|thought_process|inner_thoughts|inner_monologue|chain_of_thought|cot|reasoning|reason|rationale|analysis|reflection|reflexion|réflexion|scratchpad|planning|denken|razonamiento|ragionamento|raciocínio|final_answer|final_response|assistant|system_prompt|user_prompt)>"
    r"|</s>\s*<s>|\A\s*<(?:pad|unk|mask|sep|cls|s)>|<(?:pad|unk|mask|sep|cls|/?s)>\s*\Z|(?:<pad>\s*){2}|(?:\bĠ\w+|\wĠ\w+)|Ċ{1,2}\b"
    r"|\[/?(?-i:EOS|BOS|PAD|EOT|END|STOP|OUTPUT|RESPONSE|ANSWER|END[ _]OF[ _](?:TEXT|TURN|STORY|RESPONSE|OUTPUT|DOCUMENT|MESSAGE))\]|<<?/?(?:END|EOF|STOP|OUTPUT|RESPONSE|ANSWER)>?>|#{2,} ?END ?#*\s*\Z",
    re.IGNORECASE,
)
_TURNS = (
    "Human|User|Nutzer(?:in)?|Benutzer|Utilisateur|Usuario|Utente|Usuário|Utilizador|Gebruiker|Użytkownik|用户|ユーザー"
)
_ANSWERING = "Assistant|Assistent|Assistente|Asistente|Asystent|Ассистент|Chatbot|ChatGPT|GPT(?:-\\d\\w*)?|Bot|KI-Assistent|AI Assistant|Assistant IA|助手|アシスタント"
_ROLES = re.compile(
    rf"\A\W{{0,4}}(?:{_ANSWERING})\W{{0,3}}[:：]|\A\W{{0,4}}(?:AI|KI|IA)\**[:：]\**\s(?=[^\n]*[.!](?:\s|\Z))"
    rf"|^\W{{0,4}}(?:{_ANSWERING}|{_TURNS})\W{{0,3}}[:：]\W*\Z"
    r"|\A\W{0,4}(?:result|résultat|ergebnis|resultado|risultato|resultaat|wynik|response|reply|solution|lösung|generated (?:text|output)|final (?:answer|text|output|version)|(?:endgültige|finale) (?:antwort|fassung)|réponse finale|respuesta final|risposta finale|resposta final"
    r"|text|texte|texto|testo|tekst|文本|正文|テキスト|本文|出力|结果|結果|输出)\W{0,3}[:：]\W{0,4}(?=[^\W\d]|\Z)"
    r"|\A\W{0,4}(?:thought|thinking|thought process|reasoning|chain of thought|gedankengang|denkprozess|raisonnement|razonamiento|ragionamento|raciocínio|思考过程?|思考プロセス)\W{0,3}[:：]\s"
    r"|\A(?:assistantfinal|analysis(?=We |The user|User |I need))|\ABelow is an instruction that describes a task"
    r"|^#{1,4} ?(?:Instruction|Response|Input|Output|Answer|Assistant|User|Human|System|Antwort|Anweisung|Réponse|Respuesta|Risposta|Resposta|Aufgabe|Ausgabe|Eingabe)s?:?[ \t]*(?:\n|\Z)",
    re.IGNORECASE | re.MULTILINE,
)
_KEYS = "text|texts|content|answer|response|output|result|completion|generated_text|reply|antwort|réponse|reponse|texte|texto|testo|respuesta|risposta|resposta|tekst|ausgabe|sortie|salida"
_TAGS = "text|answer|output|response|result|content|final|reply|story|article|message|document|completion|generated_text|antwort|réponse|reponse|texte|texto|testo|respuesta|risposta|resposta"
_WRAPS = re.compile(
    # JSON around a text, whole or cut off
    rf"\A\s*(?:```\w*\s*)?[\[{{]?\s*\{{?\s*[\"'](?:{_KEYS})[\"']\s*:\s*[\[{{]*\s*[\"']|(?<=[.!?…»”])\\?\"\s*\]?\s*\}}\s*\]?\s*(?:```)?\s*\Z|[.!?]\\n(?:\\n)?(?-i:[A-ZÀ-Þ*#])"
    # tags around it
    rf"|\A\s*<(?:{_TAGS}|body)(?: [^<>\n]*)?>|\A\s*<p>[^<]{{40}}|</(?:{_TAGS}|body)>\s*\Z|\A\s*<(?P<tag>[a-z][\w-]{{1,30}})>(?:[^<]|</?(?:p|br|b|i|em|strong)\b[^<>]*>)*</(?P=tag)>\s*\Z"
    # fences around prose
    r"|\A\s*```(?:text|txt|markdown|md|plaintext|plain|output)\s*\n|\A\s*```[ \t]*\n(?-i:[A-ZÀ-Þ¡¿\"«„“])[^{}()<>;=\n]{40,}",
    re.IGNORECASE,
)
_RESTS = re.compile(
    r"^[^|<\n]*(?:<br ?/?>[ \t]*(?:<br ?/?>|$|(?=[A-ZÀ-Þ]))|</p>[ \t]*$)|^[^|<\n]*&(?:nbsp|quot|rsquo|#39|#x27);|\n(?:-{3,}|\*{3,}|={3,}|#{1,6})\s*\Z|\A(?:\*{2,4}|_{2}|#{1,6})[ \t]*\n",
    re.MULTILINE,
)
_OF_RESTS = ("<br", "</p", "&", "\n---", "\n***", "\n===", "\n#", "**\n", "#\n", "__\n")
_OF_TOKENS = ("<", "[", "◁", "Ġ", "Ċ", "##")
_NUMBERED = (
    "text|texte|texto|testo|tekst|текст|sample|beispiel|example|exemple|ejemplo|esempio|exemplo|voorbeeld|przykład|entry|eintrag|item|output|ausgabe|variante?|variant|variation|draft|entwurf|brouillon|borrador|bozza|rascunho"
    "|response|réponse|respuesta|risposta|resposta|candidate|completion|generation|attempt|versuch|record|datensatz|muster|muestra|échantillon|campione|amostra|document|dokument|passage|paragraph text|post|review"
)
_CHOSEN = "version|versión|versione|versão|versie|wersja|option|opción|opzione|opção|optie|opcja|alternative|alternativa|proposition|propuesta|proposta|vorschlag"
_MARKED = r"(?:#|n[o°ºr]?\.? ?|nr\.? ?|núm\.? ?|número |numéro |nummer |numero )?"
_NUMBER = re.compile(
    rf"\W{{0,6}}(?:(?:{_NUMBERED}) {_MARKED}(?:\d{{1,4}}|[a-f]|i{{1,3}}|iv|v)\b(?! ?[.,]\d)\W{{0,3}}(?:[:)）：–—-]|[.]?\s*(?:\n|\Z))"
    rf"|(?P<noun>{_CHOSEN}) {_MARKED}(?:\d{{1,3}}|[a-f]|i{{1,3}}|iv|v)\b(?! ?[.,]\d)\W{{0,3}}(?:[:)）：–—-]|[.]?\s*(?:\n|\Z))(?!(?s:.)*\b(?P=noun) \W?(?:\d|[a-f]\b))"
    rf"|(?:{_NUMBERED}|{_CHOSEN}) {_MARKED}\d{{1,3}} ?(?:of|von|sur|de|di|van|из|z|/) ?\d{{1,3}}\b"
    r"|\d{1,3} ?/ ?\d{1,3}[.:)\]]?\W{0,3}\n|[\[(]\d{1,3} ?/ ?\d{1,3}[\])]\s|#\d{1,4}\b\W{0,3}(?:[:)–—-]\s|\n)|\d{1,3}\)[ \t]*\n"
    r"|第 ?\d{1,3} ?[篇条段] ?[（(/，,] ?共|(?:文本|样本|示例|版本|选项|文章|サンプル|バージョン|テキスト|例文) ?(?:\d{1,3}|[一二三四五六七八九十]) ?[:：\n])",
    re.IGNORECASE,
)
_WANTED = (
    r"(?:full |first |last |company |customer |client |user |product |hotel |event |team |project |street |phone |start |end )?(?:name|names|date|dates|address|phone number|number|title|company|city|amount|position|email|e-mail|location|topic|department|url|link|price|brand|organi[sz]ation)"
    r"|vorname|nachname|firmenname|datum|uhrzeit|prénom|nom|ville|entreprise|montant|nombre|apellidos?|ciudad|fecha|empresa|importe|nome|cognome|città|azienda|importo|cidade|endereço|naam|voornaam|bedrijf|imię|nazwisko|miasto"
)
_WHOSE = "my|your|ihre?[nrms]?|deine?[nrms]?|votre|vos|ton|tu|su|tuo|tua|suo|sua|seu|uw|jouw|twoje|twój"
_MORE_GAPS = re.compile(
    rf"(?<![\w\]])\[(?!no |unknown |sic|un)(?i:(?:(?:il|la|lo|o|a|de|den|the) )?(?:{_WHOSE}) [^\]\[\n]{{1,40}})\](?!\()"
    rf"|(?<![\w\])\"'])\[(?!no |unknown )(?i:[\w'’/-]{{1,20}} (?:{_WANTED})|(?:{_WANTED})(?:[ _](?:de|du|des|der|del|della|do|da|of|d'|\d|[A-Z]\b)[^\]\[\n]{{0,30}})?)\](?![\w(\[])"
    r"|(?<![\w\]])\[(?i:placeholder|platzhalter|tbd|tba|tbc|todo|fixme|xx+|fill|select|choose|specify|describe|include|link|bitte|hier|veuillez|indicar|indiquer|specificare|especificar|añadir|agregar|adicionar|aggiungere|ajouter|précisez|ville|à (?:compléter|définir)|por definir|a definir|da definire|noch offen)\b[^\]\[\n]{0,50}\](?!\()"
    r"|\[(?:●|•|_{2,}|\.{4,}|\?{2,}|his/her|he/she)\]|\((?i:insert (?:your|the|a|an|name|date|company|city|address|here)|(?:your|ihr|dein|votre|ton|su|tu|seu|uw) (?:full )?(?:name|nom|nombre|nome|naam|company|address|title|firma)|enter your|add your|name (?:here|einfügen)|datum einfügen|(?:insérer|insertar|inserire|inserir|wstaw|invullen) )[^()\n]{0,40}\)"
    r"|\b(?i:your (?:name|company|text|title|address|email) (?:goes )?here|insert (?:\w+ ){1,3}here|ihr name hier|votre nom ici|(?:tu|su) nombre aquí|(?:il )?tuo nome qui|seu nome aqui|lorem ipsum dolor)\b"
    r"|(?<![\w/\"'=:`-])\$\{[a-z][\w.]{1,30}\}|(?<![\w/\"'$={\\_^}])\{(?:[a-z]+(?:_[a-z0-9]+)+|[A-Z]{3,}(?:[_ ][A-Z]+)*)\}(?![/\"'=}:])"
    rf"|(?<![\w/\"'$={{\\_^}}])\{{(?i:(?:(?:{_WHOSE}) )?(?:{_WANTED}))\}}(?![/\"'=}}:])|\{{\{{\s*[#\w][\w. -]{{1,40}}\s*\}}\}}"
    r"|<(?i:(?:first|last|full|company|customer|client|user|product|city|your|start|end|event|team|project|hotel|brand|recipient|sender)[ _-](?:name|date|address|company|city|email|title|phone))>(?!(?s:.)*</)"
    r"|(?<![\w<])<(?P<tag>(?i:name|company|city|date|customer|client|recipient|topic|amount|nom|ville|nombre|ciudad|fecha|nome|città|cidade|datum|ort|firma|stadt|vorname|nachname|prénom))>(?!(?s:.)*</(?P=tag)>)"
    r"|(?m:(?:^|(?<!\d)[ ,;:(])%(?:\([a-z_]+\))?[sd](?=[ ,.;:!?)]|$))|%[A-Z]{3,}(?:_[A-Z]+)*%|@@\w{2,30}@@|(?<!\w)#[A-Z]{3,}(?:_[A-Z]+)*#"
    r"|(?<!\w)__(?!FILE__|LINE__|DATE__|TIME__|NAME__ ==|[A-Z]+__ ?[=(])[A-Z][A-Z_]{1,30}__(?!\w)"
    r"|\b(?:[Xx]{2}[./-]){2}(?:[Xx]{2}|20[Xx]{2}|[Xx]{4})\b|\b(?:20|19)XX\b|[$€£] ?X{2,}|\bX{2,},?X* ?(?:€|Euro|EUR|euros)"
    r"|\b(?:Dear|Hello|Hi|Mr\.?|Mrs\.?|Ms\.?|Dr\.?|Herr|Frau|Cher|Chère|Bonjour|Monsieur|Madame|Hola|Señora?|Señor|Estimad[oa]|Gentile|Caro|Cara|Signora?|Signor|Olá|Prezad[oa]|Senhora?|Beste|Geachte|Welcome to|my name is|ich heiße|je m'appelle|me llamo|mi chiamo|meu nome é)\s(?:_{3,}|XX+\b|\.{5,}|<\w+>|\{\w+\})"
    r"|(?m:^\W*(?:TODO|FIXME|PLACEHOLDER)\b)|\bPLACEHOLDER\b|\((?:TODO|TBD|TBC|FIXME)\b[^()\n]*\)"
    r"|[\[【（(<](?:请(?:填写|输入|插入|在此)|此处(?:填写|插入|填入)|在此(?:填写|插入)|插入|填写|ここに|お名前|御社名|貴社名|○○|〇〇)[^\]】）)>\n]{0,20}[\]】）)>]|(?:[○〇◯]{2,}|[Xx×]{2,})(?:様|さん|株式会社|会社|公司|先生|女士|大学|市|県|区|年|月)"
)
_OF_MORE_GAPS = (
    "[", "{", "<", "__", "XX", "xx", "....", "@@", "#", "nsert", " here", "name hier", "nom ici", "nombre aqu", "nome qui", "nome aqui", "psum", "TODO",
    "FIXME", "PLACE", "【", "（", "○○", "〇〇", "××", "%",
)  # fmt: skip
_OF_BRACKETS = (
    "(ins", "(inv", "(wstaw", "(your", "(enter", "(add", "(name", "(datum", "(ihr", "(Ihr", "(dein", "(votre", "(ton ", "(tu ", "(su ", "(seu", "(uw", "(TODO",
    "(TBD", "(TBC", "(FIXME",
)  # fmt: skip
# A gap in an exercise is to be there.
_BLANK = re.compile(r"_{6,}(?=[ ,.;!]*\w)")
_EXERCISE = re.compile(
    r"blank|fill|complete|exercise|lücke|ergänz|übung|compl[ée]t|trous|exercice|ejercicio|rellena|eserciz|riempi|exercício|lacuna|sign|unterschrift|firma|填空|\?",
    re.IGNORECASE,
)


def is_marked(text: str) -> bool:
    """Whether a text has tokens, labels, tags or fences of a chat or of a format around it."""
    if _BEGINS.match(text) or at_a_line(_LINES, text) or (has_any(text, _OF_MARKS) and _MARKS.search(text)):
        return True
    if has_any(text, _OF_TOKENS) and _TOKENS.search(_CODE.sub("", text)):
        return True
    if at_a_line(_ROLES, text) if has_any(text, (":", "：", "#")) else _ROLES.match(text):
        return True
    if has_any(text, ("{", "[", "<", "```", '"', "\\n")) and _WRAPS.search(text):
        return True
    return has_any(text, _OF_RESTS) and _RESTS.search(_CODE.sub("", text)) is not None


def is_numbered(text: str) -> bool:
    """Whether a text begins with its number among others."""
    return _NUMBER.match(text) is not None


def has_gap(text: str) -> bool:
    """Whether a text has a placeholder that is to be filled: outside of code and of speech, and not as what the text is about."""
    known = has_any(text, _OF_GAPS)
    more = has_any(text, _OF_MORE_GAPS) or ("(" in text and has_any(text, _OF_BRACKETS))
    if not known and not more:
        return False
    bare = _CODE.sub("", text) if "`" in text else text
    if _has_placeholder(bare, known, more):
        return not _OF_TEMPLATES.search(bare) and _has_placeholder(_QUOTED.sub("", bare), known, more)
    return "______" in bare and bool(_BLANK.search(bare)) and not _EXERCISE.search(bare)


def _has_placeholder(text: str, known: bool, more: bool) -> bool:
    return bool((known and _GAPS.search(text)) or (more and _MORE_GAPS.search(text)))

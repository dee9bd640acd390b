# ruff: noqa: E501 - lists of words in many languages
"""What is said around an answer, at its beginning and its end, to whoever asked for it."""

from __future__ import annotations

import re

__all__ = ["ABOUT", "ABOUT_BEGINS", "CLOSING", "NOTE", "OF_ABOUT", "OF_CLOSINGS", "OF_NOTES", "OPENING"]

_GLAD = (
    r"sure(?: thing)?|(?:happy|glad) to help|certainly|of course|absolutely|okay|ok|great|definitely|gladly|gerne?|natürlich|selbstverständlich|klar|sicher|bien sûr|certainement|avec plaisir"
    r"|¡?claro(?: que sí)?|¡?por supuesto|¡?desde luego|certo|certamente|volentieri|ecco(?:ti)?|com certeza|natuurlijk|zeker|graag|oczywiście|jasne|конечно|разумеется"
    r"|självklart|absolut|selvfølgelig|tabii|elbette|بالتأكيد|بالطبع|طبعا|بكل سرور"
)
_HERE = (
    r"here(?: is|'s|’s| are| you go| goes)|below (?:you(?:'ll| will)? find|is the)|below (?:is|are)|the following (?:is|are) (?:an?|the|some|your)|hier (?:ist|sind|kommt|is|zijn|volgt|ein|eine|einige)|nachfolgend|im folgenden|voici|aquí (?:tienes|está|va)|a continuación"
    r"|aqui (?:está|estão|vai|tem)|segue|ecco|di seguito|oto|poniżej|вот|ниже|här (?:är|kommer)|her er|işte|aşağıda|إليك|فيما يلي"
)
OPENING = re.compile(
    rf"\A\W*(?:(?:{_GLAD})\b[^.:\n]{{0,40}}[!.,:—–-]\s*)?(?:{_HERE})\b[^\n]{{0,120}}:\s*(?:\n|\Z|[\"“*#-])"
    rf"|\A\W*(?:{_GLAD})\s?[!.,]\s*(?:{_HERE})\b[^\n]{{0,120}}\n"
    r"|\A\W*here(?: is|'s|’s| are) (?:your|an?|the|some)\b[^\n.]{0,100}!\s*\n"
    r"|\A\W*i(?:['’]ve| have) (?:written|created|prepared|drafted|made|put together)\b[^\n]{0,80}\b(?:for you|below|as (?:you )?requested)\b[^\n]{0,40}\n"
    r"|\A\W*(?:as (?:you )?(?:requested|asked),? |(?:sure|certainly|of course|absolutely)[!.,] (?:i'd|i’d|i would|i can|i'll|i’ll|let me)\b)"
    r"|\A\W*(?:great|good|excellent|interesting) question\W"
    r"|\A\W*(?:当然|好的|没问题|當然)[^\n]{0,6}(?:以下|下面|这是|這是|这里)|\A\W*(?:以下是|下面是)[^\n]{0,60}[：:]\s*\n"
    r"|\A\W*(?:もちろん|はい|承知|かしこまり|了解)[^\n]{0,12}(?:以下|こちら)|\A\W*(?:물론|네|알겠습니다)[^\n]{0,10}(?:다음|여기|아래)"
    r"|\A\W*(?:im folgenden finden sie|nachfolgend finden sie|below you(?:'ll|’ll| will)? find (?:the|an?|your)|vous trouverez ci-(?:après|dessous)|(?:qui sotto|di seguito) trov[aei]\w*|a continuación (?:encontrarás|encontrará|te presento|le presento|escribiré)|a seguir, (?:o|a|um|uma) [^\n]{0,30}(?:solicitad|pedid)[oa])\b[^\n]{0,100}[.:]\s*\n"
    r"|\A\W*(?:[^\n:]{0,40}[!.]\s)?(?:te dejo|le dejo|ahí va|aquí te dejo|eis|segue abaixo|ti lascio|je vous propose|je te propose) (?:el|la|un|una|o|a|um|uma|il|le|une)\s[^\n.]{1,60}:\s*\n"
    r"|\A\W*(?:con mucho gusto|com (?:todo o )?prazer|con piacere|sem problemas?|nessun problema|pas de problème|kein problem|aucun problème|met plezier|z przyjemnością|de nada)\s?[!]",
    re.IGNORECASE,
)
CLOSING = re.compile(
    r"(?:if you(?:'d|’d| would) like, i can|hope (?:that|this) helps\W*\Z|let me know (?:what you think|if)[^\n]{0,60}(?:changes|revisions|edits|adjust|tweak)"
    r"|let me know if you(?: would|'d|’d)? (?:like|need|want) (?:any|me to|more|changes|another|further|a different|something|it )|i hope (?:this (?:helps|meets|works)|you (?:enjoy|like|find) (?:this|it))|is there anything else (?:i can|you)|(?:would you like|do you want) me to"
    r"|feel free to (?:adjust|modify|edit|change|customi[sz]e|ask|let me)|ich hoffe, (?:das|dies) hilft|j['’]espère que (?:cela|ça) (?:vous |t['’])?aide"
    r"|espero que (?:esto|isso|isto) (?:te |le |o |a )?(?:ayude|sirva|ajude)|spero che questo (?:ti |le )?(?:aiuti|sia)|ik hoop dat dit helpt"
    r"|mam nadzieję, że to pomo|надеюсь, это помо|希望(?:这|這|对您|能)|お役に立て)"
    r"[^\n]{0,150}\Z",
    re.IGNORECASE,
)
NOTE = re.compile(
    r"^\W*(?:word count\W+\d+|note: [^\n]{0,80}\b(?:as (?:you )?(?:asked|requested)|\d+ words|your (?:request|needs|prompt)))"
    r"|^\W*(?:note|hinweis|anmerkung|remarque|note|nota|observação|opmerking)\W{0,4}:\W{0,4}[^\n]{0,60}\b(?:adapt[aes]?|adapte[rz]?|cambiar|cambiare|remplacer|adjust|replace|customi[sz]e|angepasst|anpassen|können ersetzt|personalizar|personalizzare) (?:\w+ ){0,2}(?:the |les? |l[ao]s? |os |i |gli )?(?:placeholders?|names?|noms?|nombres|nomes|nomi|namen|details|platzhalter|quantit\w+)\b[^\n]*\Z",
    re.IGNORECASE | re.MULTILINE,
)
# What is said in the first sentence or the last line about the text, or to whoever asked for it; in small letters.
ABOUT = re.compile(
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
ABOUT_BEGINS = re.compile(
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
OF_ABOUT = frozenset(
    [
        "requested",
        "wished",
        "asked",
        "wanted",
        "gewünscht",
        "verlangt",
        "gefordert",
        "erbeten",
        "demandé",
        "souhaité",
        "pediste",
        "pidió",
        "pidieron",
        "pedido",
        "solicitaste",
        "solicitado",
        "solicitó",
        "indicado",
        "pediu",
        "solicitou",
        "richiesto",
        "richiesta",
        "chiesto",
        "gevraagd",
        "vroeg",
        "gewenst",
        "prośbą",
        "просил",
        "просили",
        "user",
        "nutzer",
        "benutzer",
        "utilisateur",
        "usuario",
        "utente",
        "usuário",
        "utilizador",
        "fictional",
        "fictitious",
        "made",
        "generated",
        "fiktiv",
        "fiktiver",
        "erfundener",
        "fictif",
        "ficticio",
        "fictício",
        "fittizio",
        "fantasia",
        "inventato",
        "meets",
        "fulfils",
        "fulfills",
        "complies",
        "respects",
        "satisfies",
        "follows",
        "erfüllt",
        "hält",
        "entspricht",
        "respecte",
        "cumple",
        "respeta",
        "rispetta",
        "cumpre",
        "respeita",
        "atende",
        "write",
        "rewrite",
        "translate",
        "continue",
        "change",
        "adjust",
        "make",
        "expand",
        "shorten",
        "version",
        "möchtest",
        "möchten",
        "willst",
        "soll",
        "souhaitez",
        "voulez",
        "souhaites",
        "veux",
        "versión",
        "quieres",
        "quiere",
        "desea",
        "vuoi",
        "quer",
        "queres",
        "deseja",
        "gostaria",
        "titular",
        "título",
        "titolo",
        "titre",
        "überschrift",
        "free",
        "hésitez",
        "hésite",
        "hésites",
        "dudes",
        "dude",
        "esitare",
        "hesite",
        "zögern",
        "melde",
        "vontade",
        "libre",
        "libero",
        "espero",
        "spero",
        "espère",
        "espérant",
        "hoffe",
        "istediğiniz",
        "كما",
    ]
)
# Most texts have none of these, and need not be searched for what begins with them. In small letters.
OF_CLOSINGS = (
    "let me know", "anything else", "hope th", "hope you", "like, i can", "like me to", "want me to", "feel free", "ich hoffe", "espère que", "espero que", "spero che",
    "ik hoop", "nadziej", "надеюсь", "希望", "役に立て",
)  # fmt: skip
OF_NOTES = ("word count", "note:", "hinweis", "anmerkung", "remarque", "nota", "observação", "opmerking")

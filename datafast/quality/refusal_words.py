# ruff: noqa: E501 - lists of words in many scripts
"""The words by which assistants refuse, by language."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["ANY_SCRIPT", "SCRIPTS", "SIGNS", "TURKISH", "TURKISH_SIGNS", "WORDS", "Words"]


class Words(NamedTuple):
    """Beginnings of words, in small letters, by which one language refuses.

    Attributes:
        unable: that one cannot or will not.
        verbs: what assistants are asked to do.
        things: what they are asked for. With a verb, these are a refusal.
        these: what points to it. With a verb, these are one if somebody says sorry as well.
        sorry: how one says so.
    """

    unable: str
    verbs: str
    things: str
    these: str
    sorry: str


WORDS: dict[str, Words] = {
    "en": Words(
        r"(?:i|we)(?:'m| am| are)?(?: \w+){0,2}? (?:can ?not|can't|won't|will not|unable to|not able to|not comfortable|(?:not|don't) feel (?:comfortable|right)|going to have to pass|have to pass"
        r"|must (?:respectfully )?(?:decline|refuse)|(?:have|need) to (?:decline|refuse)|decline|refuse|not (?:allowed|permitted|going) to"
        r"|rather not|prefer not|(?:do not|don't|lack) (?:have )?(?:enough|sufficient|access|the ability|the necessary))"
        r"|(?:i|we)(?:'m| am| are) (?:unable to|not)|i'd (?:rather|prefer) not|not (?:be )?(?:appropriate|possible) for me|(?:unethical|inappropriate|irresponsible|wrong|harmful) for me to|(?:not|\w+n't) something (?:i|we)(?:'m|'d| am| are| would)? (?:be )?(?:can|able|allowed|willing|comfortable)",
        r"help|assist|provid|comply|fulfil|complet|answer|creat|generat|writ|produc|discuss|shar(?:e|ing)|support|continu|engag|do\b|offer|give|giving"
        r"|respond|participat|declin|refus|process|honou?r|accommodat|draft|compos|role-?play|view|display|describ|brows|access|pass\b",
        r"requests?\b|(?:that|this)(?:'s| is)(?:n't| not) something|images\b|(?:such|this|that|any|of|explicit|harmful|offensive|inappropriate|adult|violent|sexual|hateful|requested) (?:\w+ )?(?:content|material)|(?:content|material) (?:that|which|about|on|of|involving|like)|(?:this|that|your|such an?) prompt|of (?:this|that) (?:kind|nature|sort)|this question|your question|such questions|task\b|this topic|this subject|instructions?\b"
        r"|(?:medical|legal|financial) advice|(?:this|that|such an?|the requested) (?:story|text|letter|poem|essay|message|article|piece|conversation)"
        r"|(?:write|writing|create|creating|generate|generating|produce|producing) (?:this|that|such|anything|a letter that|a text that|a story that)"
        r"|the internet|(?:external |these |your )?(?:links|websites|files)\b|real-time|information (?:about|on|that)|help (?:you )?with (?:that|this)|(?:discuss|do) (?:this|that) (?:topic|subject|matter)",
        r"that\b|this\b|these\b|those\b|such\b|you\b|appropriate|information",
        r"sorry|apolog|regret|afraid|unfortunately|appreciate|understand|thank you",
    ),
    "fr": Words(
        r"ne pas (?:pouvoir|être en mesure)|ne (?:peux|puis|pourrai|pouvons|suis pas en mesure|suis pas autoris|suis pas capable|me sens pas|me permets pas|souhaite pas)|m'est (?:pas )?(?:im)?possible"
        r"|impossible de|(?:dois|préfère|préfèrerais) (?:donc )?(?:la |le |les |ne pas |refuser|décliner)|refuse (?:de|d')|dans l'(?:impossibilité|incapacité)",
        r"aider|assister|fournir|répondre|créer|générer|écrire|rédiger|produire|discuter|partager|continuer|accéder|refuser|décliner|donner|traiter"
        r"|satisfaire|faire|aborder|proposer|composer",
        r"(?:cette|votre|ta|telle) (?:demande|requête|question)|contenu|(?:ce|cet|le) (?:type|genre|texte|message|sujet|récit|poème)|cette (?:histoire|lettre)|un (?:texte|message|récit) qui"
        r"|conseils? (?:médica|juridi|financi)|instructions|ces informations",
        r"cela|ça\b|ce\b|cette|cet\b|vous|t'aider|y\b",
        r"désol|regrette|crains|excus|malheureus|navr|comprends|pardon",
    ),
    "de": Words(
        r"(?:kann|darf|werde|möchte|will) (?:ich )?(?:\S+ ){0,6}?(?:nicht|kein|lieber)|nicht (?:dazu )?(?:in der lage|möglich|gestattet|erlaubt)"
        r"|(?:muss|möchte) (?:ich )?(?:\S+ ){0,4}?(?:ablehnen|verweigern)|lehne (?:ich )?|weigere mich|außerstande|ausserstande",
        r"helfen|weiterhelfen|unterstützen|bereitstellen|erfüllen|beantworten|erstellen|schreiben|verfassen|generieren|nachkommen|ablehnen|teilen|geben"
        r"|liefern|behilflich|bearbeiten|antworten|produzieren|entsprechen|anbieten|verweigern|lehne|besprechen|diskutieren|dienen|sagen",
        r"(?:diese|dieser|ihre|ihrer|deine|deiner|solche) (?:anfrage|bitte|frage|aufforderung|aufgabe)|inhalt|(?:diesen|solchen|solche|den gewünschten) (?:text|brief|artikel|texte)"
        r"|diese (?:geschichte|nachricht)|diese[smn]? thema|diese (?:informationen|auskunft)|(?:medizinische|rechtliche|juristische)\w* (?:rat|auskünfte|beratung)|anleitung",
        r"dabei|damit|hierbei|daran|das\b|dies|dazu|so etwas|sowas|dir\b|ihnen\b|euch\b|solche",
        r"tut mir (?:sehr )?leid|entschuldig|bedau|leider|verzeih|verstehe|sorry",
    ),
    "es": Words(
        r"no (?:puedo|podré|podemos|me es posible|me resulta posible|estoy en condiciones|estoy (?:capacitad|autorizad|program|diseñad)|soy capaz|tengo permitido|me siento cómod|me está permitido|voy a)"
        r"|(?:debo|tengo que|prefiero|preferiría) (?:\w+ )?(?:rechazar|negarme|declinar|no\b)|me niego|rechazo",
        r"ayudar|asistir|proporcionar|cumplir|responder|crear|generar|escribir|redactar|producir|compartir|continuar|rechazar|declinar|hacer|ofrecer"
        r"|dar\w*|atender|hablar|tratar|realizar|negarme|rechazo",
        r"(?:esta|esa|la|su|tu|dicha|tal) (?:solicitud|petición|pregunta|consulta)|contenido|(?:este|ese|dicho) (?:texto|tipo|tema|mensaje|cuento|relato|poema)|un (?:texto|mensaje|cuento) que|esta (?:historia|carta)"
        r"|consejos? (?:médic|legal|financ)|instrucciones|(?:esta|esa) información",
        r"así\b|eso\b|esto\b|ello\b|este\b|esta\b|ese\b|ayudarte|ayudarle",
        r"lo siento|lament|disculp|perdón|perdona|desafortunad|entiendo|me temo",
    ),
    "it": Words(
        r"non (?:posso|potrò|possiamo|sono in grado|sono autorizzat|mi è (?:possibile|permesso|consentito)|mi sento|intendo)"
        r"|(?:devo|preferisco|preferirei) (?:\w+ )?(?:rifiutar|declinar|non\b)|mi rifiuto|impossibilitat|rifiuto di",
        r"aiutar|assister|fornir|soddisfar|risponder|crear|generar|scriver|produr|condivider|continuar|rifiutar|declinar|farlo|offrir|dar\w*|accoglier|redigere|parlare|trattare|elaborare",
        r"(?:questa|la tua|la sua|tua|sua|tale|alla) (?:richiesta|domanda)|contenut|(?:questo|tale) (?:testo|tipo|tema|argomento|messaggio|racconto|genere)|un (?:testo|messaggio|racconto) che|questa (?:storia|lettera)"
        r"|consigli (?:medic|legal|finanz)|istruzioni|(?:queste|tali) informazioni",
        r"ciò|questo|questa|quest'|quello|del genere|simil\w|aiutarti|aiutarla|aiutarvi",
        r"dispiace|spiace|scus|purtroppo|spiacente|capisco|temo",
    ),
    "pt": Words(
        r"não (?:posso|poderei|podemos|consigo|me é possível|sou capaz|estou (?:autorizad|program|apt|em condições)|me sinto|tenho permissão|vou)"
        r"|(?:devo|preciso|tenho (?:de|que)|prefiro) (?:\w+ )?(?:recusar|declinar|não\b)|recuso-me|me recuso|é-me impossível",
        r"ajudar|ajudá|auxiliar|fornecer|cumprir|responder|criar|gerar|escrever|redigir|produzir|compartilhar|partilhar|continuar|recusar|declinar|fazer|oferecer|dar\b|atender"
        r"|discutir|falar|elaborar|realizar",
        r"(?:esse|este|seu|teu|tal|essa|esta|sua|tua) (?:pedido|solicitação|pergunta|questão)|conteúdo|(?:esse|este|tal) (?:texto|tipo|tema|assunto|conto|poema)|um (?:texto|conto) que|uma mensagem que|(?:essa|esta) (?:história|carta|mensagem)"
        r"|sobre (?:isso|isto)|conselhos? (?:médic|jurídic|financ)|instruções|(?:essas|estas) informações",
        r"isso|isto|nisso|disso|esse|essa|este|esta|você|lo\b",
        r"desculp|lamento|sinto muito|infelizmente|perdão|entendo|receio",
    ),
    "nl": Words(
        r"(?:kan|mag|zal|wil|ga) (?:ik )?(?:\S+ ){0,5}?(?:niet|geen)|niet in staat|moet (?:ik )?(?:\S+ ){0,4}?(?:weigeren|afwijzen)|weiger (?:ik|om)|niet mogelijk|liever (?:niet|geen)"
        r"|(?:kan|mag) ik (?:\S+ ){0,5}?(?:niet|geen)|ik (?:kan|mag|zal|wil) (?:\S+ ){0,5}?(?:niet|geen)",
        r"helpen|assisteren|verstrekken|voldoen|beantwoorden|maken|genereren|schrijven|delen|doorgaan|weigeren|geven|ondersteunen|van dienst|antwoorden|aanmaken|produceren|bieden|afwijzen|bespreken|leveren",
        r"(?:dit|dat|uw|je|jouw|zulk) (?:verzoek|vraag|opdracht)|(?:deze|die|uw|je|jouw) vraag|inhoud|(?:deze|zulke|die) (?:tekst|brief|teksten)|dit (?:soort|verhaal|bericht|onderwerp|type)|een (?:tekst|bericht|verhaal) d(?:ie|at)"
        r"|(?:medisch|juridisch|financieel) advies|instructies|deze informatie",
        r"daar\w*|dit\b|dat\b|hier\w*|ermee|deze",
        r"spijt|sorry|excus|helaas|begrijp|vrees",
    ),
    "pl": Words(
        r"nie (?:mogę|możemy|jestem w stanie|potrafię|wolno mi|będę|zamierzam)|muszę (?:\w+ )?(?:odmówić|odrzucić)|odmawiam|nie jest możliwe|wolę nie|wolał\w*bym nie",
        r"pomóc|pomoc|dostarcz|spełni|odpowied|odpowiada|stworzy|tworzy|wygenerowa|generowa|napisa|pisa|udostępni|kontynuowa|odmówić|odmawiam|udziel|zrobi|wesprze|odrzuc|rozmawia|podać",
        r"(?:tę|tą|tej|ta|to|twoją|twojej|państwa|taką|takiej) (?:prośb|pytani)|prośb|(?:na|to|twoje) pytanie|treści|(?:tego|takiego|ten|taki) (?:tekst|rodzaj|temat|typ|list)|(?:tej|takiej) (?:historii|wiadomości|opowieści)"
        r"|porad (?:medycz|prawn|finans)|instrukcj",
        r"tym\b|tego\b|to\b|tej\b|tę\b|ci\b|takiej|takich",
        r"przykro|przeprasz|niestety|żałuj|rozumiem|obawiam|wybacz",
    ),
    "ru": Words(
        r"не (?:могу|можем|смогу|в состоянии|в силах|имею возможности|имею права|вправе|буду|хочу|готов)|(?:вынужден\w*|должен|должна|придётся|придется|предпочту|предпочитаю|лучше) (?:\w+ )?(?:отказать|отклонить|не\b)|отказываюсь|невозможно",
        r"помо[чг]|предостав|выполн|ответ|отвеча|созда|сгенериров|генериров|напис|писа|поделит|продолж|отказа|отклон|сдела|дать|давать|обсужда|обсуди|говорить|составить|удовлетвор",
        r"запрос|(?:эт|ваш|тво|так|данн)\w+ (?:просьб|вопрос|текст|тем|рассказ|письм|истори|контент|материал|содержани|тип)|просьб|контент|медицинск\w+ (?:совет|консультац)|юридическ\w+ (?:совет|консультац)|инструкци",
        r"эт(?:им|ом|о|от|у|ой)\b|вам\b|тебе|так(?:ой|ие|ого)\b|данн",
        r"извин|прости\w*|прошу прощения|сожале|жаль|понимаю|боюсь",
    ),
    "uk": Words(
        r"не (?:можу|зможу|в змозі|маю (?:права|змоги|можливості)|буду)|(?:змушен\w*|мушу) відмов|відмовляюс|неможливо",
        r"допом|надати|надавати|виконати|відпов|створ|згенерув|генерув|написа|писати|поділит|продовж|відмов|зроби|обговор",
        r"запит|(?:ц|ваш|тво|так)\w+ (?:прохання|питання|запитання|текст|тем|розповід|лист|контент)|прохання|контент|інструкці",
        r"цим|цьому|це\b|цього|вам\b|тобі|так(?:ий|і|ого)\b",
        r"вибач|перепрош|шкода|на жаль|розумію|прикро",
    ),
    "sv": Words(
        r"kan (?:jag )?(?:\S+ ){0,4}?(?:inte|inga)|får (?:jag )?inte|inte (?:möjligt|i stånd)|måste (?:jag )?(?:\w+ )?(?:avböja|neka|avslå|tacka nej)|vägrar|helst inte",
        r"hjälpa|bistå|tillhandahålla|uppfylla|svara|besvara|skapa|generera|skriva|dela|fortsätta|avböja|neka|avslå|ge\b|göra|diskutera",
        r"(?:den|denna|din|er) (?:här )?(?:begäran|förfrågan|fråga)|begäran|förfrågan|innehåll|(?:den|det|denna|detta) här (?:texten|ämnet|typen)|instruktioner",
        r"det\b|detta|dig\b|er\b|sådan",
        r"ledsen|förlåt|ursäkt|beklagar|tyvärr|förstår",
    ),
    "da": Words(
        r"kan (?:jeg )?(?:\S+ ){0,4}?(?:ikke|ingen)|må (?:jeg )?ikke|ikke (?:muligt|mulig|i stand)|må (?:jeg )?(?:\w+ )?(?:afvise|afslå|avslå)|nægter|nekter|helst ikke",
        r"hj[æe]lpe|bistå|levere|opfylde|oppfylle|svare|besvare|skabe|oprette|opprette|lage|generere|skrive|dele|fortsætte|fortsette|afvise|afslå|avslå|give\b|gi\b|gøre|gjøre",
        r"anmodning|forespørsel|(?:dit|dette|det|den|denne) (?:her )?(?:spørgsmål|spørsmål|emne|tekst)|indhold|innhold|instruktioner|instruksjoner",
        r"det\b|dette|dig\b|deg\b|sådan|slik",
        r"ked af|undskyld|unnskyld|beklager|desværre|dessverre|forstår|lei for",
    ),
    "fi": Words(
        r"en (?:valitettavasti )?(?:voi|pysty|saa|kykene|aio)|minun on (?:pakko )?kieltäydyttävä|kieltäydyn|ei ole mahdollista",
        r"autta|avusta|tarjo|täyttä|vasta|luo\b|luoda|kirjoitta|jaka|jatka|kieltäyd|anta|tehdä|tuotta|keskustel",
        r"pyyntö|pyynnö|(?:tähän|tuohon) kysymykseen|sisältö|(?:tätä|tällaista|tämän) (?:tekstiä|aihetta|tarinaa)|ohjeita",
        r"siinä|tässä|sitä\b|tätä\b|sinua|teitä|tällais",
        r"pahoittel|valitettavasti|anteeksi|ymmärrän",
    ),
    "cs": Words(
        r"ne(?:mohu|můžu|můžeme|jsem schop|smím|lze|budu|dokážu)|musím (?:\w+ )?odmítnout|odmítám|není (?:mi )?možné",
        r"pomo[ci]|poskytnout|splnit|vyhovět|odpověd|vytvoři|vygenerova|generova|napsat|psát|sdílet|pokračovat|odmít|udělat|diskutovat",
        r"žádost|požadav|(?:tuto|vaši|tvou|takovou) (?:otázk|prosb)|obsah|(?:tento|takový) (?:text|typ|druh|příběh)|instrukc|návod",
        r"tím\b|tom\b|to\b|vám\b|ti\b|takov",
        r"omlouvám|promiňte|promiň|bohužel|lituji|líto|chápu|rozumím",
    ),
    "tr": Words(
        r"\w+(?:amam|emem|amıyorum|emiyorum|amayız|emeyiz|amayacağım|emeyeceğim)\b|mümkün değil|reddet|izin verilm",
        r"yardım|sağla|yerine getir|karşılaya|cevap|yanıt|oluştur|üret|yaz|paylaş|devam|reddet|tartış|ver\w+em",
        r"iste[kğ]|talep|taleb|içeri[kğ]|(?:bu|böyle bir) (?:soru|metn|metin|konu|hikaye)|talimat",
        r"bu\b|bunu|buna|size|sana|böyle",
        r"üzgün|özür|maalesef|ne yazık ki|anlıyorum|kusura bakm",
    ),
    "ar": Words(
        r"لا (?:أستطيع|استطيع|يمكنني|أقدر|يسعني|أملك القدرة)|لست قادر|غير قادر|لن (?:أتمكن|أستطيع|أقوم)|أرفض|لا يُ?سمح لي|أفضل (?:عدم|ألا)|ليس بإمكاني|لا أقوم",
        r"مساعد|تقديم|تلبية|(?:ال)?إجابة|(?:ال)?رد\b|إنشاء|كتابة|مشاركة|توفير|القيام|المتابعة|أرفض|توليد|مناقشة|تنفيذ|أساعد|أجيب|أكتب",
        r"(?:ال)?طلب|محتوى|المحتوى|(?:هذا|هذه|ذلك|مثل هذا) (?:ال)?(?:سؤال|نص|موضوع|قصة|رسالة|نوع)|(?:نصيحة|نصائح|استشارة) (?:طبية|قانونية)|تعليمات",
        r"هذا|هذه|ذلك|بذلك|مساعدتك",
        r"آسف|أسف|اسف|عذر|أعتذر|اعتذر|للأسف|يؤسفني|أتفهم",
    ),
    "he": Words(
        r"(?:לא|איני|אינני) (?:יכול|מסוגל|אוכל|רשאי)|נאלצ\w* לסרב|מסרב|מעדיפ?ף? שלא",
        r"לעזור|לסייע|לספק|למלא|לענות|ליצור|לכתוב|לשתף|להמשיך|לסרב|לעשות|לדון",
        r"בקש|תוכן|(?:את )?ה?(?:טקסט|שאלה|סיפור|נושא) ה?(?:זה|זו|זאת)|הוראות",
        r"בזה|זה\b|זאת|לך\b|בכך|כזה",
        r"מצטער|סליחה|מתנצל|לצער|מבין|מבינ",
    ),
    "hi": Words(
        r"नहीं (?:कर|दे|लिख|बना|बता)\S* ?(?:सकता|सकती|सकते|पाऊंगा|पाऊंगी)?|असमर्थ|(?:सकता|सकती|सकते) नहीं|अनुमति नहीं|मना कर",
        r"मदद|सहायता|प्रदान|पूरा|उत्तर|जवाब|बना|लिख|साझा|जारी|दे|कर",
        r"अनुरोध|सामग्री|(?:इस|ऐसे|ऐसी) (?:प्रश्न|सवाल|विषय|पाठ|कहानी)|निर्देश",
        r"इस|यह|आपकी|ऐस",
        r"क्षमा|माफ|खेद|दुर्भाग्य|समझत",
    ),
    "vi": Words(
        r"không (?:thể|được phép|có khả năng)|(?:phải|xin) từ chối|từ chối",
        r"giúp|hỗ trợ|cung cấp|đáp ứng|trả lời|tạo|viết|chia sẻ|tiếp tục|từ chối|thực hiện|thảo luận",
        r"yêu cầu|nội dung|(?:câu hỏi|chủ đề|văn bản|câu chuyện) này|hướng dẫn",
        r"này|đó|bạn|vậy",
        r"xin lỗi|rất tiếc|thành thật|tiếc là|hiểu",
    ),
    "id": Words(
        r"tidak (?:dapat|bisa|mampu|diizinkan|boleh)|(?:harus|terpaksa) menolak|menolak",
        r"membantu|menyediakan|memberi|memenuhi|menjawab|membuat|menghasilkan|menulis|berbagi|membagikan|melanjutkan|menolak|melakukan|membahas",
        r"permintaan|konten|(?:pertanyaan|topik|teks|cerita) (?:ini|itu|tersebut)|instruksi",
        r"ini\b|itu\b|anda|kamu|tersebut",
        r"maaf|sayangnya|menyesal|mengerti|memahami",
    ),
    "zh": Words(
        r"不了|不能|无法|無法|不会|不會|不可以|不便|不方便|不愿|不願|没办法|沒辦法|拒绝|拒絕|没有能力|不適合|不适合",
        r"提供|帮|幫|协助|協助|满足|滿足|完成|回答|回复|回應|回应|生成|撰写|撰寫|写|寫|讨论|討論|创作|創作|谈论|談論|处理|處理|参与|執行|执行|给出|拒绝|拒絕",
        r"请求|請求|要求|内容|內容|(?:这个|這個|该|該|此|您的|你的|这类|此类|这种|这样的|這樣的)(?:问题|問題|话题|話題|故事|文章|信息|主题|任务)|(?:医疗|法律|医学)(?:建议|意见)",
        r"这|這|此|该|您|你",
        r"抱歉|对不起|對不起|遗憾|遺憾|不好意思",
    ),
    "ja": Words(
        r"できません|できない|できかね|いたしかね|しかねます|お断り|控えさせて|差し控え|かねます",
        r"受け|応え|答え|手伝|対応|作成|提供|書く|生成|協力|回答|執筆|作る|断り|お手伝い|控え|議論|お話",
        r"お?(?:手伝い|答え|応え)(?:は|が|すること(?:は|が))?でき|要望|依頼|リクエスト|(?:この|その|ご)質問|内容|(?:この|その|そのような|このような|こういった)(?:文章|話題|物語|情報|テーマ|コンテンツ|件)|コンテンツ",
        r"その|この|こちら|それ|ご",
        r"申し訳|すみません|すいません|ごめん|残念|恐れ入|恐縮",
    ),
    "ko": Words(
        r"수 없|수가 없|못|어렵|불가|거절|않겠",
        r"도와|도움|제공|답변|답할|응할|수행|처리|작성|생성|쓸 |거절|드릴|논의|들어",
        r"요청|질문|부탁|콘텐츠|내용|(?:이|그|그런|이런|해당) (?:글|주제|이야기|정보)",
        r"그|이|해당|당신",
        r"죄송|미안|유감|안타깝",
    ),
    "th": Words(
        r"ไม่สามารถ|ไม่อาจ|ไม่ได้|ปฏิเสธ",
        r"ช่วย|ให้|ตอบ|เขียน|สร้าง|ดำเนินการ|ปฏิเสธ|ทำ",
        r"คำขอ|คำถามนี้|เนื้อหา|เรื่องนี้",
        r"นี้|นั้น|คุณ|ได้",
        r"ขออภัย|ขอโทษ|เสียใจ",
    ),
}

# Whoever cannot do a thing needs one of these words, or this script, to say so in a language: most texts need not be searched in most.
SIGNS: dict[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": "cannot t not unable decline refuse lack rather prefer pass unethical inappropriate irresponsible wrong harmful",
        "fr": "ne possible impossible dois préfère préfèrerais refuse impossibilité incapacité",
        "de": "nicht nichts kein keines keine keinen keinem keiner keinerlei lieber ablehnen verweigern lehne weigere außerstande ausserstande",
        "es": "no debo tengo prefiero preferiría niego rechazo",
        "it": "non devo preferisco preferirei rifiuto impossibilitato impossibilitata",
        "pt": "não devo preciso tenho prefiro recuso impossível",
        "nl": "niet geen weigeren afwijzen weiger liever",
        "pl": "nie muszę odmawiam wolę wolałbym wolałabym",
        "sv": "inte inga måste vägrar",
        "da": "ikke ingen må nægter nekter",
        "fi": "en ei kieltäydyttävä kieltäydyn",
        "cs": "nemohu nemůžu nemůžeme nejsem nesmím nelze nebudu nedokážu musím odmítám není",
        "vi": "không từ",
        "id": "tidak menolak",
    }.items()
}
SCRIPTS = {
    "ru": re.compile("[а-я]"),
    "uk": re.compile("[а-яі]"),
    "ar": re.compile("[ء-ي]"),
    "he": re.compile("[א-ת]"),
    "hi": re.compile("[ऀ-ॿ]"),
    "zh": re.compile("[一-鿿]"),
    "ja": re.compile("[ぁ-ヿ]"),
    "ko": re.compile("[가-힣]"),
    "th": re.compile("[ก-๛]"),
}
ANY_SCRIPT = re.compile("[Ѐ-힣]")
"""What a text has in it that has one of these."""
# Turkish says "cannot" by what a word ends with.
TURKISH = re.compile(r"m(?<=[ae]m)(?:[ae]m|[ıi]yor|[ae]y[ıi]|[ae]y[ae]c)")
TURKISH_SIGNS = ("mümkün", "reddet", "izin")

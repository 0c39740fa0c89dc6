"""Room of mail: does a line ask us to stop? Words of many languages, and the rule that reads them. Pure.

A line counts when it is nothing but such a request: one of the phrases of a language, and beside it only words that
say nothing else in that language (please, me, your mailing list, thank you). "How do I stop the machine?" and "please
don't unsubscribe me" hold other words, so they do not count: a person reads them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

MOST_WORDS = 20
LONGEST = 200


@dataclass(frozen=True)
class _Language:
    """`clear`: phrases that mean our mail and nothing else. `short`: words that count only as a whole line."""

    clear: tuple[tuple[str, ...], ...]
    short: tuple[tuple[str, ...], ...]
    beside: frozenset[str]


def normal(text: str) -> str:
    """The form in which words are compared: lower case, no accents, no punctuation, single blanks."""
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    text = text.translate(_LETTERS)
    kept = (each if each.isalnum() else " " for each in text if not unicodedata.combining(each))
    return " ".join("".join(kept).split())


_LETTERS: Final = str.maketrans("łøđı", "lodi", "'’‘`´ʼ\u200b\u200c\u200d\u2060\ufeff\u00ad")  # don't is dont


def _language(clear: str, short: str, beside: str) -> _Language:
    """Phrases are separated by commas, words beside them by blanks. "Stop" is understood in each."""

    def phrases(text: str) -> tuple[tuple[str, ...], ...]:
        found = {tuple(normal(each).split()) for each in text.split(",")} - {()}
        return tuple(sorted(found, key=lambda each: (-len(each), each)))

    found = phrases(clear), phrases(f"{short}, stop")
    alone = {each[0] for group in found for each in group if len(each) == 1}
    return _Language(*found, frozenset({*normal(beside).split(), *alone}))


_MAIL = "email emails e mail mails newsletter newsletters list mailing spam stop ok"

_LANGUAGES: Final = (
    _language(  # English
        "unsubscribe, unsubscribed, un subscribe, unsubscribe me, unsuscribe, unsubcribe, unsubscibe, unsubsribe,"
        "unsubscribing, unsubscription, opt out, optout, opted out, opting out, stop all, stopall, stop emailing,"
        "stop mailing, stop sending, stop the emails, stop these emails, stop your emails, stop receiving,"
        "no more emails, no more email, no more mail, no more mails, no more newsletters, no more messages,"
        "do not email, dont email, do not mail me, dont mail me, do not send, dont send, remove me, take me off,"
        "remove my email, remove my address, be removed from, removed from, not want to receive,"
        "no longer wish to receive, no longer want to receive, do not wish to receive, do not want to receive,"
        "dont want to receive, dont wish to receive, cancel subscription, cancel my subscription,"
        "cancel the subscription, cancel newsletter, cancel the newsletter, end my subscription",
        "stop, remove, stop it, please stop",
        f"{_MAIL} please pls plz kindly i we id me us my our your the this these those from to of for on with and any"
        " all more further future at by be been is am would like want wish need request hereby now immediately asap"
        " today thanks thank you many very much in advance lists address addresses news mailings broadcast broadcasts"
        " message messages subscription communications communication marketing get getting receive receiving send"
        " sending offers anymore again email's effective regards can could will distribution database off",
    ),
    _language(  # German
        "abmelden, abmeldung, abbestellen, abbestellung, austragen, austragung, abgemeldet werden, melden sie mich ab,"
        "melden sie mich bitte ab, melde mich ab, melde mich bitte ab, bestelle ab, ich bestelle ab,"
        "keine emails mehr, keine e mails mehr, keine mails mehr, keine newsletter mehr, keine werbung mehr,"
        "keine weiteren emails, keine weiteren e mails, keine weiteren mails, keine weiteren newsletter,"
        "aus dem verteiler, aus ihrem verteiler, aus eurem verteiler, aus der mailingliste, aus der liste,"
        "aus ihrer liste, von der liste, von ihrer liste, aus dem newsletter",
        "stopp, stoppen, entfernen",
        f"{_MAIL} bitte mich uns ich wir möchte möchten moechte moechten will wollen würde wuerde gern gerne vom von"
        " aus der dem den die das diesem diesen ihrem ihren ihre ihrer eurem euren eure meine meiner mein adresse"
        " emailadresse mailadresse verteiler mailingliste liste rundschreiben werbung abo hiermit sofort umgehend ab"
        " an zu zum zur mir danke vielen dank gruß gruss grüße gruesse mit freundlichen hallo guten tag alle weitere"
        " weiteren löschen loeschen streichen nehmen entfernen entfernt gelöscht geloescht werden erhalten bekommen"
        " senden schicken sie und im voraus für fuer künftig kuenftig ab jetzt",
    ),
    _language(  # French
        "désabonner, désabonnement, désabonnez moi, désabonne moi, désabonnez, me désabonner, désinscrire,"
        "désinscription, désinscrivez moi, désinscrivez, ne plus recevoir, plus recevoir, ne plus m'envoyer,"
        "ne plus menvoyer, arrêtez de m'envoyer, cessez de m'envoyer, retirez moi, me retirer, retirer de la liste,"
        "retirer de votre liste, supprimez moi de, supprimer de la liste, supprimer de votre liste, plus d'emails,"
        "plus de mails, plus d'e mails",
        "arrêter, arrêtez, arrêt, stopper",
        f"{_MAIL} s il vous plaît sil svp stp je nous me moi souhaite souhaiterais veux voudrais désire aimerais"
        " demande d de du des la le les l votre vos cette ce ces ma mon mes liste listes diffusion lettre infolettre"
        " d'information information informations courriel courriels adresse message messages merci d'avance avance"
        " par bonjour madame monsieur veuillez à au aux et être toute toutes tous envois envoi publicité pub"
        " cordialement maintenant immédiatement bien vouloir",
    ),
    _language(  # Spanish
        "baja, dar de baja, darme de baja, darse de baja, deme de baja, denme de baja, dame de baja, dadme de baja,"
        "de baja, desuscribir, desuscribirme, desuscribirse, desuscripción, desuscribanme, cancelar suscripción,"
        "cancelar la suscripción, cancelar mi suscripción, anular suscripción, anular la suscripción,"
        "anular mi suscripción, no más correos, no más emails, no más mensajes, no quiero recibir más,"
        "no deseo recibir más, no deseo seguir recibiendo, no quiero recibir, no deseo recibir, no enviar más,"
        "no me envíen más, no me envíe más, no me manden más, eliminar de la lista, eliminarme de la lista,"
        "elimínenme de la lista, borrarme de la lista, bórrenme de la lista, quitarme de la lista,"
        "quítenme de la lista, eliminarme de su lista, quitarme de su lista",
        "parar, paren, detener, alto",
        f"{_MAIL} por favor quiero quisiera deseo solicito me mi mis nos su sus la el los las lista listas de del"
        " correo correos electrónico electrónicos mensajes mensaje boletín boletines suscripción noticias publicidad"
        " todos todas más gracias muchas hola buenos días buenas tardes saludos un cordial a al en esta este estos y"
        " ahora envío envíos dirección",
    ),
    _language(  # Italian
        "cancellami, cancellarmi, cancellatemi, cancellare iscrizione, cancella iscrizione, annulla iscrizione,"
        "cancellare l'iscrizione, annullare l'iscrizione, annullare iscrizione, cancellazione iscrizione,"
        "cancellazione dalla, disiscrivimi, disiscrivermi, disiscrivetemi, disiscrizione, disiscrivere, rimuovimi,"
        "rimuovermi, rimuovetemi, rimuovere dalla lista, togliermi dalla lista, toglietemi dalla lista,"
        "non voglio più ricevere, non desidero più ricevere, non ricevere più, basta email, basta e mail",
        "basta, cancellazione, rimuovere, rimuovi, fermare",
        f"{_MAIL} per favore cortesia prego grazie mi mia mio vorrei voglio desidero chiedo di da dal dalla dalle"
        " della delle dei del il la le lo vostra vostre vostri vostro questa questo queste lista liste posta"
        " elettronica messaggi indirizzo iscrizione e in buongiorno salve cordiali saluti tutte tutti subito"
        " comunicazioni distribuzione mille anticipo",
    ),
    _language(  # Portuguese
        "descadastrar, descadastre, descadastramento, me descadastrar, me descadastre, cancelar inscrição,"
        "cancelar a inscrição, cancelar minha inscrição, cancelar a minha inscrição, cancelar assinatura,"
        "cancelar a assinatura, cancelar a subscrição, cancelar subscrição, cancelar a minha subscrição,"
        "anular subscrição, anular a subscrição, desinscrever, desinscreva, remover da lista, remova me, me remova,"
        "remover me, retirar da lista, retire me, me retire, me retirem, sair da lista, não quero receber mais,"
        "não quero mais receber, não desejo receber mais, não desejo mais receber, não enviar mais,"
        "não me envie mais, não me enviem mais, deixar de receber",
        "parar, pare, parem, remover",
        f"{_MAIL} por favor eu quero queria gostaria desejo solicito de da do das dos a o as os minha meu meus me sua"
        " suas seu seus vossa vossas esta este lista listas correio eletrônico eletrónico mensagens boletim endereço"
        " obrigado obrigada olá bom dia boa tarde cumprimentos atenciosamente todos todas já imediatamente mais e",
    ),
    _language(  # Polish
        "wypisz, wypisz mnie, wypisać, wypisanie, wypisuję się, wypiszcie mnie, anuluj subskrypcję,"
        "anulować subskrypcję, anulowanie subskrypcji, rezygnuję z newslettera, rezygnuję z subskrypcji,"
        "rezygnacja z newslettera, rezygnacja z subskrypcji, nie chcę otrzymywać, nie chcę już otrzymywać,"
        "nie chcę więcej, proszę nie wysyłać, nie wysyłać, nie wysyłajcie, usuń mnie z, usunąć mnie z,"
        "usunięcie z listy, usuńcie mnie z, odsubskrybuj",
        "usuń, rezygnuję, rezygnacja",
        f"{_MAIL} proszę o z ze listy lista mailingowej adresowej subskrypcji newslettera newsletterów mnie mój moje"
        " mojego adres adresu mailowy maili wiadomości więcej już i się chcę chciałbym chciałabym dziękuję dzięki"
        " pozdrawiam dzień dobry witam waszej waszego państwa tej tego do na wszystkich natychmiast mi",
    ),
    _language(  # Dutch
        "afmelden, afmelding, uitschrijven, uitschrijving, uitgeschreven worden, meld mij af, meld me af,"
        "meld mij aub af, schrijf mij uit, schrijf me uit, schrijf mij aub uit, geen emails meer, geen e mails meer,"
        "geen mails meer, geen mail meer, geen nieuwsbrief meer, geen nieuwsbrieven meer, verwijder mij, verwijder me,"
        "van de lijst, van uw lijst, van de mailinglijst, van uw mailinglijst, uit de mailinglijst",
        "stoppen, verwijderen",
        f"{_MAIL} alstublieft alsjeblieft aub svp graag ik wij mij me mijn wil willen zou ons uw jullie deze dit de"
        " het van voor uit nieuwsbrief nieuwsbrieven mailinglijst lijst e-mailadres mailadres adres dank bedankt u wel"
        " hallo goedendag met vriendelijke groet groeten alle verdere ontvangen sturen stuur te worden verwijderen"
        " bij voorbaat meer",
    ),
    _language(  # Swedish, Danish, Norwegian
        "avregistrera, avregistrera mig, avprenumerera, avsluta prenumeration, avsluta prenumerationen, avanmälan,"
        "avanmäla, inga fler mejl, inga fler mail, afmeld, afmeld mig, afmelding, frameld, frameld mig, meld mig fra,"
        "ikke flere mails, avmeld, avmeld meg, avmelding, meld meg av, ingen flere e-poster",
        "stopp, stoppa",
        f"{_MAIL} tack vänligen snälla mig från för listan sändlistan utskick nyhetsbrev nyhetsbrevet jag vill skulle"
        " hej er ert din min prenumeration venligst vennligst meg mig fra for listen nyhedsbrev nyhedsbrevet tak takk"
        " jeg vil ønsker gerne gjerne hei jeres deres alle alla mejl epost e-post",
    ),
    _language(  # Czech
        "odhlásit, odhlásit se, odhlaste mě, odhlášení, odhlašte mě, zrušit odběr, zrušte odběr, ukončit odběr",
        "zrušit",
        f"{_MAIL} prosím mě mne mi z ze od odběru odběr newsletteru novinek seznamu děkuji díky dobrý den chci se"
        " vašeho všech zasílání",
    ),
    _language(  # Turkish
        "abonelikten çık, abonelikten çıkar, abonelikten çıkmak istiyorum, aboneliği iptal, aboneliğimi iptal,"
        "aboneliğimi sonlandırın, listeden çıkar, listeden çıkarın, listenizden çıkarın, listeden çıkmak istiyorum",
        "durdur",
        f"{_MAIL} lütfen beni e-posta et edin ediniz istiyorum teşekkürler teşekkür ederim merhaba bülten bülteni",
    ),
    _language(  # Russian
        "отписаться, отпишите, отпишите меня, отписать, отписка, отмена подписки, отменить подписку,"
        "отказ от рассылки, отказаться от рассылки, удалите меня из, не присылайте мне больше",
        "стоп, прекратите",
        f"{_MAIL} пожалуйста меня мне от из вашей вашу рассылки рассылку списка спасибо прошу хочу здравствуйте всех"
        " писем письма и",
    ),
)


def _unspaced(*texts: str) -> tuple[frozenset[str], ...]:
    """Of a language written without blanks the phrases, and the pieces of which the rest of a line must be made."""
    return tuple(frozenset(normal(each).replace(" ", "") for each in text.split("|")) for text in texts)


_UNSPACED: Final = (
    _unspaced(  # Japanese
        "配信停止|配信解除|配信を停止|配信の停止|配信を中止|配信を止め|購読解除|購読停止|購読を解除|購読を停止|登録解除|登録抹消"
        "|登録を解除|送信停止|送信を停止|メルマガ解除|メール停止|受信拒否|送らないで|送信しないで|配信しないで|解除|停止",
        "メールマガジン|ニュースレター|メルマガ|ダイレクトメール|電子メール|メール|お知らせ|ご案内|案内|今後|以後|一切|もう|この|御社"
        "|貴社|貴会|学会|から|の|を|は|に|も|て|希望|お願い|致します|いたします|申し上げます|願います|して|ください|下さい|したい|です|し"
        "|します|ます|どうか|至急|お手続き|手続き|手続|よろしく|宜しく|お世話になっております|ありがとうございます|こんにちは|ので|と|思います",
    ),
    _unspaced(  # Chinese
        "退订|退訂|取消订阅|取消訂閱|停止订阅|停止訂閱|停止发送|停止發送|停止接收|不要再发|不要再發|不要再给我发|不要再給我發"
        "|请勿再发|請勿再發|别再发|別再發|不再接收|拒收|移出|移除|从邮件列表中删除|從郵件列表中刪除|从名单中删除|從名單中刪除",
        "电子邮件|電子郵件|邮件|郵件|邮箱|郵箱|信箱|电邮|電郵|地址|列表|名单|名單|所有|任何|订阅|訂閱|通讯|通訊|消息|广告|廣告|推送|给我"
        "|給我|谢谢|謝謝|感谢|感謝|您好|你好|麻烦|麻煩|请|請|我|要|想|希望|帮|幫|将|將|把|从|從|您|你|们|們|贵|貴|学会|學會|会|會|的|中|了"
        "|送|来|來|再|都|一下|这|這|个|個|此|立即|马上",
    ),
    _unspaced(  # Korean
        "수신거부|수신을거부|구독취소|구독을취소|구독해지|구독을해지|발송중지|발송을중지|수신차단|메일중단",
        "이메일|메일|뉴스레터|부탁드립니다|부탁합니다|해주세요|해주십시오|하고싶습니다|요청합니다|요청|합니다|해요|을|를|의|제발|감사합니다"
        "|안녕하세요|더이상|원합니다",
    ),
)
_WITHOUT_BLANKS: Final = re.compile(r"[\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")

_POLITE: Final = re.compile(r"(please )?(can|could|would|will) you( please| kindly)? ")
_NOT: Final = frozenset(
    normal(
        "not dont don't doesn't never nicht nie niemals kein keine keinen pas ne jamais no nunca non mai não nunca nie"
        " niet geen inte ikke не"
    ).split()
)
_CLAUSE: Final = re.compile(r"[^,.;:!?\n。！？，]+\??")
_WORDS: Final = frozenset(
    each[0] for language in _LANGUAGES for group in (language.clear, language.short) for each in group if len(each) == 1
)


def asks_to_stop(line: str, *, names: Collection[str] = ()) -> bool:
    """Whether a line is a request to stop our mail and nothing else. `names`: what the society is called, as words."""
    words = _words(line)
    if not words or ("?" in line and not _POLITE.match(" ".join(words))):
        return False
    if _WITHOUT_BLANKS.search(unicodedata.normalize("NFKD", line)):
        return any(_is_made_of("".join(words), *pieces) for pieces in _UNSPACED)
    there, extra = set(words), {*names, "you"}
    for language in _LANGUAGES:
        beside = language.beside | extra
        for phrase in (*language.clear, *language.short):
            if there.issuperset(phrase) and _is_all(words, phrase, beside):
                return True
    return False


def is_clear(line: str, *, names: Collection[str] = ()) -> bool:
    """Whether it is one by a phrase that means our mail, so that what follows on the next line does not matter."""
    words = _words(line)
    return asks_to_stop(line, names=names) and not any(
        tuple(words) == phrase or set(words) <= {*phrase, "please", "bitte"}
        for language in _LANGUAGES
        for phrase in language.short
    )


def objects(text: str) -> bool:
    """Whether a text speaks of stopping with a "not" before it, or in a question: then a person should read it."""
    for clause in _CLAUSE.findall(text):
        words = normal(clause).split()
        for at, word in enumerate(words):
            if word in _WORDS and ("?" in clause or not _NOT.isdisjoint(words[max(at - 3, 0) : at])):
                return True
    return False


def _words(line: str) -> list[str]:
    words = normal(line).split() if len(line) <= LONGEST else []
    return words if len(words) <= MOST_WORDS else []


def _is_all(words: list[str], phrase: tuple[str, ...], beside: Collection[str]) -> bool:
    """Whether the words are the phrase, once at least, and nothing but the words beside it."""
    size = len(phrase)
    for start in range(len(words) - size + 1):
        if tuple(words[start : start + size]) == phrase:
            return all(word in beside for word in (*words[:start], *words[start + size :]))
    return False


def _is_made_of(text: str, phrases: Collection[str], beside: Collection[str]) -> bool:
    """Whether a text without blanks is one of the phrases, once at least, with nothing but the pieces beside it."""
    before = {0}  # how far the pieces can reach without a phrase, and with one
    after: set[int] = set()
    for at in range(len(text)):
        if at in before:
            before.update(at + len(each) for each in beside if text.startswith(each, at))
            after.update(at + len(each) for each in phrases if text.startswith(each, at))
        if at in after:
            after.update(at + len(each) for each in (*beside, *phrases) if text.startswith(each, at))
    return len(text) in after

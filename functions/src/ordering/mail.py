"""What we write to customers: which change of an order is told, and in which words. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from ordering.order import Event, EventKind, Order, State
from shared.html import euro

_KINDS: Mapping[State, str] = {
    State.PENDING: "question",
    State.COMPLETED: "active",
    State.REJECTED: "rejected",
    State.CANCELLED: "cancelled",
}

REMINDER = "reminder"


@dataclass(frozen=True)
class Mail:
    """One message, to one address, as text and as HTML."""

    to: str
    subject: str
    text: str
    html: str


@dataclass(frozen=True)
class Sender:
    """Who writes: the provider's name, and where a customer can reach it."""

    name: str
    email: str
    telephone: str


def kind(event: Event) -> str | None:
    """Which message tells this event; None when it is told on the order's page only."""
    if event.kind is not EventKind.CHANGE:
        return None
    if event.target is State.ACKNOWLEDGED:
        return "received" if event.source is None else None
    if event.target is State.IN_PROGRESS:
        return "approved" if event.source is State.ACKNOWLEDGED else None
    return _KINDS.get(event.target)


def compose(what: str, order: Order, link: str, sender: Sender) -> Mail:
    """The message of this kind; it holds no secret but the link to the order's own page. Raises KeyError for an unknown
    kind.
    """
    subject, paragraphs = _words(what, order)
    subject = f"{subject} ({order.id})"
    before = [f"Geachte {order.related_party.name},", *paragraphs]
    after = [
        f"Vragen? Bel {sender.telephone} of mail {sender.email} en noem bestelling {order.id}.",
        f"Met vriendelijke groet,\n{sender.name}",
    ]
    text = "\n\n".join([*before, f"Uw bestelling: {link}", *after]) + "\n"
    return Mail(order.related_party.email, subject, text, _html(subject, before, link, after))


def _words(what: str, order: Order) -> tuple[str, Sequence[str]]:
    why = order.last.why
    match what:
        case "received":
            return "Wij hebben uw bestelling ontvangen", [
                "Dank u wel. Een medewerker van onze afdeling verkoop beoordeelt uw bestelling, meestal binnen één werkdag.",
                *_price(order),
                "Op de pagina van uw bestelling ziet u hoe het ervoor staat. Bewaar deze link; wie hem heeft, ziet uw bestelling.",
            ]
        case "question":
            return "Wij hebben een vraag over uw bestelling", [
                "Voordat wij verder kunnen, willen wij graag iets van u weten:",
                why,
                "U kunt antwoorden op de pagina van uw bestelling.",
            ]
        case "approved":
            done = (
                "Wij zetten de versleuteling nu klaar en testen haar eerst zelf."
                if order.needs_node
                else "Wij gaan ermee aan de slag."
            )
            return "Uw bestelling is goedgekeurd", [
                done,
                "U hoeft niets te doen: u hoort van ons zodra alles gereed is.",
            ]
        case "active" if order.needs_node:
            return "De versleuteling van uw gesprekken staat klaar", [
                "Wij hebben met een proefgesprek gecontroleerd dat gesprekken over uw omgeving versleuteld zijn.",
                "Zo stelt u uw telefoons in: open de pagina van uw bestelling, haal daar eenmalig de inloggegevens op, en laad het bestand "
                "voor uw Yealink- of Snom-toestel of neem de gegevens van het instelblad over.",
                "Kies als transport TLS en zet SRTP op verplicht.",
                "Wachtwoorden staan nooit in onze e-mail.",
            ]
        case "active":
            return "Uw bestelling is uitgevoerd", [*([why] if why else []), "Alles is gereed."]
        case "rejected":
            return "Wij kunnen uw bestelling niet uitvoeren", [
                "Het spijt ons. De reden is:",
                why,
                "U bent ons niets verschuldigd.",
            ]
        case "cancelled":
            return "Uw bestelling is geannuleerd", [
                *([f"Reden: {why}"] if why else []),
                "U bent ons niets verschuldigd voor deze bestelling.",
            ]
        case "reminder":
            return "U hebt al een bestelling bij ons lopen", [
                "Iemand heeft zojuist met uw e-mailadres nog een bestelling voor SRTP willen plaatsen. Er loopt er al een, dus wij hebben "
                "de nieuwe niet aangenomen. Via de link volgt u de lopende bestelling of annuleert u haar.",
                "Was u dit niet? Dan hoeft u niets te doen.",
            ]
    raise KeyError(what)


def _price(order: Order) -> list[str]:
    price, parts = order.price, []
    if price.monthly_total_cents:
        parts.append(
            f"{euro(price.monthly_total_cents)} per maand ({euro(price.monthly_total_incl_vat_cents)} incl. btw)"
        )
    if price.one_time_total_cents:
        parts.append(
            f"{euro(price.one_time_total_cents)} eenmalig ({euro(price.one_time_total_incl_vat_cents)} incl. btw)"
        )
    return [f"U betaalt {' en '.join(parts)}."] if parts else []


def _html(subject: str, before: Sequence[str], link: str, after: Sequence[str]) -> str:
    def paragraphs(texts: Sequence[str]) -> str:
        return "".join(f"<p>{escape(text).replace(chr(10), '<br>')}</p>" for text in texts)

    return (
        f'<!doctype html><html lang="nl"><head><meta charset="utf-8"><title>{escape(subject)}</title></head>'
        '<body style="font-family:sans-serif;line-height:1.5;max-width:40em">'
        f'{paragraphs(before)}<p><a href="{escape(link)}">Naar uw bestelling</a></p>{paragraphs(after)}</body></html>'
    )

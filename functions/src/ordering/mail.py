"""What we write to customers: which event of an order is told, and in which words (site/data/mails.toml). Pure but for reading those."""

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from typing import Any

from ordering.order import Event, EventKind, Order, State
from shared import html, settings
from shared.brand import Brand
from shared.outbox import Mail

_OF_STATES: Mapping[State, str] = {
    State.PENDING: "question",
    State.HELD: "held",
    State.COMPLETED: "active",
    State.REJECTED: "rejected",
    State.FAILED: "failed",
    State.ASSESSING_CANCELLATION: "cancellation-asked",
    State.CANCELLED: "cancelled",
}
_OF_EVENTS: Mapping[EventKind, str] = {
    EventKind.CREDENTIALS_OFFERED: "credentials-offered",
}
REMINDER = "reminder"
LINK_AGAIN = "link-again"

_WITH_TERMS = ("received", "approved")
"""The mails that tell what is agreed: they hold the prices, the conditions, the contract summary and the withdrawal form."""


def kind(event: Event, order: Order) -> str | None:
    """Which message tells this event of an order; None when it is told on the order's page only."""
    if event.kind is EventKind.MAIL:
        return kind(order.last_change, order) or LINK_AGAIN
    if event.kind is EventKind.CORRECTION:
        return LINK_AGAIN if any(change.field == "email" for change in event.changes) else None
    if event.kind is not EventKind.CHANGE:
        return _OF_EVENTS.get(event.kind)
    match event.source, event.target:
        case _, State.ACKNOWLEDGED:
            return "received" if event.source is None else None
        case State.ACKNOWLEDGED, State.IN_PROGRESS:
            return "approved"
        case State.ASSESSING_CANCELLATION, State.IN_PROGRESS:
            return "cancellation-refused"
    return _OF_STATES.get(event.target)


def compose(what: str, order: Order, link: str, provider: Brand, site: str) -> Mail:
    """The message of this kind, in the order's language; it holds no secret but the link to the order's own page.

    `site` is where the site stands. Raises KeyError for an unknown kind.
    """
    words = _words(order.language)
    facts = _facts(words, order, link, provider, site)
    own = words[what] | words[what].get(order.category, {})
    why = order.last_change.why
    text = [part for part in own["text"] if why or ("{why}" not in part and "{reason}" not in part)]
    before = [words["greeting"], *text]
    if what in ("received", LINK_AGAIN):
        before += [words["keep"], *([words["prove"]] if order.address_proven_at is None else [])]
    filled = [part.format(**facts) for part in before]
    bill = _bill(words, order) if what in _WITH_TERMS else []
    terms = _terms(words, facts) if bill else []
    subject = f"{own['subject'].format(**facts)} ({order.id})"
    after = [words["questions"].format(**facts), words["regards"].format(**facts)]
    return Mail(
        order.related_party.email,
        subject,
        "\n\n".join([*filled, *bill, words["link"].format(**facts), *after, *terms]) + "\n",
        _html(order.language, subject, [*filled, *bill], (link, words["link_text"].format(**facts)), [*after, *terms]),
    )


@cache
def _words(language: str) -> Mapping[str, Any]:
    data = settings.data_directory()
    own = data / language / "mails.toml"
    return tomllib.loads((own if language != html.DUTCH and own.is_file() else data / "mails.toml").read_text())


@cache
def _names(language: str) -> Mapping[str, str]:
    """What offerings are called in another language than the catalogue's, where that has a name for them."""
    file = settings.data_directory() / language / "catalogue.toml"
    return tomllib.loads(file.read_text()).get("name", {}) if language != html.DUTCH and file.is_file() else {}


def _facts(words: Mapping[str, Any], order: Order, link: str, provider: Brand, site: str) -> dict[str, str]:
    noun = words["noun"]["paid" if order.price.items else "free"]
    why = order.last_change.why
    return {
        "name": order.related_party.name,
        "id": order.id,
        "noun": noun,
        "link": link,
        "why": why,
        "reason": words["reason"].format(why=why),
        "nothing_owed": words["nothing_owed"].format(noun=noun),
        "provider": provider.name,
        "legal_name": provider.legal_name,
        "address": provider.address,
        "kvk": provider.kvk,
        "vat": provider.vat_id,
        "telephone": provider.telephone,
        "email": provider.email,
        "site": site,
        "services": ", ".join(
            _names(order.language).get(entry.offering.id, entry.offering.name) for entry in order.price.items
        ),
        "ordered": html.when(order.order_date, html.words(order.language)),
    }


def _bill(words: Mapping[str, Any], order: Order) -> list[str]:
    """What was ordered, how many, and what it costs; nothing for what is free."""
    price = order.price
    if not price.items:
        return []

    def euro(cents: int) -> str:
        return html.euro(cents, html.words(order.language))

    lines = [
        words["line"].format(
            quantity=entry.quantity,
            item=_names(order.language).get(entry.offering.id, entry.offering.name),
            price=euro(entry.total_cents // entry.quantity),
            period=words["per_month" if entry.offering.period == "month" else "once"],
            total=euro(entry.total_cents),
        )
        for entry in price.items
    ]
    percent = price.vat_rate_percent
    totals = [
        ("total_month", price.monthly_total_cents, price.monthly_total_incl_vat_cents),
        ("total_once", price.one_time_total_cents, price.one_time_total_incl_vat_cents),
    ]
    sums = [words[name].format(net=euro(net), gross=euro(gross), percent=percent) for name, net, gross in totals if net]
    return ["\n".join([f"{words['what']}:", *lines, *sums])]


def _terms(words: Mapping[str, Any], facts: Mapping[str, str]) -> list[str]:
    return [
        "\n".join([words[part]["title"].upper(), *(text.format(**facts) for text in words[part]["text"])])
        for part in ("terms", "withdrawal")
    ]


def _html(language: str, subject: str, before: Sequence[str], link: tuple[str, str], after: Sequence[str]) -> str:
    def paragraphs(texts: Sequence[str]) -> str:
        return "".join(f"<p>{escape(text).replace(chr(10), '<br>')}</p>" for text in texts)

    return (
        f'<!doctype html><html lang="{escape(language)}"><head><meta charset="utf-8">'
        f"<title>{escape(subject)}</title></head>"
        '<body style="font-family:sans-serif;line-height:1.5;max-width:40em">'
        f'{paragraphs(before)}<p><a href="{escape(link[0])}">{escape(link[1])}</a></p>{paragraphs(after)}</body></html>'
    )

"""What is written about events: each kind has words in both languages, reaches whom it concerns, and holds no secret."""

import tomllib

import pytest

from customers.account import Account, Event, EventKind
from customers.portal import letters, news
from customers.states import Actor, Role
from shared.brand import brand
from tests.support.own_data import ROOT
from tests.support.portal.bakery import BILLING, NOW, OWNER, TECHNICAL, Post, SignIn, body

FACTS = {
    "name": "SRTP",
    "quantity": 3,
    "before": 2,
    "unitCents": 200,
    "endsOn": "2026-12-26",
    "leavesOn": "2026-12-01",
    "username": "bakker-201",
    "number": "+31855550123",
    "email": "nieuw@bakkerij.example.nl",
    "owedCents": 13,
}


def test_both_languages_have_the_same_kinds_and_every_event_that_is_told_has_one() -> None:
    dutch, english = (
        tomllib.loads((ROOT / f"site/data/{folder}mijn_mails.toml").read_text()) for folder in ("", "en/")
    )
    assert dutch.keys() == english.keys() == {"all", "sign_in", "proof", *(kind for kind, _, _ in news.TOLD.values())}
    for kind in dutch.keys() - {"all"}:
        assert dutch[kind].keys() == english[kind].keys()


@pytest.mark.parametrize("kind", news.TOLD)
@pytest.mark.parametrize("language", ["nl", "en"])
@pytest.mark.parametrize("facts", [FACTS, {}])
def test_every_event_makes_a_whole_letter_whatever_it_tells(
    kind: EventKind, language: str, facts: dict[str, object], bakery_on_paper: Account
) -> None:
    event = Event(9, NOW, kind, Actor(Role.SALES, "verkoop@example.nl"), "klant betaalt slecht", facts)
    told = news.news(event, bakery_on_paper)
    assert told is not None and OWNER in dict(told.to)
    made = letters.letter(
        told.kind, OWNER, language, "Eigenaar", "https://x.example", brand(), company="Bakkerij", **told.facts
    )
    text = "\n".join([made.subject, *made.before, *made.after])
    assert "{" not in text and "klant betaalt slecht" not in text and "verkoop@" not in text.replace(brand().email, "")


def test_who_is_told_follows_the_role(bakery_on_paper: Account) -> None:
    def readers(kind: EventKind) -> set[str]:
        told = news.news(Event(9, NOW, kind, Actor(Role.CUSTOMER, OWNER), "", FACTS), bakery_on_paper)
        assert told is not None
        return set(dict(told.to))

    assert readers(EventKind.NOTICE_GIVEN) == {OWNER, BILLING}
    assert readers(EventKind.PASSWORDS_HANDED_OUT) == {OWNER, TECHNICAL}
    assert readers(EventKind.CONTACT_REMOVED) == {OWNER, "nieuw@bakkerij.example.nl"}


@pytest.mark.needs("java")
def test_a_step_is_mailed_once_to_each_and_one_that_fails_holds_up_no_other(
    bakery: Account, post: Post, signed_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shared import outbox

    browser = signed_in(OWNER)
    before = len(post.sent)
    browser.send(browser.get("/mijn/telefoons").form("/mijn/telefoons/wachtwoorden"))
    page = browser.get("/mijn/opzeggen")
    form = page.form("/mijn/opzeggen")
    form.fields["product-0123456789-srtp"] = "1"
    page = browser.send(form)
    browser.send(page.form("/mijn/opzeggen"))
    real, broken = outbox._send, [TECHNICAL]

    def send(mail: outbox.Mail, sender: outbox.Sender) -> None:
        if mail.to in broken:
            raise RuntimeError("SES is out")
        real(mail, sender)

    monkeypatch.setattr(outbox, "_send", send)
    post.deliver()
    told = [mail.destinations["ToAddresses"][0] for mail in post.sent[before:]]
    assert sorted(told) == sorted([OWNER, OWNER, BILLING]) and len(post.failed) == 1
    # What failed is not claimed: the next try sends it at once, and nothing twice.
    broken.clear()
    post.again()
    told = [mail.destinations["ToAddresses"][0] for mail in post.sent[before:]]
    assert sorted(told) == sorted([OWNER, OWNER, BILLING, TECHNICAL])
    assert "data-password" not in "".join(map(body, post.sent))


@pytest.fixture
def bakery_on_paper() -> Account:
    """The bakery without a table."""
    from dataclasses import replace

    from customers import delivery
    from customers.customer import Contact, ContactRole
    from tests.support.portal.bakery import SALES, order

    found = delivery.begin(order("bakker", OWNER, "Bakkerij De Korst", "0123456789", NOW), SALES, NOW)
    contacts = (
        *found.customer.contacts,
        Contact("2", "Techniek", TECHNICAL, roles=frozenset({ContactRole.TECHNICAL})),
        Contact("3", "Boekhouding", BILLING, roles=frozenset({ContactRole.BILLING})),
    )
    return replace(found, customer=replace(found.customer, contacts=contacts))

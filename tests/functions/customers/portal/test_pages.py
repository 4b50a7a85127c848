"""Numbers, calls, the contract and its end, and contact data in Mijn omgeving."""

from dataclasses import replace
from datetime import timedelta

import pytest

from customers import account as accounts
from customers.account import Account, EventKind
from customers.customer import Kind
from customers.environment import Ringing
from customers.product import State
from customers.store import store
from shared import dynamodb, settings
from tests.support.portal.bakery import NOW, NUMBER, OWNER, SALES, TECHNICAL, Clock, Post, SignIn, order, settle
from tests.support.portal.calls import call

pytestmark = pytest.mark.needs("java")


def test_a_number_rings_whom_its_customer_says_and_is_forwarded(shop: Account, signed_in: SignIn) -> None:
    browser = signed_in(TECHNICAL)
    assert NUMBER in browser.get("/mijn/nummers").text
    form = browser.get(f"/mijn/nummers/{NUMBER}").form(f"/mijn/nummers/{NUMBER}")
    assert form.fields["ring-bakker-201"] == "1"
    del form.fields["ring-bakker-202"]
    seen = browser.send(form, order="inOrder", ringSeconds="15", noAnswer="+31 6 1234 5678")
    assert seen.status == 200, seen.text
    (line,) = store().get("bakker").environment.lines
    assert line.rings == ("bakker-201",) and line.order is Ringing.IN_ORDER and line.ring_seconds == 15
    assert line.forward.no_answer == "+31612345678"


@pytest.mark.parametrize(
    ("name", "value"),
    [("always", NUMBER), ("busy", "0900 1234"), ("noAnswer", "+319001234"), ("ringSeconds", "4"), ("ringSeconds", "x")],
)
def test_what_a_number_cannot_do_is_told_and_all_else_is_kept(
    shop: Account, signed_in: SignIn, name: str, value: str
) -> None:
    browser = signed_in(OWNER)
    form = browser.get(f"/mijn/nummers/{NUMBER}").form(f"/mijn/nummers/{NUMBER}")
    page = browser.send(form, **{"noAnswerSeconds": "33", name: value})
    assert page.status == 422
    again = page.form(f"/mijn/nummers/{NUMBER}")
    assert again.fields[name] == value and again.fields["noAnswerSeconds"] == "33"
    assert store().get("bakker").environment.lines == shop.environment.lines


def put(*calls: dynamodb.Item) -> None:
    """Write records."""
    for item in calls:
        dynamodb.client().put_item(TableName=settings.cdr_table(), Item=dynamodb.marshal(item))


def test_a_call_tells_what_was_encrypted_and_what_nobody_knows(bakery: Account, signed_in: SignIn) -> None:
    plain = {"suite": "none", "packets": 40, "plaintextPackets": 0}
    put(call(1), call(2, legs=[*call(2)["legs"][:1], plain]), call(4, legs="stuk"))
    put({key: value for key, value in call(5).items() if key not in ("answeredAt", "endedAt")})
    browser = signed_in(TECHNICAL)
    page = browser.get("/mijn/gesprekken?month=2026-11")
    assert [row.attributes["data-encryption"] for row in page.document.all("tr")[1:]] == ["none", "some", "all"]
    assert "Niet opgenomen" in page.text and "0:40" in page.text
    links = [
        link.attributes["href"] for link in page.document.all("a") if "/gesprek?" in link.attributes.get("href", "")
    ]
    one = browser.get(links[-1])
    assert "Versleuteld tussen uw toestel en onze centrale" in one.text
    assert "onversleuteld naar een andere provider" in one.text and "Goed" in one.text and "500 pakketten" in one.text
    assert "Niet overal versleuteld" in browser.get(links[-2]).text


def test_a_call_with_text_tells_of_it_beside_its_speech(bakery: Account, signed_in: SignIn) -> None:
    legs = call(1)["legs"]
    put(call(1, legs=[*legs, *({**leg, "media": "text", "packets": 7, "mos": None} for leg in legs)]))
    browser = signed_in(TECHNICAL)
    (link,) = [
        link.attributes["href"]
        for link in browser.get("/mijn/gesprekken?month=2026-11").document.all("a")
        if "/gesprek?" in link.attributes.get("href", "")
    ]
    page = browser.get(link)
    for end in ("Van de beller naar onze centrale", "Van onze centrale naar wie gebeld werd"):
        assert page.text.count(end) == 2 and page.text.count(f"{end}: getypte tekst") == 1
    assert "7 pakketten" in page.text and "Goed" in page.text


def test_calls_are_filtered_paged_and_taken_along_as_a_file(bakery: Account, signed_in: SignIn) -> None:
    put(*(call(n) for n in range(52)), call(55, to='=HYPERLINK("http://kwaad.example")'))
    browser = signed_in(OWNER)
    first = browser.get("/mijn/gesprekken?month=2026-11")
    (older,) = [link.attributes["href"] for link in first.document.all("a") if link.attributes.get("rel") == "next"]
    assert len(first.document.all("tr")) == 51 and len(browser.get(older).document.all("tr")) == 4
    assert "geen gesprekken" in browser.get("/mijn/gesprekken?month=2026-10").text
    assert "geen gesprekken" in browser.get("/mijn/gesprekken?month=2026-11&party=999").text
    assert len(browser.get("/mijn/gesprekken?month=2026-11&party=0123").document.all("tr")) == 51
    file = browser.get("/mijn/gesprekken/bestand?month=2026-11")
    lines = file.body.splitlines()
    assert (
        file.body.startswith("\ufeffBegin;Van;Naar")
        and len(lines) == 54
        and "\u200b=HYPERLINK" in file.body
        and "'" not in file.body
    )
    assert "attachment" in file.headers["content-disposition"]
    assert browser.get("/mijn/gesprekken/gesprek?id=kwatsch").status == 404


def test_a_contract_ends_in_two_steps_and_is_taken_back(bakery: Account, signed_in: SignIn) -> None:
    browser = signed_in(OWNER)
    page = browser.get("/mijn/opzeggen")
    assert "26 december 2026" in page.text
    form = page.form("/mijn/opzeggen")
    assert browser.send(form).status == 422
    form.fields["product-0123456789-srtp"] = "1"
    page = browser.send(form)
    assert "niet meer aan" in page.text and store().get("bakker").products[0].state is State.ACTIVE
    page = browser.send(page.form("/mijn/opzeggen"))
    assert "Zegt u vandaag op" not in page.text, "there is nothing left to end"
    assert store().get("bakker").products[0].state is State.PENDING_TERMINATE
    assert (
        "opgezegd" in browser.get("/mijn/producten").text and "26 december 2026" in browser.get("/mijn/overzicht").text
    )
    browser.send(page.form("/mijn/opzeggen"))
    assert store().get("bakker").products[0].state is State.ACTIVE
    kinds = [event.kind for event in store().history("bakker")]
    assert kinds[-2:] == [EventKind.NOTICE_GIVEN, EventKind.NOTICE_TAKEN_BACK]
    documents = browser.get("/mijn/documenten")
    assert "Bevestiging van opzegging" in documents.text and "Contractsamenvatting" in documents.text
    links = [
        link.attributes["href"] for link in documents.document.all("a") if "/documenten/" in link.attributes["href"]
    ]
    summary = browser.get(links[-1])
    assert "€ 4,00" in summary.text and "op te zeggen met een maand" in summary.text and "12345678" in summary.text


def test_a_consumer_withdraws_within_the_period_and_a_business_cannot(
    bakery: Account, post: Post, signed_in: SignIn, time: Clock
) -> None:
    told = replace(order("koper1", "koper@example.nl", "", "ABCDEFGH12", time()), kind=Kind.CONSUMER, at_once=True)
    settle(told)
    browser = signed_in("koper@example.nl")
    time.move(days=2)
    browser = signed_in("koper@example.nl")
    page = browser.get("/mijn/herroepen")
    assert "Voor 2 dagen" in page.text
    browser.send(page.form("/mijn/herroepen"))
    assert store().get("koper1").products[0].state is State.TERMINATED
    assert "geen product waarvan de bedenktijd" in browser.get("/mijn/herroepen").text
    business = signed_in(OWNER)
    assert "geen product waarvan de bedenktijd" in business.get("/mijn/herroepen").text
    page = business.get("/mijn/opzeggen")
    sent = {"token": page.form("/mijn/afmelden").fields["token"], "product": "0123456789-srtp"}
    assert business.post("/mijn/herroepen", sent).status == 409
    assert store().get("bakker").products[0].state is State.ACTIVE


def test_a_new_mail_address_counts_once_its_owner_opened_the_link(
    bakery: Account, post: Post, signed_in: SignIn, time: Clock
) -> None:
    browser, colleague = signed_in(TECHNICAL), signed_in(OWNER)
    page = browser.get("/mijn/gegevens")
    assert browser.send(page.form("/mijn/gegevens/adres"), email="geen adres").status == 422
    page = browser.send(page.form("/mijn/gegevens/adres"), email="nieuw@bakkerij.example.nl")
    assert "nieuw@bakkerij.example.nl" in page.text
    link = post.link("nieuw@bakkerij.example.nl")
    assert store().get("bakker").customer.contact("2").email == TECHNICAL  # type: ignore[union-attr]
    theirs = colleague.get(link)
    assert colleague.send(theirs.form(link)).status == 404, "a link for somebody else"
    browser.send(browser.get(link).form(link))
    assert store().get("bakker").customer.contact("2").email == "nieuw@bakkerij.example.nl"  # type: ignore[union-attr]
    assert "nieuw@bakkerij.example.nl" in browser.get("/mijn/overzicht").text
    assert colleague.get("/mijn/overzicht").status == 200
    post.deliver()
    assert TECHNICAL in [mail.destinations["ToAddresses"][0] for mail in post.sent[-3:]], "the old address hears of it"


def test_an_address_that_waits_too_long_is_not_taken(
    bakery: Account, post: Post, signed_in: SignIn, time: Clock
) -> None:
    browser = signed_in(TECHNICAL)
    browser.send(browser.get("/mijn/gegevens").form("/mijn/gegevens/adres"), email="nieuw@bakkerij.example.nl")
    link = post.link("nieuw@bakkerij.example.nl")
    for _ in range(2):
        time.move(minutes=15)
        browser.get("/mijn/overzicht")
    assert browser.send(browser.get(link).form(link)).status == 404


def test_contacts_come_and_go_and_one_owner_stays(bakery: Account, signed_in: SignIn) -> None:
    browser = signed_in(OWNER)
    page = browser.get("/mijn/gegevens")
    form = next(form for form in page.forms if form.action == "/mijn/gegevens/contact" and "role" in form.fields)
    assert browser.send(form, name="Nieuw", email=TECHNICAL).status == 422
    page = browser.send(form, name="Nieuw", email="nieuw@bakkerij.example.nl", role="billing")
    assert "nieuw@bakkerij.example.nl" in page.text
    assert signed_in("nieuw@bakkerij.example.nl").get("/mijn/producten").status == 200
    token = form.fields["token"]
    assert browser.post("/mijn/gegevens/contact", {"token": token, "contact": "1", "remove": "1"}).status == 422
    browser.post("/mijn/gegevens/contact", {"token": token, "contact": "2", "remove": "1"})
    assert [each.id for each in store().get("bakker").customer.contacts] == ["1", "3", "4"]


def test_a_phone_gets_the_place_that_112_is_told(bakery: Account, signed_in: SignIn) -> None:
    browser = signed_in(TECHNICAL)
    page = browser.get("/mijn/gegevens")
    form = next(form for form in page.forms if form.action == "/mijn/gegevens/locatie" and "street" in form.fields)
    assert browser.send(form, street="Dorpsstraat").status == 422
    browser.send(form, street="Dorpsstraat", houseNumber="1a", postcode="1234 AB", city="Ons Dorp")
    page = browser.get("/mijn/telefoons/bakker-201")
    browser.send(page.form("/mijn/telefoons/bakker-201"), site="2")
    account = store().get("bakker")
    assert account.environment.phones[0].site == "2" and account.environment.sites[1].street == "Dorpsstraat"
    page = browser.get("/mijn/gegevens")
    form = next(form for form in page.forms if form.fields.get("site") == "2")
    assert browser.send(form).status == 422, "a phone stands there"
    form = next(form for form in page.forms if form.fields.get("site") == "1")
    assert browser.send(form).status == 200


def test_a_phone_gets_an_address_to_set_itself_up_with(bakery: Account, signed_in: SignIn) -> None:
    browser = signed_in(TECHNICAL)
    page = browser.get("/mijn/telefoons/bakker-201")
    form = page.form("/mijn/telefoons/bakker-201/instellen")
    assert browser.send(form, mac="geen").status == 422
    told = browser.send(form, make="linphone")
    assert "https://callvoip.example.nl/instellen/bakker-201/" in told.body and "data:image/svg+xml" in told.body
    page = browser.get("/mijn/telefoons/bakker-201")
    assert "/instellen/bakker-201/" not in page.text and "0 keer gebruikt" in page.text
    (revoke,) = [form for form in page.forms if form.fields.get("revoke")]
    assert "werkt niet meer" in browser.send(revoke).text


def test_a_wrong_vat_id_is_told_at_its_field(bakery: Account, signed_in: SignIn) -> None:
    browser = signed_in(OWNER)
    form = browser.get("/mijn/gegevens").form("/mijn/gegevens/rekening")
    page = browser.send(form, vatId="NL000000000B99", city="Ons Dorp")
    assert page.status == 422 and page.form("/mijn/gegevens/rekening").fields["city"] == "Ons Dorp"
    browser.send(form, vatId="", street="Kerkstraat", city="Ons Dorp")
    assert store().get("bakker").customer.billing_address.street == "Kerkstraat"


def test_words_of_suspension_are_plain(bakery: Account, signed_in: SignIn, time: Clock) -> None:
    from customers import contracts

    contracts.suspend("bakker", SALES, time() + timedelta(minutes=1), "rekening staat open")
    page = signed_in(OWNER).get("/mijn/overzicht")
    assert "Uitgaande gesprekken zijn geblokkeerd" in page.text and "112" in page.text
    assert "rekening staat open" not in page.text, "what sales notes is for sales"


def test_the_owner_chooses_how_long_calls_are_kept(bakery: Account, signed_in: SignIn, post: Post) -> None:
    owner = signed_in(OWNER)
    form = owner.get("/mijn/gesprekken").form("/mijn/gesprekken/bewaren")
    assert form.fields["days"] == "90"
    assert "laatste 30 dagen" in owner.send(form, days=" 30 ").text
    assert store().get("bakker").environment.call_history_days == 30
    assert "Uw gesprekken bewaren wij voortaan 30 dagen" in {mail.subject for mail in post.deliver()}
    for wrong in ("366", "-1", "", "veel", "1e2", "\u0661"):
        refused = owner.send(form, days=wrong)
        assert refused.status == 422 and "van 0 tot en met 365" in refused.text
        assert refused.form("/mijn/gesprekken/bewaren").fields["days"] == wrong
    assert "dat hebt u zo gekozen" in owner.send(form, days="0").text
    technician = signed_in(TECHNICAL)
    assert "/mijn/gesprekken/bewaren" not in technician.get("/mijn/gesprekken").body
    assert technician.send(form, days="10").status in (400, 404)
    assert store().get("bakker").environment.call_history_days == 0


def test_a_consumer_sees_prices_with_vat_and_a_business_without(bakery: Account, signed_in: SignIn) -> None:
    owner = signed_in(OWNER)
    pages = ("/mijn/producten", "/mijn/overzicht")
    assert not any("incl. 21% btw" in owner.get(path).text for path in pages)
    store().change(
        "bakker",
        lambda found: accounts.add_event(
            replace(found, customer=replace(found.customer, kind=Kind.CONSUMER)), EventKind.CUSTOMER_CHANGED, SALES, NOW
        ),
    )
    assert all("4,84 incl. 21% btw" in owner.get(path).text for path in pages)

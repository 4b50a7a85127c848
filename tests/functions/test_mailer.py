"""ordering.mailer: one mail for each change that a customer should hear of, from the stream's records to what SES
got.
"""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ses.models import ses_backends

from ordering import mail, mailer
from ordering import order as orders
from ordering.order import Actor, Order, Role, SipServer, State
from ordering.pricing import OrderItem, Price
from ordering.store import OrderStore
from shared import clock, dynamodb, outbox, settings
from shared.brand import brand
from tests.functions.test_queue import ORDER as QUOTE
from tests.functions.test_story import SRTP

pytestmark = pytest.mark.needs("java")

NOW = datetime(2026, 11, 21, 17, 5, tzinfo=UTC)
SALES = Actor(Role.SALES, "verkoop@example.nl")


@pytest.fixture(autouse=True)
def ses(environment: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An SES with our domain as identity; what it was given."""
    monkeypatch.setattr(clock, "now", lambda: NOW)
    dynamodb.client()  # real, before moto takes over the others
    outbox.client.cache_clear()
    with mock_aws(config={"core": {"passthrough": {"urls": [".*127.0.0.1.*"]}}}):
        boto3.client("sesv2", "eu-central-1").create_email_identity(EmailIdentity="bestellingen@callvoip.example.nl")
        yield ses_backends[DEFAULT_ACCOUNT_ID]["eu-central-1"]
    outbox.client.cache_clear()


def record(order: Order) -> dict[str, Any]:
    """What the stream tells of an order's newest write."""
    from ordering import items

    image = dynamodb.marshal({"pk": f"ORDER#{order.id}", "sk": "ORDER", **items.from_order(order)})
    return {"dynamodb": {"NewImage": image, "SequenceNumber": f"{order.version:030d}"}}


def send(context: Any, *found: Order) -> list[str]:
    """Hand over records; the sequence numbers of those that are to come again."""
    answer = mailer.handler({"Records": [record(order) for order in found]}, context)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def story() -> dict[str, Order]:
    """An order after each step of a whole life."""
    asked = orders.move(QUOTE, State.PENDING, SALES, NOW, "Welke toestellen?")
    answered = orders.move(asked, State.ACKNOWLEDGED, orders.CUSTOMER, NOW, "Yealink")
    approved = orders.move(answered, State.IN_PROGRESS, SALES, NOW)
    return {
        "received": QUOTE,
        "question": asked,
        "answered": answered,
        "noted": orders.add_note(answered, "Belt morgen", SALES, NOW),
        "approved": approved,
        "held": orders.move(approved, State.HELD, SALES, NOW, "Even wachten"),
        "active": orders.complete_by_hand(approved, SALES, NOW, "Offerte verstuurd"),
        "rejected": orders.move(QUOTE, State.REJECTED, SALES, NOW, "Wij leveren daar niet"),
        "cancelled": orders.cancel(QUOTE, orders.CUSTOMER, NOW),
    }


def test_a_customer_hears_of_what_matters_and_of_nothing_else() -> None:
    told = {step: mail.kind(order.last, order) for step, order in story().items()}
    quiet = {"answered": None, "noted": None}
    assert told == {step: quiet.get(step, step) for step in told}


@pytest.mark.parametrize("step", ["received", "question", "approved", "active", "rejected", "cancelled"])
@pytest.mark.promise("bestelling-per-mail")
def test_a_mail_tells_why_and_links_to_the_orders_own_page(ses, context, step: str) -> None:
    order = story()[step]
    assert send(context, order) == []
    [message] = ses.sent_messages
    assert message.destinations["ToAddresses"] == ["jansen@example.nl"]
    text = json.dumps(message.body if hasattr(message, "body") else vars(message), default=str)
    assert order.id in message.subject
    assert f"https://callvoip.example.nl/bestelling/{order.id}?token=" in text
    assert order.last.why in text


@pytest.mark.parametrize("step", ["received", "question", "approved", "active", "rejected", "cancelled"])
def test_a_mail_is_text_and_html_and_holds_no_markup_of_others(step: str) -> None:
    order = story()[step]
    hostile = replace(order, last=replace(order.last, why="<img src=x>"))
    made = mail.compose(step, hostile, "https://x.example.nl/?a=1&b=2", brand(), "https://x.example.nl")
    assert "<img" not in made.html
    assert "https://x.example.nl/?a=1&amp;b=2" in made.html
    assert "https://x.example.nl/?a=1&b=2" in made.text
    assert made.text.startswith("Geachte A. Jansen,")


def test_an_active_order_is_told_how_to_set_up_the_phones_and_no_secret() -> None:
    srtp = replace(QUOTE, category="srtp", price=Price((OrderItem(5, SRTP),), 21))
    active = orders.complete(
        orders.move(srtp, State.IN_PROGRESS, SALES, NOW), SipServer("n0001", "192.0.2.1", 5061), NOW
    )
    made = mail.compose("active", active, "https://x.example.nl", brand(), "https://x.example.nl")
    assert "Yealink" in made.text and "SRTP" in made.text
    assert "192.0.2.1" not in made.text


def test_a_record_that_comes_again_makes_no_second_mail(ses, context) -> None:
    assert [send(context, QUOTE), send(context, QUOTE), send(context, QUOTE, QUOTE)] == [[], [], []]
    assert len(ses.sent_messages) == 1


def test_a_mail_that_fails_comes_again_and_no_other_waits_for_it(
    ses, context, monkeypatch: pytest.MonkeyPatch, log
) -> None:
    steps = story()
    sent = outbox._send

    def refuses_the_first(message: outbox.Mail, sender: outbox.Sender) -> None:
        if "ontvangen" in message.subject:
            raise RuntimeError(message.to)
        sent(message, sender)

    with monkeypatch.context() as broken:
        broken.setattr(outbox, "_send", refuses_the_first)
        assert send(context, QUOTE, steps["question"], steps["approved"]) == [f"{1:030d}"]
    assert "jansen@example.nl" not in log.getvalue()
    assert len(ses.sent_messages) == 2
    # It need not wait for the lease of the try that failed; what was sent is not sent again.
    assert send(context, QUOTE, steps["question"], steps["approved"]) == []
    assert len(ses.sent_messages) == 3


@pytest.mark.parametrize(
    "gone", ["relatedParty", "state", "orderDate", "productOrderItem", "vatRatePercent", "customerId"]
)
def test_a_record_that_cannot_be_read_fails_alone_and_is_counted(ses, context, capsys, gone: str) -> None:
    broken = record(story()["question"])
    del broken["dynamodb"]["NewImage"][gone]
    answer = mailer.handler({"Records": [broken, record(QUOTE)]}, context)
    assert answer == {"batchItemFailures": [{"itemIdentifier": broken["dynamodb"]["SequenceNumber"]}]}
    assert len(ses.sent_messages) == 1
    assert '"OrderUnreadable":[1.0]' in capsys.readouterr().out.replace(" ", "")


def test_who_has_claimed_a_mail_and_died_lets_another_send_it_after_its_lease(
    ses, context, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox._claim(settings.orders_table(), QUOTE.id, f"{1:06d}", NOW)
    assert send(context, QUOTE) == [f"{1:030d}"]
    monkeypatch.setattr(clock, "now", lambda: NOW + timedelta(minutes=3))
    assert send(context, QUOTE) == []
    assert len(ses.sent_messages) == 1


def test_a_reminder_links_to_the_order_that_runs(ses, context) -> None:
    store = OrderStore(settings.orders_table())
    store.place(QUOTE)
    store.remind(QUOTE.id, NOW)
    item = dynamodb.get(settings.orders_table(), f"REMINDER#{QUOTE.id}", "REMINDER")
    assert item is not None
    reminder = {"dynamodb": {"NewImage": dynamodb.marshal(item), "SequenceNumber": "1"}}
    for _ in range(2):
        assert mailer.handler({"Records": [reminder]}, context) == {"batchItemFailures": []}
    [message] = ses.sent_messages
    assert "lopen" in message.subject


def test_what_is_deleted_or_no_order_makes_no_mail(ses, context) -> None:
    gone = {"dynamodb": {"SequenceNumber": "1", "OldImage": {}}}
    assert mailer.handler({"Records": [gone]}, context) == {"batchItemFailures": []}
    assert ses.sent_messages == []


def test_the_log_names_no_customer(ses, context, log) -> None:
    send(context, *story().values())
    assert "mail sent" in log.getvalue()
    for personal in ("jansen", "Jansen", "token="):
        assert personal not in log.getvalue()

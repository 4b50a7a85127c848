"""What a node noticed is told to customer and sales, each kind once a day."""

from datetime import timedelta

from customers import environments, notices
from customers.account import EventKind
from customers.portal import news
from customers.store import CustomerStore, store
from tests.functions.customers.test_store import NOW, customers, made, srtp

__all__ = ["customers"]
TODAY, YESTERDAY = "2026-11-26", "2026-11-25"


def kinds(customer_id: str) -> list[EventKind]:
    told = (EventKind.LIMIT_REACHED, EventKind.EMERGENCY_CHECK_FAILED)
    return [event.kind for event in store().history(customer_id) if event.kind in told]


def test_each_kind_is_told_once_a_day_however_often_it_is_said(customers: CustomerStore) -> None:
    customers.create(made(srtp()))
    for _ in range(3):
        environments.noticed("abc234", {"limitMinutesPerDay": YESTERDAY}, NOW)
    assert kinds("abc234") == [EventKind.LIMIT_REACHED]
    environments.noticed("abc234", {"limitMinutesPerDay": TODAY, "emergencyRoute": TODAY, "somethingElse": TODAY}, NOW)
    environments.noticed("abc234", {"limitMinutesPerDay": YESTERDAY}, NOW)
    assert kinds("abc234") == [EventKind.LIMIT_REACHED, EventKind.EMERGENCY_CHECK_FAILED, EventKind.LIMIT_REACHED]
    account = customers.get("abc234")
    assert [event.why for event in customers.history("abc234")][-1] == notices.words()["limitMinutesPerDay"]
    assert [one["day"] for one in notices.shown(account, NOW)] == [TODAY, TODAY]
    assert notices.shown(account, NOW + timedelta(days=9)) == []


def test_a_limit_is_written_about_and_a_way_to_112_is_ours_to_mend(customers: CustomerStore) -> None:
    customers.create(made(srtp()))
    environments.noticed("abc234", {"limitCallsPerMinute": TODAY, "emergencyRoute": TODAY}, NOW)
    account = customers.get("abc234")
    written = [told for event in customers.history("abc234") if (told := news.news(event, account))]
    assert [(one.kind, one.facts["limit"]) for one in written] == [("limit", notices.words()["limitCallsPerMinute"])]
    assert notices.words("en").keys() == notices.words().keys()

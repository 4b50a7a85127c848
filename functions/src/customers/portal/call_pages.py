"""A customer's calls, each with what was encrypted, as pages and as a file."""

from functools import cache
from typing import Any

from aws_lambda_powertools.event_handler import Response

from customers import preferences, service
from customers.account import Account
from customers.portal import calls, door
from customers.portal.calls import CallStore, Filter
from customers.portal.door import app, fields, need, page, see_other, visitor
from customers.portal.people import Right
from customers.preferences import DaysRefusedError
from shared import clock, problem, settings

PATH = "/mijn/gesprekken"
_WORDS = {
    "nl": {
        "moment": "Begin",
        "from": "Van",
        "to": "Naar",
        "seconds": "Seconden",
        "encryption": "Versleuteld bij ons",
        "beyond": "Voorbij onze centrale",
        "quality": "Kwaliteit",
        "plaintext": "Onversleutelde pakketten",
        "encryption_all": "ja",
        "encryption_some": "gedeeltelijk",
        "encryption_none": "nee",
        "beyond_nothing": "niet van toepassing",
        "beyond_secured": "versleuteld tot de andere provider",
        "beyond_notSecured": "niet versleuteld",
        "beyond_unknown": "onbekend",
        "quality_good": "goed",
        "quality_fair": "matig",
        "quality_poor": "slecht",
        "quality_unknown": "",
    },
    "en": {
        "moment": "Began",
        "from": "From",
        "to": "To",
        "seconds": "Seconds",
        "encryption": "Encrypted with us",
        "beyond": "Beyond our exchange",
        "quality": "Quality",
        "plaintext": "Packets not encrypted",
        "encryption_all": "yes",
        "encryption_some": "partly",
        "encryption_none": "no",
        "beyond_nothing": "not applicable",
        "beyond_secured": "encrypted to the other provider",
        "beyond_notSecured": "not encrypted",
        "beyond_unknown": "unknown",
        "quality_good": "good",
        "quality_fair": "fair",
        "quality_poor": "poor",
        "quality_unknown": "",
    },
}


@cache
def _calls() -> CallStore:
    return CallStore(settings.cdr_table())


@door.get(PATH, "The customer's calls of a month")
def get_calls() -> Response[str]:
    """A page of the list, as its filter says."""
    return _list(need(Right.TECHNIQUE).account)


@door.post(f"{PATH}/bewaren", "How many days the customer's calls are kept", "days")
def post_days() -> Response[str]:
    """Back to the list; or the list, with what was filled in and why it cannot be."""
    who, typed, now = need(Right.CONTRACT), fields().get("days", "").strip(), visitor().now
    try:
        days = int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 5 else -1
        service.change(who.customer.id, lambda one: preferences.keep_calls(one, days, who.actor, now), now)
    except DaysRefusedError:
        return _list(who.account, 422, typed=typed, wrong=True)
    return see_other(PATH)


def _list(account: Account, status: int = 200, **context: Any) -> Response[str]:
    query = app.current_event.query_string_parameters or {}
    wanted = _filter()
    found, after = _calls().page(account.id, wanted, query.get("after", ""))
    return page(
        "calls",
        status,
        calls=found,
        wanted=wanted,
        after=after,
        paged=bool(query.get("after")),
        days=account.environment.call_history_days,
        most=preferences.CALL_HISTORY_DAYS.stop - 1,
        **context,
    )


@door.get(f"{PATH}/bestand", "The customer's calls of a month, as CSV")
def get_call_file() -> Response[str]:
    """The file that the list's filter says."""
    account, wanted = need(Right.TECHNIQUE).account, _filter()
    words = _WORDS.get(visitor().language, _WORDS["nl"])
    text = calls.table(_calls().all(account.id, wanted), words)
    disposition = f'attachment; filename="gesprekken-{wanted.month}.csv"'
    headers = {"Cache-Control": "no-store", "Content-Disposition": disposition}
    return Response(200, "text/csv; charset=utf-8", text, headers=headers)


@door.get(f"{PATH}/gesprek", "One call, with the receipt of each leg")
def get_call() -> Response[str]:
    """Its key stands in the query: it holds a moment and a Call-ID, which a path would not take."""
    account = need(Right.TECHNIQUE).account
    key = (app.current_event.query_string_parameters or {}).get("id", "")
    found = _calls().get(account.id, key)
    if found is None:
        raise problem.not_found("Dit gesprek staat niet in uw lijst. Misschien is de bewaartijd voorbij.")
    return page("call", call=found)


def _filter() -> Filter:
    query = app.current_event.query_string_parameters or {}
    encrypted = query.get("encrypted", "")
    this_month = f"{clock.local_day(visitor().now):%Y-%m}"
    return Filter(
        calls.month(query.get("month", ""), this_month),
        query.get("party", "")[:40],
        encrypted if encrypted in ("all", "some", "none") else "",
    )

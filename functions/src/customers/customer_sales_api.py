"""What sales sees of customers and does for them, in their name: each step an event with who and why, and a mail to the customer."""

import itertools
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response

from customers import joins, line, numbers, sales_changes, service
from customers.account import Account, Event
from customers.contacts import ContactRefusedError
from customers.environment import limits_to_item
from customers.joining import CannotJoinError
from customers.line import LineRefusedError
from customers.number import NumberError, State
from customers.number_store import UnknownNumberError
from customers.numbers import NoPlanError
from customers.phone import PriceNotAgreedError
from customers.portal import registrations, views
from customers.portal.problems import PROBLEMS
from customers.preferences import DaysRefusedError, LimitRefusedError
from customers.sales_changes import ACTIONS, GIVE_NUMBER, FieldMissingError, UnknownActionError
from customers.states import Actor, Role
from customers.store import Entry, UnknownCustomerError, store
from shared import clock, colleague, http, problem
from shared.clock import to_iso
from shared.problem import FieldProblem, Kind, Problem
from shared.routes import Body, Caller
from shared.telemetry import count, logger

MOST_SEARCHED = 2_000
"""So many of the newest customers a search looks at; the list says when there are more."""
PAGE = 50
LONGEST_REASON = 1_000

_STALE = Kind("customer-changed", HTTPStatus.PRECONDITION_FAILED, "De klant is intussen gewijzigd")
_CANNOT_JOIN = Kind("cannot-join", HTTPStatus.CONFLICT, "Deze klanten kunnen niet worden samengevoegd")
_NO_PLAN = Kind("no-plan", HTTPStatus.CONFLICT, "Er is geen belplan voor dit nummer")
_NUMBER_STATES = {
    State.FREE: "vrij",
    State.WISHED: "door een andere klant gewenst",
    State.RESERVED: "voor een andere klant gereserveerd",
    State.PORTING_IN: "onderweg voor een andere klant",
    State.ACTIVE: "van een andere klant",
    State.PORTED_OUT: "naar een andere aanbieder",
    State.BLOCKED: "nog niet weer vrij",
}
_PRICE = Kind("price-changed", HTTPStatus.CONFLICT, "De prijs is gewijzigd")

app: APIGatewayHttpResolver = http.api(PROBLEMS)
routes = http.routes(app)


class StaleCustomerError(Exception):
    """The customer was changed since the caller looked."""


@PROBLEMS.on(StaleCustomerError)
def _stale(_: StaleCustomerError) -> Problem:
    return Problem(_STALE, "Bekijk de klant opnieuw en beslis dan.")


@PROBLEMS.on(UnknownCustomerError)
def _unknown(_: UnknownCustomerError) -> Problem:
    return Problem(problem.NOT_FOUND, "Wij kennen deze klant niet.")


@PROBLEMS.on(PriceNotAgreedError)
def _price(error: PriceNotAgreedError) -> Problem:
    both = {"monthlyTotalCents": error.monthly_cents, "clientMonthlyTotalCents": error.confirmed_cents}
    return Problem(
        _PRICE, "Er is niets gewijzigd. Noem de klant de nieuwe prijs en probeer het opnieuw.", extensions=both
    )


@PROBLEMS.on(ContactRefusedError)
def _refused(error: ContactRefusedError) -> Problem:
    return problem.invalid([FieldProblem(error.field, error.code, "Dit kan niet met deze contactpersoon")]).problem


@PROBLEMS.on(CannotJoinError)
def _cannot_join(error: CannotJoinError) -> Problem:
    return Problem(_CANNOT_JOIN, str(error))


@PROBLEMS.on(LineRefusedError)
def _line_refused(error: LineRefusedError) -> Problem:
    words = "Dit kan niet met dit nummer. Controleer de toestellen, de seconden (5 tot 120) en waarheen er doorgeschakeld wordt"
    return problem.invalid([FieldProblem(error.field, "invalid", words)]).problem


@PROBLEMS.on(NoPlanError)
def _no_plan(error: NoPlanError) -> Problem:
    detail = (
        "Elk belplan van deze klant heeft al een nummer. Laat de klant er eerst een belplan bij bestellen."
        if error.plans
        else "De klant heeft geen belplan. Een nummer zonder belplan gaat meteen weer terug."
    )
    return Problem(_NO_PLAN, detail)


@PROBLEMS.on(UnknownNumberError)
def _unknown_number(_: UnknownNumberError) -> Problem:
    words = "Dit nummer is niet van ons, en deze klant neemt het niet mee. Vraag het bij beheer aan"
    return problem.invalid([FieldProblem("number", "unknown", words)]).problem


@PROBLEMS.on(NumberError)
def _number_refused(error: NumberError) -> Problem:
    words = f"Dit nummer kan nu niet in dienst: het is {_NUMBER_STATES[error.number.state]}"
    return problem.invalid([FieldProblem("number", "invalid", words)]).problem


@PROBLEMS.on(LimitRefusedError)
def _limit_refused(error: LimitRefusedError) -> Problem:
    words = f"Vul een getal in van {error.bounds.start} tot en met {error.bounds.stop - 1}"
    return problem.invalid([FieldProblem(error.field, "invalid", words)]).problem


@PROBLEMS.on(DaysRefusedError)
def _days_refused(_: DaysRefusedError) -> Problem:
    return problem.invalid([FieldProblem("days", "invalid", "Kies van 0 tot en met 365 dagen")]).problem


@PROBLEMS.on(FieldMissingError)
def _missing(error: FieldMissingError) -> Problem:
    return problem.invalid([FieldProblem(error.field, "invalid", f"Vul {error.field} in")]).problem


@PROBLEMS.on(UnknownActionError)
def _no_action(_: UnknownActionError) -> Problem:
    return problem.invalid([FieldProblem("action", "invalid", "Deze handeling kennen wij niet")]).problem


@routes.get(
    "/api/sales/customers",
    Caller.SALES,
    "Customers, newest first, or those that a word is found in; and what all of them together are and pay",
    answer="CustomerPage",
    parameters=("q", "ifNoneMatch"),
)
def list_customers() -> Response[str]:
    """At most a page of them, of the newest MOST_SEARCHED."""
    wanted = (app.current_event.query_string_parameters or {}).get("q", "").strip().casefold()[:100]
    newest = list(itertools.islice(store().entries(), MOST_SEARCHED + 1))
    looked_at = newest[:MOST_SEARCHED]
    found = [entry for entry in looked_at if wanted in entry.search]
    body = {
        "items": [_entry(entry) for entry in found[:PAGE]],
        "found": len(found),
        "complete": len(newest) <= MOST_SEARCHED and len(found) <= PAGE,
        "customers": len(looked_at),
        "phones": sum(entry.phones for entry in looked_at),
        "monthlyCents": sum(entry.monthly_cents for entry in looked_at),
    }
    return http.unless_seen(app, body)


@routes.get(
    "/api/sales/customers/{customer_id}",
    Caller.SALES,
    "All that is known of a customer",
    answer="SalesCustomer",
    parameters=("ifNoneMatch",),
)
def get_customer(customer_id: str) -> Response[str]:
    """Contacts, products, phones, numbers, look-alikes, and what happened, with who and why."""
    account = store().get(customer_id)
    return http.unless_seen(app, _view(account), account.version)


@routes.post(
    "/api/sales/customers/{customer_id}/changes",
    Caller.SALES,
    "Do something for a customer, in the customer's name",
    answer="SalesCustomer",
    parameters=("ifMatch",),
    body=Body("CustomerChange"),
)
def post_change(customer_id: str) -> Response[str]:
    """One action; the customer gets a mail of it that says that sales did it, without the reason."""
    sent, now = http.read_body(app), clock.now()
    action, why = sent.get("action"), _reason(sent)
    seen, who = http.seen_version(app), Actor(Role.SALES, colleague.name(app))

    def change(found: Account) -> Account:
        if seen is not None and found.version != seen:
            raise StaleCustomerError
        return sales_changes.carry_out(found, str(action), sent, who, now, why)

    if action == GIVE_NUMBER:
        after = _give_number(customer_id, sent.get("number"), seen, who, now, why)
    else:
        after = service.change(customer_id, change, now)
    logger.info("changed for a customer", extra={"customer_id": customer_id, "action": str(action)})
    count("ChangedBySales")
    return http.json_response(200, _view(after))


@routes.post(
    "/api/sales/customers/{customer_id}/join",
    Caller.SALES,
    "Make another customer part of this one, or note that the two are not the same",
    answer="SalesCustomer",
    parameters=("ifMatch",),
    body=Body("CustomerJoin"),
)
def post_join(customer_id: str) -> Response[str]:
    """With same=true all that the other has goes over, and asking again finishes what was cut short; the customer gets a mail of it."""
    sent, now, who = http.read_body(app), clock.now(), Actor(Role.SALES, colleague.name(app))
    other, why, seen = sent.get("other"), _reason(sent), http.seen_version(app)
    if not isinstance(other, str) or not isinstance(sent.get("same"), bool):
        raise problem.invalid([FieldProblem("other", "required", "Kies de andere klant")])
    if seen is not None and store().get(customer_id).version != seen:
        raise StaleCustomerError
    change = joins.join if sent["same"] else joins.are_not_one
    after = change(customer_id, other, who, now, why)
    logger.info("customers judged", extra={"customer_id": customer_id, "other": other, "same": sent["same"]})
    count("ChangedBySales")
    return http.json_response(200, _view(after))


def _give_number(customer_id: str, number: object, seen: int | None, who: Actor, now: datetime, why: str) -> Account:
    """One transaction of the number and the customer, and so no change of the account alone."""
    try:
        wanted = line.e164(number if isinstance(number, str) else "")
    except ValueError:
        raise FieldMissingError("number") from None
    if seen is not None and store().get(customer_id).version != seen:
        raise StaleCustomerError
    return numbers.give(wanted, customer_id, who, now, why)


def _reason(sent: Mapping[str, object]) -> str:
    why = sent.get("reason")
    if not isinstance(why, str) or not why.strip() or len(why) > LONGEST_REASON:
        raise problem.invalid([FieldProblem("reason", "required", "Vul een reden in, van hoogstens 1000 tekens")])
    return why.strip()


def _entry(entry: Entry) -> views.View:
    return {
        "id": entry.customer_id,
        "company": entry.company,
        "createdAt": entry.created_at,
        "phones": entry.phones,
        "monthlyCents": entry.monthly_cents,
    }


def _view(account: Account) -> views.View:
    customer, now = account.customer, clock.now()
    history = store().history(account.id)
    return {
        "version": account.version,
        **views.company(account),
        "contacts": [
            {
                "id": each.id,
                "name": each.name,
                "email": each.email,
                "telephone": each.telephone,
                "roles": sorted(each.roles),
            }
            for each in customer.contacts
        ],
        "lookAlikes": sorted(customer.look_alikes),
        "environment": views.overview(account, registrations.of(account.id), now),
        "products": [views.product(each) for each in account.products],
        "phones": views.phone_list(account, {}),
        "numbers": [views.line_view(account, each) for each in account.environment.lines],
        "sites": [
            {
                "id": each.id,
                "street": each.street,
                "houseNumber": each.house_number,
                "postcode": each.postcode,
                "city": each.city,
            }
            for each in customer.sites
        ],
        "limits": {**limits_to_item(account.environment.limits), "own": customer.limits is not None},
        "callHistoryDays": account.environment.call_history_days,
        "joinedInto": customer.joined_into,
        "cost": views.cost(account, now),
        "actions": sorted({*ACTIONS, GIVE_NUMBER}),
        "events": [_event(each) for each in reversed(history)],
    }


def _event(event: Event) -> views.View:
    return {
        "at": to_iso(event.at),
        "kind": event.kind.value,
        "who": {"role": event.who.role.value, "name": event.who.name},
        "why": event.why,
        "facts": dict(event.facts),
    }


handler = http.handler(app)

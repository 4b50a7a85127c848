"""What sales does with orders: decide, ask, correct, note, mail again; each a function of order.py on the version that was seen."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from aws_lambda_powertools.event_handler import Response

from ordering import form, mail, order, sales_query
from ordering.order import CORRECTABLE, EventKind, Order, RelatedParty, Role, State
from ordering.problems import PROBLEMS
from ordering.request import LONGEST_TEXT, form_of, lines, optional_lines
from ordering.sales_routes import all_of, app, orders, routes, who
from shared import clock, http, problem, settings
from shared.brand import brand
from shared.problem import FieldProblem
from shared.routes import Body, Caller, F
from shared.telemetry import count, logger

_MOST_AT_ONCE = 50

_LINES = {"type": "string", "maxLength": LONGEST_TEXT}
_NOTE = Body({"note": _LINES}, required=False)
"""What only sales reads may go with every decision; what the customer reads has a field of its own."""


def _told(name: str) -> Body:
    return Body("Told" + name.capitalize())


def _decision(name: str, summary: str, body: Body | None = None) -> Callable[[F], F]:
    """Declare what sales decides of one order: on the version that was seen, answered by the order as it is then."""
    path = f"/api/sales/orders/{{order_id}}/{name}"
    return routes.post(path, Caller.SALES, summary, answer="SalesOrder", parameters=("ifMatch",), body=body)


@_decision("approve", "Approve an order", _NOTE)
def approve(order_id: str) -> Response[str]:
    """Approve an order; the fleet takes it from there, or sales when it needs no node."""
    return _move(order_id, State.IN_PROGRESS)


@_decision("reject", "Reject an order with a reason, which the customer reads", _told("reason"))
def reject(order_id: str) -> Response[str]:
    """Reject an order with a reason, which the customer reads."""
    return _move(order_id, State.REJECTED, "reason", "Vul in waarom u de bestelling afwijst; de klant leest dit")


@_decision("ask", "Ask the customer something; the order waits for the answer", _told("question"))
def ask(order_id: str) -> Response[str]:
    """Ask the customer something; the order waits for the answer."""
    return _move(order_id, State.PENDING, "question", "Vul in wat u de klant wilt vragen")


@_decision("hold", "Put an approved order on hold; the customer reads why", _told("reason"))
def hold(order_id: str) -> Response[str]:
    """Put an approved order on hold with a reason, which the customer reads; only sales resumes it."""
    return _move(order_id, State.HELD, "reason", "Vul in waarom u de bestelling aanhoudt; de klant leest dit")


@_decision(
    "resume",
    "Go on with an order that was on hold; or refuse the cancellation that was asked for, with a reason that the customer reads",
    Body({"reason": _LINES, "note": _LINES}, required=False),
)
def resume(order_id: str) -> Response[str]:
    """Go on with an order that was on hold, or whose cancellation was asked for and is refused with a reason."""
    fields = _optional_body()
    why, note = optional_lines(fields, "reason"), optional_lines(fields, "note")
    colleague, now = who(), clock.now()
    return _change(order_id, lambda found: order.resume(found, colleague, now, why, note))


@_decision("cancel", "Cancel an order; the customer reads why, and the fleet frees its place", _told("reason"))
def cancel_for_customer(order_id: str) -> Response[str]:
    """Cancel an order with a reason, which the customer reads; the fleet frees its place."""
    fields, colleague, now = http.read_body(app), who(), clock.now()
    why = lines(fields, "reason", "Vul in waarom u de bestelling annuleert; de klant leest dit")
    note = optional_lines(fields, "note")
    return _change(order_id, lambda found: order.cancel(found, colleague, now, why, note))


@_decision("complete", "Say that an order that needs no node has been carried out")
def complete(order_id: str) -> Response[str]:
    """Say that an order that needs no node has been carried out."""
    colleague, now = who(), clock.now()
    return _change(order_id, lambda found: order.complete_by_hand(found, colleague, now))


@_decision(
    "notes",
    "Write something down for colleagues; the customer never sees it",
    Body({"text": {**_LINES, "minLength": 1}}),
)
def add_note(order_id: str) -> Response[str]:
    """Write something down for colleagues; the customer never sees it."""
    colleague, now = who(), clock.now()
    text = lines(http.read_body(app), "text", "Vul de notitie in")
    return _change(order_id, lambda found: order.add_note(found, text, colleague, now))


@_decision(
    "correct", "Correct a typing error in who ordered; the event tells what stood there before", Body("Correction")
)
def correct(order_id: str) -> Response[str]:
    """Correct a typing error in who ordered, by the rules of the order's form."""
    colleague, now, fields = who(), clock.now(), http.read_body(app)
    return _change(order_id, lambda found: order.correct(found, _corrected(found, fields), colleague, now))


@_decision("mail", "Send the mail about the order's state again, with the link to its page")
def send_mail_again(order_id: str) -> Response[str]:
    """Send the mail about the order's state again; the customer gets the link, sales does not."""
    colleague, now = who(), clock.now()
    return _change(order_id, lambda found: order.send_mail_again(found, colleague, now))


@_decision("credentials", "Have the customer mailed where to make new credentials; only the customer sees them")
def offer_credentials(order_id: str) -> Response[str]:
    """Have the customer mailed where to make new credentials; only the customer sees them."""
    colleague, now = who(), clock.now()
    return _change(order_id, lambda found: order.offer_credentials(found, colleague, now))


@routes.post(
    "/api/sales/orders/{order_id}/preview",
    Caller.SALES,
    "The mail that the customer would get of a decision; nothing is changed",
    answer="MailPreview",
    body=Body("Decision"),
    also={409: "Not from this state"},
)
def preview(order_id: str) -> Response[str]:
    """The mail that the customer would get of a decision; nothing is changed."""
    fields, colleague, now = http.read_body(app), who(), clock.now()
    why = optional_lines(fields, "reason")
    found = orders().get(order_id)
    match form.as_text(fields.get("decision")):
        case "approve":
            after = order.move(found, State.IN_PROGRESS, colleague, now)
        case "reject":
            after = order.move(found, State.REJECTED, colleague, now, why)
        case "ask":
            after = order.move(found, State.PENDING, colleague, now, why)
        case "hold":
            after = order.move(found, State.HELD, colleague, now, why)
        case "resume":
            after = order.resume(found, colleague, now, why)
        case "cancel":
            after = order.cancel(found, colleague, now, why)
        case "complete":
            after = order.complete_by_hand(found, colleague, now)
        case _:
            raise sales_query.wrong("decision", "Deze beslissing kennen wij niet")
    site = settings.site_url()
    kinds = [kind for event in after.news if (kind := mail.kind(event, after))]
    composed = mail.compose(kinds[-1], after, f"{site}/bestelling/{order_id}", brand(), site) if kinds else None
    told = {"subject": composed.subject, "text": composed.text} if composed else {"subject": None, "text": None}
    return http.json_response(200, {"to": found.related_party.email, **told})


@routes.post(
    "/api/sales/approvals",
    Caller.SALES,
    "Approve the orders that were selected, each on the version that was seen",
    answer="Approvals",
    body=Body("Selection"),
)
def approve_selected() -> Response[str]:
    """Approve the orders that were selected, each on the version that was seen; every one is answered for itself."""
    colleague, now = who(), clock.now()
    approval = partial(order.move, target=State.IN_PROGRESS, who=colleague, now=now)
    results: list[dict[str, object]] = []
    for order_id, version in _selected():
        try:
            changed = orders().change_seen(order_id, version, approval, told_to=Role.SALES)
        except Exception as error:
            told = http.as_problem(app, PROBLEMS, error)
            results.append({"id": order_id, "status": int(told.kind.status), "problem": http.members(app, told)})
        else:
            _decided(changed)
            results.append({"id": order_id, "status": 200, "state": changed.state.value, "version": changed.version})
    return http.json_response(200, {"results": results})


def _move(order_id: str, target: State, field: str = "", missing: str = "") -> Response[str]:
    """Bring an order to a state, for the reason in `field` of the body where there has to be one."""
    fields, colleague, now = _optional_body(), who(), clock.now()
    why = lines(fields, field, missing) if field else ""
    note = optional_lines(fields, "note")
    return _change(order_id, lambda found: order.move(found, target, colleague, now, why, note))


def _change(order_id: str, change: Callable[[Order], Order]) -> Response[str]:
    changed = orders().change_seen(order_id, http.seen_version(app), change, told_to=Role.SALES)
    _decided(changed)
    return all_of(order_id)


def _decided(changed: Order) -> None:
    logger.info(
        "order changed by sales",
        extra={"order_id": changed.id, "state": changed.state.value, "kind": changed.last.kind.value},
    )
    if changed.last.kind is EventKind.CHANGE:
        count(f"Order{changed.state.value[0].upper()}{changed.state.value[1:]}")


def _corrected(found: Order, fields: Mapping[str, object]) -> RelatedParty:
    """Who ordered, with what the fields say, checked as the form does; raises ProblemError."""
    party = found.related_party
    typed = {name: form.as_text(fields[name]) for name in CORRECTABLE if name in fields}
    definition = form_of(found.category)
    known = {field.name: field for field in definition.fields if field.name in typed} if definition else {}
    only = replace(definition, fields=tuple(known.values())) if definition else form.Form(found.category, ())
    checked = form.check(only, {**typed, "country": party.country.lower()}, country=party.country.lower())
    if checked.errors:
        raise problem.invalid([FieldProblem(error.field, error.code, error.message) for error in checked.errors])
    return replace(party, **{name: checked.text(name) for name in known})


def _optional_body() -> dict[str, object]:
    return http.read_body(app) if app.current_event.body else {}


def _selected() -> list[tuple[str, int]]:
    """The orders to approve; raises ProblemError."""
    match http.read_body(app).get("orders"):
        case [_, *_] as selected if len(selected) <= _MOST_AT_ONCE:
            pass
        case _:
            raise problem.invalid([FieldProblem("orders", "invalid", f"Kies 1 tot {_MOST_AT_ONCE} bestellingen")])
    found = []
    for each in selected:
        match each:
            case {"id": str(order_id), "version": int(version)} if not isinstance(version, bool):
                found.append((order_id, version))
            case _:
                raise problem.invalid([FieldProblem("orders", "invalid", "Noem van elke bestelling id en versie")])
    return found

"""A customer's numbers: whom each rings, in which way, and where it is forwarded to."""

from aws_lambda_powertools.event_handler import Response

from customers import line, numbers, service
from customers.environment import Forwarding, Ringing
from customers.line import LineRefusedError, UnknownLineError
from customers.portal import door, views
from customers.portal.door import fields, need, page, see_other, visitor
from customers.portal.people import Member, Right

PATH = "/mijn/nummers"
_FORWARD = {"always": "always", "busy": "busy", "noAnswer": "no_answer"}


@door.get(PATH, "The customer's numbers")
def get_numbers() -> Response[str]:
    """The list."""
    account = need(Right.TECHNIQUE).account
    return page("numbers", lines=[views.line_view(account, each) for each in account.environment.lines])


@door.get(PATH + "/{number}", "One number: whom it rings, and where it is forwarded to")
def get_number(number: str) -> Response[str]:
    """The form, with what is so now."""
    return _one(need(Right.TECHNIQUE), number)


@door.post(
    PATH + "/{number}",
    "Another way in which a number rings or is forwarded",
    "rings",
    "order",
    "ringSeconds",
    "always",
    "busy",
    "noAnswer",
    "noAnswerSeconds",
)
def post_number(number: str) -> Response[str]:
    """Back to the number; or the form, with what is wrong and all that was filled in."""
    who, sent, now = need(Right.TECHNIQUE), fields(), visitor().now
    found = who.account.environment
    # A form has one value a name here: each phone has a name of its own.
    rings = [phone.username for phone in found.phones if sent.get(f"ring-{phone.username}")]
    forward = Forwarding(**{ours: sent.get(name, "").strip() for name, ours in _FORWARD.items()})
    try:
        service.change(
            who.customer.id,
            lambda account: line.change(
                account,
                number,
                who.actor,
                now,
                rings=rings,
                order=Ringing.IN_ORDER if sent.get("order") == "inOrder" else Ringing.TOGETHER,
                ring_seconds=_seconds(sent.get("ringSeconds", "")),
                forward=forward,
                no_answer_seconds=_seconds(sent.get("noAnswerSeconds", "")),
            ),
            now,
        )
    except LineRefusedError as refused:
        return _one(who, number, refused, sent)
    return see_other(f"{PATH}/{number}", saved="1")


def _one(
    who: Member, number: str, refused: LineRefusedError | None = None, sent: dict[str, str] | None = None
) -> Response[str]:
    account = who.account
    found = next((each for each in account.environment.lines if each.number == number), None)
    if found is None:
        raise UnknownLineError(number)
    shown = views.line_view(account, found)
    known = numbers.find(number)
    if sent is not None:
        shown |= {name: sent.get(name, "") for name in (*_FORWARD, "ringSeconds", "noAnswerSeconds", "order")}
        shown["phones"] = [{**each, "rings": bool(sent.get(f"ring-{each['username']}"))} for each in shown["phones"]]
    return page(
        "number",
        422 if refused else 200,
        line=shown,
        state=known.state.value if known else "active",
        wrong=refused.field if refused else "",
        limit=account.environment.limits.forwarded_calls,
    )


def _seconds(text: str) -> int:
    """A number of seconds; 0, which is refused, for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 0

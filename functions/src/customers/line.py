"""A number in service: whom it rings, where it is forwarded to, and how far that may cost money. Pure."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from customers import account as accounts
from customers.account import Account, EventKind
from customers.documents import present
from customers.environment import Forwarding, Line, Ringing
from customers.states import Actor

RINGS_AT_FIRST = 3
"""A plan's three devices."""
MOST_RINGING = 20
SECONDS = range(5, 121)
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_NEVER_FORWARDED_TO = re.compile(
    r"\+31(?:900|906|909|14|18|112|113|116)|\+32(?:90|7[08]|1[0-9]{2,3}$)|\+(?:88[123]|979|870|878)"
)


class UnknownLineError(LookupError):
    """The customer has no such number in service."""


class LineRefusedError(ValueError):
    """What was asked for a number cannot be; `field` says which value, and `code` why."""

    def __init__(self, field: str, code: str) -> None:
        super().__init__(f"{field}: {code}")
        self.field = field
        self.code = code


def e164(text: str) -> str:
    """A number as E.164, from a line of a file or a field; raises ValueError."""
    bare = re.sub(r"[\s./()\u2010-\u2015-]", "", text)
    bare = "+" + bare[2:] if bare.startswith("00") else bare
    if _E164.fullmatch(bare) is None:
        raise ValueError(f"{text!r} is no number in international form, such as +31855550123")
    return bare


def change(
    account: Account,
    number: str,
    who: Actor,
    now: datetime,
    *,
    rings: Sequence[str] | None = None,
    order: Ringing | None = None,
    ring_seconds: int | None = None,
    forward: Forwarding | None = None,
    no_answer_seconds: int | None = None,
) -> Account:
    """The account with another way in which a number rings; what is None stays. Raises UnknownLineError or LineRefusedError."""
    before = next((line for line in account.environment.lines if line.number == number), None)
    if before is None:
        raise UnknownLineError(number)
    after = replace(
        before,
        rings=before.rings if rings is None else tuple(rings),
        order=before.order if order is None else order,
        ring_seconds=before.ring_seconds if ring_seconds is None else ring_seconds,
        forward=before.forward if forward is None else _forwarding(forward, account),
        no_answer_seconds=before.no_answer_seconds if no_answer_seconds is None else no_answer_seconds,
    )
    _check(after, account)
    if after == before:
        return account
    lines = tuple(after if line.number == number else line for line in account.environment.lines)
    account = replace(account, environment=replace(account.environment, lines=lines))
    return accounts.add_event(
        account, EventKind.LINE_CHANGED, who, now, "", number=number, before=facts(before), after=facts(after)
    )


def facts(line: Line) -> dict[str, object]:
    """What an event says of a line."""
    return present(
        {
            "rings": list(line.rings),
            "order": line.order.value,
            "ringSeconds": line.ring_seconds,
            "always": line.forward.always,
            "busy": line.forward.busy,
            "noAnswer": line.forward.no_answer,
            "noAnswerSeconds": line.no_answer_seconds,
        }
    )


def _check(line: Line, account: Account) -> None:
    known = {phone.username for phone in account.environment.phones}
    if unknown := [name for name in line.rings if name not in known]:
        raise LineRefusedError("rings", f"unknown phone {unknown[0]}")
    if len(set(line.rings)) != len(line.rings):
        raise LineRefusedError("rings", "twice the same phone")
    if len(line.rings) > MOST_RINGING:
        raise LineRefusedError("rings", f"more than {MOST_RINGING}")
    if line.ring_seconds not in SECONDS:
        raise LineRefusedError("ringSeconds", f"not from {SECONDS.start} to {SECONDS.stop - 1}")
    if line.no_answer_seconds not in SECONDS:
        raise LineRefusedError("noAnswerSeconds", f"not from {SECONDS.start} to {SECONDS.stop - 1}")


def _forwarding(wanted: Forwarding, account: Account) -> Forwarding:
    """Forwarding is a call at the customer's account: to what it may call, and never back to itself."""
    own = {line.number for line in account.environment.lines}
    made = {}
    for field, text in (("always", wanted.always), ("busy", wanted.busy), ("noAnswer", wanted.no_answer)):
        if not text:
            made[field] = ""
            continue
        try:
            number = e164(text)
        except ValueError:
            raise LineRefusedError(field, "no number in international form") from None
        if number in own:
            raise LineRefusedError(field, "a number of your own")
        if _NEVER_FORWARDED_TO.match(number):
            raise LineRefusedError(field, "a number with a price or a service of its own")
        made[field] = number
    return Forwarding(made["always"], made["busy"], made["noAnswer"])

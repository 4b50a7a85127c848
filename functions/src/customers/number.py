"""A telephone number and its states; its history is append-only. Pure; `python -m customers.number` prints the table."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from customers.documents import Item, present
from customers.states import Actor, Role, Transition, by, markdown
from shared.clock import from_iso, to_iso


class State(StrEnum):
    """Where a number is in its life with us."""

    FREE = "free"
    """In a block of ours, nobody's."""
    WISHED = "wished"
    RESERVED = "reserved"
    PORTING_IN = "portingIn"
    ACTIVE = "active"
    PORTED_OUT = "portedOut"
    BLOCKED = "blocked"
    """Given back a while ago, misused, or taken out of use; nobody gets it until the operator frees it."""


_CUSTOMER, _SALES, _OPERATOR, _CLOCK = Role.CUSTOMER, Role.SALES, Role.OPERATOR, Role.CLOCK

TRANSITIONS: Mapping[tuple[State, State], Transition] = {
    (State.FREE, State.WISHED): by("wish", _CUSTOMER, _SALES),
    (State.FREE, State.RESERVED): by("reserve", _SALES, _OPERATOR),
    (State.FREE, State.BLOCKED): by("block", _OPERATOR),
    (State.WISHED, State.RESERVED): by("reserve", _SALES, _OPERATOR),
    (State.WISHED, State.PORTING_IN): by("ask the other provider", _SALES, _OPERATOR),
    (State.WISHED, State.FREE): by("let go", _CUSTOMER, _SALES, _CLOCK),
    (State.RESERVED, State.ACTIVE): by("activate", _SALES, _OPERATOR),
    (State.RESERVED, State.FREE): by("let go", _SALES, _OPERATOR, _CLOCK),
    (State.PORTING_IN, State.ACTIVE): by("port in", _SALES, _OPERATOR),
    (State.PORTING_IN, State.PORTED_OUT): by("refused by the other provider", _SALES, _OPERATOR, _CLOCK),
    (State.ACTIVE, State.PORTED_OUT): by("port out", _SALES, _OPERATOR),
    (State.ACTIVE, State.BLOCKED): by("end", _SALES, _OPERATOR, _CLOCK),
    (State.BLOCKED, State.FREE): by("free", _OPERATOR),
    (State.BLOCKED, State.ACTIVE): by("give back", _SALES, _OPERATOR),
    (State.PORTED_OUT, State.WISHED): by("wish", _CUSTOMER, _SALES),
}
"""Every change that exists; a pair that is not here is refused."""

OWNED = frozenset({State.WISHED, State.RESERVED, State.PORTING_IN, State.ACTIVE})
"""The states in which a number is of one customer."""


class NumberError(Exception):
    """A change that the number does not allow; the number is as it was."""

    def __init__(self, number: "Number", wanted: str) -> None:
        super().__init__(f"number {number.number} is {number.state}: {wanted}")
        self.number = number


class NumberRefusedError(NumberError):
    """The pair of states is not in the table, or not for this role."""

    def __init__(self, number: "Number", target: State) -> None:
        super().__init__(number, f"cannot become {target}")
        self.target = target


class NumberTakenError(NumberError):
    """The number is another customer's."""

    def __init__(self, number: "Number") -> None:
        super().__init__(number, "belongs to another customer")


@dataclass(frozen=True)
class NumberEvent:
    """One thing that happened to a number."""

    version: int
    at: datetime
    source: State | None
    target: State
    who: Actor
    customer_id: str = ""
    why: str = ""


@dataclass(frozen=True)
class Number:
    """A number (E.164) after `version` changes; `customer_id` is empty when it is nobody's, `block` tells from which file it came."""

    number: str
    state: State
    version: int = 0
    customer_id: str = ""
    block: str = ""
    news: tuple[NumberEvent, ...] = ()


def begin(
    number: str, state: State, who: Actor, now: datetime, *, customer_id: str = "", block: str = "", why: str = ""
) -> Number:
    """A number that we had nothing to do with: free in a block that was loaded, or wished by a customer who brings it along."""
    event = NumberEvent(1, now, None, state, who, customer_id, why)
    return Number(number, state, 1, customer_id, block, (event,))


def move(number: Number, target: State, who: Actor, now: datetime, *, customer_id: str = "", why: str = "") -> Number:
    """The number after one change; raises NumberRefusedError, or NumberTakenError when it is of another customer than `customer_id`."""
    transition = TRANSITIONS.get((number.state, target))
    if number.state in OWNED and customer_id and number.customer_id != customer_id:
        raise NumberTakenError(number)
    if transition is None or who.role not in transition.roles:
        raise NumberRefusedError(number, target)
    owner = (customer_id or number.customer_id) if target in OWNED else ""
    if target in OWNED and not owner:
        raise NumberRefusedError(number, target)
    event = NumberEvent(number.version + 1, now, number.state, target, who, owner or number.customer_id, why)
    return replace(number, state=target, version=event.version, customer_id=owner, news=(*number.news, event))


def hand_over(number: Number, customer_id: str, who: Actor, now: datetime, why: str = "") -> Number:
    """The number as another customer's, with which its owner was joined; raises NumberRefusedError unless it is active."""
    if number.state is not State.ACTIVE:
        raise NumberRefusedError(number, State.ACTIVE)
    if number.customer_id == customer_id:
        return number
    event = NumberEvent(number.version + 1, now, State.ACTIVE, State.ACTIVE, who, customer_id, why)
    return replace(number, version=event.version, customer_id=customer_id, news=(*number.news, event))


def to_item(number: Number) -> Item:
    """The attributes of a number, without its keys."""
    return present(
        {
            "number": number.number,
            "state": number.state.value,
            "version": number.version,
            "customerId": number.customer_id,
            "block": number.block,
        }
    )


def from_item(item: Mapping[str, Any]) -> Number:
    """The number that `to_item` wrote."""
    return Number(
        item["number"], State(item["state"]), item["version"], item.get("customerId", ""), item.get("block", "")
    )


def event_to_item(event: NumberEvent) -> Item:
    """The attributes of an event of a number, without its keys."""
    item: Item = {
        "version": event.version,
        "at": to_iso(event.at),
        "from": event.source.value if event.source else "",
        "to": event.target.value,
        "who": {"role": event.who.role.value, "name": event.who.name},
        "customerId": event.customer_id,
        "why": event.why,
    }
    return present(item)


def event_from_item(item: Mapping[str, Any]) -> NumberEvent:
    """The event that `event_to_item` wrote."""
    return NumberEvent(
        version=item["version"],
        at=from_iso(item["at"]),
        source=State(item["from"]) if "from" in item else None,
        target=State(item["to"]),
        who=Actor(Role(item["who"]["role"]), item["who"]["name"]),
        customer_id=item.get("customerId", ""),
        why=item.get("why", ""),
    )


if __name__ == "__main__":
    print(markdown(TRANSITIONS, State))

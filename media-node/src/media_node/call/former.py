"""Phones that this node knew and serves no more: for a day they still call 112, with the address that was known of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from media_node.call.directory import Directory, Environment, Phone

REMEMBERED_SECONDS: Final = 24 * 3600.0
MOST_PHONES: Final = 20_000


@dataclass(eq=False)
class FormerPhones:
    """Remembers them; who went longest ago is forgotten when there are too many."""

    _gone: dict[str, tuple[Phone, Environment, float]] = field(default_factory=dict)
    """By username, who went longest ago first: each with its environment as it was then, and when that was."""

    def remember(self, before: Directory, after: Directory, now: float) -> tuple[Environment, ...]:
        """The former phones once `after` has come in the place of `before`, in their environments as they were last; none has a
        password any more, and one whose contract has ended no number.
        """
        for environment in before.environments:
            for phone in environment.phones:
                if after.phone(phone.username) is None:
                    self._gone.pop(phone.username, None)
                    self._gone[phone.username] = (_without_password(phone, environment), environment, now)
        kept = {
            name: gone
            for name, gone in self._gone.items()
            if now - gone[2] <= REMEMBERED_SECONDS and after.phone(name) is None
        }
        self._gone = dict(list(kept.items())[-MOST_PHONES:])
        return tuple(self._environments())

    def _environments(self) -> Iterator[Environment]:
        phones: dict[str, list[Phone]] = defaultdict(list)
        newest: dict[str, Environment] = {}
        for phone, environment, _ in self._gone.values():
            phones[environment.customer_id].append(phone)
            newest[environment.customer_id] = environment
        for customer_id, environment in newest.items():
            numbers = environment.numbers if environment.served else ()
            yield replace(environment, phones=tuple(phones[customer_id]), numbers=numbers, served=False)


def _without_password(phone: Phone, environment: Environment) -> Phone:
    number = phone.number if environment.served else ""
    return replace(phone, ha1={}, previous_ha1={}, previous_until=None, number=number)

"""Changes that an order does not allow. Pure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ordering.states import Role, State

if TYPE_CHECKING:
    from ordering.order import Event, Order


class OrderError(Exception):
    """A change that the order does not allow; the order is as it was.

    `since` is what happened after the version that the caller has seen, where that is known; `told_to` says who may
    hear of it, and only sales hears names and notes.
    """

    def __init__(self, order: "Order", wanted: str) -> None:
        super().__init__(f"order {order.id} is {order.state} (version {order.version}): {wanted}")
        self.order = order
        self.since: Sequence[Event] = ()
        self.told_to = Role.CUSTOMER


class TransitionRefusedError(OrderError):
    """The pair of states is not in the table, or not for this role."""

    def __init__(self, order: "Order", target: State) -> None:
        super().__init__(order, f"cannot become {target}")
        self.target = target


class StaleVersionError(OrderError):
    """The caller has seen another version of the order than there is."""

    def __init__(self, order: "Order", seen: int) -> None:
        super().__init__(order, f"the caller has seen version {seen}")
        self.seen = seen


class NotByHandError(OrderError):
    """The fleet completes this kind of order, when a call has proven it; nobody else does."""

    def __init__(self, order: "Order") -> None:
        super().__init__(order, "cannot be completed by hand")


class CredentialsTooEarlyError(OrderError):
    """The phones' credentials exist only from the moment the order is completed."""

    def __init__(self, order: "Order") -> None:
        super().__init__(order, "no credentials yet")


class NoPhonesYetError(OrderError):
    """The order is in service, and its phones are not known yet: they are in a moment."""

    def __init__(self, order: "Order") -> None:
        super().__init__(order, "its phones are not known yet")


class AnswerMissingError(OrderError):
    """A customer who asked for a cancellation is told why it is refused."""

    def __init__(self, order: "Order") -> None:
        super().__init__(order, "the cancellation is refused without a reason")

"""How a contract ends: notice to a date, withdrawal within the period of reflection, suspension for non-payment. Pure.

Dutch Civil Code articles 6:230o to 6:230s (withdrawal, from Directive 2011/83/EU) and Telecommunicatiewet article 7.2a (notice of a month
at most); the wording of both needs counsel's review (docs/compliance.md).
"""

from calendar import monthrange
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from customers import account as accounts
from customers import delivery, phone, product
from customers.account import Account, EventKind
from customers.billing import monthly_share
from customers.customer import Kind
from customers.product import Product, State
from customers.states import CLOCK, Actor
from shared.clock import local_day, midnight

REFLECTION = timedelta(days=14)
RETENTION_MONTHS = 3
"""So long all but bills is kept after the last product ended: site/data/retention.toml, customer.months_after_end."""


class NothingToEndError(Exception):
    """No product of this customer can be ended."""


class NoWithdrawalError(Exception):
    """The product cannot be withdrawn from: its buyer is a business, or the period is over on `until`."""

    def __init__(self, until: date | None) -> None:
        super().__init__(f"no withdrawal, the period ended on {until}")
        self.until = until


def ends_on(now: datetime) -> date:
    """The first day without service after a notice given now: a month later."""
    return month_later(local_day(now))


def month_later(day: date, months: int = 1) -> date:
    """The same day so many months on, or the last of that month: 31 January, 28 February."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def give_notice(
    account: Account, product_ids: Collection[str] | None, who: Actor, now: datetime, why: str = ""
) -> Account:
    """The account in which these products, or all, end a month from now; those that end already keep their date.

    Raises UnknownProductError, ProductRefusedError, or NothingToEndError.
    """
    chosen = _chosen(account, product_ids, {State.ACTIVE, State.SUSPENDED})
    last = ends_on(now)
    for found in chosen:
        changed = replace(product.move(found, State.PENDING_TERMINATE, who), notice_at=now, ends_on=last)
        account = _change(account, changed, EventKind.NOTICE_GIVEN, who, now, why, endsOn=str(last))
    return account


def take_notice_back(account: Account, product_ids: Collection[str] | None, who: Actor, now: datetime) -> Account:
    """The account in which these products, or all, go on; possible until their date. Raises as `give_notice` does."""
    back = State.SUSPENDED if account.environment.suspended else State.ACTIVE
    for found in _chosen(account, product_ids, {State.PENDING_TERMINATE}):
        changed = replace(product.move(found, back, who), notice_at=None, ends_on=None)
        account = _change(account, changed, EventKind.NOTICE_TAKEN_BACK, who, now)
    return account


def withdrawal_until(found: Product) -> date:
    """The last day of the period of reflection: 14 days from the day after the contract, and no Saturday or Sunday.

    Article 6:230o; Regulation 1182/71 article 3(4). Public holidays are left out: they could only lengthen it.
    """
    last = local_day(found.approved_at) + REFLECTION
    return last + timedelta(days=max(0, 7 - last.weekday()) if last.weekday() >= 5 else 0)


def may_withdraw(account: Account, found: Product, now: datetime) -> bool:
    """Whether a consumer can still withdraw from this product, for no reason; nobody can refuse it."""
    if account.customer.kind is not Kind.CONSUMER or not found.served:
        return False
    return local_day(now) <= withdrawal_until(found)


@dataclass(frozen=True)
class Settlement:
    """What a withdrawal comes to, in cents, excluding VAT: `owed` for the days of service, if the customer asked for them."""

    days: int
    owed_cents: int


def settlement(found: Product, now: datetime) -> Settlement:
    """What is owed after withdrawing now: nothing, or a share of each month for the days until yesterday where the customer expressly
    asked to be served at once (article 6:230s paragraphs 4 and 5). One-off fees are paid back whole.
    """
    if not found.at_once or found.started_on is None:
        return Settlement(0, 0)
    today = local_day(now)
    days = max(0, (today - found.started_on).days)
    share = monthly_share(found.monthly_cents, found.started_on, today)
    return Settlement(days, share)


def withdraw(account: Account, product_id: str, who: Actor, now: datetime) -> Account:
    """The account without a product that a consumer withdrew from; raises UnknownProductError or NoWithdrawalError."""
    found = account.product(product_id)
    if not may_withdraw(account, found, now):
        raise NoWithdrawalError(withdrawal_until(found) if account.customer.kind is Kind.CONSUMER else None)
    came_to = settlement(found, now)
    if found.state is State.PENDING_TERMINATE:
        found = replace(product.move(found, State.ACTIVE, who), notice_at=None)
    ended = replace(product.move(found, State.TERMINATED, who), ended_at=now, ends_on=local_day(now))
    account = _change(
        account,
        ended,
        EventKind.PRODUCT_WITHDRAWN,
        who,
        now,
        endsOn=str(ended.ends_on),
        atOnce=found.at_once,
        days=came_to.days,
        owedCents=came_to.owed_cents,
    )
    return _after_the_last(account, now)


def suspend(account: Account, who: Actor, now: datetime, why: str) -> Account:
    """The account whose phones call 112 only, and are still called, until `resume`; raises NothingToEndError when nothing runs."""
    for found in _chosen(account, None, {State.ACTIVE}):
        account = _change(
            account, product.move(found, State.SUSPENDED, who), EventKind.PRODUCT_SUSPENDED, who, now, why
        )
    return account


def resume(account: Account, who: Actor, now: datetime, why: str = "") -> Account:
    """The account that calls out again; raises NothingToEndError when nothing is suspended."""
    for found in _chosen(account, None, {State.SUSPENDED}):
        account = _change(account, product.move(found, State.ACTIVE, who), EventKind.PRODUCT_RESUMED, who, now, why)
    return account


def carry_out(account: Account, now: datetime) -> Account:
    """The account after everything whose day has come: products that end, phones that leave."""
    today = local_day(now)
    account = phone.carry_out(account, now)
    for found in account.products:
        if found.state is State.PENDING_TERMINATE and found.ends_on and found.ends_on <= today:
            ended = replace(product.move(found, State.TERMINATED, CLOCK), ended_at=now)
            account = _change(account, ended, EventKind.PRODUCT_ENDED, CLOCK, now, endsOn=str(found.ends_on))
    return _after_the_last(account, now)


def _after_the_last(account: Account, now: datetime) -> Account:
    """With nothing in service, the numbers go back, the phones are gone and the clock of retention starts."""
    served = [found for found in account.products if found.served]
    environment = account.environment
    if environment.lines and not any(found.unit == "number" for found in served):
        for line in environment.lines:
            account = accounts.add_event(account, EventKind.NUMBER_ENDED, CLOCK, now, number=line.number)
        phones = tuple(replace(each, number="") for each in environment.phones)
        account = replace(account, environment=replace(environment, lines=(), phones=phones))
    if served or not account.products or account.customer.retain_until:
        return account
    account = delivery.remove_phones(account, [each.username for each in account.environment.phones], CLOCK, now)
    until = midnight(month_later(local_day(now), RETENTION_MONTHS))
    return replace(account, customer=replace(account.customer, retain_until=until))


def _chosen(account: Account, product_ids: Collection[str] | None, states: Collection[State]) -> list[Product]:
    if product_ids is None:
        found: Iterable[Product] = [each for each in account.products if each.state in states]
        if not found:
            raise NothingToEndError
        return list(found)
    chosen = [account.product(product_id) for product_id in product_ids]
    return [each for each in chosen if each.state is not State.PENDING_TERMINATE or State.PENDING_TERMINATE in states]


def _change(
    account: Account, changed: Product, kind: EventKind, who: Actor, now: datetime, why: str = "", **facts: object
) -> Account:
    account = accounts.with_product(account, changed)
    return accounts.add_event(account, kind, who, now, why, **{**accounts.product_facts(changed), **facts})

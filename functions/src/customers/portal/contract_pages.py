"""What a customer has and pays, what was agreed, and how it ends: notice in two steps, undone until its date, and withdrawal."""

from datetime import datetime

from aws_lambda_powertools.event_handler import Response

from customers import contract, contracts
from customers.portal import door, views
from customers.portal.door import fields, need, page, see_other, visitor
from customers.portal.people import Member, Right
from customers.product import Product, State
from customers.store import store
from shared import problem
from shared.telemetry import count

PRODUCTS = "/mijn/producten"
DOCUMENTS = "/mijn/documenten"
ENDING = "/mijn/opzeggen"
WITHDRAWAL = "/mijn/herroepen"


@door.get(PRODUCTS, "What the customer has and pays, now and next month")
def get_products() -> Response[str]:
    """The products with their life, and the total."""
    account, now = need(Right.MONEY).account, visitor().now
    return page(
        "products",
        products=[views.product(each) for each in account.products],
        cost=views.cost(account, now),
        withdrawable=[each.id for each in account.products if contract.may_withdraw(account, each, now)],
    )


@door.get(DOCUMENTS, "What was agreed: contract summaries and price confirmations")
def get_documents() -> Response[str]:
    """The list, newest first."""
    account = need(Right.MONEY).account
    return page("documents", documents=views.documents(account, store().history(account.id)))


@door.get(DOCUMENTS + "/{document}", "One contract summary or price confirmation, to keep or print")
def get_document(document: str) -> Response[str]:
    """As it was accepted then; what costs something else now does not change it."""
    account = need(Right.MONEY).account
    for found in views.documents(account, store().history(account.id)):
        if found["id"] == document:
            return page("document", document=found, customer=views.company(account))
    raise problem.not_found("Dit document hebt u niet.")


@door.get(ENDING, "End products: which, and when that is")
def get_ending() -> Response[str]:
    """What can be ended, and what ends already."""
    return _ending(need(Right.CONTRACT))


@door.post(ENDING, "End products: first what it means, then for real; or take it back", "step", "products")
def post_ending() -> Response[str]:
    """With step=end notice is given, with step=undo it is taken back; before that, the page that says what it means."""
    who, sent, now = need(Right.CONTRACT), fields(), visitor().now
    if sent.get("step") == "undo":
        contracts.take_notice_back(who.customer.id, None, who.actor, now)
        count("NoticeTakenBack")
        return see_other(ENDING, undone="1")
    chosen = [each for each in who.account.products if sent.get(f"product-{each.id}") and each.state in _ENDABLE]
    if not chosen:
        return _ending(who, 422, wrong=True)
    if sent.get("step") != "end":
        return page(
            "ending-check",
            products=[views.product(each) for each in chosen],
            ends=str(contract.ends_on(now)),
            all=not any(each.served and each not in chosen for each in who.account.products),
            kept=views.numbers_lost(who.account, chosen),
        )
    contracts.give_notice(who.customer.id, [each.id for each in chosen], who.actor, now)
    count("NoticeGiven")
    return see_other(ENDING, ended="1")


@door.get(WITHDRAWAL, "Withdraw from a product within the period of reflection: what it comes to")
def get_withdrawal() -> Response[str]:
    """Each product that a consumer can withdraw from, with what is paid back."""
    who, now = need(Right.CONTRACT), visitor().now
    found = [each for each in who.account.products if contract.may_withdraw(who.account, each, now)]
    return page("withdrawal", products=[_withdrawable(each, now) for each in found])


@door.post(WITHDRAWAL, "Withdraw from a product; nobody can refuse it", "product")
def post_withdrawal() -> Response[str]:
    """Done at once, with a mail that says so."""
    who = need(Right.CONTRACT)
    contracts.withdraw(who.customer.id, fields().get("product", ""), who.actor, visitor().now)
    count("Withdrawn")
    return see_other(PRODUCTS, withdrawn="1")


_ENDABLE = frozenset({State.ACTIVE, State.SUSPENDED})


def _ending(who: Member, status: int = 200, *, wrong: bool = False) -> Response[str]:
    products = who.account.products
    return page(
        "ending",
        status,
        wrong=wrong,
        products=[views.product(each) for each in products if each.state in _ENDABLE],
        ending=[views.product(each) for each in products if each.state is State.PENDING_TERMINATE],
        ends=str(contract.ends_on(visitor().now)),
    )


def _withdrawable(found: Product, now: datetime) -> views.View:
    came_to = contract.settlement(found, now)
    return {
        **views.product(found),
        "until": str(contract.withdrawal_until(found)),
        "days": came_to.days,
        "owedCents": came_to.owed_cents,
        "backCents": sum(fee.cents for fee in found.fees),
    }

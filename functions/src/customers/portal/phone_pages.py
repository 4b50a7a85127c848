"""A customer's phones: who is there, more and fewer of them, what they are called, and their passwords."""

import secrets
from urllib.parse import quote

from aws_lambda_powertools.event_handler import Response

from customers import phone, phones, provision
from customers.portal import door, registrations, views
from customers.portal.door import fields, need, page, see_other, visitor
from customers.portal.people import Member, Right
from customers.provisioning import BadMacError, Make
from shared import problem, settings
from shared.brand import brand
from shared.clock import local_day, to_iso
from shared.problem import FieldProblem
from shared.telemetry import count

PATH = "/mijn/telefoons"
MOST_AT_ONCE = 50
"""So many phones are added at once; for more there is the order form."""


@door.get(PATH, "The customer's phones, and who is there")
def get_phones() -> Response[str]:
    """The list, and the form to add to it."""
    return _list(need(Right.TECHNIQUE))


@door.post(
    f"{PATH}/toevoegen",
    "Add phones: first what it will cost, then for real",
    "labels",
    "step",
    "order",
    "monthlyTotalCents",
)
def post_phones() -> Response[str]:
    """With step=order the phones are added at the price that was shown; before that, the page that shows it."""
    who, sent, now = need(Right.CONTRACT), fields(), visitor().now
    labels = _labels(sent.get("labels", ""))
    if not labels or len(labels) > MOST_AT_ONCE:
        wrong = "empty" if not labels else "many"
        return _list(who, 422, wrong=wrong, labels=sent.get("labels", ""))
    if sent.get("step") != "order":
        return _price(who, labels, secrets.token_hex(8))
    order_id, shown = sent.get("order", ""), sent.get("monthlyTotalCents", "")
    if not (order_id.isascii() and order_id.isalnum() and len(order_id) <= 32 and shown.isascii() and shown.isdigit()):
        raise problem.invalid([FieldProblem("monthlyTotalCents", "invalid", "Bekijk de prijs opnieuw")])
    try:
        phones.add(who.customer.id, labels, int(shown), order_id, who.actor, now)
    except phone.PriceNotAgreedError:
        return _price(who, labels, order_id, 409)
    count("PhonesAdded")
    return see_other(PATH, added=str(len(labels)))


@door.post(f"{PATH}/wachtwoorden", "New passwords for all phones, told once")
def post_passwords() -> Response[str]:
    """The page with all of them."""
    who = need(Right.TECHNIQUE)
    return _told(who, None)


@door.get(PATH + "/{username}", "One phone")
def get_phone(username: str) -> Response[str]:
    """What it is called, where it is, and what can be done with it."""
    return _one(need(Right.TECHNIQUE), username)


@door.post(PATH + "/{username}", "Another name, place or shown number for a phone", "label", "site", "number")
def post_phone(username: str) -> Response[str]:
    """Back to the phone."""
    who, sent = need(Right.TECHNIQUE), fields()
    wanted = {name: sent[name] for name in ("label", "site", "number") if name in sent}
    phones.change(who.customer.id, username, who.actor, visitor().now, **wanted)
    return see_other(f"{PATH}/{username}", saved="1")


@door.post(PATH + "/{username}/wachtwoord", "A new password for one phone, told once")
def post_password(username: str) -> Response[str]:
    """The page with it."""
    return _told(need(Right.TECHNIQUE), username)


@door.post(PATH + "/{username}/instellen", "A provisioning address for a phone, told once", "make", "mac", "revoke")
def post_provisioning(username: str) -> Response[str]:
    """The page with the address and its QR code; with revoke=1 the one that there was works no more."""
    who, sent, now = need(Right.TECHNIQUE), fields(), visitor().now
    if sent.get("revoke"):
        provision.revoke(who.customer.id, username, who.actor, now)
        return see_other(f"{PATH}/{username}")
    make = next((each for each in Make if each.value == sent.get("make")), Make.OTHER)
    try:
        issued = provision.issue(who.customer.id, username, make, sent.get("mac", ""), who.actor, now)
    except BadMacError:
        return _one(who, username, 422, mac=sent.get("mac", ""))
    address = f"{settings.site_url()}{issued.path}"
    scanned = f"{settings.site_url()}{issued.path_with_code}"
    return page(
        "provisioning",
        phone=username,
        address=address,
        code=issued.code,
        picture=f"data:image/svg+xml,{quote(provision.qr_code(scanned))}",
        until=to_iso(issued.address.expires_at),
        make=make.value,
    )


@door.post(PATH + "/{username}/blokkeren", "Revoke a phone's passwords at once")
def post_revoke(username: str) -> Response[str]:
    """Back to the phone, which is out."""
    who = need(Right.TECHNIQUE)
    phones.revoke(who.customer.id, username, who.actor, visitor().now)
    count("PhoneRevoked")
    return see_other(f"{PATH}/{username}")


@door.post(PATH + "/{username}/verwijderen", "Remove a phone from the next month on, or keep it", "keep")
def post_remove(username: str) -> Response[str]:
    """With keep=1 it stays."""
    who, now = need(Right.CONTRACT), visitor().now
    if fields().get("keep"):
        phones.keep(who.customer.id, username, who.actor, now)
    else:
        phones.remove(who.customer.id, username, secrets.token_hex(8), who.actor, now)
    return see_other(f"{PATH}/{username}")


def _list(who: Member, status: int = 200, *, wrong: str = "", labels: str = "") -> Response[str]:
    account = who.account
    found = views.phone_list(account, registrations.of(account.id))
    unit = account.srtp.unit_cents if account.srtp else 0
    served = account.environment.served
    return page("phones", status, phones=found, unit_cents=unit, served=served, wrong=wrong, labels=labels)


def _one(who: Member, username: str, status: int = 200, *, mac: str = "") -> Response[str]:
    account = who.account
    found = account.environment.phone(username)
    if found is None:
        raise phone.UnknownPhoneError(username)
    after = phone.first_of_next_month(local_day(visitor().now))
    return page(
        "phone",
        status,
        mac=mac,
        makes=[each.value for each in Make],
        address=_address(account.id, username),
        phone=views.phone_view(account, found, registrations.of(account.id)),
        sites=views.site_list(account),
        numbers=[line.number for line in account.environment.lines],
        leaves=str(after),
        less_cents=account.srtp.unit_cents if account.srtp else 0,
    )


def _address(customer_id: str, username: str) -> views.View | None:
    """The provisioning address that a phone has, as far as may be told again: never its secret."""
    for found in provision.addresses(customer_id):
        if found.username == username:
            return {
                "make": found.make.value,
                "uses": found.uses,
                "until": to_iso(found.expires_at),
                "usable": found.usable(visitor().now),
            }
    return None


def _price(who: Member, labels: list[str], order_id: str, status: int = 200) -> Response[str]:
    """What it costs now and will cost, to be confirmed."""
    account = who.account
    after = phone.monthly_cents_after(account, len(labels))
    return page(
        "phones-add",
        status,
        labels=labels,
        before_cents=phone.monthly_cents_after(account, 0),
        after_cents=after,
        unit_cents=account.srtp.unit_cents if account.srtp else 0,
        order=order_id,
        changed=status == 409,
    )


def _told(who: Member, username: str | None) -> Response[str]:
    """New passwords, on a page that is shown once: reloading it asks the browser's owner first."""
    made = phones.hand_out(who.customer.id, None if username is None else [username], who.actor, visitor().now)
    count("PasswordsHandedOut")
    return page("passwords", told=views.passwords(who.account, made, brand().sip_domain))


def _labels(text: str) -> list[str]:
    """One phone a line."""
    return [label for line in text.splitlines() if (label := " ".join(line.split()))]

"""Contact data: who may sign in, the own mail address with its proof, where phones stand, and where bills go."""

import hmac

from aws_lambda_powertools.event_handler import Response

from customers import contacts, service
from customers.contacts import ContactRefusedError
from customers.customer import Address, ContactRole, InvalidNumberError
from customers.environment import Site
from customers.portal import door, proof, sessions, sign_in
from customers.portal.door import SESSION_COOKIE, app, cookie, fields, member, need, page, see_other, session, visitor
from customers.portal.people import Right
from shared import http, problem, settings

PATH = "/mijn/gegevens"
_PLACE = ("street", "houseNumber", "postcode", "city")


@door.get(PATH, "The customer's contact data")
def get_details() -> Response[str]:
    """All of it, with a form for each part that this person may change."""
    return _details()


@door.post(f"{PATH}/ik", "Another name or telephone number of who is signed in", "name", "telephone")
def post_me() -> Response[str]:
    """Back to the data."""
    sent, who, now = fields(), member(), visitor().now
    name, telephone = sent.get("name", ""), sent.get("telephone", "")
    service.change(
        who.customer.id,
        lambda found: contacts.change(found, who.contact.id, who.actor, now, name=name, telephone=telephone),
        now,
    )
    return see_other(PATH, saved="1")


@door.post(f"{PATH}/adres", "Ask for a link to a new mail address", "email")
def post_email() -> Response[str]:
    """The new address is not used before its owner has opened the link."""
    who, email, now = member(), fields().get("email", "").strip(), visitor().now
    if not sign_in.is_address(email):
        return _details(422, wrong="email", email=email)
    asked = door.store().count("PROOF", session().person, now)
    if asked <= sign_in.LINKS_PER_HOUR:
        made = proof.ask(who.customer.id, who.contact.id, email, visitor().language, now)
        door.store().put_proof(made)
    return page("email-sent", email=email, minutes=proof.VALID_FOR.seconds // 60)


@door.get(PATH + "/bewijs/{proof_id}/{code}", "The page of a link to a new mail address")
def get_proof(proof_id: str, code: str) -> Response[str]:
    """Looking changes nothing."""
    return page("email-proof", action=f"{PATH}/bewijs/{proof_id}/{code}")


@door.post(PATH + "/bewijs/{proof_id}/{code}", "Use the new mail address from now on")
def post_proof(proof_id: str, code: str) -> Response[str]:
    """The contact has its new address, and so has this session; all other sessions of the old address end."""
    who, whose, key = member(), visitor(), settings.order_key()
    found = door.store().proof(proof_id)
    right = hmac.compare_digest(proof.token(key, proof_id).encode(), code.encode("utf-8", "replace"))
    mine = found is not None and (found.customer_id, found.contact_id) == (who.customer.id, who.contact.id)
    if found is None or not right or not mine or not found.is_good(whose.now):
        raise problem.not_found(
            "Deze link werkt niet meer, of is voor iemand anders. Vraag bij uw gegevens een nieuwe."
        )
    service.change(
        who.customer.id,
        lambda account: contacts.change_email(account, who.contact.id, found.email, who.actor, whose.now),
        whose.now,
    )
    door.store().end_proof(found)
    for one in door.store().sessions(session().person, whose.now):
        door.store().end(one)
    device = sessions.device(app.current_event.headers.get("user-agent", ""), http.source_ip(app))
    begun, value = sessions.begin(key, found.email, who.customer.id, whose.language, device, whose.now)
    door.store().new_session(begun)
    answer = see_other(PATH, saved="1")
    answer.cookies = [cookie(SESSION_COOKIE, value)]
    return answer


@door.post(f"{PATH}/contact", "Add a contact, or change or remove one", "contact", "name", "email", "role", "remove")
def post_contact() -> Response[str]:
    """A new contact proves the mail address by signing in."""
    who, sent, now = need(Right.CONTRACT), fields(), visitor().now
    roles = [role for role in ContactRole if role.value == sent.get("role")]
    contact_id, email = sent.get("contact", ""), sent.get("email", "").strip()
    if not contact_id and not sign_in.is_address(email):
        return _details(422, wrong="contact", new={"name": sent.get("name", ""), "email": email})
    try:
        if sent.get("remove"):
            service.change(who.customer.id, lambda one: contacts.remove(one, contact_id, who.actor, now), now)
        elif contact_id:
            service.change(
                who.customer.id, lambda one: contacts.change(one, contact_id, who.actor, now, roles=roles), now
            )
        else:
            name = sent.get("name", "")
            service.change(who.customer.id, lambda one: contacts.add(one, name, email, roles, who.actor, now), now)
    except ContactRefusedError as refused:
        return _details(422, wrong=f"contact_{refused.code}", new={"name": sent.get("name", ""), "email": email})
    return see_other(PATH, saved="1")


@door.post(
    f"{PATH}/locatie",
    "Add a place of phones, or change or remove one",
    "site",
    "street",
    "houseNumber",
    "postcode",
    "city",
    "remove",
)
def post_site() -> Response[str]:
    """What 112 is told of a phone that stands there."""
    who, sent, now = need(Right.TECHNIQUE), fields(), visitor().now
    site_id = sent.get("site", "")
    street, number, postcode, city = (sent.get(name, "") for name in _PLACE)
    made = Site(site_id, street, number, postcode, city, who.customer.country)
    try:
        if sent.get("remove"):
            service.change(who.customer.id, lambda one: contacts.remove_site(one, site_id, who.actor, now), now)
        else:
            service.change(who.customer.id, lambda one: contacts.put_site(one, made, who.actor, now), now)
    except ContactRefusedError as refused:
        return _details(422, wrong=f"site_{refused.code}", site=sent)
    return see_other(PATH, saved="1")


@door.post(
    f"{PATH}/rekening", "Another billing address or VAT id", "street", "houseNumber", "postcode", "city", "vatId"
)
def post_billing() -> Response[str]:
    """Back to the data; or with what is wrong with the VAT id."""
    who, sent, now = need(Right.MONEY), fields(), visitor().now
    street, number, postcode, city = (sent.get(name, "") for name in _PLACE)
    address = Address(street, number, postcode, city, who.customer.country)
    try:
        service.change(
            who.customer.id,
            lambda one: contacts.change_billing(one, address, sent.get("vatId", ""), who.actor, now),
            now,
        )
    except InvalidNumberError:
        return _details(422, wrong="vat", billing=sent)
    return see_other(PATH, saved="1")


def _details(status: int = 200, *, wrong: str = "", **kept: object) -> Response[str]:
    customer, me = member().customer, member().contact
    address = customer.billing_address
    billing = {
        "street": address.street,
        "houseNumber": address.house_number,
        "postcode": address.postcode,
        "city": address.city,
        "vatId": customer.vat_id,
    }
    shown = {
        "company": {"name": customer.company, "number": customer.enterprise_number, "country": customer.country},
        "mine": {"name": me.name, "email": me.email, "telephone": me.telephone},
        "contacts": [
            {"id": each.id, "name": each.name, "email": each.email, "roles": sorted(each.roles), "me": each.id == me.id}
            for each in customer.contacts
        ],
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
        "billing": billing,
        "email": "",
        "new": {},
        "site": {},
    }
    query = app.current_event.query_string_parameters or {}
    return page("details", status, wrong=wrong, saved=query.get("saved") == "1", **{**shown, **kept})

"""The browsers in which somebody is signed in: listed, and ended."""

from aws_lambda_powertools.event_handler import Response

from customers.portal import door, memberships, views
from customers.portal.door import HOME, fields, member, page, see_other, session, store, visitor
from shared import problem
from shared.telemetry import logger

PATH = "/mijn/sessies"


@door.get(PATH, "The browsers in which this person is signed in")
def get_sessions() -> Response[str]:
    """The list, with a button to end each, and the customers that this person may speak for."""
    alive = store().sessions(session().person, visitor().now)
    others = [
        {"id": one.customer.id, "company": one.customer.company, "current": one.customer.id == member().customer.id}
        for one in memberships.all_of(session().email)
    ]
    return page("sessions", sessions=views.session_list(alive, session()), customers=others)


@door.post(PATH, "End one session, or all others", "session")
def post_sessions() -> Response[str]:
    """End the session whose id was sent; without one, all but this."""
    wanted = fields().get("session", "")
    alive = store().sessions(session().person, visitor().now)
    ending = [one for one in alive if (one.id == wanted if wanted else one.id != session().id)]
    if wanted and not ending:
        raise problem.not_found("Deze aanmelding is al beëindigd.")
    for one in ending:
        store().end(one)
    logger.info("sessions ended", extra={"count": len(ending)})
    return see_other(PATH)


@door.post("/mijn/klant", "Look at another customer that this person speaks for", "customer")
def post_customer() -> Response[str]:
    """The same session for another customer of whom the person is a contact."""
    from dataclasses import replace

    wanted = memberships.of(fields().get("customer", ""), session().email)
    if wanted is None:
        raise problem.not_found("Van deze klant bent u geen contactpersoon.")
    store().put_session(replace(session(), customer_id=wanted.customer.id))
    return see_other(HOME)

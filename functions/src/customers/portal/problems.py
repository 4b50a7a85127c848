"""What each error of Mijn omgeving means to whoever made the request."""

from http import HTTPStatus

from customers.delivery import CannotDeliverError
from customers.phone import NotServedError, NumberNotOursError, UnknownPhoneError, UnknownSiteError
from shared import problem
from shared.problem import Kind, Problem, ProblemTable

PROBLEMS = ProblemTable()

_NOT_SERVED = Kind("not-served", HTTPStatus.CONFLICT, "Uw omgeving is niet in dienst")
_CANNOT = Kind("cannot-deliver", HTTPStatus.CONFLICT, "Dit kunnen wij niet zo uitvoeren")


@PROBLEMS.on(UnknownPhoneError)
def _unknown_phone(_: UnknownPhoneError) -> Problem:
    return Problem(problem.NOT_FOUND, "Deze telefoon hebt u niet. Misschien is zij intussen verwijderd.")


@PROBLEMS.on(UnknownSiteError)
def _unknown_site(_: UnknownSiteError) -> Problem:
    return Problem(problem.NOT_FOUND, "Dit adres hebt u niet. Voeg het eerst toe bij uw gegevens.")


@PROBLEMS.on(NumberNotOursError)
def _number_not_ours(_: NumberNotOursError) -> Problem:
    return Problem(problem.NOT_FOUND, "Dit nummer is niet van u, of nog niet in dienst.")


@PROBLEMS.on(NotServedError)
def _not_served(_: NotServedError) -> Problem:
    return Problem(
        _NOT_SERVED, "Uw contract is beëindigd of nog niet begonnen; telefoons krijgen dan geen wachtwoorden."
    )


@PROBLEMS.on(CannotDeliverError)
def _cannot_deliver(error: CannotDeliverError) -> Problem:
    return Problem(_CANNOT, str(error))

"""What each error of Mijn omgeving means to whoever made the request."""

from http import HTTPStatus

from customers.account import UnknownProductError
from customers.contacts import UnknownContactError
from customers.contract import NothingToEndError, NoWithdrawalError
from customers.delivery import CannotDeliverError
from customers.line import UnknownLineError
from customers.phone import NotServedError, NumberNotOursError, UnknownPhoneError, UnknownSiteError
from customers.product import ProductRefusedError
from customers.provisioning import BadMacError
from shared import problem
from shared.problem import FieldProblem, Kind, Problem, ProblemTable

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


@PROBLEMS.on(UnknownLineError)
def _unknown_line(_: UnknownLineError) -> Problem:
    return Problem(problem.NOT_FOUND, "Dit nummer is niet van u, of niet in dienst.")


@PROBLEMS.on(UnknownProductError)
def _unknown_product(_: UnknownProductError) -> Problem:
    return Problem(problem.NOT_FOUND, "Dit product hebt u niet.")


@PROBLEMS.on(UnknownContactError)
def _unknown_contact(_: UnknownContactError) -> Problem:
    return Problem(problem.NOT_FOUND, "Deze contactpersoon of dit adres staat niet bij uw gegevens.")


@PROBLEMS.on(NothingToEndError)
def _nothing_to_end(_: NothingToEndError) -> Problem:
    return Problem(_CANNOT, "Er loopt geen product waarvoor dit kan. Misschien is het al gedaan.")


@PROBLEMS.on(ProductRefusedError)
def _product_refused(_: ProductRefusedError) -> Problem:
    return Problem(_CANNOT, "Dit kan niet meer met dit product. Bekijk hoe het er nu voor staat.")


@PROBLEMS.on(NoWithdrawalError)
def _no_withdrawal(_: NoWithdrawalError) -> Problem:
    return Problem(_CANNOT, "De bedenktijd is voorbij, of geldt niet voor bedrijven. Opzeggen kan wel.")


@PROBLEMS.on(BadMacError)
def _bad_mac(_: BadMacError) -> Problem:
    detail = "Een MAC-adres heeft 12 tekens, zoals 80:5e:c0:12:34:56; het staat op de onderkant van het toestel"
    return Problem(problem.INVALID, f"{detail}.", [FieldProblem("mac", "invalid", detail)])

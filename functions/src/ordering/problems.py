"""What each error of ordering means to whoever made the request: the one table from error types to problems."""

from http import HTTPStatus

from ordering import views
from ordering.order import (
    CredentialsIssuedError,
    CredentialsTooEarlyError,
    NotByHandError,
    OrderError,
    Role,
    StaleVersionError,
    State,
    TransitionRefusedError,
)
from ordering.store import NoNodeError, OpenOrderError, UnknownOrderError
from shared import problem
from shared.html import euro, when
from shared.problem import FieldProblem, Kind, Problem, ProblemTable

PROBLEMS = ProblemTable()

_ORDER_STATE = Kind("order-state", HTTPStatus.CONFLICT, "Dit kan niet meer met deze bestelling")
_PRECONDITION_FAILED = Kind("order-changed", HTTPStatus.PRECONDITION_FAILED, "De bestelling is intussen gewijzigd")
_CREDENTIALS = Kind("credentials", HTTPStatus.CONFLICT, "De inloggegevens zijn niet beschikbaar")
_PRICE_CHANGED = Kind("price-changed", HTTPStatus.CONFLICT, "De prijs is gewijzigd")
_OPEN_ORDER = Kind("open-order", HTTPStatus.CONFLICT, "U hebt al een bestelling lopen")
_KEY_REUSED = Kind("idempotency-key-reused", HTTPStatus.UNPROCESSABLE_ENTITY, "Deze aanvraag is al anders verstuurd")

_HAPPENED = {
    State.ACKNOWLEDGED: "wacht op beoordeling",
    State.PENDING: "wacht op een antwoord van de klant",
    State.IN_PROGRESS: "is al goedgekeurd",
    State.HELD: "is goedgekeurd en nu aangehouden",
    State.COMPLETED: "is al opgeleverd",
    State.REJECTED: "is al afgewezen",
    State.FAILED: "is mislukt",
    State.ASSESSING_CANCELLATION: "wordt misschien geannuleerd",
    State.PENDING_CANCELLATION: "wordt geannuleerd",
    State.CANCELLED: "is geannuleerd",
}

_WANTED = {
    State.IN_PROGRESS: "goedgekeurd",
    State.REJECTED: "afgewezen",
    State.COMPLETED: "opgeleverd",
    State.HELD: "aangehouden",
    State.CANCELLED: "geannuleerd",
    State.PENDING: "voorgelegd aan de klant",
    State.ACKNOWLEDGED: "teruggelegd voor beoordeling",
    State.ASSESSING_CANCELLATION: "geannuleerd",
    State.PENDING_CANCELLATION: "geannuleerd",
}


class PriceChangedError(Exception):
    """The client showed another monthly total than the catalogue gives; both in cents, excluding VAT."""

    def __init__(self, client_cents: int, server_cents: int) -> None:
        super().__init__(f"the client showed {client_cents} cents, the price is {server_cents} cents")
        self.client_cents = client_cents
        self.server_cents = server_cents


class TooManyOrdersError(Exception):
    """One source placed more orders within the hour than people do."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many orders; again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class IdempotencyKeyReusedError(Exception):
    """The Idempotency-Key came before with another request."""


@PROBLEMS.on(UnknownOrderError)
def _unknown_order(_: UnknownOrderError) -> Problem:
    # A wrong token is answered alike: whether an order exists is nobody's business.
    return Problem(problem.NOT_FOUND, "Wij kennen geen bestelling op dit adres. Controleer of het adres volledig is.")


@PROBLEMS.on(TransitionRefusedError)
def _transition_refused(error: TransitionRefusedError) -> Problem:
    wanted = _WANTED.get(error.target, "gewijzigd")
    detail = f"De bestelling {_happened(error)}; zij kan daarom niet worden {wanted}."
    return Problem(_ORDER_STATE, detail, extensions=_now(error))


@PROBLEMS.on(StaleVersionError)
def _stale_version(error: StaleVersionError) -> Problem:
    detail = f"De bestelling {_happened(error)}. Bekijk haar opnieuw en beslis dan."
    return Problem(_PRECONDITION_FAILED, detail, extensions=_now(error))


@PROBLEMS.on(CredentialsTooEarlyError)
def _credentials_too_early(error: CredentialsTooEarlyError) -> Problem:
    return Problem(_CREDENTIALS, "De inloggegevens zijn er pas als uw bestelling actief is.", extensions=_now(error))


@PROBLEMS.on(CredentialsIssuedError)
def _credentials_issued(error: CredentialsIssuedError) -> Problem:
    at = error.order.credentials_issued_at
    moment = f" op {when(at)}" if at else ""
    return Problem(
        _CREDENTIALS, f"De inloggegevens zijn{moment} al getoond, en wij tonen ze één keer.", extensions=_now(error)
    )


@PROBLEMS.on(NoNodeError)
def _no_node(_: NoNodeError) -> Problem:
    return Problem(
        _CREDENTIALS, "Uw telefoons worden op dit moment verplaatst. Probeer het over enkele minuten nog eens."
    )


@PROBLEMS.on(NotByHandError)
def _not_by_hand(error: NotByHandError) -> Problem:
    return Problem(
        _ORDER_STATE, "Deze bestelling wordt vanzelf actief, zodra het proefgesprek is gelukt.", extensions=_now(error)
    )


@PROBLEMS.on(OpenOrderError)
def _open_order(_: OpenOrderError) -> Problem:
    # Without the order's id: an e-mail address is easily typed, and its owner alone gets the link.
    detail = (
        "Op dit e-mailadres loopt al een bestelling voor SRTP. Wij hebben de link naar die bestelling zojuist naar dat adres gemaild. "
        "Zodra zij is afgerond of geannuleerd, kunt u opnieuw bestellen"
    )
    return Problem(_OPEN_ORDER, f"{detail}.", [FieldProblem("email", "open_order", detail)])


@PROBLEMS.on(TooManyOrdersError)
def _too_many(error: TooManyOrdersError) -> Problem:
    minutes = error.retry_after_s // 60 + 1
    detail = f"Vanaf uw aansluiting zijn het afgelopen uur erg veel bestellingen geplaatst. Probeer het over {minutes} minuten opnieuw."
    return Problem(problem.TOO_MANY, detail, headers={"Retry-After": str(error.retry_after_s)})


@PROBLEMS.on(PriceChangedError)
def _price_changed(error: PriceChangedError) -> Problem:
    detail = price_changed_message(error)
    both = {"monthlyTotalCents": error.server_cents, "clientMonthlyTotalCents": error.client_cents}
    return Problem(_PRICE_CHANGED, detail, [FieldProblem("phones", "price_changed", detail)], both)


@PROBLEMS.on(IdempotencyKeyReusedError)
def _key_reused(_: IdempotencyKeyReusedError) -> Problem:
    return Problem(
        _KEY_REUSED, "Onder deze Idempotency-Key is eerder een andere bestelling geplaatst. Gebruik een nieuwe."
    )


def price_changed_message(error: PriceChangedError) -> str:
    """Both prices, in words for the visitor."""
    shown, now = euro(error.client_cents), euro(error.server_cents)
    return f"De prijs is nu {now} per maand en niet {shown}. Controleer de prijs en bestel opnieuw"


def _happened(error: OrderError) -> str:
    """What the last change made of the order; sales learns who did it."""
    last = error.order.last_change
    by = f" door {last.who.name}" if last.who.role is Role.SALES and error.told_to is Role.SALES else ""
    return f"{_HAPPENED[error.order.state]} ({when(last.at)}{by})"


def _now(error: OrderError) -> dict[str, object]:
    now: dict[str, object] = {"state": error.order.state.value, "version": error.order.version}
    changes = views.sales_events(error.since) if error.told_to is Role.SALES else views.customer_events(error.since)
    if changes:
        now["changes"] = changes
    return now

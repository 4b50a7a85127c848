"""What each error of ordering means to whoever made the request: the one table from error types to problems."""

from http import HTTPStatus

from ordering import views
from ordering.pricing import Amounts
from ordering.refusals import (
    AnswerMissingError,
    CredentialsTooEarlyError,
    NoPhonesYetError,
    NotByHandError,
    OrderError,
    StaleVersionError,
    TransitionRefusedError,
)
from ordering.states import Role, State
from ordering.store import OpenOrderError, UnknownOrderError, UnreadableOrderError
from shared import problem
from shared.html import euro, when
from shared.problem import FieldProblem, Kind, Problem, ProblemTable

__all__ = [
    "PROBLEMS",
    "IdempotencyKeyReusedError",
    "OrderError",
    "PriceChangedError",
    "TooManyOrdersError",
    "TooManyPhonesError",
]

PROBLEMS = ProblemTable()

_ORDER_STATE = Kind("order-state", HTTPStatus.CONFLICT, "Dit kan niet meer met deze bestelling")
_PRECONDITION_FAILED = Kind("order-changed", HTTPStatus.PRECONDITION_FAILED, "De bestelling is intussen gewijzigd")
_CREDENTIALS = Kind("credentials", HTTPStatus.CONFLICT, "De inloggegevens zijn niet beschikbaar")
_PRICE_CHANGED = Kind("price-changed", HTTPStatus.CONFLICT, "De prijs is gewijzigd")
_OPEN_ORDER = Kind("open-order", HTTPStatus.CONFLICT, "U hebt al een bestelling lopen")
_UNREADABLE = Kind("unreadable-order", HTTPStatus.INTERNAL_SERVER_ERROR, "Deze bestelling is onleesbaar")
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
    """The client showed other totals than the catalogue gives."""

    def __init__(self, shown: Amounts, now: Amounts) -> None:
        super().__init__(f"the client showed {shown}, the price is {now}")
        self.shown = shown
        self.now = now


class TooManyPhonesError(Exception):
    """More phones than one environment can have; `language` is the page's."""

    def __init__(self, most: int, language: str) -> None:
        super().__init__(f"more than {most} phones")
        self.most = most
        self.language = language


_TOO_MANY_PHONES = {
    "nl": "Zo bestelt u hoogstens {most} telefoons. Voor meer richten wij een eigen omgeving in: neem contact met ons op",
    "en": "You can order at most {most} phones this way. For more we set up an environment of your own: please contact us",
}


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


@PROBLEMS.on(AnswerMissingError)
def _answer_missing(_: AnswerMissingError) -> Problem:
    detail = "Vul in waarom u de annulering weigert; de klant leest dit"
    return Problem(problem.INVALID, f"{detail}.", [FieldProblem("reason", "missing", detail)])


@PROBLEMS.on(UnreadableOrderError)
def _unreadable(error: UnreadableOrderError) -> Problem:
    return Problem(
        _UNREADABLE,
        f"Wij kunnen bestelling {error.order_id} niet lezen. Zij is niet verloren: onze beheerders hebben een melding gekregen. "
        "Probeer het later nog eens, of neem contact met ons op.",
    )


@PROBLEMS.on(NoPhonesYetError)
def _no_phones_yet(_: NoPhonesYetError) -> Problem:
    return Problem(_CREDENTIALS, "Wij maken uw telefoons op dit moment klaar. Probeer het over een minuut nog eens.")


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


@PROBLEMS.on(TooManyPhonesError)
def _too_many_phones(error: TooManyPhonesError) -> Problem:
    detail = _TOO_MANY_PHONES.get(error.language, _TOO_MANY_PHONES["nl"]).format(most=error.most)
    return Problem(problem.INVALID, f"{detail}.", [FieldProblem("phones", "too_large", detail)])


@PROBLEMS.on(TooManyOrdersError)
def _too_many(error: TooManyOrdersError) -> Problem:
    minutes = error.retry_after_s // 60 + 1
    detail = f"Vanaf uw aansluiting zijn het afgelopen uur erg veel bestellingen geplaatst. Probeer het over {minutes} minuten opnieuw."
    return Problem(problem.TOO_MANY, detail, headers={"Retry-After": str(error.retry_after_s)})


@PROBLEMS.on(PriceChangedError)
def _price_changed(error: PriceChangedError) -> Problem:
    detail = price_changed_message(error)
    both: dict[str, object] = {
        "monthlyTotalCents": error.now.monthly_cents,
        "clientMonthlyTotalCents": error.shown.monthly_cents,
        "oneTimeTotalCents": error.now.one_time_cents,
        "clientOneTimeTotalCents": error.shown.one_time_cents,
    }
    told = {name: cents for name, cents in both.items() if cents is not None}
    return Problem(_PRICE_CHANGED, f"{detail}.", [FieldProblem("phones", "price_changed", detail)], told)


@PROBLEMS.on(IdempotencyKeyReusedError)
def _key_reused(_: IdempotencyKeyReusedError) -> Problem:
    return Problem(
        _KEY_REUSED, "Onder deze Idempotency-Key is eerder een andere bestelling geplaatst. Gebruik een nieuwe."
    )


def price_changed_message(error: PriceChangedError) -> str:
    """Each amount that changed, before and now, in words for the visitor."""
    pairs = (
        (error.shown.monthly_cents, error.now.monthly_cents, "per maand"),
        (error.shown.one_time_cents, error.now.one_time_cents, "eenmalig"),
    )
    changed = [
        f"{euro(now or 0)} {period} en niet {euro(shown)}"
        for shown, now, period in pairs
        if shown is not None and shown != now
    ]
    return f"De prijs is nu {', en '.join(changed)}. Controleer de prijs en bestel opnieuw"


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

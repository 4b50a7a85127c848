"""Errors as people and programs meet them: RFC 9457 problem details, in Dutch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

CONTENT_TYPE = "application/problem+json"
_URN = "urn:callvoip:problem:"

E = TypeVar("E", bound=Exception)


@dataclass(frozen=True)
class Kind:
    """A sort of problem: the last part of its type URI, its HTTP status and its title."""

    name: str
    status: HTTPStatus
    title: str


@dataclass(frozen=True)
class FieldProblem:
    """What is wrong with one field of the request."""

    field: str
    code: str
    message: str

    def to_json(self) -> dict[str, str]:
        return {"field": self.field, "code": self.code, "message": self.message}


@dataclass(frozen=True)
class Problem:
    """One problem (RFC 9457 section 3.1); `extensions` are members of its own (section 3.2)."""

    kind: Kind
    detail: str
    errors: Sequence[FieldProblem] = ()
    extensions: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_json(self, instance: str, correlation_id: str) -> dict[str, Any]:
        """The members of the problem details object."""
        members: dict[str, Any] = {
            "type": _URN + self.kind.name,
            "title": self.kind.title,
            "status": int(self.kind.status),
            "detail": self.detail,
            "instance": instance,
            "correlationId": correlation_id,
        }
        if self.errors:
            members["errors"] = [error.to_json() for error in self.errors]
        return {**members, **self.extensions}


class ProblemError(Exception):
    """A request that is wrong in itself, whatever is stored: raised where requests are read."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.kind.status.value} {problem.kind.name}")
        self.problem = problem


class ProblemTable:
    """The one table of a handler from error types to problems; a subclass of a listed error is that error."""

    def __init__(self) -> None:
        self._entries: dict[type[Exception], Callable[[Any], Problem]] = {}

    def on(self, error: type[E]) -> Callable[[Callable[[E], Problem]], Callable[[E], Problem]]:
        """Decorate the function that turns an error of this type into a problem."""

        def enter(entry: Callable[[E], Problem]) -> Callable[[E], Problem]:
            self._entries[error] = entry
            return entry

        return enter

    def problem(self, error: Exception) -> Problem | None:
        """The problem that this error is, or None for a fault of ours."""
        if isinstance(error, ProblemError):
            return error.problem
        for ancestor in type(error).__mro__:
            if ancestor in self._entries:
                return self._entries[ancestor](error)
        return None


BAD_REQUEST = Kind("bad-request", HTTPStatus.BAD_REQUEST, "Deze aanvraag kunnen wij niet lezen")
UNAUTHENTICATED = Kind("unauthenticated", HTTPStatus.UNAUTHORIZED, "U bent niet aangemeld")
NOT_FOUND = Kind("not-found", HTTPStatus.NOT_FOUND, "Niet gevonden")
UNSUPPORTED_MEDIA_TYPE = Kind(
    "unsupported-media-type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Deze vorm van gegevens kunnen wij niet lezen"
)
TOO_LARGE = Kind("too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Dit is te veel")
INVALID = Kind("invalid", HTTPStatus.UNPROCESSABLE_ENTITY, "Niet alles is goed ingevuld")
TOO_MANY = Kind("too-many", HTTPStatus.TOO_MANY_REQUESTS, "Dit zijn er te veel achter elkaar")
BUSY = Kind("busy", HTTPStatus.SERVICE_UNAVAILABLE, "Het is erg druk")
UNAVAILABLE = Kind("unavailable", HTTPStatus.SERVICE_UNAVAILABLE, "Wij kunnen nu even niet bij uw gegevens")
FAULT = Kind("fault", HTTPStatus.INTERNAL_SERVER_ERROR, "Er ging iets mis aan onze kant")


def bad_request(detail: str) -> ProblemError:
    """A 400: the request cannot be read."""
    return ProblemError(Problem(BAD_REQUEST, detail))


def not_found(detail: str) -> ProblemError:
    """A 404."""
    return ProblemError(Problem(NOT_FOUND, detail))


def invalid(errors: Sequence[FieldProblem]) -> ProblemError:
    """A 422 that says for each field what is wrong."""
    return ProblemError(Problem(INVALID, " ".join(f"{error.message}." for error in errors), errors))


def fault(correlation_id: str) -> Problem:
    """A 500 that tells nothing of the inside, but by which it is found in the log."""
    return Problem(
        FAULT, f"Probeer het later nog eens. Blijft het misgaan, noem ons dan dit kenmerk: {correlation_id}."
    )

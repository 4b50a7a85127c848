"""What a handler answers, declared once at the function that does: path, method, who may call, and what the OpenAPI document says of it.

The API's resolver, infra/ (API Gateway's routes and authorizer, CloudFront's behaviours), the OpenAPI document and the tests all read these
declarations. A handler is a module `<context>/<name>_api.py` with `routes = http.routes(app)`; `python -m shared.routes FILE` writes the
declarations of all handlers into FILE, which the build does for infra/. Pure.
"""

import importlib
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


class Caller(StrEnum):
    """Who may call a route."""

    PUBLIC = "public"
    ORDER_TOKEN = "orderToken"  # noqa: S105 (the name of OpenAPI's security scheme)
    """Who has the token of the order that the path names; the handler checks it."""
    CUSTOMER = "customer"
    """Who is signed in at Mijn omgeving; the handler checks the session."""
    SALES = "colleague"
    """A member of the group sales; API Gateway's authorizer checks the token, `http.routes` the group."""


@dataclass(frozen=True)
class Body:
    """A request's body: the name of a schema, or the schemas of its fields, and the media types that are read."""

    schema: str | Mapping[str, Any]
    required: bool = True
    media: tuple[str, ...] = (JSON,)


@dataclass(frozen=True)
class Route:
    """One route. `path` is as API Gateway has it: /api/orders/{order_id}; each {name} is an argument of the function.

    `answer` is the name of a schema (JSON), or media types (a, b); `status` is that of a good answer; `parameters` are names of the OpenAPI
    document's parameters; `also` says which other answers there are, by status. What follows from the rest is not repeated there: a
    body can be unreadable (400), too large (413) or wrong (422), a version stale (412), a session absent (401).
    """

    method: str
    path: str
    caller: Caller
    summary: str
    operation: str
    answer: str = "text/html"
    status: int = 200
    parameters: tuple[str, ...] = ()
    body: Body | None = None
    also: Mapping[int, str] = field(default_factory=dict)

    @property
    def rule(self) -> str:
        """The path as Powertools' resolver has it: /api/orders/<order_id>."""
        return re.sub(r"\{(\w+)\}", r"<\1>", self.path)

    def takes(self, method: str, path: str) -> bool:
        """Whether a request with this method and path is for this route."""
        return method.upper() == self.method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", self.path), path) is not None


class Routes:
    """The routes of one handler, in the order of their declaration; `register` puts each into the handler's resolver."""

    def __init__(self, register: Callable[[Route, Callable[..., Any]], None]) -> None:
        self._register = register
        self.declared: list[Route] = []

    def get(self, path: str, caller: Caller, summary: str, **told: Any) -> Callable[[F], F]:
        """Declare that the decorated function answers GET; `told` are the other members of Route."""
        return self._declare("GET", path, caller, summary, told)

    def post(self, path: str, caller: Caller, summary: str, **told: Any) -> Callable[[F], F]:
        """Declare that the decorated function answers POST."""
        return self._declare("POST", path, caller, summary, told)

    def put(self, path: str, caller: Caller, summary: str, **told: Any) -> Callable[[F], F]:
        """Declare that the decorated function answers PUT."""
        return self._declare("PUT", path, caller, summary, told)

    def delete(self, path: str, caller: Caller, summary: str, **told: Any) -> Callable[[F], F]:
        """Declare that the decorated function answers DELETE."""
        return self._declare("DELETE", path, caller, summary, told)

    def _declare(
        self, method: str, path: str, caller: Caller, summary: str, told: Mapping[str, Any]
    ) -> Callable[[F], F]:
        def declare(function: F) -> F:
            first, *others = function.__name__.split("_")
            operation = first + "".join(word.capitalize() for word in others)
            route = Route(method, path, caller, summary, operation, **told)
            self.declared.append(route)
            self._register(route, function)
            return function

        return declare


def handlers(root: Path = Path(__file__).parents[1]) -> dict[str, list[Route]]:
    """The routes of each handler below `root`, by its name as Lambda has it: ordering.orders_api.handler. Imports all of them."""
    modules = sorted(f"{path.parent.name}.{path.stem}" for path in root.glob("*/*_api.py"))
    return {f"{module}.handler": importlib.import_module(module).routes.declared for module in modules}


def to_json(found: Mapping[str, list[Route]]) -> str:
    """What infra/ reads: method, path and caller of each route, by handler."""
    return json.dumps(
        {
            handler: [{"method": route.method, "path": route.path, "caller": route.caller.value} for route in declared]
            for handler, declared in found.items()
        },
        indent=2,
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(to_json(handlers()) + "\n")

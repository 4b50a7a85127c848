"""Routes are declared once: what a handler answers is what it declares, everywhere."""

import importlib
import json
import re
from pathlib import Path

import pytest

from shared import http, openapi, routes
from shared.problem import ProblemTable
from shared.routes import Caller, Route

DECLARED = routes.handlers()
ALL = [(handler, route) for handler, declared in DECLARED.items() for route in declared]


def test_every_module_that_is_a_handler_of_the_api_is_found() -> None:
    sources = Path(routes.__file__).parents[1]
    handlers = {
        f"{path.parent.name}.{path.stem}.handler"
        for path in sources.rglob("*.py")
        if "http.handler(app)" in path.read_text()
    }
    assert handlers == set(DECLARED)


@pytest.mark.parametrize("handler", DECLARED)
def test_a_handler_answers_what_it_declares_and_nothing_else(handler: str) -> None:
    app = importlib.import_module(handler.removesuffix(".handler")).app
    registered = {(route.method, route.path) for route in app._dynamic_routes + app._static_routes}
    assert registered == {(route.method, route.rule) for route in DECLARED[handler]}


def test_no_route_is_declared_twice() -> None:
    keys = [(route.method, re.sub(r"\{\w+\}", "{}", route.path)) for _, route in ALL]
    assert sorted(keys) == sorted(set(keys))


def test_the_document_tells_every_route_and_no_other() -> None:
    told = {(method.upper(), path) for path, operations in openapi.document()["paths"].items() for method in operations}
    assert told == {(route.method, route.path) for _, route in ALL}


def test_only_colleagues_come_into_a_function_that_is_declared_for_sales(environment: None, context) -> None:
    app = http.api(ProblemTable())
    declared = http.routes(app)
    came = []

    @declared.get("/api/sales/anything", Caller.SALES, "A route that does not look who calls")
    def anything():
        came.append(True)
        return http.json_response(200, {})

    event = json.loads((Path(__file__).parent / "events/http_api.json").read_text())
    event["rawPath"] = event["requestContext"]["http"]["path"] = "/api/sales/anything"
    event["requestContext"]["http"]["method"] = "GET"
    status = {}
    for name, claims in {
        "nobody": None,
        "other": {"sub": "x", "cognito:groups": "[admin]"},
        "sales": {"sub": "x", "cognito:groups": "[sales]"},
    }.items():
        event["requestContext"]["authorizer"] = {"jwt": {"claims": claims}} if claims else {}
        status[name] = app.resolve(event, context)["statusCode"]
    assert status == {"nobody": 401, "other": 404, "sales": 200}
    assert came == [True]


def test_what_infra_reads_is_what_is_declared() -> None:
    route = Route("GET", "/mijn/{id}", Caller.CUSTOMER, "A page", "getPage")
    assert json.loads(routes.to_json({"x.y_api.handler": [route]})) == {
        "x.y_api.handler": [{"method": "GET", "path": "/mijn/{id}", "caller": "customer"}]
    }
    assert route.takes("get", "/mijn/1") and not route.takes("GET", "/mijn/1/2") and not route.takes("POST", "/mijn/1")

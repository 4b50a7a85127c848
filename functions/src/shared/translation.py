"""Problems in another language than Dutch, by data/<language>/problems.toml."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

from shared import html, settings
from shared.problem import FieldProblem, Kind, Problem

_LANGUAGE_OF_PATH = re.compile(r"/([a-z]{2})/")


def translated(found: Problem, language: str) -> Problem:
    """The problem in a language; in its own words where there are none in that language."""
    own = _words(language).get(found.kind.name)
    if own is None:
        return found
    detail = " ".join([*_amounts(own.get("amounts", {}), found.extensions, language), own.get("detail", found.detail)])
    told = own.get("detail")
    errors = [
        FieldProblem(one.field, one.code, detail.removesuffix(".") if told else one.message) for one in found.errors
    ]
    return replace(found, kind=Kind(found.kind.name, found.kind.status, own["title"]), detail=detail, errors=errors)


def asked_for(event: Mapping[str, Any], body: str) -> str:
    """The language of whoever made a request (an API Gateway event, payload version 2.0): as the address or the form says, else that of
    the page of ours that it came from.
    """
    query = event.get("queryStringParameters") or {}
    found = query.get("language") or _field(body) or _of_page(str((event.get("headers") or {}).get("referer", "")))
    return found if _words(found) else html.DUTCH


def _of_page(address: str) -> str:
    try:
        page = urlsplit(address)
    except ValueError:
        return ""
    found = _LANGUAGE_OF_PATH.match(page.path)
    return found[1] if found else parse_qs(page.query).get("language", [""])[0]


def _field(body: str) -> str:
    try:
        told = json.loads(body).get("language", "") if body.startswith("{") else parse_qs(body).get("language", [""])[0]
    except (ValueError, AttributeError, RecursionError):
        return ""
    return told if isinstance(told, str) else ""


def _amounts(words: Mapping[str, str], told: Mapping[str, Any], language: str) -> list[str]:
    """A sentence for each amount that is another than the one that was shown."""
    return [
        text.format(now=_euro(told[name], language), shown=_euro(told[_shown(name)], language))
        for name, text in words.items()
        if name in told and _shown(name) in told and told[name] != told[_shown(name)]
    ]


def _shown(name: str) -> str:
    return f"client{name[0].upper()}{name[1:]}"


def _euro(cents: int, language: str) -> str:
    return html.euro(cents, html.words(language))


@cache
def _words(language: str) -> Mapping[str, Mapping[str, Any]]:
    if not re.fullmatch(r"[a-z]{2}", language) or language == html.DUTCH:
        return {}
    file = settings.data_directory() / language / "problems.toml"
    return tomllib.loads(file.read_text()) if file.is_file() else {}

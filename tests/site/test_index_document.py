"""The function before the site's files (infra/src/infra/index_document.js): a redirect stays on this site and keeps the query."""

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callvoip.edge.functions import _query
from callvoip.paths import NODE
from infra.website import INDEX_DOCUMENT

pytestmark = pytest.mark.usefixtures("processes")

# Runs the function on a request a line, and says where a browser would go then (WHATWG URL).
_HOST = """
const handler = new Function(process.argv[1] + '; return handler;')();
require('readline').createInterface({input: process.stdin}).on('line', (line) => {
  const out = handler({request: JSON.parse(line)});
  if (out.headers) out.target = new URL(out.headers.location.value, 'https://www.example.nl/').href;
  process.stdout.write(JSON.stringify(out) + '\\n');
});
"""
Asked = Callable[[str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def ask() -> Iterator[Asked]:
    """What the function makes of a path and a query."""
    with subprocess.Popen(
        [str(NODE), "-e", _HOST, INDEX_DOCUMENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as node:
        assert node.stdin is not None and node.stdout is not None

        def asked(path: str, query: str = "") -> dict[str, Any]:
            assert node.stdin is not None and node.stdout is not None
            node.stdin.write(json.dumps({"uri": path, "querystring": _query(query)}) + "\n")
            node.stdin.flush()
            answer: dict[str, Any] = json.loads(node.stdout.readline())
            return answer

        yield asked
        node.stdin.close()


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example/login", "///evil.example", "/\\evil.example", "\\\\evil.example", "/\\/evil.example", "/%2f/evil.example",
        "/%2Fevil.example", "/%5cevil.example", "/%5C%2fevil.example", "/\t/evil", "/\n/evil", "/%2e%2e//evil", "/..//evil", "//evil\\x",
        "/.//evil", "/%2e/%2e%2e/%2f%2fevil", "//", "/ /evil", "/\x00/evil", "//user@evil.example", "/http://evil",
    ],
)  # fmt: skip
def test_a_redirect_stays_on_this_site(ask: Asked, path: str) -> None:
    answer = ask(path, "")
    if "target" in answer:
        assert answer["target"].startswith("https://www.example.nl/")
        assert not answer["target"].removeprefix("https://www.example.nl").startswith("//")


_PIECES = st.sampled_from(
    ["/", "\\", "//", "%2f", "%2F", "%5c", "%5C", "%252f", "\t", "\r\n", " ", "%09", "%0d%0a", ".", "..", "%2e", "%2E.", "@", ":", "?", "#",
     "http:", "evil.example", "evil", "é", "%zz", "%", ";", "\ud800", "\u2215", "\uff0f", "[", "javascript:"]
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(st.lists(_PIECES, max_size=8).map("".join))
def test_no_path_leads_a_visitor_away(ask: Asked, rest: str) -> None:
    answer = ask("/" + rest, "")
    if "headers" not in answer:
        assert answer["uri"].removesuffix("index.html") == "/" + rest
        return
    location = answer["headers"]["location"]["value"]
    assert location.isascii() and location.isprintable() and " " not in location
    assert location.startswith("/") and "//" not in location and "\\" not in location
    assert answer["target"].startswith("https://www.example.nl/")
    again = ask(location, "")  # what the redirect leads to is a file, never another redirect
    assert again.get("uri") == location + "index.html"


@pytest.mark.parametrize(
    "query",
    ["q=srtp", "q=a%20b&q=c", "q=", "q", "a=1&b=2&a=3", "q=%26%3D", "next=//evil.example/", "q=%E2%82%AC+5", "q=a=b"],
)
def test_a_redirect_keeps_the_query(ask: Asked, query: str) -> None:
    location = ask("/zoeken", query)["headers"]["location"]["value"]
    path, _, kept = location.partition("?")
    assert path == "/zoeken/"
    assert sorted(kept.split("&")) == sorted(
        part.removesuffix("=") if part.endswith("=") else part for part in query.split("&")
    )


def test_a_page_and_a_file_are_answered_as_they_are(ask: Asked) -> None:
    assert ask("/", "")["uri"] == "/index.html"
    assert ask("/prijzen/", "x=1")["uri"] == "/prijzen/index.html"
    assert ask("/css/page.css", "")["uri"] == "/css/page.css"
    assert ask("/prijzen", "")["headers"]["location"]["value"] == "/prijzen/"
    assert ask("/caf\u00e9", "")["headers"]["location"]["value"] == "/caf%C3%A9/"

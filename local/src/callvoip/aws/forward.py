"""A WSGI application that passes each request on to an HTTP server and its answer back."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterable
from typing import Any

SECONDS = 30.0

# RFC 9110, section 7.6.1: these are between two neighbours. The length is counted anew.
_OWN = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length"})


class Forward:
    """In front of the server at `address` (host:port)."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request; a server that is gone is answered for with 503."""
        headers = {name[5:].replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")}
        headers = {name: value for name, value in headers.items() if name.lower() not in _OWN}
        headers["Content-Type"] = environ.get("CONTENT_TYPE", "")
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        connection = http.client.HTTPConnection(self._address, timeout=SECONDS)
        try:
            connection.request(environ["REQUEST_METHOD"], environ["PATH_INFO"], body, headers)
            answer = connection.getresponse()
            answered = answer.read()
        except OSError:
            start_response("503 Service Unavailable", [("Content-Type", "text/plain")])
            return [b"the service behind is gone"]
        finally:
            connection.close()
        kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in _OWN]
        start_response(f"{answer.status} {answer.reason}", [*kept, ("Content-Length", str(len(answered)))])
        return [answered]

"""Mijn omgeving as a browser meets it: the handler and the built site's files on one address of this machine, under the real headers."""

import base64
import mimetypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.functions import Context
from tests.support.portal.browser import Browser
from tests.support.site.origin import CONTENT_SECURITY_POLICY


@contextmanager
def serve(site: Path) -> Iterator[str]:
    """The address while it runs. One request at a time, as a Lambda environment has it."""
    turn = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path.startswith("/mijn/"):
                self._function(None)
                return
            file = site / path.strip("/")
            file = file / "index.html" if path.endswith("/") else file
            found = file.is_file()
            self._answer(
                200 if found else 404,
                file.read_bytes() if found else b"",
                {"Content-Type": mimetypes.guess_type(file.name)[0] or "text/plain"},
            )

        def do_POST(self) -> None:
            self._function(self.rfile.read(int(self.headers.get("content-length", 0))))

        def _function(self, body: bytes | None) -> None:
            from customers import portal_api

            event = Browser().event(self.command, self.path, None, dict(self.headers))
            event["headers"] = {name.lower(): value for name, value in self.headers.items()}
            if self.headers.get("cookie"):
                event["cookies"] = [part.strip() for part in self.headers["cookie"].split(";")]
            if body is not None:
                event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
            with turn:
                told = portal_api.handler(event, Context())  # type: ignore[arg-type]
            headers = {**told["headers"], "Content-Security-Policy": CONTENT_SECURITY_POLICY}
            self._answer(told["statusCode"], str(told.get("body", "")).encode(), headers, told.get("cookies", ()))

        def _answer(self, status: int, body: bytes, headers: dict[str, str], cookies: Any = ()) -> None:
            self.send_response(status)
            for name, value in {**headers, "Referrer-Policy": "no-referrer"}.items():
                self.send_header(name, value)
            for cookie in cookies:
                self.send_header("Set-Cookie", cookie)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()

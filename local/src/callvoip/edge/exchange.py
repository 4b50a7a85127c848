"""An HTTP request and its answer, as CloudFront, API Gateway and the functions hand them on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Request:
    """`path` is percent-decoded, `query` is not; header names are in lower case and may repeat."""

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    source_ip: str = "127.0.0.1"

    def header(self, name: str) -> str | None:
        """The values of a header joined by commas (RFC 9110 section 5.2), or None."""
        values = [value for known, value in self.headers if known == name]
        return ",".join(values) if values else None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Header names are in lower case; only set-cookie may repeat."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def with_headers(self, headers: Iterable[tuple[str, str]], *, without: Iterable[str] = ()) -> Answer:
        """The same answer with `headers` in place of those of the same name, and none of `without`."""
        new = tuple(headers)
        gone = {name for name, _ in new} | set(without)
        return replace(self, headers=(*(pair for pair in self.headers if pair[0] not in gone), *new))

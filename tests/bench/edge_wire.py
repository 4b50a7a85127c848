"""Phones and strangers as bare TLS sockets, for the benchmarks of the edge: no library of ours on the client's side."""

from __future__ import annotations

import hashlib
import re
import secrets
import socket
import ssl
from dataclasses import dataclass

DOMAIN, CUSTOMER, PASSWORD = "sip.example.nl", "bench1", "correct-horse-battery-staple"


def username(number: int) -> str:
    """The account of the phone with this number."""
    return f"{CUSTOMER}-{201 + number}"


def request(method: str, user: str, sequence: int, *extra: str) -> bytes:
    """A request of a phone to the node."""
    lines = (
        f"{method} sip:{DOMAIN} SIP/2.0",
        f"Via: SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bK{secrets.token_hex(8)};rport",
        "Max-Forwards: 70",
        f"From: <sip:{user}@{DOMAIN}>;tag={secrets.token_hex(4)}",
        f"To: <sip:{user}@{DOMAIN}>",
        f"Call-ID: {user}",
        f"CSeq: {sequence} {method}",
        *extra,
        "Content-Length: 0",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def credentials(challenge: str, user: str, method: str, algorithm: str = "SHA-256") -> str:
    """An Authorization value for a challenge."""
    found = re.search(r'nonce="([^"]+)"', challenge)
    assert found
    nonce, cnonce, uri = found[1], secrets.token_hex(4), f"sip:{DOMAIN}"

    def digest(text: str) -> str:
        return hashlib.new(algorithm.replace("-", "").lower(), text.encode()).hexdigest()

    ha1, ha2 = digest(f"{user}:{DOMAIN}:{PASSWORD}"), digest(f"{method}:{uri}")
    response = digest(f"{ha1}:{nonce}:00000001:{cnonce}:auth:{ha2}")
    return (
        f'Digest username="{user}", realm="{DOMAIN}", nonce="{nonce}", uri="{uri}", response="{response}", '
        f'algorithm={algorithm}, qop=auth, nc=00000001, cnonce="{cnonce}"'
    )


def trusting() -> ssl.SSLContext:
    """A client that takes any certificate: what is measured is on the other side."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass
class WirePhone:
    """One phone over one TLS connection."""

    number: int
    port: int
    address: str
    context: ssl.SSLContext
    sequence: int = 0

    def connect(self) -> None:
        """Opens the connection. Raises OSError."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=30, source_address=(self.address, 0))
        self.socket = self.context.wrap_socket(plain)

    def ask(self, method: str, *extra: str) -> str:
        """Sends a request and returns the head of its answer. Raises OSError."""
        self.sequence += 1
        self.socket.sendall(request(method, username(self.number), self.sequence, *extra))
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.socket.recv(8192)
            if not piece:
                raise ConnectionError("the node closed the connection")
            data += piece
        return data.decode()

    def register(self, algorithm: str = "SHA-256") -> None:
        """Registers with a password. Raises OSError or RuntimeError."""
        host, port = self.socket.getsockname()
        contact = f"Contact: <sip:{username(self.number)}@{host}:{port};transport=tls>"
        challenge = self.ask("REGISTER", contact, "Expires: 300")
        authorization = f"Authorization: {credentials(challenge, username(self.number), 'REGISTER', algorithm)}"
        answer = self.ask("REGISTER", contact, "Expires: 300", authorization)
        if not answer.startswith("SIP/2.0 200"):
            raise RuntimeError(answer.partition("\r\n")[0])

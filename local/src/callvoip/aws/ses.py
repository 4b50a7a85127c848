"""What the emulated SES has sent: taken from the requests as they come, since moto keeps only half of a message.

https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Mail:
    """One message; `at` is ISO 8601 in UTC, `to` are all its recipients, `text` or `html` may be empty."""

    id: str
    at: str
    sender: str
    to: tuple[str, ...]
    subject: str
    text: str
    html: str


def read(request: Mapping[str, Any], message_id: str, now: datetime) -> Mail:
    """The message of a SendEmail request, simple or raw. Raises KeyError for a template: nothing here knows those."""
    destination = request.get("Destination", {})
    recipients = tuple(
        address for kind in ("ToAddresses", "CcAddresses", "BccAddresses") for address in destination.get(kind, ())
    )
    subject, text, html = (
        _raw(request["Content"]["Raw"]) if "Raw" in request["Content"] else _simple(request["Content"]["Simple"])
    )
    sender = request.get("FromEmailAddress", "")
    return Mail(message_id, now.astimezone(UTC).isoformat(timespec="seconds"), sender, recipients, subject, text, html)


def _simple(content: Mapping[str, Any]) -> tuple[str, str, str]:
    body = content["Body"]
    return content["Subject"]["Data"], body.get("Text", {}).get("Data", ""), body.get("Html", {}).get("Data", "")


def _raw(content: Mapping[str, Any]) -> tuple[str, str, str]:
    message = message_from_bytes(base64.b64decode(content["Data"]), EmailMessage, policy=policy.default)
    text, html = (message.get_body((kind,)) for kind in ("plain", "html"))
    return str(message["Subject"] or ""), text.get_content() if text else "", html.get_content() if html else ""


class SentMail:
    """All messages, oldest first; kept in a file, a line each, when there is one."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._mails: list[Mail] = []
        if path and path.exists():
            lines = path.read_text(encoding="utf-8").splitlines()
            self._mails = [Mail(**{**told, "to": tuple(told["to"])}) for told in map(json.loads, lines)]

    def add(self, mail: Mail) -> None:
        """One more."""
        with self._lock:
            self._mails.append(mail)
            if self._path:
                self._path.touch(mode=0o600)
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(mail)) + "\n")

    def as_json(self) -> bytes:
        """All of them, as a JSON array."""
        return json.dumps([asdict(mail) for mail in self._mails]).encode()

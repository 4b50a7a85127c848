"""Globally routable user agent URIs (RFC 5627): addresses of one device, whichever of an account's it is and however it is
connected. Pure but for the key, which lives as long as the process: what it says of a device is in the address itself.
"""

from __future__ import annotations

import hashlib
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from media_node.sip.grammar import URI, Parameters
from media_node.sip.registrar import Binding

OPTION_TAG: Final = "gruu"
_TEMPORARY: Final = "tgruu."
_NONCE: Final = 12
_DIGEST: Final = 16
_LONGEST: Final = 256
"""Characters of an instance that is given a GRUU, and of a temporary one's user."""


@dataclass(frozen=True)
class Device:
    """The device that a GRUU means: `username` is its account; it has this `instance`, or for a temporary one this
    `registration`.
    """

    username: str
    instance: str = ""
    registration: bytes = b""

    def is_at(self, binding: Binding) -> bool:
        """Whether a binding is this device's: of a temporary GRUU only while it registers under the Call-ID that it had
        then (section 3.2).
        """
        if binding.username != self.username or not (instance := _instance(binding)):
            return False
        if self.registration:
            return secrets.compare_digest(self.registration, _registration(binding, instance))
        return instance == self.instance


class Gruus:
    """Gives the devices of one SIP domain their GRUUs, and tells whose one is. Temporary ones are sealed, so that nobody
    can tell from two of them whether they are one phone's (appendix A.2).
    """

    def __init__(self, domain: str, key: bytes | None = None) -> None:
        self._domain = domain
        self._sealed = AESGCM(key or AESGCM.generate_key(128))

    def public(self, binding: Binding) -> URI:
        """The one that stays as long as the device is itself."""
        return URI("sip", self._domain, user=binding.username, parameters=Parameters(gr=_instance(binding)))

    def temporary(self, binding: Binding) -> URI:
        """A new one at each time."""
        nonce = secrets.token_bytes(_NONCE)
        told = _registration(binding, _instance(binding)) + binding.username.encode()
        sealed = nonce + self._sealed.encrypt(nonce, told, None)
        user = _TEMPORARY + urlsafe_b64encode(sealed).decode().rstrip("=")
        return URI("sip", self._domain, user=user, parameters=Parameters(gr=None))

    def parameters(self, binding: Binding) -> str:
        """What a 200 to a REGISTER says of them in a device's Contact (section 5.3); nothing for one without an instance."""
        if not _instance(binding):
            return ""
        quoted = binding.instance.partition(" ")[0]
        return f';+sip.instance="{quoted}";pub-gruu="{self.public(binding)}";temp-gruu="{self.temporary(binding)}"'

    def device(self, uri: URI) -> Device | None:
        """The device that an address means; None when it is no GRUU, and nobody's device when it is no valid one."""
        if "gr" not in uri.parameters or uri.host.lower() != self._domain.lower():
            return None
        user = uri.user or ""
        if instance := uri.parameters.get("gr"):
            return Device(user, instance.lower())
        if not user.startswith(_TEMPORARY) or len(user) > _LONGEST:
            return Device("")
        try:
            sealed = urlsafe_b64decode(user.removeprefix(_TEMPORARY) + "==")
            told = self._sealed.decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
            return Device(told[_DIGEST:].decode(), registration=told[:_DIGEST])
        except (InvalidTag, ValueError):
            return Device("")


def _instance(binding: Binding) -> str:
    """The URN of +sip.instance, as it is compared; empty for a device that gives none, or none that may stand in a URI."""
    quoted = binding.instance.partition(" ")[0]
    urn = quoted[1:-1].lower()
    plain = (
        urn.isascii()
        and urn.startswith("urn:")
        and len(urn) <= _LONGEST
        and urn.replace(":", "").replace("-", "").isalnum()
    )
    return urn if plain and quoted == f"<{quoted[1:-1]}>" else ""


def _registration(binding: Binding, instance: str) -> bytes:
    return hashlib.blake2b(f"{instance}\0{binding.call_id}".encode(), digest_size=_DIGEST).digest()

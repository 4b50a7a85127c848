"""SRTP protection profiles: the one list that signalling, calls and media share."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Suite(StrEnum):
    """SRTP protection profiles by their SDES names (RFC 4568 section 6.2, RFC 7714 section 14.2), the preferred first."""

    AES_CM_128_HMAC_SHA1_80 = "AES_CM_128_HMAC_SHA1_80"
    AES_CM_128_HMAC_SHA1_32 = "AES_CM_128_HMAC_SHA1_32"
    AEAD_AES_128_GCM = "AEAD_AES_128_GCM"
    AEAD_AES_256_GCM = "AEAD_AES_256_GCM"

    @property
    def key_length(self) -> int:
        """Length in octets of master key and master salt together."""
        return {"AEAD_AES_128_GCM": 28, "AEAD_AES_256_GCM": 44}.get(self.value, 30)


SUITES: Final = tuple(Suite)
"""Our order, where none is configured: the 80-bit tag first, since a 32-bit tag lets false packets through at scale."""

DESK_PHONES: Final = (Suite.AES_CM_128_HMAC_SHA1_80, Suite.AES_CM_128_HMAC_SHA1_32)
"""What desk phones know."""

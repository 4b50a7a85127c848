"""Known answers, checked against an SRTP written here from the RFCs with plain AES and HMAC; and every refusal as its
own type.
"""

from __future__ import annotations

import base64
import hmac
import os

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from media_node.media.srtp import (
    AuthenticationFailed,
    MalformedPacket,
    ReceiveContext,
    Replayed,
    SendContext,
    TooOld,
    UnusableKey,
    decode_key,
    rtcp_index,
)
from media_node.suites import Suite

PACKET = bytes.fromhex("80080001000000a0cafebabe") + bytes(range(160))
RTCP = bytes.fromhex("80c90001cafebabe")
TAGS = {
    Suite.AES_CM_128_HMAC_SHA1_80: 10,
    Suite.AES_CM_128_HMAC_SHA1_32: 4,
    Suite.AEAD_AES_128_GCM: 16,
    Suite.AEAD_AES_256_GCM: 16,
}


def counter_mode(key: bytes, start: bytes, data: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.CTR(start)).encryptor().update(data)


def derive(master: bytes, salt: bytes, label: int, length: int) -> bytes:
    """RFC 3711 section 4.3.1 with a key derivation rate of 0."""
    seed = int.from_bytes(salt.ljust(14, b"\0"), "big") ^ (label << 48)
    return counter_mode(master, (seed << 16).to_bytes(16, "big"), bytes(length))


def protect_cm(cipher_key: bytes, salt: bytes, auth_key: bytes, packet: bytes, rollover: int, tag: int) -> bytes:
    """RFC 3711 sections 4.1.1 and 4.2."""
    sequence, ssrc = int.from_bytes(packet[2:4], "big"), int.from_bytes(packet[8:12], "big")
    start = (int.from_bytes(salt, "big") << 16) ^ (ssrc << 64) ^ ((rollover << 16 | sequence) << 16)
    body = packet[:12] + counter_mode(cipher_key, start.to_bytes(16, "big"), packet[12:])
    return body + hmac.digest(auth_key, body + rollover.to_bytes(4, "big"), "sha1")[:tag]


def protect_gcm(cipher_key: bytes, salt: bytes, packet: bytes, rollover: int) -> bytes:
    """RFC 7714 section 8.1."""
    nonce = int.from_bytes(b"\0\0" + packet[8:12] + rollover.to_bytes(4, "big") + packet[2:4], "big") ^ int.from_bytes(
        salt, "big"
    )
    return packet[:12] + AESGCM(cipher_key).encrypt(nonce.to_bytes(12, "big"), packet[12:], packet[:12])


def test_the_reference_agrees_with_rfc_3711_appendix_b2() -> None:
    key, start = bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C"), bytes.fromhex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000")
    assert (
        counter_mode(key, start, bytes(32)).hex().upper()
        == "E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB"
    )


def test_the_reference_agrees_with_rfc_7714_sections_16_1_1_and_16_2_1() -> None:
    packet = bytes.fromhex("8040f17b8041f8d35501a0b2") + b"Gallia est omnis divisa in partes tres"
    salt = bytes.fromhex("517569642070726f2071756f")
    assert protect_gcm(bytes(range(16)), salt, packet, 0)[12:].hex() == (
        "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce"
    )
    assert protect_gcm(bytes(range(32)), salt, packet, 0)[12:].hex() == (
        "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13"
    )


@pytest.mark.parametrize("suite", [Suite.AES_CM_128_HMAC_SHA1_80, Suite.AES_CM_128_HMAC_SHA1_32])
def test_session_keys_are_those_of_rfc_3711_appendix_b3(suite: Suite) -> None:
    master, salt = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139"), bytes.fromhex("0EC675AD498AFEEBB6960B3AABE6")
    session_key, session_salt = (
        bytes.fromhex("C61E7A93744F39EE10734AFE3FF7A087"),
        bytes.fromhex("30CBBC08863D8C85D49DB34A9AE1"),
    )
    auth_key = bytes.fromhex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4")
    expected = protect_cm(session_key, session_salt, auth_key, PACKET, 0, TAGS[suite])
    assert SendContext(suite, master + salt).protect(PACKET) == expected
    assert ReceiveContext(suite, master + salt).unprotect(expected) == PACKET


def test_the_packet_of_libsrtp_s_own_validation_comes_out_the_same() -> None:
    key = bytes.fromhex("e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6")
    packet = bytes.fromhex("800f1234decafbadcafebabe") + b"\xab" * 16
    expected = bytes.fromhex("800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb")
    assert SendContext(Suite.AES_CM_128_HMAC_SHA1_80, key).protect(packet) == expected


@pytest.mark.parametrize("suite", [Suite.AEAD_AES_128_GCM, Suite.AEAD_AES_256_GCM])
def test_gcm_is_rfc_7714_under_keys_derived_as_rfc_3711_says(suite: Suite) -> None:
    key = os.urandom(suite.key_length)
    master, salt = key[:-12], key[-12:]
    expected = protect_gcm(derive(master, salt, 0, len(master)), derive(master, salt, 2, 12), PACKET, 0)
    assert SendContext(suite, key).protect(PACKET) == expected


@pytest.mark.parametrize("suite", list(Suite))
def test_a_packet_survives_and_a_changed_one_does_not(suite: Suite) -> None:
    key = os.urandom(suite.key_length)
    sender, receiver = SendContext(suite, key), ReceiveContext(suite, key)
    protected = sender.protect(PACKET)
    assert len(protected) == len(PACKET) + TAGS[suite]
    for place in (1, 3, 9, 12, 100, len(protected) - 1):
        forged = bytearray(protected)
        forged[place] ^= 1
        with pytest.raises(AuthenticationFailed):
            receiver.unprotect(bytes(forged))
    assert receiver.unprotect(protected) == PACKET
    with pytest.raises(Replayed):
        receiver.unprotect(protected)


@pytest.mark.parametrize("suite", list(Suite))
def test_srtcp_survives_and_carries_its_index_in_clear(suite: Suite) -> None:
    key = os.urandom(suite.key_length)
    sender, receiver = SendContext(suite, key), ReceiveContext(suite, key)
    first, second = sender.protect_rtcp(RTCP), sender.protect_rtcp(RTCP)
    assert rtcp_index(suite, second) == rtcp_index(suite, first) + 1
    assert receiver.unprotect_rtcp(first) == RTCP
    with pytest.raises(Replayed):
        receiver.unprotect_rtcp(first)


def packet(sequence: int, ssrc: int = 0xCAFEBABE) -> bytes:
    return b"\x80\x08" + (sequence & 0xFFFF).to_bytes(2, "big") + bytes(4) + ssrc.to_bytes(4, "big") + b"audio"


def test_refusals_tell_old_from_repeated() -> None:
    key = os.urandom(30)
    sender, receiver = (
        SendContext(Suite.AES_CM_128_HMAC_SHA1_80, key),
        ReceiveContext(Suite.AES_CM_128_HMAC_SHA1_80, key),
    )
    late = sender.protect(packet(1))
    for sequence in range(2, 2000):
        receiver.unprotect(sender.protect(packet(sequence)))
    with pytest.raises(TooOld):
        receiver.unprotect(late)
    with pytest.raises(MalformedPacket):
        receiver.unprotect(b"\x80\x08\x00")


@pytest.mark.parametrize("suite", list(Suite))
@pytest.mark.parametrize("index", [1, 0xFFFF, 0x10000, 3 * 0x10000 + 17, 10 * 0x10000])
def test_a_fresh_context_can_be_brought_to_where_a_stream_is(suite: Suite, index: int) -> None:
    key = os.urandom(suite.key_length)
    sender, receiver = SendContext(suite, key), ReceiveContext(suite, key)
    for step in [*range(0, index, 0x4000), index]:
        sender.protect(packet(step))
    protected = sender.protect(packet(index + 1))
    if index > 0x10000:
        with pytest.raises(AuthenticationFailed):
            receiver.unprotect(protected)
    advanced = ReceiveContext(suite, key)
    advanced.advance(0xCAFEBABE, index)
    assert advanced.unprotect(protected) == packet(index + 1)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("not base64!", "base64"),
        (base64.b64encode(bytes(16)).decode(), "30 octets, not 16"),
        (base64.b64encode(bytes(46)).decode(), "not 46"),
    ],
)
def test_a_key_of_another_length_is_refused(key: str, why: str) -> None:
    with pytest.raises(UnusableKey, match=why):
        decode_key(Suite.AES_CM_128_HMAC_SHA1_80, key)

"""The reader of logs finds what it is there for: each form in which personal data could slip in, and nothing else."""

from pathlib import Path

import pytest

from tests.support.log_privacy import leaks

KNOWN = {"Café De Hoek", "jo@example.org", "085 555 01 23", "+31855550199", "12345678", "s3cr3t-Pass", "nee"}


@pytest.mark.parametrize(
    "line",
    [
        '{"message": "placed for Café De Hoek"}',
        r'{"message": "placed for caf\u00e9 de hoek"}',
        "company=Caf%C3%A9+De+Hoek&name=x",
        "GET /console/?q=caf%c3%a9%20de%20hoek",
        "CAFÉ DE HOEK",
        "email=jo%40example.org",
        "telephone 0855550123",
        "to +31 85 555 01 23",
        "INVITE sip:+31855550199@trunk",
        "dialled 0031855550199",
        "kvk=12345678",
        "auth_pass=s3cr3t-Pass;regint=60",
        "GET /bestelling/A1B2C3D4E5?token=abcdefghijklmnopqrstuvwxyz",
        "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6.eyJzdWIi",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
        "somebody.else@example.nl",
    ],
)
def test_a_leak_is_named_with_its_file_and_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions/orders.log").write_text(f"START\n{line}\nEND\n", encoding="utf-8")
    (found,) = leaks(tmp_path, KNOWN)
    assert found.startswith("functions/orders.log:2: ")


def test_what_tells_of_nobody_is_no_leak(tmp_path: Path) -> None:
    lines = [
        '{"message": "order placed", "order_id": "A1B2C3D4E5", "category": "quote", "token": ""}',
        "at 1795280123456789 request 99123456780 nee",
        "call from 31855550*** took 5 s",
        "café de stam",
    ]
    (tmp_path / "local.log").write_text("\n".join(lines), encoding="utf-8")
    assert leaks(tmp_path, KNOWN) == []

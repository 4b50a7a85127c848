"""fleet.certificate_run orders from a real ACME authority (pebble) over loopback, its DNS challenge answered for real."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from callvoip.nodes.operator_values import issue
from fleet import certificate, certificate_run, names
from fleet.certificate_run import Renewal
from shared.telemetry import flush
from tests.support.pebble import REFUSED, KeptValues, Pebble, TestZone, free_port, renewal_by, running_pebble

pytestmark = pytest.mark.needs("pebble", "pebble-challtestsrv")

DOMAIN = "sip.example.nl"


@pytest.fixture(scope="module")
def pebble(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    with running_pebble(tmp_path_factory.mktemp("pebble")) as running:
        yield running


@pytest.fixture
def renewal(pebble: Pebble) -> Renewal:
    return renewal_by(pebble, DOMAIN)


def leaf(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificates(pem.encode())[0]


def life(pem: str) -> timedelta:
    return leaf(pem).not_valid_after_utc - leaf(pem).not_valid_before_utc


def shake_hands(pem: str, asked: str, root: str, tmp_path: Path) -> None:
    """A phone that trusts pebble's root alone. Raises ssl.SSLError."""
    (tmp_path / "node.pem").write_text(pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "node.pem")
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    phone: Any = ssl.create_default_context(cadata=root).wrap_bio(down, up, server_hostname=asked)
    ends = [phone, server.wrap_bio(up, down, server_side=True)]
    while ends:
        for end in tuple(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            ends.remove(end)


def test_a_certificate_is_ordered_kept_and_renewed_when_two_thirds_of_its_life_are_over(
    pebble: Pebble, renewal: Renewal, tmp_path: Path
) -> None:
    values, zone = renewal.values, renewal.challenges
    assert isinstance(values, KeptValues) and isinstance(zone, TestZone)
    now = datetime.now(UTC)
    assert renewal.run(now)
    first = values.read("certificate")
    assert values.written == ["account", "certificate"]
    for asked in (DOMAIN, f"k7m2qx.{DOMAIN}", names.node_name("n0001", DOMAIN)):
        shake_hands(first, asked, pebble.root, tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(first, f"n0001.other.{DOMAIN}", pebble.root, tmp_path)
    assert zone.names == set()  # the answers are gone again
    assert certificate.days_left(first, now) == pytest.approx(life(first).total_seconds() / 86_400, abs=0.1)

    begins = leaf(first).not_valid_before_utc
    # Not `now`: pebble lets a certificate begin when it is issued, a real authority an hour before.
    for early in (begins, begins + life(first) * 0.66):
        assert not renewal.run(early)
    assert values.read("certificate") == first
    assert renewal.run(begins + life(first) * 0.67)
    second = values.read("certificate")
    assert leaf(second).serial_number != leaf(first).serial_number
    assert leaf(second).public_key() != leaf(first).public_key()
    assert values.written == ["account", "certificate", "certificate"]  # the same account
    assert not renewal.run(datetime.now(UTC))


def test_a_refused_order_leaves_the_old_value_and_counts(
    pebble: Pebble, renewal: Renewal, capsys: pytest.CaptureFixture[str]
) -> None:
    values, zone = KeptValues({"certificate": "what the operator put"}), TestZone(pebble.dns, silent=True)
    unanswered = replace(renewal, sip_domain="unanswered.example.nl", values=values, challenges=zone)
    refused = replace(renewal, sip_domain=REFUSED, values=values)
    away = replace(renewal, directory=f"https://127.0.0.1:{free_port()}/dir", values=values)
    for broken in (unanswered, refused, away):
        assert not certificate_run.run(broken)
        assert values.read("certificate") == "what the operator put"
    assert zone.asked == 1
    flush()
    assert '"CertificateFailed":[1.0,1.0,1.0]' in capsys.readouterr().out.replace(" ", "")
    # Nothing is left in the way: the next run has one.
    assert certificate_run.run(replace(renewal, values=values))
    assert certificate.problem(values.read("certificate"), DOMAIN, datetime.now(UTC)) == ""


def test_without_agreed_terms_nothing_is_ordered(renewal: Renewal) -> None:
    values = KeptValues()
    assert not replace(renewal, directory="", values=values).run(datetime.now(UTC))
    assert values.written == []


@dataclass
class ValuesThatFail(KeptValues):
    """The first write of a certificate does not arrive."""

    failed: bool = False

    def write(self, name: str, value: str) -> None:
        if name == "certificate" and not self.failed:
            self.failed = True
            raise ConnectionError("the power went")
        super().write(name, value)


def test_a_run_that_ends_before_it_has_written_is_made_good_by_the_next(renewal: Renewal) -> None:
    values = ValuesThatFail()
    again = replace(renewal, values=values)
    assert not certificate_run.run(again)
    account = values.read("account")
    assert account and not values.read("certificate")
    assert certificate_run.run(again)
    assert values.read("account") == account
    assert certificate.problem(values.read("certificate"), DOMAIN, datetime.now(UTC)) == ""


@pytest.mark.parametrize(
    "pem",
    [
        issue("other.example.nl", datetime.now(UTC)).pem,
        issue(DOMAIN, datetime.now(UTC) - timedelta(days=60)).pem,
        issue(DOMAIN, datetime.now(UTC)).private_key + issue(DOMAIN, datetime.now(UTC)).chain,
    ],
    ids=["another domain", "expired", "another key"],
)
def test_what_a_phone_would_refuse_does_not_pass_the_try_out(pem: str) -> None:
    with pytest.raises(ssl.SSLError):
        certificate_run.try_out(pem, DOMAIN)

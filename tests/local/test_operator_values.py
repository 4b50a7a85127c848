"""The values that an operator puts: the SIP certificate and the trunk."""

import contextlib
import json
import ssl
import tempfile
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from callvoip.nodes.operator_values import Trunk, issue, kept, parse_trunk, put

NODE_CONFIG = {
    "sip": {"domain": "sip.example.nl", "certificate_parameter": "/x/certificate"},
    "trunk": {"parameter": "/x/trunk"},
}


def test_a_certificate_is_for_the_sip_domain_and_its_hosts_and_by_the_authority():
    made = issue("sip.example.nl", datetime.now(UTC))
    certificate, authority = (x509.load_pem_x509_certificate(text.encode()) for text in (made.chain, made.authority))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["sip.example.nl", "*.sip.example.nl"]
    key = authority.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    certificate.verify_directly_issued_by(authority)


def test_openssl_takes_the_chain_its_key_and_the_authority(tmp_path):
    made = issue("sip.example.nl", datetime.now(UTC))
    (tmp_path / "chain.pem").write_text(made.chain + made.private_key)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / "chain.pem")
    ssl.create_default_context(cadata=made.authority)


def handshake(chain: str, asked: str, authority: str) -> None:
    """A phone that checks the name of its server shakes hands with one that has this PEM. Raises ssl.SSLError."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(chain)
        file.flush()
        server.load_cert_chain(file.name)
    phone = ssl.create_default_context(cadata=authority)
    to_server, to_phone = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        phone.wrap_bio(to_phone, to_server, server_hostname=asked),
        server.wrap_bio(to_server, to_phone, server_side=True),
    ]
    while ends:
        for end in tuple(ends):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
                ends.remove(end)


@pytest.mark.parametrize("server", ["sip.example.nl", "k7m2qx.sip.example.nl"])
def test_a_phone_that_checks_names_takes_the_domain_and_an_environments_name(server):
    made = issue("sip.example.nl", datetime.now(UTC))
    handshake(made.chain + made.private_key, server, made.authority)


@pytest.mark.parametrize("server", ["example.nl", "other.example.nl", "a.b.sip.example.nl"])
def test_a_phone_that_checks_names_takes_no_other(server):
    made = issue("sip.example.nl", datetime.now(UTC))
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(made.chain + made.private_key, server, made.authority)


def test_a_kept_certificate_for_another_domain_is_issued_anew(tmp_path):
    now = datetime.now(UTC)
    first = kept(tmp_path / "certificate", "sip.example.nl", now)
    assert kept(tmp_path / "certificate", "sip.example.nl", now) == first
    assert kept(tmp_path / "certificate", "sip.example.com", now) != first


@pytest.mark.parametrize(
    ("text", "trunk"),
    [
        ("127.0.0.1:5080", Trunk("127.0.0.1", 5080, "udp")),
        ("trunk.example.nl:5060;transport=tcp", Trunk("trunk.example.nl", 5060, "tcp")),
    ],
)
def test_a_trunk_is_an_address_with_or_without_a_transport(text, trunk):
    assert parse_trunk(text) == trunk


@pytest.mark.parametrize(
    "text", ["", "host", "host:", ":5060", "host:0", "host:70000", "host:5060;transport=pigeon", "host:x;lr=1"]
)
def test_what_is_no_trunk_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_trunk(text)


@pytest.mark.parametrize(
    ("trunk", "expected"), [(None, {}), (Trunk("h", 5080), {"host": "h", "port": 5080, "transport": "udp"})]
)
def test_values_stand_under_the_names_that_the_nodes_configuration_gives(emulated, trunk, expected):
    certificate = put(emulated, NODE_CONFIG, trunk)
    answer = emulated.client("ssm").get_parameters(Names=["/x/certificate", "/x/trunk"], WithDecryption=True)
    found = {parameter["Name"]: (parameter["Type"], parameter["Value"]) for parameter in answer["Parameters"]}
    assert found["/x/certificate"] == ("SecureString", certificate.private_key + certificate.chain)
    assert json.loads(found["/x/trunk"][1]) == expected

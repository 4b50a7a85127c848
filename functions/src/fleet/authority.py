"""Orders a certificate from an ACME authority (RFC 8555) by a DNS challenge."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from acme import challenges, client, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwa import ES256
from josepy.jwk import JWKEC

from fleet.certificate import CHALLENGE
from shared.telemetry import logger

TIMEOUT_S = 20
"""Of one request."""
PATIENCE = timedelta(seconds=120)
"""For how long the authority may look at our answers, and again make the certificate."""

Answered = tuple[messages.ChallengeBody, challenges.KeyAuthorizationChallengeResponse]


class Challenges(Protocol):
    """Where the authority looks for answers: TXT records of one name."""

    def publish(self, name: str, values: Iterable[str]) -> None: ...
    def withdraw(self, name: str, values: Iterable[str]) -> None: ...


class Authority:
    """An account, by its key, at the authority with this directory. Whoever makes one has agreed to its terms."""

    def __init__(self, directory: str, account_key: str) -> None:
        key = JWKEC.load(account_key.encode())
        self._key = key
        self._net = client.ClientNetwork(key, alg=ES256, user_agent="callvoip", timeout=TIMEOUT_S)
        self._acme = client.ClientV2(client.ClientV2.get_directory(directory, self._net), self._net)

    def order(self, names: list[str], published: Challenges) -> str:
        """PEM of a new key with the chain for it. Raises acme.errors.Error, messages.Error, or requests' for the network's."""
        self._sign_in()
        key = new_key()
        order = self._acme.new_order(_request(key, names))
        answers: dict[str, list[str]] = {}
        pending: list[Answered] = []
        for authorization in order.authorizations:
            if authorization.body.status == messages.STATUS_VALID:
                continue  # of an order before this one
            offered = _dns(authorization.body)
            response, validation = offered.chall.response_and_validation(self._key)
            # Of *.example.nl it is that of example.nl: both answers stand under one name.
            answers.setdefault(f"{CHALLENGE}.{authorization.body.identifier.value}", []).append(validation)
            pending.append((offered, response))
        try:
            for name, values in answers.items():
                published.publish(name, values)
            for offered, response in pending:
                self._acme.answer_challenge(offered, response)
            order = self._acme.poll_authorizations(order, _deadline())
            order = self._acme.finalize_order(order, _deadline())
        finally:
            _withdraw(published, answers)
        return key + order.fullchain_pem

    def _sign_in(self) -> None:
        """The account of our key: it is made the first time, and found by the key ever after."""
        account = messages.NewRegistration(key=self._key.public_key(), terms_of_service_agreed=True)
        try:
            self._acme.new_account(account)
        except errors.ConflictError as known:
            self._net.account = messages.RegistrationResource(uri=known.location, body=messages.Registration())


def _withdraw(published: Challenges, answers: Mapping[str, list[str]]) -> None:
    """An answer that stays does no harm, and the next order writes over it: no certificate is lost for that."""
    for name, values in answers.items():
        try:
            published.withdraw(name, values)
        except Exception:
            logger.exception("certificate: an answer to a challenge stays in the zone", extra={"record": name})


def new_key() -> str:
    """A private key on P-256, PEM."""
    made = ec.generate_private_key(ec.SECP256R1())
    return made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _request(key: str, names: list[str]) -> bytes:
    """A signing request (RFC 2986); the names stand in subjectAltName alone."""
    signer = serialization.load_pem_private_key(key.encode(), password=None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)  # noqa: S101
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _dns(authorization: messages.Authorization) -> messages.ChallengeBody:
    for offered in authorization.challenges:
        if isinstance(offered.chall, challenges.DNS01):
            return offered
    raise errors.Error(f"the authority offers no DNS challenge for {authorization.identifier.value}")


def _deadline() -> datetime:
    """Naive local time, as acme compares it."""
    return (datetime.now(UTC) + PATIENCE).astimezone().replace(tzinfo=None)

"""Twice a day: the nodes' certificate is renewed in time, by ACME, and how long it lasts is measured.

Whatever fails leaves the one in use, counts for an alarm, and is tried again with the next run.
"""

import os
import ssl
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, cast

from fleet import authority, certificate
from fleet.authority import Authority, Challenges
from fleet.challenges import ChallengeZone
from shared import aws, clock, settings
from shared.telemetry import count, flush, logger, measure

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_ssm import SSMClient


class Values(Protocol):
    """Where secrets are kept, by name."""

    def read(self, name: str) -> str: ...
    def write(self, name: str, value: str) -> None: ...


class Parameters:
    """Values in Systems Manager, SecureStrings all."""

    def __init__(self) -> None:
        made = aws.client("ssm", connect_timeout_s=3, read_timeout_s=10, attempts=6)
        self._client = cast("SSMClient", made)

    def read(self, name: str) -> str:
        """The value, empty when there is none. Raises ClientError."""
        try:
            return self._client.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
        except self._client.exceptions.ParameterNotFound:
            return ""

    def write(self, name: str, value: str) -> None:
        """Puts it in the place of the one before. Raises ClientError. Over 4 KB it becomes an Advanced parameter."""
        self._client.put_parameter(
            Name=name, Value=value, Type="SecureString", Overwrite=True, Tier="Intelligent-Tiering"
        )


@dataclass(frozen=True, kw_only=True)
class Renewal:
    """The certificate of one SIP domain, and the authority that it is ordered from."""

    sip_domain: str
    directory: str
    """An ACME directory's URL; empty where the operator puts the certificate himself, as he has not agreed to any terms."""
    certificate_name: str
    account_name: str
    values: Values
    challenges: Challenges

    def run(self, now: datetime) -> bool:
        """Orders a new one when that is due; whether there is one. Raises what the order and AWS raise, ValueError for a
        certificate that cannot serve; the value in use has then not been touched.
        """
        held = self.values.read(self.certificate_name)
        why = certificate.due(held, self.sip_domain, now)
        if not why:
            return False
        if not self.directory:
            logger.warning("certificate: due and not ordered, terms_agreed is false in stage.toml", extra={"why": why})
            return False
        logger.info("certificate: ordering", extra={"why": why, "directory": self.directory})
        pem = self._order()
        if found := certificate.problem(pem, self.sip_domain, clock.now()):
            raise ValueError(f"the authority's certificate cannot be used: {found}")
        try_out(pem, self.sip_domain)
        self.values.write(self.certificate_name, pem)
        return True

    def _order(self) -> str:
        account_key = self.values.read(self.account_name)
        if not account_key:
            # Kept before it is used: a run that ends in between finds its account again.
            account_key = authority.new_key()
            self.values.write(self.account_name, account_key)
        return Authority(self.directory, account_key).order(certificate.names(self.sip_domain), self.challenges)

    def days_left(self, now: datetime) -> float:
        """Of the one in use. Raises ClientError."""
        return certificate.days_left(self.values.read(self.certificate_name), now)


def try_out(pem: str, sip_domain: str) -> None:
    """A server with this text and a phone that checks names shake hands, for the domain and for an environment's name.

    Raises ssl.SSLError. The chain is trusted here for what it is: which roots phones have is not known to us.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)  # in memory only: the key reaches no disk
    try:
        os.write(descriptor, pem.encode())
        server.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    phone = ssl.create_default_context(cadata=pem[pem.index("-----BEGIN CERTIFICATE") :])
    phone.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    for name in (sip_domain, f"k7m2qx.{sip_domain}"):
        up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
        ends = [phone.wrap_bio(down, up, server_hostname=name), server.wrap_bio(up, down, server_side=True)]
        while ends:
            for end in tuple(ends):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue
                ends.remove(end)


def renewal() -> Renewal:
    """That of this deployment. Raises MissingSettingError or WrongSettingError."""
    found = settings.certificate()
    return Renewal(
        sip_domain=found.sip_domain,
        directory=found.directory,
        certificate_name=found.certificate_parameter,
        account_name=found.account_parameter,
        values=Parameters(),
        challenges=ChallengeZone(found.zone_id),
    )


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, bool]:
    """Renew the certificate when it is time, and measure how long it lasts."""
    this = renewal()
    try:
        renewed = run(this)
        measure("CertificateDaysLeft", this.days_left(clock.now()))
        return {"renewed": renewed}
    finally:
        flush()


def run(this: Renewal) -> bool:
    """Whether there is a new certificate. One that could not be had is counted, and the old one serves on."""
    try:
        renewed = this.run(clock.now())
    except Exception:
        # Not raised: Lambda would try it twice more within minutes, and authorities count failed orders by the hour.
        logger.exception("certificate: not renewed")
        count("CertificateFailed")
        return False
    if renewed:
        logger.info("certificate: renewed")
        count("CertificateRenewed")
    return renewed

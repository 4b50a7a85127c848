"""The node's parameters in Systems Manager: certificate, private key (a SecureString) and trunk."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


def read(client: SSMClient, names: list[str]) -> dict[str, str]:
    """The values of these parameters, decrypted; blocks. Raises aws.Unavailable, or LookupError naming those that do
    not exist.
    """
    answer = client.get_parameters(Names=names, WithDecryption=True)
    if missing := answer.get("InvalidParameters"):
        raise LookupError(f"no such parameter: {', '.join(missing)}")
    return {parameter["Name"]: parameter["Value"] for parameter in answer["Parameters"]}


def load_chain(context: ssl.SSLContext, certificate: str, private_key: str) -> None:
    """Puts a PEM chain and its key into a TLS context, also one in use. Raises ssl.SSLError when they do not fit.

    OpenSSL reads files; these exist in memory only, so the key never reaches a disk.
    """
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, f"{certificate.strip()}\n{private_key.strip()}\n".encode())
        # Tried apart first: a chain without its key, as between two writes of an operator, must not end every handshake.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(f"/proc/self/fd/{descriptor}")
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)

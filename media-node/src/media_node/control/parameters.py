"""The node's parameters in Systems Manager: its certificate (chain and key in one SecureString) and the trunk."""

from __future__ import annotations

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

"""Clients of AWS that start quickly: botocore's own session first looks through everything that AWS has."""

import os
import sys
from functools import cache
from typing import Any, ClassVar

# botocore takes up pyOpenSSL where it is installed, as it is for acme, and every cold start would pay for it: here it is not.
sys.modules.setdefault("urllib3.contrib.pyopenssl", None)  # type: ignore[arg-type]

from botocore.config import Config  # noqa: E402
from botocore.loaders import Loader, instance_cache  # noqa: E402
from botocore.parsers import JSONParser, ResponseParserFactory  # noqa: E402
from botocore.session import Session  # noqa: E402


class _OursOnly(Loader):
    """botocore's data about the few services that we call;
    https://botocore.amazonaws.com/v1/documentation/api/latest/reference/loaders.html.

    In place of a search through the folders of 400 services for those that exist, and of a megabyte that names each
    endpoint of AWS: ours all follow the one pattern, as the tests hold against the megabyte.
    """

    SERVICES: ClassVar[list[str]] = ["dynamodb", "ec2", "route53", "secretsmanager", "sesv2", "ssm"]
    ENDPOINTS: ClassVar[dict[str, Any]] = {
        "version": 3,
        "partitions": [
            {
                "partition": "aws",
                "dnsSuffix": "amazonaws.com",
                "regionRegex": r"^\w+-\w+-\d+$",
                "defaults": {
                    "hostname": "{service}.{region}.{dnsSuffix}",
                    "protocols": ["https"],
                    "signatureVersions": ["v4"],
                },
                "regions": {},
                "services": {},
            }
        ],
    }

    def list_available_services(self, type_name: str) -> list[str]:
        return self.SERVICES

    @instance_cache
    def load_data_with_path(self, name: str) -> tuple[Any, str]:
        return (self.ENDPOINTS, "") if name == "endpoints" else super().load_data_with_path(name)


# It keeps what it read, whatever session asks.
_DATA = _OursOnly()
_TYPED = frozenset({"AttributeMap", "AttributeValue", "Key"})


class _AsTheyCome(JSONParser):
    """DynamoDB's typed values as they come: they are JSON already, and walking through each takes longer than all the rest.

    Left out is what botocore makes of binary values, of which we keep none.
    """

    def _parse_shape(self, shape: Any, node: Any) -> Any:
        return node if shape.name in _TYPED else super()._parse_shape(shape, node)  # type: ignore[misc]


class _Parsers(ResponseParserFactory):
    def create_parser(self, protocol_name: str) -> Any:
        return _AsTheyCome() if protocol_name == "json" else super().create_parser(protocol_name)


def client(service: str, *, connect_timeout_s: float, read_timeout_s: float, attempts: int) -> Any:
    """A client of a service in our region.

    Of botocore and not of boto3, whose import also brings S3's transfers: a fifth of a cold start.
    """
    config = Config(
        connect_timeout=connect_timeout_s,
        read_timeout=read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": attempts},
    )
    return _session().create_client(service, os.environ["AWS_REGION"], config=config)


@cache
def _session() -> Session:
    session = Session()
    session.register_component("data_loader", _DATA)
    session.register_component("response_parser_factory", _Parsers())
    return session

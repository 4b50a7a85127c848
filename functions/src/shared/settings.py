"""What the environment tells the functions, read once."""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_BUNDLE = Path(__file__).parents[1]
_CHECKOUT = Path(__file__).parents[3]


class MissingSettingError(RuntimeError):
    """A variable that this function needs is not in its environment."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the environment variable {name} is not set; infra/ gives it to the function")
        self.name = name


class WrongSettingError(RuntimeError):
    """A variable has a value that cannot be used."""

    def __init__(self, name: str, value: str, wanted: str) -> None:
        super().__init__(f"the environment variable {name} is {value!r}; it must be {wanted}")
        self.name = name


@dataclass(frozen=True)
class FleetSettings:
    """The reconciler's bounds: where it may launch nodes, of which types, how many, and how many calls one carries."""

    name: str
    region: str
    launch_template_id: str
    subnet_ids: tuple[str, ...]
    instance_types: tuple[str, ...]
    """In order of preference; empty: only the launch template's own type."""
    node_capacity_calls: int
    max_nodes: int
    release: str
    """The software and image that nodes should run; empty: whatever they run will do."""
    standby: bool
    spare_nodes: int
    rolled_at_once: int
    zone_id: str
    """The hosted zone of the SIP domain; empty: phones are given addresses."""
    sip_domain: str


@dataclass(frozen=True)
class CertificateSettings:
    """What the nodes' certificate is for, where it is ordered and where it is kept."""

    sip_domain: str
    zone_id: str
    certificate_parameter: str
    account_parameter: str
    directory: str
    """Empty where none is to be ordered."""


@cache
def required(name: str) -> str:
    """A variable's value; raises MissingSettingError that names it."""
    value = os.environ.get(name, "")
    if not value:
        raise MissingSettingError(name)
    return value


def in_lambda() -> bool:
    """Whether AWS's runtime has started this process."""
    return "AWS_LAMBDA_RUNTIME_API" in os.environ


def region() -> str:
    """The AWS region, which Lambda itself tells."""
    return required("AWS_REGION")


def orders_table() -> str:
    """The name of the table of orders; like the other tables', only in the environment of functions that may use it."""
    return required("ORDERS_TABLE")


def catalogue_table() -> str:
    """The name of the table of offerings, promotions and VAT rates."""
    return required("CATALOGUE_TABLE")


def fleet_table() -> str:
    """The name of the table of nodes, allocations and assignments."""
    return required("FLEET_TABLE")


def cdr_table() -> str:
    """The name of the table of call records."""
    return required("CDR_TABLE")


def customers_table() -> str:
    """The name of the table of customers, products, environments and numbers."""
    return required("CUSTOMERS_TABLE")


@cache
def look_parts() -> int:
    """In how many parts the reconciler looks at the fleet; raises WrongSettingError."""
    return _positive("LOOK_PARTS") if os.environ.get("LOOK_PARTS") else 1


@cache
def node_capacity_calls() -> int:
    """How many concurrent calls a media node is sold for; raises MissingSettingError or WrongSettingError."""
    return _positive("NODE_CAPACITY_CALLS")


@cache
def fleet() -> FleetSettings:
    """The reconciler's settings; raises MissingSettingError or WrongSettingError."""
    return FleetSettings(
        name=required("FLEET_NAME"),
        region=region(),
        launch_template_id=required("LAUNCH_TEMPLATE_ID"),
        subnet_ids=_list(required("SUBNET_IDS")),
        instance_types=_list(os.environ.get("INSTANCE_TYPES", "")),
        node_capacity_calls=node_capacity_calls(),
        max_nodes=_positive("MAX_NODES"),
        release=os.environ.get("NODE_RELEASE", ""),
        standby=_word("STANDBY", "yes", "no") == "yes",
        spare_nodes=int(os.environ.get("SPARE_NODES") or 0),
        rolled_at_once=_positive("ROLLED_AT_ONCE") if os.environ.get("ROLLED_AT_ONCE") else 1,
        zone_id=os.environ.get("ZONE_ID", ""),
        sip_domain=os.environ.get("SIP_DOMAIN", ""),
    )


@cache
def certificate() -> CertificateSettings:
    """The settings of the nodes' certificate; raises MissingSettingError or WrongSettingError."""
    agreed = _word("ACME_TERMS_AGREED", "no", "yes") == "yes"
    return CertificateSettings(
        sip_domain=required("SIP_DOMAIN"),
        zone_id=required("ZONE_ID"),
        certificate_parameter=required("CERTIFICATE_PARAMETER"),
        account_parameter=required("ACME_ACCOUNT_PARAMETER"),
        directory=required("ACME_DIRECTORY") if agreed else "",
    )


@cache
def store_timeout_s() -> float | None:
    """How long to wait for DynamoDB, once, in seconds; None where nobody is waiting for the answer."""
    value = os.environ.get("STORE_TIMEOUT_S")
    return float(value) if value else None


@cache
def sales_group() -> str:
    """The group of the identity provider whose members may see and decide orders."""
    return os.environ.get("SALES_GROUP") or "sales"


@cache
def origin_secret() -> str:
    """What the distribution tells with each request; empty where the functions stand behind none."""
    return os.environ.get("ORIGIN_SECRET", "")


def order_key() -> str:
    """The secret from which orders' tokens and challenges are made today."""
    return order_keys()[0]


@cache
def order_keys() -> tuple[str, ...]:
    """The secrets by which tokens are known, newest first: a link that was mailed works for as long as its key is kept.

    From the secret that ORDER_KEY_SECRET names, read once when it is first asked for, or else from ORDER_KEY itself.
    """
    name = os.environ.get("ORDER_KEY_SECRET")
    if not name:
        return _list(required("ORDER_KEY"))
    from shared import aws  # botocore only for those who read the secret

    store = aws.client("secretsmanager", connect_timeout_s=1, read_timeout_s=2, attempts=2)
    return _list(store.get_secret_value(SecretId=name)["SecretString"])


@cache
def site_url() -> str:
    """Where the site stands, without a slash at the end: what links in mail begin with."""
    return required("SITE_URL").rstrip("/")


@cache
def mail_from() -> str:
    """The address that mail to customers comes from."""
    return required("MAIL_FROM")


@cache
def orders_per_hour() -> int:
    """How many orders one source may place within an hour."""
    return _positive("ORDERS_PER_HOUR") if os.environ.get("ORDERS_PER_HOUR") else 60


@cache
def data_directory() -> Path:
    """Where the catalogue, the brand and the forms stand: in the bundle, or in a checkout at the site."""
    return _directory("DATA_DIR", _BUNDLE / "data", _CHECKOUT / "site" / "data")


@cache
def views_directory() -> Path:
    """Where the Jinja2 templates stand that Hugo made: in the bundle, or in a checkout where the build puts them."""
    return _directory("VIEWS_DIR", _BUNDLE / "views", _CHECKOUT / "build" / "views")


def _directory(name: str, bundled: Path, checkout: Path) -> Path:
    if value := os.environ.get(name):
        return Path(value)
    return bundled if bundled.is_dir() else checkout


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _word(name: str, *words: str) -> str:
    """One of these words, the first when nothing is said."""
    value = os.environ.get(name) or words[0]
    if value not in words:
        raise WrongSettingError(name, value, f"one of {', '.join(words)}")
    return value


def _positive(name: str) -> int:
    value = required(name)
    if not value.isascii() or not value.isdigit() or int(value) == 0:
        raise WrongSettingError(name, value, "a whole number above 0")
    return int(value)

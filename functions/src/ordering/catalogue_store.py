"""The catalogue in DynamoDB."""

from ordering import items
from ordering.catalogue import Catalogue
from shared import dynamodb
from shared.dynamodb import marshal

_FIXED_IN_A_VERSION = ("unitPriceCents", "validFrom", "unit", "period", "currency")


class ChangedOfferingError(ValueError):
    """A version of an offering was changed in place; orders refer to it, so a change is a new version."""

    def __init__(self, sk: str) -> None:
        super().__init__(
            f"{sk} was loaded before with another price, unit or day; give the change a new version in catalogue.toml"
        )


class CatalogueStore:
    """The catalogue table."""

    def __init__(self, table: str) -> None:
        self._table = table

    def read(self) -> Catalogue:
        """The catalogue that the last deploy loaded; raises LookupError when none was."""
        return items.to_catalogue(dynamodb.partition(self._table, "CATALOGUE"))

    def load(self, catalogue: Catalogue) -> None:
        """Make the table hold this catalogue; raises ChangedOfferingError when a version that was loaded before has
        another price now.
        """
        wanted = items.from_catalogue(catalogue)
        held = {item["sk"]: item for item in dynamodb.partition(self._table, "CATALOGUE")}
        for sk, item in wanted.items():
            before = held.get(sk)
            if (
                before
                and sk.startswith("OFFERING#")
                and any(before[name] != item[name] for name in _FIXED_IN_A_VERSION)
            ):
                raise ChangedOfferingError(sk)
        for sk, item in wanted.items():
            if held.get(sk) != {"pk": "CATALOGUE", "sk": sk, **item}:
                dynamodb.client().put_item(TableName=self._table, Item=marshal({"pk": "CATALOGUE", "sk": sk, **item}))
        for sk in held.keys() - wanted.keys():
            # Offerings stay: orders refer to their versions. A promotion that was taken off the list must not run on.
            if not sk.startswith("OFFERING#"):
                dynamodb.client().delete_item(TableName=self._table, Key=marshal({"pk": "CATALOGUE", "sk": sk}))

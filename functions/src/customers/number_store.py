"""Numbers in DynamoDB: each has a partition of its own with its history, so that one number can have one state only."""

from collections.abc import Iterator
from contextlib import suppress

from customers import number
from customers.number import Number, NumberEvent, State
from customers.store import BY_LIST
from shared import dynamodb
from shared.dynamodb import BusyError, Item, Write, marshal, unmarshal


class UnknownNumberError(LookupError):
    """We never had to do with this number."""


class _ChangedMeanwhileError(Exception):
    pass


class NumberStore:
    """The customers table, as far as it holds numbers."""

    def __init__(self, table: str) -> None:
        self._table = table

    def find(self, wanted: str) -> Number | None:
        """A number as it is, if there is one."""
        item = dynamodb.get(self._table, f"NUMBER#{wanted}", "NUMBER")
        return number.from_item(item) if item else None

    def get(self, wanted: str) -> Number:
        """A number as it is; raises UnknownNumberError."""
        found = self.find(wanted)
        if found is None:
            raise UnknownNumberError(wanted)
        return found

    def history(self, wanted: str) -> list[NumberEvent]:
        """All that happened to a number, oldest first."""
        return [number.event_from_item(item) for item in dynamodb.partition(self._table, f"NUMBER#{wanted}", "EVENT#")]

    def free(self, prefix: str, most: int) -> list[str]:
        """So many free numbers that begin like this, lowest first."""
        answer = dynamodb.client().query(
            TableName=self._table,
            IndexName=BY_LIST,
            KeyConditionExpression="#list = :list AND begins_with(listKey, :prefix)",
            ExpressionAttributeNames={"#list": "list"},
            ExpressionAttributeValues=marshal({":list": f"NUMBERS#{State.FREE.value}", ":prefix": prefix}),
            Limit=most,
        )
        return [unmarshal(item)["listKey"] for item in answer["Items"]]

    def in_state(self, state: State) -> Iterator[str]:
        """All numbers in a state, lowest first, as the index has them."""
        query = {
            "TableName": self._table,
            "IndexName": BY_LIST,
            "KeyConditionExpression": "#list = :list",
            "ExpressionAttributeNames": {"#list": "list"},
            "ExpressionAttributeValues": marshal({":list": f"NUMBERS#{state.value}"}),
        }
        for page in dynamodb.pages(**query):
            yield from (unmarshal(item)["listKey"] for item in page["Items"])

    def begin(self, made: Number) -> bool:
        """Write a number that is new; False when we know it already."""
        with suppress(_ChangedMeanwhileError):
            dynamodb.transact(*self._writes(made, "attribute_not_exists(pk)"))
            return True
        return False

    def write(self, before: Number, after: Number) -> bool:
        """Write a number's change; False when somebody else changed it meanwhile."""
        with suppress(_ChangedMeanwhileError):
            dynamodb.transact(*self._writes(after, "#version = :version", version=before.version))
            return True
        return False

    def replace(self, before: Number, after: Number) -> list[Write]:
        """A number's change, for another transaction; its refusal is BusyError, as the number was looked at before."""
        condition = "#version = :version"
        return self._writes(after, condition, refused=BusyError, version=before.version)

    def _writes(
        self, after: Number, condition: str, *, refused: type[Exception] = _ChangedMeanwhileError, **values: int
    ) -> list[Write]:
        pk = f"NUMBER#{after.number}"
        item: Item = {
            "pk": pk,
            "sk": "NUMBER",
            **number.to_item(after),
            "list": f"NUMBERS#{after.state.value}",
            "listKey": after.number,
        }
        made = [dynamodb.put(self._table, item, lambda _: refused(), condition, **values)]
        for event in after.news:
            key = {"pk": pk, "sk": f"EVENT#{event.version:06d}"}
            made.append(
                dynamodb.put(
                    self._table, {**key, **number.event_to_item(event)}, lambda _: refused(), "attribute_not_exists(pk)"
                )
            )
        return made

"""What Mijn omgeving keeps in the customers table: requests for links, sessions, and how often a source or an address asked.

Keys: SIGN-IN#{id}/SIGN-IN, PERSON#{person}/SESSION#{hash}, LIMIT#{what}#{hash}/HOUR#{hour}. All of it expires.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from customers.portal.proof import Proof
from customers.portal.sessions import Session
from customers.portal.sign_in import LinkUsedError, SignIn
from shared import dynamodb
from shared.clock import from_iso, to_iso

_COUNTED_FOR = timedelta(hours=1)
SESSIONS_SHOWN = 50


class PortalStore:
    """The customers table, as far as signing in goes."""

    def __init__(self, table: str) -> None:
        self._table = table

    def count(self, what: str, whom: str, now: datetime) -> int:
        """Count one more of something for somebody within this hour, and answer how many there are now."""
        answer = dynamodb.client().update_item(
            TableName=self._table,
            Key=dynamodb.marshal(_limit(what, whom, now)),
            UpdateExpression="SET expiresAt = :expiresAt ADD times :one",
            ExpressionAttributeValues=dynamodb.marshal(
                {":expiresAt": int((now + _COUNTED_FOR).timestamp()), ":one": 1}
            ),
            ReturnValues="UPDATED_NEW",
        )
        return int(dynamodb.unmarshal(answer["Attributes"])["times"])

    def counted(self, what: str, whom: str, now: datetime) -> int:
        """How many there were within this hour."""
        found = dynamodb.get(self._table, *_limit(what, whom, now).values())
        return int(found["times"]) if found else 0

    def put_sign_in(self, asked: SignIn) -> None:
        """Keep a request for a link; the table's stream has it mailed."""
        dynamodb.client().put_item(TableName=self._table, Item=dynamodb.marshal(_from_sign_in(asked)))

    def sign_in(self, request_id: str) -> SignIn | None:
        """A request for a link; None when there is none with this id."""
        item = dynamodb.get(self._table, f"SIGN-IN#{request_id}", "SIGN-IN")
        return to_sign_in(item) if item else None

    def begin(self, used: SignIn, session: Session) -> None:
        """Use a link up and begin a session, both or neither; raises LinkUsedError."""
        unused = "attribute_exists(pk) AND attribute_not_exists(usedAt)"
        dynamodb.transact(
            dynamodb.put(self._table, _from_sign_in(used), lambda _: LinkUsedError(), unused),
            dynamodb.put(self._table, _from_session(session), lambda _: LinkUsedError(), "attribute_not_exists(pk)"),
        )

    def session(self, person: str, secret_sha256: str) -> Session | None:
        """A session, alive or not; None when it was ended."""
        item = dynamodb.get(self._table, f"PERSON#{person}", f"SESSION#{secret_sha256}")
        return _to_session(item) if item else None

    def sessions(self, person: str, now: datetime) -> list[Session]:
        """The sessions of a person that are alive, the newest first."""
        found = map(_to_session, dynamodb.partition(self._table, f"PERSON#{person}", "SESSION#"))
        alive = sorted((one for one in found if one.is_alive(now)), key=lambda one: one.started_at, reverse=True)
        return alive[:SESSIONS_SHOWN]

    def put_session(self, session: Session) -> None:
        """Keep what changed of a session, unless it was ended meanwhile."""
        put = dynamodb.put(self._table, _from_session(session), lambda _: _EndedError(), "attribute_exists(pk)")
        try:
            dynamodb.transact(put)
        except _EndedError:
            return

    def new_session(self, session: Session) -> None:
        """Begin a session without a link: of somebody who is signed in already."""
        dynamodb.client().put_item(TableName=self._table, Item=dynamodb.marshal(_from_session(session)))

    def put_proof(self, proof: Proof) -> None:
        """Keep a new mail address until its link is opened; the table's stream has it mailed."""
        dynamodb.client().put_item(TableName=self._table, Item=dynamodb.marshal(_from_proof(proof)))

    def proof(self, proof_id: str) -> Proof | None:
        """A new mail address that waits for its link; None when there is none with this id."""
        item = dynamodb.get(self._table, f"PROOF#{proof_id}", "PROOF")
        return to_proof(item) if item else None

    def end_proof(self, proof: Proof) -> None:
        """Its link works no more."""
        key = {"pk": f"PROOF#{proof.id}", "sk": "PROOF"}
        dynamodb.client().delete_item(TableName=self._table, Key=dynamodb.marshal(key))

    def end(self, session: Session) -> None:
        """End a session; nothing happens when it was ended before."""
        key = {"pk": f"PERSON#{session.person}", "sk": f"SESSION#{session.secret_sha256}"}
        dynamodb.client().delete_item(TableName=self._table, Key=dynamodb.marshal(key))


class _EndedError(Exception):
    """The session was ended by another request."""


def to_sign_in(item: Mapping[str, Any]) -> SignIn:
    """The request for a link that an item holds."""
    return SignIn(
        id=item["pk"].removeprefix("SIGN-IN#"),
        email=item["email"],
        browser_sha256=item["browserSha256"],
        language=item["language"],
        asked_at=from_iso(item["askedAt"]),
        links=item["links"],
        used_at=from_iso(item["usedAt"]) if "usedAt" in item else None,
    )


def _from_sign_in(asked: SignIn) -> dynamodb.Item:
    item: dynamodb.Item = {
        "pk": f"SIGN-IN#{asked.id}",
        "sk": "SIGN-IN",
        "email": asked.email,
        "browserSha256": asked.browser_sha256,
        "language": asked.language,
        "askedAt": to_iso(asked.asked_at),
        "links": asked.links,
        # Longer than the link works, so that who comes late hears that it has expired.
        "expiresAt": int((asked.asked_at + timedelta(days=1)).timestamp()),
    }
    return {**item, "usedAt": to_iso(asked.used_at)} if asked.used_at else item


def to_proof(item: Mapping[str, Any]) -> Proof:
    """The new mail address that an item holds."""
    return Proof(
        id=item["pk"].removeprefix("PROOF#"),
        customer_id=item["customerId"],
        contact_id=item["contactId"],
        email=item["email"],
        language=item["language"],
        asked_at=from_iso(item["askedAt"]),
    )


def _from_proof(proof: Proof) -> dynamodb.Item:
    return {
        "pk": f"PROOF#{proof.id}",
        "sk": "PROOF",
        "customerId": proof.customer_id,
        "contactId": proof.contact_id,
        "email": proof.email,
        "language": proof.language,
        "askedAt": to_iso(proof.asked_at),
        "expiresAt": int((proof.asked_at + timedelta(days=1)).timestamp()),
    }


def _to_session(item: Mapping[str, Any]) -> Session:
    return Session(
        person=item["pk"].removeprefix("PERSON#"),
        secret_sha256=item["sk"].removeprefix("SESSION#"),
        email=item["email"],
        customer_id=item["customerId"],
        language=item["language"],
        browser=item["browser"],
        network=item["network"],
        started_at=from_iso(item["startedAt"]),
        seen_at=from_iso(item["seenAt"]),
    )


def _from_session(session: Session) -> dynamodb.Item:
    return {
        "pk": f"PERSON#{session.person}",
        "sk": f"SESSION#{session.secret_sha256}",
        "email": session.email,
        "customerId": session.customer_id,
        "language": session.language,
        "browser": session.browser,
        "network": session.network,
        "startedAt": to_iso(session.started_at),
        "seenAt": to_iso(session.seen_at),
        "expiresAt": int(session.expires_at.timestamp()),
    }


def _limit(what: str, whom: str, now: datetime) -> dict[str, str]:
    return {"pk": f"LIMIT#{what}#{whom}", "sk": f"HOUR#{now:%Y-%m-%dT%H}"}

"""How odd an order looks, as points with reasons that sales reads. It refuses nothing: a person decides. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto

from ordering.order import Suspicion

TOO_FAST = timedelta(seconds=3)
"""Nobody fills in the form in less."""
OFTEN = 3
"""From so many orders a day on a source is repeated; a firm behind one address rarely places more."""

# Well-known mailboxes for ten minutes; kept short on purpose, as it weighs and does not refuse.
DISPOSABLE = frozenset(
    {
        "10minutemail.com", "dispostable.com", "fakeinbox.com", "getnada.com", "grr.la", "guerrillamail.com", "mailcatch.com",
        "maildrop.cc", "mailinator.com", "mailnesia.com", "mintemail.com", "moakt.com", "mohmal.com", "mytemp.email", "sharklasers.com",
        "spam4.me", "temp-mail.org", "tempail.com", "tempmail.com", "throwawaymail.com", "trashmail.com", "wegwerfmail.de", "yopmail.com",
    }
)  # fmt: skip


class Proof(Enum):
    """What became of the proof of work."""

    ABSENT = auto()
    """Without JavaScript there is none."""
    GOOD = auto()
    WRONG = auto()
    """Not solved, too old, used before, or made for somebody else."""


@dataclass(frozen=True)
class Clues:
    """What there is to see: `age` since the form was shown, if that is known; orders from the same source in the last
    day.
    """

    honeypot: bool
    proof: Proof
    age: timedelta | None
    email: str
    orders_before: int


def suspicions(clues: Clues) -> tuple[Suspicion, ...]:
    """The reasons to look twice, and what each weighs; a score of 50 or more deserves a telephone call."""
    return tuple(_suspicions(clues))


def _suspicions(clues: Clues) -> Iterator[Suspicion]:
    if clues.honeypot:
        yield Suspicion("honeypot", "Het verborgen veld is ingevuld; een mens ziet dat veld niet.", 60)
    if clues.proof is Proof.ABSENT:
        yield Suspicion("no_proof", "Zonder JavaScript besteld: er is geen rekenbewijs.", 15)
    if clues.proof is Proof.WRONG:
        yield Suspicion("wrong_proof", "Het rekenbewijs klopt niet, is verlopen of is al gebruikt.", 35)
    if clues.age is not None and clues.age < TOO_FAST:
        yield Suspicion("too_fast", f"Binnen {TOO_FAST.seconds} seconden ingevuld.", 25)
    if _is_disposable(clues.email):
        yield Suspicion("disposable", "Het e-mailadres is van een wegwerpdienst.", 40)
    if clues.orders_before >= OFTEN:
        text = f"Van hetzelfde adres op internet kwamen de afgelopen dag al {clues.orders_before} bestellingen."
        yield Suspicion("repeated", text, min(40, 10 * (clues.orders_before - OFTEN + 1)))


def _is_disposable(email: str) -> bool:
    """Whether the domain, or one that it is under, is on the list."""
    labels = email.rpartition("@")[2].lower().split(".")
    return any(".".join(labels[n:]) in DISPOSABLE for n in range(len(labels)))

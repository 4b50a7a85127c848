"""What a node noticed of an environment and its customer and sales are told, each kind once a day: a limit that was reached, or that
112 would fail from it. Pure.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache

from customers import account as accounts
from customers.account import Account, EventKind
from customers.states import FLEET
from shared import html, settings
from shared.clock import local_day

SHOWN_FOR = timedelta(days=7)
"""So long Mijn omgeving says it."""


@cache
def words(language: str = html.DUTCH) -> Mapping[str, str]:
    """What is read of each kind: site/data/notices.toml, in one of our languages."""
    directory = settings.data_directory() / ("" if language == html.DUTCH else language)
    data = tomllib.loads((directory / "notices.toml").read_text(encoding="utf-8"))
    return {kind: entry["text"] for kind, entry in data.items()}


def note(account: Account, told: Mapping[str, str], at: datetime) -> Account:
    """The account after its node told of these kinds, each with its day; what is known already, or by no name of ours, is left."""
    for kind, day in sorted(told.items()):
        if kind not in words() or account.notices.get(kind, "") >= day:
            continue
        account = replace(account, notices={**account.notices, kind: day})
        event = EventKind.EMERGENCY_CHECK_FAILED if kind.startswith("emergency") else EventKind.LIMIT_REACHED
        account = accounts.add_event(account, event, FLEET, at, words()[kind], notice=kind, day=day)
    return account


def shown(account: Account, now: datetime, language: str = html.DUTCH) -> list[Mapping[str, str]]:
    """What of the last days is still said, the newest first."""
    since = str(local_day(now) - SHOWN_FOR)
    found = [{"day": day, "text": words(language)[kind]} for kind, day in account.notices.items() if day >= since]
    return sorted(found, key=lambda one: one["day"], reverse=True)

"""No environment is called ready before a call has gone through it: two phones of the node's own, in the customer's
environment (docs/decisions/0003), call each other through the node's own port.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from media_node.call.directory import Environment, Phone
from media_node.log import Event, log
from media_node.probe.check import Account, check
from media_node.probe.probed import Probed
from media_node.sip.digest import Algorithm
from media_node.suites import DESK_PHONES

SECONDS: Final = 1.5
"""How long the two talk."""
GUEST: Final = "probe"
"""What the extensions of the probe's phones begin with; a customer's are numbers."""
AT_ONCE: Final = 4
"""Environments that are called through at a time."""
LOOK_INTERVAL: Final = 0.2
"""Seconds between two looks at what is due."""
REPEAT_HOURS: Final = 20
LATEST_HOURS: Final = 30
QUIET_HOURS: Final = range(0, 5)
"""Hours of the day in UTC in which offices of both countries sleep."""
_LONGEST_WAIT: Final = 30.0


@dataclass(frozen=True)
class Door:
    """Where the node listens, under which domain and certificate."""

    host: str
    port: int
    domain: str
    chain: str


def due(environment: Environment, probed: Probed | None, epoch: int | None, now_ms: int) -> bool:
    """Whether an environment is to be called through: never proved, moved since (another epoch), or proved so long ago
    that a quiet moment of the day will do, and at the latest after 30 hours.
    """
    if probed is None or not probed.ok or epoch != environment.epoch:
        return True
    hours = (now_ms - probed.at) / 3_600_000
    quiet = datetime.fromtimestamp(now_ms / 1000, UTC).hour in QUIET_HOURS
    return hours >= LATEST_HOURS or (quiet and hours >= REPEAT_HOURS)


@dataclass
class _Try:
    """What is known of an environment's probes beside their result."""

    epoch: int | None = None
    """Of the newest result."""
    failures: int = 0
    not_before: float = 0.0
    running: bool = False


class EnvironmentProbe:
    """Calls through each environment until that has worked, and once a day from then on; several at a time, those that
    were never proved first. One that fails is tried again ever later, and keeps no other waiting.

    `guests` is told which phones must exist for the calls that run; `changed` when there is a result.
    """

    def __init__(
        self, door: Callable[[], Door], guests: Callable[[tuple[Phone, ...]], None], changed: Callable[[], None]
    ):
        self._door = door
        self._guests = guests
        self._changed = changed
        self._environments: tuple[Environment, ...] = ()
        self._tries: dict[str, _Try] = {}
        self._phones: dict[str, tuple[Phone, ...]] = {}
        self.results: dict[str, Probed] = {}
        """What was found, by environment."""

    def watch(self, environments: tuple[Environment, ...]) -> None:
        """These are the environments now; results of others are forgotten."""
        self._environments = environments
        known = {environment.environment_id for environment in environments}
        self.results = {name: probed for name, probed in self.results.items() if name in known}
        self._tries = {name: each for name, each in self._tries.items() if name in known or each.running}

    async def run(self, draining: Callable[[], bool]) -> None:
        """Probes what is due until the node drains: a call that is refused proves nothing."""
        async with asyncio.TaskGroup() as probes:
            while not draining():
                for environment in self._next():
                    probes.create_task(self._try(environment))
                await asyncio.sleep(LOOK_INTERVAL)

    def _next(self) -> list[Environment]:
        """What is probed now: never more than a few at a time."""
        now, now_ms = asyncio.get_running_loop().time(), time.time_ns() // 1_000_000
        waiting = []
        for environment in self._environments:
            name = environment.environment_id
            state = self._tries.setdefault(name, _Try())
            if state.running or now < state.not_before:
                continue
            if due(environment, self.results.get(name), state.epoch, now_ms):
                waiting.append(environment)
        waiting.sort(key=lambda environment: environment.environment_id in self.results)
        running = sum(state.running for state in self._tries.values())
        return waiting[: max(0, AT_ONCE - running)]

    async def _try(self, environment: Environment) -> None:
        name = environment.environment_id
        state = self._tries.setdefault(name, _Try())
        state.running = True
        try:
            probed = await self._probe(environment)
        finally:
            state.running = False
        state.epoch = environment.epoch
        state.failures = 0 if probed.ok else state.failures + 1
        wait = min(0.2 * 2**state.failures, _LONGEST_WAIT) if state.failures else 0.0
        state.not_before = asyncio.get_running_loop().time() + wait
        if any(each.environment_id == name for each in self._environments):
            self.results[name] = probed
        log(Event.PROBE, environment=name, ok=probed.ok, error=probed.error)
        self._changed()

    def _invite(self, name: str, phones: tuple[Phone, ...]) -> None:
        if phones:
            self._phones[name] = phones
        else:
            self._phones.pop(name, None)
        self._guests(tuple(phone for each in self._phones.values() for phone in each))

    async def _probe(self, environment: Environment) -> Probed:
        door = self._door()
        accounts = [
            Account(f"{environment.customer_id}-{GUEST}{name}", secrets.token_urlsafe(24)) for name in ("1", "2")
        ]
        name = environment.environment_id
        self._invite(name, tuple(_phone(account, environment, door.domain) for account in accounts))
        context = ssl.create_default_context(cadata=door.chain)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the chain may hold the leaf alone
        # A customer without SRTP has calls without it, and they have to be heard too.
        suites = tuple(suite.value for suite in DESK_PHONES) if environment.encrypted else ()
        at = time.time_ns() // 1_000_000
        try:
            result = await check(
                host=door.host,
                port=door.port,
                domain=door.domain,
                context=context,
                caller=accounts[0],
                callee=accounts[1],
                seconds=SECONDS,
                caller_suites=suites,
                callee_suites=suites,
                media_host=door.host,  # an instance does not reach itself by its public address
            )
        except Exception as error:  # whatever is wrong with a probe, the node's calls go on
            return Probed(ok=False, at=at, error=str(error) or type(error).__name__)
        finally:
            self._invite(name, ())
        ok = result.ok if environment.encrypted else result.audio_ok
        return Probed(
            ok=ok,
            at=at,
            suites=tuple(leg.suite for leg in result.legs),
            packets=min(leg.packets for leg in result.legs),
            plaintext_packets=result.plaintext_packets,
            error="" if ok else str(result),
        )


def _phone(account: Account, environment: Environment, domain: str) -> Phone:
    return Phone(
        username=account.username,
        extension=account.username.removeprefix(f"{environment.customer_id}-"),
        customer_id=environment.customer_id,
        encrypted=environment.encrypted,
        ha1={algorithm.value: algorithm.ha1(account.username, domain, account.password) for algorithm in Algorithm},
    )

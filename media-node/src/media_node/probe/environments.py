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
_LONGEST_WAIT: Final = 30.0


@dataclass(frozen=True)
class Door:
    """Where the node listens, under which domain and certificate."""

    host: str
    port: int
    domain: str
    chain: str


class EnvironmentProbe:
    """Calls through each environment until that has worked once.

    `guests` is told which phones must exist for a call, and none afterwards; `changed` when there is a result.
    """

    def __init__(
        self, door: Callable[[], Door], guests: Callable[[tuple[Phone, ...]], None], changed: Callable[[], None]
    ):
        self._door = door
        self._guests = guests
        self._changed = changed
        self._environments: tuple[Environment, ...] = ()
        self.results: dict[str, Probed] = {}
        """What was found, by environment."""

    def watch(self, environments: tuple[Environment, ...]) -> None:
        """These are the environments now; results of others are forgotten."""
        self._environments = environments
        known = {environment.environment_id for environment in environments}
        self.results = {name: probed for name, probed in self.results.items() if name in known}

    async def run(self, draining: Callable[[], bool]) -> None:
        """Probes what is unproved, again after a while where it failed, until the node drains: a call that is refused
        proves nothing.
        """
        attempts = 0
        while True:
            unproved = [each for each in self._environments if not self._is_proven(each)]
            if draining():
                return
            for environment in unproved:
                probed = await self._probe(environment)
                self.results[environment.environment_id] = probed
                log(Event.PROBE, environment=environment.environment_id, ok=probed.ok, error=probed.error)
                self._changed()
            attempts = attempts + 1 if any(not self._is_proven(each) for each in unproved) else 0
            await asyncio.sleep(min(0.2 * 2**attempts, _LONGEST_WAIT))

    def _is_proven(self, environment: Environment) -> bool:
        probed = self.results.get(environment.environment_id)
        return probed is not None and probed.ok

    async def _probe(self, environment: Environment) -> Probed:
        door = self._door()
        accounts = [
            Account(f"{environment.customer_id}-{GUEST}{name}", secrets.token_urlsafe(24)) for name in ("1", "2")
        ]
        self._guests(tuple(_phone(account, environment, door.domain) for account in accounts))
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
            self._guests(())
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

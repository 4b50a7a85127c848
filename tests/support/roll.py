"""Calls that never cease while nodes are replaced: pairs of phones that find their server by name, call, talk, hang up, and call again."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from callvoip.system import LocalSystem
from media_node.probe.check import fall_silent, verdict
from media_node.probe.phone import Conversation, Phone, RequestRefused

_AGAIN_SECONDS = 0.3
_DEV = "import sys; from callvoip.cli import main; sys.exit(main())"
_MOST_SECONDS = 120.0
"""So long two phones may find nobody who takes their call."""


@dataclass
class Traffic:
    """Pairs of phones and what became of their calls."""

    system: LocalSystem
    context: ssl.SSLContext
    talk_seconds: tuple[float, float]
    stopping: bool = False
    running: int = 0
    fewest: int = 1_000_000
    """Calls that ran at any moment since `watched`."""
    watched: bool = False
    ended: Counter[str] = field(default_factory=Counter)
    """Calls by what became of them: `whole`, or why not."""
    refused: Counter[str] = field(default_factory=Counter)
    """Attempts to call that did not come about; each was made again."""

    async def pair(self, sip: Mapping[str, Any], accounts: Sequence[Mapping[str, str]]) -> None:
        """One call after another between two phones."""
        caller, callee = (Phone(one["username"], one["password"], sip["domain"]) for one in accounts)
        try:
            called_at = asyncio.get_running_loop().time()
            while not self.stopping:
                if await self._one(sip["host"], caller, callee):
                    called_at = asyncio.get_running_loop().time()
                elif asyncio.get_running_loop().time() - called_at > _MOST_SECONDS:
                    raise TimeoutError(f"{sip['host']} takes no call for {_MOST_SECONDS:.0f} s")
        finally:
            for phone in (caller, callee):
                await phone.close()

    async def _one(self, name: str, caller: Phone, callee: Phone) -> bool:
        """Whether a call came about; what became of it is counted."""
        try:
            for phone in (callee, caller):
                await self._registered(name, phone)
            ours = await caller.call(callee.username)
            theirs = await callee.answered()
        except (RequestRefused, TimeoutError, OSError) as error:
            self.refused[str(error) or type(error).__name__] += 1
            await asyncio.sleep(_AGAIN_SECONDS)
            return False
        self.running += 1
        try:
            await self._talked(ours, theirs)
        finally:
            self.running -= 1
            for conversation in (ours, theirs):
                conversation.close("over")
            for phone in (caller, callee):
                phone.conversations.clear()
        return True

    async def _talked(self, ours: Conversation, theirs: Conversation) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + random.uniform(*self.talk_seconds)
        while loop.time() < end and not (ours.ended.is_set() or theirs.ended.is_set()):
            if self.watched:
                self.fewest = min(self.fewest, self.running)
            await asyncio.sleep(0.1)
        if ours.ended.is_set() or theirs.ended.is_set():
            self.ended[f"lost: {ours.end_reason or theirs.end_reason}"] += 1
            return
        await fall_silent(ours, theirs)
        try:
            await ours.hang_up()
            async with asyncio.timeout(10):
                await theirs.ended.wait()
        except (TimeoutError, OSError) as error:
            self.ended[f"lost: its end did not arrive ({error or type(error).__name__})"] += 1
            return
        heard = verdict(ours, theirs)
        self.ended["whole" if heard.ok else f"not heard: {heard}"] += 1

    async def _registered(self, name: str, phone: Phone) -> None:
        """Registers where the name leads, unless it is. Raises OSError or RequestRefused when nobody takes it."""
        if phone._connection is not None and not phone.connection.closed:
            return
        problem: Exception = OSError(f"{name} leads nowhere")
        for server in await asyncio.to_thread(self.system.locate, name):
            try:
                await phone.connect(server.host, server.port, self.context)
                await phone.register()
            except (RequestRefused, TimeoutError, OSError) as error:
                if phone._connection is not None:
                    phone.connection.close()
                problem = error
            else:
                return
        raise problem


@dataclass(frozen=True)
class Rolled:
    """What a roll under calls led to."""

    status: int
    said: str
    whole: int
    lost: dict[str, int]
    refused: dict[str, int]
    fewest: int


async def roll(
    system: LocalSystem,
    offices: Sequence[tuple[dict[str, Any], list[dict[str, str]]]],
    calls: int,
    directory: Path,
    talk_seconds: tuple[float, float],
) -> Rolled:
    """`./dev fleet roll` while so many calls run, spread over the offices (orders, and their phones)."""
    traffic = Traffic(system, ssl.create_default_context(cafile=str(system.ca_file)), talk_seconds)
    ready = directory / "ready.json"
    ready.write_text(json.dumps({"aws_endpoint": system.aws_endpoint}))
    pairs = [
        (order["sip"], phones[at : at + 2])
        for at in range(0, max(len(phones) for _, phones in offices) - 1, 2)
        for order, phones in offices
        if at + 2 <= len(phones)
    ][:calls]
    if len(pairs) < calls:
        raise ValueError(f"{len(pairs)} pairs of phones make no {calls} calls")
    tasks = [asyncio.create_task(traffic.pair(sip, accounts)) for sip, accounts in pairs]
    try:
        async with asyncio.timeout(60):
            while traffic.running < calls and not any(task.done() for task in tasks):  # noqa: ASYNC110 (calls come about)
                await asyncio.sleep(0.1)
        traffic.watched = True
        command = [sys.executable, "-c", _DEV, "fleet", "--ready-file", str(ready), "--wait", "200", "roll"]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
        traffic.watched = False
    finally:
        traffic.stopping = True
        results = await asyncio.gather(*tasks, return_exceptions=True)
    lost = {why: count for why, count in traffic.ended.items() if why != "whole"}
    lost |= {str(result): 1 for result in results if isinstance(result, BaseException)}
    return Rolled(
        done.returncode, done.stdout + done.stderr, traffic.ended["whole"], lost, dict(traffic.refused), traffic.fewest
    )

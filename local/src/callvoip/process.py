"""Child processes that never outlive us, and the sockets they inherit."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)

STOP_SECONDS = 8.0
"""How long a process may take to end by itself after SIGTERM."""


def die_with_parent() -> None:
    """For `preexec_fn`: the kernel ends this process when its parent is gone, even one that was killed and could tell
    nobody (prctl(2)).
    """
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def end(process: subprocess.Popen[Any], patience_s: float = 5) -> None:
    """End a process, by force where asking does not help within `patience_s`."""
    process.terminate()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Child:
    """A process in a session of its own, so that the terminal's Ctrl-C reaches only us and we end it in our order."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        log: Path | IO[bytes],
        env: Mapping[str, str],
        cwd: Path | None = None,
        pass_fds: Sequence[int] = (),
    ) -> Child:
        """Start `command`; both its outputs are appended to `log`."""
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(log.open("ab")) if isinstance(log, Path) else log
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(env),
                cwd=cwd,
                pass_fds=pass_fds,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        return cls(process)

    @classmethod
    async def piped(cls, command: Sequence[str], *, env: Mapping[str, str]) -> Child:
        """Start `command` to be asked questions, a line each."""
        pipe = asyncio.subprocess.PIPE
        return cls(
            await asyncio.create_subprocess_exec(
                *command, stdin=pipe, stdout=pipe, env=dict(env), start_new_session=True, preexec_fn=die_with_parent
            )
        )

    async def ask(self, line: str) -> str:
        """Write one line and read one. Raises RuntimeError when the process is gone."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None  # noqa: S101 (started by piped)
        stdin.write(line.encode() + b"\n")
        await stdin.drain()
        answer = await stdout.readline()
        if not answer:
            raise RuntimeError("the process that was asked has ended")
        return answer.decode()

    @property
    def pid(self) -> int:
        """Process id, which is its process group's too."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    async def wait(self) -> int:
        """Wait for its end and return the status."""
        return await self._process.wait()

    async def stop(self) -> None:
        """SIGTERM, patience, then SIGKILL to whatever is left of its group."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        if self.running:
            await self._process.wait()


def base_environment() -> dict[str, str]:
    """What every child gets of our environment: nothing that could name another AWS account or change Python."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "SSL_CERT_FILE")
    return {name: os.environ[name] for name in kept if name in os.environ}


def listening_socket(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """A listening TCP socket. Raises OSError when the port is taken."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)
    except OSError:
        listening.close()
        raise
    return listening

"""A local system for programs: the demo, the benchmarks and the tests start what `./dev up` starts, and stop it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from callvoip.nodes.names import Server, locate
from callvoip.process import die_with_parent

START_SECONDS = 300.0
"""A first start builds and synthesises."""
STOP_SECONDS = 20.0


class StartError(RuntimeError):
    """The system did not come up; the text is what it said."""


@dataclass(frozen=True, kw_only=True)
class LocalSystem:
    """A running `./dev up`. A context manager, plain or asynchronous; leaving it stops everything."""

    site: str
    api: str
    console: str
    mail: str
    aws_endpoint: str
    dns: str
    sip_host: str
    sip_port: int
    sip_domain: str
    ca_file: Path
    sales_user: str
    sales_password: str
    logs: Path
    process: subprocess.Popen[bytes]

    @classmethod
    def start(
        cls,
        *,
        port: int = 0,
        trunk: str | None = None,
        logs: Path | None = None,
        data: Path | None = None,
        quiet: bool = True,
    ) -> LocalSystem:
        """Start one on `port` (0: any free one) with a trunk `HOST:PORT`; progress goes to standard error unless
        `quiet`.

        Logs and data are kept only when `logs` and `data` say where. Raises StartError.
        """
        with tempfile.TemporaryDirectory(prefix="callvoip-start-") as directory:
            ready_file, output = Path(directory) / "ready.json", Path(directory) / "output"
            command = [
                sys.executable,
                "-m",
                "callvoip",
                "up",
                "--port",
                str(port),
                "--ready-file",
                str(ready_file),
                "--json",
            ]
            command += ["--trunk", trunk] if trunk else []
            command += ["--logs", str(logs)] if logs else []
            command += ["--data", str(data)] if data else []
            with output.open("wb") as said:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=said if quiet else None,
                    start_new_session=True,
                    preexec_fn=die_with_parent,
                )
            try:
                _wait_for(ready_file, process)
                ready = json.loads(ready_file.read_text(encoding="utf-8"))
            except BaseException as error:
                _stop(process)
                if isinstance(error, TimeoutError):
                    raise StartError(f"{error}\n{output.read_text(errors='replace')}".strip()) from None
                raise
        return cls(
            site=ready["site"],
            api=ready["api"],
            console=ready["console"],
            mail=ready["mail"],
            aws_endpoint=ready["aws_endpoint"],
            dns=ready["dns"],
            sip_host=ready["sip"]["host"],
            sip_port=ready["sip"]["port"],
            sip_domain=ready["sip"]["domain"],
            ca_file=Path(ready["sip"]["ca_file"]),
            sales_user=ready["sales"]["user"],
            sales_password=ready["sales"]["password"],
            logs=Path(ready["logs"]),
            process=process,
        )

    def locate(self, domain: str) -> list[Server]:
        """Where phones of a SIP domain go, by the system's name server. Raises OSError when it knows none."""
        return locate(self.dns, domain)

    def stop(self) -> None:
        """As Ctrl-C does; returns when everything has stopped."""
        _stop(self.process)

    def __enter__(self) -> LocalSystem:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> LocalSystem:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _wait_for(ready_file: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready_file.exists():
        if process.poll() is not None:
            raise TimeoutError(f"./dev up ended with status {process.returncode}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"./dev up was not ready after {START_SECONDS:.0f} s")
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

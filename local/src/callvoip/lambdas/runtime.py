"""Runs the template's functions, each in processes of its own under AWS's runtime client (awslambdaric).

The Runtime API: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from aiohttp import web

from callvoip.aws.deployment import Deployed, Deployment
from callvoip.aws.endpoint import Emulated
from callvoip.aws.origins import translate
from callvoip.aws.permissions import Principal
from callvoip.process import Child, base_environment

CONCURRENCY = 3
"""Processes a function may have at once; a further invocation waits, where Lambda would start another."""
_log = logging.getLogger(__name__)

MOVED_CLOCK = Path(__file__).parent / "moved_clock"
"""Where Python finds the code that moves a process's clock."""

START_SECONDS = 30.0

_VERSION = "/2018-06-01/runtime"


@dataclass(frozen=True)
class Function:
    """What the template says of a function. `code` is the bundle's directory, `timeout` is in seconds."""

    name: str
    arn: str
    label: str
    handler: str
    code: Path
    environment: Mapping[str, str]
    role: Principal
    timeout: float
    memory: int

    @property
    def access_key(self) -> str:
        """By which the emulated AWS knows it."""
        return f"ASIA{hashlib.sha256(self.name.encode()).hexdigest()[:16].upper()}"


@dataclass(frozen=True)
class Outcome:
    """What an invocation came to: `error` is None when the function returned."""

    payload: Any
    error: str | None = None


class FunctionError(Exception):
    """The function raised, ended or took too long; the text is what it said."""


def functions(deployment: Deployment) -> list[Function]:
    """All functions of the template; those that CDK brings along for the deploy itself are never called here."""
    return [_function(deployment, resource) for resource in deployment.all("AWS::Lambda::Function")]


def _function(deployment: Deployment, resource: Deployed) -> Function:
    properties = resource.properties
    return Function(
        name=resource.name,
        arn=resource.arn,
        label=re.sub(r"[^a-z0-9]+", "-", re.sub(r"(?<=[a-z])(?=[A-Z])", "-", resource.path.split("/")[-2]).lower()),
        handler=properties["Handler"],
        code=deployment.assembly.asset(properties["Code"]["S3Key"]),
        environment={
            name: deployment.secret(value)
            for name, value in properties.get("Environment", {}).get("Variables", {}).items()
        },
        role=Principal(resource.name, deployment.statements(properties["Role"])),
        timeout=float(properties.get("Timeout", 3)),
        memory=int(properties.get("MemorySize", 128)),
    )


@dataclass
class _Invocation:
    event: bytes
    id: str
    done: asyncio.Future[Outcome]


class _Worker:
    """One execution environment: a process and the Runtime API it talks to."""

    def __init__(self, function: Function, environment: Mapping[str, str], log: Path, ahead: float) -> None:
        self.ahead = ahead
        self._function = function
        self._environment = environment
        self._log = log
        self._waiting: asyncio.Queue[_Invocation] = asyncio.Queue()
        self._current: _Invocation | None = None
        self._runner: web.AppRunner | None = None
        self._child: Child | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.running

    async def start(self) -> None:
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.router.add_get(f"{_VERSION}/invocation/next", self._next)
        application.router.add_post(f"{_VERSION}/invocation/{{id}}/response", self._response)
        application.router.add_post(f"{_VERSION}/invocation/{{id}}/error", self._error)
        application.router.add_post(f"{_VERSION}/init/error", self._error)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self._child = await Child.start(
            [sys.executable, "-m", "awslambdaric", self._function.handler],
            log=self._log,
            env={**self._environment, "AWS_LAMBDA_RUNTIME_API": f"{host}:{port}"},
            cwd=self._function.code,
        )
        self._watcher = asyncio.create_task(self._watch(self._child))

    async def invoke(self, event: bytes) -> Outcome:
        """Hand over one event and wait; a worker does one thing at a time. One whose function took too long is dead
        afterwards.
        """
        invocation = _Invocation(event, str(uuid.uuid4()), asyncio.get_running_loop().create_future())
        self._current = invocation
        self._waiting.put_nowait(invocation)
        try:
            # The function's own time is counted from when it asks for the event; Lambda bounds the start apart from it.
            return await asyncio.wait_for(invocation.done, START_SECONDS + self._function.timeout)
        except TimeoutError:
            await self.stop()
            return Outcome(None, f"Task timed out after {self._function.timeout:.2f} seconds")
        finally:
            self._current = None

    async def stop(self) -> None:
        if self._watcher:
            self._watcher.cancel()
        if self._child:
            await self._child.stop()
        if self._runner:
            await self._runner.cleanup()

    async def _watch(self, child: Child) -> None:
        status = await child.wait()
        self._finish(Outcome(None, f"Runtime exited with status {status}"))

    def _finish(self, outcome: Outcome) -> None:
        if self._current and not self._current.done.done():
            self._current.done.set_result(outcome)

    async def _next(self, request: web.Request) -> web.Response:
        invocation = await self._waiting.get()
        asyncio.get_running_loop().call_later(self._function.timeout, self._expire, invocation)
        return web.Response(
            body=invocation.event,
            content_type="application/json",
            headers={
                "Lambda-Runtime-Aws-Request-Id": invocation.id,
                "Lambda-Runtime-Deadline-Ms": str(int((time.time() + self._function.timeout) * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": self._function.arn,
                # Without this one awslambdaric's C++ client crashes.
                "Lambda-Runtime-Trace-Id": f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Sampled=0",
            },
        )

    def _expire(self, invocation: _Invocation) -> None:
        if not invocation.done.done():
            invocation.done.set_exception(TimeoutError())

    async def _response(self, request: web.Request) -> web.Response:
        body = await request.read()
        self._finish(Outcome(json.loads(body) if body else None))
        return web.json_response({"status": "OK"}, status=202)

    async def _error(self, request: web.Request) -> web.Response:
        body = await request.json()
        self._finish(Outcome(body, f"{body.get('errorType', 'Error')}: {body.get('errorMessage', '')}"))
        return web.json_response({"status": "OK"}, status=202)


class Runtime:
    """Async context manager over all functions. Processes start when they are first needed and end with us."""

    def __init__(
        self,
        deployment: Deployment,
        emulated: Emulated,
        *,
        logs: Path,
        scratch: Path,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        """`aliases` says what AWS's origins are called here: a function that tells its site's address tells the local one."""
        self._functions = functions(deployment)
        self._aliases = aliases or {}
        self._emulated = emulated
        self._logs = logs
        self._scratch = scratch
        self._idle: dict[str, list[_Worker]] = {function.name: [] for function in self._functions}
        self._slots = {function.name: asyncio.Semaphore(CONCURRENCY) for function in self._functions}
        self._workers: set[_Worker] = set()
        self._ahead: dict[str, float] = {}

    async def __aenter__(self) -> Runtime:
        self._logs.mkdir(parents=True, exist_ok=True)
        for function in self._functions:
            await self._emulated.announce(function.access_key, function.role)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(worker.stop() for worker in self._workers))

    def find(self, name: str) -> Function:
        """A function by name or ARN, with or without a version. Raises LookupError."""
        for function in self._functions:
            if name in (function.name, function.arn) or name.startswith(f"{function.arn}:"):
                return function
        raise LookupError(f"the template has no function {name}")

    def move_clock(self, label: str, ahead: float) -> None:
        """From its next invocation on a function lives `ahead` seconds later. Raises LookupError for an unknown label."""
        if label not in {function.label for function in self._functions}:
            raise LookupError(f"the template has no function {label}")
        self._ahead[label] = ahead

    async def invoke(self, name: str, event: Any) -> Any:
        """The function's result for `event`.

        Raises FunctionError when it returned none, LookupError when there is no such function.
        """
        function = self.find(name)
        started = time.monotonic()
        async with self._slots[function.name]:
            worker = await self._worker(function)
            outcome = await worker.invoke(json.dumps(event).encode())
            # As on Lambda, an exception of the handler leaves its environment as it is.
            if worker.alive:
                self._idle[function.name].append(worker)
            else:
                self._workers.discard(worker)
                await worker.stop()
        end = "failed" if outcome.error is not None else "done"
        _log.debug("%s %s in %.0f ms", function.label, end, (time.monotonic() - started) * 1000)
        if outcome.error is not None:
            raise FunctionError(outcome.error)
        return outcome.payload

    async def _worker(self, function: Function) -> _Worker:
        while self._idle[function.name]:
            worker = self._idle[function.name].pop()
            if worker.alive and worker.ahead == self._ahead.get(function.label, 0.0):
                return worker
            self._workers.discard(worker)
            await worker.stop()
        ahead = self._ahead.get(function.label, 0.0)
        environment = self._environment(function) | (_moved(function, ahead) if ahead else {})
        worker = _Worker(function, environment, self._logs / f"{function.label}.log", ahead)
        self._workers.add(worker)
        await worker.start()
        return worker

    def _environment(self, function: Function) -> dict[str, str]:
        """https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html"""
        return {
            **base_environment(),
            **self._emulated.environment(function.access_key),
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "local",
            "_HANDLER": function.handler,
            "LAMBDA_TASK_ROOT": str(function.code),
            "PYTHONPATH": str(function.code),
            # The bundle is what would be uploaded: nothing is written into it.
            "PYTHONPYCACHEPREFIX": str(self._scratch / "pycache"),
            "TZ": ":UTC",
            **{name: translate(value, self._aliases) for name, value in function.environment.items()},
        }


def _moved(function: Function, ahead: float) -> dict[str, str]:
    return {"PYTHONPATH": f"{MOVED_CLOCK}:{function.code}", "CALLVOIP_CLOCK_AHEAD": str(ahead)}

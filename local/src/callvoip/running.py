"""A local system from start to stop: the emulated AWS, the functions, the front, the sign-in page and the nodes."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from callvoip.aws import dynamodb_local, template
from callvoip.aws.deployment import Deployment, deploy
from callvoip.aws.dynamodb_local import Database
from callvoip.aws.endpoint import Emulated
from callvoip.aws.origins import local_origins
from callvoip.aws.permissions import Principal
from callvoip.data import Data, opened
from callvoip.edge import front, sign_in
from callvoip.edge.clock import MovedClock
from callvoip.edge.functions import EdgeFunctions
from callvoip.edge.mail_page import PATH, MailPage
from callvoip.lambdas.runtime import Runtime
from callvoip.lambdas.triggers import Triggers
from callvoip.logs import follow, own_log
from callvoip.nodes import ec2, operator_values
from callvoip.nodes.names import NameServer
from callvoip.nodes.operator_values import Trunk
from callvoip.process import Child, base_environment, listening_socket


@dataclass(frozen=True)
class Sip:
    """Where the first node listens once there is one, and the authority that signed its certificate."""

    host: str
    port: int
    domain: str
    ca_file: str


@dataclass(frozen=True)
class Sales:
    """Who may sign in to the console."""

    user: str
    password: str


@dataclass(frozen=True)
class Ready:
    """What the ready file says."""

    site: str
    api: str
    console: str
    mail: str
    aws_endpoint: str
    dns: str
    """Where the SIP domain's name server listens: HOST:PORT, UDP."""
    sip: Sip
    sales: Sales
    logs: str
    pid: int

    def as_json(self) -> dict[str, Any]:
        """As the ready file has it."""
        return asdict(self)


@asynccontextmanager
async def system(
    assembly_directory: Path,
    *,
    port: int,
    trunk: Trunk | None,
    logs: Path | None,
    data: Path | None,
    say: Callable[[str], None],
    lost: Callable[[str], None],
    verbose: bool = False,
) -> AsyncIterator[Ready]:
    """Start everything that a cloud assembly says; stop everything when left. `data` is the directory that keeps what
    lasts. `lost` is told of a part that has ended and cannot be started again, so that the system is none any more.

    Raises OSError when the port is taken, DataError, and MissingError when DynamoDB Local cannot run.
    """
    async with AsyncExitStack() as stack:
        site_socket = stack.enter_context(listening_socket(port=port))
        port = site_socket.getsockname()[1]
        scratch = Path(tempfile.mkdtemp(prefix="callvoip-"))
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        logs = logs or scratch / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        stack.enter_context(own_log(logs / "local.log", logging.DEBUG if verbose else logging.INFO))
        if verbose:
            stack.push_async_callback(_cancel, asyncio.create_task(follow(logs, say)))

        kept = stack.enter_context(opened(data)) if data else None
        disks = scratch / "disks"
        # A link, because a Unix socket's path is 107 characters at most and the data's directory may be anywhere.
        disks.symlink_to(kept.disks) if kept else disks.mkdir()

        assembly = template.load(assembly_directory)
        say(
            f"starting the emulated AWS with the data in {data} ..."
            if data
            else "starting the emulated AWS; nothing is kept ..."
        )
        emulated = await _emulator(stack, assembly.stacks[0].region, logs, kept, lost)
        deployment = await asyncio.to_thread(deploy, assembly, emulated, kept.secrets if kept else None)
        config = ec2.node_config(ec2.launch_template_user_data(deployment))
        certificate = await asyncio.to_thread(
            operator_values.put, emulated, config, trunk, kept.certificate if kept else None
        )
        ca_file = scratch / "ca.pem"
        ca_file.write_text(certificate.authority)

        say("starting the functions and the site ...")
        site, login_socket = f"http://127.0.0.1:{port}", stack.enter_context(listening_socket())
        login = f"http://127.0.0.1:{login_socket.getsockname()[1]}"
        aliases = local_origins(deployment, site=site, login=login)
        signer = sign_in.read(deployment, aliases, password=secrets.token_urlsafe(12))
        await _serve(stack, signer.application(), login_socket)
        runtime = await stack.enter_async_context(
            Runtime(deployment, emulated, logs=logs / "functions", scratch=scratch, aliases=aliases)
        )
        edge = await stack.enter_async_context(EdgeFunctions())
        mails, clock = MailPage(emulated, aliases), MovedClock(runtime)
        served = front.application(
            front.Front(deployment, runtime, edge, signer.keys, aliases), [*mails.routes(), *clock.routes()]
        )
        await _serve(stack, served, site_socket)
        triggers = await stack.enter_async_context(
            Triggers(deployment, emulated, runtime, kept.positions if kept else None)
        )
        clock.triggers = triggers
        await stack.enter_async_context(
            ec2.Ec2(
                emulated,
                port=port,
                role=_node_role(deployment),
                disks=disks,
                logs=logs / "nodes",
                publish=triggers.publish,
            )
        )
        names = await stack.enter_async_context(NameServer(emulated, kept.names if kept else None))
        yield Ready(
            site=site,
            api=f"{site}/api",
            console=f"{site}/console/",
            mail=f"{site}{PATH}",
            aws_endpoint=emulated.endpoint,
            dns=names.address,
            sip=Sip(
                host=ec2.address(port, 1),
                port=config["sip"]["port"],
                domain=config["sip"]["domain"],
                ca_file=str(ca_file),
            ),
            sales=Sales(user=signer.user.name, password=signer.user.password),
            logs=str(logs),
            pid=os.getpid(),
        )


def _node_role(deployment: Deployment) -> Principal:
    data = deployment.the("AWS::EC2::LaunchTemplate").properties["LaunchTemplateData"]
    profile = deployment.named("AWS::IAM::InstanceProfile", data["IamInstanceProfile"]["Arn"])
    name = str(profile.properties["Roles"][0])
    return Principal(name, deployment.statements(name))


async def _emulator(
    stack: AsyncExitStack, region: str, logs: Path, kept: Data | None, lost: Callable[[str], None]
) -> Emulated:
    """Start moto, and DynamoDB Local beside it for data that lasts."""
    options: list[str] = []
    if kept:
        await asyncio.to_thread(dynamodb_local.install)
        database = Database(kept.tables, logs / "dynamodb.log", lost)
        await stack.enter_async_context(database)
        options = ["--tables", database.address, "--instances", str(kept.instances), "--mail", str(kept.mail)]
    listening = stack.enter_context(listening_socket())
    endpoint = f"http://127.0.0.1:{listening.getsockname()[1]}"
    descriptor = listening.fileno()
    child = await Child.start(
        [sys.executable, "-m", "callvoip.aws.emulator", "--fd", str(descriptor), *options],
        log=logs / "aws.log",
        env=base_environment(),
        pass_fds=[descriptor],
    )
    stack.push_async_callback(child.stop)
    stack.push_async_callback(_cancel, asyncio.create_task(_watch(child, "the emulated AWS", logs / "aws.log", lost)))
    # The socket listens already: the first request waits until the server takes it.
    listening.close()
    return Emulated(endpoint, region)


async def _watch(child: Child, name: str, log: Path, lost: Callable[[str], None]) -> None:
    status = await child.wait()
    lost(f"{name} has ended by itself (status {status}); see {log}")


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _serve(stack: AsyncExitStack, application: web.Application, listening: socket.socket) -> None:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.SockSite(runner, listening).start()

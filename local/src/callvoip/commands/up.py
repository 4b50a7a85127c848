"""`./dev up`: build, deploy into the emulated AWS and serve, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

from callvoip import build
from callvoip.aws.dynamodb_local import MissingError
from callvoip.commands import synth
from callvoip.data import DataError
from callvoip.nodes import operator_values
from callvoip.nodes.operator_values import Trunk
from callvoip.running import Ready, system

PORT = 8080


def main(arguments: list[str]) -> int:
    """Run until SIGINT, SIGTERM or SIGHUP; status 0 when it was asked to stop, 1 when it could not start or go on."""
    options = _options(arguments)
    started = time.monotonic()
    try:
        with build.exclusive(synth.say):
            build.run(build.local_steps(), synth.say)
            synth.synthesise(synth.FOR_LOCAL, synth.say)
    except build.BuildError as error:
        print(f"dev: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    try:
        return asyncio.run(_up(options, started))
    except (DataError, MissingError) as error:
        print(f"dev: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"dev: port {options.port} cannot be used: {error.strerror}. Choose another with --port.", file=sys.stderr
        )
        return 1


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev up", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=PORT, help="port of the site (default %(default)s; 0: any free one)"
    )
    parser.add_argument("--ready-file", type=Path, metavar="PATH", help="write one JSON object there when all is up")
    parser.add_argument(
        "--trunk", type=_trunk, metavar="HOST:PORT[;transport=tcp]", help="where calls to other providers go"
    )
    parser.add_argument(
        "--data", type=Path, metavar="DIRECTORY", help="keep orders, catalogue and fleet there; otherwise nothing lasts"
    )
    parser.add_argument(
        "--logs", type=Path, metavar="DIRECTORY", help="keep the logs there; otherwise they go when the system stops"
    )
    parser.add_argument(
        "--verbose", action="store_true", help="show everything that is logged: requests, functions, streams, nodes"
    )
    parser.add_argument("--json", action="store_true", help="print the ready file's object instead of lines for people")
    return parser.parse_args(arguments)


def _trunk(text: str) -> Trunk:
    try:
        return operator_values.parse_trunk(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


async def _up(options: argparse.Namespace, started: float) -> int:
    stopped = asyncio.Event()
    starting = asyncio.current_task()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stopped.set()
        if ready_file is None and starting is not None:
            starting.cancel()

    ending: list[str] = []

    def lost(why: str) -> None:
        ending.append(why)
        stop()

    ready_file: Path | None = None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)
    try:
        running = system(
            synth.FOR_LOCAL.output,
            port=options.port,
            trunk=options.trunk,
            logs=options.logs,
            data=options.data,
            say=synth.say,
            lost=lost,
            verbose=options.verbose,
        )
        async with running as ready:
            ready_file = options.ready_file or Path(os.devnull)
            if options.ready_file:
                _write(options.ready_file, ready)
            print(json.dumps(ready.as_json()) if options.json else _for_people(ready, options.data), flush=True)
            synth.say(f"ready in {time.monotonic() - started:.1f} s; Ctrl-C stops everything")
            await stopped.wait()
            synth.say("stopping ...")
    except asyncio.CancelledError:
        if not stopped.is_set():
            raise
    finally:
        if ending:
            synth.say(f"dev: {ending[0]}")
        if options.ready_file:
            options.ready_file.unlink(missing_ok=True)
    return 1 if ending else 0


def _write(path: Path, ready: Ready) -> None:
    """All at once: whoever waits for the file never reads half of it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(ready.as_json(), indent=2) + "\n", encoding="utf-8")
    beside.replace(path)


def _for_people(ready: Ready, data: Path | None) -> str:
    lasting = f"kept in {data}" if data else "kept nowhere: gone when this stops; --data DIRECTORY keeps it"
    return f"""
  site      {ready.site}/
  console   {ready.console}
            user {ready.sales.user}, password {ready.sales.password}
  mail      {ready.mail}
  phones    the first node will listen on {ready.sip.host}:{ready.sip.port} (TLS), domain {ready.sip.domain}
            authority to trust: {ready.sip.ca_file}
  names     {ready.dns} (UDP) answers for the SIP domain, as its zone on AWS would
  AWS       {ready.aws_endpoint} (emulated)
  data      {lasting}
  logs      {ready.logs}
"""

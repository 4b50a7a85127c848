"""The media node as a whole: joins signalling, media workers and control, and keeps them going until it is told to
stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from media_node import systemd
from media_node.call import home
from media_node.call.directory import Directory, Phone
from media_node.call.exchange import Exchange
from media_node.call.record import CallRecord, Kind, claims, cut_short
from media_node.call.trunk import CHECK_INTERVAL
from media_node.call.trunk_settings import parse_trunks
from media_node.collector import Collector
from media_node.config import Config
from media_node.control import assignments, aws, certificate, instance, parameters, telemetry
from media_node.control.assignments import Assigned
from media_node.control.begun_calls import BegunCalls
from media_node.control.heartbeat import INTERVAL, StatusWriter, report
from media_node.control.instance import Instance
from media_node.control.lease import Lease
from media_node.control.receipts import Receipts
from media_node.control.records import Spool
from media_node.log import Event, log, log_from
from media_node.metrics import Meter, Metric
from media_node.probe.environments import GUEST, Door, EnvironmentProbe
from media_node.sip.listener import Listener, listen_tls
from media_node.sip.trace import Trace
from media_node.worker_link.client import MediaWorker
from media_node.workers import Workers

POLL: Final = 2.0
"""Seconds between looks at the assignments."""
EMERGENCY_CHECK: Final = 600.0
"""Seconds between looks at which environments' check of 112 is due."""
REFRESH: Final = 600.0
"""Seconds between looks at certificate and trunk."""
_RETRY: Final = (0.5, 1.0, 2.0, 5.0, 10.0)

T = TypeVar("T")


class Node:
    """One media node. `run` it until `stop` is called."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._changed = asyncio.Event()
        self._reassigned = asyncio.Event()
        self._to_upload = asyncio.Event()
        self._look_again = asyncio.Event()
        self._workers = Workers(self._start_worker, lambda event: self.exchange.media_event(event))
        self._assigned = Assigned(())
        self._guests: tuple[Phone, ...] = ()
        self._probe = EnvironmentProbe(self._door, self._invite, self._changed.set)
        self._reported: dict[str, Any] | None = None
        self._told_registrations: dict[str, dict[str, Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._spool = Spool(config.directory / "records")
        self._begun_calls = BegunCalls()
        self._chosen_days: dict[str, int | None] = {}
        """For how many days each customer keeps its call history, also of one whose environment has left while it calls."""
        self._receipts = Receipts(config.directory)
        # systemd's own directory when there is one: a Unix socket's path must be short.
        self._run_directory = Path(os.environ.get("RUNTIME_DIRECTORY") or config.directory / "run")
        self._run_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._tls: ssl.SSLContext
        self._certificate = ""
        self._refused = ""
        self._here: Instance
        self._listener: Listener
        self._collector = Collector()
        self._meter = Meter()
        self._log = self._meter.counting(log)
        self.exchange = Exchange(
            domain=config.domain,
            media=self._workers.plane,
            records=self._ended,
            begun=self._begun,
            log=self._log,
            suites=config.suites,
        )
        self._lease = Lease()
        self.exchange.outside.on_notice = self._changed.set
        self.exchange.leased = lambda: self._lease.fresh
        self.exchange.will_look(2 * POLL)
        log_from(config.log_level)
        if config.trace is not None:
            self.exchange.transactions.trace = Trace(config.trace)

    def stop(self) -> None:
        """Begins to drain; a second time it no longer waits for calls to end."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    def reload(self) -> None:
        """Looks at certificate and trunk now."""
        self._look_again.set()

    async def run(self) -> None:
        """Starts, serves and, once stopped, drains. Raises OSError when the TLS port is taken."""
        config = self._config
        self._here = await self._patiently(
            "instance metadata", lambda: asyncio.to_thread(instance.read, instance.endpoint())
        )
        self._dynamodb, self._ssm = aws.dynamodb(config.region), aws.ssm(config.region)
        self._status = StatusWriter(self._dynamodb, config.fleet_table, self._here.arn, self._receipts.jwk)
        self._telemetry = telemetry.Telemetry(
            self._meter,
            dynamodb=self._dynamodb,
            logs=aws.logs(config.region),
            table=config.fleet_table,
            arn=self._here.arn,
            node=self._here.instance_id,
            group=config.metrics_group,
        )
        await self._patiently("parameters", self._refresh)
        await self._recover()
        await self._workers.start(config.workers)
        try:
            # First of all: a node that knows nobody yet would tell the phones that come back to it that they are wrong.
            await self._patiently("assignments", self._poll)
            self._listener = await listen_tls(
                self.exchange.transactions,
                host=self._here.address,
                port=config.port,
                context=self._tls,
                announced_host=self._here.announced,
                log=self._log,
            )
            self._expose()
            log(
                Event.LISTENING,
                address=self._here.address,
                port=self._listener.local.port,
                instance=self._here.instance_id,
            )
            self._collector.begin()
            systemd.notify("READY=1")
            await self._serve()
        finally:
            await self._workers.stop()

    async def _serve(self) -> None:
        loops = [
            asyncio.create_task(self._again(name, work, seconds, wake))
            for name, work, seconds, wake in (
                ("assignments", self._poll, POLL, None),
                ("heartbeat", self._beat, INTERVAL, None),
                ("registrations", self._tell_registrations, INTERVAL, None),
                ("report", self._report, INTERVAL, self._changed),
                ("records", self._upload, 30.0, self._to_upload),
                ("metrics", self._measure, telemetry.INTERVAL, None),
                ("parameters", self._renew, REFRESH, self._look_again),
                ("exchange", self.exchange.home.sync, home.INTERVAL, None),
                ("112", self.exchange.outside.check_emergency, EMERGENCY_CHECK, self._reassigned),
                ("trunks", lambda: self.exchange.outside.trunks.check(), CHECK_INTERVAL, None),
            )
        ]
        loops.append(asyncio.create_task(systemd.feed_watchdog()))
        loops.append(asyncio.create_task(self._probe.run(lambda: self.exchange.draining)))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([stopping, *loops], return_when=asyncio.FIRST_COMPLETED)
            for loop in loops:
                if loop.done():
                    loop.result()  # none of them ends before the node drains
            await self._drain()
        finally:
            stopping.cancel()
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await self._listener.close()

    async def _drain(self) -> None:
        log(Event.DRAINING, calls=len(self.exchange.calls))
        systemd.notify("STOPPING=1")
        self.exchange.draining = True
        with contextlib.suppress(*aws.Unavailable):
            await self._beat()
        drain = asyncio.create_task(self.exchange.drain(self._config.drain, self._config.emergency_drain))
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait([drain, hurry], return_when=asyncio.FIRST_COMPLETED)
        if not drain.done():
            drain.cancel()
            await self.exchange.drain(0, 0)
        hurry.cancel()
        with contextlib.suppress(*aws.Unavailable, OSError):
            await self._upload()  # what does not go now goes when the node starts again
        log(Event.STOPPED, records_waiting=len(self._spool.waiting()))

    # Media.

    async def _start_worker(self, index: int, on_event: Callable[[dict[str, Any]], None]) -> MediaWorker:
        config = self._config
        return await MediaWorker.start(
            index=index,
            address=self._here.address,
            announce=self._here.announced,
            srtp_port=config.srtp_port,
            rtp_ports=config.rtp_ports,
            timeout_s=config.timeout,
            run_directory=self._run_directory,
            on_event=on_event,
            options=("--suites", ",".join(config.suites)),
        )

    # Control: everything that speaks to AWS runs in a thread.

    async def _poll(self) -> None:
        began = self._lease.now()
        assigned = await asyncio.to_thread(assignments.read, self._dynamodb, self._config.fleet_table, self._here.arn)
        self._lease.read(began)
        if assigned != self._assigned:
            self._take_over(assigned)
        self.exchange.looked()

    def _take_over(self, assigned: assignments.Assigned) -> None:
        self._probe.watch(assigned.environments)
        self._reassigned.set()
        self._assigned = assigned
        self._chosen_days |= {each.customer_id: each.call_history_days for each in assigned.environments}
        self._assign()
        phones = sum(len(environment.phones) for environment in assigned.environments)
        for error in assigned.errors:
            log(Event.ASSIGNMENT_REFUSED, error=error)
        log(Event.ASSIGNMENTS_LOADED, environments=len(assigned.environments), phones=phones, errors=assigned.errors)
        self._changed.set()

    def _door(self) -> Door:
        return Door(
            self._here.address, self._listener.local.port, self._config.domain, certificate.chain(self._certificate)
        )

    def _invite(self, guests: tuple[Phone, ...]) -> None:
        self._guests = guests
        self._assign()

    def _assign(self) -> None:
        self.exchange.assign(Directory(self._assigned.environments, self._guests))

    async def _beat(self) -> None:
        await asyncio.to_thread(self._spool.alive)
        began = self._lease.now()
        await asyncio.to_thread(
            self._status.beat,
            state="draining" if self.exchange.draining else "ready",
            address=self._here.announced,
            sip_port=self._listener.local.port,
            calls=len(self.exchange.calls),
            registrations=self.exchange.registrations,
        )
        self._lease.heard(began)

    async def _measure(self) -> None:
        """What is measured by looking; the rest is counted where it happens."""
        gate = self._listener.gate
        now = datetime.now(UTC)
        for metric, value, label in (
            (Metric.REGISTRATIONS, self.exchange.registrations, ""),
            (Metric.CALLS, len(self.exchange.calls), ""),
            (Metric.CONNECTIONS, gate.known, "known"),
            (Metric.CONNECTIONS, gate.strangers, "strangers"),
            (Metric.MEMORY_BYTES, telemetry.resident_bytes([os.getpid(), *self._workers.pids]), ""),
            (Metric.CERTIFICATE_DAYS, (certificate.expires(self._certificate) - now).total_seconds() / 86_400, ""),
            (Metric.RECORDS_WAITING, len(self._spool.waiting()) + self._spool.in_memory, ""),
            (Metric.RECORDS_LOST, self._spool.dropped, ""),
        ):
            self._meter.set(metric, value, label)
        await asyncio.to_thread(self._telemetry.send)

    def _expose(self) -> None:
        if self._config.metrics_port:
            try:
                telemetry.expose(self._meter, self._config.metrics_port)
            except OSError as error:  # two nodes on one machine: calls need no metrics
                log(Event.METRICS_NOT_SERVED, port=self._config.metrics_port, error=str(error))

    async def _tell_registrations(self) -> None:
        """Which phones are registered, for whoever looks at the environment; written when that changes."""
        here = self.exchange.registered(self._assigned.environments)
        # Nobody is registered here of an environment that has left.
        left: dict[str, dict[str, Any]] = {each: {} for each in self._told_registrations.keys() - here.keys()}
        for environment_id, phones in (here | left).items():
            told = self._told_registrations.get(environment_id)
            if phones != told:
                await asyncio.to_thread(self._status.registrations, environment_id, phones)
                self._told_registrations[environment_id] = phones
            if environment_id not in here:
                del self._told_registrations[environment_id]

    async def _report(self) -> None:
        outside = self.exchange.outside
        wanted = report(self._assigned.environments, self._probe.results, outside.checked, outside.notices)
        if wanted != self._reported:
            await asyncio.to_thread(self._status.report, wanted)
            self._reported = wanted

    def _begun(self, record: CallRecord) -> None:
        if days := self._days_kept(record):
            self._spool.begin(record.call_id, record.item(days))
            self._begun_calls.begin(record.call_id, record.item(days))
            self._to_upload.set()

    def _ended(self, record: CallRecord) -> None:
        self._meter.ended(record, Kind.PROBE if self._is_probe(record) else record.kind)
        if days := self._days_kept(record):
            self._keep(record.call_id, record.item(days))
        elif record.answered_at:  # whoever chose meanwhile that nothing is written has nothing written
            self._spool.forget(record.call_id)
            self._begun_calls.end(record.call_id, record.item(days))
            self._to_upload.set()

    def _keep(self, name: str, item: dict[str, Any], *, recovered: bool = False) -> None:
        receipt = self._receipts.sign(item["customerId"], claims(item, self._here.instance_id))
        self._spool.add(name, {**item, "receipt": receipt})
        self._begun_calls.end(name, item, told=recovered)
        self._to_upload.set()

    def _days_kept(self, record: CallRecord) -> int:
        """For how many days the record of a call is kept: as the customer chose, 0 for not at all, and never a probe's."""
        if not record.customer_id or self._is_probe(record):
            return 0
        return self._days(record.customer_id)

    def _days(self, customer_id: str) -> int:
        chosen = self._chosen_days.get(customer_id)
        return self._config.cdr_days if chosen is None else chosen

    async def _recover(self) -> None:
        """Ends the records of the calls that were running when the process before this one ended without a word."""
        recovered = await asyncio.to_thread(self._spool.recover)
        for name, item, last_seen in recovered:
            self._keep(name, cut_short(item, last_seen, _days_begun_for(item)), recovered=True)
        if recovered:
            log(Event.RECORDS_RECOVERED, records=len(recovered))

    @staticmethod
    def _is_probe(record: CallRecord) -> bool:
        """The probe's calls are no calls of the customer."""
        return record.caller.startswith(GUEST)

    async def _upload(self) -> None:
        try:
            await asyncio.to_thread(self._spool.write)
            await asyncio.to_thread(self._receipts.save)
        finally:  # what the disk does not take may still be sent
            client, table, over = self._dynamodb, self._config.cdr_table, self._begun_calls.over()
            sent = await asyncio.to_thread(self._spool.upload, client, table)
            await asyncio.to_thread(self._begun_calls.tell, client, table, self._here.arn, over)
        if sent:
            log(Event.RECORDS_SENT, records=sent)

    async def _refresh(self) -> None:
        """Certificate and trunk as they are now. Raises LookupError or ValueError for parameters that cannot be used."""
        config = self._config
        names = [config.certificate_parameter, *filter(None, [config.trunk_parameter])]
        values = await asyncio.to_thread(parameters.read, self._ssm, names)
        self._use_certificate(values[config.certificate_parameter])
        trunks = parse_trunks(json.loads(values.get(config.trunk_parameter) or "[]"))
        self.exchange.use_trunks(trunks, local_host=self._here.address, announced_host=self._here.announced)

    async def _renew(self) -> None:
        """A new certificate is for new handshakes: no connection and no call notices."""
        await self._refresh()
        self._listener.context = self._tls

    def _use_certificate(self, pem: str) -> None:
        """One that phones would refuse is not taken, and the one in use stays.

        Raises ValueError when there is none to go on with: better an expired one than none at all.
        """
        if pem in (self._certificate, self._refused):
            return
        try:
            fresh = certificate.context(pem)
            why = certificate.unfit(pem, self._config.domain, datetime.now(UTC)) if self._certificate else ""
            if why:
                raise ValueError(why)
        except ValueError as error:
            if not self._certificate:
                raise
            self._refused = pem
            log(Event.CERTIFICATE_REFUSED, error=str(error), until=certificate.expires(self._certificate).isoformat())
            return
        self._tls, self._certificate = fresh, pem
        log(Event.CERTIFICATE_LOADED, until=certificate.expires(pem).isoformat())

    # Patience.

    async def _patiently(self, what: str, ask: Callable[[], Awaitable[T]]) -> T:
        """Asks until there is an answer: an instance boots faster than what it depends on may be ready."""
        attempt = 0
        while True:
            try:
                return await ask()
            except (*aws.Unavailable, OSError, LookupError, ValueError) as error:
                wait = _RETRY[min(attempt, len(_RETRY) - 1)]
                attempt += 1
                log(Event.WAITING, what=what, error=str(error), retry_s=wait)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)
                raise asyncio.CancelledError

    async def _again(
        self, name: str, work: Callable[[], Awaitable[None]], seconds: float, wake: asyncio.Event | None
    ) -> None:
        """Does the work every so many seconds, or when woken.

        Whatever goes wrong in control is logged and tried again: calls go on.
        """
        failing = False
        while True:
            if wake is not None:
                wake.clear()
            try:
                await work()
            except Exception as error:
                if not failing:
                    log(Event.FAILING, what=name, error=str(error) or type(error).__name__)
                failing = True
            else:
                if failing:
                    log(Event.WORKING_AGAIN, what=name)
                failing = False
            # Not wait_for: in Python 3.11 it loses a cancellation that comes in the moment in which it is woken.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await (wake or asyncio.Event()).wait()


def _days_begun_for(item: dict[str, Any]) -> int:
    """For how many days a record was to be kept when it was begun; the environment may be elsewhere by now."""
    last = datetime.fromisoformat(item.get("answeredAt") or item["startedAt"])
    return max(1, round((int(item["expiresAt"]) - last.timestamp()) / 86_400))

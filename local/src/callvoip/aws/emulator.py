"""The emulated AWS: moto's server as a process of its own, started on a socket that it inherits.

Nine things are added to moto. Its tables may be DynamoDB Local's instead, and its instances be kept, so that both
outlast a restart; else requests to DynamoDB come one after the other: a failing transaction of moto's puts back a copy
of the table and would lose what others wrote meanwhile. And whoever waits for a change (streams, instances) is told of
it rather than polling: GET /callvoip/changes?service=dynamodb&after=N answers as soon as the number of writes to that
service exceeds N. And RunInstances keeps EC2's word on client tokens:
https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html And the policies of the template hold: whoever
was announced at POST /callvoip/principals may do what its role allows and no more. Other credentials are the operator's
and may do anything. And what SES sends can be read at GET /callvoip/mail. And a transaction does not copy the table's
whole stream, as moto does to be able to put the table back. And a stream's iterator reads the table that is there when
it is used: moto's would read on in the one that a failed transaction left behind, with what was rolled back in it.
And a change of Route 53 is PENDING until the name server, which says so at POST /callvoip/followed, answers by it.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import os
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models.table import StreamShard
from moto.dynamodbstreams.models import ShardIterator
from moto.ec2.models import ec2_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from callvoip.aws import ses
from callvoip.aws.forward import Forward
from callvoip.aws.kept_instances import KeptInstances
from callvoip.aws.permissions import Principal
from callvoip.aws.request_context import asked
from callvoip.aws.ses import SentMail

CHANGES_PATH = "/callvoip/changes"
FOLLOWED_PATH = "/callvoip/followed"
WAIT_SECONDS = 20.0
PRINCIPALS_PATH = "/callvoip/principals"
MAIL_PATH = "/callvoip/mail"
_CREDENTIAL = re.compile(r"Credential=([^/]*)/[^/]*/([^/]*)/([^/,]+)/")
# SES's newer API names its actions by path alone.
_ACTIONS = {("POST", "/v2/email/outbound-emails"): "SendEmail"}
_ROUTE53 = "/2013-04-01/"
_ROUTE53_ACTIONS = {("POST", "rrset"): "ChangeResourceRecordSets", ("GET", "rrset"): "ListResourceRecordSets"}
_ROUTE53_CHANGE = re.compile(re.escape(_ROUTE53) + "change/[^/]+")
# Amazon names its reading actions so, in every API used here.
_READS = ("Get", "Describe", "List", "Query", "Scan", "BatchGet", "TransactGet")

ACCOUNT = DEFAULT_ACCOUNT_ID

StartResponse = Callable[..., Any]
Environ = dict[str, Any]


@dataclass(frozen=True)
class Answered:
    """A WSGI answer."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes


_MISMATCH = Answered(
    "400 Bad Request",
    [("Content-Type", "text/xml")],
    b"<Response><Errors><Error><Code>IdempotentParameterMismatch</Code><Message>The client token was used with other parameters."
    b"</Message></Error></Errors><RequestID>local</RequestID></Response>",
)


class Emulator:
    """WSGI application around moto's."""

    def __init__(self, tables: str | None = None, instances: Path | None = None, sent: Path | None = None) -> None:
        """`tables` is the address (host:port) of a DynamoDB Local, `instances` and `sent` are the files that keep EC2's
        and SES's.
        """
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._dynamodb = Forward(tables) if tables else _OneByOne(self._moto)
        self._instances = KeptInstances(ACCOUNT, instances) if instances else None
        if self._instances:
            self._instances.restore()
        self._mail = SentMail(sent)
        self._changed = threading.Condition()
        self._writes: Counter[str] = Counter()
        self._followed: dict[str, int] = {}
        self._principals: dict[str, Principal] = {}
        self._launches = threading.Lock()
        self._launched: dict[str, tuple[str, Answered]] = {}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if environ["PATH_INFO"] == CHANGES_PATH:
            return self._wait(environ, start_response)
        if environ["PATH_INFO"] == PRINCIPALS_PATH:
            return self._announce(environ, start_response)
        if environ["PATH_INFO"] == FOLLOWED_PATH:
            told = json.loads(_body(environ))
            self._followed[told["service"]] = told["writes"]
            start_response("204 No Content", [])
            return []
        if environ["PATH_INFO"] == MAIL_PATH:
            start_response("200 OK", [("Content-Type", "application/json")])
            return [self._mail.as_json()]
        credential = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        key, region, service = credential.groups() if credential else ("", "", "")
        body = _body(environ)
        action = _action(environ, body)
        if key in self._principals and (refused := self._refusal(self._principals[key], service, action, body, region)):
            start_response(refused.status, refused.headers)
            return [refused.body]
        if action == "RunInstances":
            answer = self._launch(body.decode(errors="replace"), environ, start_response)
        elif action == "SendEmail":
            answer = self._send(json.loads(body), environ, start_response)
        elif action.startswith("GetChange "):
            answer = self._change(environ, start_response)
        elif service == "dynamodb":
            answer = self._dynamodb(environ, start_response)
        else:
            answer = self._moto(environ, start_response)
        if service and not action.startswith(_READS):
            if service == "ec2" and self._instances:
                self._instances.save()
            with self._changed:
                self._writes[service] += 1
                self._changed.notify_all()
        return answer

    def _announce(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        told = json.loads(_body(environ))
        self._principals[told["key"]] = Principal(told["name"], tuple(told["statements"]), told["context"])
        start_response("204 No Content", [])
        return []

    def _refusal(self, principal: Principal, service: str, action: str, body: bytes, region: str) -> Answered | None:
        for wanted in asked(
            service, action, body, region=region, account=ACCOUNT, tags=lambda instance: _tags(region, instance)
        ):
            if not principal.may(wanted):
                return _denied(
                    service,
                    f"{principal.name} is not authorized to perform: {wanted.action} on resource: {wanted.resource}",
                )
        return None

    def _launch(self, form: str, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """The same token gets the first answer again, and an error when anything else in the request differs."""
        token = parse_qs(form).get("ClientToken", [""])[0]
        with self._launches:
            if token not in self._launched:
                answered = _collect(self._moto, environ)
                if token and answered.status.startswith("200"):
                    self._launched[token] = (form, answered)
            else:
                first, answered = self._launched[token]
                answered = answered if first == form else _MISMATCH
        start_response(answered.status, answered.headers)
        return [answered.body]

    def _send(self, request: Any, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """What moto accepts is sent."""
        answered = _collect(self._moto, environ)
        if answered.status.startswith("200"):
            self._mail.add(ses.read(request, json.loads(answered.body)["MessageId"], datetime.now(UTC)))
        start_response(answered.status, answered.headers)
        return [answered.body]

    def _change(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """For moto a change is everywhere at once; here the name server has yet to read it, if there is one."""
        answered = _collect(self._moto, environ)
        behind = self._followed.get("route53", self._writes["route53"]) < self._writes["route53"]
        body = answered.body.replace(b"INSYNC", b"PENDING") if behind else answered.body
        headers = [(name, value) for name, value in answered.headers if name.lower() != "content-length"]
        start_response(answered.status, [*headers, ("Content-Length", str(len(body)))])
        return [body]

    def _wait(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        query = parse_qs(environ["QUERY_STRING"])
        service, after = query["service"][0], int(query["after"][0])
        with self._changed:
            self._changed.wait_for(lambda: self._writes[service] > after, WAIT_SECONDS)
            body = json.dumps({"writes": self._writes[service]}).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]


class _OneByOne:
    """A WSGI application that gets its requests one after the other."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._lock = threading.Lock()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        with self._lock:
            return list(self._application(environ, start_response))


def _copied(shard: StreamShard, memo: dict[int, Any]) -> StreamShard:
    """A copy of a stream for which its records, which never change, are not copied too."""
    made = copy.copy(shard)
    memo[id(shard)] = made
    made.table = copy.deepcopy(shard.table, memo)
    made.items = list(shard.items)
    return made


def _shard_of_now(iterator: ShardIterator) -> StreamShard:
    """The shard of the table as it stands: a transaction that failed since has put a copy in the table's place."""
    made_for: StreamShard = iterator.__dict__["stream_shard"]
    return iterator.streams_backend.dynamodb.get_table(made_for.table.name).stream_shard  # type: ignore[return-value]


def _set_shard(iterator: ShardIterator, shard: StreamShard) -> None:
    iterator.__dict__["stream_shard"] = shard


def _mend_streams() -> None:
    StreamShard.__deepcopy__ = _copied  # type: ignore[attr-defined]
    ShardIterator.stream_shard = property(_shard_of_now, _set_shard)  # type: ignore[assignment]


def _collect(application: Any, environ: Environ) -> Answered:
    """A whole answer of a WSGI application."""
    head: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
        head[:] = [status, headers]

    body = b"".join(application(environ, start_response))
    return Answered(head[0], head[1], body)


def _body(environ: Environ) -> bytes:
    """The request's body, which stays readable for moto."""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _action(environ: Environ, body: bytes) -> str:
    """The operation's name: in a header (DynamoDB, SQS, SSM), in the form that is the body (EC2), or in the path
    (SES, and Route 53, whose path also names the zone).
    """
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    if (named := _ACTIONS.get((method, path))) is not None:
        return named
    if _ROUTE53_CHANGE.fullmatch(path):
        return f"GetChange {path}"
    if path.startswith(_ROUTE53):
        return f"{_ROUTE53_ACTIONS.get((method, path.rstrip('/').rpartition('/')[2]), method.title())} {path}"
    target: str = environ.get("HTTP_X_AMZ_TARGET", "")
    if target or not environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        return target.rpartition(".")[2]
    action: str = parse_qs(body.decode(errors="replace")).get("Action", [""])[0]
    return action


def _tags(region: str, instance_id: str) -> dict[str, str]:
    instance = ec2_backends[ACCOUNT][region].get_instance(instance_id)
    return {tag["key"]: tag["value"] for tag in instance.get_tags()}


def _denied(service: str, message: str) -> Answered:
    """AccessDenied in the service's own protocol."""
    if service == "ec2":
        error = f"<Error><Code>UnauthorizedOperation</Code><Message>{escape(message)}</Message></Error>"
        text = f"<Response><Errors>{error}</Errors><RequestID>local</RequestID></Response>"
        return Answered("403 Forbidden", [("Content-Type", "text/xml")], text.encode())
    error_type = "com.amazon.coral.service#AccessDeniedException"
    body = json.dumps({"__type": error_type, "Message": message, "message": message})
    return Answered(
        "400 Bad Request",
        [("Content-Type", "application/x-amz-json-1.0"), ("x-amzn-errortype", error_type)],
        body.encode(),
    )


class _QuietHandler(MotoRequestHandler):
    def log_request(self, *arguments: Any) -> None:
        """Requests carry personal data; only errors are logged."""


def main() -> None:
    """Serve on the inherited socket until the process is ended."""
    _mend_streams()
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--tables", metavar="HOST:PORT", help="DynamoDB Local")
    parser.add_argument("--instances", type=Path, metavar="FILE", help="keeps EC2's instances")
    parser.add_argument("--mail", type=Path, metavar="FILE", help="keeps what SES sends")
    options = parser.parse_args()
    descriptor = options.fd
    with socket.socket(fileno=os.dup(descriptor)) as listening:
        host, port = listening.getsockname()[:2]
    server = make_server(
        host,
        port,
        Emulator(options.tables, options.instances, options.mail),
        threaded=True,
        request_handler=_QuietHandler,
        fd=descriptor,
    )
    server.daemon_threads = True  # type: ignore[attr-defined]
    server.serve_forever()


if __name__ == "__main__":
    main()

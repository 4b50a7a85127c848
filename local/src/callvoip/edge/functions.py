"""Runs the template's CloudFront functions: JavaScript of a few lines, here under Node as there under CloudFront's own
engine.

https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/functions-event-structure.html
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from types import TracebackType
from typing import Any

from callvoip.edge.exchange import Answer, Request
from callvoip.paths import NODE
from callvoip.process import Child

# Reads {code, event} a line and writes {value} or {error} a line; each code is compiled once.
_HOST = """
const vm = require('vm'), compiled = new Map();
require('readline').createInterface({input: process.stdin}).on('line', async (line) => {
  const {code, event} = JSON.parse(line);
  let out;
  try {
    if (!compiled.has(code)) compiled.set(code, vm.runInNewContext(code + '; handler', {console: {log() {}}}));
    out = {value: await compiled.get(code)(event)};
  } catch (error) { out = {error: String(error)}; }
  process.stdout.write(JSON.stringify(out) + '\\n');
});
"""


class EdgeFunctions:
    """Async context manager: one Node process for all functions."""

    async def __aenter__(self) -> EdgeFunctions:
        await self._start()
        self._one_at_a_time = asyncio.Lock()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._child.stop()

    async def _start(self) -> None:
        self._child = await Child.piped([str(NODE), "-e", _HOST], env={})

    async def viewer_request(self, code: str, request: Request) -> Request | Answer:
        """What the function makes of a request: another request, or an answer. Raises RuntimeError when it throws."""
        event = {
            "version": "1.0",
            "context": {"eventType": "viewer-request"},
            "viewer": {"ip": request.source_ip},
            "request": {
                "method": request.method,
                "uri": request.path,
                "querystring": _query(request.query),
                "headers": {name: {"value": value} for name, value in request.headers},
                "cookies": {},
            },
        }
        async with self._one_at_a_time:
            if not self._child.running:
                await self._start()
            result = json.loads(await self._child.ask(json.dumps({"code": code, "event": event})))
        if "error" in result:
            raise RuntimeError(f"CloudFront function: {result['error']}")
        return _outcome(request, result["value"])


def _query(query: str) -> dict[str, dict[str, Any]]:
    """The query as an event has it: neither name nor value decoded; `multiValue` where a name stands more than once."""
    found: dict[str, list[str]] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        found.setdefault(name, []).append(value)
    several = {
        name: {"multiValue": [{"value": value} for value in values]}
        for name, values in found.items()
        if len(values) > 1
    }
    return {name: {"value": values[0]} | several.get(name, {}) for name, values in found.items()}


def _outcome(request: Request, value: dict[str, Any]) -> Request | Answer:
    if "statusCode" not in value:
        return replace(request, path=value["uri"])
    headers = tuple((name.lower(), header["value"]) for name, header in value.get("headers", {}).items())
    return Answer(status=value["statusCode"], headers=headers)

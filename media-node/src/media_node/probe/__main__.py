"""Calls one phone from another through a node and says whether the call was protected and heard.

python -m media_node.probe --host H --port P --domain D --ca-file FILE --caller USER:PASSWORD --callee USER:PASSWORD
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import sys
from pathlib import Path

from media_node.probe.check import Account, check
from media_node.probe.phone import SUITES, Phone, RequestRefused

_ATTEMPTS = {"no-crypto": (), "unknown-suite": ("F8_128_HMAC_SHA1_80",), "wrong-password": SUITES}


def main() -> int:
    """Exit status 0: protected on both legs and heard (or, with --attempt, refused as it ought to be); 1: not; 2: could
    not be tried.
    """
    options = _options()
    context = ssl.create_default_context(cafile=str(options.ca_file) if options.ca_file else None)
    try:
        if options.attempt:
            return asyncio.run(_attempt(options, context))
        result = asyncio.run(
            check(
                host=options.host,
                port=options.port,
                domain=options.domain,
                context=context,
                caller=options.caller,
                callee=options.callee,
                seconds=options.seconds,
                caller_suites=tuple(options.caller_suites.split(",")),
                callee_suites=tuple(options.callee_suites.split(",")),
            )
        )
    except (RequestRefused, OSError, TimeoutError) as error:
        print(f"probe: {error or type(error).__name__}", file=sys.stderr)
        return 2
    print(json.dumps(result.as_json()) if options.json else result)
    return 0 if result.ok else 1


async def _attempt(options: argparse.Namespace, context: ssl.SSLContext) -> int:
    """Tries what a node has to refuse."""
    password = _another(options.caller.password) if options.attempt == "wrong-password" else options.caller.password
    phone = Phone(options.caller.username, password, options.domain)
    try:
        await phone.connect(options.host, options.port, context)
        await phone.register()
        conversation = await phone.call(options.callee.username, suites=_ATTEMPTS[options.attempt])
        await conversation.hang_up()
    except RequestRefused as refusal:
        print(json.dumps({"refused": {"code": refusal.code, "phrase": refusal.phrase, "warning": refusal.warning}}))
        return 0
    finally:
        await phone.close()
    print(json.dumps({"refused": None}))
    return 1


def _another(password: str) -> str:
    """A password that is not this one."""
    return password[::-1] + "-wrong"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m media_node.probe", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--host", required=True, help="address of the node")
    parser.add_argument("--port", type=int, default=5061)
    parser.add_argument("--domain", required=True, help="SIP domain, which the certificate has to name")
    parser.add_argument("--ca-file", type=Path, help="PEM file to trust instead of the system's")
    parser.add_argument("--caller", type=Account.parse, required=True, metavar="USER:PASSWORD")
    parser.add_argument("--callee", type=Account.parse, required=True, metavar="USER:PASSWORD")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long they talk")
    parser.add_argument("--caller-suites", default=",".join(SUITES), help="SDES suites, separated by commas")
    parser.add_argument("--callee-suites", default=",".join(SUITES))
    parser.add_argument("--attempt", choices=sorted(_ATTEMPTS), help="try what must be refused instead")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""`/_local/mail/`: what the emulated SES has sent, newest first, for whoever tries the system; `/_local/mail.json` for
programs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
from aiohttp import web

from callvoip.aws.endpoint import Emulated
from callvoip.aws.origins import translate

PATH = "/_local/mail/"
JSON_PATH = "/_local/mail.json"

# A message is somebody else's HTML: nothing of it runs, and nothing is fetched.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'self'; frame-ancestors 'none'"
_SANDBOX = "allow-popups allow-popups-to-escape-sandbox"
_NEW_TAB = '<base target="_blank">'

_PAGE = """<!doctype html>
<html lang="nl">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Verzonden e-mail</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 50rem; margin: 0 auto; padding: 1rem }}
article {{ border-top: 2px solid; margin-top: 2rem }}
h2 {{ margin-bottom: 0 }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem }}
dd {{ margin: 0; overflow-wrap: anywhere }}
iframe {{ width: 100%; height: 30rem; border: 1px solid }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere }}
</style>
<main>
<h1>Verzonden e-mail</h1>
<p>Dit systeem draait op één machine. Wat het verstuurt, komt bij niemand aan: u leest het hier, het nieuwste eerst.
<a href="">Vernieuwen</a></p>
{mails}
</main>
</html>
"""
_MAIL = """<article aria-labelledby="m{id}">
<h2 id="m{id}">{subject}</h2>
<dl><dt>Aan</dt><dd>{to}</dd><dt>Van</dt><dd>{sender}</dd><dt>Verzonden</dt><dd><time datetime="{at}">{when}</time></dd></dl>
{html}
<details{open}><summary>Tekst zonder opmaak</summary><pre>{text}</pre></details>
</article>
"""
_FRAME = '<iframe title="Opgemaakte tekst van: {subject}" sandbox="{sandbox}" srcdoc="{html}"></iframe>'


class MailPage:
    """Serves the mails of one emulated AWS; links in them lead to the local site."""

    def __init__(self, emulated: Emulated, aliases: Mapping[str, str]) -> None:
        self._emulated = emulated
        self._aliases = aliases

    def routes(self) -> list[web.RouteDef]:
        """For the site's port, before everything else."""
        return [web.get(PATH, self._page), web.get(JSON_PATH, self._json)]

    async def _page(self, _: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}
        return web.Response(text=page(await self._mails()), content_type="text/html", headers=headers)

    async def _json(self, _: web.Request) -> web.Response:
        return web.json_response(await self._mails(), headers={"Cache-Control": "no-store"})

    async def _mails(self) -> list[dict[str, Any]]:
        async with aiohttp.ClientSession(self._emulated.endpoint) as session, session.get("/callvoip/mail") as answer:
            mails: list[dict[str, Any]] = await answer.json()
        return [
            {**mail, **{part: translate(mail[part], self._aliases) for part in ("text", "html")}}
            for mail in reversed(mails)
        ]


def page(mails: Sequence[Mapping[str, Any]]) -> str:
    """The page of these mails."""
    return _PAGE.format(mails="".join(_article(mail) for mail in mails) or "<p>Er is nog geen e-mail verzonden.</p>")


def _article(mail: Mapping[str, Any]) -> str:
    subject = escape(mail["subject"])
    at = datetime.fromisoformat(mail["at"]).astimezone(ZoneInfo("Europe/Amsterdam"))
    return _MAIL.format(
        id=escape(mail["id"]),
        subject=subject,
        to=escape(", ".join(mail["to"])),
        sender=escape(mail["sender"]),
        at=escape(mail["at"]),
        when=at.strftime("%d-%m-%Y %H.%M.%S uur"),
        text=escape(mail["text"]),
        html=_FRAME.format(subject=subject, sandbox=_SANDBOX, html=escape(_NEW_TAB + mail["html"]))
        if mail["html"]
        else "",
        open="" if mail["html"] else " open",
    )

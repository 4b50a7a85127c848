"""Debian's Firefox with a person at its keyboard: tests/site/firefox.mjs drives it by WebDriver BiDi, without another program."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.site.npm import BIN, HERE, npm_packages

MOST_STOPS = 80
PATIENCE_S = 30.0
_SETTLED = "document.readyState === 'complete'"


@dataclass
class Firefox:
    """One page of a Firefox, and the keys that are pressed in it."""

    process: subprocess.Popen[str]

    def ask(self, name: str, **arguments: object) -> Any:
        """What the browser answers to one command. Raises RuntimeError with its own words."""
        assert self.process.stdin and self.process.stdout
        print(json.dumps({"name": name, **arguments}), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": "Firefox is gone"}
        if "error" in answer:
            raise RuntimeError(f"{name} {arguments}: {answer['error']}")
        return answer["value"]

    def goto(self, url: str) -> None:
        """Open an address."""
        self.ask("goto", url=url)

    def press(self, key: str) -> None:
        """Press a key."""
        self.ask("press", key=key)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page."""
        return self.ask("evaluate", expression=expression)

    def until(self, expression: str) -> None:
        """Wait until an expression is true; it is asked again when its page went away meanwhile."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with suppress(RuntimeError):
                if self.evaluate(f"Boolean({_SETTLED} && ({expression}))"):
                    return
            time.sleep(0.1)
        raise AssertionError(f"never: {expression}; at {self.evaluate('location.href')}: {self.text()[:1500]}")

    def arrives(self, selector: str) -> None:
        """What was done before leads the focus here."""
        self.until(f"document.activeElement.matches({json.dumps(selector)})")

    def go(self, selector: str) -> None:
        """Tab on until an element of this selector has the focus; each stop must show that it has it."""
        stops = []
        for _ in range(MOST_STOPS):
            self.press("Tab")
            told = self.evaluate(
                f"(({{ activeElement: at }}) => [at.matches({json.dumps(selector)}), at.matches(':focus-visible'),"
                " at.id || `${at.localName} ${at.textContent.trim().slice(0, 40)}`])(document)"
            )
            here, shown, name = told
            assert shown, f"{name} does not show that it has the focus"
            if here:
                return
            stops.append(name)
        raise AssertionError(f"Tab does not lead to {selector}: {stops}")

    def type(self, selector: str, text: str) -> None:
        """Tab to a field and fill it in, in the place of what it held."""
        self.go(selector)
        self.ask("chord", hold="Control", key="a")
        self.press("Delete")
        self.ask("write", text=text)

    def text(self) -> str:
        """What the main part of the page says."""
        return str(self.evaluate("(document.querySelector('main') ?? document.body).innerText"))


@contextmanager
def firefox(profile: Path, *, scripts: bool = True) -> Iterator[Firefox]:
    """A Firefox with an empty profile while the context lasts, without JavaScript unless `scripts`."""
    npm_packages()
    profile.mkdir(parents=True)
    program = shutil.which("firefox-esr")
    assert program, "firefox-esr is missing"
    command = [str(BIN / "node"), "firefox.mjs", program, str(profile), "on" if scripts else "off"]
    with subprocess.Popen(command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Firefox(process)
        finally:
            assert process.stdin
            process.stdin.close()
            process.wait(30)

"""`./dev site`: the pages for who writes them, by Hugo's own server: what is saved shows at once.

After each change every text is checked, and what is wrong is told here in Dutch, with file, line and what to do; so it
is with --check,
once and without a server. Ordering and searching need `./dev up`.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from callvoip.paths import ROOT
from callvoip.texts import check
from callvoip.texts.hugo import HUGO

PORT = 1313
WATCHED = ("content", "site/data", "site/layouts", "site/i18n")
LOOK_S = 0.5


def main(arguments: list[str]) -> int:
    """Serve until Ctrl-C; with --check: 0 when all texts may be published, else 1."""
    parser = argparse.ArgumentParser(
        prog="./dev site", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=PORT, help="port on this machine (default %(default)s)")
    parser.add_argument("--drafts", action="store_true", help="show drafts, and articles of a later date, too")
    parser.add_argument("--check", action="store_true", help="only check the texts, in Dutch, and end")
    options = parser.parse_args(arguments)
    if options.check:
        return 0 if _told() else 1
    return _serve(options.port, drafts=options.drafts)


def _serve(port: int, *, drafts: bool) -> int:
    with tempfile.TemporaryDirectory(prefix="callvoip-site-") as directory:
        command = [
            str(HUGO), "server", "--source", str(ROOT / "site"), "--destination", directory, "--bind", "127.0.0.1",
            "--port", str(port), "--noBuildLock", "--navigateToChanged", "--quiet",
            *(["--buildDrafts", "--buildFuture"] if drafts else []),
        ]  # fmt: skip
        seen = _state()
        while not _told():  # Hugo's server does not start on a fault
            print("Zodra u dit verbetert en bewaart, gaat het verder. (Ctrl-C stopt.)", flush=True)
            try:
                seen = _changed(seen, threading.Event())
            except KeyboardInterrupt:
                return 0
        over = threading.Event()
        server = subprocess.Popen(command, cwd=ROOT)
        print(f"http://localhost:{port}/ toont wat u bewaart. Ctrl-C stopt.", flush=True)
        watcher = threading.Thread(target=_watch, args=(seen, over), daemon=True)
        watcher.start()
        try:
            return server.wait()
        except KeyboardInterrupt:
            server.send_signal(signal.SIGINT)
            server.wait()
            return 0
        finally:
            over.set()
            watcher.join()


def _told() -> bool:
    """Build once, and tell what is wrong; whether nothing is."""
    with tempfile.TemporaryDirectory(prefix="callvoip-texts-") as directory:
        try:
            check.build(ROOT, Path(directory))
        except check.SlipsError as slips:
            print(f"\n{slips}", flush=True)
            return False
    print("Alle teksten zijn in orde.", flush=True)
    return True


def _files() -> Iterator[Path]:
    for folder in WATCHED:
        yield from (ROOT / folder).rglob("*")


def _state() -> dict[Path, int]:
    found = {}
    for path in _files():
        try:
            found[path] = path.stat().st_mtime_ns
        except FileNotFoundError:  # an editor replaces a file while we look
            continue
    return found


def _changed(seen: dict[Path, int], over: threading.Event) -> dict[Path, int]:
    """Wait until a text or what pages are made of is another; the new state."""
    while not over.wait(LOOK_S):
        now = _state()
        if now != seen:
            return now
    return seen


def _watch(seen: dict[Path, int], over: threading.Event) -> None:
    while not over.is_set():
        seen = _changed(seen, over)
        if not over.is_set():
            _told()

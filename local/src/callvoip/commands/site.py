"""`./dev site`: the pages for who writes them, by Hugo's own server: what is saved shows at once.

A fault in a text is told here and in the browser, with file and line. Ordering and searching need `./dev up`.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile

from callvoip.build import HUGO
from callvoip.paths import ROOT

PORT = 1313


def main(arguments: list[str]) -> int:
    """Serve until Ctrl-C; otherwise Hugo's own status."""
    parser = argparse.ArgumentParser(
        prog="./dev site", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=PORT, help="port on this machine (default %(default)s)")
    parser.add_argument("--drafts", action="store_true", help="show drafts, and articles of a later date, too")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="callvoip-site-") as directory:
        command = [
            str(HUGO), "server", "--source", str(ROOT / "site"), "--destination", directory, "--bind", "127.0.0.1",
            "--port", str(options.port), "--noBuildLock", "--navigateToChanged",
            *(["--buildDrafts", "--buildFuture"] if options.drafts else []),
        ]  # fmt: skip
        try:
            return subprocess.run(command, cwd=ROOT).returncode
        except KeyboardInterrupt:
            return 0

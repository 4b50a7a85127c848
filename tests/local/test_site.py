"""`./dev site`: what an editor saves shows at once, and Ctrl-C ends it."""

import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from callvoip.paths import ROOT


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def seen(url: str, wanted: str) -> bool:
    """Whether the page says it within a while."""
    for _ in range(150):
        try:
            with urllib.request.urlopen(url) as answer:
                if wanted in answer.read().decode():
                    return True
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.2)
    return False


@pytest.mark.usefixtures("processes")
def test_a_saved_text_shows_without_a_restart(tmp_path: Path) -> None:
    for folder in ("content", "site"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("public", "resources"))
    port = free_port()
    program = (
        "import sys; from pathlib import Path; from callvoip.commands import site; "
        "site.ROOT = Path(sys.argv[1]); sys.exit(site.main(sys.argv[2:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), "--port", str(port)], stdout=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}/contact/"
        assert seen(url, "Wij helpen u met")
        article = tmp_path / "content/contact.md"
        article.write_text(article.read_text().replace("Wij helpen u met", "Hiermee helpen wij u"))
        assert seen(url, "Hiermee helpen wij u")
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0

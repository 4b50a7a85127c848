"""`./dev lock`: pin every package of every member, with hashes and without naming an index."""

import subprocess
import sys

from callvoip.paths import MEMBERS, ROOT


def main(arguments: list[str]) -> int:
    """Write requirements.txt anew; further arguments go to `uv pip compile` (for example `--upgrade`)."""
    command = [
        sys.prefix + "/bin/uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-emit-index-url",
        "--python-version", "3.11", "--custom-compile-command", "./dev lock",
        *(f"--no-emit-package=callvoip-{member}" for member in MEMBERS),
        "pyproject.toml", "--output-file", "requirements.txt", *arguments,
    ]  # fmt: skip
    return subprocess.run(command, cwd=ROOT).returncode

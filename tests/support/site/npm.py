"""Tools of the site that only npm has, in the versions of tests/site/package-lock.json: `python -m tests.support.site.npm
biome check --write` installs what is missing and runs one.
"""

import fcntl
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
HERE = ROOT / "tests" / "site"
MODULES = HERE / "node_modules"
LOCK = HERE / "package-lock.json"
INSTALLED = MODULES / ".package-lock.json"
"""npm writes it last."""
BIN = Path(sys.prefix) / "bin"


def npm_packages() -> Path:
    """The folder of the pinned npm packages, which the first call installs. Raises RuntimeError when npm does not get them."""
    with LOCK.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # checks and tests run side by side
        if not INSTALLED.exists() or INSTALLED.stat().st_mtime < LOCK.stat().st_mtime:
            command = [str(BIN / "npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"npm did not get the packages of tests/site:\n{done.stderr.strip()}")
    return MODULES


def command(tool: str, *arguments: str) -> list[str]:
    """What runs a tool, on the Node.js of the Python environment. Raises RuntimeError as npm_packages does."""
    return [str(BIN / "node"), str((npm_packages() / ".bin" / tool).resolve()), *arguments]


def main(tool: str, *arguments: str) -> int:
    """Run a tool on the project; its own exit code."""
    try:
        words = command(tool, *arguments)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    return subprocess.run(words, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""Seconds until a node has recovered from what goes wrong with its parts, by the tests of tests/media_node/test_faults.py.

./dev bench faults [--json]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[2]


def measure() -> dict[str, float]:
    """What each fault took. Raises RuntimeError when the node did not recover from one."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        command = ["-m", "pytest", "--quiet", f"--junitxml={report}", "tests/media_node/test_faults.py"]
        done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stdout[-4000:])
        found = ElementTree.parse(report).iter("property")
        return {each.attrib["name"]: round(float(each.attrib["value"]), 1) for each in found}


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="dev bench faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(arguments)
    figures = measure()
    if options.json:
        print(json.dumps(figures))
        return 0
    for name, seconds in sorted(figures.items()):
        print(f"{name} {seconds} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

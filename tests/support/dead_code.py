"""Functions, methods, classes and imports that nothing names: `python -m tests.support.dead_code`, which ./dev test runs.

What is called by another's name (a route, a protocol's callback) stands in tests/exceptions.toml.
"""

import sys
import tomllib
from pathlib import Path

from vulture import Vulture

ROOT = Path(__file__).parents[2]
SOURCES = ("functions/src", "media-node/src", "infra/src", "local/src", "tests")
KINDS = frozenset({"function", "method", "class", "property", "import", "unreachable_code"})
EXCEPTIONS = tomllib.loads((ROOT / "tests/exceptions.toml").read_text(encoding="utf-8"))["called_by_others"]


def found() -> list[str]:
    """File, line and name of all that is dead outside the tests."""
    vulture = Vulture(ignore_names=EXCEPTIONS["names"], ignore_decorators=EXCEPTIONS["decorators"])
    vulture.scavenge([str(ROOT / source) for source in SOURCES])
    return [
        f"{Path(item.filename).relative_to(ROOT)}:{item.first_lineno}: nothing names {item.typ} {item.name}"
        for item in vulture.get_unused_code(min_confidence=60)
        if item.typ in KINDS and (ROOT / "tests") not in Path(item.filename).parents
    ]


if __name__ == "__main__":
    sys.exit("\n".join(found()) or 0)

"""`./dev bench`: the benchmarks in tests/bench, each as a ratio against a peer or a floor measured in the same run."""

import subprocess
import sys

from callvoip.paths import ROOT

DIRECTORY = ROOT / "tests" / "bench"
BENCHMARKS = (
    "media",
    "edge",
    "sip",
    "soak",
    "faults",
    "fuzz",
    "api",
    "console",
    "site",
    "histories",
    "cost",
    "fleet",
    "roll",
)
ONLY_WHEN_NAMED = ("soak",)
"""It takes two hours."""


def main(arguments: list[str]) -> int:
    """Run the benchmarks named first, or all but `soak`; what follows (`--json`, `--help`, ...) goes to each."""
    known = [name for name in BENCHMARKS if (DIRECTORY / f"{name}.py").exists()]
    names = [argument for argument in arguments if argument in known]
    options = [argument for argument in arguments if argument not in known]
    unknown = [option for option in options if not option.startswith("-") and not names]
    if unknown:
        print(f"dev: there is no benchmark {unknown[0]!r}; they are: {', '.join(known)}.", file=sys.stderr)
        return 2
    if not names and set(options) & {"-h", "--help"}:
        print(f"usage: ./dev bench [{'|'.join(known)} ...] [--json]\n\n{__doc__}")
        return 0
    for name in names or [each for each in known if each not in ONLY_WHEN_NAMED]:
        code = subprocess.run([sys.executable, DIRECTORY / f"{name}.py", *options], cwd=ROOT).returncode
        if code:
            return code
    return 0

"""Takes a file of numbers into use: `python -m customers.number_blocks FILE --name BLOCK`; needs CUSTOMERS_TABLE and AWS_REGION."""

import argparse
import getpass
import sys
from collections.abc import Sequence
from pathlib import Path

from customers import numbers
from customers.states import Actor, Role
from shared import clock


def main(arguments: Sequence[str] | None = None) -> int:
    """Load the file and say what it came to; 1 when a line is no number."""
    parser = argparse.ArgumentParser(
        prog="customers.number_blocks", description="Numbers that we may give out, one a line."
    )
    parser.add_argument("file", type=Path, help="one number a line, such as +31855550120; lines with # are remarks")
    parser.add_argument("--name", required=True, help="what the block is called, as in the letter that granted it")
    told = parser.parse_args(arguments)
    lines = [line.strip() for line in told.file.read_text(encoding="utf-8-sig").splitlines()]
    wanted = [line for line in lines if line and not line.startswith("#")]
    added, odd = numbers.load(wanted, told.name, Actor(Role.OPERATOR, getpass.getuser()), clock.now())
    print(f"{told.file}: {added} numbers are new, {len(wanted) - added - len(odd)} were known.")
    for text in odd:
        print(
            f"{told.file}:{lines.index(text) + 1}: {text!r} is no number in international form (+31855550120).",
            file=sys.stderr,
        )
    return 1 if odd else 0


if __name__ == "__main__":
    sys.exit(main())

"""The logs of a local system: its own, and all of them on the terminal for who wants to see what happens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_SECONDS = 0.3
_CHUNK = 1 << 20


@contextmanager
def own_log(path: Path, level: int) -> Iterator[None]:
    """Send what this process logs to a file for as long as the system runs."""
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    ours, root = logging.getLogger("callvoip"), logging.getLogger()
    before = ours.level
    ours.setLevel(level)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        ours.setLevel(before)
        handler.close()


async def follow(directory: Path, show: Callable[[str], None]) -> None:
    """Show every new line of every file under `directory` until cancelled, each after the file's own name."""
    followed: dict[Path, _Followed] = {}
    while True:
        for line in _new_lines(directory, followed):
            show(line)
        await asyncio.sleep(POLL_SECONDS)


def _new_lines(directory: Path, followed: dict[Path, _Followed]) -> Iterator[str]:
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        for line in followed.setdefault(path, _Followed(path)).lines():
            yield f"{path.relative_to(directory).with_suffix('')}: {line}"


class _Followed:
    """How far a file was read; half a line waits for its other half."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""

    def lines(self) -> list[str]:
        """What is new in it, as far as a line has ended."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                read = file.read(_CHUNK)
        except FileNotFoundError:
            return []
        self._offset += len(read)
        *lines, self._rest = (self._rest + read).split(b"\n")
        return [line.decode(errors="replace") for line in lines]

"""The directory of `./dev up --data`: what a local system keeps from one run to the next, and where in it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


class DataError(RuntimeError):
    """The directory cannot be used; the text says why."""


@dataclass(frozen=True)
class Data:
    """Paths in the directory. Whoever may read it may read what customers entered: it is its owner's alone."""

    directory: Path

    @property
    def tables(self) -> Path:
        """Directory of DynamoDB Local."""
        return self.directory / "dynamodb"

    @property
    def positions(self) -> Path:
        """How far the functions have read the tables' streams."""
        return self.directory / "streams.json"

    @property
    def instances(self) -> Path:
        """EC2's instances."""
        return self.directory / "ec2.json"

    @property
    def disks(self) -> Path:
        """The instances' files, a directory each."""
        return self.directory / "disks"

    @property
    def names(self) -> Path:
        """The record sets of the zones."""
        return self.directory / "zones.json"

    @property
    def certificate(self) -> Path:
        """The SIP certificate with its key and the authority that phones trust."""
        return self.directory / "certificate.json"

    @property
    def secrets(self) -> Path:
        """What Secrets Manager generated, by name."""
        return self.directory / "secrets.json"

    @property
    def mail(self) -> Path:
        """What SES has sent, a line each."""
        return self.directory / "mail.jsonl"


@contextmanager
def opened(directory: Path) -> Iterator[Data]:
    """The directory, made when it is not there, for one system at a time. Raises DataError."""
    data = Data(directory.resolve())
    try:
        for path in (data.directory, data.tables, data.disks):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (data.directory / ".lock").open("w")
    except OSError as error:
        raise DataError(f"{directory} cannot keep the data: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"another local system keeps its data in {directory}") from None
        yield data


def write(path: Path, text: str) -> None:
    """Replace a file at once, readable by its owner only: whoever is killed meanwhile leaves the old one."""
    beside = path.with_name(f".{path.name}")
    beside.touch(mode=0o600)
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)

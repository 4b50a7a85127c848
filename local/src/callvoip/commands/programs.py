"""System programs that tests need: which are missing, and installing them where that is allowed."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from callvoip.paths import ROOT

LIST = ROOT / "tests" / "programs.txt"


@dataclass(frozen=True)
class Program:
    """A Debian package and what proves that it is installed: a program on PATH, or an absolute path."""

    package: str
    proof: str

    @property
    def present(self) -> bool:
        return Path(self.proof).exists() if self.proof.startswith("/") else shutil.which(self.proof) is not None


def programs() -> list[Program]:
    """All programs of tests/programs.txt."""
    lines = (line.split("#")[0].split() for line in LIST.read_text().splitlines())
    return [Program(*words) for words in lines if words]


def install_missing() -> list[Program]:
    """Install what is missing with apt when running as root; return what is missing still."""
    missing = [program for program in programs() if not program.present]
    if not missing or os.geteuid() != 0 or not shutil.which("apt-get"):
        return missing
    packages = [program.package for program in missing]
    print(f"installing {', '.join(packages)} ...", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], env=environment, check=False)
    subprocess.run(
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
        env=environment,
        stdout=subprocess.DEVNULL,
        check=False,
    )
    return [program for program in missing if not program.present]

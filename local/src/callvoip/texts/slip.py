"""One thing that is wrong with a text, for the person who wrote it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Slip:
    """Where, what is wrong and what to do about it, in Dutch. `line` counts from 1; 0 means the file as a whole."""

    file: str
    line: int
    wrong: str
    do: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.wrong}\n    {self.do}"


def meant(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """ "Bedoelt u …?" for the known word that is most like `word`, or else what `otherwise` says."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"Bedoelt u {near[0]}?" if near else otherwise

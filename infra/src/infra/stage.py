"""What stands in stage.toml, and that it is of the right kind."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

STAGE = Path(os.environ.get("CALLVOIP_STAGE") or Path(__file__).parent / "stage.toml")


def read_stage(section: str, **kinds: type) -> Mapping[str, Any]:
    """The settings of one section. Raises ValueError naming what is missing or wrong."""
    found = tomllib.loads(STAGE.read_text(encoding="utf-8")).get(section, {})
    for name, kind in kinds.items():
        if not isinstance(found.get(name), kind):
            value = f"is {found[name]!r}" if name in found else "is missing"
            raise ValueError(f"{STAGE.name}: [{section}] {name} {value}; it must be a {kind.__name__}")
    return dict(found)

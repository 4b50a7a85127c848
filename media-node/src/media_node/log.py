"""One JSON object a line on standard error. Callers pass no names, numbers or addresses of people."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any


def log(event: str, **fields: Any) -> None:
    """Writes one line: when, what, and the fields given."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    sys.stderr.write(json.dumps({"at": at, "event": event, **fields}, default=str) + "\n")
    sys.stderr.flush()

"""What all documents of this context share."""

from collections.abc import Mapping
from typing import Any

Item = dict[str, Any]


def present(attributes: Mapping[str, Any]) -> Item:
    """Without what is absent or empty: an attribute that is not there costs nothing."""
    return {name: value for name, value in attributes.items() if value is not None and value not in ("", [], {})}

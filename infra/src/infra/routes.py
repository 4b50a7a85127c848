"""The routes that the functions' handlers declare (functions/src/shared/routes.py), as the build wrote them into their bundle."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SALES = "colleague"
"""The caller for whom API Gateway's authorizer checks a token; all others the functions check themselves."""

LANGUAGES = ("en",)
"""What the paths of translated pages begin with."""


@dataclass(frozen=True)
class Route:
    """One route, as API Gateway has it: `GET`, `/api/orders/{order_id}`, and who may call it."""

    method: str
    path: str
    caller: str

    @property
    def key(self) -> str:
        """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html."""
        return f"{self.method} {self.path}"


def read_routes(bundle: Path) -> dict[str, list[Route]]:
    """The routes by handler, from routes.json in the functions' bundle. Raises OSError, ValueError or KeyError."""
    declared = json.loads((bundle / "routes.json").read_text(encoding="utf-8"))
    return {
        handler: [Route(route["method"], route["path"], route["caller"]) for route in routes]
        for handler, routes in declared.items()
    }


def dynamic_paths(routes: Mapping[str, Iterable[Route]]) -> Sequence[str]:
    """The path patterns of what functions answer, for CloudFront: the first segment of each route, after the language if there is one."""
    return sorted({_pattern(route.path) for declared in routes.values() for route in declared})


def _pattern(path: str) -> str:
    segments = path.strip("/").split("/")
    depth = 2 if segments[0] in LANGUAGES else 1
    if len(segments) < depth or "{" in "".join(segments[:depth]):
        raise ValueError(
            f"{path}: the site's files would be behind this route too; begin its path with a fixed segment"
        )
    # At least one character more: the directory itself is the site's, which redirects or has a page there.
    return f"/{'/'.join(segments[:depth])}/?*"

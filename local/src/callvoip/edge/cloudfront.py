"""The distribution of the template: which origin answers a path, what happens to errors, and the headers every answer
gets.
"""

from __future__ import annotations

import fnmatch
import gzip
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from callvoip.aws.deployment import Deployment
from callvoip.edge.exchange import Answer, Request

# The managed cache policy CachingOptimized: the one of ours that lets CloudFront compress.
CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
# What CloudFront compresses, of the types that a site has; and from which size.
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/ServingCompressedFiles.html
COMPRESSED_TYPES = frozenset(
    {
        "application/javascript", "application/json", "application/xml", "application/wasm", "image/svg+xml",
        "text/css", "text/html", "text/javascript", "text/markdown", "text/plain", "text/xml",
    }
)  # fmt: skip
COMPRESSED_SIZES = range(1_000, 10_000_001)


@dataclass(frozen=True)
class Behaviour:
    """A cache behaviour. `function` is the code of its viewer-request function, if it has one."""

    pattern: str
    origin: str
    methods: frozenset[str]
    headers: tuple[tuple[str, str], ...]
    without_headers: tuple[str, ...]
    function: str | None
    compresses: bool

    def matches(self, path: str) -> bool:
        """CloudFront's patterns know * and ? only, and * passes slashes."""
        return fnmatch.fnmatchcase(path, self.pattern.replace("[", "[[]"))


@dataclass(frozen=True)
class ErrorPage:
    """What is answered in place of a status."""

    status: int
    path: str


@dataclass(frozen=True)
class Distribution:
    """Behaviours in order, the default one last; origin headers by origin id."""

    behaviours: tuple[Behaviour, ...]
    error_pages: Mapping[int, ErrorPage]
    origins: Mapping[str, str]
    """Host name of each origin."""
    origin_headers: Mapping[str, tuple[tuple[str, str], ...]]

    def behaviour(self, path: str) -> Behaviour:
        """The first behaviour whose pattern matches."""
        return next(behaviour for behaviour in self.behaviours if behaviour.matches(path))

    def finish(self, behaviour: Behaviour, answer: Answer) -> Answer:
        """The answer with the headers of the behaviour's response headers policy."""
        return answer.with_headers(behaviour.headers, without=behaviour.without_headers)

    def compress(self, behaviour: Behaviour, request: Request, answer: Answer) -> Answer:
        """The answer as gzip where CloudFront would compress it. (It prefers Brotli, which is smaller.)"""
        kind = dict(answer.headers).get("content-type", "").partition(";")[0]
        accepted = "gzip" in (request.header("accept-encoding") or "")
        if not (
            behaviour.compresses and accepted and kind in COMPRESSED_TYPES and len(answer.body) in COMPRESSED_SIZES
        ):
            return answer
        body = gzip.compress(answer.body, mtime=0)
        return replace(answer, body=body).with_headers((("content-encoding", "gzip"), ("vary", "accept-encoding")))


def read(deployment: Deployment) -> Distribution:
    """The template's distribution. Raises LookupError when there is not exactly one."""
    config = deployment.the("AWS::CloudFront::Distribution").properties["DistributionConfig"]
    listed = [*config.get("CacheBehaviors", []), {**config["DefaultCacheBehavior"], "PathPattern": "*"}]
    return Distribution(
        behaviours=tuple(_behaviour(deployment, entry) for entry in listed),
        error_pages={
            entry["ErrorCode"]: ErrorPage(status=entry["ResponseCode"], path=entry["ResponsePagePath"])
            for entry in config.get("CustomErrorResponses", [])
            if "ResponsePagePath" in entry
        },
        origins={origin["Id"]: origin["DomainName"] for origin in config["Origins"]},
        origin_headers={
            origin["Id"]: tuple(
                (header["HeaderName"].lower(), deployment.secret(header["HeaderValue"]))
                for header in origin.get("OriginCustomHeaders", [])
            )
            for origin in config["Origins"]
        },
    )


def _behaviour(deployment: Deployment, entry: Mapping[str, Any]) -> Behaviour:
    policy: Mapping[str, Any] = {}
    if "ResponseHeadersPolicyId" in entry:
        named = deployment.named("AWS::CloudFront::ResponseHeadersPolicy", entry["ResponseHeadersPolicyId"])
        policy = named.properties["ResponseHeadersPolicyConfig"]
    functions = [
        deployment.named("AWS::CloudFront::Function", association["FunctionARN"]).properties["FunctionCode"]
        for association in entry.get("FunctionAssociations", [])
        if association["EventType"] == "viewer-request"
    ]
    return Behaviour(
        pattern=entry["PathPattern"],
        origin=entry["TargetOriginId"],
        methods=frozenset(entry.get("AllowedMethods", ("GET", "HEAD"))),
        headers=tuple(_headers(policy)),
        without_headers=tuple(
            item["Header"].lower() for item in policy.get("RemoveHeadersConfig", {}).get("Items", [])
        ),
        function=functions[0] if functions else None,
        compresses=bool(entry.get("Compress")) and entry.get("CachePolicyId") == CACHING_OPTIMIZED,
    )


def _headers(policy: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The headers that a ResponseHeadersPolicyConfig stands for."""
    found: list[tuple[str, str]] = []
    security = policy.get("SecurityHeadersConfig", {})
    if "ContentSecurityPolicy" in security:
        found.append(("content-security-policy", security["ContentSecurityPolicy"]["ContentSecurityPolicy"]))
    if "StrictTransportSecurity" in security:
        transport = security["StrictTransportSecurity"]
        value = f"max-age={transport['AccessControlMaxAgeSec']}"
        value += "; includeSubDomains" if transport.get("IncludeSubdomains") else ""
        found.append(("strict-transport-security", value + ("; preload" if transport.get("Preload") else "")))
    if "ContentTypeOptions" in security:
        found.append(("x-content-type-options", "nosniff"))
    if "FrameOptions" in security:
        found.append(("x-frame-options", security["FrameOptions"]["FrameOption"]))
    if "ReferrerPolicy" in security:
        found.append(("referrer-policy", security["ReferrerPolicy"]["ReferrerPolicy"]))
    custom = policy.get("CustomHeadersConfig", {}).get("Items", [])
    return found + [(item["Header"].lower(), item["Value"]) for item in custom]

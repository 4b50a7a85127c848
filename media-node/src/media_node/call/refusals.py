"""Why a call is not made or a request not done, and which of several refusals stands for all."""

from __future__ import annotations

from media_node.sip.headers import Request, Response
from media_node.sip.message import warning
from media_node.sip.phrases import PHRASES
from media_node.sip.sdp import CONTENT_TYPE, OtherBody, Session, attached

CHALLENGES = (401, 407)
UNACCEPTABLE = (488, 606)
"""The description will not do."""


class CallRefused(Exception):
    """The request ends with this response; `headers` are named with _ for -, as in Retry_After.

    `unreachable` tells that nobody on the other side judged the call: another way there may do.
    """

    unreachable = False

    def __init__(self, status: int, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = headers


class Unreachable(CallRefused):
    """The way there failed, not who is there."""

    unreachable = True


class Absent(CallRefused):
    """No phone of those who should ring is there."""

    def __init__(self, reason: str) -> None:
        super().__init__(480, reason, Warning=warning("The called phone is not registered"))


def described(message: Request | Response) -> Session | None:
    """The SDP a message carries, or None. Raises CallRefused for another body or broken SDP."""
    try:
        return attached(message)
    except OtherBody as error:
        raise CallRefused(415, str(error), Accept=CONTENT_TYPE) from error
    except ValueError as error:
        raise CallRefused(400, "The SDP is not valid", Warning=warning(f"Broken SDP: {error}")) from error


def best(failures: list[Response]) -> Response:
    """The response that stands for all (RFC 3261 section 16.7 step 6): a global refusal first, then the lowest class
    and code.
    """
    return min(
        failures,
        key=lambda response: (
            response.code // 100 != 6,
            response.code // 100,
            response.code in (408, 503),
            response.code,
        ),
    )


def refusal(response: Response) -> CallRefused:
    """What the caller is told when this is how the called side refused."""
    if response.code in CHALLENGES or response.code < 400:
        return CallRefused(502, f"The called side answered {response.code}")
    if response.code in (408, 503):
        return Unreachable(480, "The called side cannot be reached")
    kept = {
        name.replace("-", "_"): value
        for name in ("Retry-After", "Warning", "Reason")
        if (value := response.headers.get(name))
    }
    kind = Unreachable if response.code // 100 == 5 else CallRefused
    return kind(response.code, PHRASES.get(response.code, response.phrase), **kept)

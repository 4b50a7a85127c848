"""What a customer has at a glance."""

from aws_lambda_powertools.event_handler import Response

from customers.portal import door, registrations, views
from customers.portal.door import HOME, member, page, visitor


@door.get(HOME, "What a customer has, at a glance")
def get_overview() -> Response[str]:
    """The first page after signing in."""
    account = member().account
    seen = views.overview(account, registrations.of(account.id), visitor().now)
    return page("overview", environment=seen)

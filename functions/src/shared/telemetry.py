"""Log lines and metrics.

Neither ever holds a request's body, a token or personal data: order ids, states and counts only.
"""

import os

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

logger = Logger(serialize_stacktrace=False)
# A namespace that is missing must not fail a request.
metrics = Metrics(namespace=os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "callvoip"))


def count(metric: str) -> None:
    """Count one of something, sent with the invocation's other metrics."""
    metrics.add_metric(name=metric, unit=MetricUnit.Count, value=1)


def measure(metric: str, value: float) -> None:
    """Say how much of something there is now."""
    metrics.add_metric(name=metric, unit=MetricUnit.NoUnit, value=value)


def flush() -> None:
    """Send the invocation's metrics, if there are any."""
    if metrics.metric_set:
        metrics.flush_metrics()

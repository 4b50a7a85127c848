"""Which shard an environment belongs to, the same for everyone who keeps them apart. Pure."""

import hashlib

SHARDS = 16
"""So many partitions environments are spread over: DynamoDB reads and writes each at its own pace, and a look may be about some alone."""

ALL = range(SHARDS)


def shard(environment_id: str) -> int:
    """Between 0 and SHARDS."""
    return hashlib.sha256(environment_id.encode()).digest()[0] % SHARDS

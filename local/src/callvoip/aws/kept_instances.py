"""Instances of moto's EC2 that outlast it: written to a file when they change, and running again, the same ones, after
a restart.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from moto.core.types import Base64EncodedString
from moto.ec2.models import ec2_backends, instances

from callvoip.data import write

Described = dict[str, Any]


class KeptInstances:
    """The running instances of one account, in `path`. What ended is forgotten, as EC2 does after an hour."""

    def __init__(self, account: str, path: Path) -> None:
        self._account = account
        self._path = path
        self._lock = threading.Lock()

    def restore(self) -> None:
        """Run again what the file tells of, by the same ids."""
        if self._path.exists():
            for described in json.loads(self._path.read_text(encoding="utf-8")):
                self._run(described)

    def save(self) -> None:
        """Write down what runs now."""
        with self._lock:
            regions = ec2_backends[self._account]
            running = [_described(region, one) for region in list(regions) for one in regions[region].all_instances()]
            write(self._path, json.dumps([one for one in running if one["state"] in ("pending", "running")], indent=1))

    def _run(self, described: Described) -> None:
        backend = ec2_backends[self._account][described["region"]]
        with _the_next_id(described["id"]):
            reservation = backend.run_instances(
                described["image"],
                1,
                Base64EncodedString(described["userData"]),
                [],
                instance_type=described["type"],
                is_instance_type_default=False,
                placement=described["zone"],
                tags={"instance": described["tags"]},
            )
        reservation.instances[0].launch_time = datetime.fromisoformat(described["launchedAt"])


def _described(region: str, instance: Any) -> Described:
    return {
        "id": instance.id,
        "region": region,
        "zone": instance.placement.zone,
        "type": instance.instance_type,
        "image": instance.image_id,
        "userData": str(instance.user_data or ""),
        "tags": {tag["key"]: tag["value"] for tag in instance.get_tags() if not tag["key"].startswith("aws:")},
        "launchedAt": instance.launch_time.isoformat(),
        "state": instance.state,
    }


@contextmanager
def _the_next_id(instance_id: str) -> Iterator[None]:
    """moto draws an instance's id where it is made and takes none."""
    with patch.object(instances, "random_instance_id", lambda: instance_id):
        yield

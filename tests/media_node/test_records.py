"""Call records on their way: no crash, full disk or silent AWS loses one, and none is sent as two."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from media_node.control import aws, records
from media_node.control.records import Spool
from tests.support.node import Aws

Table = tuple[Any, str]


@pytest.fixture
def table(aws: Aws) -> Table:
    client, name = aws.client("dynamodb"), f"records-{uuid.uuid4()}"
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    return client, name


def record(number: int) -> dict[str, Any]:
    return {"pk": "CUSTOMER#abc234", "sk": f"t#{number}", "jitterMs": 1.25}


def held(table: Table) -> list[str]:
    client, name = table
    return sorted(item["sk"]["S"] for item in client.scan(TableName=name)["Items"])


def fill(spool: Spool, count: int) -> None:
    for number in range(count):
        spool.add(f"c{number}", record(number))


def test_records_wait_on_the_disk_until_aws_has_them(table: Table, tmp_path: Path) -> None:
    client, name = table
    spool = Spool(tmp_path)
    fill(spool, 60)
    with pytest.raises(aws.Unavailable):
        spool.upload(client, "no-such-table")
    after = Spool(tmp_path)
    assert len(after.waiting()) == 60, "another process finds them again"
    assert after.upload(client, name) == 60, "more than two batches"
    assert after.waiting() == []
    assert len(held(table)) == 60


def test_two_uploads_at_once_send_every_record_once(table: Table, tmp_path: Path) -> None:
    client, name = table
    spool = Spool(tmp_path)
    fill(spool, 10)
    with ThreadPoolExecutor() as threads:
        sent = [upload.result() for upload in [threads.submit(spool.upload, client, name) for _ in range(3)]]
    assert sum(sent) == 10


def test_a_call_that_is_forgotten_leaves_nothing(table: Table, tmp_path: Path) -> None:
    client, name = table
    spool = Spool(tmp_path)
    for call in ("on the disk", "in memory"):
        spool.begin(call, record(1))
        if call == "on the disk":
            spool.write()
        spool.forget(call)
    assert spool.upload(client, name) == 0
    assert Spool(tmp_path).recover() == []
    assert held(table) == []


@pytest.mark.parametrize("content", ["{", "", "[]", "null", '{"pk": 1}', "\udcff"])
def test_a_file_that_is_no_record_does_not_hold_up_the_others(table: Table, tmp_path: Path, content: str) -> None:
    client, name = table
    spool = Spool(tmp_path)
    (tmp_path / "a.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    fill(spool, 3)
    assert spool.upload(client, name) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["a.broken"], "kept for a person"


def test_an_item_that_dynamodb_will_never_take_does_not_hold_up_the_others(table: Table, tmp_path: Path) -> None:
    client, name = table
    spool = Spool(tmp_path)
    fill(spool, 3)
    spool.add("odd", {**record(9), "sk": "", "why": "an empty key"})
    assert spool.upload(client, name) == 3
    assert spool.upload(client, name) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["odd.broken"]


def test_what_dynamodb_leaves_of_a_batch_is_sent_again(table: Table, tmp_path: Path) -> None:
    client, name = table

    class Throttled:
        """Takes one item of each batch, as a table at its limit does."""

        exceptions = client.exceptions

        def batch_write_item(self, RequestItems: dict[str, list[Any]]) -> dict[str, Any]:
            [(table, requests)] = RequestItems.items()
            client.batch_write_item(RequestItems={table: requests[:1]})
            return {"UnprocessedItems": {table: requests[1:]} if requests[1:] else {}}

    spool = Spool(tmp_path)
    fill(spool, 5)
    first = spool.upload(Throttled(), name)  # type: ignore[arg-type]
    assert first == records.MOST_BATCH_TRIES
    assert len(spool.waiting()) == 5 - first, "what did not go waits"
    spool.upload(client, name)
    assert len(held(table)) == 5


def test_the_record_of_a_call_that_ended_replaces_what_was_begun(table: Table, tmp_path: Path) -> None:
    client, name = table
    spool = Spool(tmp_path)
    spool.begin("c1", {**record(1), "reason": ""})
    spool.write()
    assert [path.name for path in tmp_path.iterdir()] == ["c1.begun"]
    assert spool.upload(client, name) == 0, "a running call has no record yet"
    spool.add("c1", {**record(1), "reason": "completed"})
    assert spool.upload(client, name) == 1
    assert list(tmp_path.iterdir()) == []
    assert Spool(tmp_path).recover() == []


def test_a_call_that_ends_before_the_disk_knew_of_it_leaves_one_record(table: Table, tmp_path: Path) -> None:
    client, name = table
    spool = Spool(tmp_path)
    spool.begin("c1", record(1))
    spool.add("c1", record(1))
    assert spool.upload(client, name) == 1
    assert Spool(tmp_path).recover() == []


@pytest.mark.usefixtures("processes")
def test_a_killed_process_leaves_what_was_begun_and_when_it_last_lived(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, signal, sys; from media_node.control.records import Spool\n"
        "spool = Spool(pathlib.Path(sys.argv[1])); spool.begin('c1', {'pk': 'CUSTOMER#a', 'sk': 't'}); spool.write()\n"
        "spool.alive(); (pathlib.Path(sys.argv[1]) / 'x.partial').write_text('half'); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert done.returncode == -9
    os.utime(tmp_path / "alive", (2_000_000_000, 2_000_000_000))
    spool = Spool(tmp_path)
    [(name, item, seen)] = spool.recover()
    assert (name, item, seen.timestamp()) == ("c1", {"pk": "CUSTOMER#a", "sk": "t"}, 2_000_000_000)
    assert not list(tmp_path.glob("*.partial"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A file system of 64 kB, which three records of 20 kB fill."""
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("mounting needs root")
    directory = tmp_path / "small"
    directory.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(directory)], check=False)
    if mounted.returncode:
        pytest.skip("no tmpfs can be mounted here")
    yield directory
    subprocess.run(["umount", str(directory)], check=True)


def test_a_full_disk_keeps_records_in_memory_and_writes_them_later(table: Table, small_disk: Path) -> None:
    client, name = table
    spool = Spool(small_disk)
    for number in range(8):
        spool.add(f"c{number}", {**record(number), "padding": "x" * 20_000})
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        spool.write()
    assert spool.in_memory > 0
    assert not list(small_disk.glob("*.partial")), "half a record would fill the disk for good"
    with pytest.raises(ClientError):
        spool.upload(client, "no-such-table")
    assert spool.in_memory + len(spool.waiting()) == 8, "nothing is lost while AWS is away as well"
    assert spool.upload(client, name) == 8
    assert held(table) == [f"t#{number}" for number in range(8)]
    assert spool.in_memory == 0


def test_memory_is_bounded_and_what_is_lost_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MOST_IN_MEMORY", 3)
    spool = Spool(tmp_path)
    fill(spool, 5)
    assert (spool.in_memory, spool.dropped) == (3, 2)
    spool.add("c0", {**record(0), "reason": "completed"})
    assert spool.dropped == 2, "a call that is known already may still end"
    assert spool.write() == 3
    assert json.loads((tmp_path / "c0.json").read_text())["reason"] == "completed"

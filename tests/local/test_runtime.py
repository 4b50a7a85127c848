"""Real functions under awslambdaric, each in processes of its own."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from callvoip.aws.endpoint import Emulated
from callvoip.lambdas import runtime as runtime_module
from callvoip.lambdas.runtime import FunctionError, Runtime

CODE = """
import os, sys, time
from datetime import UTC, datetime
print("started")

def echo(event, context):
    return {"event": event, "pid": os.getpid(), "table": os.environ["TABLE"], "region": os.environ["AWS_REGION"],
            "arn": context.invoked_function_arn, "left": context.get_remaining_time_in_millis(), "home": os.environ["LAMBDA_TASK_ROOT"]}

def now(event, context):
    return datetime.now(UTC).isoformat()

def fail(event, context):
    raise ValueError("no such thing")

def leave(event, context):
    os._exit(3)

def sleep(event, context):
    time.sleep(event)
    return "awake"
"""


ROLE: tuple[str, str, dict[str, object]] = ("AWS::IAM::Role", "role", {})


@pytest.fixture
async def runtime(deployment, emulated: Emulated, tmp_path: Path) -> AsyncIterator[Runtime]:
    code = tmp_path / "code"
    code.mkdir()
    (code / "app.py").write_text(CODE)

    def function(name: str, handler: str | None = None, timeout: float = 10):
        properties = {
            "Handler": handler or f"app.{name}",
            "Role": "role",
            "Code": {"S3Key": "hash.zip"},
            "Timeout": timeout,
            "Environment": {"Variables": {"TABLE": "orders"}},
        }
        return "AWS::Lambda::Function", name, properties

    made = deployment(
        ROLE, function("echo"), function("now"),
        function("fail"), function("leave"), function("sleep", timeout=0.5), function("missing", "nothing.handler"),
        assets={"hash": code},
    )  # fmt: skip
    async with Runtime(made, emulated, logs=tmp_path / "logs", scratch=tmp_path) as running:
        yield running


async def test_a_function_gets_its_event_its_context_and_its_environment(runtime, tmp_path):
    got = await runtime.invoke("echo", {"é": [1, None]})
    assert got["event"] == {"é": [1, None]}
    assert (got["table"], got["region"]) == ("orders", "eu-central-1")
    assert got["arn"].endswith(":echo")
    assert 0 < got["left"] <= 10_000
    assert got["home"] == str(tmp_path / "code")


async def test_a_warm_function_answers_in_milliseconds_from_the_same_process(runtime):
    first = await runtime.invoke("echo", 1)
    started = time.perf_counter()
    for _ in range(20):
        assert (await runtime.invoke("echo", 1))["pid"] == first["pid"]
    # Header and body in two writes would cost 40 ms each.
    assert (time.perf_counter() - started) / 20 < 0.03


async def test_invocations_at_the_same_time_get_processes_of_their_own(runtime):
    got = await asyncio.gather(*(runtime.invoke("echo", number) for number in range(6)))
    assert [one["event"] for one in got] == list(range(6))
    assert 1 < len({one["pid"] for one in got}) <= runtime_module.CONCURRENCY


async def test_an_exception_is_told_and_the_next_call_works(runtime):
    for _ in range(2):
        with pytest.raises(FunctionError, match="ValueError: no such thing"):
            await runtime.invoke("fail", {})


async def test_a_function_that_ends_its_process_is_told_and_replaced(runtime):
    for _ in range(2):
        with pytest.raises(FunctionError, match="exited"):
            await runtime.invoke("leave", {})


async def test_a_function_that_takes_too_long_is_ended(runtime):
    assert await runtime.invoke("sleep", 0) == "awake"
    with pytest.raises(FunctionError, match="timed out"):
        await runtime.invoke("sleep", 30)
    assert await runtime.invoke("sleep", 0) == "awake"


async def test_a_handler_that_is_not_there_is_told(runtime):
    with pytest.raises(FunctionError, match="nothing"):
        await runtime.invoke("missing", {})


async def test_a_name_that_is_not_in_the_template_is_an_error(runtime):
    with pytest.raises(LookupError):
        await runtime.invoke("nobody", {})


async def test_a_version_is_its_function(runtime):
    assert runtime.find(runtime.find("echo").arn + ":1").name == "echo"


async def test_what_a_function_prints_stands_in_its_log_and_nothing_in_its_bundle(runtime, tmp_path):
    await runtime.invoke("echo", {})
    assert "started" in (tmp_path / "logs" / "echo.log").read_text()
    assert [path.name for path in (tmp_path / "code").iterdir()] == ["app.py"]


async def test_leaving_ends_every_process(deployment, emulated, tmp_path):
    code = tmp_path / "code"
    code.mkdir()
    (code / "app.py").write_text(CODE)
    properties = {
        "Handler": "app.echo",
        "Role": "role",
        "Code": {"S3Key": "hash.zip"},
        "Environment": {"Variables": {"TABLE": "t"}},
    }
    made = deployment(ROLE, ("AWS::Lambda::Function", "echo", properties), assets={"hash": code})
    async with Runtime(made, emulated, logs=tmp_path / "logs", scratch=tmp_path) as running:
        pid = (await running.invoke("echo", {}))["pid"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_function_knows_its_site_by_the_local_address(deployment, emulated, tmp_path):
    (tmp_path / "app.py").write_text("import os\n\ndef site(event, context):\n    return os.environ['SITE_URL']\n")
    properties = {
        "Handler": "app.site",
        "Role": "role",
        "Code": {"S3Key": "hash.zip"},
        "Environment": {"Variables": {"SITE_URL": "https://d1.cloudfront.net"}},
    }
    made = deployment(ROLE, ("AWS::Lambda::Function", "site", properties), assets={"hash": tmp_path})
    aliases = {"https://d1.cloudfront.net": "http://127.0.0.1:8080"}
    async with Runtime(made, emulated, logs=tmp_path / "logs", scratch=tmp_path, aliases=aliases) as running:
        assert await running.invoke("site", {}) == "http://127.0.0.1:8080"


async def test_a_function_whose_clock_was_moved_lives_later_and_the_others_do_not(runtime):
    async def said(name: str) -> float:
        return (datetime.fromisoformat(await runtime.invoke(name, {})) - datetime.now(UTC)).total_seconds()

    assert abs(await said("now")) < 300
    runtime.move_clock("now", 86400 * 32)
    assert 86400 * 32 - 300 < await said("now") < 86400 * 32 + 300
    assert (await runtime.invoke("echo", 1))["left"] > 0, "deadlines keep the real time"
    runtime.move_clock("now", 0)
    assert abs(await said("now")) < 300
    with pytest.raises(LookupError, match="no function nobody"):
        runtime.move_clock("nobody", 1)

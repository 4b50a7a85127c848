"""Steps run when their inputs changed, and only then."""

import pytest

from callvoip import build
from callvoip.build import BuildError, Step


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(build, "BUILD", tmp_path / "build")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("1")
    return tmp_path


@pytest.fixture
def made() -> list[str]:
    return []


@pytest.fixture
def step(checkout, made):
    def make(out):
        made.append((checkout / "in" / "a.txt").read_text())
        (out / "b.txt").write_text(made[-1])

    return lambda salt="": Step("out", (checkout / "in",), make, salt)


def quiet(line: str) -> None:
    pass


def test_a_step_runs_once_for_the_same_inputs(checkout, step, made):
    for _ in range(3):
        build.run([step()], quiet)
    assert made == ["1"]
    assert (checkout / "build/out/b.txt").read_text() == "1"


@pytest.mark.parametrize("change", ["content", "name", "salt", "gone"])
def test_a_step_runs_again_for_any_change(checkout, step, made, change):
    build.run([step()], quiet)
    if change == "content":
        (checkout / "in" / "a.txt").write_text("2")
    elif change == "name":
        (checkout / "in" / "c.txt").write_text("")
    elif change == "gone":
        for path in (checkout / "build/out").iterdir():
            path.unlink()
        (checkout / "build/out").rmdir()
    build.run([step("s" if change == "salt" else "")], quiet)
    assert len(made) == 2


def test_byte_code_is_no_input(checkout, step, made):
    build.run([step()], quiet)
    (checkout / "in" / "__pycache__").mkdir()
    (checkout / "in" / "__pycache__" / "a.pyc").write_text("x")
    build.run([step()], quiet)
    assert len(made) == 1


def test_a_failing_step_leaves_the_old_output_and_runs_again(checkout, step, made):
    build.run([step()], quiet)
    (checkout / "in" / "a.txt").write_text("2")

    def fail(out):
        raise BuildError("no")

    with pytest.raises(BuildError):
        build.run([Step("out", (checkout / "in",), fail)], quiet)
    assert (checkout / "build/out/b.txt").read_text() == "1"
    build.run([step()], quiet)
    assert made == ["1", "2"]


def test_progress_says_what_is_built_and_nothing_when_nothing_is(checkout, step):
    said: list[str] = []
    build.run([step()], said.append)
    assert said[0] == "building out ..."
    said.clear()
    build.run([step()], said.append)
    assert said == []


@pytest.mark.usefixtures("processes")
def test_a_tool_that_fails_says_what_it_said(checkout):
    with pytest.raises(BuildError, match=r"(?s)sh failed:.*broken"):
        build._tool("sh", "-c", "echo broken >&2; exit 3")

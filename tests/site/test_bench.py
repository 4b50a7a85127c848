"""What `./dev bench site --json` prints of a page."""

from tests.bench.site import Measured
from tests.support.site.measure import Visit


def test_faults_are_counted_and_told() -> None:
    seen = Visit(
        axe=["a", "b"],
        console=["c"],
        foreign=["https://example.nl/x"],
        policy=["p"],
        bytes=10,
        requests=2,
        cls=0.1,
        overflow=3,
    )
    page = Measured("/x/", seen, ["vnu"], {"performance": 100})
    assert page.as_json() == {
        "path": "/x/", "bytes": 10, "requests": 2, "axe": 2, "vnu": 1, "cls": 0.1, "console": 1, "foreign": 1,
        "lighthouse": {"performance": 100},
    }  # fmt: skip
    assert page.faults == [
        "a", "b", "c", "asks https://example.nl/x", "policy: p", "scrolls sideways by 3 px", "vnu", "shifts by 0.1",
    ]  # fmt: skip

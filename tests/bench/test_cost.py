"""The cost of a phone: what docs/benchmarks.md shows is what the script reckons."""

from fleet.erlang import calls_needed
from tests.bench import cost


def test_the_table_in_the_docs_is_what_the_stated_prices_come_to() -> None:
    text = (cost.NODES.parents[3] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert cost.table([cost.cost(size, cost.read()) for size in cost.SIZES]) in text, "./dev bench cost"


def test_any_one_node_may_be_lost_and_all_calls_still_fit() -> None:
    for phones in (10, 100, 1_000, 10_000):
        customers, each = phones // 10, calls_needed(10)
        nodes = cost.nodes_for(phones, 10)
        packed = cost.capacity_calls() // each
        assert (nodes - 1) * packed >= customers
        assert nodes == 2 or (nodes - 2) * packed < customers, "and there is none too many"

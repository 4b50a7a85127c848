"""ordering.queue and ordering.export_csv: what sales finds, in pages that hold every order once, and the table for
Excel.
"""

import csv
import io
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordering import export_csv, queue
from ordering.order import RelatedParty, State, place
from ordering.pricing import Price
from ordering.queue import Entry, Filter, Sort
from shared import text as texts

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ORDER = place(
    order_id="9AWHNQ3569",
    category="quote",
    customer_id="abc234",
    related_party=RelatedParty("Café  Zürich B.V.", "12345678", "A. Jansen", "jansen@example.nl", "+31851234567"),
    note="",
    price=Price((), 21),
    token_sha256="0" * 64,
    now=NOON,
)
ENTRY = Entry(ORDER.id, State.ACKNOWLEDGED, NOON, "srtp", queue.search_text(ORDER), 5, 1000)

entries = st.builds(
    Entry,
    order_id=st.text("0123456789ABC", min_size=10, max_size=10),
    state=st.sampled_from(State),
    order_date=st.integers(0, 5).map(lambda n: NOON + timedelta(seconds=n)),
    category=st.sampled_from(["srtp", "plan"]),
    search=st.sampled_from(["bakker", "slager", "tandarts"]),
    phones=st.integers(0, 9),
    monthly_total_cents=st.integers(0, 3),
)


@pytest.mark.parametrize(
    "text",
    ["café", "CAFE zurich", "zür", "b.v.", "12345678", "1234 5678", "085 123 45 67", "085-1234567", "+31 85 123 45 67", "0031851234567",
     "+31 (0)85 1234567", "9awhnq3569", "9AWHNQ", "  ", ""],
)  # fmt: skip
def test_an_order_is_found_by_company_number_and_id(text: str) -> None:
    assert Filter(text=text).holds(ENTRY)


@pytest.mark.parametrize("text", ["bakker", "café bakker", "87654321", "0852222222", "pietersen"])
def test_an_order_is_not_found_by_what_it_is_not(text: str) -> None:
    assert not Filter(text=text).holds(ENTRY)


@given(st.text())
def test_any_search_gets_an_answer(text: str) -> None:
    Filter(text=text).holds(ENTRY)


def test_filters_narrow_together() -> None:
    assert Filter(frozenset({State.ACKNOWLEDGED}), "srtp", "cafe").holds(ENTRY)
    assert not Filter(frozenset({State.REJECTED}), "srtp", "cafe").holds(ENTRY)
    assert not Filter(category="plan").holds(ENTRY)


@given(
    st.lists(entries, unique_by=lambda entry: entry.order_id), st.sampled_from(Sort), st.booleans(), st.integers(1, 4)
)
def test_pages_hold_every_order_once_in_order(found: list[Entry], sort: Sort, descending: bool, limit: int) -> None:
    arranged = queue.arrange(found, sort, descending)
    seen: list[Entry] = []
    cursor = None
    while True:
        shown, cursor = queue.page(arranged, sort, descending, limit, cursor)
        seen += shown
        if cursor is None:
            break
    assert seen == arranged


@given(st.text(max_size=60), st.sampled_from(Sort))
def test_any_cursor_is_read_or_refused(cursor: str, sort: Sort) -> None:
    with suppress(ValueError):
        queue.page([ENTRY], sort, True, 1, cursor)


def test_a_cursor_of_another_sort_is_refused() -> None:
    _, cursor = queue.page([ENTRY, ENTRY], Sort.COMPANY, False, 1, None)
    with pytest.raises(ValueError, match="cursor"):
        queue.page([ENTRY], Sort.MONTHLY_TOTAL, False, 1, cursor)


def test_a_month_counts_all_orders_and_the_revenue_of_those_that_stand() -> None:
    gone = replace(ENTRY, state=State.CANCELLED, order_date=NOON + timedelta(days=1, hours=11, minutes=30))
    month = queue.month([ENTRY, ENTRY, gone], "2026-11")
    assert (month["orders"], month["lost"]["orders"], month["active"]["monthlyRevenueCents"]) == (3, 1, 0)
    assert month["expected"] == {"orders": 2, "phones": 10, "monthlyRevenueCents": 2000}
    done = queue.month([replace(ENTRY, state=State.COMPLETED), ENTRY], "2026-11")
    assert (done["active"]["phones"], done["expected"]["phones"]) == (5, 5)
    assert month["byState"]["acknowledged"] == 2
    # 23.30 UTC is the next day in the Netherlands.
    assert month["byDay"] == [{"day": "2026-11-21", "orders": 2}, {"day": "2026-11-23", "orders": 1}]


UNSEEN = "\u200b"


def company_cell(name: str) -> str:
    """The cell of the table for a company of this name."""
    party = replace(ORDER.related_party, company=name)
    table = export_csv.table([replace(ORDER, related_party=party)]).removeprefix("\ufeff")
    return list(csv.reader(io.StringIO(table, newline=""), delimiter=";"))[1][4]


@pytest.mark.parametrize(
    "name", ["=1+1", "+31", "-x", "@x", "\t=x", "  =x", "+Plus B.V.", "@home", "\uff1d1+1", "\n=x"]
)
def test_no_cell_runs_as_a_formula_and_nobody_sees_why(name: str) -> None:
    assert company_cell(name) == UNSEEN + name
    assert texts.line(company_cell(name)) == texts.line(name), "pasted into the search it is found"


@pytest.mark.parametrize("name", ["01234567", "1-2", "3/11/2026", "12345E6789", "123456789012", "12:30"])
def test_what_excel_would_show_as_something_else_stays_as_it_was_written(name: str) -> None:
    assert company_cell(name) == UNSEEN + name


@pytest.mark.parametrize(
    "name", ["Bakkerij", "12345678", "O'Neill", "'t Hoekje", "1 op 1 B.V.", "A-1", "0 fouten", "7"]
)
def test_all_else_stands_in_the_table_as_it_is(name: str) -> None:
    assert company_cell(name) == name


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_a_table_reads_back_whatever_a_customer_typed(note: str) -> None:
    text = export_csv.table([replace(ORDER, note=note)])
    assert text.startswith("\ufeffBestelling;Datum;")
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=";"))
    assert len(rows) == 2
    assert rows[1][14] in (note, UNSEEN + note)
    assert rows[1][9] == "085 123 4567"

"""The grid, the names of the schemes, and membership by rule, against hand-made cases."""

from __future__ import annotations

import csv
import datetime as dt
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from loyalty_exp.declare import features as declared
from loyalty_exp.segment import rfm
from loyalty_exp.segment.features import FEATURES, customer_features
from loyalty_exp.segment.membership import (
    declared_size,
    membership_rows,
    rule_members,
    scheme_members,
    segment_sizes,
)
from loyalty_exp.segment.schemes import SCHEMES, find_segment
from loyalty_exp.store.summaries import keep_summaries
from loyalty_exp.store.tables import customers_table, memberships, metadata, orders

SHARED_GRID = Path(__file__).parents[3] / "shared" / "rfm_grid_125.csv"
AS_OF = dt.date(2020, 12, 31)


@dataclass(frozen=True)
class Condition:
    """A rule as the parser makes it, without the parser."""

    columns: frozenset[str]
    build: Callable[[Mapping[str, sa.ColumnElement[Any]]], sa.ColumnElement[Any]]

    def compile(self, columns: Mapping[str, sa.ColumnElement[Any]]) -> sa.ColumnElement[Any]:
        return self.build(columns)


@pytest.fixture
def connection() -> Iterator[sa.Connection]:
    """Ann (two orders), Bob (one, long ago), Cy (an attribute only), Di (no attribute)."""
    engine = sa.create_engine("duckdb:///:memory:")
    with engine.connect() as connection:
        metadata.create_all(connection)
        table = attributes()
        table.create(connection)
        for customer, day, revenue in (
            ("ann", "2020-12-01", 60.0), ("ann", "2020-12-21", 30.0),
            ("bob", "2019-02-01", 10.0), ("di", "2020-12-30", 10.0),
        ):  # fmt: skip
            at = dt.datetime.fromisoformat(day)
            connection.execute(
                orders.insert().values(
                    order_id=f"{customer}{day}", customer=customer, ordered_at=at,
                    month=at.year * 12 + at.month,
                    revenue=revenue, margin=revenue, load_id="x",
                )
            )  # fmt: skip
        keep_summaries(connection)
        for customer, city in (("ann", "Lille"), ("bob", "Lyon"), ("cy", "Lille")):
            connection.execute(table.insert().values(customer=customer, city=city))
        yield connection
    engine.dispose()


def attributes() -> sa.Table:
    return customers_table([("city", "text")])


def test_the_grid_is_whole() -> None:
    assert sorted(rfm.grid()) == list(itertools.product(range(1, 6), repeat=3))
    assert set(rfm.grid().values()) == set(rfm.NAMES)
    assert rfm.grid()[5, 5, 5] == "Champions"
    assert rfm.french_names()["At Risk"] == "À risque"


@pytest.mark.skipif(not SHARED_GRID.exists(), reason="the shared grid is absent")
def test_the_grid_is_the_shared_one() -> None:
    with SHARED_GRID.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            cell = (int(row["r"]), int(row["f"]), int(row["m"]))
            assert rfm.grid()[cell] == row["segment_en"]
            assert rfm.french_names()[row["segment_en"]] == row["segment_fr"]


def test_the_expression_names_every_cell() -> None:
    scores = sa.values(*(sa.column(x, sa.Integer) for x in "rfm"), name="scores").data(
        sorted(rfm.grid())
    )
    name = rfm.rfm_name(scores.c.r, scores.c.f, scores.c.m)
    engine = sa.create_engine("duckdb:///:memory:")
    with engine.connect() as connection:
        rows = connection.execute(sa.select(scores.c.r, scores.c.f, scores.c.m, name)).all()
    engine.dispose()
    assert {tuple(row[:3]): row[3] for row in rows} == rfm.grid()


def test_names_and_features_are_those_a_declaration_may_use() -> None:
    assert {name: scheme.names for name, scheme in SCHEMES.items()} == {
        name: tuple(sorted(names, key=SCHEMES[name].names.index))
        for name, names in declared.SCHEMES.items()
    }
    for scheme in SCHEMES.values():
        assert set(declared.DOMAINS[scheme.column]) == set(scheme.names)
        assert len({segment.slug for segment in scheme.segments}) == len(scheme.segments)
    for french, english in declared.FRENCH_NAMES.items():
        assert any(
            segment is not None and segment.name == english
            for segment in (find_segment(french, scheme) for scheme in SCHEMES)
        )


@pytest.mark.parametrize(
    ("name", "scheme", "found"),
    [
        ("at_risk", "rfm", "At Risk"),
        ("À risque", "rfm", "At Risk"),
        ("or", "tiers", "gold"),
        ("GOLD", "tiers", "gold"),
        ("élevé", "risk", "high"),
        ("gold", "rfm", None),
    ],
)
def test_a_segment_is_found_by_any_of_its_names(name: str, scheme: str, found: str | None) -> None:
    segment = find_segment(name, scheme)
    assert (segment.name if segment else None) == found


def test_risk_uses_own_rhythm_then_the_usual_one(connection: sa.Connection) -> None:
    """Ann's gap is 20 days, the only one known; silences are 10, 699 and 1 days."""
    rows = connection.execute(customer_features(AS_OF, ["risk"])).all()
    assert dict(tuple(row) for row in rows) == {"ann": "low", "bob": "high", "di": "low"}
    earlier = dt.date(2020, 1, 1)
    rows = connection.execute(customer_features(earlier, ["risk"])).all()
    assert dict(tuple(row) for row in rows) == {"bob": "medium"}


@pytest.mark.parametrize(
    ("columns", "build", "members"),
    [
        (["orders_12m"], lambda c: c["orders_12m"] > 0, {"ann", "di"}),
        (["city"], lambda c: c["city"] == "Lille", {"ann", "cy"}),
        (["city", "orders_12m"], lambda c: (c["city"] == "Lille") & (c["orders_12m"] > 0), {"ann"}),
        (["city"], lambda c: c["city"].is_(None), {"di"}),
        (["rfm", "tier"], lambda c: (c["tier"] == "gold") | (c["rfm"] == "Lost"), {"ann", "bob"}),
    ],
)
def test_members_of_a_rule(
    connection: sa.Connection, columns: list[str], build: Any, members: set[str]
) -> None:
    rule = Condition(frozenset(columns), build)
    found = connection.execute(rule_members(rule, AS_OF, attributes())).scalars().all()
    assert len(found) == len(set(found))
    assert set(found) == members


def test_a_rule_without_customers_table(connection: sa.Connection) -> None:
    rule = Condition(frozenset({"revenue_12m"}), lambda c: c["revenue_12m"] < 50)
    assert set(connection.execute(rule_members(rule, AS_OF)).scalars()) == {"bob", "di"}
    stranger = Condition(frozenset({"city"}), lambda c: c["city"] == "Lille")
    with pytest.raises(KeyError, match="city"):
        rule_members(stranger, AS_OF)


def test_a_membership_is_written_in_one_statement(connection: sa.Connection) -> None:
    select = membership_rows("best", AS_OF, scheme_members("or", "tiers", AS_OF))
    connection.execute(memberships.insert().from_select(["segment", "as_of", "customer"], select))
    rows = connection.execute(sa.select(memberships)).all()
    assert [tuple(row) for row in rows] == [("best", AS_OF, "ann")]
    with pytest.raises(KeyError):
        scheme_members("platinum", "tiers", AS_OF)


def test_sizes_show_empty_segments(connection: sa.Connection) -> None:
    rows = segment_sizes(connection, AS_OF, "tiers")
    found = [(row.segment, row.customers, row.active, row.revenue_12m, row.orders_12m, row.share)
             for row in rows]  # fmt: skip
    assert found == [
        ("gold", 1, 1, 90.0, 2, 0.9),
        ("silver", 0, 0, 0.0, 0, 0.0),
        ("bronze", 2, 1, 10.0, 1, 0.1),
    ]
    before = segment_sizes(connection, dt.date(2018, 1, 1), "tiers")
    assert [row.share for row in before] == [None, None, None]


def test_size_of_a_declared_segment(connection: sa.Connection) -> None:
    rule = Condition(frozenset({"city"}), lambda c: c["city"] == "Lille")
    row = declared_size(connection, AS_OF, "north", rule_members(rule, AS_OF, attributes()))
    assert (row.scheme, row.segment, row.customers, row.share) == ("declared", "north", 1, 0.9)


def test_every_declared_feature_exists() -> None:
    assert set(declared.FEATURES) <= set(FEATURES)

"""Every engine against one in-memory reference: what is loaded, drawn, summed up and reported."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Callable
from typing import Any

import engine_cases as reference
import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from engine_cases import Shop

from loyalty_exp.compare.windows import Window
from loyalty_exp.declare.frozen import Calendar
from loyalty_exp.measure.effects import Question, effect_rows
from loyalty_exp.segment.features import customer_features
from loyalty_exp.store import engines, tables
from loyalty_exp.store.outcomes import read_outcomes, window_of

CLOSE = reference.CLOSE

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:pyspark")  # about pandas 3


def frame_of(shop: Shop, statement: sa.Select[Any]) -> pd.DataFrame:
    with shop.project.store.read() as connection:
        return pd.DataFrame(connection.execute(statement).mappings().all())


def test_the_roll_up_holds_every_order(shop: Shop) -> None:
    kept = frame_of(shop, sa.select(tables.customer_month))
    found = kept.set_index(["customer", "month"]).sort_index()
    expected = reference.customer_months(shop.frames)
    assert list(found.index) == list(expected.index)
    np.testing.assert_allclose(found, expected, rtol=CLOSE, atol=CLOSE)


@pytest.mark.parametrize("as_of", [dt.date(2026, 3, 9), dt.date(2026, 7, 31)])
def test_features(shop: Shop, as_of: dt.date) -> None:
    expected = reference.features(shop.frames, pd.Timestamp(as_of))
    names = list(expected.columns)
    rows = frame_of(shop, customer_features(as_of, names)).set_index("customer").sort_index()
    assert list(rows.index) == list(expected.index)
    found = rows[names].astype(float)
    np.testing.assert_allclose(found, expected.astype(float), rtol=CLOSE, atol=CLOSE)


def test_segments(shop: Shop) -> None:
    day = dt.date(2026, 3, 9)
    known = reference.features(shop.frames, pd.Timestamp(day))
    rows = {row.segment: row for row in shop.project.segments(day)}
    regular = known[known["orders_12m"] >= 3]
    assert rows["regular"].customers == len(regular)
    assert rows["regular"].revenue_12m == pytest.approx(regular["revenue_12m"].sum(), rel=CLOSE)


def test_the_draw_is_the_recipe_to_the_unit(shop: Shop) -> None:
    rows = frame_of(shop, sa.select(tables.assignments)).set_index("customer").sort_index()
    expected = reference.roster(shop.frames, shop.plan)
    pd.testing.assert_frame_equal(
        rows[["segment", "stratum", "arm"]], expected, check_dtype=False, check_names=False
    )


def test_it_verifies_and_a_moved_unit_is_seen(shop: Shop) -> None:
    assert [found.problems for found in shop.project.verify()] == [()]
    moved = (
        tables.assignments.c.customer
        == frame_of(shop, sa.select(sa.func.min(tables.assignments.c.customer).label("first")))[
            "first"
        ].iloc[0]
    )
    row = frame_of(shop, sa.select(tables.assignments).where(moved)).iloc[0]
    other = next(arm for arm in shop.plan.arms if arm != row["arm"])
    for arm, problems in ((other, 3), (row["arm"], 0)):
        with shop.project.store.write() as connection:
            connection.execute(tables.assignments.update().where(moved).values(arm=arm))
        assert len(shop.project.verify()[0].problems) == problems


@pytest.mark.parametrize("road", ["streamed", "in the engine"])
def test_moments(shop: Shop, road: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = shop.project.store.url.get_backend_name()
    if road == "in the engine":
        plain = dataclasses.replace(engines.CAPABILITIES[name], in_process=False)
        monkeypatch.setitem(engines.CAPABILITIES, name, plain)
    elif not engines.CAPABILITIES[name].in_process:
        pytest.skip("rows of units do not leave a server")
    expected = reference.reference_outcomes(shop, 5)
    window = window_of(shop.plan, shop.plan.first_month, months=5, by_customer=True, logged=True)
    prices = shop.plan.declaration["costs"]["per_contact"]
    with shop.project.store.read() as connection:
        found = read_outcomes(connection, [window], prices)
    reference.assert_same_moments(found, expected)


def test_rows_of_the_measurement(shop: Shop) -> None:
    calendar = Calendar.of(shop.plan, dt.date(2026, 7, 31))
    expected = {}
    outcomes = reference.reference_outcomes(shop, calendar.begun)
    for question in {(r.arm, r.against, r.segment) for r in shop.measured.rows}:
        asked = Question(*question)
        for row in effect_rows(shop.plan, outcomes, calendar, asked):
            expected[row.segment, row.arm, row.against, row.metric, row.month] = row
    seen = 0
    for row in shop.measured.rows:
        key = (row.segment, row.arm, row.against, row.metric, row.month)
        if key not in expected:
            continue
        seen += 1
        for field in ("mean_treated", "mean_holdout", "effect_per_customer", "standard_error"):
            assert same(getattr(row, field), getattr(expected[key], field)), (key, field)
    assert seen == len(expected) > 100


RE_DRAWN = {"simultaneous_ci_lower", "simultaneous_ci_upper", "permutation_p_value"}
"""Monte Carlo seeded by the plan's digest, which holds limits that differ in their last bits."""
NOT_FIGURES = {"provenance", "plan", *RE_DRAWN}


def same(found: Any, expected: Any) -> bool:
    """Whether two figures, or everything in two results, are equal to 1e-9."""
    if dataclasses.is_dataclass(found):
        names = [field.name for field in dataclasses.fields(found)]
        return all(
            same(getattr(found, name), getattr(expected, name))
            for name in names
            if name not in NOT_FIGURES
        )
    if isinstance(found, dict):
        return found.keys() == expected.keys() and all(same(found[k], expected[k]) for k in found)
    if isinstance(found, list | tuple):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(found, float) and isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=CLOSE, abs_tol=1e-7)
    return bool(found == expected)


@pytest.mark.parametrize("engine", ["postgresql", "spark"])
def test_everything_reported_is_the_same(shops: Callable[[str], Shop], engine: str) -> None:
    one, other = shops("duckdb"), shops(engine)
    rows = zip(one.measured.rows, other.measured.rows, strict=True)
    assert [row for row, again in rows if not same(row, again)] == []
    for field in ("arms", "checks", "flow", "deviations", "closed_through"):
        assert same(getattr(one.measured, field), getattr(other.measured, field)), field


@pytest.mark.parametrize("engine", ["postgresql", "spark"])
def test_year_over_year_is_the_same(shops: Callable[[str], Shop], engine: str) -> None:
    windows = [Window(dt.date(y, 7, 1), dt.date(y + 1, 6, 30)) for y in (2024, 2025)]
    projects = [shops(name).project for name in ("duckdb", engine)]
    years = [project.compare(*windows).to_dict() for project in projects]
    assert same(*years)
    orders = shops("duckdb").frames["orders"].set_index("ordered_at")
    revenue = orders["revenue"].sort_index()
    period = years[0]["periods"]["year2"]
    total = revenue.loc[period["start"] : period["end"]].sum()
    assert years[1]["totals"]["year2"]["revenue"] == pytest.approx(total, rel=CLOSE)


def test_same_sees_a_difference(shop: Shop) -> None:
    row = shop.measured.rows[0]
    assert row.effect_per_customer is not None
    assert same(row, dataclasses.replace(row, effect_per_customer=row.effect_per_customer))
    moved = dataclasses.replace(row, effect_per_customer=row.effect_per_customer * (1 + 1e-6))
    assert not same(row, moved)

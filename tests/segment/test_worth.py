"""Lifetime value as it is shown: against a recount in pandas; what is missing is said."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pandas as pd
import pytest
from company import order_rows
from shops import done
from support import fill_store, new_store

from loyalty_exp.errors import MeasureError
from loyalty_exp.segment.worth import HALF_YEAR, Worth, worth
from loyalty_exp.store.database import Store

FIRST, AS_OF = dt.date(2024, 3, 1), dt.date(2026, 2, 28)
MARGIN = 0.4

DECLARATION = """
schema = 1
[project]
name = "Company"
currency = "EUR"
locale = "fr"
timezone = "Europe/Paris"
margin_rate = 0.4
[data.orders]
source = "orders.csv"
columns = { order_id = "id", customer_id = "who", ordered_at = "at", revenue = "paid" }
"""


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    frame = pd.DataFrame(order_rows(300), columns=["id", "who", "at", "paid"])
    return frame.assign(at=pd.to_datetime(frame["at"]))


@pytest.fixture(scope="module")
def store(rows: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Store:
    kept = new_store(tmp_path_factory.mktemp("worth"))
    fill_store(kept, [(i, w, a.to_pydatetime(), p) for i, w, a, p in rows.itertuples(index=False)])
    return kept


def found(store: Store, as_of: dt.date = AS_OF, first: dt.date = FIRST) -> Worth:
    with store.read() as connection:
        return worth(connection, as_of, first)


def test_observed_and_formulas_by_recount(store: Store, rows: pd.DataFrame) -> None:
    seen = found(store)
    second = rows[rows["at"] >= "2025-03-01"]
    one, two = set(rows[rows["at"] < "2025-03-01"]["who"]), set(second["who"])
    assert seen.customers == rows["who"].nunique()
    assert seen.observed_revenue == pytest.approx(rows["paid"].sum() / seen.customers, rel=1e-12)
    assert seen.observed_margin == pytest.approx(MARGIN * seen.observed_revenue, rel=1e-12)
    seed = seen.seed
    assert seed is not None
    assert seed.retention_rate == pytest.approx(len(one & two) / len(one))
    assert seed.loyal_share == pytest.approx(len(one & two) / len(two))
    years = min(1 / (1 - len(one & two) / len(one)), 10)
    assert seed.ltv_revenue == pytest.approx(second["paid"].sum() / len(two) * years)
    assert seed.acquisition_cap == pytest.approx(MARGIN * (seed.ltv_revenue or 0.0) / 3)


def test_the_model_stands_beside_its_forecast(store: Store) -> None:
    seen = found(store)
    assert seen.check is not None
    assert (seen.check.until - seen.check.calibrated_on).days == HALF_YEAR
    assert abs(seen.check.relative_error or 1.0) < 0.15
    one, three = seen.horizons
    assert (one.years, three.years) == (1, 3)
    assert one.mean < three.mean < 3 * one.mean
    assert 0.1 < one.top_tenth < 1


def test_what_cannot_be_known_is_said(store: Store) -> None:
    early = found(store, dt.date(2024, 3, 20))
    assert early.seed is None
    assert early.seed_reason == "two years of orders are needed; they are known from 2024-03-01 on"
    assert early.fit is None
    assert early.fit_reason.startswith("not estimable")
    assert early.check is None
    assert early.horizons == ()
    with pytest.raises(MeasureError, match="nobody ordered up to 2020-01-01"):
        found(store, dt.date(2020, 1, 1))


def test_a_leap_day_has_a_year_before(store: Store) -> None:
    assert found(store, dt.date(2028, 2, 29)).customers > 0


def test_the_command_speaks_french_and_json(rows: pd.DataFrame, tmp_path: Path) -> None:
    rows.to_csv(tmp_path / "orders.csv", index=False)
    path = tmp_path / "campaigns.toml"
    path.write_text(DECLARATION, encoding="utf-8")
    done(path, "load")
    told = done(path, "lifetime")
    for said in ("Plafond d’acquisition", "Mis à l’épreuve", "erreurs types", "Taux de rétention"):
        assert said in told
    data = json.loads(done(path, "lifetime", "--format", "json"))
    assert data["seed"]["retention_rate"] > 0.5
    assert data["check"]["rows"]

"""The lifetime model on the store: planted customers, the demo, the seed formulas."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from loyalty_exp.errors import MeasureError
from loyalty_exp.segment.features import customer_features
from loyalty_exp.segment.lifetime import (
    check_forecast,
    customer_lifetime_value,
    fit_lifetime,
    fitted_survival,
    seed_lifetime,
)
from loyalty_exp.stats.lifetimes import expected_purchases, p_alive
from loyalty_exp.store.database import Store
from loyalty_exp.store.summaries import keep_summaries
from loyalty_exp.store.tables import metadata

START = pd.Timestamp("2018-01-01")
AS_OF, UNTIL = dt.date(2019, 12, 31), dt.date(2020, 12, 31)
R, ALPHA, A, B = 1.2, 60.0, 0.6, 3.0


@pytest.fixture(scope="module")
def planted() -> Iterator[sa.Connection]:
    """4,000 customers of the model, in days: rates, chances to leave, gamma-gamma margins."""
    rng = np.random.default_rng(11)
    size = 4000
    rates, chances = rng.gamma(R, 1 / ALPHA, size), rng.beta(A, B, size)
    scales = rng.gamma(4.0, 1 / 30.0, size)
    clock, here, rows = rng.uniform(0, 600, size), np.arange(size), []
    while here.size:
        spent = rng.gamma(3.0, 1 / scales[here])
        rows.append(pd.DataFrame({"customer": here, "day": clock[here], "revenue": spent}))
        gone = (rng.random(here.size) < chances[here]) if len(rows) > 1 else here < 0
        here = here[~gone]
        clock[here] += rng.exponential(1 / rates[here])
        here = here[clock[here] < 1096]
    frame = pd.concat(rows, ignore_index=True)
    frame["ordered_at"] = START + pd.to_timedelta(frame.pop("day"), unit="D")
    engine = sa.create_engine("duckdb:///:memory:")
    with engine.connect() as connection:
        metadata.create_all(connection)
        raw = connection.connection.driver_connection
        raw.register("frame", frame)
        raw.execute(
            "INSERT INTO orders SELECT row_number() OVER (), customer, ordered_at, "
            "year(ordered_at) * 12 + month(ordered_at), revenue, revenue, NULL, 'x' FROM frame"
        )
        keep_summaries(connection)
        yield connection
    engine.dispose()


def test_planted_parameters_come_back(planted: sa.Connection) -> None:
    """Within 3.5 standard errors, of a model of continuous time read in whole days."""
    fit = fit_lifetime(planted, AS_OF)
    model, spend = fit.purchases, fit.spend
    assert spend is not None
    assert fit.notes == ()
    pairs = zip(
        (model.r, model.alpha, model.a, model.b, spend.p, spend.q, spend.gamma),
        (R, ALPHA, A, B, 3.0, 4.0, 30.0),
        (*model.standard_errors, *spend.standard_errors),
        strict=True,
    )
    for found, true, error in pairs:
        assert abs(found - true) < 3.5 * error
        assert error < 0.35 * true


def test_the_forecast_of_planted_customers_comes_true(planted: sa.Connection) -> None:
    """A year ahead, within 5 %; Poisson noise alone is 1 %."""
    check = check_forecast(planted, AS_OF, UNTIL)
    assert check.relative_error == pytest.approx(0.0, abs=0.05)
    assert check.mean_absolute_error < check.naive_absolute_error
    assert sum(row.customers for row in check.rows) == check.customers
    assert sum(row.actual for row in check.rows) == check.actual
    for row in check.rows:
        if row.actual > 400:
            assert row.forecast == pytest.approx(row.actual, rel=0.2)


def test_the_feature_p_alive_is_that_of_the_model(planted: sa.Connection) -> None:
    fit = fit_lifetime(planted, AS_OF)
    columns = ["repeat_days", "active_span_days", "tenure_days", "p_alive"]
    statement = customer_features(AS_OF, columns, survival=fit.survival)
    frame = pd.read_sql(statement, planted)
    x, t_x, T = (frame[name].to_numpy(dtype=float) for name in ("repeat_days", "active_span_days",
                                                                "tenure_days"))  # fmt: skip
    np.testing.assert_allclose(frame["p_alive"], p_alive(fit.purchases, x, t_x, T), rtol=1e-12)


def test_a_rule_on_p_alive_gets_its_parameters(planted: sa.Connection) -> None:
    fitted = fit_lifetime(planted, AS_OF).survival
    assert fitted_survival(planted, AS_OF, {"p_alive", "tier"}) == fitted
    assert fitted_survival(planted, AS_OF, {"tier"}) is None
    with pytest.raises(MeasureError, match="p_alive at 2017-01-01: not estimable"):
        fitted_survival(planted, dt.date(2017, 1, 1), {"p_alive"})


def test_value_is_orders_times_spend_less_discount(planted: sa.Connection) -> None:
    fit = fit_lifetime(planted, AS_OF)
    assert fit.spend is not None
    x, t_x, T = np.array([0.0, 5.0]), np.array([0.0, 300.0]), np.array([200.0, 310.0])
    margin = np.array([20.0, 200.0])
    plain = customer_lifetime_value(fit, x, t_x, T, margin)
    orders = expected_purchases(fit.purchases, 365.25, x, t_x, T)
    weight = fit.spend.p * (x + 1) + fit.spend.q - 1
    by_hand = orders * fit.spend.p * (fit.spend.gamma + margin) / weight
    np.testing.assert_allclose(plain, by_hand, rtol=1e-9)
    later = customer_lifetime_value(fit, x, t_x, T, margin, discount=0.1)
    assert ((plain / 1.1 < later) & (later < plain)).all()


def test_second_half_year_of_the_demo(demo_store: Store) -> None:
    """The error is shown, whatever it is; the orders that came are those of the frame."""
    with demo_store.read() as connection:
        check = check_forecast(connection, dt.date(2017, 6, 30), dt.date(2017, 12, 31))
        before = pd.read_sql(customer_features(dt.date(2017, 6, 30), ["repeat_days"]), connection)
        after = pd.read_sql(customer_features(dt.date(2017, 12, 31), ["repeat_days"]), connection)
    known = before.merge(after, on="customer")
    assert check.customers == len(before)
    assert check.actual == (known["repeat_days_y"] - known["repeat_days_x"]).sum()
    assert check.relative_error == pytest.approx(check.forecast / check.actual - 1)
    assert abs(check.relative_error or 1.0) < 0.15
    assert (check.correlation or 0.0) > 0.8


def test_a_forecast_needs_time(demo_store: Store) -> None:
    with demo_store.read() as connection, pytest.raises(ValueError, match="after its calibration"):
        check_forecast(connection, AS_OF, AS_OF)


def test_seed_formulas_by_hand() -> None:
    """The glossary's example: attrition 0.4 gives 2.5 years."""
    seed = seed_lifetime(
        customers1=100, retained=60, customers2=80, new2=10, revenue2=8000.0, margin2=2400.0
    )
    assert (seed.retention_rate, seed.attrition_rate) == (0.6, 0.4)
    assert seed.loyal_share == 0.875
    assert seed.lifetime_years == 2.5
    assert (seed.ltv_revenue, seed.ltv_margin, seed.acquisition_cap) == (250.0, 75.0, 25.0)
    assert not any("capped" in sentence for sentence in seed.assumptions)


def test_seed_formulas_at_their_limits() -> None:
    nobody = seed_lifetime(
        customers1=0, retained=0, customers2=0, new2=0, revenue2=0.0, margin2=0.0
    )
    assert (nobody.retention_rate, nobody.lifetime_years, nobody.acquisition_cap) == (None,) * 3
    faithful = seed_lifetime(
        customers1=5, retained=5, customers2=5, new2=0, revenue2=5.0, margin2=1.0
    )
    assert faithful.lifetime_years == 10.0
    assert any("capped" in sentence for sentence in faithful.assumptions)

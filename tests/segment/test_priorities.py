"""Contact priorities: order, holdouts, consent, words; values by hand from given parameters."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from loyalty_exp.segment.lifetime import LifetimeFit
from loyalty_exp.segment.priorities import contact_priorities
from loyalty_exp.stats.lifetimes import PurchaseModel, SpendModel
from loyalty_exp.store.summaries import keep_summaries
from loyalty_exp.store.tables import (
    assignments,
    customer_month,
    customer_rhythm,
    metadata,
    orders,
)

AS_OF = dt.date(2020, 12, 31)
NAN4, NAN3 = (float("nan"),) * 4, (float("nan"),) * 3
FIT = LifetimeFit(
    AS_OF,
    PurchaseModel(1.0, 30.0, 1.0, 2.0, NAN4, 0.0, 9, ()),
    SpendModel(2.0, 3.0, 50.0, NAN3, 0.0, 9, ()),
    (),
)


@pytest.fixture
def connection() -> Iterator[sa.Connection]:
    """Ten orders of 100 every 10 days, then silence of 60 (late), 10 (punctual) or 60 (others)."""
    engine = sa.create_engine("duckdb:///:memory:")
    with engine.connect() as connection:
        metadata.create_all(connection)
        for customer, silence, amount in (
            ("late", 60, 100.0), ("small", 60, 1.0), ("punctual", 10, 100.0), ("held", 60, 900.0),
            ("universal", 60, 900.0), ("treated", 60, 90.0),
        ):  # fmt: skip
            for place in range(10):
                add(connection, customer, silence + 10 * place, amount)
        add(connection, "once", 60, 900.0)
        keep_summaries(connection)
        for campaign, customer, arm in (
            ("spring", "held", "holdout"), ("spring", "treated", "call"),
            ("universal_holdout", "universal", "holdout"),
        ):  # fmt: skip
            connection.execute(
                assignments.insert().values(
                    campaign=campaign, wave=1, unit=customer, customer=customer, segment="s",
                    stratum="s", arm=arm,
                )
            )  # fmt: skip
        yield connection
    engine.dispose()


def add(connection: sa.Connection, customer: str, days_ago: int, amount: float) -> None:
    at = dt.datetime.combine(AS_OF, dt.time(12)) - dt.timedelta(days=days_ago)
    connection.execute(
        orders.insert().values(
            order_id=f"{customer}{days_ago}", customer=customer, ordered_at=at,
            month=at.year * 12 + at.month,
            revenue=amount, margin=amount, load_id="x",
        )
    )  # fmt: skip


def sum_up_again(connection: sa.Connection) -> None:
    for kept in (customer_month, customer_rhythm):
        connection.execute(kept.delete())
    keep_summaries(connection)


def test_order_values_and_absences(connection: sa.Connection) -> None:
    """Late: x = 9, span 90, age 150. Odds of having left 1/(2 + 9 - 1) (180/120)^10 = 5.7665."""
    found = contact_priorities(connection, FIT, "EUR")
    assert [row.customer for row in found] == ["late", "treated", "small"]
    assert [row.rank for row in found] == [1, 2, 3]
    late = found[0]
    assert late.chance_of_leaving == pytest.approx(5.7665039 / 6.7665039, rel=1e-6)
    assert late.margin_if_kept == pytest.approx(365 * 10 / 180 * 2 * (50 + 1000) / 22)
    assert late.expected_margin == pytest.approx(late.margin_if_kept / 6.7665039, rel=1e-6)
    assert late.value_at_risk == pytest.approx(late.expected_margin * late.chance_of_leaving)
    assert (late.recency_days, late.median_gap_days) == (60, 10.0)


def test_who_has_surely_left_comes_after_who_may_stay(connection: sa.Connection) -> None:
    """The same margin, silent for 500 days: the chance of having left is 99.98 %."""
    for place in range(10):
        add(connection, "gone", 500 + 10 * place, 100.0)
    sum_up_again(connection)
    ranked = [row.customer for row in contact_priorities(connection, FIT, "EUR")]
    assert ranked.index("late") < ranked.index("gone")


def test_reasons_in_both_languages(connection: sa.Connection) -> None:
    late = contact_priorities(connection, FIT, "EUR")[0]
    assert late.reason_en == (
        "Usually orders every 10 days, silent for 60: 6 times as long. Chance of having left: "
        "85%. Worth about €1,936 of margin a year if kept."
    )
    french = late.reason_fr.replace("\N{NARROW NO-BREAK SPACE}", " ").replace("\xa0", " ")
    assert french == (
        "Commande habituellement tous les 10 jours, plus rien depuis 60 jours : 6 fois plus long. "
        "Risque de départ : 85 %. Enjeu : environ 1 936 € de marge par an."
    )


def test_a_daily_customer_orders_every_day(connection: sa.Connection) -> None:
    for place in range(5):
        add(connection, "daily", 20 + place, 5.0)
    sum_up_again(connection)
    daily = next(r for r in contact_priorities(connection, FIT, "EUR") if r.customer == "daily")
    assert daily.reason_en.startswith("Usually orders every day, silent for 20: 20 times")
    assert daily.reason_fr.startswith("Commande habituellement tous les jours, plus rien")


def test_only_those_who_may_be_contacted(connection: sa.Connection) -> None:
    some = sa.select(orders.c.customer).where(orders.c.customer.in_(["small", "held", "once"]))
    found = contact_priorities(connection, FIT, "EUR", within=some)
    assert [row.customer for row in found] == ["small"]
    assert len(contact_priorities(connection, FIT, "EUR", limit=2)) == 2


def test_what_cannot_be_ranked_is_refused(connection: sa.Connection) -> None:
    poor = LifetimeFit(AS_OF, FIT.purchases, None, ())
    with pytest.raises(ValueError, match="no spend model"):
        contact_priorities(connection, poor, "EUR")
    with pytest.raises(ValueError, match="at least one"):
        contact_priorities(connection, FIT, "EUR", limit=0)

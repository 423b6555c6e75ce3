"""Figures that late data change after a report has shown them: both values stay to be seen."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest
from shops import DECLARATION, Line, done, open_shop, order_lines, write_lines

import loyalty_exp as lx
from loyalty_exp.measure.restatement import SHOWN_BEFORE, restated, to_publish
from loyalty_exp.measure.results import (
    CampaignResult,
    Check,
    CheckStatus,
    Estimate,
    Restatement,
    Verdict,
    VerdictKind,
)
from loyalty_exp.store.tables import published

TODAY = dt.datetime.now(dt.UTC).date()


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = open_shop(tmp_path)
    done(path, "load")
    done(path, "launch", "spring")
    return path


def measured(path: Path) -> CampaignResult:
    return lx.open(path).measure("spring")


def check_of(result: CampaignResult) -> Check:
    (check,) = (each for each in result.checks if each.name == "restatement")
    return check


def revenue(result: CampaignResult, month: str) -> Restatement | None:
    found = [r for r in result.restatements if r.metric == "revenue" and r.month == month]
    return found[0] if found else None


def treated_customer(path: Path) -> str:
    return ids(path.parent / "lists" / "spring" / "wave-0" / "call.csv")[0]


def ids(path: Path) -> list[str]:
    """The customers of a list."""
    return [line.split(",")[0] for line in path.read_text(encoding="utf-8").splitlines()[1:]]


def effect(result: CampaignResult, month: str) -> float:
    (row,) = (r for r in result.rows if (r.metric, r.month, r.segment) == ("revenue", month, "all"))
    assert row.effect_per_customer is not None
    return row.effect_per_customer


def reload(path: Path, lines: list[Line]) -> None:
    write_lines(path.parent, lines)
    done(path, "load")


def test_nothing_published_is_not_a_restatement(shop: Path) -> None:
    assert check_of(measured(shop)).status is CheckStatus.NOT_APPLICABLE
    done(shop, "report")
    result = measured(shop)
    assert check_of(result).status is CheckStatus.PASSED
    assert result.restatements == ()


def test_publishing_twice_adds_nothing(shop: Path) -> None:
    done(shop, "report")
    project = lx.open(shop)
    with project.store.read() as connection:
        assert to_publish(connection, measured(shop), dt.datetime.now(dt.UTC)) == []


def test_a_late_order_is_shown_with_both_figures_and_the_date(shop: Path) -> None:
    done(shop, "report")
    before = measured(shop)
    reload(shop, [*order_lines(), ("late", treated_customer(shop), dt.date(2026, 3, 20), 400.0)])
    result = measured(shop)
    found = revenue(result, "2026-03")
    assert found is not None
    assert found.shown == pytest.approx(effect(before, "2026-03"), rel=1e-12)
    assert found.now == pytest.approx(effect(result, "2026-03"), rel=1e-12)
    assert found.now - found.shown == pytest.approx(400 / before.arms[0].n_treated, rel=0.05)
    assert (found.shown_on, found.changed_on, found.reason) == (TODAY, None, "late data")
    assert revenue(result, "2026-04") is None
    assert revenue(result, "cumulative 2026-06") is not None
    check = check_of(result)
    assert (check.status, check.critical) == (CheckStatus.WARNING, False)
    assert check.values["months"] == 1


def test_it_stays_to_be_seen_after_the_next_report(shop: Path) -> None:
    done(shop, "report")
    before = measured(shop)
    reload(shop, [*order_lines(), ("late", treated_customer(shop), dt.date(2026, 3, 20), 400.0)])
    done(shop, "report")
    found = revenue(measured(shop), "2026-03")
    assert found is not None
    assert found.shown == pytest.approx(effect(before, "2026-03"), rel=1e-12)
    assert found.changed_on == TODAY


def test_an_order_cancelled_after_the_close(tmp_path: Path) -> None:
    text = DECLARATION.replace('revenue = "net" }', 'revenue = "net", status = "state" }')
    path = open_shop(tmp_path, text.replace("[segments.reg", 'statuses = ["paid"]\n[segments.reg'))
    lines = order_lines()

    def export(cancelled: int | None) -> None:
        rows = [
            f"{number},{client},{when},{net},{'cancelled' if n == cancelled else 'paid'}"
            for n, (number, client, when, net) in enumerate(lines)
        ]
        text = "\n".join(["number,client,date,net,state", *rows, ""])
        (tmp_path / "orders.csv").write_text(text, encoding="utf-8")
        done(path, "load")

    export(None)
    done(path, "launch", "spring")
    drawn = {
        customer_id for file in (tmp_path / "lists").rglob("*.csv") for customer_id in ids(file)
    }
    inside = [line[1] in drawn and f"{line[2]:%Y-%m}" == "2026-04" for line in lines]
    last = max(n for n, is_in in enumerate(inside) if is_in)
    done(path, "report")
    export(last)
    result = measured(path)
    assert revenue(result, "2026-04") is not None
    assert revenue(result, "2026-05") is None


def test_a_customer_merged_into_another(shop: Path) -> None:
    done(shop, "report")
    old, new = treated_customer(shop), "merged"
    lines = [(n, new if c == old else c, d, v) for n, c, d, v in order_lines()]
    reload(shop, lines)
    result = measured(shop)
    assert check_of(result).status is CheckStatus.WARNING
    assert "agrees" in done(shop, "verify")  # the roster is a fact and keeps the old id
    with lx.open(shop).store.read() as connection:
        counted = connection.exec_driver_sql("SELECT count(*) FROM orders").scalar_one()
    assert counted == len(lines)


def test_an_open_month_is_neither_published_nor_restated(tmp_path: Path) -> None:
    path = open_shop(tmp_path)
    early = [line for line in order_lines() if line[2] < dt.date(2026, 4, 20)]
    write_lines(tmp_path, early)
    done(path, "load")
    done(path, "launch", "spring")
    done(path, "report")
    with lx.open(path).store.read() as connection:
        months = set(connection.exec_driver_sql("SELECT DISTINCT month FROM published").scalars())
    assert months == {"2026-03", "cumulative 2026-03"}
    reload(path, order_lines())
    assert measured(path).restatements == ()


def test_a_restated_result_can_be_restated_again(shop: Path) -> None:
    done(shop, "report")
    result = measured(shop)
    with lx.open(shop).store.read() as connection:
        assert restated(connection, result) == result


def test_a_figure_that_a_new_wave_moves_says_so(shop: Path) -> None:
    done(shop, "report")
    result = measured(shop)
    longer = replace(
        result, rows=tuple(replace(row, n_treated=row.n_treated + 10) for row in result.rows)
    )
    with lx.open(shop).store.read() as connection:
        found = revenue(restated(connection, longer), "2026-03")
    assert found is not None
    assert found.reason == "customers joined since: the effect is now per customer of a longer list"


def test_a_published_verdict_stays_and_says_that_the_data_have_changed(shop: Path) -> None:
    plain = measured(shop)
    gain = Verdict(VerdictKind.KEEP, Estimate(90.0, 5.0, 175.0), "2026-05", decided_month="2026-04")
    undecided = Verdict(VerdictKind.NOT_YET, Estimate(20.0, -60.0, 100.0), "2026-06", "2026-08")
    now = dt.datetime.now(dt.UTC)

    def judged(verdict: Verdict) -> CampaignResult:
        return replace(plain, arms=tuple(replace(arm, verdict=verdict) for arm in plain.arms))

    with lx.open(shop).store.write() as connection:
        connection.execute(published.insert(), to_publish(connection, judged(gain), now))
        assert to_publish(connection, judged(gain), now) == [], "once"
        (arm, *_) = restated(connection, judged(undecided)).arms
        assert (arm.verdict.kind, arm.verdict.net) == (VerdictKind.KEEP, gain.net)
        assert (arm.verdict.month, arm.verdict.decided_month) == ("2026-05", "2026-04")
        assert arm.verdict.reasons == (SHOWN_BEFORE,)
        # A verdict that the data still bear is shown with their figures; a failed check suspends.
        later = replace(gain, kind=VerdictKind.ENLARGE, net=Estimate(99.0, 9.0, 189.0))
        suspended = Verdict(VerdictKind.SUSPENDED, undecided.net, "2026-06", reasons=("roster",))
        for kept in (later, suspended):
            assert restated(connection, judged(kept)).arms[0].verdict == kept
        # The other way round is no less a change.
        stop = replace(gain, kind=VerdictKind.STOP)
        assert restated(connection, judged(stop)).arms[0].verdict.kind is VerdictKind.KEEP
        assert to_publish(connection, judged(stop), now) == [], "the first one stays"


def test_a_month_ends_at_the_midnight_of_the_shop_whatever_the_export_counts_in(
    tmp_path: Path,
) -> None:
    """UTC in the file, Paris in the declaration: one hour apart in winter, two in summer."""
    moments = {
        "2026-02-28T22:59:59Z": (2026, 2, "2026-02-28 23:59:59"),
        "2026-02-28T23:00:00Z": (2026, 3, "2026-03-01 00:00:00"),
        "2026-03-29T00:59:59Z": (2026, 3, "2026-03-29 01:59:59"),
        "2026-03-29T01:00:00Z": (2026, 3, "2026-03-29 03:00:00"),
        "2026-03-31T21:59:59Z": (2026, 3, "2026-03-31 23:59:59"),
        "2026-03-31T22:00:00Z": (2026, 4, "2026-04-01 00:00:00"),
        "2025-10-26T00:30:00Z": (2025, 10, "2025-10-26 02:30:00"),
        "2025-10-26T01:30:00Z": (2025, 10, "2025-10-26 02:30:00"),
        "2025-12-31T23:30:00Z": (2026, 1, "2026-01-01 00:30:00"),
    }
    path = open_shop(tmp_path, customers=1)
    rows = [f"z{n},c{n},{moment},{2**n}" for n, moment in enumerate(moments)]
    text = "\n".join(["number,client,date,net", *rows, ""])
    (tmp_path / "orders.csv").write_text(text, encoding="utf-8")
    done(path, "load")
    with lx.open(path).store.read() as connection:
        kept = connection.exec_driver_sql(
            "SELECT month, CAST(ordered_at AS VARCHAR) FROM orders ORDER BY order_id"
        ).all()
        rolled = connection.exec_driver_sql(
            "SELECT month, sum(revenue), sum(orders) FROM customer_month GROUP BY month"
        ).all()
    assert [tuple(row) for row in kept] == [
        (year * 12 + month, wall) for year, month, wall in moments.values()
    ]
    expected: dict[int, list[int]] = {}
    for n, (year, month, _) in enumerate(moments.values()):
        expected.setdefault(year * 12 + month, []).append(2**n)
    assert {row[0]: (row[1], row[2]) for row in rolled} == {
        month: (sum(amounts), len(amounts)) for month, amounts in expected.items()
    }

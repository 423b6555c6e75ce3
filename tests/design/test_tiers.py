"""Where gold and silver begin: declared, used by every stage alike, and frozen where it decides."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from loyalty_exp.compare.windows import Window
from loyalty_exp.declare.frozen import FrozenPlan
from loyalty_exp.errors import LaunchError
from loyalty_exp.project import Project, open_project
from loyalty_exp.store import tables

Company = Callable[[str], Project]
Tiered = Callable[..., Project]

AS_OF = dt.date(2026, 2, 28)
GOLD = """
[campaign.{name}]
name = "Gold"
segments = ["{segment}"]
lever = "relational"
objective = "revenue"
start = 2026-03-01
end = 2026-04-30
measure_until = 2026-06-30
arms = {{ holdout = 20, call = 80 }}
{more}
"""
AMOUNTS = '{ by = "revenue", gold = 600, silver = 200 }'


def campaign(segment: str = "gold", name: str = "gold", more: str = "") -> str:
    return GOLD.format(segment=segment, name=name, more=more)


@pytest.fixture
def tiered(company: Company) -> Tiered:
    """Opens the company with thresholds of its own, or with the usual ones."""

    def declare(tiers: str | None, more: str = "") -> Project:
        project = company(more)
        text = project.path.read_text(encoding="utf-8")
        chosen = 'scheme = "tiers"' + ("" if tiers is None else f"\ntiers = {tiers}")
        project.path.write_text(text.replace('scheme = "tiers"', chosen), encoding="utf-8")
        return open_project(project.path)

    return declare


def revenue_12m(project: Project) -> dict[str, float]:
    """Revenue of the year up to the as-of date, by customer, added up by hand."""
    orders = tables.orders.c
    since, until = dt.datetime(2025, 3, 1), dt.datetime(2026, 3, 1)
    with project.store.read() as connection:
        rows = connection.execute(sa.select(orders.customer, orders.ordered_at, orders.revenue))
        totals: dict[str, float] = {}
        for customer, at, revenue in rows:
            totals[customer] = totals.get(customer, 0.0) + (revenue if since <= at < until else 0.0)
    return totals


def drawn(project: Project, name: str = "gold") -> set[str]:
    with project.store.read() as connection:
        chosen = sa.select(tables.assignments.c.customer)
        return set(connection.scalars(chosen.where(tables.assignments.c.campaign == name)))


def gold_by_share(totals: dict[str, float], share: float) -> set[str]:
    """The largest customers who together make a share of the revenue."""
    limit, sofar, found = share * sum(totals.values()), 0.0, set()
    for customer, revenue in sorted(totals.items(), key=lambda item: -item[1]):
        if sofar >= limit:
            break
        sofar += revenue
        found.add(customer)
    return found


def test_amounts_decide_who_is_gold_in_every_stage(tiered: Tiered) -> None:
    rule = "[segments.best]\nwhere = \"tier = 'gold'\"\n"
    project = tiered(AMOUNTS, rule + campaign() + campaign("best", "best"))
    totals = revenue_12m(project)
    gold = {customer for customer, revenue in totals.items() if revenue >= 600}
    silver = {customer for customer, revenue in totals.items() if 200 <= revenue < 600}
    assert 30 < len(gold) < len(silver) < len(totals)
    sizes = {row.segment: row.customers for row in project.segments(AS_OF)}
    assert (sizes["gold"], sizes["silver"], sizes["best"]) == (len(gold), len(silver), len(gold))
    assert dict(project.plan("gold", draws=0).flow)["eligible"] == len(gold)
    named = {row.customer for row in project.contacts(AS_OF, "gold", limit=1000)}
    assert named
    assert named <= gold
    project.launch("gold")
    project.launch("best")
    assert drawn(project, "gold") == drawn(project, "best") == gold


def test_a_share_of_the_revenue_decides(tiered: Tiered) -> None:
    project = tiered("{ gold = 30, silver = 60 }", campaign())
    launched = project.launch("gold")
    assert drawn(project) == gold_by_share(revenue_12m(project), 0.3)
    assert launched.plan.tiers == {"by": "share", "gold": 30.0, "silver": 60.0}
    sizes = {row.segment: row.customers for row in tiered(None).segments(AS_OF)}
    assert sizes["gold"] == len(gold_by_share(revenue_12m(project), 0.5))


def test_the_comparison_of_years_uses_the_declared_tiers(tiered: Tiered) -> None:
    project = tiered(AMOUNTS)
    years = (
        Window(dt.date(2024, 3, 1), dt.date(2025, 2, 28)),
        Window(dt.date(2025, 3, 1), AS_OF),
    )
    gold = [revenue for revenue in revenue_12m(project).values() if revenue >= 600]
    found = {
        row.metric: row.year2
        for row in project.compare(*years).segments
        if (row.segment, row.view) == ("gold", "same_rule")
    }
    assert found["revenue"] == pytest.approx(sum(gold))
    yearly = project.kpis(*years)["kpis_by_year"]
    (kpi,) = (each for each in yearly if (each["year"], each["segment"]) == ("year2", "gold"))
    assert kpi["revenue"] == pytest.approx(sum(gold))


@pytest.mark.parametrize(
    ("segment", "more"),
    [("gold", ""), ("buyers", 'stratify_by = ["tier"]'), ("buyers", 'exclude = ["silver"]')],
)
def test_a_launch_on_other_thresholds_is_refused(tiered: Tiered, segment: str, more: str) -> None:
    declared = campaign(segment, more=more)
    first = tiered(AMOUNTS, declared).launch("gold")
    edited = tiered(AMOUNTS.replace("600", "700"), declared)
    with pytest.raises(LaunchError, match=r"since: segments\.tiers\.gold: frozen 600, now 700"):
        edited.launch("gold")
    assert edited.measure("gold").deviations == ("segments.tiers.gold: frozen 600, now 700",)
    assert not any(found.problems for found in edited.verify())
    again = tiered(AMOUNTS, declared).launch("gold")
    assert (again.new, again.plan.digest) == (False, first.plan.digest)


def test_thresholds_that_decide_nothing_are_not_frozen(tiered: Tiered) -> None:
    declared = campaign("buyers")
    assert tiered(AMOUNTS, declared).launch("gold").plan.tiers == {}
    assert not tiered(AMOUNTS.replace("600", "700"), declared).launch("gold").new


def test_a_plan_older_than_the_thresholds_had_the_usual_ones(tiered: Tiered) -> None:
    project = tiered(None, campaign())
    plan = project.launch("gold").plan
    old = json.loads(plan.to_json())
    assert old.pop("tiers") == {"by": "share", "gold": 50.0, "silver": 80.0}
    with project.store.write() as connection:
        connection.execute(tables.launches.update().values(plan=json.dumps(old)))
    assert FrozenPlan.from_json(json.dumps(old)).tiers == {}
    assert not project.launch("gold").new
    with pytest.raises(LaunchError, match=r'segments\.tiers\.by: frozen "share", now "revenue"'):
        tiered(AMOUNTS, campaign()).launch("gold")


def test_members_kept_under_another_rule_are_not_taken_for_those_of_today(tiered: Tiered) -> None:
    tiered(AMOUNTS, campaign()).launch("gold")
    second = campaign() + campaign(name="second")
    edited = tiered(AMOUNTS.replace("600", "700"), second)
    with pytest.raises(LaunchError) as refused:
        edited.launch("second")
    assert str(refused.value) == (
        "who was in gold on 2026-02-28 was kept by the launch of gold, by another rule: "
        "segments.tiers.gold: frozen 600, now 700. Declare a segment of another name with the "
        "rule of today, or take the segments as_of another day"
    )
    earlier = second.replace("arms", "as_of = 2026-02-27\narms")
    assert tiered(AMOUNTS.replace("600", "700"), earlier).launch("second").new


def test_members_kept_under_an_edited_rule_are_not_taken_either(company: Company) -> None:
    company(campaign("buyers")).launch("gold")
    edited = company(campaign("buyers") + campaign("buyers", "second"))
    text = edited.path.read_text(encoding="utf-8")
    edited.path.write_text(text.replace("orders_12m >= 4", "orders_12m >= 3"), encoding="utf-8")
    with pytest.raises(LaunchError, match=r'segments\.buyers: frozen "orders_12m >= 4", now'):
        open_project(edited.path).launch("second")

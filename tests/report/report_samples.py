"""Campaign results made up for the pages: a good one, a bad one, an empty one, a crowd."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import replace

from loyalty_exp.declare.frozen import FrozenPlan, StratumCounts
from loyalty_exp.measure.results import (
    ArmResult,
    CampaignResult,
    Check,
    CheckStatus,
    Component,
    Decomposition,
    Economics,
    EffectRow,
    Estimate,
    Heterogeneity,
    Influence,
    LoadedFile,
    Look,
    MoneyMonth,
    Programme,
    Provenance,
    Restatement,
    SegmentRank,
    Sensitivity,
    Verdict,
    VerdictKind,
    Wearout,
)
from loyalty_exp.report.sayings import REGRESSION

NOTHING = Estimate(None, None, None)
SEGMENTS = ("sleeping_gold", "sleeping_silver", "new_<b>&</b>_promising")


def around(value: float, half: float) -> Estimate:
    return Estimate(value, value - half, value + half)


def months(count: int, start: tuple[int, int] = (2026, 3)) -> list[str]:
    first = start[0] * 12 + start[1] - 1
    return [f"{(first + i) // 12}-{(first + i) % 12 + 1:02d}" for i in range(count)]


def plan(
    campaign: str = "winback-2026",
    name: str = "Réveil des clients or",
    arms: tuple[str, ...] = ("holdout", "call", "call_and_voucher"),
    segments: tuple[str, ...] = SEGMENTS,
    looks: int = 10,
    units: int = 4000,
) -> FrozenPlan:
    shares = (0.2, *((0.8 / (len(arms) - 1),) * (len(arms) - 1)))
    strata = []
    for label, part in (("zero", 0.1), ("gold|high", 0.3), ("gold|low", 0.35), ("silver", 0.25)):
        n = round(units * part)
        counts = [round(n * share) for share in shares]
        counts[-1] = n - sum(counts[:-1])
        strata.append(StratumCounts(label, n, tuple(counts)))
    return FrozenPlan(
        campaign=campaign,
        wave=1,
        name=name,
        hypothesis="Un appel et un bon de 20 € font revenir un client or sur dix",
        declaration={
            "name": name,
            "costs": {"budget": 6000, "fixed": 1200},
            "arms": dict(zip(arms, (round(100 * s) for s in shares), strict=True)),
        },
        project="Maison Exemple",
        currency="EUR",
        timezone="Europe/Paris",
        margin_rate=0.42,
        settle_days=7,
        as_of=dt.date(2026, 2, 28),
        start=dt.date(2026, 3, 1),
        end=dt.date(2026, 4, 30),
        measure_until=dt.date(2026, 12, 31),
        metric="revenue",
        covariate_months=12,
        looks=looks,
        alpha=0.05,
        spending="obrien-fleming",
        methods={f"{arm}:revenue": "W1" for arm in arms[1:]},
        caps={"revenue": 812.5, "orders": 6.0},
        arms=arms,
        percents=tuple(100 * share for share in shares),
        unit="customer_id",
        segments={name: f"tier = '{name}' and overdue_ratio > 2" for name in segments},
        strata=tuple(strata),
        band_cuts=(84.2, 212.75, 640.0),
        flow=(
            ("segment", units + 600),
            ("excluded: no consent", 480),
            ("excluded: universal holdout", 120),
            ("eligible", units),
        ),
        salt="winback-2026/1/7f3a90c2",
        roster_sum="184467440737095516",
        version="0.1.0",
    )


def row(
    plan: FrozenPlan, arm: str, month: str, effect: float, se: float, **other: object
) -> EffectRow:
    treated, held = plan.units_of(arm), plan.units_of(plan.holdout)
    base = float(other.pop("base", 40.0))
    z = 2.9
    values = {
        "campaign": plan.campaign, "wave": "all", "segment": "all", "arm": arm,
        "against": plan.holdout, "metric": plan.metric, "month": month,
        "n_treated": treated, "n_holdout": held,
        "mean_treated": base + effect, "mean_holdout": base,
        "effect_per_customer": effect, "standard_error": se,
        "ci_lower": effect - 1.96 * se, "ci_upper": effect + 1.96 * se, "level": 0.95,
        "p_value": math.erfc(abs(effect / se) / math.sqrt(2)),
        "relative_effect": effect / base,
        "relative_ci_lower": (effect - 1.96 * se) / base,
        "relative_ci_upper": (effect + 1.96 * se) / base,
        "total_effect": treated * effect,
        "total_ci_lower": treated * (effect - 1.96 * se),
        "total_ci_upper": treated * (effect + 1.96 * se),
        "closed": True, "notes": "",
        "simultaneous_ci_lower": effect - z * se, "simultaneous_ci_upper": effect + z * se,
    }  # fmt: skip
    return EffectRow(**(values | other))  # type: ignore[arg-type]


def arm_rows(plan: FrozenPlan, arm: str, effects: list[float], closed: int) -> list[EffectRow]:
    names = months(len(effects))
    rows = [
        row(plan, arm, month, effect, 0.85, closed=i < closed)
        if i < closed
        else row(plan, arm, month, effect, 1.4, closed=False, simultaneous_ci_lower=None,
                 simultaneous_ci_upper=None)
        for i, (month, effect) in enumerate(zip(names, effects, strict=True))
    ]  # fmt: skip
    if closed:
        total = sum(effects[:closed])
        se = 0.95 * math.sqrt(closed)
        rows.append(row(plan, arm, "cumulative", total, se, base=40.0 * closed))
        for metric, value, error, base in (
            ("margin", 0.42 * total, 0.42 * se, 16.8 * closed),
            ("orders", total / 60, se / 60, 1.9),
            ("active", 0.031, 0.012, 0.44),
        ):
            rows.append(row(plan, arm, "cumulative", value, error, base=base, metric=metric))
        for i, segment in enumerate(plan.segments):
            part = total * (1.6 - 0.5 * (i % 5))
            rows.append(
                row(plan, arm, "cumulative", part, se * 1.9, segment=segment,
                    n_treated=plan.units_of(arm) // (i + 2), n_holdout=200 // (i + 1))
            )  # fmt: skip
    return rows


def economics(plan: FrozenPlan, arm: str, effects: list[float], closed: int) -> Economics:
    units = plan.units_of(arm)
    fixed, contact, reward = 600.0, 4.5 * units, 2400.0 if "voucher" in arm else 0.0
    cost, margin, series, payback = fixed + contact + reward, 0.0, [], None
    for i, (month, effect) in enumerate(zip(months(len(effects)), effects, strict=True)):
        margin += 0.42 * units * effect
        half = 0.42 * units * 2.4 * math.sqrt(i + 1)
        net = Estimate(margin - cost, margin - cost - half, margin - cost + half)
        if margin > cost and payback is None and i < closed:
            payback = month
        series.append(
            MoneyMonth(month, i < closed, Estimate(margin, margin - half, margin + half), cost, net)
        )
    last = series[closed - 1] if closed else None
    return Economics(
        incremental_revenue=_scaled(last.incremental_margin, 1 / 0.42) if last else NOTHING,
        incremental_margin=last.incremental_margin if last else NOTHING,
        fixed_cost=fixed,
        contact_cost=contact,
        redemption_cost=reward,
        net=last.net if last else NOTHING,
        iroi=_scaled(last.net, 1 / cost) if last else NOTHING,
        probability_paid=0.987 if last else None,
        break_even_per_unit=cost / units,
        payback_month=payback,
        payback_month_lower=payback if closed and (last.net.lower or 0) > 0 else None,
        cost_per_incremental_order=Estimate(31.4, 18.2, 74.9) if last else NOTHING,
        holdout_opportunity_cost=_scaled(last.incremental_margin, 0.25) if last else NOTHING,
        months=tuple(series),
    )


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    value, lower, upper = estimate.value, estimate.lower, estimate.upper
    if value is None or lower is None or upper is None:
        return NOTHING
    return Estimate(value * factor, lower * factor, upper * factor)


def looks(names: list[str], effects: list[float]) -> tuple[Look, ...]:
    boundaries = (8.3, 4.9, 3.4, 2.9, 2.6, 2.4, 2.3, 2.2, 2.1, 2.0)
    total, made = 0.0, []
    for i, (month, effect) in enumerate(zip(names, effects, strict=True)):
        total += effect
        se, boundary = 0.95 * math.sqrt(i + 1), boundaries[min(i, 9)]
        estimate = Estimate(total, total - boundary * se, total + boundary * se)
        made.append(Look(month, i + 1, estimate, total / se, boundary, total / se > boundary))
    return tuple(made)


def arm(
    plan: FrozenPlan, name: str, effects: list[float], closed: int, kind: VerdictKind | None = None
) -> ArmResult:
    money = economics(plan, name, effects, closed)
    total = sum(effects[:closed])
    net = money.net
    if kind is None:
        kind = VerdictKind.KEEP if (net.lower or 0) > 0 else VerdictKind.NOT_YET
        kind = VerdictKind.STOP if net.upper is not None and net.upper < 0 else kind
    last = months(closed)[-1] if closed else None
    ranks = tuple(
        SegmentRank(
            segment,
            Estimate(
                total * (1.6 - 0.5 * (i % 5)),
                total * (1.6 - 0.5 * (i % 5)) - 5,
                total * (1.6 - 0.5 * (i % 5)) + 5,
            ),
            Estimate(total * (1.2 - 0.2 * (i % 5)), None, None),
            min(1.0, 0.004 * (i + 1) ** 3),
        )
        for i, segment in enumerate(plan.segments)
    )
    parts = tuple(
        Component(name, Estimate(total * share, total * share - 1.2, total * share + 1.2))
        for name, share in (("reactivation", 0.58), ("frequency", 0.49), ("basket", -0.07))
    )
    return ArmResult(
        arm=name,
        n_treated=plan.units_of(name),
        n_holdout=plan.units_of(plan.holdout),
        method="W1",
        band="sup-t",
        looks=looks(months(closed), effects[:closed]),
        economics=money,
        decomposition=Decomposition(parts, total) if closed else None,
        wearout=Wearout(Estimate(-0.21, -0.48, 0.06), 0.13) if closed > 4 else None,
        pull_forward=Estimate(2.1, -0.4, 4.6) if closed > 3 else None,
        reached=Estimate(total / 0.82, total / 0.82 - 4, total / 0.82 + 4) if closed else None,
        reached_notes=(),
        influence=tuple(
            Influence(
                n,
                Estimate(total * 0.98, total * 0.98 - 4, total * 0.98 + 4),
                money.net,
                True,
                n < 10,
            )
            for n in (1, 5, 10)
        ) if closed else (),
        sensitivity=(
            Sensitivity("unadjusted", Estimate(total * 1.1, total - 6, total + 6)),
            Sensitivity("capped", Estimate(total * 0.9, total - 4, total + 4), 812.5),
        ) if closed else (),
        heterogeneity=Heterogeneity(7.9, len(ranks) - 1, 0.019, ranks) if closed else None,
        permutation_p_value=None,
        verdict=Verdict(kind, net if closed else NOTHING, last, "2026-09"),
    )  # fmt: skip


def checks(*, failed: bool = False) -> tuple[Check, ...]:
    share = 0.31 if failed else 0.004
    state = CheckStatus.FAILED if failed else CheckStatus.PASSED
    return (
        Check("roster", CheckStatus.PASSED, True, {"units": 4000}),
        Check(
            "split",
            CheckStatus.PASSED,
            False,
            {"lost_treated": 3, "lost_holdout": 1, "p_value": 0.78},
        ),
        Check("balance", CheckStatus.PASSED, True, {"p_value": 0.41}),
        Check(
            "contamination", state, failed, {"contaminated": 248 if failed else 3, "share": share}
        ),
        Check("reach", CheckStatus.WARNING, False, {"reached": 1312, "share": 0.41}),
        Check("aa_before", CheckStatus.PASSED, False, {"p_value": 0.37}),
        Check(
            "power",
            CheckStatus.WARNING,
            False,
            {"mde_relative": 0.062, "break_even_relative": 0.041},
        ),
        Check("buyers", CheckStatus.PASSED, False, {"buyers": 214}),
        Check(
            "missing_history", CheckStatus.WARNING, False, {"months": 4, "wanted": 12, "share": 0.0}
        ),
        Check("deviations", CheckStatus.PASSED, False, {}),
        Check("randomization", CheckStatus.PASSED, True, {}),
        Check("restatement", CheckStatus.NOT_APPLICABLE, False, {}),
    )


def provenance(day: dt.date = dt.date(2026, 9, 18)) -> Provenance:
    return Provenance(
        data_through=day,
        first_order=dt.date(2023, 1, 2),
        loads=(
            LoadedFile("orders", "orders.csv", "ab" * 32, 183_346, 182_334, 12, 1_000),
            LoadedFile("customers", "customers.csv", "cd" * 32, 24_118, 24_118, 0, 0),
        ),
        version="0.1.0",
        engine="DuckDB 1.5.6",
        command="loyalty-exp report --lang fr",
    )


STRONG = [6.1, 5.2, 3.8, 3.1, 2.9, 2.2, 2.4, 1.9]
WEAK = [1.9, -0.6, 0.8, 1.1, 0.3, -0.2, 0.7, 0.4]


def good() -> CampaignResult:
    """Two arms, three segments, eight months of which six are closed."""
    p = plan()
    effects = {"call": STRONG, "call_and_voucher": WEAK}
    return CampaignResult(
        campaign=p.campaign,
        plan=p,
        rows=tuple(r for name in p.treated_arms for r in arm_rows(p, name, effects[name], 6)),
        arms=tuple(arm(p, name, effects[name], 6) for name in p.treated_arms),
        checks=checks(),
        flow=(*p.flow, *((f"arm: {name}", p.units_of(name)) for name in p.arms),
              ("reached: call", 1312), ("reached: call_and_voucher", 1290)),
        deviations=(),
        closed_through="2026-08",
        provenance=provenance(),
    )  # fmt: skip


def single(
    campaign: str = "spring",
    name: str = "Offre de printemps",
    strength: float = 1.0,
    segments: tuple[str, ...] = SEGMENTS,
    count: int = 8,
    units: int = 4000,
) -> CampaignResult:
    """One treated arm."""
    p = plan(campaign, name, ("holdout", "offer"), segments, looks=max(count, 10), units=units)
    base = [STRONG[i % 8] * strength for i in range(count)]
    closed = count - 2
    return CampaignResult(
        campaign=campaign,
        plan=p,
        rows=tuple(arm_rows(p, "offer", base, closed)),
        arms=(arm(p, "offer", base, closed),),
        checks=checks(),
        flow=(*p.flow, *((f"arm: {name}", p.units_of(name)) for name in p.arms)),
        deviations=(),
        closed_through=months(closed)[-1],
        provenance=provenance(),
    )


def bad() -> CampaignResult:
    """A failed check that suspends the verdict, changes after launch, a caveat."""
    result = single("suspended", "Bon anniversaire", 0.1)
    suspended = Verdict(
        VerdictKind.SUSPENDED, result.arms[0].verdict.net, "2026-08", None, ("contamination",)
    )
    return replace(
        result,
        arms=(replace(result.arms[0], verdict=suspended),),
        checks=checks(failed=True),
        deviations=("measure_until: frozen '2026-12-31', now '2027-03-31'",),
        caveat="These households were not treated by this draw.",
        restatements=(
            Restatement(
                "2026-04",
                "offer",
                "holdout",
                "revenue",
                0.61,
                dt.date(2026, 5, 9),
                0.52,
                dt.date(2026, 9, 18),
            ),
            Restatement(
                "cumulative 2026-04",
                "offer",
                "holdout",
                "revenue",
                1.2,
                dt.date(2026, 5, 9),
                1.1,
                None,
            ),
        ),
    )


def empty() -> CampaignResult:
    """Launched, no closed month, no economics yet."""
    p = plan("autumn", "Rentrée", ("holdout", "offer"))
    none = Economics(
        NOTHING,
        NOTHING,
        0.0,
        0.0,
        0.0,
        NOTHING,
        NOTHING,
        None,
        0.0,
        None,
        None,
        NOTHING,
        NOTHING,
        (),
    )
    hollow = ArmResult(
        "offer", p.units_of("offer"), p.units_of("holdout"), "W2", "permutation max-t", (), none,
        None, None, None, None, (), (), (), None, None,
        Verdict(VerdictKind.NO_DATA, NOTHING, None, "2026-12"),
    )  # fmt: skip
    unchecked = tuple(
        Check(check.name, CheckStatus.NOT_APPLICABLE, check.critical, {}) for check in checks()
    )
    return CampaignResult(
        campaign=p.campaign, plan=p, rows=(), arms=(hollow,), checks=unchecked, flow=(),
        deviations=(), closed_through=None, provenance=provenance(dt.date(2026, 3, 12)),
    )  # fmt: skip


def crowd(n: int, segments: int = 60, count: int = 36) -> list[CampaignResult]:
    """Many campaigns, many segments, many months."""
    names = tuple(f"segment_{i:02d}" for i in range(segments))
    return [single(f"c{i:03d}", f"Campagne n° {i}", 0.02 * i - 0.5, names, count) for i in range(n)]


def universal() -> CampaignResult:
    """The whole programme against customers left out of everything."""
    return single("programme", "Programme de fidélité", 2.2, ("all_customers",), units=20_000)


def programme() -> Programme:
    """The programme's total from `universal`."""
    return Programme(
        month="2026-08",
        incremental_revenue=around(511_000.0, 190_000.0),
        incremental_margin=around(214_620.0, 81_000.0),
        cost=84_120.0,
        net=around(130_500.0, 81_000.0),
        treated_revenue=4_427_000.0,
        cost_share=0.019,
        sum_of_campaigns=151_200.0,
        campaigns=4,
        notes=("the sum leaves out campaigns whose net result is not known yet",),
    )


def years_page() -> dict[str, object]:
    """What the page of two years is given: indicators, cohorts and names besides, some hidden."""
    given = years()
    names = {"gold": "Or", "silver": "Argent", "bronze": "Bronze"}
    monthly = [
        {"month": month, "segment": segment, "active": 400 + i, "new": 40, "lost": 30,
         "reactivated": 4, "active_12m": 4000 + i, "orders": 500, "revenue": 5e4 + 900.0 * (i % 7),
         "margin": 2e4, "frequency": 1.25, "basket": 58.0 + i % 5}
        for segment in ("all", *names)
        for i, month in enumerate(months(24, (2024, 1)))
    ]  # fmt: skip
    monthly[30] |= dict.fromkeys(name for name in monthly[30] if name not in ("month", "segment"))
    yearly = [
        {"year": year, "segment": segment, "active": 4300 + 10 * i, "new": 900 if i else None,
         "lost": 880 if i else None, "reactivated": 12 if i else None,
         "retention_rate": 0.71 if i else None, "attrition_rate": 0.29 if i else None,
         "returning_share": 0.79 if i else None, "repurchase_rate": 0.61 + 0.02 * i,
         "recency_days": 98.2, "tenure_days": 420.7, "frequency": 3.3, "basket": 61.2 - i,
         "revenue": 8e5, "margin": 3e5, "share": None, "budget_ratio": None}
        for i, year in enumerate(("year1", "year2")) for segment in ("all", *names)
    ]  # fmt: skip
    for row, small in ((yearly[3], True), (yearly[2], False)):
        row.update(dict.fromkeys(name for name in row if name not in ("year", "segment")))
        row["few"] = small
    moves = [dict(move) for move in given["moves"]]
    for move, small in ((moves[3], True), (moves[2], False)):
        move.update(dict.fromkeys(("customers", "revenue_year1", "revenue_year2")))
        move["few"] = small
    cohorts = [
        {"cohort": cohort, "age": age, "customers": 90 - i, "active": 30 - age,
         "retention": (30 - age) / (90 - i)}
        for i, cohort in enumerate(months(8, (2025, 5))) for age in range(8 - i)
    ]  # fmt: skip
    cohorts[1] |= {"active": None, "retention": None}
    return given | {
        "kpis_by_month": monthly,
        "kpis_by_year": yearly,
        "moves": moves,
        "cohorts": cohorts,
        "definitions": {
            "returning_share": {"en": "Not retention.", "fr": "Ce n'est pas la rétention."}
        },
        "names": {name: {"en": name.title(), "fr": french} for name, french in names.items()},
        "min_cell": 5,
    }


def years() -> dict[str, object]:
    """What `compare --format json` gives, with amounts that add up."""
    bridge = {
        "gold": (-41_000.0, 12_500.0, 8_200.0, 15_400.0, -3_900.0),
        "silver": (-22_750.5, 18_100.25, 4_000.0, -2_300.0, 1_150.25),
        "bronze": (-30_100.0, 36_400.0, 2_050.0, 3_300.0, 900.0),
    }
    names = ("lost", "new", "reactivated", "frequency", "basket")
    rows = [
        {"segment": segment, "component": name, "amount": amount}
        for segment, amounts in bridge.items()
        for name, amount in zip(names, amounts, strict=True)
    ]
    sums = [sum(amounts[i] for amounts in bridge.values()) for i in range(5)]
    rows += [
        {"segment": "all", "component": name, "amount": amount}
        for name, amount in zip(names, sums, strict=True)
    ]
    before = 812_345.6
    segments = []
    for view in ("followed", "same_rule"):
        for i, segment in enumerate(("all", *bridge)):
            for metric, one, two in (
                ("revenue", before / (i + 1), before / (i + 1) + 4000.0 * (i - 1)),
                ("customers", 4000 // (i + 1), 4100 // (i + 1)),
                ("repurchase_rate", 0.61 - 0.1 * i, 0.63 - 0.1 * i),
                ("basket", 61.2, 60.4),
                ("frequency", 3.3, 3.4),
            ):
                segments.append(
                    {"view": view, "segment": segment, "metric": metric, "year1": one, "year2": two,
                     "change": two - one, "relative_change": two / one - 1}
                )  # fmt: skip
    places = (*bridge, "lost")
    return {
        "periods": {
            "year1": {"start": "2024-01-01", "end": "2024-12-31"},
            "year2": {"start": "2025-01-01", "end": "2025-12-31"},
        },
        "totals": {
            "year1": {"revenue": before, "margin": 0.42 * before, "customers": 4336,
                      "orders": 14021},
            "year2": {"revenue": before + sum(sums), "margin": 0.42 * (before + sum(sums)),
                      "customers": 4331, "orders": 14408},
        },
        "segments": segments,
        "bridge": rows,
        "moves": [
            {"from": a, "to": b, "customers": 900 // (1 + 3 * abs(i - j)),
             "revenue_year1": 1000.0 * (5 - i), "revenue_year2": 1000.0 * (5 - j)}
            for i, a in enumerate(bridge) for j, b in enumerate(places)
        ],
        "causes": [
            {"segment": "all", "caused": None, "caused_ci_lower": None, "caused_ci_upper": None,
             "market": None, "known": False,
             "note": "several campaigns reached it (a, b): effects that overlap are not added up"},
            {"segment": "gold", "caused": 18_437.2, "caused_ci_lower": 4_123.4,
             "caused_ci_upper": 33_017.1, "market": -27_237.2, "known": True},
            {"segment": "silver", "caused": None, "caused_ci_lower": None, "caused_ci_upper": None,
             "market": None, "known": False, "note": "no holdout was kept in this segment"},
        ],
        "notes": [REGRESSION],
    }  # fmt: skip


def campaign_plan() -> dict[str, object]:
    """A plan before its launch, as a dictionary; one arm that cannot be proven, a conflict."""
    effects = [0.005 * i for i in range(41)]
    power = [min(1.0, 0.04 + 0.76 * (effect / 0.1) ** 1.5) for effect in effects]
    shares = [0.01 * i for i in range(1, 51)]
    replay = {
        "draws": 1000, "periods": ["2025-03", "2025-02"], "months": 10, "units": 3100.0,
        "sampled": False, "effects": effects, "power": power, "coverage": [0.95] * 41,
        "false_alarm_rate": 0.049, "mde": 0.1, "mde_today": 0.08,
        "null_totals": {"0.025": -8450.0, "0.1": -5200.0, "0.5": 60.0, "0.9": 5400.0,
                        "0.975": 9120.0},
        "without_interval": 0.0,
    }  # fmt: skip
    arm = {
        "arm": "call_and_voucher", "units": 3200, "holdout": 800, "cost": 6100.0,
        "break_even": 1.91, "break_even_relative": 0.03, "mde": 3.1, "mde_relative": 0.075,
        "replay": replay,
    }  # fmt: skip
    said = {
        "not_provable": {"arm": "call_and_voucher", "units": 4000, "by": "2026-12-31",
                         "detectable": 0.08, "break_even": 0.03, "holdout": 0.5,
                         "holdout_detectable": 0.06},
        "null": {"arm": "call_and_voucher", "low": -8450.0, "high": 9120.0},
        "advised": {"advised": 0.12, "declared": 0.2},
    }  # fmt: skip
    conflict = {
        "other": "spring", "overlap_days": 12, "rest_days": 0, "shared_segments": ["gold"],
        "shared_customers": 310, "goes_first": "spring", "other_launched": False,
    }  # fmt: skip
    calendar = [
        {"campaign": name, "name": title, "start": "2026-03-01", "end": "2026-04-30",
         "measure_until": "2026-12-31", "priority": 50, "segments": ["gold"], "launched": False}
        for name, title in (("winback", "Réveil des clients or"), ("spring", "Offre de printemps"))
    ]  # fmt: skip
    return {
        "campaign": "winback", "name": "Réveil des clients or", "currency": "EUR",
        "metric": "revenue", "unit": "customer_id", "as_of": "2026-02-28",
        "data_through": "2026-02-28", "start": "2026-03-01",
        "measure_until": "2026-12-31", "months": 10, "launched": False, "drawn_here": True,
        "alpha": 0.05,
        "flow": [("segment", 4600), ("excluded: no consent", 600), ("eligible", 4000),
                 ("arm: holdout", 800), ("arm: call_and_voucher", 3200)],
        "costs": {"fixed": 1200.0, "contacts": 4900.0, "redemptions_at_most": 0.0,
                  "budget": 6000.0},
        "period": {"first_month": "2025-03", "months": 10, "planned_months": 10,
                   "covariate_months": 12, "units": 3900, "mean": 40.0, "residual_sd": 30.0,
                   "margin_mean": 16.0, "margin_residual_sd": 12.0},
        "arms": [arm], "longer": [],
        "advice": {"shares": shares, "withheld": [9000 * share for share in shares],
                   "wrong_decision": [700 / (share + 0.05) for share in shares],
                   "advised": 0.12, "at_edge": False},
        "advice_reason": "", "gap_days": 45.0, "calendar": calendar, "conflicts": [conflict],
        "sentences": [{"rule": rule, "text": "", "values": values}
                      for rule, values in said.items()],
        "warnings": [
            {"rule": "over_budget", "text": "",
             "values": {"over": 100.0, "total": 6100.0, "budget": 6000.0}},
            {"rule": "conflict", "text": "",
             "values": {"other": "spring", "shared": 310, "overlap_days": 12, "rest_days": 0,
                        "goes_first": "spring", "other_launched": False}},
        ],
        "notes": ["Forecasts rest on 10 months from 2025-03.",
                  "Past audiences were sampled by md5 for the replay."],
    }  # fmt: skip

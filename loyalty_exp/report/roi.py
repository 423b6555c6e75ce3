"""The page for leadership: what the programme cost and earned, how sure, what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loyalty_exp.measure.results import Estimate, VerdictKind
from loyalty_exp.report.campaign import explanation
from loyalty_exp.report.money import money_section
from loyalty_exp.report.overview import (
    forest_figure,
    lines_by_money,
    programme_verdict,
    shared_foot,
)
from loyalty_exp.report.views import KeyFigure, Notice, Page, Section, VerdictLine
from loyalty_exp.report.words import arm_name, decision, interval, money_range
from loyalty_exp.report.years import causes_section

if TYPE_CHECKING:
    import datetime as dt

    from loyalty_exp.measure.results import ArmResult, CampaignResult
    from loyalty_exp.report.tongue import Tongue

__all__ = ["Turnover", "roi_page"]

_DRAWN = 6
_BUDGET_BAND = (0.005, 0.05)
"""Usual loyalty budget as a share of revenue."""


@dataclass(frozen=True, slots=True)
class Turnover:
    """Net revenue of the company over the days that the campaigns' cost covers, in currency."""

    amount: float
    start: dt.date
    end: dt.date


def roi_page(
    t: Tongue,
    results: Sequence[CampaignResult],
    project: str,
    *,
    universal: CampaignResult | None = None,
    years: Mapping[str, Any] | None = None,
    turnover: Turnover | None = None,
) -> Page:
    """The one-page summary for leadership."""
    _ = t.gettext
    caveats = tuple(dict.fromkeys(t.gettext(r.caveat) for r in results if r.caveat))
    sections = [_actions_section(t, results), _campaigns(t, results)]
    if universal is not None:
        sections.append(money_section(t, universal))
    if years is not None:
        sections.append(causes_section(t, years))
    return Page(
        name="roi.html",
        kind="roi",
        language=t.language,
        title=_("Return on investment · %(project)s") % {"project": project},
        eyebrow=project,
        heading=_("What loyalty costs and earns"),
        standfirst="",
        notices=(Notice("caveat", _("About these data"), caveats),) if caveats else (),
        verdicts=_verdicts(t, results, universal, turnover),
        key_figures=_key_figures(t, results, universal, turnover),
        explained=explanation(t),
        sections=tuple(section for section in sections if section is not None),
        foot=shared_foot(t, results, project),
    )


def _cost(results: Sequence[CampaignResult]) -> float:
    """Cost of all campaigns, in currency: costs add up, gains do not."""
    return sum(arm.economics.cost for result in results for arm in result.arms)


def _programme(universal: CampaignResult | None) -> ArmResult | None:
    """The arm that measures the whole programme, when its result is known."""
    if universal is None or not universal.arms:
        return None
    arm = universal.arms[0]
    return arm if arm.verdict.net.value is not None and arm.verdict.month else None


def _verdicts(
    t: Tongue,
    results: Sequence[CampaignResult],
    universal: CampaignResult | None,
    turnover: Turnover | None,
) -> tuple[VerdictLine, ...]:
    """The programme's verdict, or that its total is not known and what the campaigns show."""
    _ = t.gettext
    arm = _programme(universal)
    if arm is not None and arm.verdict.kind is not VerdictKind.SUSPENDED:
        values = {
            "cost": t.money(arm.economics.cost, step=100.0),
            "net": money_range(t, arm.verdict.net),
            "interval": interval(t, arm.verdict.net),
            "month": t.month(arm.verdict.month or ""),
            "share": t.percent(arm.economics.cost / turnover.amount) if turnover else "",
        }
        if turnover:
            text = _(
                "By the end of %(month)s, loyalty has cost %(cost)s (%(share)s of revenue) and "
                "earned %(net)s net margin (%(interval)s)."
            )
        else:
            text = _(
                "By the end of %(month)s, loyalty has cost %(cost)s and earned %(net)s net margin "
                "(%(interval)s)."
            )
        return (VerdictLine(text % values, decision(t, arm.verdict.kind), str(arm.verdict.kind)),)
    if universal is None:
        text = _(
            "What the whole programme earns is not known: nobody is left out of every campaign."
        )
    else:
        text = _("What the whole programme earns is not known yet.")
    return (VerdictLine(text, "", "mixed"), *programme_verdict(t, results))


def _key_figures(
    t: Tongue,
    results: Sequence[CampaignResult],
    universal: CampaignResult | None,
    turnover: Turnover | None,
) -> tuple[KeyFigure, ...]:
    _ = t.gettext
    arm = _programme(universal)
    cost = arm.economics.cost if arm else _cost(results)
    figures = [KeyFigure(_("Cost"), t.money(cost, step=1.0), "", _("of all campaigns so far"))]
    if turnover and turnover.amount:
        figures.append(_budget_figure(t, cost, turnover))
    net = arm.verdict.net if arm else Estimate(None, None, None)
    figures.append(
        KeyFigure(
            _("Net result of the programme"),
            money_range(t, net) if arm else _("not known"),
            interval(t, net) if arm else _("needs customers left out of everything"),
            t.gettext("to the end of %(month)s") % {"month": t.month(arm.verdict.month or "")}
            if arm
            else "",
        )
    )
    payback = arm.economics.payback_month if arm else None
    if payback:
        lower = arm.economics.payback_month_lower if arm else None
        sure = _("beyond doubt") if lower else _("probable, not yet proven")
        figures.append(KeyFigure(_("Paid back in"), t.month(payback), sure, ""))
    return tuple(figures[:4])


def _budget_figure(t: Tongue, cost: float, turnover: Turnover) -> KeyFigure:
    """Cost as a share of revenue, against the usual range."""
    _ = t.gettext
    share = cost / turnover.amount
    low, high = _BUDGET_BAND
    usual = t.between(t.percent(low, 1), t.percent(high, 0))
    placed = _("within the usual range")
    if not low <= share <= high:
        placed = _("below the usual range") if share < low else _("above the usual range")
    period = {"start": t.date(turnover.start), "end": t.date(turnover.end)}
    return KeyFigure(
        _("Share of revenue"),
        t.percent(share),
        f"{placed} ({usual})",
        _("revenue from %(start)s to %(end)s") % period,
    )


def _campaigns(t: Tongue, results: Sequence[CampaignResult]) -> Section:
    _ = t.gettext
    figures = forest_figure(t, lines_by_money(results), drawn=_DRAWN)
    aside = _("Do not add these lines up: one order may follow two campaigns.")
    if not figures:
        text = _("Fewer than two campaigns have a result: see their own pages.")
        return Section("campaigns", _("Campaign by campaign"), paragraphs=(text,))
    return Section("campaigns", _("Campaign by campaign"), figures=figures, asides=(aside,))


def _actions_section(t: Tongue, results: Sequence[CampaignResult]) -> Section:
    """What to do next: three lines at most, each with its reason and its date."""
    _ = t.gettext
    lines = lines_by_money(results)
    several = {result.campaign for result in results if len(result.arms) > 1}
    actions = []
    for kind in _URGENCY:
        for result, arm in lines:
            if arm.verdict.kind is kind:
                name = result.plan.name
                if result.campaign in several:
                    name = f"{name} · {arm_name(t, arm.arm)}"
                actions.append(_action(t, name, arm))
    if not actions:
        actions = [_("Launch a first campaign with customers left out of it on purpose.")]
    return Section("next", _("What to do next"), actions=tuple(dict.fromkeys(actions))[:3])


_URGENCY = (
    VerdictKind.SUSPENDED,
    VerdictKind.STOP,
    VerdictKind.ENLARGE,
    VerdictKind.KEEP,
    VerdictKind.NEVER,
    VerdictKind.NOT_YET,
    VerdictKind.NO_DATA,
)


def _action(t: Tongue, name: str, arm: ArmResult) -> str:
    """One thing to do, its reason, its date."""
    _ = t.gettext
    verdict = arm.verdict
    known = {
        "name": name,
        "interval": interval(t, verdict.net),
        "month": t.month(verdict.month) if verdict.month else "",
        "expected": t.month(verdict.expected_month) if verdict.expected_month else "",
    }
    texts = {
        VerdictKind.SUSPENDED: _(
            "%(name)s: mend what the failed check found before using its figure."
        ),
        VerdictKind.STOP: _(
            "%(name)s: stop now; its net result is %(interval)s at the end of %(month)s."
        ),
        VerdictKind.ENLARGE: _(
            "%(name)s: offer it to the customers left out too; its net result is %(interval)s at "
            "the end of %(month)s."
        ),
        VerdictKind.KEEP: _(
            "%(name)s: keep it; its net result is %(interval)s at the end of %(month)s."
        ),
        VerdictKind.NEVER: _(
            "%(name)s: repeat it on more customers or with a larger holdout; this test cannot tell."
        ),
        VerdictKind.NOT_YET: _("%(name)s: change nothing and wait for the next readings."),
        VerdictKind.NO_DATA: _("%(name)s: wait for its first closed month."),
    }
    if verdict.kind is VerdictKind.NOT_YET and verdict.expected_month:
        return _("%(name)s: change nothing; the answer is expected in %(expected)s.") % known
    return texts[verdict.kind] % known

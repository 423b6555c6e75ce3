"""The page for leadership: what the programme cost and earned, how sure, what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from loyalty_exp.measure.results import VerdictKind
from loyalty_exp.report.campaign import explanation
from loyalty_exp.report.money import programme_section
from loyalty_exp.report.overview import (
    by_chance,
    caveat_notices,
    forest_figure,
    lines_by_money,
    lines_table,
    programme_verdict,
    shared_foot,
    stake,
)
from loyalty_exp.report.parts import notes_of
from loyalty_exp.report.views import KeyFigure, Page, Section, VerdictLine
from loyalty_exp.report.words import arm_name, interval, money_range
from loyalty_exp.report.years import causes_section

if TYPE_CHECKING:
    from loyalty_exp.measure.results import ArmResult, CampaignResult, Programme
    from loyalty_exp.report.tongue import Tongue

__all__ = ["roi_page"]

_DRAWN = 6
_BUDGET_BAND = (0.005, 0.05)
"""Usual loyalty budget as a share of revenue."""


def roi_page(
    t: Tongue,
    results: Sequence[CampaignResult],
    project: str,
    *,
    universal: CampaignResult | None = None,
    programme: Programme | None = None,
    years: Mapping[str, Any] | None = None,
) -> Page:
    """The one-page summary for leadership."""
    _ = t.gettext
    sections = [_campaigns(t, results, programme)]
    if universal is not None:
        sections.append(programme_section(t, universal, results))
    sections.append(_actions_section(t, results))
    if years is not None:
        sections.append(causes_section(t, years, brief=True))
    return Page(
        name="roi.html",
        kind="roi",
        language=t.language,
        title=_("Return on investment · %(project)s") % {"project": project},
        eyebrow=project,
        heading=_("What loyalty costs and earns"),
        standfirst="",
        notices=caveat_notices(t, results),
        verdicts=_verdicts(t, results, programme, over=_over(universal)),
        key_figures=_key_figures(t, results, programme),
        explained=explanation(t, results),
        sections=tuple(section for section in sections if section is not None),
        foot=shared_foot(t, results, project),
    )


def _cost(results: Sequence[CampaignResult]) -> float:
    """Cost of all campaigns, in currency: costs add up, gains do not."""
    return sum(arm.economics.cost for result in results for arm in result.arms)


def _over(universal: CampaignResult | None) -> bool:
    """Whether every planned reading of the customers left out of everything is done."""
    return universal is not None and any(
        len(arm.looks) >= universal.plan.looks for arm in universal.arms
    )


def _verdicts(
    t: Tongue, results: Sequence[CampaignResult], programme: Programme | None, *, over: bool
) -> tuple[VerdictLine, ...]:
    """The programme's verdict, or that its total is not known and what the campaigns show."""
    _ = t.gettext
    if programme is not None and programme.month and programme.net.value is not None:
        values = {
            "cost": t.money(programme.cost, step=1.0),
            "net": money_range(t, programme.net),
            "interval": interval(t, programme.net),
            "month": t.month(programme.month),
            "share": t.percent(programme.cost_share),
        }
        if programme.cost_share is not None:
            values["cost"] = _("%(cost)s (%(share)s of revenue)") % values
        return (VerdictLine(_programme_text(t, programme, over=over) % values, "", "mixed"),)
    if programme is None:
        text = _(
            "What the whole programme earns is not known: nobody is left out of every campaign."
        )
    else:
        text = _("What the whole programme earns is not known yet.")
    return (VerdictLine(text, "", "mixed"), *programme_verdict(t, results))


def _programme_text(t: Tongue, programme: Programme, *, over: bool) -> str:
    """What the programme earned: proven, lost, not known yet, or not to be known any more."""
    _ = t.gettext
    lower, upper = programme.net.lower, programme.net.upper
    if lower is not None and lower > 0:
        return _(
            "By the end of %(month)s, loyalty has cost %(cost)s and earned %(net)s of net margin "
            "(%(interval)s)."
        )
    if upper is not None and upper < 0:
        return _(
            "By the end of %(month)s, loyalty has cost %(cost)s and lost money: its net result is "
            "%(net)s of margin (%(interval)s)."
        )
    if over:
        return _(
            "What loyalty earns could not be told in time: by the end of %(month)s it has cost "
            "%(cost)s, and its net result is %(interval)s of margin, most likely near %(net)s."
        )
    return _(
        "We cannot tell yet what loyalty earns: by the end of %(month)s it has cost %(cost)s, and "
        "its net result is %(interval)s of margin, most likely near %(net)s."
    )


def _key_figures(
    t: Tongue, results: Sequence[CampaignResult], programme: Programme | None
) -> tuple[KeyFigure, ...]:
    """Cost, its share of revenue, net result, number of campaigns."""
    _ = t.gettext
    cost = programme.cost if programme else _cost(results)
    figures = [KeyFigure(_("Cost"), t.money(cost, step=1.0), "", _("of all campaigns so far"))]
    if programme is not None and programme.cost_share is not None:
        figures.append(_budget_figure(t, programme.cost_share))
    label = _("Net result of the programme")
    if programme is not None and programme.month and programme.net.value is not None:
        until = _("to the end of %(month)s") % {"month": t.month(programme.month)}
        figures.append(
            KeyFigure(label, money_range(t, programme.net), interval(t, programme.net), until)
        )
    else:
        need = _("needs customers left out of everything")
        figures.append(KeyFigure(label, _("not known"), need, ""))
    figures.append(KeyFigure(_("Campaigns"), t.number(len(results)), "", _("measured so far")))
    return tuple(figures)


def _budget_figure(t: Tongue, share: float) -> KeyFigure:
    """Cost as a share of revenue, against the usual range."""
    _ = t.gettext
    low, high = _BUDGET_BAND
    usual = t.between(t.percent(low, 1), t.percent(high, 0))
    placed = _("within the usual range")
    if not low <= share <= high:
        placed = _("below the usual range") if share < low else _("above the usual range")
    detail = _("of the revenue of customers who may be treated")
    return KeyFigure(_("Budget"), t.percent(share), f"{placed} ({usual})", detail)


def _campaigns(
    t: Tongue, results: Sequence[CampaignResult], programme: Programme | None
) -> Section:
    _ = t.gettext
    lines = lines_by_money(results)
    title = _("Campaign by campaign")
    table = lines_table(t, lines)
    table = replace(table, note=" ".join((table.note, *by_chance(t, results))))
    figures = forest_figure(t, lines, drawn=_DRAWN, table=table)
    notes = notes_of(t, programme.notes) if programme else ()
    aside = _("Do not add these lines up: one order may follow two campaigns.")
    if not figures:
        text = _("Fewer than two campaigns have a result: see their own pages.")
        return Section("campaigns", title, paragraphs=(text,), tables=(table,))
    return Section("campaigns", title, figures=figures, asides=notes or (aside,))


def _actions_section(t: Tongue, results: Sequence[CampaignResult]) -> Section:
    """What to do next: three lines at most, each with its reason and its date, most money first."""
    _ = t.gettext
    lines = sorted(lines_by_money(results), key=stake, reverse=True)
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

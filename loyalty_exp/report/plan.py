"""The page of a campaign before its launch: its cost, what can be known. Draws no markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from loyalty_exp.report.campaign import explanation
from loyalty_exp.report.curves import Curve, Mark, curve
from loyalty_exp.report.flow import flow_note, flow_steps
from loyalty_exp.report.metrics import metric_name
from loyalty_exp.report.parts import said, sentence
from loyalty_exp.report.plan_words import as_day, plan_sentence
from loyalty_exp.report.rowcharts import ForestRow, forest
from loyalty_exp.report.views import (
    Cell,
    Column,
    Figure,
    Foot,
    KeyFigure,
    Page,
    Row,
    Section,
    Table,
    VerdictLine,
)
from loyalty_exp.report.words import arm_name, segment_name

if TYPE_CHECKING:
    from loyalty_exp.report.tongue import Tongue

__all__ = ["plan_page"]

Plan = Mapping[str, Any]
_ABOUT_LUCK = "null"
_RESTS = "Forecasts rest on"
"""How the remark begins that the page words from the period itself."""


def plan_page(t: Tongue, plan: Plan, project: str) -> Page:
    """The page of a plan, its sentence first.

    Args:
        t: The page's language.
        plan: The plan as a dictionary: the fields of `CampaignPlanReport`, what is not a finite
            number as None.
        project: Name of the project.
    """
    _ = t.gettext
    told = [item for item in plan["sentences"] if item["rule"] != _ABOUT_LUCK]
    first = [item for item in told if not item["rule"].startswith("advised")]
    sections = (
        _warnings_section(t, plan),
        _known_section(t, plan),
        _luck_section(t, plan),
        _holdout_section(t, plan),
        _flow_section(t, plan),
        _calendar_section(t, plan),
        _notes_section(t, plan),
    )
    dates = _("%(start)s to %(end)s") % {
        "start": t.date(as_day(plan["start"])),
        "end": t.date(as_day(plan["measure_until"])),
    }
    return Page(
        name=f"plan-{plan['campaign']}.html",
        kind="plan",
        language=t.language,
        title=_("Plan of %(campaign)s · %(project)s")
        % {"campaign": plan["name"], "project": project},
        eyebrow=" · ".join((project, _("Plan"), dates)),
        heading=plan["name"],
        standfirst=_("Before the launch: whom it reaches, what it costs, what can be known."),
        notices=(),
        verdicts=tuple(_verdict(plan_sentence(t, plan, item)) for item in first),
        key_figures=_key_figures(t, plan),
        explained=explanation(t),
        sections=tuple(section for section in sections if section is not None),
        foot=Foot(
            ((_("Audience as of"), t.date(as_day(plan["as_of"]))),),
            f"loyalty-exp plan {plan['campaign']}",
            f"{project} · {plan['name']}",
        ),
    )


def _verdict(text: str) -> VerdictLine:
    """What can be known as the verdict, what would help under it."""
    first, _line, advice = text.partition("\n")
    return VerdictLine(first, "", "mixed", advice)


def _detectable(arm: Plan) -> float | None:
    value = arm["replay"]["mde_today"] if arm["replay"] else arm["mde_relative"]
    return None if value is None else float(value)


def _key_figures(t: Tongue, plan: Plan) -> tuple[KeyFigure, ...]:
    _ = t.gettext
    flow, costs = dict(plan["flow"]), plan["costs"]
    held = plan["arms"][0]["holdout"] if plan["arms"] else 0
    total = costs["fixed"] + costs["contacts"]
    budget = ""
    if costs["budget"] is not None:
        budget = _("budget %(money)s") % {"money": t.money(costs["budget"], step=1.0)}
    figures = [
        KeyFigure(
            _("Customers to be drawn"),
            t.number(flow.get("eligible", 0)),
            _("of whom %(n)s left out on purpose") % {"n": t.number(held)},
            "",
        ),
        KeyFigure(_("Cost"), t.money(total, step=1.0), budget, _("fixed cost and contacts")),
    ]
    if len(plan["arms"]) == 1:
        arm = plan["arms"][0]
        even, seen = arm["break_even_relative"], _detectable(arm)
        figures += [
            KeyFigure(
                _("Pays from"),
                t.percent(even) if even is not None else _("not known"),
                _("%(money)s of margin per customer") % {"money": t.money(arm["break_even"])},
                _("of the margin expected without it"),
            ),
            KeyFigure(
                _("Can be seen from"),
                t.percent(seen) if seen is not None else _("not known"),
                _("in 80 of 100 such campaigns"),
                _("of %(metric)s expected without it") % {"metric": metric_name(t, plan["metric"])},
            ),
        ]
    return tuple(figures)


def _warnings_section(t: Tongue, plan: Plan) -> Section | None:
    _ = t.gettext
    if not plan["warnings"]:
        return None
    texts = tuple(plan_sentence(t, plan, item) for item in plan["warnings"])
    return Section("warnings", _("To mend or to know before the launch"), actions=texts)


def _known_section(t: Tongue, plan: Plan) -> Section | None:
    """What can be seen, by the formula and by replaying the past, beside what pays."""
    _ = t.gettext
    if not plan["arms"]:
        return None
    columns = (
        Column(_("Version"), numeric=False),
        Column(_("Customers")),
        Column(_("Left out")),
        Column(_("Pays from"), t.symbol, hint=_("margin per customer")),
        Column(_("Pays from"), "%"),
        Column(_("Seen from, formula"), "%"),
        Column(_("Seen from, replay"), "%"),
        Column(_("False alarms"), "%", hint=_("in the replays")),
        Column(_("Coverage"), "%", hint=_("in the replays")),
    )
    rows = []
    for arm in plan["arms"]:
        replay = arm["replay"] or {"mde_today": None, "false_alarm_rate": None, "coverage": [None]}
        shares = (
            arm["break_even_relative"],
            arm["mde_relative"],
            replay["mde_today"],
            replay["false_alarm_rate"],
            replay["coverage"][0],
        )
        rows.append(
            Row(
                (
                    Cell(arm_name(t, arm["arm"])),
                    Cell(t.number(arm["units"]), arm["units"]),
                    Cell(t.number(arm["holdout"]), arm["holdout"]),
                    Cell(t.number(arm["break_even"], 2), arm["break_even"]),
                    *(Cell(t.number(_hundred(share), 1), share) for share in shares),
                )
            )
        )
    caption = _("What pays and what can be seen, for each version")
    note = _(
        "Seen: told from luck in 80 of 100 such campaigns. The formula assumes well-behaved "
        "figures; the replay draws the campaign again and again on the company's own past."
    )
    table = Table(caption, columns, tuple(rows), note, kind="matrix")
    figures = tuple(
        figure for figure in (_power_figure(t, plan, arm) for arm in plan["arms"]) if figure
    )
    return Section("known", _("What can be known"), figures=figures, tables=(table,))


def _hundred(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _power_figure(t: Tongue, plan: Plan, arm: Plan) -> Figure | None:
    """The chance of telling an effect from luck, by its size, from the replays."""
    _ = t.gettext
    replay = arm["replay"]
    if not replay or len(replay["effects"]) < 2:
        return None
    scale = (replay["mde_today"] or 1.0) / (replay["mde"] or 1.0) if replay["mde"] else 1.0
    points = [(x * scale, y) for x, y in zip(replay["effects"], replay["power"], strict=True)]
    last = next((i for i, (_x, y) in enumerate(points) if y > 0.995), len(points) - 1)
    points = points[: max(last + 1, 2)]
    marks = [
        Mark(float(place), text % {"share": t.percent(place)})
        for place, text in (
            (arm["break_even_relative"], _("pays from %(share)s")),
            (_detectable(arm), _("seen from %(share)s")),
        )
        if place is not None and 0 <= place <= points[-1][0]
    ]
    finding = _("What would pay can be seen")
    seen, even = _detectable(arm), arm["break_even_relative"]
    if even is None:
        finding = _("How large an effect must be to be seen")
    elif seen is None or seen > even:
        finding = _("What would just pay is too small to be seen")
    if len(plan["arms"]) > 1:
        finding = f"“{arm_name(t, arm['arm'])}” · {finding}"
    alt = _("%(finding)s. Chance of telling an effect from luck, by its size: %(marks)s.") % {
        "finding": finding,
        "marks": t.listed([mark.text for mark in marks]) if marks else "–",
    }
    lines = [Curve("", "treated", points)]
    columns = (Column(_("Effect"), "%"), Column(_("Chance of seeing it"), "%"))
    body = tuple(
        Row((Cell(t.number(100 * x, 2), x), Cell(t.number(100 * y, 1), y))) for x, y in points
    )
    return Figure(
        anchor=f"figure-power-{plan['arms'].index(arm)}",
        title=finding,
        subtitle=_("Chance of telling an effect from luck, by the size of the effect, in %"),
        svg=curve(t, lines, marks, numbers=(".0~%", ".0%"), said=alt),
        caption=_(
            "Each size was planted %(draws)s times in the company's past and looked for again; "
            "scaled to today's number of customers. An effect smaller than what pays loses money; "
            "one smaller than what is seen cannot be told from luck."
        )
        % {"draws": t.number(replay["draws"])},
        table=Table(_("Chance of seeing an effect, by its size"), columns, body),
    )


def _luck_section(t: Tongue, plan: Plan) -> Section | None:
    """What campaigns without effect would have shown in money, beside the cost."""
    _ = t.gettext
    found = [(arm, _luck(arm)) for arm in plan["arms"]]
    arms = [arm for arm, luck in found if luck is not None]
    if not arms:
        return None
    rows = []
    for arm, luck in found:
        if luck is None:
            continue
        low, middle, high = luck
        text = t.between(t.money(low, step=1.0), t.money(high, step=1.0))
        rows.append(ForestRow(arm_name(t, arm["arm"]), text, middle, low, high))
        cost = t.money(arm["cost"], step=1.0)
        rows.append(ForestRow(_("its cost, to be earned back"), cost, arm["cost"], None, None))
    finding = _("Without any effect, luck alone would show this much")
    alt = f"{finding}. " + "; ".join(f"{row.label} {row.text}" for row in rows)
    columns = (
        Column(_("Version"), numeric=False),
        Column(_("Quantile"), "%"),
        Column(_("Margin shown by luck"), t.symbol),
    )
    body = tuple(
        Row(
            (
                Cell(arm_name(t, arm["arm"])),
                Cell(t.number(100 * float(quantile), 1), float(quantile)),
                Cell(t.number(amount, 2), amount),
            )
        )
        for arm in arms
        for quantile, amount in arm["replay"]["null_totals"].items()
    )
    figure = Figure(
        anchor="figure-luck",
        title=finding,
        subtitle=_("Extra margin shown by campaigns without effect, replayed on the past, in %(c)s")
        % {"c": t.symbol},
        svg=forest(t, rows, said=alt),
        caption=_(
            "The line holds 95 of 100 such campaigns. A result inside it, before or after the "
            "cost, says nothing."
        ),
        table=Table(_("What luck alone shows"), columns, body),
    )
    texts = tuple(plan_sentence(t, plan, s) for s in plan["sentences"] if s["rule"] == _ABOUT_LUCK)
    return Section("luck", _("What luck alone would show"), texts, figures=(figure,))


def _luck(arm: Plan) -> tuple[float, float, float] | None:
    """The 2.5 %, 50 % and 97.5 % quantiles of what luck shows; None where they are not known."""
    totals = arm["replay"]["null_totals"] if arm["replay"] else {}
    known = {float(quantile): amount for quantile, amount in totals.items() if amount is not None}
    if not {0.025, 0.5, 0.975} <= known.keys():
        return None
    return known[0.025], known[0.5], known[0.975]


def _holdout_section(t: Tongue, plan: Plan) -> Section | None:
    """How many to leave out: the margin given up against wrong decisions later."""
    _ = t.gettext
    title = _("How many to leave out")
    advice = plan["advice"]
    if advice is None:
        if not plan["advice_reason"]:
            return None
        return Section("holdout", title, (sentence(said(t, plan["advice_reason"])),))
    rows = list(zip(advice["shares"], advice["withheld"], advice["wrong_decision"], strict=True))
    at = len(rows) - 1
    together, given, wrong = (
        [(share, part) for share, part in zip(advice["shares"], column, strict=True)]
        for column in ([a + b for _s, a, b in rows], advice["withheld"], advice["wrong_decision"])
    )
    lines = [
        Curve(_("both together"), "treated", together, round(0.6 * at)),
        Curve(_("margin given up"), "loss", given, at, dashed=True, below=True),
        Curve(_("wrong decisions"), "holdout", wrong, round(0.4 * at), dashed=True, below=True),
    ]
    share = t.percent(advice["advised"], 0)
    marks = [Mark(float(advice["advised"]), _("least: %(share)s") % {"share": share})]
    held = plan["arms"][0]["holdout"] if plan["arms"] else 0
    total = held + sum(arm["units"] for arm in plan["arms"])
    if total and rows[0][0] <= held / total <= rows[-1][0]:
        declared = t.percent(held / total, 0)
        marks.append(Mark(held / total, _("planned: %(share)s") % {"share": declared}))
    finding = _("Leaving out %(share)s is expected to cost least") % {"share": share}
    alt = _("%(finding)s. Expected cost by share left out; the figures are in the table below.")
    columns = (
        Column(_("Left out"), "%"),
        Column(_("Margin given up"), t.symbol),
        Column(_("Wrong decisions"), t.symbol),
        Column(_("Together"), t.symbol),
    )
    body = tuple(
        Row((Cell(t.number(100 * s), s), *(Cell(t.number(v, 0), v) for v in (a, b, a + b))))
        for s, a, b in rows
    )
    figure = Figure(
        anchor="figure-holdout",
        title=finding,
        subtitle=_("Expected cost by share of customers left out, in %(currency)s")
        % {"currency": t.symbol},
        svg=curve(t, lines, marks, numbers=(".0%", "$"), said=alt % {"finding": finding}),
        caption=_(
            "Leaving out few costs little now but teaches little: a campaign that loses money may "
            "go on. The sum of both is least at the mark."
        ),
        table=Table(_("Expected cost by share left out"), columns, body),
    )
    texts = [s for s in plan["sentences"] if s["rule"].startswith("advised")]
    return Section(
        "holdout", title, tuple(plan_sentence(t, plan, s) for s in texts), figures=(figure,)
    )


def _flow_section(t: Tongue, plan: Plan) -> Section:
    flow = tuple((str(step), int(count)) for step, count in plan["flow"])
    steps = flow_steps(t, flow)
    return Section(
        "flow", t.gettext("From the segment to the lists"), flow=steps, asides=(flow_note(t),)
    )


def _calendar_section(t: Tongue, plan: Plan) -> Section | None:
    """All campaigns declared, those in conflict marked."""
    _ = t.gettext
    if not plan["calendar"]:
        return None
    clashing = {conflict["other"] for conflict in plan["conflicts"]}
    columns = (
        Column(_("Campaign"), numeric=False),
        Column(_("From"), numeric=False),
        Column(_("To"), numeric=False),
        Column(_("Followed until"), numeric=False),
        Column(_("Priority")),
        Column(_("Segments"), numeric=False),
        Column(_("State"), numeric=False),
    )
    rows = []
    for entry in plan["calendar"]:
        state = _("launched") if entry["launched"] else _("declared")
        if entry["campaign"] in clashing:
            state = t.listed([state, _("same customers")])
        own = entry["campaign"] == plan["campaign"]
        days = (t.date_short(as_day(entry[k])) for k in ("start", "end", "measure_until"))
        rows.append(
            Row(
                (
                    Cell(entry["name"]),
                    *map(Cell, days),
                    Cell(t.number(entry["priority"]), entry["priority"]),
                    Cell(t.listed([segment_name(t, name) for name in entry["segments"]])),
                    Cell(state),
                ),
                tone="total" if own else "",
            )
        )
    text = _("No other campaign is after the same customers at the same time.")
    texts = (text,) if not clashing else ()
    table = Table(_("Campaigns declared"), columns, tuple(rows))
    return Section("calendar", _("The calendar"), texts, tables=(table,))


def _notes_section(t: Tongue, plan: Plan) -> Section | None:
    """What the figures rest on."""
    _ = t.gettext
    texts: Sequence[str] = [
        sentence(said(t, note)) for note in plan["notes"] if not note.startswith(_RESTS)
    ]
    period = plan["period"]
    if period is not None:
        text = _(
            "The forecasts rest on %(months)s months from %(first)s on (%(units)s customers), "
            "adjusted for the %(before)s months before."
        )
        values = {
            "months": period["months"],
            "first": t.month(period["first_month"]),
            "units": t.number(period["units"]),
            "before": period["covariate_months"],
        }
        texts = [text % values, *texts]
    if not texts:
        return None
    return Section("notes", _("What the figures rest on"), paragraphs=tuple(texts))

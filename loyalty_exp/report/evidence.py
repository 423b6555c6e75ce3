"""Can it be believed: lasting, checks, robustness, plan. Draws no markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loyalty_exp.measure.results import LEANS_HIGH, LEANS_LOW, CheckStatus
from loyalty_exp.report.checks import check_sentences
from loyalty_exp.report.metrics import metric_name, metric_phrase, metric_text, metric_unit, so_far
from loyalty_exp.report.parts import (
    cumulative,
    headline_interval,
    notes_of,
    of_arm,
    sentence,
    units_of,
)
from loyalty_exp.report.views import Cell, Column, Row, Section, Table
from loyalty_exp.report.words import arm_name, wearout_sentence

if TYPE_CHECKING:
    from loyalty_exp.measure.results import ArmResult, CampaignResult, EffectRow, Estimate
    from loyalty_exp.report.tongue import Tongue

__all__ = [
    "checks_section",
    "fading_section",
    "plan_section",
    "robustness_section",
]


def fading_section(t: Tongue, result: CampaignResult) -> Section:
    """Does the effect last, and were purchases only pulled forward."""
    _ = t.gettext
    paragraphs = []
    for arm in result.arms:
        parts = [wearout_sentence(t, arm.wearout), _pulled_sentence(t, arm.pull_forward)]
        paragraphs.append(of_arm(t, result, arm, " ".join(filter(None, parts))))
    notes = notes_of(t, *(arm.wearout.notes for arm in result.arms if arm.wearout))
    texts = tuple(dict.fromkeys(paragraphs))
    return Section("lasting", _("Does it last?"), paragraphs=texts, asides=notes)


def _pulled_sentence(t: Tongue, change: Estimate | None) -> str:
    """Whether revenue that came early was missing later."""
    _ = t.gettext
    if change is None or change.value is None or change.lower is None or change.upper is None:
        return ""
    between = t.between(t.money(change.lower, signed=True), t.money(change.upper, signed=True))
    values = {"change": t.money(change.value, signed=True), "interval": between}
    if change.upper < 0:
        text = _(
            "Part of the gain was only early: since the campaign ended, treated customers have "
            "bought less than those left out (%(change)s of revenue per customer, %(interval)s)."
        )
    elif change.lower > 0:
        text = _(
            "The gain has gone on growing since the campaign ended (%(change)s of revenue per "
            "customer, %(interval)s)."
        )
    else:
        text = _(
            "Since the campaign ended, nothing shows that purchases were only brought forward "
            "(%(change)s of revenue per customer, %(interval)s)."
        )
    return text % values


def checks_section(t: Tongue, result: CampaignResult) -> Section:
    """Checks as sentences, worst first."""
    _ = t.gettext
    sentences = check_sentences(t, result.checks)
    bad = sum(c.status in (CheckStatus.FAILED, CheckStatus.WARNING) for c in result.checks)
    done = sum(c.status is not CheckStatus.NOT_APPLICABLE for c in result.checks)
    if not done:
        text = _("No check could be made yet.")
    elif bad:
        text = t.ngettext(
            "%(bad)s of %(n)s check asks for attention.",
            "%(bad)s of %(n)s checks ask for attention.",
            bad,
        ) % {"bad": bad, "n": done}
    else:
        text = t.ngettext("The check made is passed.", "All %(n)s checks are passed.", done)
        text = text % {"n": done}
    return Section(
        "checks",
        _("Can it be trusted?"),
        paragraphs=(text,),
        sentences=sentences,
        tables=_restatements(t, result),
    )


def _restatements(t: Tongue, result: CampaignResult) -> tuple[Table, ...]:
    """Published figures that changed since, with both values."""
    _ = t.gettext
    if not result.restatements:
        return ()
    columns = (
        Column(_("Month"), numeric=False),
        Column(_("Version"), numeric=False),
        Column(_("Metric"), numeric=False),
        Column(_("Shown")),
        Column(_("First shown on"), numeric=False),
        Column(_("Now")),
        Column(_("Why"), numeric=False),
    )
    named = [
        (changed, so_far(changed.metric) if " " in changed.month else changed.metric)
        for changed in result.restatements
    ]
    rows = tuple(
        Row(
            (
                Cell(_restated_month(t, changed.month)),
                Cell(arm_name(t, changed.arm)),
                Cell(metric_name(t, metric)),
                Cell(metric_text(t, metric, changed.shown, signed=True), changed.shown),
                Cell(t.date(changed.shown_on)),
                Cell(metric_text(t, metric, changed.now, signed=True), changed.now),
                Cell(sentence(t.gettext(changed.reason))),
            )
        )
        for changed, metric in named
    )
    return (Table(_("Published figures that have changed, effect per customer"), columns, rows),)


def _restated_month(t: Tongue, month: str) -> str:
    """A month, or the reading of the effect so far at a month."""
    kind, _space, reading = month.rpartition(" ")
    text = t.month(reading)
    return t.gettext("so far, at the end of %(month)s") % {"month": text} if kind else text


def robustness_section(t: Tongue, result: CampaignResult) -> Section:
    """The effect without the largest customers, capped, unadjusted: one table, one sentence."""
    _ = t.gettext
    metric = so_far(result.plan.metric)
    unit = metric_unit(t, metric)
    columns = (
        Column(_("Calculation"), numeric=False),
        Column(_("Effect"), unit),
        Column(_("From"), unit),
        Column(_("To"), unit),
    )
    rows, paragraphs = [], []
    for arm in result.arms:
        prefix = f"{arm_name(t, arm.arm)} · " if len(result.arms) > 1 else ""
        headline = cumulative(result, arm.arm)
        if headline is None:
            continue
        low, high = headline_interval(headline)
        figures = (headline.effect_per_customer, low, high)
        rows.append(_line(t, metric, prefix + _("As planned"), figures, tone="total"))
        rows += [
            _line(t, metric, prefix + label, (effect.value, effect.lower, effect.upper))
            for label, effect in _other_calculations(t, result, arm)
        ]
        said = (_influence_sentence(t, arm), _lean_sentence(t, headline))
        paragraphs.append(of_arm(t, result, arm, " ".join(filter(None, said))))
    title = _("Does it hang on a few customers?")
    if not rows:
        text = _("There is no effect to try otherwise yet.")
        return Section("robustness", title, paragraphs=(text,))
    caption = _("The effect on %(metric)s per customer, calculated otherwise") % {
        "metric": metric_name(t, metric)
    }
    note = _(
        "“As planned” carries the range valid at every reading; the other lines their own "
        "%(level)s range."
    ) % {"level": t.percent(1 - result.plan.alpha, 0)}
    table = Table(caption, columns, tuple(rows), note)
    texts = tuple(dict.fromkeys(paragraphs))
    return Section("robustness", title, paragraphs=texts, tables=(table,))


def _line(
    t: Tongue, metric: str, label: str, figures: tuple[float | None, ...], tone: str = ""
) -> Row:
    cells = (Cell(metric_text(t, metric, value, signed=True), value) for value in figures)
    return Row((Cell(label), *cells), tone=tone)


def _other_calculations(
    t: Tongue, result: CampaignResult, arm: ArmResult
) -> list[tuple[str, Estimate]]:
    """Labels and estimates of the sensitivity and influence lines."""
    _ = t.gettext
    lines = []
    for other in arm.sensitivity:
        if other.name == "capped":
            cap = (
                other.detail
                if other.detail is not None
                else result.plan.caps.get(result.plan.metric)
            )
            text = _("Months capped at %(cap)s, fixed at launch")
            label = text % {"cap": metric_text(t, result.plan.metric, cap)}
        elif other.name == "unadjusted":
            label = _("Without using past purchases")
        else:
            label = t.gettext(other.name)
        lines.append((label, other.effect))
    for without in arm.influence:
        text = t.ngettext(
            "Without the largest customer of each side",
            "Without the %(n)s largest customers of each side",
            without.removed,
        )
        lines.append((text % {"n": without.removed}, without.effect))
    return lines


def _influence_sentence(t: Tongue, arm: ArmResult) -> str:
    _ = t.gettext
    if not arm.influence:
        return _("The weight of the largest customers was not measured.")
    flipped = next((i for i in arm.influence if not i.same_sign), None)
    changed = next((i for i in arm.influence if not i.same_verdict), None)
    largest = max(arm.influence, key=lambda item: item.removed)
    if flipped is not None:
        text = t.ngettext(
            "Yes: without the largest customer of each side, the net result changes sign.",
            "Yes: without the %(n)s largest customers of each side, the net result changes sign.",
            flipped.removed,
        )
        return text % {"n": flipped.removed}
    if changed is not None:
        text = t.ngettext(
            "In part: without the largest customer of each side, the verdict would be another.",
            "In part: without the %(n)s largest customers of each side, the verdict would be "
            "another.",
            changed.removed,
        )
        return text % {"n": changed.removed}
    text = t.ngettext(
        "No: without the largest customer of each side, the verdict is the same.",
        "No: without the %(n)s largest customers of each side, the verdict is the same.",
        largest.removed,
    )
    return text % {"n": largest.removed}


def _lean_sentence(t: Tongue, row: EffectRow) -> str:
    """That the adjusted effect is expected too low or too high, by how much, and where to look."""
    _ = t.gettext
    low = LEANS_LOW in row.notes
    if row.expected_bias is None or not (low or LEANS_HIGH in row.notes):
        return ""
    text = _(
        "A few very large customers set how past purchases are used: the effect is expected to be "
        "too low by about %(bias)s per customer. The line without past purchases does not lean so."
    )
    if not low:
        text = _(
            "A few very large customers set how past purchases are used: the effect is expected "
            "to be too high by about %(bias)s per customer. The line without past purchases does "
            "not lean so."
        )
    bias = metric_phrase(t, so_far(row.metric), abs(row.expected_bias), signed=False)
    return text % {"bias": bias}


def plan_section(t: Tongue, result: CampaignResult) -> Section:
    """What was planned beside what was achieved: readings, customers, power, cost, dates."""
    _ = t.gettext
    plan = result.plan
    closed = max((len(arm.looks) for arm in result.arms), default=0)
    rows = [
        (_("Readings"), t.number(plan.looks), t.number(closed)),
        (
            _("Followed until"),
            t.date(plan.measure_until),
            t.month(result.closed_through) if result.closed_through else _("no closed month yet"),
        ),
    ]
    units = sum(units_of(result, arm) for arm in plan.arms)
    for arm, percent in zip(plan.arms, plan.percents, strict=False):
        drawn = units_of(result, arm)
        share = t.percent(drawn / units, 1) if units else "–"
        achieved = _("%(n)s customers (%(share)s)") % {"n": t.number(drawn), "share": share}
        rows.append((arm_name(t, arm), t.percent(percent / 100, 1), achieved))
    rows += _money_rows(t, result)
    rows += _power_rows(t, result)
    columns = (
        Column("", numeric=False),
        Column(_("Planned"), numeric=False),
        Column(_("Achieved"), numeric=False),
    )
    body = tuple(Row(tuple(map(Cell, row))) for row in rows)
    table = Table(_("Planned and achieved"), columns, body, caption_hidden=True)
    return Section("plan", _("Planned and achieved"), tables=(table,))


def _money_rows(t: Tongue, result: CampaignResult) -> list[tuple[str, str, str]]:
    _ = t.gettext
    costs = result.plan.declaration.get("costs") or {}
    budget = costs.get("budget") if isinstance(costs, dict) else None
    spent = sum(arm.economics.cost for arm in result.arms)
    planned = t.money(float(budget), step=1.0) if budget else _("not declared")
    return [(_("Cost"), planned, t.money(spent, step=1.0) if spent else _("none declared"))]


def _power_rows(t: Tongue, result: CampaignResult) -> list[tuple[str, str, str]]:
    """The smallest effect that could be seen, against the one that pays, when known."""
    _ = t.gettext
    power = next((check.values for check in result.checks if check.name == "power"), {})
    mde, even = power.get("mde_relative"), power.get("break_even_relative")
    if not isinstance(mde, int | float):
        return []
    need = t.percent(even) if isinstance(even, int | float) else _("not known")
    return [
        (
            _("Effect to see, of the average of customers left out"),
            _("%(share)s pays for the cost") % {"share": need},
            _("%(share)s or more can be seen") % {"share": t.percent(mde)},
        )
    ]

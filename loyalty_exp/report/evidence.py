"""How we know: lasting, flow, checks, robustness, plan, draw, provenance. Draws no markup."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from loyalty_exp.measure.results import CheckStatus
from loyalty_exp.report.checks import check_sentences
from loyalty_exp.report.parts import (
    cumulative,
    headline_interval,
    metric_text,
    metric_unit,
    notes_of,
)
from loyalty_exp.report.views import Cell, Column, Fold, Foot, Row, Section, Step, Table
from loyalty_exp.report.words import arm_name, metric_name, wearout_sentence

if TYPE_CHECKING:
    from loyalty_exp.declare.frozen import FrozenPlan
    from loyalty_exp.measure.results import ArmResult, CampaignResult, Estimate
    from loyalty_exp.report.tongue import Tongue

__all__ = [
    "checks_section",
    "fading_section",
    "flow_section",
    "foot",
    "how_section",
    "plan_section",
    "robustness_section",
]


def _of_arm(t: Tongue, result: CampaignResult, arm: ArmResult, text: str) -> str:
    """A sentence about an arm, with its name in front when there are several."""
    if len(result.arms) == 1:
        return text
    return t.gettext("“%(arm)s”: %(text)s") % {"arm": arm_name(t, arm.arm), "text": text}


def fading_section(t: Tongue, result: CampaignResult) -> Section:
    """Does the effect last, and were purchases only pulled forward."""
    _ = t.gettext
    paragraphs = []
    for arm in result.arms:
        parts = [wearout_sentence(t, arm.wearout), _pulled_sentence(t, arm.pull_forward)]
        paragraphs.append(_of_arm(t, result, arm, " ".join(filter(None, parts))))
    notes = notes_of(t, *(arm.wearout.notes for arm in result.arms if arm.wearout))
    texts = tuple(dict.fromkeys(paragraphs))
    return Section("lasting", _("Does it last?"), paragraphs=texts, asides=notes)


def _pulled_sentence(t: Tongue, change: Estimate | None) -> str:
    """Whether what came early was missing later."""
    _ = t.gettext
    if change is None or change.value is None or change.lower is None or change.upper is None:
        return ""
    between = t.between(t.money(change.lower, signed=True), t.money(change.upper, signed=True))
    values = {"change": t.money(change.value, signed=True), "interval": between}
    if change.upper < 0:
        text = _(
            "Part of the gain was only early: since the campaign ended, treated customers have "
            "bought less than those left out (%(change)s per customer, %(interval)s)."
        )
    elif change.lower > 0:
        text = _(
            "The gain has gone on growing since the campaign ended (%(change)s per customer, "
            "%(interval)s)."
        )
    else:
        text = _(
            "Since the campaign ended, nothing shows that purchases were only brought forward "
            "(%(change)s per customer, %(interval)s)."
        )
    return text % values


def flow_section(t: Tongue, result: CampaignResult) -> Section:
    """From the segment to the customers reached: numbers, and what reaching one is worth."""
    _ = t.gettext
    flow = result.flow or result.plan.flow
    paragraphs = tuple(
        text for text in (_reached_sentence(t, result, arm) for arm in result.arms) if text
    )
    notes = notes_of(t, *(arm.reached_notes for arm in result.arms))
    title = _("From the segment to the customers reached")
    return Section("flow", title, paragraphs, flow=_steps(t, flow), asides=notes)


def _steps(t: Tongue, flow: tuple[tuple[str, int], ...]) -> tuple[Step, ...]:
    """The flow's steps with their share of the first one."""
    first = next((count for _step, count in flow if count), 0)
    arms = {step.partition(": ")[2]: count for step, count in flow if step.startswith("arm: ")}
    steps = []
    for step, count in flow:
        kind, _colon, rest = step.partition(": ")
        base = arms.get(rest, first) if kind == "reached" else first
        share = count / base if base else None
        level = {"excluded": 1, "arm": 1, "reached": 2}.get(kind, 0)
        label = _step_name(t, kind, rest)
        text = t.percent(share, 0) if share is not None else ""
        steps.append(Step(label, t.number(count), share, text, level))
    return tuple(steps)


def _step_name(t: Tongue, kind: str, rest: str) -> str:
    _ = t.gettext
    known = {
        "segment": _("In the segments"),
        "eligible": _("Drawn"),
        "excluded": _("left aside: %(what)s"),
        "arm": _("in “%(what)s”"),
        "reached": _("reached in “%(what)s”"),
    }
    what = arm_name(t, rest) if kind in ("arm", "reached") else t.gettext(rest)
    return known.get(kind, t.gettext(kind)) % {"what": what} if rest else known.get(kind, kind)


def _reached_sentence(t: Tongue, result: CampaignResult, arm: ArmResult) -> str:
    _ = t.gettext
    effect = arm.reached
    if effect is None:
        return ""
    if effect.value is None or effect.lower is None or effect.upper is None:
        return _of_arm(
            t,
            result,
            arm,
            _("The effect on those reached cannot be told apart: see the effect on all."),
        )
    metric = result.plan.metric
    low, high = (metric_text(t, metric, v, signed=True) for v in (effect.lower, effect.upper))
    text = _("Per customer actually reached, the effect is %(effect)s %(unit)s (%(interval)s).") % {
        "effect": metric_text(t, metric, effect.value, signed=True),
        "unit": metric_unit(t, metric),
        "interval": t.between(low, high),
    }
    return _of_arm(t, result, arm, text)


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
    return Section("checks", _("Can it be trusted?"), paragraphs=(text,), sentences=sentences)


def robustness_section(t: Tongue, result: CampaignResult) -> Section:
    """The effect without the largest customers, capped, unadjusted: one table, one sentence."""
    _ = t.gettext
    metric = result.plan.metric
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
        paragraphs.append(_of_arm(t, result, arm, _influence_sentence(t, arm)))
    title = _("Does it hang on a few customers?")
    if not rows:
        text = _("There is no effect to try otherwise yet.")
        return Section("robustness", title, paragraphs=(text,))
    caption = _("The effect on %(metric)s per customer, calculated otherwise") % {
        "metric": metric_name(t, metric)
    }
    note = _(
        "“As planned” carries the range valid at every reading; the other lines their own 95 % "
        "range."
    )
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
            "Yes: without the largest customer of each side, the effect changes sign.",
            "Yes: without the %(n)s largest customers of each side, the effect changes sign.",
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
    units = sum(stratum.units for stratum in plan.strata)
    for arm, percent in zip(plan.arms, plan.percents, strict=False):
        drawn = plan.units_of(arm)
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
    table = Table(_("Plan and achievement"), columns, body)
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


def how_section(t: Tongue, result: CampaignResult) -> Section:
    """The draw, the frozen plan, the readings and the changes since, folded."""
    _ = t.gettext
    folds = [_draw_fold(t, result.plan), _plan_fold(t, result), _looks_fold(t, result)]
    if result.deviations:
        text = _(
            "The frozen plan stands; what follows was changed afterwards (post hoc) and moves "
            "no figure of this page."
        )
        folds.append(Fold(_("Changed after launch"), (text, *map(t.gettext, result.deviations))))
    return Section("how", _("How we know"), folds=tuple(folds))


def _draw_fold(t: Tongue, plan: FrozenPlan) -> Fold:
    """The recipe of the draw in words, with all it takes to redo it."""
    _ = t.gettext
    recipe = (
        _("Take the customers of a stratum (bands of past revenue, and what the plan declares)."),
        _(
            "For each, write the salt, a colon and the customer's identifier one after the "
            "other, and take the MD5 digest of that text: md5(salt || ':' || unit)."
        ),
        _("Sort the stratum by that digest, in hexadecimal."),
        _(
            "The first ones, as many as the table says, are left out on purpose; the next ones "
            "are in the following version, and so on."
        ),
        _(
            "Do the same in every stratum. Nobody can choose who falls where, and anybody can "
            "do it again: “loyalty-exp verify” does."
        ),
    )
    columns = (
        Column(_("Stratum"), numeric=False),
        Column(_("Customers")),
        *(Column(arm_name(t, arm)) for arm in plan.arms),
    )
    rows = tuple(
        Row(
            (
                Cell(stratum.stratum),
                Cell(t.number(stratum.units), stratum.units),
                *(Cell(t.number(count), count) for count in stratum.counts),
            )
        )
        for stratum in plan.strata
    )
    cuts = " · ".join(t.number(cut, 2) for cut in plan.band_cuts) or "–"
    facts = (
        (_("Salt"), plan.salt),
        (_("Limits of the revenue bands"), cuts),
        (_("Checksum of the list"), plan.roster_sum),
        (_("Wave"), t.number(plan.wave)),
    )
    table = Table(_("Customers of each stratum and how many each version takes"), columns, rows)
    return Fold(
        _("The draw, so that anyone can redo it"), recipe=recipe, facts=facts, tables=(table,)
    )


def _plan_fold(t: Tongue, result: CampaignResult) -> Fold:
    _ = t.gettext
    plan = result.plan
    methods = sorted(plan.methods.items())
    caps = [
        f"{metric_name(t, m)} {t.number(cap, 2)}"
        for m, cap in sorted(plan.caps.items())
        if cap is not None
    ]
    facts = (
        (_("Metric that decides"), metric_name(t, plan.metric)),
        (_("Drawn unit"), plan.unit),
        (_("Segments as of"), t.date(plan.as_of)),
        (_("Start"), t.date(plan.start)),
        (_("End"), t.date(plan.end)),
        (_("Followed until"), t.date(plan.measure_until)),
        (_("Past months used"), t.number(plan.covariate_months)),
        (_("Planned readings"), t.number(plan.looks)),
        (_("Chance of a false alarm over all readings"), t.percent(plan.alpha)),
        (_("How it is spent over the readings"), plan.spending),
        (
            _("Interval"),
            "; ".join(f"{key.replace('_', ' ')} {value}" for key, value in methods) or "–",
        ),
        (_("Monthly caps"), "; ".join(caps) or "–"),
        (_("Days before a month closes"), t.number(plan.settle_days)),
        (
            _("Margin rate"),
            t.percent(plan.margin_rate)
            if plan.margin_rate is not None
            else _("margin is a column of the orders"),
        ),
        (_("Time zone"), plan.timezone),
        (_("SHA-256 of the frozen plan"), plan.digest),
    )
    rules = tuple(
        Row((Cell(name.replace("_", " ")), Cell(rule))) for name, rule in plan.segments.items()
    )
    columns = (Column(_("Segment"), numeric=False), Column(_("Rule"), numeric=False))
    tables = (Table(_("Segments of the plan"), columns, rules),) if rules else ()
    code = json.dumps(plan.declaration, indent=1, ensure_ascii=False, default=str, sort_keys=True)
    text = _(
        "Fixed before anything was seen; a later change of the declaration changes nothing here."
    )
    return Fold(_("The frozen plan"), paragraphs=(text,), facts=facts, tables=tables, code=code)


def _looks_fold(t: Tongue, result: CampaignResult) -> Fold:
    _ = t.gettext
    metric = result.plan.metric
    unit = metric_unit(t, metric)
    columns = (
        Column(_("Reading"), numeric=False),
        Column(_("Version"), numeric=False),
        Column(_("Effect so far"), unit),
        Column(_("From"), unit),
        Column(_("To"), unit),
        Column(_("Distance from zero"), _("standard errors")),
        Column(_("Limit"), _("standard errors")),
        Column(_("Conclusive"), numeric=False),
    )
    rows = tuple(
        Row(
            (
                Cell(t.month(look.month)),
                Cell(arm_name(t, arm.arm)),
                Cell(metric_text(t, metric, look.effect.value, signed=True), look.effect.value),
                Cell(metric_text(t, metric, look.effect.lower, signed=True), look.effect.lower),
                Cell(metric_text(t, metric, look.effect.upper, signed=True), look.effect.upper),
                Cell(t.number(look.z, 2), look.z),
                Cell(t.number(look.boundary, 2), look.boundary),
                Cell(_("yes") if look.significant else _("no")),
            )
        )
        for arm in result.arms
        for look in arm.looks
    )
    text = _(
        "Looking every month makes false alarms more likely, so the limit is set higher at "
        "first and comes down: over all planned readings together, a campaign without effect is "
        "called a success or a failure at most %(alpha)s of the time."
    )
    texts = [text % {"alpha": t.percent(result.plan.alpha, 0)}]
    small = [arm for arm in result.arms if arm.permutation_p_value is not None]
    for arm in small:
        found = _("Short list: redrawing the test thousands of times gives p = %(p)s.")
        texts.append(_of_arm(t, result, arm, found % {"p": t.p_value(arm.permutation_p_value)}))
    tables = (Table(_("Readings of the effect so far"), columns, rows),) if rows else ()
    if not rows:
        texts.append(_("No reading yet."))
    return Fold(_("The monthly readings"), paragraphs=tuple(texts), tables=tables)


def foot(t: Tongue, result: CampaignResult) -> Foot:
    """What the figures rest on and how to get them again."""
    _ = t.gettext
    source = result.provenance
    facts = [
        (_("Data until"), t.date(source.data_through)),
        (_("First order"), t.date(source.first_order)),
    ]
    for what, name, digest, loaded, aside in source.loads:
        text = t.ngettext(
            "%(name)s: %(loaded)s rows read, %(aside)s row set aside, SHA-256 %(digest)s",
            "%(name)s: %(loaded)s rows read, %(aside)s rows set aside, SHA-256 %(digest)s",
            aside,
        )
        values = {
            "name": name,
            "loaded": t.number(loaded),
            "aside": t.number(aside),
            "digest": digest[:16],
        }
        facts.append((t.gettext(what), text % values))
    facts += [
        (_("Frozen plan"), f"SHA-256 {result.plan.digest}"),
        (_("Versions"), f"loyalty_exp {source.version}, {source.engine}"),
    ]
    line = _("%(project)s · data until %(day)s · plan %(digest)s · loyalty_exp %(version)s") % {
        "project": result.plan.project,
        "day": t.date(source.data_through),
        "digest": result.plan.digest[:12],
        "version": source.version,
    }
    return Foot(tuple(facts), source.command, line)

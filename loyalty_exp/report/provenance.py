"""How we know: the draw, the frozen plan, the readings, what the figures rest on. No markup."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from loyalty_exp.report.metrics import metric_name, metric_text, metric_unit, so_far
from loyalty_exp.report.parts import of_arm
from loyalty_exp.report.views import Cell, Column, Fold, Foot, Row, Section, Table
from loyalty_exp.report.words import arm_name, segment_name

if TYPE_CHECKING:
    from loyalty_exp.declare.frozen import FrozenPlan
    from loyalty_exp.measure.results import CampaignResult
    from loyalty_exp.report.tongue import Tongue

__all__ = ["foot", "how_section"]


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


def _method(t: Tongue, plan: FrozenPlan, key: str) -> str:
    """A frozen interval, with the largest skewness of the past's readings where it was kept."""
    text = f"{key.replace('_', ' ')} {plan.methods[key]}"
    known = [gamma for gamma in plan.skewness.get(key, ()) if gamma is not None]
    return f"{text} (γ {t.number(max(known, key=abs), 2)})" if known else text


def _plan_fold(t: Tongue, result: CampaignResult) -> Fold:
    _ = t.gettext
    plan = result.plan
    methods = [_method(t, plan, key) for key in sorted(plan.methods)]
    caps = [
        f"{metric_name(t, m)} {t.number(cap, 2)}"
        for m, cap in sorted(plan.caps.items())
        if cap is not None
    ]
    facts: tuple[tuple[str, str], ...] = (
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
        (_("Interval"), "; ".join(methods) or "–"),
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
    if plan.tiers:
        facts += ((_("Gold and silver begin"), _tiers_text(t, plan)),)
    rules = tuple(
        Row((Cell(segment_name(t, name)), Cell(rule))) for name, rule in plan.segments.items()
    )
    columns = (Column(_("Segment"), numeric=False), Column(_("Rule"), numeric=False))
    tables = (Table(_("Segments of the plan"), columns, rules),) if rules else ()
    code = json.dumps(plan.declaration, indent=1, ensure_ascii=False, default=str, sort_keys=True)
    text = _(
        "Fixed before anything was seen; a later change of the declaration changes nothing here."
    )
    return Fold(_("The frozen plan"), paragraphs=(text,), facts=facts, tables=tables, code=code)


def _tiers_text(t: Tongue, plan: FrozenPlan) -> str:
    """Where gold and silver begin, as the plan froze it."""
    if plan.tiers["by"] == "share":
        text = t.gettext(
            "gold: the largest customers, who make %(gold)s of the revenue of 12 months; silver: "
            "the next ones, up to %(silver)s"
        )
        digits = {name: 0 if plan.tiers[name] % 1 == 0 else 1 for name in ("gold", "silver")}
        limits = {name: t.percent(plan.tiers[name] / 100, digits[name]) for name in digits}
    else:
        text = t.gettext(
            "gold: from %(gold)s of revenue in 12 months on; silver: from %(silver)s on"
        )
        limits = {name: t.money(plan.tiers[name]) for name in ("gold", "silver")}
    return text % limits


def _looks_fold(t: Tongue, result: CampaignResult) -> Fold:
    _ = t.gettext
    metric = so_far(result.plan.metric)
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
        found = _("Short list: redrawing the test thousands of times gives %(p)s.")
        texts.append(of_arm(t, result, arm, found % {"p": t.p_phrase(arm.permutation_p_value)}))
    tables = (Table(_("Readings of the effect so far"), columns, rows),) if rows else ()
    if not rows:
        texts.append(_("No reading yet."))
    return Fold(_("The monthly readings"), paragraphs=tuple(texts), tables=tables)


def foot(t: Tongue, result: CampaignResult, *, alone: bool = True) -> Foot:
    """What the figures rest on and how to get them again.

    Args:
        t: The page's language.
        result: The campaign, or the freshest of several.
        alone: Whether the page is about this campaign alone.
    """
    _ = t.gettext
    source = result.provenance
    facts = [
        (_("Data until"), t.date(source.data_through)),
        (_("First order"), t.date(source.first_order)),
    ]
    for load in source.loads:
        text = t.ngettext(
            "%(name)s: %(read)s rows read, %(aside)s row set aside, SHA-256 %(digest)s",
            "%(name)s: %(read)s rows read, %(aside)s rows set aside, SHA-256 %(digest)s",
            load.rows_set_aside,
        )
        values = {
            "name": load.name,
            "read": t.number(load.rows_read),
            "aside": t.number(load.rows_set_aside),
            "digest": load.digest[:12],
        }
        facts.append((t.gettext(load.what), text % values))
    facts.append((_("Versions"), f"loyalty_exp {source.version}, {source.engine}"))
    values = {
        "project": result.plan.project,
        "day": t.date(source.data_through),
        "digest": result.plan.digest[:12],
        "version": source.version,
    }
    if not alone:
        line = _("%(project)s · data until %(day)s · loyalty_exp %(version)s") % values
        return Foot(tuple(facts), "loyalty-exp report", line)
    facts.append((_("Frozen plan"), f"SHA-256 {result.plan.digest}"))
    line = _("%(project)s · data until %(day)s · plan %(digest)s · loyalty_exp %(version)s")
    return Foot(tuple(facts), source.command, line % values)

"""Sentences about results: verdicts, findings, intervals. Rules only; no layout, no arithmetic.

Each rule takes a `Tongue` and a result and returns one sentence a reader can repeat, with the doubt
in it. Money is rounded to what its interval can bear.
"""

from __future__ import annotations

import ast
import calendar
import datetime as dt
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from loyalty_exp.measure.results import Estimate, Verdict, VerdictKind
from loyalty_exp.report.tongue import step_for
from loyalty_exp.report.views import VerdictLine

if TYPE_CHECKING:
    from loyalty_exp.declare.frozen import FrozenPlan
    from loyalty_exp.measure.results import (
        Decomposition,
        Economics,
        EffectRow,
        Heterogeneity,
        Wearout,
    )
    from loyalty_exp.report.tongue import Tongue

__all__ = [
    "arm_name",
    "component_name",
    "decision",
    "decomposition_finding",
    "deviation_sentence",
    "first_reading",
    "interval",
    "money_finding",
    "money_range",
    "monthly_finding",
    "segment_name",
    "segments_finding",
    "verdict_line",
    "wearout_sentence",
]


def arm_name(t: Tongue, arm: str) -> str:
    """An arm as a reader calls it: the holdout in plain words, others without underscores."""
    return t.gettext("customers left out") if arm == "holdout" else arm.replace("_", " ")


def segment_name(t: Tongue, segment: str) -> str:
    """A segment as a reader calls it."""
    if segment == "all":
        return t.gettext("All customers")
    return t.labels.get(segment) or t.gettext(segment).replace("_", " ")


def component_name(t: Tongue, name: str) -> str:
    """A part of the effect as a reader calls it."""
    _ = t.gettext
    known = {
        "reactivation": _("Customers who ordered"),
        "frequency": _("How often they ordered"),
        "basket": _("How much per order"),
    }
    return known.get(name, name)


def interval(t: Tongue, estimate: Estimate, *, step: float | None = None) -> str:
    """The interval of an amount of money in words; says so when there is none."""
    if estimate.lower is None or estimate.upper is None:
        return t.gettext("no interval: too little data")
    step = step_for(estimate.lower, estimate.upper) if step is None else step
    return t.between(t.money(estimate.lower, step=step), t.money(estimate.upper, step=step))


def money_range(t: Tongue, estimate: Estimate) -> str:
    """An amount, rounded as its interval can bear."""
    return t.money(estimate.value, step=step_for(estimate.lower, estimate.upper))


def decision(t: Tongue, kind: str) -> str:
    """The word of a decision, as it stands at the right of a list."""
    _ = t.gettext
    return {
        VerdictKind.KEEP: _("Keep"),
        VerdictKind.ENLARGE: _("Enlarge"),
        VerdictKind.STOP: _("Stop"),
        VerdictKind.NOT_YET: _("Not known yet"),
        VerdictKind.NEVER: _("Cannot be known"),
        VerdictKind.NO_DATA: _("Too early"),
        VerdictKind.SUSPENDED: _("Suspended"),
    }[VerdictKind(kind)]


_DEVIATION = re.compile(r"(?P<field>.+?): frozen (?P<frozen>.*), now (?P<now>.*)", re.DOTALL)


def deviation_sentence(t: Tongue, deviation: str) -> str:
    """What was changed after launch: the field, its frozen value and the present one."""
    found = _DEVIATION.fullmatch(deviation)
    if found is None:
        return t.gettext(deviation)
    field, frozen, now = found.groups()
    values = {
        "field": _field_name(t, field),
        "frozen": _written(t, frozen),
        "now": _written(t, now),
    }
    return t.gettext("%(field)s: %(frozen)s at launch, %(now)s now") % values


def _field_name(t: Tongue, field: str) -> str:
    """A field of the declaration as a reader calls it."""
    _ = t.gettext
    known = {
        "name": _("Name"),
        "hypothesis": _("Hypothesis"),
        "start": _("Start"),
        "end": _("End"),
        "measure_until": _("Followed until"),
        "arms": _("Versions and shares"),
        "segments": _("Segments"),
        "costs": _("Cost"),
        "margin_rate": _("Margin rate"),
        "settle_days": _("Days before a month closes"),
    }
    return known.get(field, field)


def _written(t: Tongue, value: str) -> str:
    """A value of the declaration as a reader writes it: dates, lists and tables in words."""
    try:
        found = ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return value
    if isinstance(found, dict):
        return ", ".join(f"{arm_name(t, str(key))} {one}" for key, one in found.items())
    if isinstance(found, list):
        return t.listed([segment_name(t, str(one)) for one in found])
    try:
        return t.date(dt.date.fromisoformat(str(found)))
    except ValueError:
        return str(found)


def verdict_line(
    t: Tongue,
    subject: str,
    verdict: Verdict,
    *,
    reason: tuple[str, str] = ("", ""),
    reading: str = "",
) -> VerdictLine:
    """The verdict in one sentence a finance director can repeat, with the money and the doubt.

    Args:
        t: The page's language.
        subject: What was tried, as the subject of the sentence.
        verdict: The verdict of an arm.
        reason: Sentence of the failed check and what to do, when the verdict is suspended.
        reading: Day of the first reading in words, when no month is closed.
    """
    text = _verdict_text(t, subject, verdict, reason[0], reading)
    advice = _why(t, verdict) if verdict.kind is VerdictKind.NEVER else reason[1]
    return VerdictLine(text, decision(t, verdict.kind), str(verdict.kind), advice)


def _verdict_text(t: Tongue, subject: str, verdict: Verdict, reason: str, reading: str) -> str:
    _ = t.gettext
    net = verdict.net
    known = {
        "subject": subject,
        "net": money_range(t, net),
        "interval": interval(t, net),
        "month": t.month(verdict.month) if verdict.month else "",
    }
    if verdict.kind is VerdictKind.SUSPENDED:
        why = reason[:1].lower() + reason[1:] or _("a check has failed.")
        return _("Result suspended: %(reason)s") % {"reason": why}
    if verdict.kind is VerdictKind.NO_DATA or verdict.month is None:
        if reading:
            text = _("%(subject)s: no month is closed yet. First reading on %(day)s.")
            return text % {"subject": subject, "day": reading}
        return _("%(subject)s: no month is closed yet.") % {"subject": subject}
    if net.value is None or net.lower is None or net.upper is None:
        return _no_money_text(t, subject, verdict)
    if verdict.kind is VerdictKind.KEEP:
        text = _(
            "%(subject)s has earned %(net)s net margin by the end of %(month)s (%(interval)s). "
            "Keep it."
        )
    elif verdict.kind is VerdictKind.ENLARGE:
        text = _(
            "%(subject)s has earned %(net)s net margin by the end of %(month)s (%(interval)s). "
            "Enlarge it: the customers left out would pay for it too."
        )
    elif verdict.kind is VerdictKind.STOP:
        text = _(
            "%(subject)s has lost %(net)s net margin by the end of %(month)s (a loss "
            "%(interval)s). Stop it."
        )
        known |= _loss(t, net)
    elif verdict.kind is VerdictKind.NEVER:
        text = _(
            "This test will not tell what %(subject)s earns: %(interval)s net margin at the end "
            "of %(month)s."
        )
    else:
        text = _(
            "We cannot tell yet what %(subject)s earns: %(interval)s net margin at the end of "
            "%(month)s, most likely near %(net)s."
        )
        if verdict.expected_month:
            text = text + " " + _("Answer expected in %(expected)s.")
            known["expected"] = t.month(verdict.expected_month)
    return text % known


def _loss(t: Tongue, net: Estimate) -> dict[str, str]:
    """A loss as positive amounts, the smaller first."""
    value, lower, upper = (-(bound or 0.0) for bound in (net.value, net.upper, net.lower))
    loss = Estimate(value, lower, upper)
    return {"net": money_range(t, loss), "interval": interval(t, loss)}


def _why(t: Tongue, verdict: Verdict) -> str:
    """Why it will not be known, and what to do: one sentence for each reason."""
    _ = t.gettext
    known = {
        "all planned readings are done": _(
            "All planned readings are done. Try again on more customers or with a larger holdout."
        ),
        "even a large effect would not be seen by the last planned reading": _(
            "Too few customers: even a large effect would not show by the last planned reading. "
            "Try again on more customers or with a larger holdout."
        ),
        "too few to know: a handful of customers decides the result": _(
            "A handful of customers decides the result. Try again on many more customers."
        ),
    }
    unknown = _("Try again on more customers or with a larger holdout.")
    said = [known.get(reason) or f"{t.gettext(reason)}. {unknown}" for reason in verdict.reasons]
    return " ".join(said) or unknown


def _no_money_text(t: Tongue, subject: str, verdict: Verdict) -> str:
    _ = t.gettext
    if verdict.kind is VerdictKind.NOT_YET and verdict.expected_month:
        text = _(
            "We cannot tell yet what %(subject)s earns: too little data to put money on it. "
            "Answer expected in %(expected)s."
        )
        return text % {"subject": subject, "expected": t.month(verdict.expected_month)}
    if verdict.kind is VerdictKind.NEVER:
        return _("This test will not tell what %(subject)s earns.") % {"subject": subject}
    return _("What %(subject)s earns cannot be put in money: see why below.") % {"subject": subject}


def first_reading(plan: FrozenPlan) -> dt.date:
    """The day the first campaign month closes: its end plus the days allowed for late orders."""
    days = calendar.monthrange(plan.start.year, plan.start.month)[1]
    return plan.start.replace(day=days) + dt.timedelta(days=plan.settle_days + 1)


def monthly_finding(t: Tongue, rows: Sequence[EffectRow]) -> str:
    """What the months show: which stand clear of chance when all are read together."""
    _ = t.gettext
    closed = [row for row in rows if row.closed and row.effect_per_customer is not None]
    if not closed:
        return _("No month is closed yet")
    gains = [r.month for r in closed if (r.simultaneous_ci_lower or 0) > 0]
    losses = [r.month for r in closed if (r.simultaneous_ci_upper or 0) < 0]
    if gains and losses:
        return _("Gains beyond chance in some months, losses in others")
    clear, good = (gains, True) if gains else (losses, False)
    if not clear:
        positive = sum((row.effect_per_customer or 0) > 0 for row in closed)
        text = _("No single month is clear of chance; above zero: %(positive)s of %(n)s")
        return text % {"positive": positive, "n": len(closed)}
    if len(clear) > 3:
        text = (
            _("A gain beyond chance in %(clear)s of %(n)s months")
            if good
            else _("A loss beyond chance in %(clear)s of %(n)s months")
        )
        return text % {"clear": len(clear), "n": len(closed)}
    text = _("A gain beyond chance in %(months)s")
    if not good:
        text = _("A loss beyond chance in %(months)s")
    return text % {"months": t.listed([t.month(month) for month in clear])}


def money_finding(t: Tongue, economics: Economics) -> str:
    """What the cumulative money shows: paid back, proven or not."""
    _ = t.gettext
    closed = [month for month in economics.months if month.closed]
    if not closed:
        return _("No month is closed yet")
    if economics.cost == 0:
        return _("No cost is declared: all of the extra margin counts as gain")
    if economics.payback_month is None:
        return _("The cost is not covered yet")
    month = t.month(economics.payback_month)
    if economics.payback_month_lower:
        lower = t.month(economics.payback_month_lower)
        if lower == month:
            return _("Paid back in %(month)s and proven: the whole range is above the cost") % {
                "month": month
            }
        text = _(
            "Paid back in %(month)s; proven since %(lower)s: the whole range is above the cost"
        )
        return text % {"month": month, "lower": lower}
    return _("Probably paid back in %(month)s, not yet proven") % {"month": month}


def decomposition_finding(t: Tongue, decomposition: Decomposition) -> str:
    """Which part of the effect weighs most."""
    _ = t.gettext
    parts = [part for part in decomposition.components if part.effect.value is not None]
    if not parts or not decomposition.total:
        return _("The effect cannot be split")
    largest = max(parts, key=lambda part: abs(part.effect.value or 0.0))
    share = (largest.effect.value or 0.0) / decomposition.total
    if not 0 < share <= 1:
        return _("The parts pull in different directions")
    texts = {
        "reactivation": _("%(share)s of the effect comes from how many customers ordered"),
        "frequency": _("%(share)s of the effect comes from how often they ordered"),
        "basket": _("%(share)s of the effect comes from how much they spent per order"),
    }
    text = texts.get(largest.name, _("%(share)s of the effect comes from one part"))
    return text % {"share": t.percent(share, 0)}


def segments_finding(t: Tongue, heterogeneity: Heterogeneity | None, level: float = 0.05) -> str:
    """Whether the segments differ, in words before any figure."""
    _ = t.gettext
    if heterogeneity is None or heterogeneity.p_value is None:
        return _("Whether segments differ cannot be tested here")
    if heterogeneity.p_value < level:
        ranks = [r for r in heterogeneity.segments if r.shrunken.value is not None]
        if ranks:
            best = max(ranks, key=lambda rank: rank.shrunken.value or 0.0)
            text = _("Segments respond differently; %(segment)s responds most")
            return text % {"segment": segment_name(t, best.segment)}
        return _("Segments respond differently")
    return _("Nothing shows that one segment responds more than another")


def wearout_sentence(t: Tongue, wearout: Wearout | None, level: float = 0.05) -> str:
    """Whether the effect on revenue fades."""
    _ = t.gettext
    if wearout is None or wearout.slope.value is None:
        return _(
            "Too few closed months to tell whether the effect fades: four are needed after the "
            "first."
        )
    low, high = (t.money(v, signed=True) for v in (wearout.slope.lower, wearout.slope.upper))
    values = {
        "slope": t.money(abs(wearout.slope.value)),
        "interval": t.between(low, high),
        "p": t.p_phrase(wearout.p_value),
    }
    if wearout.p_value is not None and wearout.p_value < level:
        text = (
            _(
                "The effect on revenue fades: it shrinks by %(slope)s per customer each month "
                "(%(interval)s a month, %(p)s)."
            )
            if wearout.slope.value < 0
            else _(
                "The effect on revenue grows: by %(slope)s per customer each month (%(interval)s a "
                "month, %(p)s)."
            )
        )
    else:
        text = _(
            "Nothing shows that the effect on revenue fades: its change is %(interval)s per "
            "customer and month (%(p)s)."
        )
    return text % values

"""The sentences of a plan in the language of the page: one wording a rule. Computes nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from loyalty_exp.report.parts import named
from loyalty_exp.report.words import arm_name

if TYPE_CHECKING:
    from loyalty_exp.report.tongue import Tongue

__all__ = ["RULES", "as_day", "plan_sentence"]

_ABOUT_AN_ARM = {
    "unknown", "nothing_detectable", "nothing_detectable_free", "detectable", "detectable_free",
    "provable", "not_provable", "null",
}  # fmt: skip
RULES = _ABOUT_AN_ARM | {
    "advised", "advised_smallest", "launched", "nobody", "small_arm", "over_budget",
    "redemptions_over_budget", "mde_above_break_even", "short_window", "no_month", "no_history",
    "shortened", "conflict", "universal_due", "started",
}  # fmt: skip
"""Every rule that a plan may speak by."""
_SHARES = {
    "detectable", "break_even", "proof_from", "holdout", "holdout_detectable", "longer_detectable",
    "largest", "advised", "declared", "share",
}  # fmt: skip
_AMOUNTS = {"over", "total", "budget"}


def as_day(value: object) -> dt.date:
    """A day, given as one or as ISO text."""
    return value if isinstance(value, dt.date) else dt.date.fromisoformat(str(value)[:10])


def plan_sentence(t: Tongue, plan: Mapping[str, Any], said: Mapping[str, Any]) -> str:
    """A sentence of a plan in words; a line break before what would help.

    Args:
        t: The page's language.
        plan: The plan as a dictionary.
        said: One of its `sentences` or `warnings`: its `rule`, `values` and English `text`.
    """
    rule, values = said["rule"], said.get("values", {})
    if rule not in RULES:
        return str(said["text"])
    written = {key: _figure(t, key, value) for key, value in values.items() if value is not None}
    if rule == "conflict":
        return _conflict(t, plan, values, written)
    text = _text(t, plan, rule, values) % {**written, "n": t.number(_months(plan))}
    if rule in _ABOUT_AN_ARM and len(plan["arms"]) > 1:
        return named(t, str(values["arm"]), text)
    return text


def _figure(t: Tongue, key: str, value: Any) -> str:
    if key in _SHARES:
        return t.percent(value, 0 if value >= 0.1 else 1)
    if key in _AMOUNTS:
        return t.money(value, step=1.0)
    if key in ("low", "high"):
        return t.money(value, step=100.0 if abs(value) >= 1000 else 1.0, signed=True)
    if key in ("by", "start", "known_until"):
        return t.month(f"{as_day(value):%Y-%m}") if key == "by" else t.date(as_day(value))
    if key == "arm":
        return arm_name(t, str(value))
    return t.number(value) if isinstance(value, int | float) else str(value)


def _text(t: Tongue, plan: Mapping[str, Any], rule: str, values: Mapping[str, Any]) -> str:
    if rule in ("detectable", "nothing_detectable", "detectable_free", "nothing_detectable_free"):
        return _told(t, rule)
    if rule == "not_provable":
        return _not_provable(t, values)
    return {**_of_the_test(t, plan), **_before_the_launch(t)}[rule]


def _told(t: Tongue, rule: str) -> str:
    """What can be told from luck where there is nothing to compare it with."""
    _ = t.gettext
    seen = _(
        "With these %(units)s customers, an effect below %(detectable)s cannot be told from luck "
        "by %(by)s."
    )
    if rule.startswith("nothing"):
        seen = _(
            "With these %(units)s customers, no effect up to %(largest)s can be told from luck by "
            "%(by)s."
        )
    rest = _("What has to be earned back cannot be forecast.")
    if rule.endswith("_free"):
        rest = _("It costs nothing to contact.")
    return f"{seen}\n{rest}"


def _not_provable(t: Tongue, values: Mapping[str, Any]) -> str:
    """That it cannot be proven profitable, and what would help."""
    _ = t.gettext
    parts = [
        _(
            "With these %(units)s customers, an effect below %(detectable)s cannot be told from "
            "luck by %(by)s, while %(break_even)s would already pay: it cannot be proven "
            "profitable."
        )
    ]
    if values.get("detectable") is None:
        parts = [
            _(
                "With these %(units)s customers, no effect up to %(largest)s can be told from luck "
                "by %(by)s, while %(break_even)s would already pay: it cannot be proven profitable."
            )
        ]
    if values.get("holdout") is not None:
        parts.append(
            _("A holdout of %(holdout)s would bring what can be seen to %(holdout_detectable)s.")
        )
    if values.get("extra_months") is not None:
        parts.append(
            _("Measured %(extra_months)s months longer, it would be %(longer_detectable)s.")
        )
    return "\n".join([parts[0], " ".join(parts[1:])]).strip()


def _months(plan: Mapping[str, Any]) -> int:
    """Months of the past periods that were replayed."""
    return max((arm["replay"]["months"] for arm in plan["arms"] if arm["replay"]), default=0)


def _of_the_test(t: Tongue, plan: Mapping[str, Any]) -> dict[str, str]:
    _ = t.gettext
    null = t.ngettext(
        "By luck alone, 95 of 100 such campaigns without any effect would have shown between "
        "%(low)s and %(high)s of margin in the first month.",
        "By luck alone, 95 of 100 such campaigns without any effect would have shown between "
        "%(low)s and %(high)s of margin in the first %(n)s months.",
        _months(plan),
    )
    return {
        "unknown": _(
            "With these %(units)s customers, nothing can be said of what will be known by %(by)s: "
            "there is no history to tell it from."
        ),
        "provable": _(
            "With these %(units)s customers, an effect of %(detectable)s or more will be told from "
            "luck by %(by)s; the campaign pays from %(break_even)s on, and a profit is likely to "
            "be proven from %(proof_from)s on."
        ),
        "null": null,
        "advised": _(
            "Leaving out %(advised)s is expected to cost least, margin given up now and wrong "
            "decisions later taken together; planned: %(declared)s."
        ),
        "advised_smallest": _(
            "Leaving out %(advised)s, the smallest share considered, is expected to cost least: "
            "what can be learned hardly pays the margin given up; planned: %(declared)s."
        ),
        "mde_above_break_even": _(
            "“%(arm)s”: what can be seen lies above what pays (%(break_even)s); expect no verdict."
        ),
        "no_history": _(
            "There are too few months of data before the campaign to forecast anything."
        ),
        "shortened": _(
            "The campaign is measured over %(planned)s months; the past allows replays of "
            "%(months)s only, so the figures are those of a shorter campaign."
        ),
    }


def _before_the_launch(t: Tongue) -> dict[str, str]:
    _ = t.gettext
    return {
        "launched": _("Launched already: audience and versions are the frozen ones."),
        "nobody": _("Nobody is eligible: the launch would be refused."),
        "small_arm": _("“%(arm)s” has %(units)s customers: too few for more than a direction."),
        "over_budget": _(
            "Over budget by %(over)s: fixed cost and contacts come to %(total)s, the budget is "
            "%(budget)s."
        ),
        "redemptions_over_budget": _(
            "Over budget if more than %(share)s of the treated use the offer."
        ),
        "short_window": _(
            "The window of %(days)s days is shorter than the usual %(gap_days)s days between two "
            "orders of these customers: most would not have ordered anyway."
        ),
        "started": _(
            "It starts on %(start)s, but orders up to %(known_until)s are known already: for the "
            "days before the draw, chance alone will show. Declare a later start."
        ),
        "no_month": _(
            "No calendar month is measured whole: there will be no result; measure longer."
        ),
        "universal_due": _(
            "The launch would be refused: it starts on %(start)s, while customers left out of "
            "every campaign are to be drawn first."
        ),
    }


def _conflict(
    t: Tongue, plan: Mapping[str, Any], values: Mapping[str, Any], written: Mapping[str, str]
) -> str:
    """Another campaign after the same customers, and what to do."""
    _ = t.gettext
    names = {entry["campaign"]: entry["name"] for entry in plan["calendar"]}
    known = {**written, "other": names.get(values["other"], values["other"])}
    when = _("“%(other)s” lies %(rest_days)s days apart, within the cooldown, and shares")
    if values["overlap_days"]:
        when = _("“%(other)s” runs on %(overlap_days)s of the same days and shares")
    shared = t.ngettext("%(shared)s customer", "%(shared)s customers", int(values["shared"]))
    if values["other_launched"]:
        how = _("it is launched: its customers are left out where priority or cooldown say so")
    elif values["goes_first"] is None:
        how = _("both have the same priority: whichever is launched first takes them")
    elif values["goes_first"] == plan["campaign"]:
        how = _("this one has priority: launch it first")
    else:
        how = _("the other has priority: launch it first")
    told = _("%(when)s %(shared)s; %(how)s.")
    return told % {"when": when % known, "shared": shared % known, "how": how}

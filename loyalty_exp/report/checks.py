"""Checks as sentences, worst first. Reads `Check.values`, decides nothing.

A sentence uses a figure only when the check holds it; otherwise the plain sentence stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loyalty_exp.measure.results import CheckStatus
from loyalty_exp.report.views import Sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from loyalty_exp.measure.results import Check
    from loyalty_exp.report.tongue import Tongue

__all__ = ["check_sentence", "check_sentences", "status_word"]

_ORDER = (
    CheckStatus.FAILED,
    CheckStatus.WARNING,
    CheckStatus.PASSED,
    CheckStatus.NOT_APPLICABLE,
)


@dataclass(frozen=True, slots=True)
class _Wording:
    """Sentences of one check: with figures and without, when well and when troubled.

    `none` stands when all figures named in `counts` are zero and the check passed.
    """

    title: str
    good: tuple[str, ...]
    bad: tuple[str, ...]
    absent: str
    advice: str
    counts: tuple[str, ...] = ()
    none: str = ""


def check_sentences(t: Tongue, checks: Sequence[Check]) -> tuple[Sentence, ...]:
    """All checks as sentences, the failed and the critical first."""
    ranked = sorted(checks, key=lambda c: (_ORDER.index(CheckStatus(c.status)), not c.critical))
    return tuple(check_sentence(t, check) for check in ranked)


def status_word(t: Tongue, status: str) -> str:
    """The outcome of a check in a word."""
    _ = t.gettext
    return {
        CheckStatus.FAILED: _("Failed"),
        CheckStatus.WARNING: _("Take care"),
        CheckStatus.PASSED: _("Passed"),
        CheckStatus.NOT_APPLICABLE: _("Not checked"),
    }[CheckStatus(status)]


def check_sentence(t: Tongue, check: Check) -> Sentence:
    """One check as a sentence, with what to do when it is not well."""
    wording = _wordings(t).get(_case(check))
    label = status_word(t, check.status)
    if wording is None:
        title = check.name.replace("_", " ")
        return Sentence(str(check.status), label, title, _plain_figures(t, check.values))
    troubled = check.status in (CheckStatus.FAILED, CheckStatus.WARNING)
    if check.status is CheckStatus.NOT_APPLICABLE:
        text = wording.absent
    elif not troubled and wording.counts and all(check.values.get(k) == 0 for k in wording.counts):
        text = wording.none
    else:
        text = _first_complete(t, wording.bad if troubled else wording.good, check.values)
    advice = wording.advice if troubled else ""
    return Sentence(str(check.status), label, wording.title, text, advice)


def _case(check: Check) -> str:
    """The wording a check takes: months missing altogether are not customers without purchases."""
    months, wanted = check.values.get("months"), check.values.get("wanted")
    if check.name == "missing_history" and isinstance(months, int) and isinstance(wanted, int):
        return "short_history" if months < wanted else check.name
    return check.name


def _first_complete(t: Tongue, texts: Sequence[str], values: Mapping[str, object]) -> str:
    """The first text whose figures are all there."""
    written = {key: _figure(t, key, value) for key, value in values.items() if value is not None}
    for text in texts:
        try:
            return text % written
        except KeyError:
            continue
    raise AssertionError("the last wording of a check uses no figure")


def _figure(t: Tongue, key: str, value: object) -> str:
    """A figure of a check, written by what its name says it is."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return str(value).replace("_", " ")
    if key.endswith("p_value"):
        return t.p_phrase(value)
    if key.endswith(("share", "power", "relative")):
        return t.percent(value)
    if key.endswith("_gap"):
        return t.number(value, 2, signed=True)
    if isinstance(value, int) or value.is_integer():
        return t.number(value)
    return t.number(value, 2)


def _plain_figures(t: Tongue, values: Mapping[str, object]) -> str:
    pairs = (f"{key.replace('_', ' ')} {_figure(t, key, v)}" for key, v in values.items())
    return "; ".join(pairs)


def _wordings(t: Tongue) -> dict[str, _Wording]:
    _ = t.gettext
    return _about_the_draw(_) | _about_the_start(_) | _about_contact(_) | _about_the_figures(_)


def _about_the_draw(_: Callable[[str], str]) -> dict[str, _Wording]:
    return {
        "roster": _Wording(
            _("Customers of the draw"),
            (
                _(
                    "All %(units)s customers measured are those of the frozen draw, each in its "
                    "arm."
                ),
                _("The customers measured are those of the frozen draw, each in its arm."),
            ),
            (
                _("%(missing)s customers of the draw are missing and %(extra)s others were added."),
                _("The customers measured are not those of the frozen draw."),
            ),
            _("The list of the draw is not available: it could not be compared."),
            _(
                "Restore the list of the launch, or stop using this result: run “verify” to see "
                "what changed."
            ),
        ),
        "split": _Wording(
            _("Losses on one side"),
            (
                _(
                    "Lost since the draw: %(lost_treated)s treated, %(lost_holdout)s left out; no "
                    "more on one side than chance explains (%(p_value)s)."
                ),
                _("Customers lost since the draw are spread over the arms as chance would."),
            ),
            (
                _(
                    "Lost since the draw: %(lost_treated)s treated, %(lost_holdout)s left out; "
                    "chance does not explain it (%(p_value)s)."
                ),
                _("More customers were lost on one side than chance explains."),
            ),
            _("Losses since the draw could not be counted."),
            _(
                "Find out where the missing customers went (erased, merged, filtered by a tool) "
                "before using the figure."
            ),
            counts=("lost_treated", "lost_holdout"),
            none=_("Nobody has been lost since the draw."),
        ),
        "balance": _Wording(
            _("Likeness before the start"),
            (
                _(
                    "Before the start, treated customers and those left out bought alike ("
                    "%(p_value)s). Treated less left out, in standard deviations of the "
                    "logarithms: revenue %(revenue_gap)s, orders %(orders_gap)s, months with an "
                    "order %(active_gap)s."
                ),
                _(
                    "Before the start, treated customers and those left out bought alike ("
                    "%(p_value)s)."
                ),
                _("Before the start, treated customers and those left out bought alike."),
            ),
            (
                _(
                    "Before the start, treated customers and those left out did not buy alike "
                    "(%(p_value)s). Treated less left out, in standard deviations of the "
                    "logarithms: revenue %(revenue_gap)s, orders %(orders_gap)s, months with an "
                    "order %(active_gap)s."
                ),
                _(
                    "Before the start, treated customers and those left out did not buy alike "
                    "(%(p_value)s)."
                ),
                _("Before the start, treated customers and those left out did not buy alike."),
            ),
            _("There are no orders before the start to compare the arms on."),
            _(
                "Check that the list used is the list drawn, and that nothing was sent before "
                "the start."
            ),
        ),
        "randomization": _Wording(
            _("Redoing the draw"),
            (_("Redrawing from the recipe gives the same arms, customer by customer."),),
            (
                _("Redrawing from the recipe gives another arm to %(differences)s customers."),
                _("Redrawing from the recipe does not give the same arms."),
            ),
            _(
                "The split was made elsewhere: it cannot be redrawn, only its proportions are "
                "checked."
            ),
            _("Do not use this result: the arms are not those of the frozen draw."),
        ),
        "aa_before": _Wording(
            _("Effect before the cause"),
            (
                _(
                    "The same analysis on the months before the start finds nothing, as it "
                    "should (%(p_value)s)."
                ),
                _("The same analysis on the months before the start finds nothing, as it should."),
            ),
            (
                _(
                    "The same analysis on the months before the start already finds a "
                    "difference (%(p_value)s)."
                ),
                _("The same analysis on the months before the start already finds a difference."),
            ),
            _("There are too few months before the start to run the analysis on them."),
            _("Read the effect with care: part of it may have been there before."),
        ),
    }


def _about_the_start(_: Callable[[str], str]) -> dict[str, _Wording]:
    return {
        "timing": _Wording(
            _("Draw before the start"),
            (_("When the draw was made, no order of the campaign's own days was known yet."),),
            (
                _(
                    "When the draw was made, orders were known already up to day %(days)s of the "
                    "campaign. Contacts may have begun before the draw, and then not by its lists: "
                    "customers left out may have received the campaign. If they had not begun, "
                    "only chance shows in these days, and the effect looks smaller than it is."
                ),
                _("The draw was made after the start: contacts may have begun before it."),
            ),
            _(
                "It is not known whether orders after the start were known when the draw was made: "
                "it was made elsewhere, or by an older version."
            ),
            _(
                "Find out when the first contact went out. If that was before the draw, declare a "
                "new campaign that starts after its draw."
            ),
        )
    }


def _about_contact(_: Callable[[str], str]) -> dict[str, _Wording]:
    return {
        "contamination": _Wording(
            _("Contacts of customers left out"),
            (
                _("%(contaminated)s of the customers left out were contacted (%(share)s)."),
                _("Hardly any customer left out was contacted."),
            ),
            (
                _("%(contaminated)s customers left out were contacted all the same (%(share)s)."),
                _("Customers left out were contacted all the same."),
            ),
            _("No contacts were loaded: whether customers left out were left alone is not known."),
            _(
                "Take them off the mailing list now. Their figures stay in the comparison, "
                "which makes the effect look smaller than it is."
            ),
            counts=("contaminated",),
            none=_("No customer left out was contacted."),
        ),
        "reach": _Wording(
            _("Customers reached"),
            (
                _("%(reached)s of the treated customers were reached (%(share)s)."),
                _("The treated customers were reached."),
            ),
            (
                _("Only %(reached)s of the treated customers were reached (%(share)s)."),
                _("Few of the treated customers were reached."),
            ),
            _("No contacts were loaded: how many treated customers were reached is not known."),
            _(
                "The effect is that of the decision to treat, diluted by those never reached: "
                "check addresses and deliveries."
            ),
        ),
    }


def _about_the_past(_: Callable[[str], str]) -> dict[str, _Wording]:
    title = _("Past purchases")
    absent = _("Purchases before the start are not used here.")
    return {
        "missing_history": _Wording(
            title,
            (
                _(
                    "%(share)s of the customers have no purchase in the %(months)s months before "
                    "the start; they count with zero."
                ),
                _("The purchases before the start are known."),
            ),
            (
                _(
                    "%(share)s of the customers have no purchase in the %(months)s months before "
                    "the start: knowing the past helps little, and the ranges stay wide."
                ),
                _("The data begin too late to know what customers bought before."),
            ),
            absent,
            _("Load older orders if you have them: the intervals will narrow."),
            counts=("share",),
            none=_("Every customer has a purchase in the months before the start."),
        ),
        "short_history": _Wording(
            title,
            (_("The purchases before the start are known."),),
            (
                _(
                    "Only %(months)s of the %(wanted)s months before the start are in the data: "
                    "the ranges are wider than they could be."
                ),
            ),
            absent,
            _("Load older orders if you have them: the intervals will narrow."),
        ),
    }


def _about_the_figures(_: Callable[[str], str]) -> dict[str, _Wording]:
    return {
        "power": _Wording(
            _("Size of the test"),
            (
                _(
                    "The test can see an effect of %(mde_relative)s or more; it has to reach "
                    "%(break_even_relative)s to pay."
                ),
                _("The test is large enough to see an effect that pays."),
            ),
            (
                _(
                    "The test can only see an effect of %(mde_relative)s or more, while "
                    "%(break_even_relative)s would already pay."
                ),
                _("The test is too small to see an effect that would just pay."),
            ),
            _("What the test can see cannot be computed yet."),
            _(
                "“Not known” does not mean “no effect”: wait for more months, or repeat with a "
                "larger holdout."
            ),
        ),
        "buyers": _Wording(
            _("Number of buyers"),
            (
                _("There are at least %(buyers)s buyers in the smaller arm."),
                _("There are enough buyers in each arm."),
            ),
            (
                _("Only %(buyers)s buyers in the smaller arm: read the direction, not the amount."),
                _("Very few buyers in one arm: read the direction, not the amount."),
            ),
            _("Buyers could not be counted yet."),
            _("Wait for more orders before deciding."),
        ),
        **_about_the_past(_),
        "deviations": _Wording(
            _("The plan"),
            (_("The declaration is still the one that was frozen at launch."),),
            (
                _(
                    "The declaration was changed after launch in %(count)s places; the frozen "
                    "plan stands."
                ),
                _("The declaration was changed after launch; the frozen plan stands."),
            ),
            _("There is no declaration to compare with the frozen plan."),
            _(
                "What changed is listed under “How we know”. Anything decided after the launch "
                "is marked post hoc."
            ),
        ),
        "restatement": _Wording(
            _("Published figures"),
            (_("No published month has changed since."),),
            (
                _("%(months)s published months have changed, because orders or refunds came late."),
                _("Published months have changed, because orders or refunds came late."),
            ),
            _("Nothing has been published yet."),
            _("Use the figures of this page and tell those who have the earlier ones."),
        ),
    }

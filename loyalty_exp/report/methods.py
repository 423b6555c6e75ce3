"""How the figures are made, in plain words, with the formulas behind folds. Same for every site."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loyalty_exp.report.campaign import explanation
from loyalty_exp.report.views import Fold, Foot, Page, Section, VerdictLine

if TYPE_CHECKING:
    from loyalty_exp.report.tongue import Tongue

__all__ = ["methods_page"]


def methods_page(t: Tongue, project: str, foot: Foot) -> Page:
    """The methods page."""
    _ = t.gettext
    lead = _(
        "A campaign is worth what its customers buy more than others, drawn at random, who "
        "received nothing."
    )
    return Page(
        name="methods.html",
        kind="methods",
        language=t.language,
        title=_("Methods · %(project)s") % {"project": project},
        eyebrow=project,
        heading=_("How the figures are made"),
        standfirst="",
        notices=(),
        verdicts=(VerdictLine(lead, "", "mixed"),),
        key_figures=(),
        explained=explanation(t),
        sections=(
            _draw(t),
            _effect(t),
            _readings(t),
            _months(t),
            _money(t),
            _verdict(t),
            _parts(t),
            _checks(t),
            _limits(t),
            _words(t),
        ),
        foot=foot,
    )


def _formulas(t: Tongue, *lines: tuple[str, str]) -> tuple[Fold, ...]:
    return (Fold(t.gettext("The formulas"), formulas=lines),)


def _draw(t: Tongue) -> Section:
    _ = t.gettext
    return Section(
        "draw",
        _("The draw"),
        paragraphs=(
            _(
                "Before the start, chance decides who is treated and who is left out, within "
                "bands of past purchases so that both sides are alike. Everybody drawn is counted "
                "in their arm for ever, buyers or not, reached or not: leaving out those who did "
                "not open a message would compare people who differ already."
            ),
            _(
                "The draw is a recipe, not a file: anybody can redo it from the salt and the "
                "counts printed on the campaign's page."
            ),
        ),
        folds=_formulas(
            t,
            (
                "order by md5(salt || ':' || unit)",
                _("within each stratum; the first k units are left out"),
            ),
            (
                "k_s = ⌊F_s + U⌋ − ⌊F_(s−1) + U⌋",
                _("F cumulated share × units, one U from the salt (Madow 1949)"),
            ),
        ),
    )


def _effect(t: Tongue) -> Section:
    _ = t.gettext
    return Section(
        "effect",
        _("The effect and its range"),
        paragraphs=(
            _(
                "The effect is the difference between the average of treated customers and that "
                "of customers left out, corrected for what both bought before: a customer who "
                "always buys much says little about the campaign."
            ),
            _(
                "With few customers left out and very unequal purchases, the usual range promises "
                "too much; a correction for lopsidedness then takes its place. Which of the two "
                "is used is decided at launch, on past months, and frozen. Segments and waves, "
                "smaller and more unequal, are corrected wherever few are left out."
            ),
            _(
                "Where a few very large customers set how past purchases are used, a true effect "
                "comes out a little too small. The page then says by how much, and shows the "
                "effect without past purchases."
            ),
        ),
        folds=_formulas(
            t,
            (
                "τ = D(Y) − θ D(X),  θ = S(X,Y) / S(X,X)",
                _("Y the outcome, X purchases before the start, D difference of means (CUPED)"),
            ),
            ("τ ± t(df) √(v₁ + v₀)", _("W1: unequal variances, Welch's degrees of freedom")),
            (
                "[τ − f(c) √V, τ − f(−c) √V],  f(q) = q + g (q² − 1) / 6",
                _("W2: Cornish–Fisher correction, skewness g pooled over the arms"),
            ),
            (
                "−τ (1 + θ k₃(X) / (m S(X,X))) / (N − 1)",
                _("bias to expect of an effect in proportion to purchases, m their average"),
            ),
        ),
    )


def _readings(t: Tongue) -> Section:
    _ = t.gettext
    return Section(
        "readings",
        _("Looking every month without fooling oneself"),
        paragraphs=(
            _(
                "Whoever looks twelve times and stops at the first good month finds a success "
                "that is none about one time in five. So the number of readings is fixed at "
                "launch, and the bar is high at first and lower later: over all readings "
                "together, the risk of a false alarm stays at 5 %."
            ),
            _(
                "A month is read once it is closed, when the days allowed for late orders and "
                "refunds have passed. An open month is shown hollow and decides nothing."
            ),
        ),
        folds=_formulas(
            t,
            (
                "α*(t) = 4 (1 − Φ(Φ⁻¹(1 − α/4) / √t))",
                _("risk spent by the share t of the readings (O'Brien–Fleming type)"),
            ),
            (
                "P(|Z_j| > c_j, j ≤ k) = α*(t_k),  Z ~ N(0, R)",
                _("R the correlation of the readings, measured on these very customers"),
            ),
        ),
    )


def _months(t: Tongue) -> Section:
    _ = t.gettext
    return Section(
        "months",
        _("Months read together"),
        paragraphs=(
            _(
                "Among many months, one looks good by chance. The bars of the monthly chart are "
                "wide enough to hold all the true effects at once, 95 times in 100; so a month "
                "whose bar clears zero does so although it was picked out."
            ),
        ),
        folds=_formulas(
            t,
            (
                "τ_k ± q √V_k",
                _("q the 95 % quantile of the largest |Z| over the months (sup-t band)"),
            ),
        ),
    )


def _money(t: Tongue) -> Section:
    _ = t.gettext
    return Section(
        "money",
        _("From purchases to money"),
        paragraphs=(
            _(
                "The net result is the extra margin of the treated customers, minus what the "
                "campaign cost: fixed cost, contacts, rewards used. Margin, not revenue; each "
                "discount counted once."
            ),
            _(
                "The return per euro is the net result over the cost. The payback month is the "
                "first whose cumulative margin covers the cost and stays above it."
            ),
        ),
        folds=_formulas(
            t,
            (_("net = n₁ (margin effect − variable cost) − fixed cost"), _("n₁ treated customers")),
            (
                "{b : (τ_M − b τ_C)² ≤ c² (V_MM − 2 b V_MC + b² V_CC)}",
                _("range of the return, margin M over cost C (Fieller)"),
            ),
        ),
    )


def _verdict(t: Tongue) -> Section:
    _ = t.gettext
    return Section(
        "verdict",
        _("The verdict"),
        paragraphs=(
            _(
                "The whole range of the net result above zero: keep, or enlarge when treating the "
                "customers left out would pay too. Wholly below zero: stop. Otherwise it is not "
                "known yet, and the page says when it will be; “not known” does not mean “no "
                "effect”."
            ),
            _(
                "A failed check that touches the draw itself takes the verdict's place until it "
                "is mended."
            ),
            _(
                "No verdict rests on a reading that a handful of customers decides. A verdict that "
                "was shown stays; where later data would not decide so, the page says it."
            ),
        ),
    )


def _parts(t: Tongue) -> Section:
    _ = t.gettext
    return Section(
        "parts",
        _("Came back, came more often, bought more"),
        paragraphs=(
            _(
                "The effect on revenue splits exactly into three: more customers who order, more "
                "orders for each, more spent per order. The parts add up to the whole."
            ),
        ),
        folds=_formulas(
            t,
            (
                "L = (r₁ − r₀) / ln(r₁ / r₀)",
                _("logarithmic mean of revenue per customer, treated and left out"),
            ),
            (
                "L ln(a₁/a₀) + L [ln(o₁/o₀) − ln(a₁/a₀)] + L [ln(r₁/r₀) − ln(o₁/o₀)] = r₁ − r₀",
                _("a share who order, o orders (logarithmic mean Divisia, Ang 2004)"),
            ),
        ),
    )


def _checks(t: Tongue) -> Section:
    _ = t.gettext
    return Section(
        "checks",
        _("The checks"),
        paragraphs=(
            _(
                "Before a figure is believed: are the customers measured those that were drawn; "
                "were none lost on one side only; were both sides alike before the start; were "
                "those left out really left alone; does the same analysis find nothing in the "
                "months before; would the verdict stand without the largest customers."
            ),
        ),
        folds=_formulas(
            t,
            (_("Fisher's exact test of lost × arm, alarm at p < .001"), _("losses on one side")),
            (_("Hansen and Bowers (2008) on ln(1 + X), alarm at p < .001"), _("balance")),
            (_("Cochran's Q, then Holm"), _("differences between segments")),
        ),
    )


def _limits(t: Tongue) -> Section:
    _ = t.gettext
    return Section(
        "limits",
        _("What this cannot tell"),
        paragraphs=(
            _(
                "The results of several campaigns cannot be added up: one order may follow two of "
                "them. The total of the programme is known only when some customers are left out "
                "of every campaign."
            ),
            _(
                "The figures are those of these customers in these months. Nothing here says what "
                "the same campaign would do elsewhere or later."
            ),
        ),
    )


def _words(t: Tongue) -> Section:
    _ = t.gettext
    facts = (
        (
            _("Customers left out on purpose"),
            _("drawn at random from those who could have been treated; they receive nothing"),
        ),
        (
            _("Effect per customer"),
            _("difference of averages over all drawn customers, buyers or not"),
        ),
        (_("Relative effect"), _("effect over the average of customers left out")),
        (_("Extra margin"), _("margin that would not have been earned without the campaign")),
        (_("Net result"), _("extra margin minus the cost of the campaign")),
        (_("Reading"), _("one look at the effect so far, at a closed month")),
        (_("Range"), _("contains the true figure in 95 of 100 such tests")),
        (
            _("Chance that it paid"),
            _(
                "how sure one reading, at a date fixed in advance, would be of a net result above "
                "zero; not for reading every month"
            ),
        ),
        (_("p"), _("how often chance alone would show as much, if the campaign did nothing")),
    )
    return Section("words", _("Words"), folds=(Fold(_("Glossary"), facts=facts),))

"""Writes docs/calibration.md from what was counted; it judges nothing."""

from __future__ import annotations

from collections.abc import Sequence

from calibration.bars import HOLDOUTS, LARGE, PROMISES, SIZES, SMALL, Check, Results, where
from calibration.studies import REDRAWS
from calibration.tally import Tally

INTRODUCTION = """\
# Calibration

Written by `make calibrate`; do not edit. {form} {cost}

Every figure below comes from running the package's own functions (`loyalty_exp.stats`) on simulated
experiments with a known truth: customers of the reference markets of `loyalty_exp.simulate` (12
months before, 12 after; 80, 61 and 91 % of customer-months without an order, a brutal tail), a
holdout drawn within bands of past revenue, an effect planted on the treated, heavier buyers
responding more. Seeds are fixed. Each draw samples its customers anew from 200,000.

- **cover**: how often a 95 % interval holds the true effect of the very customers in the sample.
- **over**: how often it lies wholly above the truth: the claim one would regret. Nominal 2.5 %.
- **width**: mean width as a multiple of the plain CUPED (W1) interval on the same draw.
- **±**: one Monte-Carlo standard error.
- A bar is **held** when the figure lies inside it, **within noise** when it lies outside by at most
  two Monte-Carlo errors, **missed** otherwise; **missed, warned** where the tool says so itself in
  most of the draws, to the user concerned.
"""

METHODS = ("Welch", "Lin", "W1", "switch")
ONE_LOOK = """\
W1 is plain CUPED with a Welch interval, what tea-tasting gives; *switch* is the product's: W1 or
the skewness-corrected W2, chosen before the start and frozen; Lin is slopes of each arm's own with
Neyman's variance. Smallest to largest over the three markets, no effect.
"""
BIAS = """\
Without an effect the pooled slope does not depend on who is treated, and nothing leans. With one,
the slope is a little steeper when the largest customers are treated, so that slightly too much is
adjusted away: a known property of regression adjustment that fades as 1/n (Freedman 2008). Here
is how much it is over 12 months at +30 %, the largest effect simulated, where bar 3 is missed. The
coverage above includes it. *By the formula* is the exact bias over all simple draws of the same
customers: minus the mean effect, weighted by squared distance from the mean past revenue, over
n - 1. The draw's strata take a little of it away. Bias is judged in its own Monte-Carlo errors, so
that the more the draws, the smaller a bias shows as a miss; the formula does not depend on them.

"""
WARNED = """\
The estimator stays what it is, and the tool warns: where the formula, with an effect in proportion
to what each customer is expected to buy, gives .04 standard errors or more, and the effect is one
or more, the page says by how much the adjusted figure is expected to be too low or too high. In a
single month an effect is harder to tell from none; the warning on the twelve months then stands on
the same page. Share of draws with that warning, over 12 months:

"""
LOOKS = """\
How often an effect is claimed at any of twelve monthly looks: a false alarm where there is none,
power where there is one. *Naive* looks at W1's 95 % interval every month; *error spending* is the
product's (O'Brien-Fleming type on the measured correlation of the looks); GrowthBook's sequential
interval is computed from its [documentation](https://docs.growthbook.io/statistics/sequential)
with its default tuning; the last column looks once, at the end. Boundaries are computed with the
product's own number of integration points; a draw in which no plain interval ever excludes zero
needs none, since a boundary is never lower. A look whose skewness has passed 1.5 claims nothing.

"""
WAVES = """\
The same where customers join in waves, three two months apart or six a month apart: each wave is
drawn and adjusted on the twelve months before its own start, and counts nothing before it. No
effect.

"""
PERMUTATIONS = f"""\
No effect; {REDRAWS} re-draws (the product takes 4,999). Share of draws in which some month of the
path lies outside the max-t band, and in which the test over 12 months rejects at .05.

"""
DETAILS = """\
Lowest and highest over the three markets. *Paths*: all twelve months inside the sup-t band.
*Reached*: the Anderson-Rubin set of the effect per reached customer. *Returns*: Fieller's interval
of the return on cost. *Lost*: the test of losses by arm at .05, at 3.3 % in both arms (size) and at
10 % against 3.3 % (power).

"""
REAL = """\
The 2,469 households of the demo's data (completejourney, 2017), six months before and six after an
invented start, split at random: nobody was treated, so the truth is zero. The package that carries
the data calls it simulated, its original presents it as real.

"""


def page(results: Results, checks: Sequence[Check], form: str, seconds: float) -> str:
    """The whole page as Markdown, with the CPU seconds that it took."""
    cost = f"It took {seconds:,.0f} CPU seconds: {seconds / 120:.0f} minutes on two idle cores."
    parts = [
        INTRODUCTION.format(form=form, cost=cost),
        "## The ten bars\n\n" + _bars(checks),
        _outside(checks),
        "## One look: coverage, over-claiming and width\n\n" + _one_look(results),
        "## A large effect leans a little towards zero\n\n" + _bias(results),
        "## Twelve looks at the same customers\n\n" + _looks(results),
        "## Small lists: re-drawing the draw\n\n" + _permutations(results),
        "## Path, reach, return, decomposition\n\n" + _details(results),
        "## Real orders\n\n" + _real(results),
    ]
    return "\n".join(part.rstrip() + "\n" for part in parts if part)


def _bars(checks: Sequence[Check]) -> str:
    statuses = ("held", "within noise", "missed, warned", "missed")
    rows = []
    for bar, promise in PROMISES.items():
        mine = [check.status for check in checks if check.bar == bar]
        worst = max(mine, key=statuses.index)
        verdict = f"**{worst}**" if "missed" in worst else "held"
        rows.append([str(bar), promise, *(str(mine.count(name)) for name in statuses), verdict])
    return _table(["", "promise", "figures held", *statuses[1:], "bar"], rows)


def _outside(checks: Sequence[Check]) -> str:
    rows = [
        [
            str(c.bar),
            c.label,
            f"{c.value:.4g} ± {c.error:.2g}",
            f"{c.low:g} to {c.high:g}",
            c.status,
        ]
        for c in checks
        if c.status != "held"
    ]
    if not rows:
        return ""
    title = "### Figures outside their bar\n\n"
    return title + _table(["bar", "figure", "value", "allowed", "status"], rows)


def _one_look(results: Results) -> str:
    text = ONE_LOOK
    for holdout in HOLDOUTS:
        for outcome in ("12 months", "one month"):
            sizes = SIZES if outcome == "12 months" else SIZES[2:]
            rows = [
                [method, measure]
                + [_range(results, n, holdout, f"{method}/{outcome}/{measure}") for n in sizes]
                for method in METHODS
                for measure in ("cover", "over", "width")
                if (method, measure) != ("W1", "width")
            ]
            text += f"\n**Holdout {float(holdout):.0%}, {outcome}**\n\n"
            text += _table(["interval", "", *(f"n = {n:,}" for n in sizes)], rows)
            text += _largest_error(results, holdout, outcome)
    return (
        text
        + "\n**The product's interval over 12 months, market by market**\n\n"
        + _markets(results)
    )


def _largest_error(results: Results, holdout: object, outcome: str) -> str:
    """What no figure of a table of coverage, claims and widths is further off by chance."""
    tallies = [
        tally
        for cell, tally in results.items()
        if (cell.study, cell.holdout, cell.relative) == ("intervals", holdout, 0.0)
    ]
    errors = {
        measure: max(
            tally.error(f"{method}/{outcome}/{measure}") for tally in tallies for method in METHODS
        )
        for measure in ("cover", "over", "width")
    }
    shares, widths = max(errors["cover"], errors["over"]), errors["width"]
    return f"\nMonte-Carlo errors: at most {shares:.3f} of a share, {widths:.2f} of a width.\n"


def _markets(results: Results) -> str:
    rows: dict[tuple[str, float, int], list[str]] = {}
    for cell, tally in results.items():
        if cell.study == "intervals":
            row = rows.setdefault((cell.market, cell.relative, cell.units), [])
            row += [_figure(tally, f"switch/12 months/{m}") for m in ("cover", "over")]
    headers = ["", "effect", "n"]
    headers += [f"{h:.0%}, {m}" for h in map(float, HOLDOUTS) for m in ("cover", "over")]
    return _table(headers, [[m, f"{e:+.0%}", f"{n:,}", *row] for (m, e, n), row in rows.items()])


def _bias(results: Results) -> str:
    rows = []
    for cell, tally in results.items():
        if cell.study == "intervals" and cell.relative == LARGE and cell.units >= 500:
            truth, bias = tally.mean("truth/12 months"), tally.mean("bias/12 months")
            error = tally.error("bias/12 months")
            share = f"{100 * bias / truth:+.1f} ± {100 * error / truth:.1f}"
            exact = f"{100 * tally.mean('exact bias/12 months') / truth:+.1f}"
            in_errors = f"{bias / tally.spread('bias/12 months'):+.3f}"
            rows.append([where(cell), share, exact, in_errors])
    headers = ["", "bias, % of the effect", "by the formula", "in standard errors"]
    return BIAS + _table(headers, rows) + "\n" + WARNED + _warned(results)


def _warned(results: Results) -> str:
    rows: dict[tuple[str, int], dict[tuple[object, float], str]] = {}
    for cell, tally in results.items():
        if cell.study == "intervals" and cell.units >= 500:
            row = rows.setdefault((cell.market, cell.units), {})
            row[cell.holdout, cell.relative] = f"{tally.mean('warned/12 months'):.2f}"
    columns = [(holdout, effect) for holdout in HOLDOUTS for effect in (0.0, SMALL, LARGE)]
    headers = ["", "n", *(f"{float(h):.0%}, {e:+.0%}" for h, e in columns)]
    lines = [[m, f"{n:,}", *(row[key] for key in columns)] for (m, n), row in rows.items()]
    return _table(headers, lines)


def _range(results: Results, units: int, holdout: object, name: str) -> str:
    values = [
        tally.mean(name)
        for cell, tally in results.items()
        if (cell.study, cell.units, cell.holdout, cell.relative)
        == ("intervals", units, holdout, 0.0)
    ]
    digits = 2 if name.endswith("width") else 3
    return f"{min(values):.{digits}f}-{max(values):.{digits}f}"


def _looks(results: Results) -> str:
    names = ("naive", "spending", "GrowthBook", "single")
    rows = [
        [where(cell), *(_figure(tally, name) for name in names)]
        for cell, tally in results.items()
        if cell.study == "looks"
    ]
    headers = ["", "naive", "error spending", "GrowthBook", "one test at the end"]
    return LOOKS + _table(headers, rows) + "\n" + WAVES + _waves(results)


def _waves(results: Results) -> str:
    names = ("naive", "spending", "single")
    rows = [
        [where(cell), *(_figure(tally, name) for name in names)]
        for cell, tally in results.items()
        if cell.study == "waves"
    ]
    return _table(["", "naive", "error spending", "one test at the end"], rows)


def _permutations(results: Results) -> str:
    rows = [
        [where(cell), _figure(tally, "error"), _figure(tally, "size")]
        for cell, tally in results.items()
        if cell.study == "permutations"
    ]
    return PERMUTATIONS + _table(["", "some month outside", "test rejects"], rows)


def _details(results: Results) -> str:
    wanted = {
        "paths": ["cover"],
        "reached": ["reached/cover"],
        "returns": ["iroi/cover"],
        "decompositions": ["reactivation/cover", "frequency/cover", "basket/cover"],
        "lost": ["size", "power"],
    }
    rows = []
    for study, names in wanted.items():
        settings = {(c.units, c.holdout, c.relative) for c in results if c.study == study}
        for name in names:
            for units, holdout, relative in sorted(settings):
                figures = [
                    (tally.mean(name), tally.error(name))
                    for cell, tally in results.items()
                    if (cell.study, cell.units, cell.holdout, cell.relative)
                    == (study, units, holdout, relative)
                ]
                low, high = (f"{v:.3f} ± {e:.3f}" for v, e in (min(figures), max(figures)))
                setting = [f"{units:,}", f"{float(holdout):.0%}", f"{relative:+.0%}"]
                rows.append([study, name.replace("/", ", "), *setting, low, high])
    return DETAILS + _table(["study", "", "n", "holdout", "effect", "lowest", "highest"], rows)


def _real(results: Results) -> str:
    rows = [
        [where(cell), outcome, *(_figure(tally, f"{m}/{outcome}/cover") for m in METHODS)]
        for cell, tally in results.items()
        if cell.study == "real_orders"
        for outcome in ("6 months", "one month")
    ]
    return REAL + _table(["", "outcome", *METHODS], rows)


def _figure(tally: Tally, name: str) -> str:
    return f"{tally.mean(name):.3f} ± {tally.error(name):.3f}"


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"

"""Who still buys: cohorts of first orders, month after month. Draws no markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from loyalty_exp.report.indicators import few
from loyalty_exp.report.views import Cell, Column, Fold, Row, Section, Table

if TYPE_CHECKING:
    from loyalty_exp.report.tongue import Tongue

__all__ = ["cohorts_section"]

_AGES = 12
_AGE_TOLD = 3


def cohorts_section(t: Tongue, years: Mapping[str, Any]) -> Section | None:
    """The retention triangle, in shares and in customers; None where there are no cohorts."""
    _ = t.gettext
    rows = years.get("cohorts") or ()
    if not any(row["age"] for row in rows):
        return None
    shares = _triangle(t, years, rows, shares=True)
    counts = _triangle(t, years, rows, shares=False)
    fold = Fold(_("The same in numbers of customers"), tables=(counts,))
    return Section("cohorts", _("Who still buys"), _texts(t, rows), tables=(shares,), folds=(fold,))


def _texts(t: Tongue, rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """What the cohorts show at one age, all together."""
    _ = t.gettext
    known = [r for r in rows if r["age"] == _AGE_TOLD and r["active"] is not None]
    customers = sum(row["customers"] for row in known)
    if not customers:
        return ()
    share = sum(row["active"] for row in known) / customers
    text = _(
        "Of 100 customers who came in a month, %(n)s order in the third month after (%(cohorts)s "
        "cohorts together). Read a line to follow one cohort, a column to compare them."
    )
    return (text % {"n": t.number(100 * share), "cohorts": len(known)},)


def _triangle(
    t: Tongue, years: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], *, shares: bool
) -> Table:
    """A line a cohort, a column a month of age; darker where more of them still buy."""
    _ = t.gettext
    cells = {(row["cohort"], row["age"]): row for row in rows}
    ages = range(1, min(_AGES, max(row["age"] for row in rows)) + 1)
    most = max((r["retention"] or 0.0 for r in rows if r["age"] > 0), default=0.0) or 1.0
    columns = (
        Column(_("First known order"), numeric=False),
        Column(_("Customers")),
        *(Column(t.number(age)) for age in ages),
    )
    body = []
    for cohort in sorted({row["cohort"] for row in rows}):
        size = cells[cohort, 0]["customers"]
        line = [Cell(t.month_short(cohort, year=True)), Cell(t.number(size), size)]
        for age in ages:
            row = cells.get((cohort, age))
            line.append(Cell("") if row is None else _cell(t, years, row, most, shares=shares))
        body.append(Row(tuple(line)))
    caption = (
        _("Share of each cohort that ordered, by months since its first order, in %")
        if shares
        else _("Customers of each cohort who ordered, by months since its first order")
    )
    note = _(
        "Cohorts and fields of fewer than %(n)s customers are not shown. The first cohorts of the "
        "data hold customers of earlier days too."
    ) % {"n": years.get("min_cell", 5)}
    return Table(caption, columns, tuple(body), note, kind="matrix")


def _cell(
    t: Tongue, years: Mapping[str, Any], row: Mapping[str, Any], most: float, *, shares: bool
) -> Cell:
    if row["active"] is None:
        return Cell(few(t, years, row), tone="muted")
    text = t.number(100 * row["retention"]) if shares else t.number(row["active"])
    value = row["retention"] if shares else row["active"]
    return Cell(text, value, weight=min(1.0, row["retention"] / most))

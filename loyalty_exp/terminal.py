"""Results as tables in a terminal. Formats only; what they say comes from the results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from loyalty_exp.measure.results import CampaignResult, EffectRow
    from loyalty_exp.segment.membership import SegmentRow
    from loyalty_exp.store.load import LoadReport

__all__ = ["effect_table", "load_table", "segment_table"]


def load_table(reports: Sequence[LoadReport]) -> None:
    """Print what each source gave: read = loaded + set aside + ignored."""
    table = Table("source", "read", "loaded", "set aside", "ignored", "changed", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for report in reports:
        counts = (report.rows_read, report.rows_loaded, report.rows_rejected, report.rows_ignored)
        name = f"{report.what}: {report.source}"
        if report.skipped:
            table.add_row(f"{name} (loaded before, nothing changed)", *[""] * 5)
        else:
            table.add_row(name, *(f"{count:,}" for count in (*counts, report.changed)))
    console = _console()
    console.print(table)
    for report in reports:
        for why in report.reasons:
            console.print(
                f"  {report.source}: {why.rows:,} set aside, {why.field}: {why.reason} "
                f"(first in line {why.first_line:,})",
                markup=False,
            )
        for reason, count in report.ignored_reasons:
            console.print(f"  {report.source}: {count:,} ignored: {reason}", markup=False)
        for note in report.notes:
            console.print(f"  {report.source}: {note}", markup=False)


def segment_table(rows: Sequence[SegmentRow], currency: str) -> None:
    """Print the sizes of the segments."""
    names = ("segment", "customers", "active", f"revenue 12 m ({currency})", "orders", "share")
    table = Table(*names, box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        share = "" if row.share is None else f"{row.share:.1%}"
        table.add_row(
            row.segment,
            f"{row.customers:,}",
            f"{row.active:,}",
            f"{row.revenue_12m:,.0f}",
            f"{row.orders_12m:,}",
            share,
        )
    _console().print(table)


def effect_table(result: CampaignResult) -> None:
    """Print the effects on the primary metric: each month, then cumulative, whole audience."""
    plan = result.plan
    console = _console()
    console.print(f"\n{plan.name} ({plan.campaign}), {plan.metric} per {plan.unit}", style="bold")
    if result.caveat:
        console.print(result.caveat)
    for deviation in result.deviations:
        console.print(f"edited after launch: {deviation}", markup=False)
    rows = [
        row
        for row in result.rows
        if row.metric == plan.metric and row.segment == "all" and row.wave == "all"
    ]
    if not rows:
        console.print("no month has begun yet")
        return
    names = ("month", "arm", "units", "mean", "against", "mean", "effect", "between", "relative")
    table = Table(*names, box=None)
    for place in (2, 3, 5, 6, 7, 8):
        table.columns[place].justify = "right"
    for row in rows:
        table.add_row(*_cells(row), style=None if row.closed else "dim")
    console.print(table)
    level = f"{rows[0].level:.0%}"
    console.print(
        f"Between: {level}, valid for all months and all looks together. "
        "A month in grey is still open."
    )
    for note in sorted({row.notes for row in rows if row.notes}):
        console.print(f"Note: {note}", markup=False)


def _cells(row: EffectRow) -> tuple[str, ...]:
    relative = "" if row.relative_effect is None else f"{row.relative_effect:+.1%}"
    low, high = row.simultaneous_ci_lower, row.simultaneous_ci_upper
    between = "not estimable" if low is None else f"{low:+,.2f} and {high:+,.2f}"
    return (
        row.month if row.closed else f"{row.month} open",
        row.arm,
        f"{row.n_treated:,}",
        _number(row.mean_treated),
        f"{row.against} ({row.n_holdout:,})",
        _number(row.mean_holdout),
        _number(row.effect_per_customer, "+"),
        between,
        relative,
    )


def _number(value: float | None, sign: str = "") -> str:
    return "not estimable" if value is None else f"{value:{sign},.2f}"


def _console() -> Console:
    return Console(width=None if Console().is_terminal else 140)

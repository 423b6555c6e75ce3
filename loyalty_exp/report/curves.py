"""Small multiples: two years of an indicator, one panel each, all alike.

Takes numbers and words ready to print; knows no result type.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from loyalty_exp.report.canvas import HALO, HEX, TEXT, data, domain_of, draw, number_axis

if TYPE_CHECKING:
    import altair as alt
    from markupsafe import Markup

    from loyalty_exp.report.canvas import Chart
    from loyalty_exp.report.tongue import Tongue

__all__ = ["YearsPanel", "two_years"]

_COLUMNS = 2
_WIDTH, _HEIGHT, _EXTENT = 226, 92, 74
_TITLE = 24
"""Characters of a title that a phone has room for."""
_WRITTEN = 3


@dataclass(frozen=True, slots=True)
class YearsPanel:
    """An indicator by month: last year and this year, None where there is no figure."""

    title: str
    money: bool
    before: Sequence[float | None]
    after: Sequence[float | None]


def two_years(
    t: Tongue,
    panels: Sequence[YearsPanel],
    months: Sequence[str],
    names: tuple[str, str],
    said: str,
) -> Markup:
    """This year's line over last year's, a panel for each indicator, its own scale from zero.

    Args:
        t: The page's language.
        panels: What is drawn; each of as many months as `months`.
        months: The months of this year.
        names: What last year and this year are called, written in the first panel.
        said: The picture in words.
    """
    drawn = [_panel(t, panel, months, names if i == 0 else None) for i, panel in enumerate(panels)]
    return draw(t, drawn, said, columns=_COLUMNS)


def _panel(
    t: Tongue, panel: YearsPanel, months: Sequence[str], names: tuple[str, str] | None
) -> Chart:
    import altair as alt  # noqa: PLC0415

    rows = [
        {"place": place, "before": before, "after": after}
        for place, (before, after) in enumerate(zip(panel.before, panel.after, strict=True))
    ]
    known = [v for v in (*panel.before, *panel.after) if v is not None and math.isfinite(v)]
    low, high = domain_of([0.0, *known])
    axis = number_axis(_format(high, panel.money), grid=True, count=3)
    axis.minExtent = axis.maxExtent = _EXTENT
    scale = alt.Scale(domain=[low, high * (1.25 if names else 1.0)], nice=False)

    def y(field: str) -> alt.Y:
        return alt.Y(field, scale=scale, axis=axis)

    base = alt.Chart(data(rows)).encode(x=_axis(t, months))
    layers = [
        base.mark_line(color=HEX["holdout"], strokeWidth=1.5, strokeDash=[4, 2]).encode(
            y=y("before:Q")
        ),
        base.mark_line(color=HEX["treated"], strokeWidth=2.5).encode(y=y("after:Q")),
    ]
    if names:
        layers += [
            _name(names[1], "treated", 0, "left"),
            _name(names[0], "holdout", _WIDTH, "right"),
        ]
    title = panel.title if len(panel.title) <= _TITLE else panel.title[: _TITLE - 1].rstrip() + "…"
    return alt.layer(*layers).properties(
        width=_WIDTH,
        height=_HEIGHT,
        title=alt.TitleParams(
            title, anchor="start", fontSize=TEXT, fontWeight="bold", color=HEX["ink"], offset=6
        ),
    )


def _format(high: float, money: bool) -> str:
    """The number format of a panel whose largest figure is `high`."""
    if high < 10:
        return "$,.2~f" if money else ",.2~f"
    return "$.3~s" if money else ".3~s"


def _axis(t: Tongue, months: Sequence[str]) -> alt.X:
    import altair as alt  # noqa: PLC0415

    every = max(1, math.ceil(len(months) / _WRITTEN))
    shown = list(range(0, len(months), every))
    labels = {place: t.month_short(months[place]) for place in shown}
    return alt.X(
        "place:O",
        scale=alt.Scale(domain=list(range(len(months))), type="point", padding=0.5),
        axis=alt.Axis(
            title=None,
            values=shown,
            labelExpr=json.dumps(labels) + "[datum.value]",
            labelAngle=0,
            labelFontSize=TEXT,
            labelColor=HEX["muted"],
            labelPadding=6,
            labelOverlap=False,
            domainColor=HEX["rule"],
            ticks=False,
            grid=False,
        ),
    )


def _name(text: str, tone: str, x: float, align: Literal["left", "right"]) -> alt.Chart:
    """The name of a line in its colour, at the head of the panel."""
    import altair as alt  # noqa: PLC0415

    mark = alt.Chart(data([{"text": text}])).mark_text(
        align=align, baseline="top", fontSize=TEXT, fontWeight="bold", color=HEX[tone], **HALO
    )
    label: alt.Chart = mark.encode(x=alt.value(x), y=alt.value(0), text="text:N")
    return label

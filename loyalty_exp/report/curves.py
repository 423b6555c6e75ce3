"""Lines: small multiples of two years, and curves with marks on them.

Takes numbers and words ready to print; knows no result type.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from loyalty_exp.report.canvas import (
    HALO,
    HEX,
    TEXT,
    WIDTH,
    data,
    domain_of,
    draw,
    money_format,
    number_axis,
    scale_of,
    zero_line,
)

if TYPE_CHECKING:
    import altair as alt
    from markupsafe import Markup

    from loyalty_exp.report.canvas import Chart
    from loyalty_exp.report.tongue import Tongue

__all__ = ["Curve", "Mark", "YearsPanel", "curve", "two_years"]

_COLUMNS = 2
_WIDTH, _HEIGHT, _EXTENT = 226, 112, 74
_TITLE = 24
"""Characters of a title that a phone has room for."""
_WRITTEN = 3
_CURVE, _HEAD = 260, 26
"""Height of a chart of curves, and of a line of words at its head."""


@dataclass(frozen=True, slots=True)
class YearsPanel:
    """An indicator by month: last year and this year, None where there is no figure."""

    title: str
    money: bool
    before: Sequence[float | None]
    after: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Curve:
    """A line: its name, its colour, its points, and where its name stands (a point's number).

    The name is above the line, or `below` it; a line alone needs none.
    """

    name: str
    tone: Literal["treated", "holdout", "loss", "ink"]
    points: Sequence[tuple[float, float]]
    named_at: int = 0
    dashed: bool = False
    below: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on the horizontal scale and its words."""

    place: float
    text: str


def curve(
    t: Tongue,
    lines: Sequence[Curve],
    marks: Sequence[Mark],
    *,
    numbers: tuple[str, str],
    said: str,
) -> Markup:
    """Lines over a scale of shares, with marked places.

    Args:
        t: The page's language.
        lines: What is drawn.
        marks: Places to see, each on a line of its own at the head of the chart.
        numbers: Formats of the horizontal and the vertical scale; "$" for money.
        said: The picture in words.
    """
    import altair as alt  # noqa: PLC0415

    low, high = domain_of([0.0, *(y for line in lines for _x, y in line.points)])
    head = _HEAD * len(marks) / _CURVE
    vertical = money_format(high) if numbers[1] == "$" else numbers[1]
    scale = scale_of(t, vertical, (low, high / (1 - head)))
    scale = replace(scale, upto=1.01 * max(y for line in lines for _x, y in line.points))
    places = [x for line in lines for x, _y in line.points]
    horizontal = number_axis(numbers[0], grid=False, count=5)
    horizontal.domainColor = HEX["rule"]

    def across(field: str) -> alt.X:
        domain = alt.Scale(domain=[min(places), max(places)], nice=False)
        return alt.X(field, scale=domain, axis=horizontal)

    layers = []
    for line in lines:
        rows = [{"x": x, "y": y} for x, y in line.points]
        base = alt.Chart(data(rows)).encode(x=across("x:Q"), y=scale.y("y:Q"))
        dash = [5, 3] if line.dashed else [1, 0]
        layers.append(base.mark_line(color=HEX[line.tone], strokeWidth=2.2, strokeDash=dash))
        if not line.name:
            continue
        x, y = line.points[line.named_at]
        late = x > (min(places) + max(places)) / 2
        name = alt.Chart(data([{"x": x, "y": y, "text": line.name}])).mark_text(
            align="right" if late else "left", dy=22 if line.below else -14, fontSize=TEXT,
            fontWeight="bold", color=HEX[line.tone], **HALO,
        )  # fmt: skip
        layers.append(name.encode(x=across("x:Q"), y=scale.y("y:Q"), text="text:N"))
    for number, mark in enumerate(marks):
        late = mark.place > (min(places) + max(places)) / 2
        base = alt.Chart(data([{"x": mark.place, "text": mark.text}])).encode(x=across("x:Q"))
        label = base.mark_text(
            align="right" if late else "left", dx=-6 if late else 6, dy=_HEAD * number,
            baseline="top", fontSize=TEXT, color=HEX["ink"], **HALO,
        )  # fmt: skip
        layers.append(base.mark_rule(color=HEX["ink"], strokeDash=[4, 3]))
        layers.append(label.encode(y=alt.value(0), text="text:N"))
    whole = alt.layer(*layers).properties(width=WIDTH - 30 - scale.extent, height=_CURVE)
    return draw(t, [whole], said)


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
        names: What last year and this year are called, written in the first panels.
        said: The picture in words.
    """
    this, last = (names[1], "treated"), (names[0], "holdout")
    told: list[Sequence[tuple[str, str]]] = (
        [(this,), (last,)] if len(panels) > 1 else [(this, last)]
    )
    told += [()] * (len(panels) - len(told))
    drawn = [_panel(t, panel, months, name) for panel, name in zip(panels, told, strict=True)]
    return draw(t, drawn, said, columns=_COLUMNS)


def _panel(
    t: Tongue, panel: YearsPanel, months: Sequence[str], names: Sequence[tuple[str, str]]
) -> Chart:
    import altair as alt  # noqa: PLC0415

    rows = [
        {"place": place, "before": before, "after": after}
        for place, (before, after) in enumerate(zip(panel.before, panel.after, strict=True))
    ]
    known = [v for v in (*panel.before, *panel.after) if v is not None and math.isfinite(v)]
    low, high = domain_of([0.0, *known])
    axis = number_axis(_format(high, panel.money), grid=True, count=2)
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
    if low < 0:
        layers.insert(0, zero_line())
    for number, (text, tone) in enumerate(names):
        layers.append(_name(text, tone, _WIDTH * number, "right" if number else "left"))
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
    if money:
        return money_format(high)
    return ",.2~f" if high < 10 else ".3~s"


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

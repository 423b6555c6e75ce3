"""Charts over months: effects with their band, cumulative money against cost.

Takes numbers and words ready to print; knows no result type. Drawn once for light, dark and
print: colours are classes that the style fills.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loyalty_exp.report.canvas import (
    HALO,
    HEX,
    TEXT,
    WIDTH,
    Scale,
    data,
    domain_of,
    draw,
    joined,
    marker,
    money_format,
    month_axis,
    scale_of,
    zero_line,
)

if TYPE_CHECKING:
    import altair as alt
    from markupsafe import Markup

    from loyalty_exp.report.canvas import Chart
    from loyalty_exp.report.tongue import Tongue

__all__ = ["BandPanel", "BandPoint", "MoneyPanel", "MoneyPoint", "money", "monthly"]

HEIGHT = 240
"""Height of a panel."""


@dataclass(frozen=True, slots=True)
class BandPoint:
    """A month: its estimate and simultaneous interval; `closed` fills the point."""

    month: str
    value: float
    lower: float | None
    upper: float | None
    closed: bool
    look: bool = False


@dataclass(frozen=True, slots=True)
class BandPanel:
    """One panel of monthly effects: an arm; `mark` is the month of the first conclusive look.

    `said` is the picture in words.
    """

    title: str
    said: str
    points: Sequence[BandPoint]
    mark: str | None = None
    mark_text: str = ""


@dataclass(frozen=True, slots=True)
class MoneyPoint:
    """Cumulative money at the end of a month."""

    month: str
    value: float
    lower: float | None
    upper: float | None
    cost: float
    closed: bool


@dataclass(frozen=True, slots=True)
class MoneyPanel:
    """One panel of cumulative margin against cost; the texts are of the last closed month.

    `mark` is the payback month; `said` the picture in words.
    """

    title: str
    said: str
    points: Sequence[MoneyPoint]
    value_text: str
    cost_text: str
    mark: str | None = None
    mark_text: str = ""


def monthly(t: Tongue, panels: Sequence[BandPanel], *, money: bool) -> Markup:
    """Effects by month with their simultaneous band, a drawing for each arm, one scale."""
    points = [point for panel in panels for point in panel.points]
    domain = domain_of([v for p in points for v in (p.value, p.lower, p.upper, 0.0)])
    scale = scale_of(t, "$,.2~f" if money else ",.3~f", domain)
    return joined(draw(t, [_band_panel(t, panel, scale)], panel.said) for panel in panels)


def _band_panel(t: Tongue, panel: BandPanel, scale: Scale) -> Chart:
    import altair as alt  # noqa: PLC0415

    rows = [
        {
            "month": p.month,
            "value": p.value,
            "lower": p.lower if p.lower is not None else p.value,
            "upper": p.upper if p.upper is not None else p.value,
            "closed": p.closed,
            "look": p.look,
        }
        for p in panel.points
    ]
    size = max(4, min(22, int(0.5 * 560 / max(len(rows), 1))))
    base = alt.Chart(data(rows)).encode(x=month_axis(t, [p.month for p in panel.points]))
    closed, opened = "datum.closed", "!datum.closed"
    span = base.encode(y=scale.y("lower:Q"), y2="upper:Q")
    layers: list[alt.Chart] = [
        zero_line(),
        span.transform_filter(closed).mark_bar(size=size, color=HEX["treated"], fillOpacity=0.22),
        span.transform_filter(opened).mark_bar(
            size=size, fill=HEX["paper"], fillOpacity=0, stroke=HEX["muted"], strokeDash=[3, 3]
        ),
        base.encode(y=scale.y("value:Q"))
        .transform_filter(closed)
        .mark_point(filled=True, fillOpacity=1, size=size * 4, color=HEX["treated"]),
        base.encode(y=scale.y("value:Q"))
        .transform_filter(opened)
        .mark_point(
            filled=True, fill=HEX["paper"], fillOpacity=1, stroke=HEX["muted"], size=size * 4
        ),
        base.transform_filter("datum.look")
        .encode(y=alt.value(HEIGHT - 7))
        .mark_point(shape="triangle-up", filled=True, fillOpacity=1, size=30, color=HEX["muted"]),
    ]
    if panel.mark:
        layers += marker(t, panel.mark, panel.mark_text, [p.month for p in panel.points])
    return _layered(layers, panel.title, scale.extent)


def money(t: Tongue, panels: Sequence[MoneyPanel]) -> Markup:
    """Cumulative margin with its interval against cumulative cost, a drawing for each arm."""
    points = [point for panel in panels for point in panel.points]
    domain = domain_of([v for p in points for v in (p.value, p.lower, p.upper, p.cost, 0.0)])
    scale = scale_of(t, money_format(max(map(abs, domain))), domain)
    return joined(draw(t, [_money_panel(t, panel, scale)], panel.said) for panel in panels)


def _money_panel(t: Tongue, panel: MoneyPanel, scale: Scale) -> Chart:
    import altair as alt  # noqa: PLC0415

    rows = [
        {
            "month": p.month,
            "value": p.value,
            "lower": p.lower if p.lower is not None else p.value,
            "upper": p.upper if p.upper is not None else p.value,
            "cost": p.cost,
            "closed": p.closed,
        }
        for p in panel.points
    ]
    months = [p.month for p in panel.points]
    base = alt.Chart(data(rows)).encode(x=month_axis(t, months))
    size = max(10, min(70, int(900 / max(len(rows), 1))))
    layers: list[alt.Chart] = [
        zero_line(),
        base.encode(y=scale.y("lower:Q"), y2="upper:Q").mark_area(
            color=HEX["treated"], fillOpacity=0.18
        ),
        base.encode(y=scale.y("cost:Q")).mark_line(
            color=HEX["loss"], strokeWidth=2, strokeDash=[6, 3], interpolate="step"
        ),
        base.encode(y=scale.y("value:Q")).mark_line(color=HEX["treated"], strokeWidth=2.5),
        base.encode(y=scale.y("value:Q"))
        .transform_filter("datum.closed")
        .mark_point(filled=True, fillOpacity=1, size=size, color=HEX["treated"]),
        base.encode(y=scale.y("value:Q"))
        .transform_filter("!datum.closed")
        .mark_point(filled=True, fill=HEX["paper"], fillOpacity=1, stroke=HEX["muted"], size=size),
    ]
    last = next((p for p in reversed(panel.points) if p.closed), panel.points[-1])
    shift = _apart(last.value, last.cost, scale.domain)
    layers += [
        _end_label(t, months, last.month, last.value, panel.value_text, scale, "treated", -shift),
        _end_label(t, months, last.month, last.cost, panel.cost_text, scale, "loss", shift),
    ]
    if panel.mark:
        layers += marker(t, panel.mark, panel.mark_text, months)
    return _layered(layers, panel.title, scale.extent)


def _apart(upper: float, lower: float, domain: tuple[float, float]) -> float:
    """Half the distance that keeps two end labels from touching; its sign says which is above."""
    pixels = (upper - lower) / (domain[1] - domain[0]) * HEIGHT
    reach = 14.0 if abs(pixels) > 28 else 14.0 + (28 - abs(pixels)) / 2
    return reach if pixels >= 0 else -reach


def _end_label(
    t: Tongue,
    months: Sequence[str],
    month: str,
    value: float,
    text: str,
    scale: Scale,
    tone: str,
    shift: float,
) -> alt.Chart:
    """A line's name at its last closed month, above or below it."""
    import altair as alt  # noqa: PLC0415

    late = list(months).index(month) >= len(months) / 2
    base = alt.Chart(data([{"month": month, "value": value, "text": text}]))
    mark = base.mark_text(
        align="right" if late else "left",
        dy=shift,
        dx=10 if late else -10,
        fontSize=TEXT,
        fontWeight="bold",
        color=HEX[tone],
        **HALO,
    )
    label: alt.Chart = mark.encode(x=month_axis(t, months), y=scale.y("value:Q"), text="text:N")
    return label


def _layered(layers: list[alt.Chart], title: str, extent: int) -> Chart:
    import altair as alt  # noqa: PLC0415

    chart = alt.layer(*layers).properties(width=WIDTH - 11 - extent, height=HEIGHT)
    if title:
        chart = chart.properties(
            title=alt.TitleParams(
                title, anchor="start", fontSize=TEXT, fontWeight="bold", color=HEX["ink"]
            )
        )
    return chart

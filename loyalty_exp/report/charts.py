"""Charts as SVG, drawn once for light, dark and print: colours are classes that the style fills.

Takes numbers and words ready to print; knows no result type. Altair builds the specification,
vl-convert draws it with the number signs of the page's language.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loyalty_exp.report.svg import COLOURS, tidy

if TYPE_CHECKING:
    import altair as alt
    from markupsafe import Markup

    from loyalty_exp.report.tongue import Tongue

    Chart = alt.Chart | alt.LayerChart | alt.FacetChart

__all__ = [
    "BandPanel",
    "BandPoint",
    "ForestRow",
    "MoneyPanel",
    "MoneyPoint",
    "WaterfallRow",
    "forest",
    "money",
    "monthly",
    "waterfall",
]

WIDTH = 640
"""Width of every chart in its own units; a page scales it to its column."""
_HEIGHT = 215
_TEXT = 13
_PHONE_CHARACTER = 12.0
"""Width of a character on a phone, where the style enlarges texts."""
_MONTHS_WRITTEN = 5
_LABEL = 34
"""Characters of a row's label that leave room for its figure on a phone."""
_HEX = {name: code for code, name in COLOURS.items()}
_HALO: dict[str, Any] = {"stroke": _HEX["paper"], "strokeWidth": 4}
"""Paper behind a text that may stand on a line; the style paints it under the letters."""


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
    """One panel of monthly effects: an arm; `mark` is the month of the first conclusive look."""

    title: str
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
    """One panel of cumulative margin against cost; `mark` is the payback month."""

    title: str
    points: Sequence[MoneyPoint]
    value_text: str
    cost_text: str
    mark: str | None = None
    mark_text: str = ""


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One line of a forest: label, figure in words, estimate with interval."""

    label: str
    text: str
    value: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class WaterfallRow:
    """One bar of a waterfall, from `start` to `end`; a total starts at zero."""

    label: str
    text: str
    start: float
    end: float
    total: bool = False


@dataclass(frozen=True, slots=True)
class _Scale:
    """The vertical scale of panels: number format, range, and width of its labels."""

    number: str
    domain: tuple[float, float]
    extent: int

    def y(self, field: str) -> alt.Y:
        """A field on this scale."""
        import altair as alt  # noqa: PLC0415

        axis = _axis(self.number, grid=True, count=5)
        axis.labelFlush = False
        axis.minExtent = self.extent
        axis.maxExtent = self.extent
        return alt.Y(field, scale=alt.Scale(domain=list(self.domain), nice=False), axis=axis)


def monthly(t: Tongue, panels: Sequence[BandPanel], *, money: bool, said: str) -> Markup:
    """Effects by month with their simultaneous band, a panel for each arm, one scale."""
    points = [point for panel in panels for point in panel.points]
    domain = _domain([v for p in points for v in (p.value, p.lower, p.upper, 0.0)])
    scale = _scale(t, "$,.2~f" if money else ",.3~f", domain)
    drawn = [_band_panel(t, panel, scale) for panel in panels]
    return _draw(t, drawn, said)


def _band_panel(t: Tongue, panel: BandPanel, scale: _Scale) -> Chart:
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
    base = alt.Chart(_data(rows)).encode(x=_month_axis(t, [p.month for p in panel.points]))
    closed, opened = "datum.closed", "!datum.closed"
    span = base.encode(y=scale.y("lower:Q"), y2="upper:Q")
    layers: list[alt.Chart] = [
        _zero(),
        span.transform_filter(closed).mark_bar(size=size, color=_HEX["treated"], fillOpacity=0.22),
        span.transform_filter(opened).mark_bar(
            size=size, fill=_HEX["paper"], fillOpacity=0, stroke=_HEX["muted"], strokeDash=[3, 3]
        ),
        base.encode(y=scale.y("value:Q"))
        .transform_filter(closed)
        .mark_point(filled=True, fillOpacity=1, size=size * 4, color=_HEX["treated"]),
        base.encode(y=scale.y("value:Q"))
        .transform_filter(opened)
        .mark_point(
            filled=True, fill=_HEX["paper"], fillOpacity=1, stroke=_HEX["muted"], size=size * 4
        ),
        base.transform_filter("datum.look")
        .encode(y=alt.value(208))
        .mark_point(shape="triangle-up", filled=True, fillOpacity=1, size=30, color=_HEX["muted"]),
    ]
    if panel.mark:
        layers += _marker(t, panel.mark, panel.mark_text, [p.month for p in panel.points])
    return _layered(layers, panel.title, scale.extent)


def money(t: Tongue, panels: Sequence[MoneyPanel], *, said: str) -> Markup:
    """Cumulative margin with its interval against cumulative cost, a panel for each arm."""
    points = [point for panel in panels for point in panel.points]
    domain = _domain([v for p in points for v in (p.value, p.lower, p.upper, p.cost, 0.0)])
    scale = _scale(t, "$,.0f", domain)
    drawn = [_money_panel(t, panel, scale) for panel in panels]
    return _draw(t, drawn, said)


def _money_panel(t: Tongue, panel: MoneyPanel, scale: _Scale) -> Chart:
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
    base = alt.Chart(_data(rows)).encode(x=_month_axis(t, months))
    size = max(10, min(70, int(900 / max(len(rows), 1))))
    layers: list[alt.Chart] = [
        _zero(),
        base.encode(y=scale.y("lower:Q"), y2="upper:Q").mark_area(
            color=_HEX["treated"], fillOpacity=0.18
        ),
        base.encode(y=scale.y("cost:Q")).mark_line(
            color=_HEX["loss"], strokeWidth=2, strokeDash=[6, 3], interpolate="step"
        ),
        base.encode(y=scale.y("value:Q")).mark_line(color=_HEX["treated"], strokeWidth=2.5),
        base.encode(y=scale.y("value:Q"))
        .transform_filter("datum.closed")
        .mark_point(filled=True, fillOpacity=1, size=size, color=_HEX["treated"]),
        base.encode(y=scale.y("value:Q"))
        .transform_filter("!datum.closed")
        .mark_point(
            filled=True, fill=_HEX["paper"], fillOpacity=1, stroke=_HEX["muted"], size=size
        ),
    ]
    last = panel.points[-1]
    shift = _apart(last.value, last.cost, scale.domain, 200)
    layers += [
        _end_label(t, months, last.value, panel.value_text, scale, "treated", -shift),
        _end_label(t, months, last.cost, panel.cost_text, scale, "loss", shift),
    ]
    if panel.mark:
        layers += _marker(t, panel.mark, panel.mark_text, months)
    return _layered(layers, panel.title, scale.extent)


def forest(t: Tongue, rows: Sequence[ForestRow], *, number: str, said: str) -> Markup:
    """One line a row: the label and the figure above, the estimate with its interval below."""
    import altair as alt  # noqa: PLC0415

    height = 46 * len(rows)
    domain = _domain([v for r in rows for v in (r.value, r.lower, r.upper, 0.0)])
    data = [
        {
            "y": 46 * i + 34,
            "label_y": 46 * i + 14,
            "label": _short_label(r.label),
            "text": r.text,
            "value": r.value,
            "lower": r.lower,
            "upper": r.upper,
            "tone": _tone(r),
        }
        for i, r in enumerate(rows)
    ]
    base = alt.Chart(_data(data))
    pixels = alt.Scale(domain=[0, height], range=[0, height])
    place = alt.Y("y:Q", axis=None, scale=pixels)
    lines = alt.Y("label_y:Q", axis=None, scale=pixels)
    scale = alt.Scale(domain=list(domain), nice=False)
    axis = _axis(number, grid=False, count=5)
    colour = alt.Color("tone:N", scale=None, legend=None)
    zero = alt.Chart(_data([{"zero": 0.0}])).mark_rule(color=_HEX["ink"], strokeDash=[2, 2])
    layers: list[alt.Chart] = [
        zero.encode(x=alt.X("zero:Q")),
        base.transform_filter("isValid(datum.lower) && isValid(datum.upper)")
        .mark_rule(strokeWidth=3)
        .encode(x=alt.X("lower:Q", scale=scale, axis=axis), x2="upper:Q", y=place, color=colour),
        base.transform_filter("isValid(datum.value)")
        .mark_point(filled=True, fillOpacity=1, size=80)
        .encode(x=alt.X("value:Q", scale=scale, axis=axis), y=place, color=colour),
        base.mark_text(align="left", fontSize=_TEXT, color=_HEX["ink"], **_HALO).encode(
            x=alt.value(0), y=lines, text="label:N"
        ),
        base.mark_text(align="right", fontSize=_TEXT, color=_HEX["ink"], **_HALO).encode(
            x=alt.value(620), y=lines, text="text:N"
        ),
    ]
    chart = alt.layer(*layers).properties(width=620, height=height)
    return _draw(t, [chart], said)


def waterfall(
    t: Tongue, rows: Sequence[WaterfallRow], *, number: str, said: str, broken: bool = False
) -> Markup:
    """Bars that start where the one before ended, and totals from zero: parts that add up.

    `broken` starts the scale near the smallest bar end, for small changes of large totals.
    """
    import altair as alt  # noqa: PLC0415

    height = 46 * len(rows)
    ends = [v for r in rows for v in ((r.end,) if broken and r.total else (r.start, r.end))]
    low, high = _domain([*ends, *(() if broken else (0.0,))])
    if broken:
        low = max(0.0, min(ends) - 0.25 * (max(ends) - min(ends)))
    data = [
        {
            "label_y": 46 * i + 12,
            "top": 46 * i + 22,
            "bottom": 46 * i + 40,
            "label": _short_label(r.label),
            "text": r.text,
            "start": max(r.start, low) if broken else r.start,
            "end": r.end,
            "tone": _HEX["ink"] if r.total else _HEX["gain" if r.end >= r.start else "loss"],
        }
        for i, r in enumerate(rows)
    ]
    base = alt.Chart(_data(data))
    place = alt.Scale(domain=[0, height], range=[0, height])
    axis = alt.X(
        "start:Q",
        scale=alt.Scale(domain=[low, high], nice=False),
        axis=_axis(number, grid=False, count=5),
    )
    zero = alt.Chart(_data([{"zero": 0.0}])).mark_rule(color=_HEX["ink"], strokeDash=[2, 2])
    line = alt.Y("label_y:Q", axis=None, scale=place)
    layers: list[alt.Chart] = [
        base.mark_rect(fillOpacity=0.85).encode(
            x=axis,
            x2="end:Q",
            y=alt.Y("top:Q", axis=None, scale=place),
            y2="bottom:Q",
            color=alt.Color("tone:N", scale=None, legend=None),
        ),
        *(() if low > 0 else (zero.encode(x=alt.X("zero:Q")),)),
        base.mark_text(align="left", fontSize=_TEXT, color=_HEX["ink"], **_HALO).encode(
            x=alt.value(0), y=line, text="label:N"
        ),
        base.mark_text(align="right", fontSize=_TEXT, color=_HEX["ink"], **_HALO).encode(
            x=alt.value(620), y=line, text="text:N"
        ),
    ]
    chart = alt.layer(*layers).properties(width=620, height=height)
    return _draw(t, [chart], said)


def _short_label(text: str) -> str:
    return text if len(text) <= _LABEL else text[: _LABEL - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def _tone(row: ForestRow) -> str:
    if row.lower is not None and row.lower > 0:
        return _HEX["gain"]
    if row.upper is not None and row.upper < 0:
        return _HEX["loss"]
    return _HEX["holdout"]


def _data(rows: list[dict[str, Any]]) -> alt.InlineData:
    import altair as alt  # noqa: PLC0415

    return alt.InlineData(values=rows)


def _domain(values: Sequence[float | None]) -> tuple[float, float]:
    """The range of the values with room around it."""
    finite = [v for v in values if v is not None and math.isfinite(v)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    room = 0.07 * (high - low) or 1.0
    return (low - room if low < 0 else low), (high + room if high > 0 else high)


def _axis(number: str, *, grid: bool, count: int) -> alt.Axis:
    import altair as alt  # noqa: PLC0415

    return alt.Axis(
        format=number,
        title=None,
        grid=grid,
        gridColor=_HEX["rule"],
        domain=False,
        ticks=False,
        labelFontSize=_TEXT,
        labelColor=_HEX["muted"],
        labelPadding=6,
        labelFlush=True,
        tickCount=count,
    )


def _scale(t: Tongue, number: str, domain: tuple[float, float]) -> _Scale:
    """The scale, its labels given room at the size a phone shows them."""
    currency = number.startswith("$")
    texts = [t.money(v, step=1.0) if currency else t.number(v, 2) for v in domain]
    return _Scale(number, domain, max(84, round(_PHONE_CHARACTER * max(map(len, texts)))))


def _month_axis(t: Tongue, months: Sequence[str]) -> alt.X:
    """Months in their order; a few are written, the first of each year with its year."""
    import altair as alt  # noqa: PLC0415

    every = max(1, math.ceil(len(months) / _MONTHS_WRITTEN))
    shown = list(months)[::every]
    first_of_year = {min(m for m in shown if m[:4] == year) for year in {m[:4] for m in shown}}
    labels = {m: t.month_short(m, year=m in first_of_year) for m in shown}
    return alt.X(
        "month:O",
        sort=None,
        scale=alt.Scale(domain=list(months), type="band", padding=0.1),
        axis=alt.Axis(
            title=None,
            values=shown,
            labelExpr=json.dumps(labels) + "[datum.value]",
            labelAngle=0,
            labelFontSize=_TEXT,
            labelColor=_HEX["muted"],
            labelPadding=6,
            domainColor=_HEX["rule"],
            ticks=False,
            grid=False,
            labelOverlap=False,
        ),
    )


def _zero() -> alt.Chart:
    import altair as alt  # noqa: PLC0415

    rule = alt.Chart(_data([{"zero": 0.0}])).mark_rule(color=_HEX["ink"], strokeWidth=1)
    zero: alt.Chart = rule.encode(y=alt.Y("zero:Q"))
    return zero


def _marker(t: Tongue, month: str, text: str, months: Sequence[str]) -> list[alt.Chart]:
    """A vertical rule at a month with its words on the side that has room."""
    import altair as alt  # noqa: PLC0415

    late = list(months).index(month) >= len(months) / 2 if month in months else False
    base = alt.Chart(_data([{"month": month, "text": text}])).encode(x=_month_axis(t, months))
    label = base.mark_text(
        align="right" if late else "left",
        dx=-6 if late else 6,
        fontSize=_TEXT,
        color=_HEX["ink"],
        baseline="top",
        **_HALO,
    )
    return [
        base.mark_rule(color=_HEX["ink"], strokeDash=[4, 3]),
        label.encode(y=alt.value(0), text="text:N"),
    ]


def _end_label(
    t: Tongue,
    months: Sequence[str],
    value: float,
    text: str,
    scale: _Scale,
    tone: str,
    shift: float,
) -> alt.Chart:
    """A line's name at its end, above or below it."""
    import altair as alt  # noqa: PLC0415

    base = alt.Chart(_data([{"month": months[-1], "value": value, "text": text}]))
    mark = base.mark_text(
        align="right", dy=shift, dx=10, fontSize=_TEXT, fontWeight="bold", color=_HEX[tone], **_HALO
    )
    label: alt.Chart = mark.encode(x=_month_axis(t, months), y=scale.y("value:Q"), text="text:N")
    return label


def _apart(upper: float, lower: float, domain: tuple[float, float], height: float) -> float:
    """Half the distance that keeps two end labels from touching; its sign says which is above."""
    pixels = (upper - lower) / (domain[1] - domain[0]) * height
    reach = 14.0 if abs(pixels) > 28 else 14.0 + (28 - abs(pixels)) / 2
    return reach if pixels >= 0 else -reach


def _layered(layers: list[alt.Chart], title: str, extent: int) -> Chart:
    import altair as alt  # noqa: PLC0415

    chart = alt.layer(*layers).properties(width=WIDTH - 11 - extent, height=_HEIGHT)
    if title:
        chart = chart.properties(
            title=alt.TitleParams(
                title, anchor="start", fontSize=_TEXT, fontWeight="bold", color=_HEX["ink"]
            )
        )
    return chart


def _draw(t: Tongue, charts: Sequence[Chart], text: str) -> Markup:
    """The charts one under the other as one SVG, its colours as classes, its text as label."""
    import altair as alt  # noqa: PLC0415
    import vl_convert  # noqa: PLC0415

    whole = charts[0] if len(charts) == 1 else alt.vconcat(*charts, spacing=18)
    whole = whole.configure(background="transparent", padding=2).configure_view(stroke=None)
    specification = whole.to_dict(validate=False)
    svg = vl_convert.vegalite_to_svg(specification, format_locale=_number_signs(t))
    return tidy(svg, text)


def _number_signs(t: Tongue) -> dict[str, Any]:
    """The number signs of the language for the axes, from its own locale data."""
    before, _, after = t.money(1.0, step=1.0).partition("1")
    return {
        "decimal": t.number(0.5, 1)[1],
        "thousands": t.number(1000)[1],
        "grouping": [3],
        "currency": [before, after],
        "minus": "\N{MINUS SIGN}",
        "percent": t.percent(0.1, 0).removeprefix("10"),
    }

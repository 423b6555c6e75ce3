"""Bars and ranges in rows: forests and waterfalls, a label and a figure above each.

Takes numbers and words ready to print; knows no result type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loyalty_exp.report.canvas import (
    HALO,
    HEX,
    TEXT,
    data,
    domain_of,
    draw,
    money_format,
    number_axis,
)

if TYPE_CHECKING:
    import altair as alt
    from markupsafe import Markup

    from loyalty_exp.report.tongue import Tongue

__all__ = ["ForestRow", "WaterfallRow", "forest", "waterfall"]

_ROW = 52
"""Height of a row."""
_LABEL = 34
"""Characters of a row's label that leave room for its figure on a phone."""


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


def forest(t: Tongue, rows: Sequence[ForestRow], *, said: str, number: str = "") -> Markup:
    """One line a row: the label and the figure above, the estimate with its interval below.

    `number` is the format of the axis where it is not money.
    """
    import altair as alt  # noqa: PLC0415

    height = _ROW * len(rows)
    ends = [v for r in rows for v in (r.value, r.lower, r.upper, 0.0)]
    domain = domain_of(ends, around=True)
    values = [
        {
            "y": _ROW * i + 38,
            "zero": 0.0,
            "top": _ROW * i + 25,
            "bottom": _ROW * i + 51,
            "label_y": _ROW * i + 14,
            "label": _short_label(r.label),
            "text": r.text,
            "value": r.value,
            "lower": r.lower,
            "upper": r.upper,
            "tone": _tone(r),
        }
        for i, r in enumerate(rows)
    ]
    base = alt.Chart(data(values))
    pixels = alt.Scale(domain=[0, height], range=[0, height])
    place = alt.Y("y:Q", axis=None, scale=pixels)
    lines = alt.Y("label_y:Q", axis=None, scale=pixels)
    scale = alt.Scale(domain=list(domain), nice=False)
    axis = number_axis(number or money_format(max(map(abs, domain))), grid=False, count=4)
    colour = alt.Color("tone:N", scale=None, legend=None)
    layers: list[alt.Chart] = [
        base.mark_rule(color=HEX["ink"], strokeDash=[2, 2]).encode(
            x=alt.X("zero:Q", scale=scale, axis=axis),
            y=alt.Y("top:Q", axis=None, scale=pixels),
            y2="bottom:Q",
        ),
        base.transform_filter("isValid(datum.lower) && isValid(datum.upper)")
        .mark_rule(strokeWidth=3)
        .encode(x=alt.X("lower:Q", scale=scale, axis=axis), x2="upper:Q", y=place, color=colour),
        base.transform_filter("isValid(datum.value)")
        .mark_point(filled=True, fillOpacity=1, size=80)
        .encode(x=alt.X("value:Q", scale=scale, axis=axis), y=place, color=colour),
        base.mark_text(align="left", fontSize=TEXT, color=HEX["ink"], **HALO).encode(
            x=alt.value(0), y=lines, text="label:N"
        ),
        base.mark_text(align="right", fontSize=TEXT, color=HEX["ink"], **HALO).encode(
            x=alt.value(620), y=lines, text="text:N"
        ),
    ]
    chart = alt.layer(*layers).properties(width=620, height=height)
    return draw(t, [chart], said)


def waterfall(
    t: Tongue, rows: Sequence[WaterfallRow], *, said: str, broken: bool = False
) -> Markup:
    """Bars that start where the one before ended, and totals from zero: parts that add up.

    `broken` starts the scale near the smallest bar end, for small changes of large totals, whose
    totals are then a mark each: a bar cut short would lie about its length.
    """
    import altair as alt  # noqa: PLC0415

    height = _ROW * len(rows)
    ends = [v for r in rows for v in ((r.end,) if broken and r.total else (r.start, r.end))]
    low, high = domain_of([*ends, *(() if broken else (0.0,))], around=True)
    if broken:
        low = max(0.0, low)
    values = [
        {
            "label_y": _ROW * i + 14,
            "top": _ROW * i + 27,
            "bottom": _ROW * i + 45,
            "label": _short_label(r.label),
            "text": r.text,
            "start": r.end - 0.006 * (high - low) if broken and r.total else r.start,
            "end": r.end,
            "tone": HEX["ink"] if r.total else HEX["gain" if r.end >= r.start else "loss"],
        }
        for i, r in enumerate(rows)
    ]
    base = alt.Chart(data(values))
    place = alt.Scale(domain=[0, height], range=[0, height])
    axis = alt.X(
        "start:Q",
        scale=alt.Scale(domain=[low, high], nice=False),
        axis=number_axis(money_format(max(abs(low), abs(high))), grid=False, count=4),
    )
    zero = alt.Chart(data([{"zero": 0.0}])).mark_rule(color=HEX["ink"], strokeDash=[2, 2])
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
        base.mark_text(align="left", fontSize=TEXT, color=HEX["ink"], **HALO).encode(
            x=alt.value(0), y=line, text="label:N"
        ),
        base.mark_text(align="right", fontSize=TEXT, color=HEX["ink"], **HALO).encode(
            x=alt.value(620), y=line, text="text:N"
        ),
    ]
    chart = alt.layer(*layers).properties(width=620, height=height)
    return draw(t, [chart], said)


def _short_label(text: str) -> str:
    """A label that fits: what comes before the last point is cut first, so that versions differ."""
    if len(text) <= _LABEL:
        return text
    name, point, version = text.rpartition(" · ")
    room = _LABEL - len(point + version)
    if room < 8:
        name, point, version, room = text, "", "", _LABEL
    return name[: room - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}" + point + version


def _tone(row: ForestRow) -> str:
    if row.lower is not None and row.lower > 0:
        return HEX["gain"]
    if row.upper is not None and row.upper < 0:
        return HEX["loss"]
    return HEX["holdout"]

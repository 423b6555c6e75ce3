"""What the charts share: type, colours, scales, axes, and the drawing of a specification as SVG.

Altair builds the specification, vl-convert draws it with the number signs of the page's language.
Knows no result type and no chart of its own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loyalty_exp.report.svg import COLOURS, tidy

if TYPE_CHECKING:
    import altair as alt
    from markupsafe import Markup

    from loyalty_exp.report.tongue import Tongue

    Chart = alt.Chart | alt.LayerChart | alt.FacetChart

__all__ = [
    "HALO",
    "HEX",
    "PHONE_CHARACTER",
    "TEXT",
    "WIDTH",
    "Scale",
    "data",
    "domain_of",
    "draw",
    "joined",
    "marker",
    "money_format",
    "month_axis",
    "number_axis",
    "scale_of",
    "zero_line",
]

WIDTH = 640
"""Width of every chart in its own units; a page scales it to its column."""
TEXT = 13
"""Size of all words of a chart, in its own units."""
PHONE_CHARACTER = 12.0
"""Width of a character on a phone, where the style enlarges texts."""
_MONTHS_WRITTEN = 5
HEX = {name: code for code, name in COLOURS.items()}
"""Code of each colour a chart may use, by the name under which the style fills it."""
_UNIT_BEFORE_SIGN = r"replace(datum.label, regexp('([kMG])\\s(\\S+)$'), '\u00a0$1$2')"
"""Where the currency stands after the figure, thousands are written 20 k€, not 20k €."""
HALO: dict[str, Any] = {"stroke": HEX["paper"], "strokeWidth": 4}
"""Paper behind a text that may stand on a line; the style paints it under the letters."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The vertical scale of panels: number format, range, width of its labels, last of them."""

    number: str
    domain: tuple[float, float]
    extent: int
    upto: float | None = None

    def y(self, field: str) -> alt.Y:
        """A field on this scale."""
        import altair as alt  # noqa: PLC0415

        axis = number_axis(self.number, grid=True, count=5, upto=self.upto)
        axis.labelFlush = False
        axis.minExtent = self.extent
        axis.maxExtent = self.extent
        return alt.Y(field, scale=alt.Scale(domain=list(self.domain), nice=False), axis=axis)


def data(rows: list[dict[str, Any]]) -> alt.InlineData:
    """Rows as the data of a chart."""
    import altair as alt  # noqa: PLC0415

    return alt.InlineData(values=rows)


def domain_of(values: Sequence[float | None], *, around: bool = False) -> tuple[float, float]:
    """The range of the values with room beyond them; `around` leaves some at zero too."""
    finite = [v for v in values if v is not None and math.isfinite(v)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    room = 0.07 * (high - low) or 1.0
    return (
        low - room if low < 0 or around else low,
        high + room if high > 0 or around else high,
    )


def number_axis(number: str, *, grid: bool, count: int, upto: float | None = None) -> alt.Axis:
    """An axis of numbers in a format of d3, about `count` of them written, none above `upto`."""
    import altair as alt  # noqa: PLC0415

    return alt.Axis(
        format=number,
        labelExpr=_UNIT_BEFORE_SIGN,
        values=alt.Undefined if upto is None else _ticks(upto, count),
        title=None,
        grid=grid,
        gridColor=HEX["rule"],
        domain=False,
        ticks=False,
        labelFontSize=TEXT,
        labelColor=HEX["muted"],
        labelPadding=6,
        labelFlush=True,
        tickCount=count,
    )


def _ticks(upto: float, count: int) -> list[float]:
    """About `count` round numbers from zero to `upto`."""
    rough = upto / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(n * power for n in (1, 2, 5, 10) if n * power >= rough * 0.999)
    return [step * i for i in range(math.floor(upto / step + 1e-9) + 1)]


def money_format(high: float) -> str:
    """The format of an axis of money whose largest figure is `high`: short, as a phone needs."""
    if high < 10:
        return "$,.2~f"
    return "$,.0f" if high < 10_000 else "$.3~s"


def scale_of(t: Tongue, number: str, domain: tuple[float, float]) -> Scale:
    """The scale, its labels given room at the size a phone shows them."""
    texts = [t.number(v, 2) for v in domain]
    if number.startswith("$"):
        short = 1000.0 if number.endswith("s") else 1.0
        texts = [t.money(v / short, step=1.0) for v in domain]
    return Scale(number, domain, max(84, round(PHONE_CHARACTER * max(map(len, texts)))))


def month_axis(t: Tongue, months: Sequence[str]) -> alt.X:
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
            labelFontSize=TEXT,
            labelColor=HEX["muted"],
            labelPadding=9,
            domainColor=HEX["rule"],
            ticks=False,
            grid=False,
            labelOverlap=False,
        ),
    )


def zero_line() -> alt.Chart:
    """The line at zero."""
    import altair as alt  # noqa: PLC0415

    rule = alt.Chart(data([{"zero": 0.0}])).mark_rule(color=HEX["ink"], strokeWidth=1)
    zero: alt.Chart = rule.encode(y=alt.Y("zero:Q"))
    return zero


def marker(t: Tongue, month: str, text: str, months: Sequence[str]) -> list[alt.Chart]:
    """A vertical rule at a month with its words on the side that has room."""
    import altair as alt  # noqa: PLC0415

    late = list(months).index(month) >= len(months) / 2 if month in months else False
    base = alt.Chart(data([{"month": month, "text": text}])).encode(x=month_axis(t, months))
    label = base.mark_text(
        align="right" if late else "left",
        dx=-6 if late else 6,
        fontSize=TEXT,
        color=HEX["ink"],
        baseline="top",
        **HALO,
    )
    return [
        base.mark_rule(color=HEX["ink"], strokeDash=[4, 3]),
        label.encode(y=alt.value(0), text="text:N"),
    ]


def draw(t: Tongue, charts: Sequence[Chart], text: str, *, columns: int = 1) -> Markup:
    """The charts in columns as one SVG, its colours as classes, its text as label."""
    import altair as alt  # noqa: PLC0415
    import vl_convert  # noqa: PLC0415

    whole: Any = charts[0]
    if len(charts) > 1:
        whole = alt.concat(*charts, columns=columns, spacing=18)
    whole = whole.configure(background="transparent", padding=2).configure_view(stroke=None)
    specification = whole.to_dict(validate=False)
    svg = vl_convert.vegalite_to_svg(specification, format_locale=_number_signs(t))
    return tidy(svg, text)


def joined(drawings: Iterable[Markup]) -> Markup:
    """Drawings one under the other; a printed page may end between them."""
    from markupsafe import Markup  # noqa: PLC0415

    return Markup("\n").join(drawings)


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

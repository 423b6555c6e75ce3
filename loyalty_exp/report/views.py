"""What a template may use: every field of every page, in words ready to print. Computes nothing.

All texts are in the page's language and escaped by the template; only `Figure.svg` is markup,
drawn by `charts`. Anchors are ASCII and unique on a page.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = [
    "Cell",
    "Column",
    "Figure",
    "Fold",
    "Foot",
    "KeyFigure",
    "Link",
    "Notice",
    "Page",
    "Row",
    "Section",
    "Sentence",
    "Step",
    "Table",
    "VerdictLine",
]


@dataclass(frozen=True, slots=True)
class Link:
    """A link of the navigation; `current` marks the page being read."""

    text: str
    href: str
    current: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its text, the number it sorts by, where it links, and its tone.

    `tone` is "", "gain", "loss", "muted" or "strong": colour that never carries meaning alone.
    `weight` between 0 and 1 shades the cell of a heatmap.
    """

    text: str
    value: float | None = None
    href: str = ""
    tone: str = ""
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One row; the first cell is its header. `tone` "holdout" or "total" sets it apart."""

    cells: tuple[Cell, ...]
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading, the unit under it, and whether it holds numbers."""

    label: str
    unit: str = ""
    numeric: bool = True
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its caption, columns and rows, and a note under it.

    `caption_hidden` keeps a caption that repeats the title above it for screen readers only.
    `kind` "matrix" is a table of many narrow columns: small type, headings that stand upright.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    note: str = ""
    caption_hidden: bool = False
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart: the finding as title, what is drawn and its unit, the drawing, how to read it.

    `title` has a line for each arm where their findings differ.
    `alt` says in words what the picture says; `table` holds its figures, one click away.
    """

    anchor: str
    title: str
    subtitle: str
    svg: Markup
    caption: str
    table: Table | None


@dataclass(frozen=True, slots=True)
class Sentence:
    """A check as a sentence: its status word, its text, and what to do about it.

    `status` is "failed", "warning", "passed" or "not_applicable".
    """

    status: str
    label: str
    title: str
    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the flow: what, how many, the share of the first step and what it is a share of.

    `share` (of the first step, between 0 and 1) is the length of its bar, None where it has no
    meaning; `share_text` may be of the step above. `level` indents what a step splits in.
    """

    label: str
    count: str
    share: float | None
    share_text: str
    level: int = 0


@dataclass(frozen=True, slots=True)
class Fold:
    """A part folded at first: a summary line, then sentences, ordered steps, facts and tables.

    `recipe` are numbered steps; `formulas` are lines set in a fixed type, each with its meaning;
    `facts` are pairs of a name and its value; `code` is a text kept as it is.
    """

    title: str
    paragraphs: tuple[str, ...] = ()
    recipe: tuple[str, ...] = ()
    formulas: tuple[tuple[str, str], ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()
    code: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a page, in the order it is read: sentences, charts, checks, flow, tables, folds.

    `points` are sentences of equal weight; `actions` are numbered: what to do next. `asides` are
    small-type sentences after the tables.
    """

    anchor: str
    title: str
    paragraphs: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    sentences: tuple[Sentence, ...] = ()
    flow: tuple[Step, ...] = ()
    tables: tuple[Table, ...] = ()
    asides: tuple[str, ...] = ()
    folds: tuple[Fold, ...] = ()


@dataclass(frozen=True, slots=True)
class VerdictLine:
    """A verdict sentence in the largest type, the word of the decision, and its kind.

    `kind` is a `VerdictKind` value, or "mixed" for a page over several campaigns.
    `advice` says under it, in smaller type, why or what to do.
    """

    text: str
    decision: str
    kind: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """One of at most four figures under the verdict: name, figure, interval, unit and period."""

    label: str
    value: str
    interval: str
    detail: str


@dataclass(frozen=True, slots=True)
class Notice:
    """What must not be overlooked: a caveat about the data, a deviation, a failed check.

    `kind` is "caveat", "deviation" or "failed".
    """

    kind: str
    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Foot:
    """Where the figures come from: facts as pairs, the command, and one line for print."""

    facts: tuple[tuple[str, str], ...]
    command: str
    line: str


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page. `name` is its file name; `title` the browser's; `heading` the page's own.

    `kind` is "index", "roi", "campaign", "years", "methods" or "plan".

    `eyebrow` says where one is (project, dates); `standfirst` what was tried (the hypothesis);
    `explained` says once what "customers left out on purpose" means.
    """

    name: str
    kind: str
    language: str
    title: str
    eyebrow: str
    heading: str
    standfirst: str
    notices: tuple[Notice, ...]
    verdicts: tuple[VerdictLine, ...]
    key_figures: tuple[KeyFigure, ...]
    explained: str
    sections: tuple[Section, ...]
    foot: Foot
    nav: tuple[Link, ...] = field(default=())

"""Finds the columns that a declaration names in a source's header, and reads formulas over them.

Columns are found by name, never by position: letter case, accents and spaces do not count.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loyalty_exp.errors import DataError
from loyalty_exp.store.queries import parse

if TYPE_CHECKING:
    from sqlglot import expressions as sg

__all__ = ["Formula", "Header", "normalised", "plain_word", "read_formula", "safe_names"]

MAX_FORMULA = 500
_OPERATORS = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/"}


def _looks_like_data(name: str) -> bool:
    """Whether a header's cell is rather a row's: it must then not be shown."""
    digits = sum(character.isdigit() for character in name)
    return digits * 2 > len(name) or len(name) > 60 or "@" in name or not name.isprintable()


def normalised(name: str) -> str:
    """A column's name without letter case, accents, spaces and punctuation: 'N° Réf' is 'nref'."""
    bare = unicodedata.normalize("NFKD", name.casefold())
    kept = "".join(char for char in bare if char.isalnum())
    return kept or name.strip()


def plain_word(word: str) -> str:
    """A word without letter case and accents: 'À régler' is 'a regler'."""
    bare = unicodedata.normalize("NFKD", word.strip().lower())
    return "".join(char for char in bare if not unicodedata.combining(char))


def safe_names(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """Names that every engine takes as identifiers, one for each name given and all different.

    Args:
        names: names as written in a header.
        taken: identifiers that must not be used again.
    """
    used, safe = set(taken), []
    for name in names:
        bare = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
        base = re.sub(r"[^a-z0-9]+", "_", bare).strip("_")[:55] or "column"
        base = f"c_{base}" if base[0].isdigit() else base
        candidate, number = base, 2
        while candidate in used:
            candidate, number = f"{base}_{number}", number + 1
        used.add(candidate)
        safe.append(candidate)
    return safe


@dataclass(frozen=True, slots=True)
class Header:
    """The columns of a source, and the name to show for it in messages."""

    source: str
    names: tuple[str, ...]

    def find(self, wanted: str) -> str | None:
        """The column of that name, written exactly so or in another way; None when absent.

        Raises:
            DataError: several columns answer to the name.
        """
        if wanted in self.names:
            return wanted
        key = normalised(wanted)
        found = [name for name in self.names if normalised(name) == key]
        if len(found) > 1:
            listed = " and ".join(f'"{name}"' for name in found[:3])
            raise DataError(f'{self.source}: "{wanted}" may be {listed}; write the name exactly')
        return found[0] if found else None

    def nearest(self, wanted: str) -> str | None:
        """The column whose name is closest, or None when none is close."""
        keys = {normalised(name): name for name in self.names}
        close = difflib.get_close_matches(normalised(wanted), list(keys), n=1, cutoff=0.5)
        return keys[close[0]] if close else None

    def missing(self, wanted: str, field: str) -> DataError:
        """The error that says a column is not there, and what is."""
        close = self.nearest(wanted)
        if close is not None:
            help_ = f'; did you mean "{close}"?'
        elif any(map(_looks_like_data, self.names)):
            help_ = "; its first line holds data, not the names of columns"
        else:
            shown = ", ".join(f'"{name}"' for name in self.names[:12])
            more = f" and {len(self.names) - 12} more" if len(self.names) > 12 else ""
            help_ = f"; its columns are {shown}{more}"
        return DataError(f'{self.source}: no column "{wanted}" for {field}{help_}')


@dataclass(frozen=True, slots=True)
class Formula:
    """One column of a source, or arithmetic over several."""

    columns: tuple[str, ...]
    tree: sg.Expr | None = None
    """None for a plain column."""

    def amount(self, read: Callable[[str], str]) -> str:
        """The formula in the engine's words.

        Args:
            read: gives the text that reads one column as a number.
        """
        if self.tree is None:
            return read(self.columns[0])
        return _written(self.tree, dict(zip(self.columns, map(read, self.columns), strict=True)))


def read_formula(text: str, header: Header, field: str, *, optional: Sequence[str] = ()) -> Formula:
    """A declared column: a name of the header, or arithmetic over such names.

    Args:
        text: `Montant HT`, or `quantity * price`, or `"Unit price" * quantity - discount`.
        header: the columns of the source.
        field: what the column is for, named in errors.
        optional: columns that count as 0 when the header lacks them.

    Raises:
        DataError: a column is missing, or the text holds more than columns, numbers, + - * /
            and parentheses.
    """
    found = header.find(text)
    if found is not None:
        return Formula((found,))
    tree = _parsed(text)
    if tree is None or type(tree).__name__ not in {*_OPERATORS, "Paren", "Neg"}:
        raise header.missing(text, field)
    columns: dict[str, None] = {}
    tree = _checked(tree, header, field, columns, {normalised(name) for name in optional})
    if not columns:
        raise DataError(f'{header.source}: "{text}" for {field} names no column')
    return Formula(tuple(columns), tree)


def _parsed(text: str) -> sg.Expr | None:
    import sqlglot  # noqa: PLC0415  (heavy, and formulas are rare)

    if len(text) > MAX_FORMULA:
        return None
    try:
        return sqlglot.parse_one(text, dialect="duckdb")
    except (sqlglot.errors.SqlglotError, RecursionError):
        return None


def _checked(
    node: sg.Expr,
    header: Header,
    field: str,
    columns: dict[str, None],
    optional: set[str],
) -> sg.Expr:
    """The node with its columns as the header writes them; only arithmetic passes."""
    from sqlglot import expressions as sg  # noqa: PLC0415

    if isinstance(node, sg.Column) and isinstance(node.this, sg.Identifier) and not node.table:
        found = header.find(node.name)
        if found is None and normalised(node.name) in optional:
            return sg.Literal.number(0)
        if found is None:
            raise header.missing(node.name, field)
        columns[found] = None
        return sg.column(found, quoted=True)
    if isinstance(node, sg.Literal) and not node.is_string:
        return sg.Literal.number(repr(float(node.name)))
    if isinstance(node, (sg.Paren, sg.Neg)):
        return type(node)(this=_checked(node.this, header, field, columns, optional))
    if type(node).__name__ in _OPERATORS:
        left = _checked(node.this, header, field, columns, optional)
        right = _checked(node.expression, header, field, columns, optional)
        return type(node)(this=left, expression=right)
    raise DataError(
        f"{header.source}: the formula for {field} may hold columns, numbers, + - * / and "
        "parentheses only"
    )


def _written(node: sg.Expr, read: Mapping[str, str]) -> str:
    kind = type(node).__name__
    if kind == "Column":
        return f"({read[node.name]})"
    if kind == "Literal":
        return f"CAST({parse.literal(node.name)} AS DOUBLE)"
    if kind == "Paren":
        return f"({_written(node.this, read)})"
    if kind == "Neg":
        return f"(-{_written(node.this, read)})"
    left, right = _written(node.this, read), _written(node.expression, read)
    if kind == "Div":
        right = f"nullif({right}, 0)"
    return f"({left} {_OPERATORS[kind]} {right})"

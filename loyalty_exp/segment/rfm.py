"""The RFM grid: 125 cells of recency, frequency and monetary scores, 11 names. Holds no statement.

The cells are those of `rfm_grid.csv`; every triple of scores 1 to 5 has one name.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Mapping
from importlib import resources
from typing import Any

import sqlalchemy as sa

__all__ = ["NAMES", "french_names", "grid", "name_of_letter", "rfm_letter", "rfm_name"]

NAMES = (
    "Champions",
    "Loyal",
    "Potential Loyalist",
    "New Customers",
    "Promising",
    "Need Attention",
    "About To Sleep",
    "At Risk",
    "Cannot Lose Them",
    "Hibernating",
    "Lost",
)
"""The 11 names, from the best customers to those who left."""

_LETTERS = "ABCDEFGHIJK"


@functools.cache
def _rows() -> tuple[dict[str, str], ...]:
    with resources.files(__package__).joinpath("rfm_grid.csv").open(encoding="utf-8") as file:
        return tuple(csv.DictReader(file))


@functools.cache
def grid() -> Mapping[tuple[int, int, int], str]:
    """Name of each cell: (r, f, m), scores 1 to 5, 5 the best, to one of `NAMES`."""
    return {(int(row["r"]), int(row["f"]), int(row["m"])): row["segment_en"] for row in _rows()}


@functools.cache
def french_names() -> Mapping[str, str]:
    """French name of each of `NAMES`."""
    return {row["segment_en"]: row["segment_fr"] for row in _rows()}


def rfm_name(
    r: sa.ColumnElement[Any], f: sa.ColumnElement[Any], m: sa.ColumnElement[Any]
) -> sa.ColumnElement[str]:
    """Name of the cell of three scores, as an expression of every engine."""
    return name_of_letter(rfm_letter(r, f, m))


def rfm_letter(
    r: sa.ColumnElement[Any], f: sa.ColumnElement[Any], m: sa.ColumnElement[Any]
) -> sa.ColumnElement[str]:
    """A letter for the name of the cell of three scores.

    A text of 125 letters holds the grid, a letter a name; the scores give the place in it.
    """
    letters = dict(zip(NAMES, _LETTERS, strict=True))
    text = "".join(letters[grid()[cell]] for cell in sorted(grid()))
    place = (r - 1) * 25 + (f - 1) * 5 + m
    return sa.func.substr(sa.literal(text, sa.Text), place, 1, type_=sa.Text)


def name_of_letter(letter: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    """The name that `rfm_letter` stands for; one comparison a name."""
    return sa.case(dict(zip(_LETTERS, NAMES, strict=True)), value=letter)

"""Knows the order exports of shops and invoicing tools; reads no row.

What is verified and what is inferred is said in docs/presets.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loyalty_exp.errors import DataError
from loyalty_exp.store.columns import Header
from loyalty_exp.store.queries.load import Field, Sale

__all__ = ["Match", "match_preset"]


@dataclass(frozen=True, slots=True)
class Match:
    """What a preset makes of a header."""

    fields: tuple[Field, ...] = ()
    given: frozenset[str] = frozenset()
    sale: Sale | None = None
    markers: tuple[str, ...] = ()
    month_first: bool = False


def match_preset(preset: str, header: Header, declared: Mapping[Any, str]) -> Match:  # noqa: ARG001
    """The fields of an export.

    Raises:
        DataError: the header is none that the preset knows.
    """
    raise DataError(f"{header.source}: preset {preset} is not known")

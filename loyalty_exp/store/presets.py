"""Knows the order exports of shops and invoicing tools; reads no row.

What is verified and what is inferred is said in docs/presets.md.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from loyalty_exp.errors import DataError
from loyalty_exp.store.columns import Formula, Header, plain_word, read_formula
from loyalty_exp.store.queries.load import Field, Sale

__all__ = ["Match", "match_preset", "status_words"]

_KINDS = {"ordered_at": "moment", "revenue": "amount", "currency": "currency"}


@dataclass(frozen=True, slots=True)
class Match:
    """What a preset makes of a header."""

    fields: tuple[Field, ...] = ()
    sale: Sale | None = None
    markers: tuple[str, ...] = ()
    month_first: bool = False


@functools.cache
def _exports() -> tuple[Mapping[str, Any], ...]:
    text = resources.files("loyalty_exp.store").joinpath("presets.toml").read_text("utf-8")
    return tuple(tomllib.loads(text)["export"])


@functools.cache
def status_words() -> tuple[str, ...]:
    """Every status that some export uses: words that may be shown, for they are no one's data."""
    words = {
        word
        for export in _exports()
        for key in ("sales", "others", "credits")
        for word in export.get(key, ())
    }
    return tuple(sorted(words))


def match_preset(preset: str, header: Header, declared: Mapping[Any, str]) -> Match:
    """The fields of an export, but for those that are declared.

    Args:
        preset: shopify, woocommerce, prestashop or sellsy.
        header: the columns of the file.
        declared: columns declared beside the preset, which go first.

    Raises:
        DataError: the header is none of the preset's, or the export lacks what is needed.
    """
    export = _recognised(preset, header)
    for field, advice in export.get("refused", {}).items():
        if field not in declared and not _found(header, export["columns"].get(field, ())):
            raise DataError(f"{header.source}: no {field}: {advice}")
    optional = frozenset(export.get("zero_if_blank", ()))
    fields = [
        Field("customer" if name == "customer_id" else name, _KINDS.get(name, "id"), formula)
        for name, formula in _plain(export, header, declared)
    ]
    if "revenue" in export and "revenue" not in declared:
        formula = read_formula(export["revenue"], header, "revenue", optional=tuple(optional))
        blanks = frozenset(column for name in optional if (column := header.find(name)))
        fields.append(
            Field("revenue", "amount", formula, optional=blanks, refund=_refund(export, header))
        )
    return Match(
        fields=tuple(fields),
        sale=_sale(export, header),
        markers=tuple(_found(header, export.get("markers", ()))),
        month_first=bool(export.get("month_first", False)),
    )


def _recognised(preset: str, header: Header) -> Mapping[str, Any]:
    """The export whose columns the header has."""
    missing: dict[str, list[str]] = {}
    for export in (each for each in _exports() if each["preset"] == preset):
        wanted = [[name] if isinstance(name, str) else name for name in export["signature"]]
        missing[export["title"]] = [names[0] for names in wanted if not _found(header, names)]
        if not missing[export["title"]]:
            return export
    title, columns = min(missing.items(), key=lambda item: len(item[1]))
    first = columns[0]
    close = header.nearest(first)
    hint = f'; did you mean "{close}"?' if close else ""
    others = f" (and {len(columns) - 1} other columns)" if len(columns) > 1 else ""
    raise DataError(f'{header.source}: {title} has a column "{first}"{others}, this file not{hint}')


def _found(header: Header, names: Sequence[str]) -> list[str]:
    return [column for name in names if (column := header.find(name)) is not None]


def _plain(
    export: Mapping[str, Any], header: Header, declared: Mapping[Any, str]
) -> list[tuple[str, Formula]]:
    """Fields that are one column, or the first filled of several."""
    plain = []
    for name, candidates in export["columns"].items():
        found = _found(header, candidates)
        if name in declared or (name == "currency" and not found):
            continue
        if not found:
            raise header.missing(candidates[0], name)
        several = tuple(found) if name == "customer_id" else (found[0],)
        plain.append((name, Formula(several)))
    return plain


def _refund(export: Mapping[str, Any], header: Header) -> tuple[str, str] | None:
    """Columns of what was paid back, and of the total that it is a part of."""
    if "refund" not in export:
        return None
    refunded, total = header.find(export["refund"]), header.find(export["refund_of"])
    return (refunded, total) if refunded is not None and total is not None else None


def _sale(export: Mapping[str, Any], header: Header) -> Sale | None:
    """What makes a sale in that export."""
    columns = _found(header, export.get("status", ()))
    if not columns:
        return None
    cancelled = header.find(export["cancelled"]) if "cancelled" in export else None
    return Sale(
        column=columns[0],
        sales=tuple(map(plain_word, export["sales"])),
        others=tuple(map(plain_word, export["others"])),
        credits=tuple(map(plain_word, export.get("credits", ()))),
        cancelled=cancelled,
    )

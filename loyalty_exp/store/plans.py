"""From a declared source and its header to the plan of how its rows are read. Reads no row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from loyalty_exp.declare.sources import CostsSource, Exposures, Orders
from loyalty_exp.errors import DataError
from loyalty_exp.store.columns import Header, plain_word, read_formula
from loyalty_exp.store.presets import Match, match_preset, status_words
from loyalty_exp.store.queries.load import Field, Plan, Sale

__all__ = ["costs_plan", "exposures_plan", "orders_plan"]

_ORDER_FIELDS = {
    "order_id": "id",
    "customer_id": "id",
    "ordered_at": "moment",
    "revenue": "amount",
    "margin": "amount",
    "channel": "text",
    "currency": "currency",
}
_OURS = {"customer_id": "customer"}


def _fields(
    kinds: Mapping[str, str],
    needed: frozenset[str],
    declared: Mapping[Any, str],
    header: Header,
    table: str,
) -> list[Field]:
    """The fields of a source: as declared, else under their own name.

    A field that is not needed is looked for under its own name only when nothing is declared.
    """
    fields = []
    for name, kind in kinds.items():
        wanted = declared.get(name)
        if wanted is None and (name in needed or not declared):
            wanted = name if name in needed or header.find(name) else None
        if wanted is None:
            continue
        formula = read_formula(wanted, header, f"{name} of [data.{table}]")
        if formula.tree is not None and kind != "amount":
            raise DataError(
                f"{header.source}: {name} must be one column; only amounts may be formulas"
            )
        required = name in needed or name == "margin"
        fields.append(Field(_OURS.get(name, name), kind, formula, required))
    return fields


_BESIDE = "What columns names goes before what the preset knows: take out of columns what it knows"


def orders_plan(
    declared: Orders,
    header: Header,
    *,
    project_timezone: str,
    currency: str,
    margin_rate: float | None,
) -> Plan:
    """The plan of a source of orders.

    Raises:
        DataError: a column is missing, the preset does not fit, or there is no margin.
    """
    needed = frozenset({"order_id", "customer_id", "ordered_at", "revenue"})
    columns: Mapping[str, str] = {str(name): text for name, text in declared.columns.items()}
    match = Match()
    if declared.preset is None:
        fields = _fields(_ORDER_FIELDS, needed, columns, header, "orders")
    else:
        match = match_preset(declared.preset, header, columns)
        beside = {name: kind for name, kind in _ORDER_FIELDS.items() if name in columns}
        try:
            fields = _fields(beside, needed & set(beside), columns, header, "orders")
        except DataError as error:
            raise DataError(f"{error}\n{_BESIDE}") from error
        fields += match.fields
    if margin_rate is None and all(field.name != "margin" for field in fields):
        raise DataError(
            f"{header.source}: no margin: declare margin_rate under [project], or "
            'columns = { margin = "..." } under [data.orders]'
        )
    return Plan(
        what="orders",
        fields=tuple(fields),
        zone=declared.timezone or project_timezone,
        project_zone=project_timezone,
        currency=currency,
        margin_rate=margin_rate,
        lines=declared.lines,
        sale=_sale(declared, header, match.sale),
        markers=match.markers,
        month_first=match.month_first,
    )


def _sale(declared: Orders, header: Header, preset: Sale | None) -> Sale | None:
    """What makes a sale: the declared statuses, else those of the preset."""
    statuses = tuple(map(plain_word, declared.statuses))
    wanted = declared.columns.get("status")
    if wanted is None and preset is None and not statuses:
        return None
    if wanted is None and preset is not None:
        column = preset.column
    else:
        found = read_formula(wanted or "status", header, "status of [data.orders]")
        column = found.columns[0]
    if statuses:
        cancelled = preset.cancelled if preset is not None else None
        return Sale(column, statuses, shown=status_words(), cancelled=cancelled)
    return None if preset is None else replace(preset, column=column)


def exposures_plan(
    declared: Exposures, header: Header, *, project_timezone: str, currency: str
) -> Plan:
    """The plan of a log of contacts.

    Raises:
        DataError: a column is missing.
    """
    kinds = {"campaign": "text", "customer_id": "id", "at": "moment", "kind": "word"}
    needed = frozenset({"customer_id", "at"})
    fields = _fields({**kinds, "cost": "amount"}, needed, declared.columns, header, "exposures")
    return Plan(
        what="exposures",
        fields=tuple(fields),
        zone=declared.timezone or project_timezone,
        project_zone=project_timezone,
        currency=currency,
    )


def costs_plan(
    declared: CostsSource, header: Header, *, project_timezone: str, currency: str
) -> Plan:
    """The plan of a ledger of costs.

    Raises:
        DataError: a column is missing.
    """
    kinds = {"campaign": "id", "arm": "text", "day": "day", "kind": "word", "amount": "amount"}
    needed = frozenset({"campaign", "day", "amount"})
    return Plan(
        what="costs",
        fields=tuple(_fields(kinds, needed, declared.columns, header, "costs")),
        zone=project_timezone,
        project_zone=project_timezone,
        currency=currency,
    )

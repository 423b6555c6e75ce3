"""What a rule has become once read: a small tree, and the SQLAlchemy condition it stands for.

Every literal becomes a bound parameter; the condition means the same on every engine.
"""

from __future__ import annotations

import datetime as dt
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from loyalty_exp.declare.features import Kind
from loyalty_exp.declare.words import Word

if TYPE_CHECKING:
    import sqlalchemy as sa

__all__ = ["Known", "Node", "condition"]

Known = Kind | Literal["any"]


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a rule's tree: what it does, to what, and the kind of value it gives."""

    does: str
    parts: tuple[Node, ...] = ()
    value: str | int | float | bool | dt.date | None = None
    kind: Known = "any"
    word: Word | None = field(default=None, compare=False)
    depth: int = field(default=0, compare=False)


_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<>": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}

Columns = Mapping[str, "sa.ColumnElement[Any]"]


def condition(node: Node, columns: Columns) -> sa.ColumnElement[bool]:
    """Build the condition of a tree.

    Args:
        node: A tree that is true or false.
        columns: A column or expression for each name in the tree.

    Returns:
        The condition. A division by zero gives NULL.
    """
    import sqlalchemy as sa  # noqa: PLC0415

    built: sa.ColumnElement[bool] = _build(node, columns)
    return built == sa.true() if node.does == "column" else built


def _build(node: Node, columns: Columns) -> Any:
    import sqlalchemy as sa  # noqa: PLC0415

    if node.does == "column":
        return columns[str(node.value)]
    if node.does == "literal":
        return _literal(node.value)
    if node.does == "not":
        return sa.not_(condition(node.parts[0], columns))
    if node.does in {"and", "or"}:
        join = sa.and_ if node.does == "and" else sa.or_
        return join(*(condition(part, columns) for part in node.parts))
    parts = [_build(part, columns) for part in node.parts]
    if node.does in _OPERATORS:
        return _OPERATORS[node.does](*parts)
    return _calculated(node.does, parts)


def _calculated(does: str, parts: list[Any]) -> Any:
    import sqlalchemy as sa  # noqa: PLC0415

    first, *others = parts
    if does == "/":
        divisor: Any = sa.func.nullif(sa.cast(others[0], sa.Double), 0, type_=sa.Double())
        return sa.cast(first, sa.Double) / divisor
    if does == "round":  # halves go up on every engine
        scale = 10 ** (others[0].value if others else 0)
        return sa.func.floor(first * scale + 0.5, type_=sa.Double()) / float(scale)
    simple: dict[str, Callable[[], Any]] = {
        "negative": lambda: -first,
        "is null": lambda: first.is_(None),
        "in": lambda: sa.or_(*(first == item for item in others)),
        "between": lambda: first.between(*others),
    }
    if does in simple:
        return simple[does]()
    kind = sa.Integer() if does == "length" else first.type
    return getattr(sa.func, does)(*parts, type_=kind)


def _literal(value: object) -> Any:
    import sqlalchemy as sa  # noqa: PLC0415

    if value is None:
        return sa.null()
    if isinstance(value, bool):
        return sa.true() if value else sa.false()
    if isinstance(value, int) and abs(value) > 2**31 - 1:
        value = float(value)
    return sa.literal(value)

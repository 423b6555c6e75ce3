"""Rules on customers: `where` expressions, read against an allow-list; no SQL passes through.

Three walls: the words (`words`), the tree that sqlglot makes of them, the kinds of values. What is
left is a small tree of our own, compiled with every literal as a bound parameter.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

from loyalty_exp.declare.features import DOMAINS, FEATURES, FRENCH_NAMES, Kind
from loyalty_exp.declare.hints import in_words, nearest
from loyalty_exp.declare.tree import Known, Node, condition
from loyalty_exp.declare.words import DEEPEST, FUNCTIONS, RuleError, Word, words_of

if TYPE_CHECKING:
    import sqlalchemy as sa

__all__ = ["FEATURES", "FUNCTIONS", "Rule", "RuleError", "parse_rule"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that was read: its text, and the columns it needs."""

    text: str
    columns: frozenset[str]
    """Names of the features and attributes used."""
    tree: Node = field(repr=False)

    def compile(self, columns: Mapping[str, sa.ColumnElement[Any]]) -> sa.ColumnElement[bool]:
        """Build the condition for the columns of a statement.

        Args:
            columns: A column or expression for each name in `self.columns`.

        Returns:
            A condition whose literals are bound parameters. A division by zero gives NULL, and
            so does any arithmetic with NULL; a customer for whom it is NULL is not in.

        Raises:
            RuleError: A column is missing.
        """
        for name in sorted(self.columns):
            if name not in columns:
                offset = self.text.find(name)
                hint = nearest(name, columns)
                raise RuleError(self.text, offset, name, "no such feature or attribute", hint)
        return condition(self.tree, columns)


def parse_rule(
    text: str, columns: Mapping[str, str] | None = None, *, known: Iterable[str] = ()
) -> Rule:
    """Read a rule.

    Args:
        text: Such as "tier = 'gold' and overdue_ratio > 2".
        columns: Every name there is, with its kind (number, text, date or boolean); None before
            the data are read: a name that is no feature is then taken for an attribute, unless
            it is close to a feature.
        known: Attributes that are known by name though not by kind; used without `columns`.

    Returns:
        The rule.

    Raises:
        RuleError: The rule holds anything but names, literals, comparison, arithmetic, and, or,
            not, in, between, is null and `FUNCTIONS`; or kinds do not fit.
    """
    words = words_of(text)
    names = [word for word in words if word.kind == "name"]
    for word in names:
        _check_name(text, word, columns, known)
    try:
        tree = _Reader(text, words, FEATURES if columns is None else columns).read()
    except RecursionError:
        raise RuleError(text, 0, "", "nested too deep") from None
    return Rule(text, frozenset(word.text for word in names), tree)


def _check_name(
    text: str, word: Word, columns: Mapping[str, str] | None, known: Iterable[str]
) -> None:
    there = {*FEATURES, *known} if columns is None else set(columns)
    if word.text in there:
        return
    close = nearest(word.text, sorted(there), 0.8 if columns is None else 0.6)
    if columns is not None or close is not None:
        raise RuleError(text, word.start, word.text, "no such feature or attribute", close)


# --- from sqlglot's tree to ours -----------------------------------------------------------------

_COMPARE = {"EQ": "=", "NEQ": "<>", "GT": ">", "GTE": ">=", "LT": "<", "LTE": "<="}
_COUNT = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/"}
_JOIN = {"And": "and", "Or": "or"}
_CALLS = {name.capitalize(): name for name in FUNCTIONS}
_ARGUMENTS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys((*_COMPARE, *_COUNT, *_JOIN, "Is"), frozenset({"this", "expression"})),
    **dict.fromkeys(("Paren", "Not", "Neg", "Column", "Null", "Boolean"), frozenset({"this"})),
    **dict.fromkeys(("Coalesce", "Greatest", "Least"), frozenset({"this", "expressions"})),
    **dict.fromkeys(("Abs", "Length", "Lower", "Upper"), frozenset({"this"})),
    "Round": frozenset({"this", "decimals"}),
    "In": frozenset({"this", "expressions"}),
    "Between": frozenset({"this", "low", "high"}),
    "Literal": frozenset({"this", "is_string"}),
}
"""The nodes of sqlglot's tree that are allowed, with the parts they may have."""
_FLAGS = {"ignore_nulls", "typed", "safe"}


class _Reader:
    """Turns sqlglot's tree into ours; anything not allowed is an error at its word."""

    def __init__(self, text: str, words: list[Word], columns: Mapping[str, str]) -> None:
        self.text = text
        self.words = words
        self.columns = columns
        leaves = {"name", "text", "number", "constant"}
        self.leaves = iter([word for word in words if word.kind in leaves])
        self.last = words[0]

    def fail(self, word: Word | None, reason: str, hint: str | None = None) -> RuleError:
        at = word or self.last
        return RuleError(self.text, at.start, at.text, reason, hint)

    def read(self) -> Node:
        tree = self.node(self.parsed())
        if next(self.leaves, None) is not None:
            raise self.fail(None, "not understood")
        return self.condition(tree)

    def parsed(self) -> Any:
        """The tree sqlglot makes of the words, names quoted so that none is taken for SQL."""
        import sqlglot  # noqa: PLC0415

        spans, written = [], ""
        for word in self.words:
            shown = f'"{word.text}"' if word.kind == "name" else word.text
            spans.append((len(written) + 1, len(written) + len(shown), word))
            written += f"{shown} "
        try:
            trees = sqlglot.parse(written, dialect="")
        except sqlglot.errors.SqlglotError as error:
            places = [place.get("col") for place in getattr(error, "errors", [])]
            column = next((place for place in places if isinstance(place, int)), 1)
            word = next((word for _, end, word in spans if column <= end), self.words[-1])
            raise self.fail(word, "not understood from here") from None
        if len(trees) != 1 or trees[0] is None:
            raise self.fail(None, "a single expression is expected")
        return trees[0]

    def node(self, tree: Any) -> Node:
        name = type(tree).__name__
        given = {key for key, part in tree.args.items() if part not in (None, [], False)}
        if name not in _ARGUMENTS or given - _ARGUMENTS[name] - _FLAGS or tree.comments:
            raise self.fail(None, "this is not allowed in a rule")
        if name in _CALLS:
            return self.call(_CALLS[name], tree)
        if name in {"Column", "Literal", "Boolean", "Null"}:
            return self.leaf(name, tree)
        return self.operation(name, self.node(tree.this), tree)

    def operation(self, name: str, left: Node, tree: Any) -> Node:
        """A node whose first part is read; the others follow in the order of the text."""
        if name == "Paren":
            return left
        if name in {"Not", "Neg"}:
            return self.signed(name, left)
        if name == "In":
            return self.listed(left, [self.node(item) for item in tree.expressions])
        if name == "Between":
            ends = [self.node(tree.args["low"]), self.node(tree.args["high"])]
            return self.made("between", self.comparable(left, *ends), "boolean")
        return self.pair(name, left, self.node(tree.expression))

    def made(self, does: str, parts: Iterable[Node], kind: Known) -> Node:
        parts = tuple(parts)
        depth = 1 + max(part.depth for part in parts)
        if depth > 2 * DEEPEST:
            raise self.fail(parts[0].word, "nested too deep")
        return Node(does, parts, None, kind, parts[0].word, depth)

    def leaf(self, name: str, tree: Any) -> Node:
        word = next(self.leaves, None)
        if word is None:
            raise self.fail(None, "not understood")
        self.last = word
        if name == "Column" and word.kind == "name" and tree.name == word.text:
            return Node("column", (), word.text, _kind(self.columns.get(word.text)), word)
        if name == "Literal" and word.kind == "text" and tree.is_string:
            return Node("literal", (), word.text[1:-1].replace("''", "'"), "text", word)
        if name == "Literal" and word.kind == "number" and not tree.is_string:
            whole = word.text.isdigit()
            value = int(word.text) if whole else float(word.text)
            return Node("literal", (), value, "number", word)
        if word.kind == "constant" and word.lower in {"true", "false"} and name == "Boolean":
            return Node("literal", (), word.lower == "true", "boolean", word)
        if word.kind == "constant" and name == "Null":
            return Node("literal", (), None, "any", word)
        raise self.fail(word, "not understood")

    def condition(self, node: Node) -> Node:
        if node.kind == "boolean" or (node.does == "column" and node.kind == "any"):
            return node
        raise self.fail(node.word, "a comparison is expected: this is neither true nor false")

    def signed(self, name: str, part: Node) -> Node:
        if name == "Not":
            return self.made("not", [self.condition(part)], "boolean")
        return self.made("negative", [self.number(part)], "number")

    def number(self, part: Node) -> Node:
        self.no_null(part)
        if part.kind in {"number", "any"}:
            return part
        raise self.fail(part.word, f"a number is expected, this is {_a(part.kind)}")

    def no_null(self, part: Node) -> None:
        if part.does == "literal" and part.value is None:
            raise self.fail(part.word, "nothing is equal to null", "is null")

    def pair(self, name: str, left: Node, right: Node) -> Node:
        if name == "Is":
            if right.does != "literal" or right.value is not None or right.kind != "any":
                raise self.fail(right.word, "null is expected after is", "=")
            return self.made("is null", [left], "boolean")
        if name in _JOIN:
            return self.joined(_JOIN[name], self.condition(left), self.condition(right))
        if name in _COUNT:
            return self.made(_COUNT[name], [self.number(left), self.number(right)], "number")
        if left.kind == "boolean" and left.does not in {"column", "literal"}:
            raise self.fail(right.word, "one comparison at a time: join two with and")
        return self.made(_COMPARE[name], self.comparable(left, right), "boolean")

    def joined(self, does: str, left: Node, right: Node) -> Node:
        """`a and b and c` as one node, so that a long list is not a deep tree."""
        parts = (*(left.parts if left.does == does else (left,)), right)
        return self.made(does, parts, "boolean")

    def listed(self, left: Node, items: list[Node]) -> Node:
        for item in items:
            plain = item.parts[0] if item.does == "negative" else item
            if plain.does != "literal":
                raise self.fail(item.word, "only texts and numbers stand in a list")
        return self.made("in", self.comparable(left, *items), "boolean")

    def comparable(self, left: Node, *others: Node) -> list[Node]:
        """The parts of a comparison, made the same kind; a text beside a date becomes a date."""
        parts = [left, *others]
        for part in parts:
            self.no_null(part)
        kinds = {part.kind for part in parts} - {"any"}
        if kinds == {"date", "text"}:
            parts = [part if part.kind != "text" else self.dated(part) for part in parts]
        elif len(kinds) > 1:
            odd = next(part for part in others if part.kind not in {"any", left.kind})
            reason = f"{_a(left.kind)} cannot be compared with {_a(odd.kind)}"
            raise self.fail(odd.word, reason, self.same(left, odd))
        for column in parts:
            for literal in parts:
                self.in_domain(column, literal)
        return parts

    def same(self, left: Node, odd: Node) -> str | None:
        if odd.does != "literal" or odd.word is None:
            return None
        if left.kind == "text":
            return f"'{odd.word.text}'"
        if left.kind == "number" and isinstance(odd.value, str):
            bare = odd.value.replace(",", ".", 1)
            return bare if bare.replace(".", "", 1).isdigit() else None
        booleans = {"1": "true", "0": "false", "true": "true", "false": "false"}
        return booleans.get(str(odd.value)) if left.kind == "boolean" else None

    def dated(self, part: Node) -> Node:
        try:
            day = dt.date.fromisoformat(str(part.value)) if part.does == "literal" else None
        except ValueError:
            day = None
        if day is None:
            raise self.fail(part.word, "a date such as '2026-03-01' is expected")
        return Node("literal", (), day, "date", part.word)

    def in_domain(self, column: Node, literal: Node) -> None:
        """A value that a feature never takes is a spelling mistake."""
        domain = DOMAINS.get(str(column.value)) if column.does == "column" else None
        value = literal.value
        if domain is None or literal.does != "literal" or value in domain:
            return
        meant = FRENCH_NAMES.get(str(value))
        close = meant if meant in domain else nearest(value, domain)
        reason = f"{column.value} is {in_words(domain)}"
        raise self.fail(literal.word, reason, close and f"'{close}'")

    def call(self, name: str, tree: Any) -> Node:
        given = [tree.this, tree.args.get("decimals"), *tree.args.get("expressions", [])]
        parts = [self.node(item) for item in given if item is not None]
        low, high = FUNCTIONS[name]
        if not low <= len(parts) <= high:
            raise self.fail(parts[0].word, f"{name} takes {low} to {high} values")
        if name in {"lower", "upper", "length"}:
            if parts[0].kind not in {"text", "any"}:
                raise self.fail(parts[0].word, f"{name} takes a text")
            return self.made(name, parts, "number" if name == "length" else "text")
        if name == "coalesce":
            same = self.comparable(*parts)
            return self.made(name, same, next((p.kind for p in same if p.kind != "any"), "any"))
        numbers = [self.number(part) for part in parts]
        if name == "round" and len(parts) == 2 and parts[1].value not in range(7):
            raise self.fail(parts[1].word, "a number of decimals from 0 to 6 is expected")
        return self.made(name, numbers, "number")


def _kind(name: str | None) -> Known:
    return next((kind for kind in get_args(Kind) if kind == name), "any")


def _a(kind: Known) -> str:
    return {"boolean": "true or false", "any": "a value"}.get(kind, f"a {kind}")

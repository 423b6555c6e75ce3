"""The segments of a declaration by name, and who is in them at a date; keeps dated memberships.

Decides nothing: schemes and rules do.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from loyalty_exp.declare.features import FEATURES
from loyalty_exp.declare.models import Segments
from loyalty_exp.declare.rules import Rule, parse_rule
from loyalty_exp.errors import MeasureError
from loyalty_exp.segment.features import TierRule
from loyalty_exp.segment.lifetime import fitted_survival
from loyalty_exp.segment.membership import (
    membership_rows,
    named,
    rule_members,
    scheme_members,
    scheme_membership,
)
from loyalty_exp.segment.schemes import SCHEMES, find_segment
from loyalty_exp.store.attributes import present_attributes
from loyalty_exp.store.queries import registry
from loyalty_exp.store.tables import customers_table, memberships

__all__ = ["EVERYBODY", "DeclaredSegments"]

EVERYBODY = "all"
"""Every customer with an order, wherever a segment is named."""


@dataclass(frozen=True, slots=True)
class DeclaredSegments:
    """Built-in segments of the declared scheme, and the user's own rules."""

    declared: Segments

    @property
    def rules(self) -> tuple[str, ...]:
        """Names of the user's own segments, as declared."""
        return tuple(self.declared.rules)

    @property
    def tiers(self) -> TierRule:
        """Where gold and silver begin."""
        declared = self.declared.tiers
        scale = 100 if declared.by == "share" else 1
        return TierRule(declared.by, declared.gold / scale, declared.silver / scale)

    def check(self, name: str) -> None:
        """Refuse a name that is no segment.

        Raises:
            MeasureError: there is none of that name; those there are, are listed.
        """
        scheme = self.declared.scheme
        if name == EVERYBODY or name in self.declared.rules or find_segment(name, scheme):
            return
        known = ", ".join((*(found.name for found in SCHEMES[scheme].segments), *self.rules))
        raise MeasureError(f"no such segment: {name!r}; the segments are {known}")

    def members(self, connection: sa.Connection, name: str, as_of: dt.date) -> sa.Select[Any]:
        """Customers of a segment at a date, one column `customer`, no two alike.

        Args:
            connection: an open store.
            name: a segment of the scheme, one of the user's, or `all`.
            as_of: last day that counts.
        """
        if name == EVERYBODY:
            return registry.every_customer(as_of.year * 12 + as_of.month)
        if name not in self.declared.rules:
            return scheme_members(name, self.declared.scheme, as_of, tiers=self.tiers)
        kinds = present_attributes(connection)
        rule = _loaded_rule(name, self.declared.rules[name].where, kinds)
        return rule_members(
            rule,
            as_of,
            customers_table(list(kinds.items())) if kinds else None,
            tiers=self.tiers,
            survival=fitted_survival(connection, as_of, rule.columns),
        )

    def partitions(self, connection: sa.Connection, as_of: dt.date) -> list[sa.Select[Any]]:
        """Customer and segment: of the scheme, then of each of the user's own segments."""
        own = [named(name, self.members(connection, name, as_of)) for name in self.rules]
        return [scheme_membership(self.declared.scheme, as_of, tiers=self.tiers), *own]

    def keep(
        self, connection: sa.Connection, names: Sequence[str], as_of: dt.date
    ) -> Mapping[str, str]:
        """Keep the dated memberships of segments, once each; gives their rules as text."""
        for name in names:
            if not connection.scalar(registry.kept_membership(name, as_of)):
                rows = membership_rows(name, as_of, self.members(connection, name, as_of))
                columns = ["segment", "as_of", "customer"]
                connection.execute(memberships.insert().from_select(columns, rows))
        return {name: self.declared.text(name) for name in names}


def _loaded_rule(name: str, text: str, kinds: Mapping[str, str]) -> Rule:
    """The rule of a segment on the attributes at hand; a rule newer than the load is told so."""
    known = {**FEATURES, **kinds}
    if unknown := sorted(parse_rule(text, known=kinds).columns - {*known}):
        raise MeasureError(
            f"segment {name}: {unknown[0]} was not loaded; of [data.customers] a load keeps what "
            "the declaration names: run `loyalty-exp load` again, or add the column"
        )
    return parse_rule(text, known)

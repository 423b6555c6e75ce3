"""Rules on customers: `where` expressions, read against an allow-list; no SQL passes through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from loyalty_exp.declare.features import FEATURES, Kind
from loyalty_exp.errors import LoyaltyExpError

__all__ = ["FEATURES", "RuleError", "parse_rule"]


class RuleError(LoyaltyExpError):
    """A rule is not understood."""

    where_and_what: str = ""
    suggestion: str | None = None


def parse_rule(
    text: str, columns: Mapping[str, Kind] | None = None, *, known: Iterable[str] = ()
) -> None:
    """Read a rule."""

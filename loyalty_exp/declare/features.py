"""What the tool knows about every customer at a date: names, kinds and words, for rules and docs.

Only names: how a feature is computed is the business of `segment`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Literal

__all__ = [
    "ALL",
    "DOMAINS",
    "FEATURES",
    "FEATURE_WORDS",
    "FRENCH_NAMES",
    "SCHEMES",
    "Kind",
    "unaccented",
]

Kind = Literal["number", "text", "date", "boolean"]

ALL = "all"
"""The segment that holds every customer."""

FEATURE_WORDS: Mapping[str, tuple[Kind, str]] = {
    "recency_days": ("number", "days since the last order"),
    "orders_12m": ("number", "orders in the last 12 months"),
    "revenue_12m": ("number", "revenue of the last 12 months"),
    "margin_12m": ("number", "margin of the last 12 months"),
    "orders_24m": ("number", "orders in the last 24 months"),
    "revenue_24m": ("number", "revenue of the last 24 months"),
    "basket": ("number", "average revenue of an order"),
    "tenure_days": ("number", "days since the first order"),
    "median_gap_days": ("number", "median days between two orders of this customer"),
    "overdue_ratio": ("number", "days since the last order, divided by the customer's usual gap"),
    "trend": ("number", "revenue of the last 12 months against the 12 before, as a ratio"),
    "first_channel": ("text", "channel of the first order"),
    "cohort": ("text", "month of the first order, as 'YYYY-MM'"),
    "r": ("number", "recency score, 1 to 5"),
    "f": ("number", "frequency score, 1 to 5"),
    "m": ("number", "monetary score, 1 to 5"),
    "rfm": ("text", "one of the 11 segments of recency, frequency and value"),
    "tier": ("text", "gold, silver or bronze"),
    "p_alive": ("number", "probability, from 0 to 1, that the customer will order again"),
    "risk": ("text", "risk of leaving: low, medium or high"),
    "value_band": ("text", "band of expected value: low, medium or high"),
}

FEATURES: Mapping[str, Kind] = {name: kind for name, (kind, _) in FEATURE_WORDS.items()}

FRENCH_NAMES: Mapping[str, str] = {
    "Champions": "Champions",
    "Fidèles": "Loyal",
    "Fidèles potentiels": "Potential Loyalist",
    "Nouveaux clients": "New Customers",
    "Prometteurs": "Promising",
    "À surveiller": "Need Attention",
    "En voie d'endormissement": "About To Sleep",
    "À risque": "At Risk",
    "À ne pas perdre": "Cannot Lose Them",
    "En hibernation": "Hibernating",
    "Perdus": "Lost",
    "or": "gold",
    "argent": "silver",
    "faible": "low",
    "moyen": "medium",
    "moyenne": "medium",
    "élevé": "high",
    "élevée": "high",
    "Risque faible": "low",
    "Risque moyen": "medium",
    "Risque élevé": "high",
    "Valeur faible": "low",
    "Valeur moyenne": "medium",
    "Valeur élevée": "high",
}
"""What a French reader calls a built-in segment: its name in a declaration."""

SCHEMES: Mapping[str, tuple[str, ...]] = {
    "rfm": (
        "Champions", "Loyal", "Potential Loyalist", "New Customers", "Promising",
        "Need Attention", "About To Sleep", "At Risk", "Cannot Lose Them", "Hibernating", "Lost",
    ),
    "tiers": ("gold", "silver", "bronze"),
    "risk": ("low", "medium", "high"),
    "value": ("low", "medium", "high"),
}  # fmt: skip
"""Names of the segments that each built-in scheme makes."""

DOMAINS: Mapping[str, tuple[str, ...]] = {
    "rfm": SCHEMES["rfm"],
    "tier": SCHEMES["tiers"],
    "risk": SCHEMES["risk"],
    "value_band": SCHEMES["value"],
}
"""The values a text feature can take, where they are known beforehand."""


def unaccented(name: str) -> str:
    """A name as it is compared: without accents, in lower case."""
    parts = unicodedata.normalize("NFKD", name)
    return "".join(char for char in parts if not unicodedata.combining(char)).casefold()

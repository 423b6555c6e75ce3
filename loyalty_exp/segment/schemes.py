"""The built-in schemes: which segments each makes, and their names in English and French.

Knows names only: how a customer gets into a segment is the business of `features`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from loyalty_exp.declare.features import unaccented
from loyalty_exp.segment import rfm

__all__ = ["SCHEMES", "Scheme", "Segment", "find_segment"]


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a scheme."""

    scheme: str
    name: str
    """The value of the scheme's feature, and the name in a declaration: "At Risk", "gold"."""
    slug: str
    """The name in lower case without spaces: "at_risk", "gold"."""
    english: str
    """What an English reader sees."""
    french: str
    """What a French reader sees."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """A partition of the customers who ever ordered."""

    name: str
    column: str
    """The feature that holds the segment's name."""
    segments: tuple[Segment, ...]
    """From the best customers to the worst."""

    @property
    def names(self) -> tuple[str, ...]:
        """Values of the feature, in order."""
        return tuple(segment.name for segment in self.segments)


def _scheme(name: str, column: str, names: Mapping[str, tuple[str, str]]) -> Scheme:
    segments = (
        Segment(name, value, value.lower().replace(" ", "_"), english, french)
        for value, (english, french) in names.items()
    )
    return Scheme(name, column, tuple(segments))


SCHEMES: Mapping[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        _scheme("rfm", "rfm", {name: (name, rfm.french_names()[name]) for name in rfm.NAMES}),
        _scheme(
            "tiers",
            "tier",
            {"gold": ("Gold", "Or"), "silver": ("Silver", "Argent"), "bronze": ("Bronze",) * 2},
        ),
        _scheme(
            "risk",
            "risk",
            {
                "low": ("Low risk", "Risque faible"),
                "medium": ("Medium risk", "Risque moyen"),
                "high": ("High risk", "Risque élevé"),
            },
        ),
        _scheme(
            "value",
            "value_band",
            {
                "high": ("High value", "Valeur élevée"),
                "medium": ("Medium value", "Valeur moyenne"),
                "low": ("Low value", "Valeur faible"),
            },
        ),
    )
}
"""Every scheme by its name in a declaration."""

_ALIASES = {
    "faible": "low",
    "moyen": "medium",
    "moyenne": "medium",
    "eleve": "high",
    "elevee": "high",
}


def find_segment(name: str, scheme: str) -> Segment | None:
    """The segment of a scheme that a name in a declaration means, or None.

    Its name, its slug and both displayed names are understood, with or without accents, in upper
    or lower case.

    Raises:
        KeyError: no such scheme.
    """
    plain = unaccented(name)
    wanted = _ALIASES.get(plain, plain)
    for segment in SCHEMES[scheme].segments:
        known = (segment.name, segment.slug, segment.english, segment.french)
        if wanted in {unaccented(text) for text in known}:
            return segment
    return None

"""Results that show themselves in a notebook. Adds the language and the display, no figure."""

from __future__ import annotations

from dataclasses import dataclass, fields

from loyalty_exp.measure.results import CampaignResult

__all__ = ["ShownResult", "shown"]


@dataclass(frozen=True, slots=True)
class ShownResult(CampaignResult):
    """A measurement as `Project.measure` gives it: shown in the language of its project."""

    language: str = "en"
    """Of the display: fr or en."""

    def _repr_html_(self) -> str:
        """The verdict and the arms, as a notebook displays them."""
        from loyalty_exp.report.render import fragment  # noqa: PLC0415  (needed only when shown)

        return fragment(self, self.language)


def shown(result: CampaignResult, language: str) -> ShownResult:
    """A measurement that shows itself in a language.

    Args:
        result: The measurement; every figure of it is kept.
        language: "fr" or "en".
    """
    values = {field.name: getattr(result, field.name) for field in fields(CampaignResult)}
    return ShownResult(**values, language=language)

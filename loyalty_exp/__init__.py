"""loyalty_exp: proves, with randomized holdouts, whether loyalty and CRM campaigns earn money.

The stages in their order, as methods of the project that `open` gives:

    import loyalty_exp as lx
    project = lx.open("campaigns.toml")
    project.load()
    project.segments()
    project.launch("winback-2026")
    project.measure("winback-2026").to_frame()
    project.report()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loyalty_exp.errors import LoyaltyExpError
    from loyalty_exp.measure.results import CampaignResult, EffectRow
    from loyalty_exp.project import Project
    from loyalty_exp.project import open_project as open  # noqa: A004  (lx.open is meant)

__all__ = ["CampaignResult", "EffectRow", "LoyaltyExpError", "Project", "open"]

_WHERE = {
    "CampaignResult": ("loyalty_exp.measure.results", "CampaignResult"),
    "EffectRow": ("loyalty_exp.measure.results", "EffectRow"),
    "LoyaltyExpError": ("loyalty_exp.errors", "LoyaltyExpError"),
    "Project": ("loyalty_exp.project", "Project"),
    "open": ("loyalty_exp.project", "open_project"),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the command line starts fast."""
    import importlib  # noqa: PLC0415

    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _WHERE[name]
    return getattr(importlib.import_module(module), attribute)

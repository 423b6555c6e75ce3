"""The simulated company of the sample: three years of orders, three campaigns, planted effects.

Nobody in it exists. Its pages show what one year of real orders cannot: a programme judged
against customers left out of everything, and one year against another.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from loyalty_exp.project import Project, open_project
from loyalty_exp.simulate import synthetic_company

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write_simulated"]

CUSTOMERS, SEED = 12_000, 20_260_115
PLANTED = {
    ("reveil", "courrier"): ("2025-02-01", 0.34),
    ("fideles", "courrier"): ("2025-03-01", 0.18),
    ("fideles", "courrier_et_bon"): ("2025-03-01", 0.10),
    ("prometteurs", "courriel"): ("2025-06-01", 0.03),
}
"""Share added to every order of the treated from a day on, by campaign and arm."""
CAVEAT = (
    "These customers and orders are simulated, and the effects planted: from the start of a "
    "campaign on, every order of its treated customers was raised by a fixed share. Names, "
    "margins and costs are examples."
)


def write_simulated(folder: Path, site: Path) -> None:
    """Simulate, launch, plant, measure, and write the pages in French.

    Args:
        folder: where the declaration and its orders go.
        site: where the pages go.
    """
    orders = synthetic_company(CUSTOMERS, SEED, start="2023-01", months=36).orders
    declaration = folder / "campaigns.toml"
    declaration.write_text(Path(__file__).with_name("simulated.toml").read_text(encoding="utf-8"))
    _keep(orders, folder)
    project = Project(open_project(declaration).declaration, declaration, caveat=CAVEAT)
    project.load()
    for campaign in ("universal_holdout", *dict.fromkeys(campaign for campaign, _arm in PLANTED)):
        project.launch(campaign)
    for (campaign, arm), (start, share) in PLANTED.items():
        _plant(orders, folder / "lists" / campaign / "wave-0" / f"{arm}.csv", start, share)
    _keep(orders, folder)
    project.load()
    project.report(site)


def _keep(orders: pd.DataFrame, folder: Path) -> None:
    orders.to_csv(folder / "commandes.csv", index=False)


def _plant(orders: pd.DataFrame, treated: Path, start: str, share: float) -> None:
    """Raise the orders of those on a list, from a day on, in place."""
    import pandas as pd  # noqa: PLC0415

    names = pd.read_csv(treated, dtype=str, sep=";", encoding="utf-8-sig")["customer_id"]
    raised = orders["customer_id"].isin(names) & (orders["ordered_at"] >= start)
    orders.loc[raised, ["revenue", "margin"]] *= 1 + share

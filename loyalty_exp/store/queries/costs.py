"""What was really paid for a campaign, from the ledger of costs. Builds statements only."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from loyalty_exp.store.tables import costs

__all__ = ["payments"]


def payments(campaign: str) -> sa.Select[Any]:
    """(arm, kind, amount) of a campaign's payments added up; arm is NULL for all arms together."""
    keys = (costs.c.arm, costs.c.kind)
    return (
        sa.select(*keys, sa.func.sum(costs.c.amount).label("amount"))
        .where(costs.c.campaign == campaign)
        .group_by(*keys)
        .order_by(*keys)
    )

"""Figures as they were shown: statements on the table `published`. Runs nothing."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from loyalty_exp.store.tables import published

__all__ = ["shown_figures"]


def shown_figures(campaign: str) -> sa.Select[Any]:
    """Every figure of a campaign ever shown, oldest first."""
    return (
        sa.select(published)
        .where(published.c.campaign == campaign)
        .order_by(published.c.published_at, published.c.month, published.c.arm, published.c.metric)
    )

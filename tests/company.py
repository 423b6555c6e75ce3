"""Two years of orders of a small company, made up but repeatable."""

from __future__ import annotations

import datetime as dt

import numpy as np

CUSTOMERS = 600
FIRST, MONTHS = 2024 * 12 + 3, 24
"""March 2024 to February 2026."""


def order_rows(customers: int = CUSTOMERS, seed: int = 4) -> list[tuple[str, str, str, float]]:
    """Orders of customers who differ, so that the past tells of the future."""
    rng = np.random.default_rng(seed)
    taste = rng.normal(size=customers)
    rows = []
    for who in range(customers):
        for index in range(FIRST, FIRST + MONTHS):
            if rng.random() < 1 / (1 + np.exp(0.4 - taste[who])):
                year, month = divmod(index - 1, 12)
                day = dt.date(year, month + 1, int(rng.integers(1, 29)))
                paid = round(float(np.exp(3.5 + 0.5 * taste[who] + 0.5 * rng.normal())), 2)
                rows.append((f"o{len(rows)}", f"00{who:04d}", f"{day}T10:00", paid))
    return rows

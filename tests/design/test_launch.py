"""Launches through the project: universal holdout, splits drawn elsewhere, lists, rolling waves."""

from __future__ import annotations

import csv
import datetime as dt
import re
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest
import sqlalchemy as sa

from loyalty_exp.design import lists
from loyalty_exp.design.universal import UNIVERSAL
from loyalty_exp.errors import DataError, LaunchError
from loyalty_exp.project import Project, open_project
from loyalty_exp.store import tables

Company = Callable[[str], Project]

WINBACK = """
[campaign.winback]
name = "Win-back"
segments = ["buyers"]
lever = "relational"
objective = "revenue"
start = 2026-03-01
end = 2026-04-30
measure_until = 2026-06-30
arms = { holdout = 20, call = 40, letter = 40 }
"""

HOLDOUT = """
[universal_holdout]
percent = 10
start = 2026-03-01
months = 6
"""


def kept_members(segment: str) -> sa.Select[Any]:
    kept = tables.memberships.c
    return sa.select(kept.customer).where(kept.segment == segment)


def roster(project: Project, campaign: str) -> list[sa.Row[Any]]:
    with project.store.read() as connection:
        chosen = tables.assignments.c.campaign == campaign
        return list(connection.execute(sa.select(tables.assignments).where(chosen)))


def held(project: Project, wave: int) -> set[str]:
    return {
        row.customer
        for row in roster(project, UNIVERSAL)
        if row.arm == "holdout" and row.wave == wave
    }


# --- universal holdout ---------------------------------------------------------------------------


def test_a_campaign_waits_for_the_universal_holdout_of_its_period(company: Company) -> None:
    project = company(HOLDOUT + WINBACK)
    with pytest.raises(LaunchError, match="which is not drawn yet; run `loyalty-exp launch"):
        project.launch("winback")
    assert roster(project, "winback") == []
    assert project.plan("winback", draws=0).warnings[0].rule == "universal_due"
    assert "universal_due" not in [w.rule for w in project.plan(UNIVERSAL, draws=0).warnings]


def test_the_universal_holdout_is_a_campaign_that_others_leave_out(company: Company) -> None:
    project = company(HOLDOUT + WINBACK)
    plan = project.launch(UNIVERSAL).plan
    everybody = sum(row.units for row in plan.strata)
    assert plan.arms == ("holdout", "programme")
    assert abs(plan.units_of("holdout") - everybody * 0.1) < 1
    assert (plan.start, plan.end) == (dt.date(2026, 3, 1), dt.date(2026, 8, 31))
    project.launch("winback")
    drawn = {row.customer for row in roster(project, "winback")}
    assert drawn
    assert drawn.isdisjoint(held(project, 0))
    assert not any(found.problems for found in project.verify())
    assert project.measure(UNIVERSAL).plan.looks == 6


def test_a_campaign_before_the_period_reaches_everybody_unless_it_runs_into_it(
    company: Company,
) -> None:
    earlier = WINBACK.replace("2026-03-01", "2026-01-01").replace("2026-04-30", "2026-02-15")
    project = company(HOLDOUT + earlier)
    project.launch(UNIVERSAL)
    project.launch("winback")
    assert held(project, 0) & {row.customer for row in roster(project, "winback")}
    into = WINBACK.replace("winback", "into").replace("start = 2026-03-01", "start = 2026-02-01")
    project = company(HOLDOUT + earlier + into)
    project.launch("into")
    assert held(project, 0).isdisjoint(row.customer for row in roster(project, "into"))


def test_rotation_draws_again_with_another_salt_and_keeps_the_old_roster(company: Company) -> None:
    first = company(HOLDOUT).launch(UNIVERSAL)
    again = company(HOLDOUT).launch(UNIVERSAL)
    assert (first.new, again.new) == (True, False)
    project = company(HOLDOUT.replace("2026-03-01", "2026-09-01") + WINBACK)
    second = project.launch(UNIVERSAL)
    assert second.new
    assert (second.plan.wave, second.plan.salt != first.plan.salt) == (1, True)
    assert len(held(project, 0)) == len(held(project, 1)) == first.plan.units_of("holdout")
    assert held(project, 0) != held(project, 1)
    project.launch("winback")  # within the first period
    drawn = {row.customer for row in roster(project, "winback")}
    assert drawn.isdisjoint(held(project, 0))
    assert not drawn.isdisjoint(held(project, 1))
    assert not any(found.problems for found in project.verify())
    assert project.measure(UNIVERSAL).plan.wave == 1


def test_a_universal_holdout_stands_until_its_end(company: Company) -> None:
    company(HOLDOUT).launch(UNIVERSAL)
    with pytest.raises(LaunchError, match="declare the next one to start on 2026-09-01 or later"):
        company(HOLDOUT.replace("2026-03-01", "2026-05-01")).launch(UNIVERSAL)
    with pytest.raises(LaunchError, match=r"edited since: arms\.holdout: frozen 10, now 15"):
        company(HOLDOUT.replace("10", "15")).launch(UNIVERSAL)


def test_without_a_declaration_there_is_no_universal_holdout(company: Company) -> None:
    with pytest.raises(LaunchError, match="no campaign 'universal_holdout' is declared"):
        company("").launch(UNIVERSAL)


# --- splits drawn elsewhere ----------------------------------------------------------------------

AGENCY = WINBACK.replace("winback", "agency").replace(
    "arms = { holdout = 20, call = 40, letter = 40 }",
    "arms = { holdout = 50, mail = 50 }\n"
    'assignment = { source = "split.csv", columns = { unit = "Client", arm = "Groupe"DATED } }',
)


def write_split(project: Project, rows: list[tuple[str, ...]], header: tuple[str, ...]) -> None:
    with (project.base / "split.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def test_a_split_drawn_elsewhere_becomes_the_roster(company: Company) -> None:
    project = company(AGENCY.replace("DATED", ""))
    rows = [(f"00{n:04d}", "mail" if n % 3 else "holdout") for n in range(300)]
    rows += [("nobody", "mail"), ("000500", "press"), ("000501", "mail"), ("000501", "holdout")]
    write_split(project, [*rows, rows[0]], ("Client", "Groupe"))
    launched = project.launch("agency")
    plan = launched.plan
    assert (launched.new, launched.lists, plan.salt) == (True, (), "")
    assert [(row.stratum, row.counts) for row in plan.strata] == [("drawn elsewhere", (100, 200))]
    assert plan.declaration["assignment"]["source"] == "split.csv"
    assert {row.customer: row.arm for row in roster(project, "agency")} == dict(rows[:300])
    assert dict(plan.flow) == {
        "drawn elsewhere": 303,
        "excluded: an arm that is not declared": 1,
        "excluded: in more than one arm": 1,
        "excluded: not among the customers": 1,
        "eligible": 300,
        "arm: holdout": 100,
        "arm: mail": 200,
    }
    assert not project.launch("agency").new
    assert project.verify("agency")[0].problems == ()


def test_a_split_in_words_of_its_own(company: Company) -> None:
    rows = [(f"00{n:04d}", "Envoi" if n % 3 else "Témoin") for n in range(300)]
    project = company(AGENCY.replace("DATED", ""))
    write_split(project, rows, ("Client", "Groupe"))
    said = (
        "no unit in arm holdout: drawn elsewhere 300; excluded: an arm that is not declared 300; "
        "eligible 0; words of the source that are no arm: 'Envoi' (200), 'Témoin' (100); say which "
        'is which: arms = { holdout = "Témoin" } under [campaign.agency.assignment]'
    )
    with pytest.raises(LaunchError, match=re.escape(said)):
        project.launch("agency")
    named = ' }, arms = { holdout = "Témoin", mail = "Envoi" } }'
    project = company(AGENCY.replace("DATED } }", named))
    plan = project.launch("agency").plan
    assert (plan.units_of("holdout"), plan.units_of("mail")) == (100, 200)
    assert not project.verify("agency")[0].problems


def test_a_split_of_everybody_has_one_segment(company: Company) -> None:
    """Two of the units never ordered: they belong to `all` as the others do."""
    project = company(AGENCY.replace("DATED", "").replace('"buyers"', '"all"'))
    with project.store.write() as connection:
        connection.exec_driver_sql("DELETE FROM orders WHERE customer IN ('000000', '000001')")
        connection.exec_driver_sql(
            "DELETE FROM customer_month WHERE customer IN ('000000', '000001')"
        )
    rows = [(f"00{n:04d}", "mail" if n % 2 else "holdout") for n in range(100)]
    write_split(project, rows, ("Client", "Groupe"))
    project.launch("agency")
    assert {row.segment for row in roster(project, "agency")} == {"all"}


def test_an_edited_roster_of_a_split_is_found(company: Company) -> None:
    project = company(AGENCY.replace("DATED", ""))
    rows = [(f"00{n:04d}", "mail" if n % 2 else "holdout") for n in range(100)]
    write_split(project, rows, ("Client", "Groupe"))
    project.launch("agency")
    with project.store.write() as connection:
        swap = "CASE arm WHEN 'mail' THEN 'holdout' ELSE 'mail' END"
        connection.exec_driver_sql(
            f"UPDATE assignments SET arm = {swap} WHERE unit IN ('000000', '000001')"
        )
    [found] = project.verify("agency")
    assert found.problems == (
        "the roster was edited: its checksum is not the one frozen at launch",
    )


def test_entry_dates_outside_the_campaign_are_set_aside(company: Company) -> None:
    project = company(AGENCY.replace("DATED", ', date = "Depuis"'))
    days = ["2026-02-28", "2026-03-01", "2026-04-30", "2026-05-01"]
    rows = [(f"00{n:04d}", "mail" if n % 2 else "holdout", days[n % 8 // 2]) for n in range(80)]
    write_split(project, rows, ("Client", "Groupe", "Depuis"))
    flow = dict(project.launch("agency").plan.flow)
    assert flow["excluded: entered before the start"] == 20
    assert flow["excluded: entered after the end"] == 20
    assert flow["eligible"] == 40


def test_units_of_a_split_may_be_companies_and_segments_are_told(company: Company) -> None:
    text = AGENCY.replace("DATED", "").replace('lever = "', 'unit = "company"\nlever = "')
    project = company(text)
    rows = [(f"k{n}", "mail" if n % 2 else "holdout") for n in range(100)]
    write_split(project, rows, ("Client", "Groupe"))
    project.launch("agency")
    found = roster(project, "agency")
    assert len(found) == 200
    assert all(row.arm == dict(rows)[row.unit] for row in found)
    assert {row.segment for row in found} == {"buyers", "outside the segments"}
    by_unit = {(row.unit, row.segment) for row in found}
    assert len(by_unit) == 100


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([("000001", "mail")], LaunchError, "the split has no unit in arm holdout"),
        ([("000001", "mail"), ("", "mail")], DataError, "1 of 2 rows cannot be used: unit: blank"),
    ],
)
def test_a_split_that_cannot_be_used_changes_nothing(
    company: Company, rows: list[tuple[str, str]], error: type[Exception], message: str
) -> None:
    project = company(AGENCY.replace("DATED", ""))
    write_split(project, [*rows], ("Client", "Groupe"))
    with pytest.raises(error, match=message):
        project.launch("agency")
    assert project.launched() == []
    assert roster(project, "agency") == []
    with project.store.read() as connection:
        known = connection.execute(sa.select(tables.loads.c.what)).scalars().all()
        assert "assignment" not in known


def test_a_missing_column_of_a_split_is_named(company: Company) -> None:
    project = company(AGENCY.replace("DATED", ""))
    write_split(project, [("000001", "mail")], ("Client", "Group"))
    with pytest.raises(DataError, match="Groupe"):
        project.launch("agency")


# --- lists ---------------------------------------------------------------------------------------


def test_lists_hold_every_arm_and_belong_to_their_owner(company: Company) -> None:
    project = company(WINBACK)
    launched = project.launch("winback", style="semicolon")
    names = [path.name for path in launched.lists]
    assert names == ["call.csv", "letter.csv", "do-not-contact.csv"]
    counted = {}
    for path in launched.lists:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_bytes().startswith(b"\xef\xbb\xbf")
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, delimiter=";"))
        assert len({row["arm"] for row in rows}) == 1
        counted[path.stem] = len(rows)
        assert all(row["customer_id"].startswith("00") for row in rows)
    assert counted == {
        "call": launched.plan.units_of("call"),
        "letter": launched.plan.units_of("letter"),
        "do-not-contact": launched.plan.units_of("holdout"),
    }


def test_a_second_launch_writes_the_missing_lists_only(company: Company) -> None:
    project = company(WINBACK)
    first = project.launch("winback")
    before = first.lists[0].read_bytes()
    first.lists[0].unlink()
    first.lists[1].write_text("sent already")
    second = project.launch("winback")
    assert (second.new, second.plan.digest) == (False, first.plan.digest)
    assert second.lists == first.lists
    assert first.lists[0].read_bytes() == before
    assert first.lists[1].read_text() == "sent already"


def test_of_a_company_only_those_who_may_be_contacted_are_listed(company: Company) -> None:
    """Companies of two; every tenth customer gave no consent, and some buy less often."""
    project = company(WINBACK + 'unit = "company"\nconsent = "optin"\n')
    launched = project.launch("winback", push_table="crm_lists")
    with project.store.read() as connection:
        buyers = set(connection.execute(kept_members("buyers")).scalars())
        pushed = connection.exec_driver_sql("SELECT customer_id, contact FROM crm_lists").all()
    may = {customer for customer in buyers if int(customer) % 10}
    everybody = {row.customer: row.arm for row in roster(project, "winback")}
    listed = {}
    for path in launched.lists:
        with path.open(encoding="utf-8", newline="") as file:
            listed |= {row["customer_id"]: row["arm"] for row in csv.DictReader(file)}
    treated = {customer for customer, arm in everybody.items() if arm != "holdout"}
    held = set(everybody) - treated
    assert not treated <= may
    assert set(listed) == held | (treated & may)
    assert {row[0] for row in pushed} == set(everybody)
    assert {row[0] for row in pushed if row[1]} == treated & may


def test_parquet_lists_hold_the_ids_as_they_are(company: Company) -> None:
    project = company(WINBACK)
    launched = project.launch("winback", form="parquet")
    found: dict[str, str] = {}
    for path in launched.lists:
        assert path.suffix == ".parquet"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with duckdb.connect() as engine:
            rows = engine.execute("SELECT customer_id, arm FROM read_parquet(?)", [str(path)])
            found |= dict(rows.fetchall())
    assert found == {row.customer: row.arm for row in roster(project, "winback")}
    left = {path.name for path in launched.lists[0].parent.iterdir()}
    assert left == {path.name for path in launched.lists}


@pytest.mark.parametrize(
    ("locale", "start"), [("fr", b"\xef\xbb\xbfcustomer_id;"), ("en", b"customer_id,")]
)
def test_lists_open_in_the_spreadsheet_of_the_language(
    company: Company, locale: str, start: bytes
) -> None:
    project = company(WINBACK)
    text = project.path.read_text(encoding="utf-8")
    project.path.write_text(text.replace("[project]", f'[project]\nlocale = "{locale}"'), "utf-8")
    project = open_project(project.path)
    for path in project.launch("winback").lists:
        assert path.read_bytes().startswith(start)


def test_workbooks_keep_the_zeros_of_an_id(company: Company) -> None:
    project = company(WINBACK)
    launched = project.launch("winback", form="xlsx")
    found: dict[str, str] = {}
    for path in launched.lists:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        header, *rows = openpyxl.load_workbook(path).active.iter_rows(values_only=True)
        assert header == ("customer_id", "unit", "segment", "arm")
        found |= {row[0]: row[3] for row in rows}
    assert found == {row.customer: row.arm for row in roster(project, "winback")}
    left = {path.name for path in launched.lists[0].parent.iterdir()}
    assert left == {path.name for path in launched.lists}


def test_a_list_longer_than_a_sheet_is_refused(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "SHEET_ROWS", 10)
    project = company(WINBACK)
    with pytest.raises(LaunchError, match="more customers than a sheet"):
        project.launch("winback", form="xlsx")
    assert not list(project.base.rglob("*.xlsx"))


def test_lists_are_pushed_into_a_table_once(company: Company) -> None:
    project = company(WINBACK)
    project.launch("winback", push_table="crm_lists")
    project.launch("winback", push_table="crm_lists")
    with project.store.read() as connection:
        rows = connection.exec_driver_sql("SELECT customer_id, arm, contact FROM crm_lists").all()
    assert {(row[0], row[1]) for row in rows} == {
        (row.customer, row.arm) for row in roster(project, "winback")
    }
    assert len(rows) == len(roster(project, "winback"))
    assert all(contact == (arm != "holdout") for _, arm, contact in rows)


@pytest.mark.parametrize("name", ["orders", "Launches", "customers", "a b", "x; DROP TABLE orders"])
def test_lists_go_into_no_table_of_the_store(company: Company, name: str) -> None:
    project = company(WINBACK)
    with pytest.raises(LaunchError, match="cannot be the table of the lists"):
        project.launch("winback", push_table=name)
    assert project.launched() == []


def test_a_table_with_other_columns_is_left_alone(company: Company) -> None:
    project = company(WINBACK)
    with project.store.write() as connection:
        connection.exec_driver_sql("CREATE TABLE crm_lists (x INTEGER)")
    with pytest.raises(LaunchError, match="other columns than those of a list"):
        project.launch("winback", push_table="crm_lists")


# --- other campaigns after the same customers ---------------------------------------------------


def after(start: str, more: str) -> str:
    """A second campaign on the same segment, until the end of June."""
    text = WINBACK.replace("campaign.winback", "campaign.second").replace("2026-03-01", start)
    return text.replace("2026-04-30", "2026-06-30") + f"as_of = 2026-02-28\n{more}"


def customers(project: Project, campaign: str, *arms: str) -> set[str]:
    return {row.customer for row in roster(project, campaign) if not arms or row.arm in arms}


def test_customers_treated_lately_rest(company: Company) -> None:
    project = company(WINBACK + after("2026-05-20", "cooldown_days = 21\n"))
    project.launch("winback")
    flow = dict(project.launch("second").plan.flow)
    treated = customers(project, "winback", "call", "letter")
    assert flow["excluded: cooldown"] == len(treated)
    assert customers(project, "second") == customers(project, "winback", "holdout")
    third = after("2026-05-22", "cooldown_days = 21\n").replace("second", "third")
    later = dict(company(WINBACK + third).launch("third").plan.flow)  # the first ended 22 days ago
    assert later["excluded: cooldown"] == len(customers(project, "second", "call", "letter"))


def test_of_campaigns_that_overlap_the_higher_priority_goes_first(company: Company) -> None:
    equal = after("2026-04-20", "").replace("second", "equal")
    lower = after("2026-04-20", "priority = 40\n").replace("second", "lower")
    project = company(WINBACK + equal + lower)
    project.launch("winback")
    project.launch("equal")
    assert customers(project, "equal") == customers(project, "winback")
    with pytest.raises(LaunchError, match="in a campaign of higher priority"):
        project.launch("lower")


# --- edits and waves -----------------------------------------------------------------------------


def test_a_launch_after_an_edit_is_refused_with_what_changed(company: Company) -> None:
    company(WINBACK).launch("winback")
    edited = company(WINBACK.replace("call = 40, letter = 40", "call = 50, letter = 30"))
    with pytest.raises(LaunchError, match=r"since: arms\.call: frozen 40, now 50; arms\.letter"):
        edited.launch("winback")
    assert edited.measure("winback").deviations == (
        "arms.call: frozen 40, now 50",
        "arms.letter: frozen 40, now 30",
    )


def test_an_edited_rule_is_an_edit_of_the_campaign(company: Company) -> None:
    company(WINBACK).launch("winback")
    edited = company(WINBACK)
    text = edited.path.read_text(encoding="utf-8")
    edited.path.write_text(text.replace("orders_12m >= 4", "orders_12m >= 3"), encoding="utf-8")
    with pytest.raises(LaunchError, match=r'segments\.buyers: frozen "orders_12m >= 4", now'):
        open_project(edited.path).launch("winback")


ROLLING = (
    WINBACK.replace("winback", "rolling")
    .replace('segments = ["buyers"]', 'segments = ["fresh"]\nenrolment = "rolling"')
    .replace("start = 2026-03-01", "start = 2026-01-01")
)


def test_each_launch_of_a_rolling_campaign_draws_the_newly_eligible(company: Company) -> None:
    project = company(ROLLING)
    first = project.launch("rolling")
    assert (first.plan.wave, first.plan.start, first.plan.as_of) == (
        0, dt.date(2026, 1, 1), dt.date(2025, 12, 31),
    )  # fmt: skip
    second = project.launch("rolling", on=dt.date(2026, 2, 1))
    assert (second.new, second.plan.wave, second.plan.as_of) == (True, 1, dt.date(2026, 1, 31))
    assert "wave-1" in str(second.lists[0])
    again = project.launch("rolling", on=dt.date(2026, 2, 1))
    assert (again.new, again.plan.digest) == (False, second.plan.digest)
    third = project.launch("rolling")
    assert (third.plan.wave, third.plan.start) == (2, dt.date(2026, 3, 1))
    drawn = Counter(row.customer for row in roster(project, "rolling"))
    assert max(drawn.values()) == 1
    assert not any(found.problems for found in project.verify("rolling"))
    with pytest.raises(LaunchError, match="enrols until 2026-04-30"):
        project.launch("rolling", on=dt.date(2026, 5, 1))
    with pytest.raises(LaunchError, match="edited since: alpha"):
        company(ROLLING + "alpha = 0.1\n").launch("rolling")


def test_the_lists_of_one_wave_hold_no_one_of_another(company: Company) -> None:
    project = company(ROLLING)
    lists: list[Path] = [*project.launch("rolling").lists]
    lists += project.launch("rolling", on=dt.date(2026, 2, 1)).lists
    found = Counter(
        row["customer_id"]
        for path in lists
        for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    )
    assert sum(found.values()) == len(roster(project, "rolling"))
    assert max(found.values()) == 1

"""What a page says: from the views, before any markup."""

from __future__ import annotations

from dataclasses import replace

import report_samples as samples

from loyalty_exp.measure.results import CampaignResult
from loyalty_exp.report.campaign import campaign_page
from loyalty_exp.report.metrics import metric_name, metric_phrase, metric_unit, so_far
from loyalty_exp.report.overview import campaigns_section, index_page, shared_foot
from loyalty_exp.report.parts import cumulative, relative_cell
from loyalty_exp.report.roi import roi_page
from loyalty_exp.report.tongue import Tongue
from loyalty_exp.report.views import Page, Table
from loyalty_exp.report.years import years_page

EN, FR = Tongue("en"), Tongue("fr")


def figure(page: Page, label: str) -> tuple[str, str, str]:
    """Value, interval and detail of a key figure."""
    found = next(f for f in page.key_figures if f.label == label)
    return found.value, found.interval, found.detail


def column(table: Table, at: int) -> dict[str, str]:
    """The texts of a column by the header of their row."""
    return {row.cells[0].text: row.cells[at].text for row in table.rows}


def section_table(page: Page, anchor: str) -> Table:
    (section,) = (s for s in page.sections if s.anchor == anchor)
    return section.tables[0]


def test_a_split_made_elsewhere_is_never_called_drawn_at_random() -> None:
    result = samples.single()
    declared = {**result.plan.declaration, "assignment": {"source": "split.csv"}}
    outside = replace(result, plan=replace(result.plan, declaration=declared))
    for t in (EN, FR):
        page = campaign_page(t, outside)
        assert (
            "drawn at random"
            not in f"{page.explained} {figure(page, t.gettext('Customers in the test'))}"
        )
    page = campaign_page(EN, outside)
    assert "provided that chance alone chose them" in page.explained
    assert figure(page, "Customers in the test")[2] == "split made elsewhere"
    assert "drawn at random" in campaign_page(EN, result).explained


def rolling() -> CampaignResult:
    """Three waves, of which the plan is the first."""
    result = samples.single()
    waves = tuple(replace(result.rows[0], wave=str(i)) for i in range(3))
    arm = replace(result.arms[0], n_treated=9600, n_holdout=2400)
    return replace(result, rows=(*result.rows, *waves), arms=(arm,))


def test_a_rolling_campaign_counts_the_customers_of_every_wave() -> None:
    page = campaign_page(EN, rolling())
    assert figure(page, "Customers in the test") == (
        "12,000",
        "of whom 2,400 left out on purpose",
        "drawn at random in 3 waves",
    )
    achieved = column(section_table(page, "plan"), 2)
    assert achieved["offer"] == "9,600 customers (80.0%)"
    (flow,) = (s for s in page.sections if s.anchor == "flow")
    assert any(text.startswith("The first wave alone") for text in flow.asides)
    index = index_page(EN, [rolling()], "X")
    assert figure(index, "Customers drawn")[0] == "12,000"


def test_months_with_an_order_are_not_a_share_of_customers() -> None:
    assert so_far("active") == "active_months"
    assert so_far("orders") == "orders"
    assert metric_name(EN, so_far("active")) == "months with an order"
    assert metric_unit(EN, so_far("active")) == "months"
    assert metric_phrase(EN, "active", 0.031) == "+3.10 points"
    assert metric_phrase(EN, so_far("active"), 1.2) == "+1.2000 months"
    (arms,) = (s for s in campaign_page(EN, samples.good()).sections if s.anchor == "arms")
    rows = [row for row in arms.folds[0].tables[0].rows if "months with" in row.cells[0].text]
    assert {row.cells[3].text for row in rows} == {"months"}


def test_every_metric_has_its_name_in_french() -> None:
    names = ("revenue", "margin", "orders", "active", "basket", "frequency", "net")
    for metric in (*names, "active_months"):
        assert metric_name(FR, metric) != metric.replace("_", " ")
        assert metric_name(FR, metric) != metric_name(EN, metric)


def test_the_account_adds_up_line_by_line() -> None:
    result = samples.good()
    account = section_table(campaign_page(EN, result), "money")
    call, voucher = column(account, 1), column(account, 4)
    assert list(call)[:5] == [
        "Extra revenue", "Extra margin", "Fixed cost", "Contacts", "Rewards used",
    ]  # fmt: skip
    assert (call["Extra margin"], call["Rewards used"]) == ("€15,660", "–")
    assert (call["Net result"], voucher["Rewards used"]) == ("€7,860", "−\N{WORD JOINER}€2,400")
    (total,) = (row for row in account.rows if row.tone == "total")
    assert total.cells[0].text == "Net result"
    assert "Cost" not in call


def test_an_account_without_a_cost_says_so() -> None:
    result = samples.single()
    free = replace(result.arms[0].economics, fixed_cost=0.0, contact_cost=0.0, redemption_cost=0.0)
    result = replace(result, arms=(replace(result.arms[0], economics=free),))
    account = column(section_table(campaign_page(EN, result), "money"), 1)
    assert account["Cost"] == "none declared"
    assert "Contacts" not in account
    assert not any(name.startswith("Net return") for name in account)


def test_a_suspended_result_is_no_figure() -> None:
    page = campaign_page(EN, samples.bad())
    assert figure(page, "Net result") == ("suspended", "by a failed check", "not to be used")
    assert [f.label for f in page.key_figures if f.label.startswith("Net return")] == []
    (table,) = campaigns_section(EN, [samples.bad()]).tables
    assert column(table, 1)["Bon anniversaire"] == "Suspended"
    assert column(table, 2)["Bon anniversaire"] == "–"


def test_no_title_of_a_suspended_campaign_says_what_cannot_be_said() -> None:
    suspended, sound = (campaign_page(EN, r) for r in (samples.bad(), samples.single()))
    titles = [f.title for section in suspended.sections for f in section.figures]
    assert titles
    assert all(title.startswith("Suspended, not to be used: ") for title in titles)
    assert not any("Suspended" in f.title for section in sound.sections for f in section.figures)
    assert suspended.verdicts[0].text.startswith("Result suspended: 248 customers")


def test_a_page_without_a_closed_month_says_when_and_leaves_out_what_needs_one() -> None:
    page = campaign_page(EN, samples.empty())
    assert [section.anchor for section in page.sections] == [
        "months", "flow", "checks", "plan", "how",
    ]  # fmt: skip
    assert [f.label for f in page.key_figures] == ["Customers in the test", "Months closed"]
    assert figure(page, "Months closed")[1] == "first reading on 8\u00a0Apr\u00a02026"


def test_segments_are_called_what_the_project_calls_them() -> None:
    t = Tongue("fr", labels={"sleeping_gold": "Or endormis"})
    page = campaign_page(t, samples.good())
    (segments,) = (s for s in page.sections if s.anchor == "segments")
    assert "Or endormis" in segments.figures[0].title
    assert "Or endormis" in str(segments.figures[0].svg)


def test_a_page_of_several_campaigns_rests_on_no_single_plan() -> None:
    foot = shared_foot(EN, [samples.good(), samples.single()], "X")
    assert foot.command == "loyalty-exp report"
    assert "plan" not in foot.line
    assert "Frozen plan" not in dict(foot.facts)
    assert "183,346 rows read, 12 rows set aside" in dict(foot.facts)["orders"]


def test_the_years_count_customers_in_one_way() -> None:
    years = samples.years_page()
    page = years_page(EN, years, "X", shared_foot(EN, [samples.good()], "X"))
    table = section_table(page, "indicators")
    assert figure(page, "Customers who ordered")[0] == column(table, 2)["Customers who ordered"]


def test_nobody_moves_from_nowhere_to_nowhere() -> None:
    years = samples.years_page()
    moved = {"revenue_year1": 0.0, "revenue_year2": 0.0}
    nowhere = {"from": "none", "to": "none", "customers": 61, **moved}
    came = {"from": "none", "to": "gold", "customers": 7, **moved}
    years["moves"] = [*years["moves"], nowhere, came]
    page = years_page(EN, years, "X", shared_foot(EN, [samples.good()], "X"))
    matrix = section_table(page, "moves")
    assert "61" not in {cell.text for row in matrix.rows for cell in row.cells}
    assert column(matrix, 1)["Not a customer yet"] == "7"


def test_a_relative_effect_has_its_range() -> None:
    result = samples.single()
    row = cumulative(result, result.arms[0].arm)
    assert row is not None
    shown = section_table(campaign_page(EN, result), "arms").rows[0].cells[6].text
    figures = (row.relative_effect, row.relative_ci_lower, row.relative_ci_upper)
    value, low, high = (f"{100 * figure:+.1f}%".replace("-", "−") for figure in figures)
    assert shown == f"{value} ({low} … {high})"
    alone = replace(row, relative_ci_lower=None, relative_ci_upper=None)
    assert relative_cell(EN, alone).text == value


def test_the_summary_says_how_many_campaigns_chance_would_decide() -> None:
    """Thirty campaigns at .05 each."""
    results = samples.crowd(30, segments=1, count=8)
    (roi,) = (s for s in roi_page(EN, results, "X").sections if s.anchor == "campaigns")
    (index,) = (s for s in index_page(EN, results, project="X").sections if s.anchor == "campaigns")
    assert roi.figures[0].table is not None
    for said in (roi.figures[0].table.note, " ".join(index.asides)):
        assert "risk of error of 5.0%" in said
        assert "none of these 30 any effect, chance would still decide 1.50" in said
    (alone,) = (s for s in roi_page(EN, results[:1], "X").sections if s.anchor == "campaigns")
    assert "chance would" not in alone.tables[0].note


def test_what_to_do_next_begins_with_the_most_money() -> None:
    page = roi_page(EN, samples.crowd(30, segments=1, count=8), "X")
    (todo,) = (s for s in page.sections if s.anchor == "next")
    assert [action.split(":")[0] for action in todo.actions] == [
        f"Campagne n° {i}" for i in range(3)
    ]
    assert all("stop now" in action for action in todo.actions)

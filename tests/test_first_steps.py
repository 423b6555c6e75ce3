"""Stumbles of a first day at the command line: each is told in words, none is passed over."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from shops import DECLARATION, done, open_shop, order_lines, run, write_lines

UNIVERSAL = """
[universal_holdout]
percent = 10
start = 2026-03-01
months = 12
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return open_shop(tmp_path)


def refused(path: Path, *words: str) -> str:
    result = run(path, *words)
    assert result.exit_code == 2, result.output
    return result.output


def test_a_launch_before_the_first_load_says_to_load(shop: Path) -> None:
    assert refused(shop, "launch", "spring") == "the store holds no order; run `loyalty-exp load`\n"


def test_nothing_launched_is_said(shop: Path) -> None:
    done(shop, "load")
    assert done(shop, "verify") == "no campaign is launched yet\n"
    assert done(shop, "measure") == "no campaign is launched yet\n"


def test_contacts_of_an_unknown_segment_names_the_segments(shop: Path) -> None:
    done(shop, "load")
    told = refused(shop, "contacts", "--segment", "A risk")
    assert told.startswith("no such segment: 'A risk'; the segments are Champions, Loyal")
    assert told.endswith(", regular\n")
    assert "Customer" in done(shop, "contacts", "--segment", "À risque")
    assert "Customer" in done(shop, "contacts", "--segment", "a risque")


def test_contacts_are_written_as_csv_only(shop: Path) -> None:
    done(shop, "load")
    workbook = shop.parent / "monday.xlsx"
    assert "name it *.csv" in refused(shop, "contacts", "--output", str(workbook))
    assert not workbook.exists()


def test_a_day_is_for_rolling_campaigns(shop: Path) -> None:
    done(shop, "load")
    told = refused(shop, "launch", "spring", "--on", "2026-04-01")
    assert "spring is drawn once, for 2026-03-01" in told
    assert done(shop, "verify") == "no campaign is launched yet\n"


def test_a_launch_on_old_orders_says_so(tmp_path: Path) -> None:
    late = DECLARATION
    for then, later in (("03-01", "09-05"), ("04-30", "10-31"), ("06-30", "12-31")):
        late = late.replace(f"2026-{then}", f"2026-{later}")
    shop = open_shop(tmp_path, late)
    done(shop, "load")
    told = done(shop, "launch", "spring")
    assert "Note: Orders are known up to 23 July 2026" in told
    assert "the audience is that of 4 September 2026" in told
    assert "Note:" not in done(shop, "launch", "spring")


def test_a_launch_on_orders_up_to_the_start_has_no_note(tmp_path: Path) -> None:
    shop = open_shop(
        tmp_path,
        DECLARATION.replace("2026-03-01", "2026-07-24")
        .replace("-04-30", "-08-31")
        .replace("-06-30", "-10-31"),
    )
    done(shop, "load")
    assert "Note:" not in done(shop, "launch", "spring")


def test_a_launch_after_the_start_says_what_it_cannot_show(shop: Path) -> None:
    done(shop, "load")
    assert "It starts on 1 March 2026, but orders up to 23 July 2026 are known already" in " ".join(
        done(shop, "plan", "spring", "--draws", "0").split()
    )
    assert "chance only for the days before it" in done(shop, "launch", "spring")


def test_a_universal_holdout_drawn_late_names_the_running_campaigns(shop: Path) -> None:
    done(shop, "load")
    done(shop, "launch", "spring")
    shop.write_text(DECLARATION + UNIVERSAL, encoding="utf-8")
    told = done(shop, "launch", "universal_holdout")
    assert "Note: Launched earlier and still running: spring; take the customers" in told


YEARS = ("--year1", "2025-02-01", "2025-06-30", "--year2", "2026-02-01", "2026-06-30")


def test_kpis_stand_beside_their_definitions(shop: Path) -> None:
    done(shop, "load")
    done(shop, "launch", "spring")
    told = " ".join(done(shop, "kpis", *YEARS).split())
    assert "Attrition" in told
    assert "Often sold as" in told
    found = json.loads(done(shop, "kpis", *YEARS, "--format", "json"))
    years = {row["year"]: row for row in found["kpis_by_year"] if row["segment"] == "all"}
    drawn = json.loads(done(shop, "measure", "spring", "--format", "json"))
    units = next(row["n_treated"] for row in drawn if row["arm"] == "call")
    assert years["year1"]["budget_ratio"] is None
    ratio = (100 + 2 * units) / years["year2"]["revenue"]
    assert years["year2"]["budget_ratio"] == pytest.approx(ratio, rel=1e-9)
    assert {row["month"] for row in found["kpis_by_month"]} >= {"2025-02", "2026-06"}
    assert found["cohorts"]


def test_the_comparison_is_read_in_the_terminal(shop: Path) -> None:
    done(shop, "load")
    told = " ".join(done(shop, "compare", *YEARS).split())
    for said in ("Lost customers", "Not a customer yet", "partly by luck", "not known"):
        assert said in told


def test_the_marketer_reads_french(tmp_path: Path) -> None:
    shop = open_shop(tmp_path, DECLARATION.replace("[project]", '[project]\nlocale = "fr"'))
    done(shop, "load")
    for words, said in (
        (["segments"], "Fidèles potentiels"),
        (["plan", "spring", "--draws", "20"], "Ce qu’on pourra savoir"),
        (["contacts"], "Risque de départ"),
        (["kpis", *YEARS], "Souvent présenté comme la rétention, à tort"),
        (["compare", *YEARS], "La vue suivie garde les membres de l’année 1."),
        (["launch", "spring"], "clients témoins\xa0: "),
    ):
        assert said in done(shop, *words).replace("\n", " "), words


def test_segments_are_called_by_their_labels(tmp_path: Path) -> None:
    label = 'where = "orders_12m >= 3"\nlabel = "Those who come back"'
    late = DECLARATION.replace('where = "orders_12m >= 3"', label).replace(
        "[campaign.spring]",
        '[segments.odd]\nwhere = "basket > 60"\nlabel = "Large baskets"\n[campaign.spring]\n'
        'exclude = ["odd"]',
    )
    shop = open_shop(tmp_path, late)
    done(shop, "load")
    assert "Those who come back" in done(shop, "segments")
    told = done(shop, "plan", "spring", "--draws", "0", "--html", str(tmp_path / "plan.html"))
    assert "open" in told
    page = (tmp_path / "plan.html").read_text(encoding="utf-8")
    assert "Those who come back" in page
    assert "left aside: in “Large baskets”" in page
    done(shop, "launch", "spring")
    done(shop, "report")
    pages = "".join(path.read_text("utf-8") for path in (tmp_path / "reports").glob("*.html"))
    assert "Those who come back" in pages


def test_kpis_of_an_unknown_segment_names_the_segments(shop: Path) -> None:
    done(shop, "load")
    told = refused(shop, "kpis", *YEARS, "--segment", "Champion")
    assert told.startswith("no such segment: 'Champion'; the segments are all, Champions, Loyal")


def test_a_figure_that_means_nothing_is_named(tmp_path: Path) -> None:
    shop = open_shop(tmp_path, DECLARATION, customers=40)
    done(shop, "load")
    done(shop, "launch", "spring")
    told = " ".join(done(shop, "measure", "spring").split())
    assert "relative effect not meaningful: the holdout's mean may be zero or negative" in told


def test_a_draw_after_the_start_is_told_by_measure_and_on_the_page(shop: Path) -> None:
    done(shop, "load")
    done(shop, "launch", "spring")
    said = " ".join(done(shop, "measure", "spring").split())
    assert "Take care: Draw before the start. When the draw was made, orders were known" in said
    assert "already up to day 145 of the campaign. Contacts may have begun before the draw" in said
    done(shop, "report", "--to", str(shop.parent / "pages"))
    (path,) = (shop.parent / "pages").glob("*spring.html")
    page = " ".join(path.read_text(encoding="utf-8").split())
    assert "Contacts may have begun before the draw" in page
    early = shop.parent / "early"
    early.mkdir()
    write_lines(early, [line for line in order_lines() if line[2] < dt.date(2026, 3, 1)])
    (early / "campaigns.toml").write_text(DECLARATION, encoding="utf-8")
    done(early / "campaigns.toml", "load")
    done(early / "campaigns.toml", "launch", "spring")
    assert "Draw before the start" not in done(early / "campaigns.toml", "measure", "spring")

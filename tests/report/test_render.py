"""The site: files, structure, what must be seen, what must never be there."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import report_samples as samples

from loyalty_exp.compare.causes import MeasuredEffect, causes
from loyalty_exp.compare.windows import Window, check_windows
from loyalty_exp.measure.results import CampaignResult, Check, CheckStatus
from loyalty_exp.report.campaign import campaign_page
from loyalty_exp.report.overview import campaigns_section
from loyalty_exp.report.parts import said
from loyalty_exp.report.render import fragment, single_file, site
from loyalty_exp.report.tongue import Tongue
from loyalty_exp.report.views import Foot
from loyalty_exp.report.years import causes_section, years_page

YEAR1, YEAR2 = (Window(dt.date(y, 1, 1), dt.date(y, 12, 31)) for y in (2020, 2021))
QUIET = (
    YEAR1,
    YEAR2,
    [YEAR1.start + dt.timedelta(days=i) for i in range(2, 729)],
)
"""Two years whose first and last days hold no order."""


class Reader(HTMLParser):
    """Ids, links, headings, sources and visible text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.levels: list[int] = []
        self.loads: list[str] = []
        self.images: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.open.append(tag)
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if tag == "a":
            self.links.append(str(found.get("href")))
        if re.fullmatch(r"h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if tag in ("script", "img", "link", "iframe") and ("src" in found or tag == "link"):
            self.loads.append(str(found.get("src") or found.get("href")))
        if tag == "svg":
            self.images.append(str(found.get("aria-label")))

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module", params=["fr", "en"])
def pages(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("site")
    written = site(
        [samples.good(), samples.single(), samples.bad(), samples.empty()],
        folder,
        language=request.param,
        project="Maison Exemple",
        universal=samples.universal(),
        programme=samples.programme(),
        years=samples.years_page(),
    )
    assert sorted(written) == sorted(folder.iterdir())
    return {path.name: path.read_text(encoding="utf-8") for path in written}


def test_the_site_has_its_pages(pages: dict[str, str]) -> None:
    assert list(pages) == [
        "index.html",
        "roi.html",
        "campaign-winback-2026.html",
        "campaign-spring.html",
        "campaign-suspended.html",
        "campaign-autumn.html",
        "years.html",
        "methods.html",
    ]


def test_pages_load_nothing_and_link_only_to_each_other(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        page = Reader(text)
        assert page.loads == ["data:,"], name
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), name
        for link in page.links:
            file, _, anchor = link.partition("#")
            target = Reader(pages[file]) if file else page
            assert not anchor or anchor in target.ids, (name, link)


def test_structure_is_sound(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        page = Reader(text)
        assert len(page.ids) == len(set(page.ids)), name
        assert page.levels.count(1) == 1, name
        assert all(b - a <= 1 for a, b in zip(page.levels, page.levels[1:], strict=False)), name
        assert all(len(label) > 40 for label in page.images), name
        assert "%(" not in page.text, name
        assert "None" not in page.text, name
        assert "nan" not in page.text.split(), name


def test_names_from_data_are_text_never_markup(pages: dict[str, str]) -> None:
    text = pages["campaign-winback-2026.html"]
    assert "new <b>" not in text
    assert "new <b>&</b> promising" in Reader(text).text


def test_what_must_not_be_overlooked_stands_between_verdict_and_figures(
    pages: dict[str, str],
) -> None:
    text = pages["campaign-suspended.html"]
    verdict, figures = text.index('class="verdict '), text.index('class="key-figures"')
    for kind in ("caveat", "deviation"):
        assert verdict < text.index(f'class="notice {kind}"') < figures
    assert 'class="notice caveat"' in pages["index.html"]
    assert "Bon anniversaire" in text


def test_a_failed_check_is_the_verdict_or_a_notice_never_both() -> None:
    t, result = Tongue("en"), samples.bad()
    (verdict,), notices = campaign_page(t, result).verdicts, campaign_page(t, result).notices
    assert "248" in verdict.text
    assert "failed" not in {notice.kind for notice in notices}
    split = Check("split", CheckStatus.FAILED, False, {})
    notices = campaign_page(t, replace(result, checks=(*result.checks, split))).notices
    (failed,) = (notice for notice in notices if notice.kind == "failed")
    assert failed.lines == ("More customers were lost on one side than chance explains.",)


def test_the_recipe_of_the_draw_can_be_followed(pages: dict[str, str]) -> None:
    text = Reader(pages["campaign-spring.html"]).text
    assert "md5(salt || ':' || unit)" in text
    plan = samples.single().plan
    assert plan.salt in text
    assert plan.digest in text


def test_an_empty_campaign_degrades_in_words(pages: dict[str, str]) -> None:
    page = Reader(pages["campaign-autumn.html"])
    assert page.images == []
    assert len(page.text) > 3000


def test_charts_name_no_font_no_id_and_no_colour_of_their_own(pages: dict[str, str]) -> None:
    for svg in re.findall(r"<svg.*?</svg>", "".join(pages.values()), flags=re.DOTALL):
        assert not re.search(r"""font-family|\bid=|(fill|stroke)="#""", svg)


def test_a_site_without_results_says_so(tmp_path: Path) -> None:
    written = site([], tmp_path, language="en", project="New")
    assert "No campaign has been launched yet." in written[0].read_text(encoding="utf-8")
    assert [path.name for path in written] == ["index.html", "roi.html", "methods.html"]


def test_the_programme_total_is_not_known_without_a_universal_holdout(tmp_path: Path) -> None:
    results = [samples.good(), samples.single()]
    site(results, tmp_path, language="en", project="X")
    text = Reader((tmp_path / "roi.html").read_text(encoding="utf-8")).text
    assert "is not known: nobody is left out of every campaign" in text


def test_every_optional_piece_may_be_missing(tmp_path: Path) -> None:
    whole = samples.good()
    bare = replace(
        whole,
        arms=tuple(
            replace(
                arm,
                looks=(),
                decomposition=None,
                wearout=None,
                pull_forward=None,
                reached=None,
                influence=(),
                sensitivity=(),
                heterogeneity=None,
                economics=replace(arm.economics, months=()),
            )
            for arm in whole.arms
        ),
        checks=(),
        flow=(),
    )
    rowless = replace(bare, rows=())
    for i, result in enumerate((bare, rowless)):
        folder = tmp_path / str(i)
        for path in site([result], folder, language="en", project="X"):
            assert "None" not in Reader(path.read_text(encoding="utf-8")).text


def test_one_file_holds_the_whole_site(tmp_path: Path) -> None:
    results: list[CampaignResult] = [samples.good(), samples.empty()]
    path = single_file(results, tmp_path / "all.html", language="en", project="X")
    page = Reader(path.read_text(encoding="utf-8"))
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert {"index", "roi", "methods", "campaign-winback-2026"} <= set(page.ids)


def test_a_notebook_shows_the_verdict_and_the_arms() -> None:
    text = Reader(fragment(samples.good(), "en")).text
    assert "“call” has earned" in text
    assert "customers left out" in text


def test_a_crowd_stays_small(tmp_path: Path) -> None:
    crowd = samples.crowd(3)
    calls: list[str] = []
    written = site(crowd, tmp_path, language="fr", project="X", progress=calls.append)
    assert len(calls) == len(written)
    assert max(path.stat().st_size for path in written) < 600_000


def test_an_index_of_two_hundred_campaigns_is_under_three_megabytes() -> None:
    from loyalty_exp.report.overview import index_page
    from loyalty_exp.report.render import page_html
    from loyalty_exp.report.tongue import Tongue

    template = samples.single("c", "Campagne", segments=("one", "two"), count=36)
    many = [replace(template, campaign=f"c{i}") for i in range(200)]
    t = Tongue("fr")
    assert len(page_html(t, index_page(t, many, "X")).encode()) < 3_000_000


def text_of(years: dict[str, object], language: str, tmp_path: Path) -> str:
    given = {"language": language, "project": "Maison Exemple", "years": years}
    written = site([samples.single()], tmp_path, **given)
    page = next(path for path in written if path.name == "years.html")
    return Reader(page.read_text(encoding="utf-8")).text


def test_the_years_show_indicators_cohorts_and_definitions(tmp_path: Path) -> None:
    text = text_of(samples.years_page(), "fr", tmp_path)
    assert "Or" in text
    assert "gold" not in text
    assert "Ce n'est pas la rétention." in text
    assert "Sur 100 clients arrivés un mois donné" in text
    assert "71,0 %" in text
    assert "< 5" in text


def test_the_years_need_no_more_than_the_comparison(tmp_path: Path) -> None:
    text = text_of(samples.years(), "en", tmp_path)
    assert "How the customers fared" not in text
    assert "Who moved where" in text


def test_fields_of_a_few_customers_are_told_from_those_beside() -> None:
    page = years_page(Tongue("en"), samples.years_page(), "X", Foot((), "", ""))
    (matrix,) = next(section for section in page.sections if section.anchor == "moves").tables
    assert [cell.text for cell in matrix.rows[0].cells] == ["Gold", "900", "225", "*", "<\u00a05"]
    assert matrix.rows[0].cells[4].value is None


def test_causes_are_told_as_proven_or_not_the_most_money_first() -> None:
    years = samples.years_page()
    proven = years["causes"][1]
    loss = proven | {"segment": "bronze", "caused": -90_000.0, "caused_ci_lower": -150_000.0,
                     "caused_ci_upper": -30_000.0}  # fmt: skip
    unclear = proven | {"segment": "silver", "caused": 50_000.0, "caused_ci_lower": -5_000.0}
    section = causes_section(Tongue("en"), years | {"causes": [proven, unclear, loss]})
    first, second, third = section.points
    assert first.startswith("Bronze: the campaigns caused \u2212\u2060€90,000 of revenue (between")
    assert second.startswith("Silver: what the campaigns caused is not proven (between")
    assert third.startswith(
        "Gold: the campaigns caused +\u2060€18,400 of revenue (between €4,100 and"
    )


def test_remarks_of_the_comparison_keep_their_figures() -> None:
    calendar = "The calendar gives year 1 366 days, and year 2 365."
    assert said(Tongue("en"), calendar) == calendar
    text = said(Tongue("fr"), calendar)
    assert "366" in text
    assert "365" in text
    several = causes(
        {"gold": 3.0}, [MeasuredEffect("gold", name, 1.0, 0.0, 2.0) for name in "ab"], {"gold"}
    )
    assert "(a, b)" in said(Tongue("fr"), several[0].note)
    assert "campagnes" in said(Tongue("fr"), several[0].note)
    quiet = check_windows(*QUIET)
    assert quiet
    assert all(said(Tongue("fr"), remark) != remark for remark in quiet)


def test_many_campaigns_show_the_most_money_and_fold_the_rest() -> None:
    results = samples.crowd(200, segments=2, count=6)
    section = campaigns_section(Tongue("en"), results)
    (table,) = section.tables
    shown = [row.cells[0].text for row in table.rows]
    assert len(shown) == 25
    assert [fold.title.split(" ", 1)[1] for fold in section.folds] == [
        "more that earn",
        "more that lose",
        "more, undecided",
    ]
    folded = [row.cells[0].text for fold in section.folds for row in fold.tables[0].rows]
    assert sorted(shown + folded) == sorted(result.plan.name for result in results)

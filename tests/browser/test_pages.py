"""The pages as a browser shows them: nothing asked for, nothing said, usable by everybody.

Needs Debian's chromium and the development extras playwright and axe-playwright-python.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import report_samples as samples

from loyalty_exp.report.campaign import campaign_page
from loyalty_exp.report.overview import index_page
from loyalty_exp.report.render import page_html, plan_file, single_file, site
from loyalty_exp.report.roi import roi_page
from loyalty_exp.report.tongue import Tongue

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe_module = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("Chromium is not installed", allow_module_level=True)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
WIDTHS = (360, 1440)
A4_PAGES = {"roi.html": (1, 2), "campaign-winback-2026.html": (5, 8), "index.html": (1, 3)}
pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="module", params=["fr", "en"])
def pages(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp(request.param)
    given: dict[str, Any] = {
        "language": request.param,
        "project": "Maison Exemple",
        "universal": samples.universal(),
        "programme": samples.programme(),
        "years": samples.years_page(),
    }
    results = [samples.good(), samples.bad(), samples.empty(), *samples.crowd(1)]
    written = site(results, folder, **given)
    plan = folder / "plan-winback.html"
    words = {"language": request.param, "project": "Maison Exemple"}
    written.append(plan_file(samples.campaign_plan(), plan, **words))
    return [*written, single_file(results, folder / "all.html", **given)]


@pytest.fixture(scope="module")
def kept() -> list[Path]:
    """The pages kept under reports/: the demonstration's and the simulated company's."""
    return sorted((Path(__file__).parents[2] / "reports").glob("sample*/*.html"))


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Pages of a company of 200 campaigns, 60 segments and 36 months."""
    folder, t = tmp_path_factory.mktemp("crowded"), Tongue("fr")
    results = samples.crowd(200)
    made = (
        index_page(t, results, "Maison Exemple"),
        roi_page(t, results, "Maison Exemple"),
        campaign_page(t, results[-1]),
    )
    for page in made:
        (folder / page.name).write_text(page_html(t, page), encoding="utf-8")
    return sorted(folder.iterdir())


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


def test_pages_open_from_disk_without_a_request_or_a_message(tab: Page, pages: list[Path]) -> None:
    asked: list[str] = []
    said: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    for path in pages:
        tab.goto(path.as_uri())
    assert {url for url in asked if not url.startswith(("file://", "data:"))} == set()
    assert len([url for url in asked if url.startswith("file://")]) == len(pages)
    assert said == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("of", ["kept", "crowded"])
def test_kept_and_crowded_pages_are_quiet_fit_and_open_to_everybody(
    browser: Browser, request: pytest.FixtureRequest, of: str, width: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800})
    tab = context.new_page()
    said: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    paths = request.getfixturevalue(of)
    assert len(paths) >= 3
    for path in paths:
        assert path.stat().st_size < 3_000_000, path.name
        tab.goto(path.as_uri())
        found = axe_module.Axe().run(tab)
        assert found.violations_count == 0, (path.name, found.generate_report())
        tab.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, path.name
    assert said == []
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(browser: Browser, pages: list[Path], scheme: Any) -> None:
    axe = axe_module.Axe()
    context = browser.new_context(color_scheme=scheme)
    tab = context.new_page()
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    for path in pages:
        if path.stem in ("campaign-c000", "all"):
            continue  # the same parts as on other pages, many times over
        tab.goto(path.as_uri())
        tab.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
        found = axe.run(tab, options=rules)
        assert found.violations_count == 0, (path.name, found.generate_report())
    context.close()


def test_axe_finds_no_violation_in_the_single_file(tab: Page, tmp_path: Path) -> None:
    results = [samples.empty(), samples.single(count=4)]
    path = single_file(results, tmp_path / "all.html", language="en", project="X")
    tab.goto(path.as_uri())
    found = axe_module.Axe().run(tab)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_scrolls_sideways(browser: Browser, pages: list[Path], width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800})
    tab = context.new_page()
    for path in pages:
        tab.goto(path.as_uri())
        tab.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
        needed = tab.evaluate("document.documentElement.scrollWidth")
        assert needed <= width, path.name
    context.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_words_of_a_chart_stay_inside_it_and_legible(
    browser: Browser, pages: list[Path], width: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800})
    tab = context.new_page()
    measure = """() => [...document.querySelectorAll('svg.chart')].flatMap(svg => {
      const box = svg.getBoundingClientRect();
      return [...svg.querySelectorAll('text')].map(text => {
        const own = text.getBoundingClientRect();
        const scale = box.width / svg.viewBox.baseVal.width;
        return [text.textContent, own.left - box.left, box.right - own.right,
                parseFloat(getComputedStyle(text).fontSize) * scale];
      });
    })"""
    for path in pages:
        tab.goto(path.as_uri())
        for text, left, right, size in tab.evaluate(measure):
            assert left > -14, (path.name, text)
            assert right > -14, (path.name, text)
            assert size >= 9, (path.name, text)
    context.close()


def test_internal_links_resolve(tab: Page, pages: list[Path]) -> None:
    for path in pages:
        tab.goto(path.as_uri())
        links = tab.eval_on_selector_all("a[href]", "found => found.map(a => a.href)")
        assert links
        for link in links:
            file, _, anchor = link.partition("#")
            assert Path(file.removeprefix("file://")).exists(), link
            if anchor and file == path.as_uri():
                assert tab.locator(f"[id='{anchor}']").count() == 1, link


def test_folds_and_sorting_work_by_keyboard(tab: Page, pages: list[Path]) -> None:
    page = next(path for path in pages if path.name.startswith("campaign-c"))
    tab.goto(page.as_uri())
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    summary = tab.locator("#figure-months summary")
    summary.focus()
    tab.keyboard.press("Enter")
    assert tab.locator("#figure-months details").get_attribute("open") is not None
    button = tab.locator("#figure-months thead button").nth(3)
    button.focus()
    tab.keyboard.press("Enter")
    cells = tab.eval_on_selector_all(
        "#figure-months tbody tr", "rows => rows.map(r => Number(r.cells[3].dataset.value))"
    )
    assert cells == sorted(cells, reverse=True)
    assert tab.locator("#figure-months th[aria-sort=descending]").count() == 1


def test_tables_are_complete_without_scripts(browser: Browser, pages: list[Path]) -> None:
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(pages[0].as_uri())
    assert tab.locator("tbody tr").count() >= 4
    assert tab.locator("thead button").count() == 0
    context.close()


def test_printing_gives_the_expected_pages(tab: Page, pages: list[Path], tmp_path: Path) -> None:
    for path in pages:
        if path.name not in A4_PAGES:
            continue
        tab.goto(path.as_uri())
        file = tmp_path / f"{path.stem}.pdf"
        tab.pdf(path=str(file), prefer_css_page_size=True)
        low, high = A4_PAGES[path.name]
        assert low <= _page_count(file) <= high, path.name


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_summary_for_leadership_is_one_sheet(tab: Page, tmp_path: Path, language: str) -> None:
    given: dict[str, Any] = {"universal": samples.universal(), "programme": samples.programme()}
    results = [samples.good(), samples.single(), samples.bad()]
    site(results, tmp_path, language=language, project="Maison Exemple", **given)
    tab.goto((tmp_path / "roi.html").as_uri())
    file = tmp_path / "roi.pdf"
    tab.pdf(path=str(file), prefer_css_page_size=True)
    assert _page_count(file) == 1


def test_a_kept_summary_and_a_crowded_one_are_one_sheet(
    tab: Page, kept: list[Path], crowded: list[Path], tmp_path: Path
) -> None:
    summaries = [path for path in (*kept, *crowded) if path.name == "roi.html"]
    assert len(summaries) == 3
    for path in summaries:
        tab.goto(path.as_uri())
        tab.pdf(path=str(tmp_path / "roi.pdf"), prefer_css_page_size=True)
        assert _page_count(tmp_path / "roi.pdf") == 1, path


def _page_count(file: Path) -> int:
    """Pages of a PDF, by its page tree."""
    counts = re.findall(rb"/Type\s*/Pages\b[^>]*?/Count (\d+)", file.read_bytes())
    counts += re.findall(rb"/Count (\d+)[^>]*?/Type\s*/Pages\b", file.read_bytes())
    return max(int(count) for count in counts)


def test_no_chart_is_cut_by_a_page(tab: Page, pages: list[Path], tmp_path: Path) -> None:
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext (poppler-utils) is not installed")
    page = next(path for path in pages if path.name == "campaign-winback-2026.html")
    tab.goto(page.as_uri())
    axes = tab.eval_on_selector_all(
        "#figure-money svg text:not(.stroke-paper)", "found => found.map(text => text.textContent)"
    )
    file = tmp_path / "campaign.pdf"
    tab.pdf(path=str(file), prefer_css_page_size=True)
    text = subprocess.run(["pdftotext", "-layout", str(file), "-"], capture_output=True, check=True)
    sheets = ["".join(sheet.split()) for sheet in text.stdout.decode().split("\f")]
    words = ["".join(word.split()) for word in axes if word.strip()]
    assert any(all(word in sheet for word in words) for sheet in sheets)

"""Pages to files: one standalone HTML file a page, style and script inlined. Computes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loyalty_exp.report.campaign import arms_summary, campaign_page
from loyalty_exp.report.methods import methods_page
from loyalty_exp.report.overview import caveat_notices, index_page, shared_foot
from loyalty_exp.report.plan import plan_page
from loyalty_exp.report.roi import roi_page
from loyalty_exp.report.tongue import Tongue
from loyalty_exp.report.views import Link, Page
from loyalty_exp.report.years import years_page

if TYPE_CHECKING:
    import jinja2

    from loyalty_exp.measure.results import CampaignResult, Programme

__all__ = ["Progress", "fragment", "page_html", "plan_file", "single_file", "site"]

Progress = Callable[[str], None]
"""Called with a sentence for each page."""
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class _Site:
    """What the pages are made from."""

    results: Sequence[CampaignResult]
    project: str
    universal: CampaignResult | None
    years: Mapping[str, Any] | None
    programme: Programme | None


def site(
    results: Sequence[CampaignResult],
    directory: Path,
    *,
    language: str,
    project: str,
    universal: CampaignResult | None = None,
    years: Mapping[str, Any] | None = None,
    programme: Programme | None = None,
    labels: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Write the site: index, ROI summary, a page a campaign, year over year, methods.

    Args:
        results: Measurements, in any order.
        directory: Folder of the site; made if absent. Pages of the same name are replaced.
        language: "fr" or "en".
        project: Name of the project, as readers know it.
        universal: Measurement of the customers left out of every campaign, where there are some.
        years: The comparison of two years as a dictionary (`compare --format json`).
        programme: The programme's total from that measurement.
        labels: What the project calls its own segments, by id.
        progress: Called after each page.

    Returns:
        The files written, the index first.

    Raises:
        ValueError: If the language has no catalogue.
    """
    directory.mkdir(parents=True, exist_ok=True)
    t = _tongue(results, language, labels)
    given = _Site(results, project, universal, years, programme)
    written = []
    for page in _pages(t, given):
        path = directory / page.name
        path.write_text(page_html(t, page), encoding="utf-8")
        written.append(path)
        if progress is not None:
            progress(f"page {page.name}")
    return written


def single_file(
    results: Sequence[CampaignResult],
    path: Path,
    *,
    language: str,
    project: str,
    universal: CampaignResult | None = None,
    years: Mapping[str, Any] | None = None,
    programme: Programme | None = None,
    labels: Mapping[str, str] | None = None,
) -> Path:
    """Write the whole site as one file to mail; arguments as for `site`."""
    t = _tongue(results, language, labels)
    pages = list(_pages(t, _Site(results, project, universal, years, programme)))
    text = _environment(t.language).get_template("bundle.html")
    context = {"style": _asset("style.css"), "script": _asset("sort.js")}
    path.write_text(
        text.render(pages=pages, prefix="", target=_inside, slug=_slug, **context), encoding="utf-8"
    )
    return path


def plan_file(
    plan: Mapping[str, Any],
    path: Path,
    *,
    language: str,
    project: str,
    labels: Mapping[str, str] | None = None,
) -> Path:
    """Write the page of a plan as one file.

    Args:
        plan: The fields of `CampaignPlanReport`, what is not a finite number as None.
        path: Where; replaced if it is there.
        language: "fr" or "en".
        project: Name of the project.
        labels: What the project calls its own segments, by id.

    Raises:
        ValueError: If the language has no catalogue.
    """
    t = Tongue(language, plan["currency"], labels)
    path.write_text(page_html(t, plan_page(t, plan, project)), encoding="utf-8")
    return path


def fragment(result: CampaignResult, language: str = "en") -> str:
    """The verdict and the arms of a campaign, as a notebook shows them."""
    t = _tongue([result], language)
    template = _environment(language).get_template("_notebook.html")
    page = arms_summary(t, result)
    return template.render(page=page, prefix="", target=_same, style=_asset("notebook.css"))


def _tongue(
    results: Sequence[CampaignResult], language: str, labels: Mapping[str, str] | None = None
) -> Tongue:
    return Tongue(language, results[0].plan.currency if results else "EUR", labels)


def _pages(t: Tongue, given: _Site) -> Iterator[Page]:
    """The pages one by one, each with the navigation."""
    results, project = given.results, given.project
    foot = shared_foot(t, results, project)
    makers: list[Callable[[], Page]] = [
        lambda: index_page(t, results, project),
        lambda: roi_page(
            t,
            results,
            project,
            universal=given.universal,
            years=given.years,
            programme=given.programme,
        ),
        *(_campaign_maker(t, result) for result in results),
    ]
    years = given.years
    if years is not None:
        notices = caveat_notices(t, results)
        makers.append(lambda: years_page(t, years, project, foot, notices))
    makers.append(lambda: methods_page(t, project, foot))
    for make in makers:
        page = make()
        yield replace(page, nav=_nav(t, page.name, with_years=years is not None))


def _campaign_maker(t: Tongue, result: CampaignResult) -> Callable[[], Page]:
    return lambda: campaign_page(t, result)


def _nav(t: Tongue, name: str, *, with_years: bool) -> tuple[Link, ...]:
    _ = t.gettext
    links = [("index.html", _("Campaigns")), ("roi.html", _("Return on investment"))]
    if with_years:
        links.append(("years.html", _("Year over year")))
    links.append(("methods.html", _("Methods")))
    return tuple(Link(text, href, current=href == name) for href, text in links)


def page_html(t: Tongue, page: Page) -> str:
    """A page as standalone HTML."""
    template = _environment(t.language).get_template("page.html")
    context = {"style": _asset("style.css"), "script": _asset("sort.js")}
    return template.render(page=page, prefix="", target=_same, **context)


def _same(href: str) -> str:
    return href


def _slug(name: str) -> str:
    return name.removesuffix(".html")


def _inside(href: str) -> str:
    """A page of the site as a place inside the single file."""
    return f"#{_slug(href)}"


@cache
def _environment(language: str) -> jinja2.Environment:
    """Templates with autoescape, strict names, and the catalogue of the language."""
    import jinja2  # noqa: PLC0415  (needed only for a page)

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    t = Tongue(language)
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        t.gettext, t.ngettext, newstyle=True
    )
    environment.filters["css_text"] = _css_text
    return environment


def _css_text(text: str) -> str:
    """A text as the inside of a CSS string."""
    return text.replace("\\", "\\5c ").replace('"', "\\22 ").replace("\n", " ")


@cache
def _asset(name: str) -> str:
    """A style or script of ours, inlined as it is."""
    from markupsafe import Markup  # noqa: PLC0415

    return Markup((_TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704  (our own file)

"""Pages to files: one standalone HTML file a page, style and script inlined. Computes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from loyalty_exp.report.campaign import campaign_file, campaign_page
from loyalty_exp.report.overview import index_page
from loyalty_exp.report.tongue import Tongue
from loyalty_exp.report.views import Link, Page

if TYPE_CHECKING:
    import jinja2

    from loyalty_exp.measure.results import CampaignResult

__all__ = ["Progress", "page_html", "site"]

Progress = Callable[[str], None]
"""Called with a sentence for each page."""
_TEMPLATES = Path(__file__).parent / "templates"


def site(
    results: Sequence[CampaignResult],
    directory: Path,
    *,
    language: str,
    project: str,
    progress: Progress | None = None,
) -> list[Path]:
    """Write the site: index.html and one page a campaign.

    Args:
        results: Measurements, in any order.
        directory: Folder of the site; made if absent. Pages of the same name are replaced.
        language: "fr" or "en".
        project: Name of the project, as readers know it.
        progress: Called after each page.

    Returns:
        The files written, the index first.

    Raises:
        ValueError: If the language has no catalogue.
    """
    directory.mkdir(parents=True, exist_ok=True)
    currency = results[0].plan.currency if results else "EUR"
    t = Tongue(language, currency)
    makers: list[tuple[str, Callable[[], Page]]] = [
        ("index.html", lambda: index_page(t, results, project)),
        *((campaign_file(r.campaign), _campaign_maker(t, r)) for r in results),
    ]
    written = []
    for name, make in makers:
        path = directory / name
        page = make()
        path.write_text(page_html(t, replace(page, nav=_nav(t, name))), encoding="utf-8")
        written.append(path)
        if progress is not None:
            progress(f"page {len(written)} of {len(makers)}: {name}")
    return written


def _campaign_maker(t: Tongue, result: CampaignResult) -> Callable[[], Page]:
    return lambda: campaign_page(t, result)


def _nav(t: Tongue, name: str) -> tuple[Link, ...]:
    return (Link(t.gettext("Campaigns"), "index.html", current=name == "index.html"),)


def page_html(t: Tongue, page: Page) -> str:
    """A page as standalone HTML."""
    template = _environment(t.language).get_template("page.html")
    return template.render(page=page, style=_asset("style.css"), script=_asset("sort.js"))


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

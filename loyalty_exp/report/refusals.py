"""Mistakes and refusals in the language of the project, for the terminal. Only words.

The parts of the package write them in English, with figures and names in them; here they are found
again by their pattern.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from loyalty_exp.report.mistakes import OF_A_DECLARATION
from loyalty_exp.report.sayings import N_
from loyalty_exp.report.usage import OF_A_COMMAND

if TYPE_CHECKING:
    from loyalty_exp.report.tongue import Tongue

__all__ = ["OF_THE_STORE", "told"]

OF_THE_STORE = (
    # rows set aside, and why
    N_("blank"),
    N_("not a number"),
    N_("not a date"),
    N_("not a finite number"),
    N_("an amount beyond 1,000,000,000,000"),
    N_("a date outside 1970 to 2200"),
    N_("longer than %(n)s bytes"),
    N_("another currency than %(currency)s"),
    N_("a status that is not known: declare statuses"),
    N_("another status"),
    N_("cancelled"),
    N_(
        "there twice with different contents; declare lines = true if a row is one line of an order"
    ),
    N_("there twice with different contents"),
    N_("a further line of an order without its first line"),
    N_("a further line of an order that is set aside"),
    N_("not a sale: %(status)s"),
    N_("the same row again"),
    N_("a row that is too long"),
    N_("quotes that do not match"),
    N_("fewer cells than the header"),
    N_("more cells than the header"),
    N_("a NUL character"),
    # what was inferred, and what counts for nothing
    N_('"%(column)s": a comma before three digits is read as decimal mark'),
    N_('"%(column)s": a comma before three digits is read as thousands'),
    N_('"%(column)s": dates such as 3/4/2026 are read as day, then month'),
    N_('"%(column)s": some dates are day first, others month first'),
    N_("not kept, for nothing in the declaration uses them: %(n)s columns"),
    N_("%(told)s: they count for no campaign"),
    N_('%(told)s: they count as contacts made; "redeemed" is an offer used'),
    N_("%(told)s: they are shared by all its arms"),
    N_(
        "%(rows)s of the log are of customers without any order or attribute (%(people)s): are "
        "ids written as in the orders?"
    ),
    N_("no %(field)s on %(rows)s"),
    N_('unknown %(field)s "%(word)s" on %(rows)s'),
    N_("an unknown word as %(field)s on %(rows)s"),
    N_("%(n)s unknown words as %(field)s on %(rows)s"),
    N_("arm of %(campaign)s"),
    N_("1 row"),
    N_("%(n)s rows"),
    # a source that cannot be read
    N_('%(source)s: "%(column)s" may be %(names)s; write the name exactly'),
    N_(
        '%(source)s: no column "%(column)s" for %(field)s; its first line holds data, not the '
        "names of columns"
    ),
    N_(
        '%(source)s: no column "%(column)s" for %(field)s; its columns are %(columns)s and %(n)s '
        "more"
    ),
    N_('%(source)s: no column "%(column)s" for %(field)s; its columns are %(columns)s'),
    N_('%(source)s: no column "%(column)s" for %(field)s'),
    N_("%(name)s of [data.%(table)s]"),
    N_("%(name)s of the split"),
    N_('%(source)s: "%(formula)s" for %(field)s names no column'),
    N_(
        "%(source)s: the formula for %(field)s may hold columns, numbers, + - * / and "
        "parentheses only"
    ),
    N_('%(source)s: %(title)s has a column "%(column)s" (and %(n)s other columns), this file not'),
    N_('%(source)s: %(title)s has a column "%(column)s", this file not'),
    N_("What columns names goes before what the preset knows: take out of columns what it knows"),
    N_("Shopify's orders export"),
    N_("Sellsy's invoices"),
    N_("WooCommerce, Advanced Order Export"),
    N_("WooCommerce, Import Export Suite"),
    N_("WooCommerce, Analytics"),
    N_("PrestaShop, SQL Manager"),
    N_("PrestaShop, list of orders"),
    N_("%(source)s: no %(field)s: %(advice)s"),
    N_(
        "the export of WooCommerce Analytics names customers without their e-mail or number, and "
        "two may bear one name; export with Advanced Order Export, or accept the name: columns = "
        '{ customer_id = "Customer" }'
    ),
    N_(
        "the list of orders of PrestaShop shows a short name of the customer, without e-mail or "
        "number; export with its SQL Manager: %(query)s"
    ),
    N_(
        "the list of orders of PrestaShop shows totals with tax only; export total_paid_tax_excl "
        "with its SQL Manager, or declare revenue, for instance %(columns)s"
    ),
    N_(
        "the invoices name clients by their company name, and two may bear one name; add the "
        'column "ID client" to the export, or accept the name: columns = { customer_id = '
        '"Client" }'
    ),
    N_("%(source)s: there is no such file (nor its folder)"),
    N_("%(source)s: there is no such file"),
    N_("%(source)s: this file may not be read"),
    N_("%(source)s: cannot be read; is it a whole and valid file?"),
    N_("%(source)s: the file is empty; a first line with column names is needed"),
    N_("%(source)s: more than %(n)s columns; which of them are needed?"),
    N_(
        "%(source)s: not readable as %(encoding)s; declare its encoding, for instance encoding = "
        '"cp1252"'
    ),
    N_("%(source)s: this file cannot be read as Parquet"),
    N_("%(source)s: this file cannot be read as Excel"),
    N_(
        "%(source)s: reading Excel files needs openpyxl (pip install openpyxl); or save the "
        "sheet as CSV"
    ),
    N_(
        "%(source)s database: cannot be read (%(kind)s); check its address, the table or query, "
        "and that its driver is installed"
    ),
    N_(
        '%(source)s: "%(column)s" is mapped as the status, but nothing says which of its words '
        "make a sale; its words are %(words)s. Add statuses = [...] under [data.orders] with "
        "those that do, or leave status out of columns to count every row"
    ),
    N_("%(source)s: %(name)s must be one column; only amounts may be formulas"),
    N_("%(source)s: %(name)s must be one column"),
    N_(
        "%(source)s: no margin: declare margin_rate under [project], or columns = { margin = "
        '"..." } under [data.orders]'
    ),
    N_(
        "%(source)s: more than max_rows = %(n)s rows; nothing was changed. If that is right, "
        "declare a larger max_rows for this source"
    ),
    N_(
        "%(source)s: unfolds into more than max_gigabytes = %(n)s; nothing was changed. If that "
        "is right, declare a larger max_gigabytes for this source"
    ),
    N_("%(source)s: this file is packed (%(form)s); unpack it and declare what is in it"),
    N_(
        "%(source)s: this workbook unfolds into %(size)s GB, more than %(limit)s; nothing was "
        "changed. Save the sheet as CSV"
    ),
    N_(
        "%(source)s: the source does not fit into the memory and the %(size)s GB on disk that "
        "reading may take (max_gigabytes); are some of its cells very long? Nothing was changed"
    ),
    N_(
        "%(source)s: %(bad)s of %(n)s rows cannot be used (%(share)s %%, more than "
        "max_rejected_percent = %(limit)s); nothing was changed"
    ),
    N_("%(field)s: %(why)s (%(n)s rows, first on line %(line)s)"),
    N_(
        "Mend the file, or set max_rejected_percent = %(n)s under [data.%(what)s] to load the "
        "other rows and keep a list of these with their lines"
    ),
    N_("%(source)s: the store changed meanwhile; load again"),
    N_("working files cannot be written: %(why)s; nothing was changed"),
    # the store
    N_("%(name)s: nothing is loaded yet; run `loyalty-exp load` first"),
    N_(
        "%(name)s: made by an earlier version; run `loyalty-exp load`, which brings the store up "
        "to date"
    ),
    N_("%(name)s: cannot be opened: %(why)s"),
    N_(
        "%(name)s: the engine's memory is used up (let it take more: add '?memory_limit=8GiB' to "
        "database); nothing was changed"
    ),
    N_("%(name)s: cannot be made in its folder: %(why)s"),
    N_("%(name)s: still in use by %(who)s after %(n)s s; nothing was changed"),
    N_("another process"),
    N_("the store holds no order; run `loyalty-exp load`"),
    N_("database is no address of a database: dialect://user@host/name is expected"),
    N_("%(engine)s is not a supported engine; supported: %(names)s"),
    N_(
        "%(engine)s keeps no facts here; as database use duckdb, postgresql or spark "
        "(docs/engines.md)"
    ),
    N_("%(engine)s keeps its own registry: take registry_url out"),
    N_("%(engine)s keeps no registry; use sqlite, duckdb or postgresql for it"),
    N_(
        "%(engine)s has no transactions, and a launch needs one: add registry_url = "
        '"sqlite:///registry.db" under [project] (docs/engines.md)'
    ),
    N_(
        "%(engine)s is used through the session at hand, %(address)s: plan and launch fail on a "
        "Connect server (docs/engines.md)"
    ),
    # steps, while they run
    N_("reading orders"),
    N_("reading customers"),
    N_("reading exposures"),
    N_("reading costs"),
    N_("writing to the store"),
    N_("planning %(campaign)s: replaying the past"),
    N_("fitting the lifetime model"),
    N_("drawing %(campaign)s"),
    N_("measuring %(campaign)s"),
    N_("comparing %(later)s with %(earlier)s"),
    N_("no year-over-year page: %(why)s"),
    N_("erasing"),
    # verify and measure
    N_("the frozen plan was edited: its SHA-256 is not the one kept at launch"),
    N_("%(n)s units are not in the arm that the recipe gives them"),
    N_(
        "the roster's units by stratum and arm differ from the plan (%(found)s units found, "
        "%(drawn)s drawn)"
    ),
    N_("the roster was edited: its checksum is not the one frozen at launch"),
    N_("the copy of the roster that measuring reads is not the roster"),
    N_("%(campaign)s was not launched"),
    N_("%(campaign)s was not launched; run `loyalty-exp launch %(name)s`"),
    N_("%(field)s: frozen %(then)s, now %(now)s"),
    N_("nothing"),
    # a launch that is refused
    N_("no campaign '%(campaign)s' is declared; declared: %(names)s"),
    N_(
        "%(campaign)s is drawn once, for %(day)s: a day is for further waves, of campaigns with "
        'enrolment = "rolling"'
    ),
    N_("%(campaign)s enrols until %(day)s; %(start)s is too late"),
    N_("%(campaign)s: nobody is eligible: %(steps)s"),
    N_(
        "%(campaign)s: arm %(arm)s would be empty with %(n)s eligible units; raise its share or "
        "widen the segment"
    ),
    N_(
        "%(campaign)s was launched on the plan %(digest)s and its declaration was edited since: "
        "%(changes)s. The frozen plan stands; put the declaration back, or declare a new "
        "campaign"
    ),
    N_(
        "who was in %(segment)s on %(day)s was kept by the launch of %(campaign)s, by another "
        "rule: %(changes)s. Declare a segment of another name with the rule of today, or take "
        "the segments as_of another day"
    ),
    N_(
        "the universal holdout of %(start)s to %(end)s is drawn and stands until its end; "
        "declare the next one to start on %(day)s or later"
    ),
    N_(
        "%(campaign)s: it starts on %(start)s, within the universal holdout of %(first)s to "
        "%(end)s, which is not drawn yet; run `loyalty-exp launch universal_holdout` first"
    ),
    N_(
        "%(field)s = %(name)s: no such attribute was loaded; attributes at hand: %(names)s. Of "
        "[data.customers] a load keeps what the declaration names: load again, or add the column"
    ),
    N_(
        "segment %(name)s: %(column)s was not loaded; of [data.customers] a load keeps what the "
        "declaration names: run `loyalty-exp load` again, or add the column"
    ),
    N_("no such segment: %(name)s; the segments are %(names)s"),
    # years that cannot be compared, persons, lists
    N_("there are no orders to compare"),
    N_("%(error)s; the data hold %(windows)s"),
    N_("%(one)s and %(other)s are not two windows in order"),
    N_(
        "%(one)s has %(first)s days, %(other)s has %(second)s: these are not the same days of "
        "the calendar; choose equal windows"
    ),
    N_(
        "no order is known in %(month)s, but there are some in %(other)s: load the missing "
        "month, or choose windows without it"
    ),
    N_("orders are known from %(day)s only: %(window)s starts %(n)s days before"),
    N_(
        "orders are known to %(day)s only: %(window)s ends %(n)s days later, and a partial month "
        "is not compared with a whole one"
    ),
    N_("%(since)s to %(until)s"),
    N_("nothing is held about this customer; ids are written as in the sources"),
    N_("nobody ordered up to %(day)s"),
    N_(
        "%(arm)s has more customers than a sheet of Excel has rows; write its list as csv or "
        "parquet"
    ),
    N_(
        "lists are not pushed into a table of %(engine)s: forgetting a person could not reach it "
        "there; the lists are written as files"
    ),
    N_(
        "%(table)s cannot be the table of the lists: letters, digits and _ are expected, and "
        "none of the store's own tables"
    ),
    N_("the table %(table)s is there with other columns than those of a list; name another table"),
    N_(
        "%(source)s: %(bad)s of %(n)s rows cannot be used: %(reasons)s; mend the file, or set "
        "max_rejected_percent = %(limit)s for the assignment"
    ),
    N_("%(name)s is in use by another process; waiting"),
)
"""What `load`, `verify`, `measure` and a launch that is refused say."""

_CHOICES = {" or ": N_("%(names)s or %(last)s"), " and ": N_("%(names)s and %(last)s")}
_LISTS = frozenset({"names", "what"})
"""Places that hold a list of names, or may."""

_SHAPES = {
    "what": ".+",
    "feature": "rfm|tier|risk|value_band",
    **dict.fromkeys(("since", "until"), r"\d{4}-\d\d-\d\d"),
    **dict.fromkeys(("low", "high", "n", "limit"), r"[\d.,]+"),
}
"""What stands in a place, where it is not any text."""


def told(t: Tongue, text: str) -> str:
    """A mistake or refusal in a language, its names and figures kept; unknown lines as they are."""
    if t.language == "en":
        return text
    return "\n".join(_line(t, line) for line in text.split("\n"))


def _line(t: Tongue, line: str) -> str:
    text = line.strip()
    for message in (*OF_A_COMMAND, *OF_THE_STORE, *OF_A_DECLARATION):
        found = _pattern(message).fullmatch(text)
        if found is None:
            continue
        said = t.gettext(message)
        if places := found.groupdict():
            said %= {name: _filled(t, name, inner) for name, inner in places.items()}
        return line.replace(text, said)
    return line


def _filled(t: Tongue, name: str, text: str) -> str:
    """What stands in a place of a message: words of ours, a list, or the user's own."""
    said = _line(t, text)
    if said != text or name not in _LISTS:
        return said
    for word, message in _CHOICES.items():
        names, mark, last = text.rpartition(word)
        if mark:
            return t.gettext(message) % {"names": names, "last": last}
    return text


@cache
def _pattern(message: str) -> re.Pattern[str]:
    """What a message looks like once its places are filled."""
    plain = re.escape(message).replace("%%", "%")
    place = re.compile(r"%\\\((\w+)\\\)s")
    return re.compile(place.sub(lambda m: f"(?P<{m[1]}>{_SHAPES.get(m[1], '.+?')})", plain))

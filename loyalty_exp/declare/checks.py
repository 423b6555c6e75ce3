"""Mistakes that only show when fields are read together.

Looks at the raw tables with every type in doubt, so that one wrong field hides no other mistake;
returns findings, never raises for what a user wrote.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from loyalty_exp.declare.environment import is_address, is_elsewhere
from loyalty_exp.declare.features import ALL, FEATURES, FRENCH_NAMES, SCHEMES, unaccented
from loyalty_exp.declare.findings import Finding, Raw
from loyalty_exp.declare.hints import in_words, nearest, percent_hint, quoted, spelled
from loyalty_exp.declare.queries import what_is_wrong

__all__ = ["of_campaign", "of_declaration", "of_segments", "of_source", "of_tiers"]

_LONGEST_MONTHS = 60


def _table(data: Raw, *path: str) -> Raw:
    for key in path:
        inner = data.get(key)
        if not isinstance(inner, Mapping):
            return {}
        data = inner
    return data


def _texts(value: object) -> list[tuple[int, str]]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    return [(index, item) for index, item in enumerate(value) if isinstance(item, str)]


def _date(value: object) -> dt.date | None:
    plain = isinstance(value, dt.date) and not isinstance(value, dt.datetime)
    return value if plain else None  # type: ignore[return-value]


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


# --- a source ------------------------------------------------------------------------------------


def of_source(data: Raw) -> Iterator[Finding]:
    """A file has no table; a database has a table or a query, not both."""
    source = data.get("source")
    if not isinstance(source, str) or is_elsewhere(source):
        return
    chosen = [key for key in ("table", "query") if data.get(key) is not None]
    if is_address(source):
        if not chosen:
            text = "a database needs to know what to read: add table or query"
            yield Finding(("source",), text)
        if len(chosen) == 2:
            yield Finding(("query",), "table is given too: keep one of them")
        query = data.get("query")
        if isinstance(query, str) and query and (wrong := what_is_wrong(query, source)):
            yield Finding(("query",), wrong)
    else:
        for key in chosen:
            yield Finding((key,), "the source is a file: only a database has this")


def _columns(data: Raw, name: str, needed: Sequence[str]) -> Iterator[Finding]:
    columns = _table(data, name).get("columns", {})
    if data.get(name) is None or not isinstance(columns, Mapping):
        return
    others = [str(key) for key in columns if key not in needed]
    missing = [
        column
        for column in needed
        if column not in columns and nearest(column, others, 0.75) is None
    ]
    if missing:
        text = f"{_both(missing)} must be mapped to columns of the file"
        yield Finding(("data", name, "columns"), text)


def _both(names: Sequence[str]) -> str:
    return in_words(names).replace(" or ", " and ")


# --- a campaign ----------------------------------------------------------------------------------


def of_campaign(data: Raw) -> Iterator[Finding]:
    """Dates in order, arms that add up, costs of arms that exist."""
    yield from _dates(data)
    yield from _arms(data)
    yield from _costs(data)
    for field in ("segments", "channels", "stratify_by", "exclude"):
        yield from _repeats(data, field)
    addressed = _texts(data.get("segments"))
    for index, name in addressed:
        if name == ALL and len(addressed) > 1:
            yield Finding(("segments", index), "holds every customer: name it alone")
    both = {name for _, name in addressed}
    for index, name in _texts(data.get("exclude")):
        if name in both:
            yield Finding(("exclude", index), "the campaign addresses this segment")
    if data.get("assignment") is not None and data.get("enrolment") == "rolling":
        text = "a split drawn elsewhere cannot be enrolled by draws here: remove one of them"
        yield Finding(("enrolment",), text)


def _dates(data: Raw) -> Iterator[Finding]:
    start, end = _date(data.get("start")), _date(data.get("end"))
    until, as_of = _date(data.get("measure_until")), _date(data.get("as_of"))
    if start and end and end < start:
        yield Finding(("end",), f"a date from the start on, {start}, is expected")
    elif end and until and until < end:
        yield Finding(
            ("measure_until",),
            f"a date from the campaign's end on, {end}, is expected",
        )
    if start and as_of and as_of >= start:
        day_before = start - dt.timedelta(days=1) if start > dt.date.min else start
        text = f"a date before the start, {start}, is expected"
        yield Finding(("as_of",), text, str(day_before))
    last_field = "measure_until" if until else "end"
    last = until or end
    if start and last:
        months = (last.year - start.year) * 12 + last.month - start.month + 1
        if months > _LONGEST_MONTHS:
            text = f"at most {_LONGEST_MONTHS} months can be followed"
            yield Finding((last_field,), text)


def _arms(data: Raw) -> Iterator[Finding]:
    arms = data.get("arms")
    if not isinstance(arms, Mapping) or not all(isinstance(arm, str) for arm in arms):
        return
    if "holdout" not in arms:
        text = "an arm named holdout is expected: without it nothing can be known"
        close = nearest("holdout", arms) or next((arm for arm in arms if arm in _HOLDOUTS), None)
        yield Finding(("arms",), text, f"holdout instead of {close}" if close else None)
    elif len(arms) == 1:
        yield Finding(("arms",), "an arm beside the holdout is expected")
        return
    holdout = _number(arms.get("holdout"))
    if "holdout" in arms and (holdout is None or not 1 <= holdout <= 90):
        text = "a percentage from 1 to 90 is expected"
        yield Finding(("arms", "holdout"), text, percent_hint(arms["holdout"]))
        return
    shares = [_number(share) for share in arms.values()]
    known = [share for share in shares if share is not None and 1 <= share <= 99]
    if len(known) == len(arms) and "holdout" in arms and abs(sum(known) - 100) > 1e-9:
        text = f"the percentages add up to {spelled(sum(known))}, 100 is expected"
        yield Finding(("arms",), text, _balanced(arms))


_HOLDOUTS = {"control", "témoin", "temoin", "contrôle", "controle", "excluded", "placebo"}


def _balanced(arms: Mapping[str, Any]) -> str | None:
    """With a single treated arm there is one way to reach 100."""
    treated = [arm for arm in arms if arm != "holdout"]
    rest = 100 - arms["holdout"]
    return f"{treated[0]} = {spelled(rest)}" if len(treated) == 1 and rest >= 1 else None


def _costs(data: Raw) -> Iterator[Finding]:
    costs, arms = _table(data, "costs"), data.get("arms")
    if isinstance(arms, Mapping):
        treated = [arm for arm in arms if arm != "holdout"]
        for field in ("per_contact", "per_redemption"):
            for arm in _table(costs, field):
                loc = ("costs", field, arm)
                if arm == "holdout":
                    yield Finding(loc, "the holdout receives nothing, so it costs nothing")
                elif treated and arm not in treated:
                    text = f"no such arm; the campaign has {_both(treated)}"
                    yield Finding(loc, text, nearest(arm, treated))
        for arm in _table(data, "assignment", "arms"):
            if treated and arm not in arms:
                text = f"no such arm; the campaign has {_both([*arms])}"
                yield Finding(("assignment", "arms", arm), text, nearest(arm, arms))
    budget, fixed = _number(costs.get("budget")), _number(costs.get("fixed"))
    if budget is not None and fixed is not None and fixed > budget:
        text = f"at most the budget, {spelled(budget)}, is expected"
        yield Finding(("costs", "fixed"), text)


def _repeats(data: Raw, field: str) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, item in _texts(data.get(field)):
        if item in seen:
            yield Finding((field, index), "named twice")
        seen.add(item)


# --- the whole -----------------------------------------------------------------------------------


def of_segments(data: Raw) -> Iterator[Finding]:
    """Beside the scheme, [segments] holds tables only."""
    for key, value in data.items():
        if key not in _NO_SEGMENT and not isinstance(value, Mapping | BaseModel):
            yield Finding((key,), "unknown key", nearest(key, _NO_SEGMENT))


_NO_SEGMENT = ("scheme", "tiers")
"""Keys of [segments] that are no segment."""


def of_tiers(data: Raw) -> Iterator[Finding]:
    """Gold is above silver: a smaller share of the revenue, or a larger amount."""
    if "where" in data:
        text = "tiers says where gold and silver begin: give a segment of your own another name"
        yield Finding(("where",), text)
    gold, silver = _number(data.get("gold")), _number(data.get("silver"))
    if data.get("by", "share") == "share":
        for field, limit in (("gold", gold), ("silver", silver)):
            if limit is not None and not 1 <= limit <= 99:
                hint = 'by = "revenue"' if limit > 100 else percent_hint(limit)
                yield Finding((field,), "a percentage from 1 to 99 is expected", hint)
                gold = silver = None
        if gold is not None and silver is not None and silver <= gold:
            text = f"a percentage above that of gold, {spelled(gold)}, is expected: gold included"
            yield Finding(("silver",), text)
    elif gold is not None and silver is not None and silver >= gold:
        yield Finding(("silver",), f"an amount below that of gold, {spelled(gold)}, is expected")


def of_declaration(data: Raw) -> Iterator[Finding]:
    """Names that refer to other tables, rules, and what one table needs of another."""
    yield from _sources(_table(data, "data"))
    yield from _registry(_table(data, "project"))
    yield from _margin(data)
    yield from _rules(data)
    yield from _ids(_table(data, "campaign"))
    names = _segment_names(data)
    attributes = _attributes(data)
    for key, campaign in _table(data, "campaign").items():
        if isinstance(campaign, Mapping):
            for found in (
                *_segments_known(campaign, names, data),
                *_attributes_known(campaign, attributes, has_customers=_has_customers(data)),
            ):
                yield Finding(("campaign", key, *found.loc), found.text, found.hint)


def _registry(project: Raw) -> Iterator[Finding]:
    """Spark has no transactions, so that launches are registered elsewhere; others have."""
    database, registry = (project.get(key) for key in ("database", "registry_url"))
    of_spark = isinstance(database, str) and bool(re.match(r"spark(\+\w+)?://", database))
    if of_spark and registry is None:
        text = "a second database is needed with Spark, which has no transactions for launches"
        yield Finding(
            ("project", "database"), text, 'registry_url = "sqlite:///registry.db" below it'
        )
    if isinstance(database, str) and not of_spark and "://" in database and registry is not None:
        yield Finding(("project", "registry_url"), "only Spark needs it: take it out")
    backend = registry.partition("://")[0].partition("+")[0] if isinstance(registry, str) else ""
    known = ("sqlite", "duckdb", "postgresql")
    if of_spark and backend and not backend.startswith("$") and backend not in known:
        text = f"a registry is kept in {in_words(known)}"
        yield Finding(("project", "registry_url"), text)


def _has_customers(data: Raw) -> bool:
    return _table(data, "data").get("customers") is not None


def _sources(data: Raw) -> Iterator[Finding]:
    orders = _table(data, "orders")
    if orders.get("preset") is None:
        yield from _columns(data, "orders", ("order_id", "customer_id", "ordered_at", "revenue"))
    columns = _table(orders, "columns")
    if orders.get("preset") is None and orders.get("statuses") and "status" not in columns:
        text = "a status column is expected: map it in columns"
        yield Finding(("data", "orders", "statuses"), text)
    if "columns" in _table(data, "customers"):
        yield from _columns(data, "customers", ("customer_id",))
    yield from _columns(data, "exposures", ("customer_id", "at"))
    yield from _columns(data, "costs", ("campaign", "day", "amount"))


def _margin(data: Raw) -> Iterator[Finding]:
    orders, project = _table(data, "data", "orders"), _table(data, "project")
    columns = orders.get("columns", {})
    without = isinstance(columns, Mapping) and "margin" not in columns
    if orders and project and without and project.get("margin_rate") is None:
        text = "is missing: revenue is not profit; give it, or map a margin column of the orders"
        yield Finding(("project", "margin_rate"), text)


def _rules(data: Raw) -> Iterator[Finding]:
    built_in = {name.casefold(): name for names in SCHEMES.values() for name in names}
    attributes = _attributes(data)
    for name, table in _table(data, "segments").items():
        if name in _NO_SEGMENT or not isinstance(table, Mapping):
            continue
        if name == ALL or name.casefold() in built_in:
            yield Finding(("segments", name), "this name is taken by a built-in segment")
        where = table.get("where")
        if isinstance(where, str) and where:
            yield from _rule(name, where, attributes)


def _rule(name: str, where: str, attributes: Iterable[str]) -> Iterator[Finding]:
    from loyalty_exp.declare.rules import RuleError, parse_rule  # noqa: PLC0415

    try:
        parse_rule(where, None, known=attributes)
    except RuleError as error:
        yield Finding(("segments", name, "where"), error.where_and_what, error.suggestion)


def _ids(campaigns: Raw) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for key in campaigns:
        first = seen.setdefault(key.casefold(), key)
        if first != key:
            yield Finding(("campaign", key), f"differs from {first} only by letter case")


def _attributes(data: Raw) -> tuple[str, ...]:
    columns = _table(data, "data", "customers", "columns")
    return tuple(key for key in columns if isinstance(key, str))


def _segment_names(data: Raw) -> tuple[str, ...]:
    segments = _table(data, "segments")
    rules = [name for name in segments if name not in _NO_SEGMENT]
    scheme = segments.get("scheme", "rfm")
    built_in = SCHEMES.get(scheme, ()) if isinstance(scheme, str) else ()
    return (*rules, *built_in, ALL)


def _segments_known(campaign: Raw, names: Sequence[str], data: Raw) -> Iterator[Finding]:
    for field in ("segments", "exclude"):
        for index, name in _texts(campaign.get(field)):
            if name in names:
                continue
            meant = _built_in(name)
            if meant in names:
                continue
            scheme = next((key for key, built_in in SCHEMES.items() if meant in built_in), None)
            if scheme:
                used = _table(data, "segments").get("scheme", "rfm")
                text = (
                    f"belongs to the scheme {scheme}, and the scheme is {used}: declare a segment "
                    f"of your own, where = \"{_COLUMNS[scheme]} = '{meant}'\""
                )
                yield Finding((field, index), text)
            else:
                hint = quoted(nearest(name, names))
                yield Finding((field, index), "no such segment", hint)


_COLUMNS = {"rfm": "rfm", "tiers": "tier", "risk": "risk", "value": "value_band"}
"""The feature that holds the names of a scheme."""


def _built_in(name: str) -> str | None:
    """The built-in segment meant by its name, its French name or either as an id."""
    plain = unaccented(name).replace("_", " ")
    there = {unaccented(known): known for names in SCHEMES.values() for known in names}
    french = {unaccented(known): meant for known, meant in FRENCH_NAMES.items()}
    return there.get(plain, french.get(plain))


def _attributes_known(
    campaign: Raw, attributes: Sequence[str], *, has_customers: bool
) -> Iterator[Finding]:
    unit, consent = campaign.get("unit", "customer_id"), campaign.get("consent")
    for field, value in (("unit", unit), ("consent", consent)):
        if isinstance(value, str) and value != "customer_id" and not has_customers:
            text = "an attribute of customers needs a table [data.customers]"
            hint = nearest(value, ["customer_id"], 0.7) if field == "unit" else None
            yield Finding((field,), text, quoted(hint))
    known = {*FEATURES, *attributes, "revenue_band"}
    for index, name in _texts(campaign.get("stratify_by")):
        close = nearest(name, sorted(known), 0.75)
        if name not in known and (close or not has_customers):
            yield Finding(("stratify_by", index), "no such feature or attribute", quoted(close))

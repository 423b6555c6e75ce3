"""Guesses at what was meant by a wrong value, spelled as in TOML."""

from __future__ import annotations

import datetime as dt
import difflib
import math
import re
import unicodedata
import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = [
    "DIALECTS",
    "LEVERS_SAID",
    "OBJECTIVES_SAID",
    "Hint",
    "alpha_hint",
    "choice_hint",
    "currency_hint",
    "database_hint",
    "fraction_hint",
    "id_hint",
    "in_words",
    "nearest",
    "number_between",
    "percent_hint",
    "quoted",
    "spelled",
    "timezone_hint",
    "whole_hint",
    "written_date",
    "written_number",
]

Hint = Callable[[Any], str | None]


def nearest(word: object, names: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The name closest to a word, letter case aside, or None when none is close."""
    if not isinstance(word, str):
        return None
    plain = {name.casefold().replace("_", " "): name for name in reversed(list(names))}
    found = difflib.get_close_matches(
        word[:200].casefold().replace("_", " ").strip(), list(plain), n=1, cutoff=cutoff
    )
    return plain[found[0]] if found else None


def quoted(word: str | None) -> str | None:
    """A text as it is written in TOML."""
    return None if word is None else f'"{word}"'


_SPACES = "[ \u00a0\u202f]"
_WRITTEN_NUMBER = re.compile(
    rf"\s*([+-]?\d+(?:{_SPACES}\d{{3}})*)(?:[.,](\d+))?{_SPACES}*(?:%|€|\$|£|EUR)?\s*"
)


def written_number(value: object) -> float | None:
    """The number meant by a text such as "6 000,50 €" or "20%", or by a number itself."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if abs(value) < 1e15 else None
    match = _WRITTEN_NUMBER.fullmatch(value) if isinstance(value, str) and len(value) < 40 else None
    if match is None:
        return None
    return float(re.sub(_SPACES, "", match[1]) + "." + (match[2] or "0"))


def spelled(number: float) -> str:
    """A number as one would type it: 20, not 20.0."""
    return f"{number:.10g}"


def number_between(low: float, high: float) -> Callable[[object], str | None]:
    """Guesses a number within bounds."""

    def hint(value: object) -> str | None:
        number = written_number(value)
        return None if number is None or not low <= number <= high else spelled(number)

    return hint


def percent_hint(value: object) -> str | None:
    """Guesses a percentage: 0.2 for 20, "20%" for 20."""
    number = written_number(value)
    if number is None:
        return None
    if 0 < number < 1:
        return spelled(round(number * 100, 6))
    return spelled(number) if 1 <= number <= 90 else None


def fraction_hint(value: object) -> str | None:
    """Guesses a share: 42 for 0.42."""
    number = written_number(value)
    if number is None:
        return None
    if 1 < number <= 100:
        return spelled(number / 100)
    return spelled(number) if 0 < number <= 1 else None


def alpha_hint(value: object) -> str | None:
    """Guesses a risk: 5 or 0.95 or 95 for 0.05."""
    number = written_number(value)
    if number is None:
        return None
    for guess in (number, 1 - number, number / 100, 1 - number / 100):
        if 0.001 <= guess <= 0.2:
            return spelled(round(guess, 6))
    return None


def written_date(value: object) -> str | None:
    """The date meant by "01/03/2026" (day first), "2026-3-1" or a date with a time."""
    if isinstance(value, dt.datetime):
        return value.date().isoformat()
    if not isinstance(value, str):
        return None
    parts = re.match(r"\s*(\d{1,4})[-/. ](\d{1,2})[-/. ](\d{1,4})(?!\d)", value)
    if parts is None:
        return None
    first, month, last = (int(part) for part in parts.groups())
    year, day = (first, last) if first > 31 else (last, first)
    try:
        return dt.date(year, month, day).isoformat() if year > 1900 else None
    except ValueError:
        return None


def id_hint(value: object) -> str | None:
    """An id made of a name."""
    if not isinstance(value, str):
        return None
    plain = unicodedata.normalize("NFKD", value[:200]).encode("ascii", "ignore").decode()
    guess = re.sub(r"[^A-Za-z0-9_]+", "-", plain).strip("-_")[:64]
    return guess or None


def timezone_hint(value: object) -> str | None:
    """Guesses a time zone, from its city alone if need be."""
    if not isinstance(value, str):
        return None
    zones = sorted(zoneinfo.available_timezones())
    cities = [zone for zone in zones if zone.rsplit("/", 1)[-1].casefold() == value.casefold()]
    full = [zone for zone in cities if "/" in zone]
    return quoted(next(iter(full or cities), None) or nearest(value, zones))


_CURRENCIES = {"€": "EUR", "euro": "EUR", "euros": "EUR", "$": "USD", "dollar": "USD", "£": "GBP"}


def currency_hint(value: object) -> str | None:
    """Guesses a currency code, from a sign or a word."""
    if not isinstance(value, str):
        return None
    code = value.strip()
    if code.casefold() in _CURRENCIES:
        return quoted(_CURRENCIES[code.casefold()])
    return quoted(code.upper()) if re.fullmatch("[A-Za-z]{3}", code) else None


DIALECTS = (
    "duckdb", "postgresql", "sqlite", "snowflake", "bigquery", "databricks", "trino",
    "clickhousedb", "spark", "mysql", "mariadb", "mssql", "oracle", "redshift", "sc",
)  # fmt: skip


def database_hint(value: object) -> str | None:
    """Guesses the address of a database, from a file or a misspelt dialect."""
    if not isinstance(value, str):
        return None
    if "://" not in value:
        plain = re.fullmatch(r"[\w ./\\-]+\.(?:duckdb|db)", value)
        return quoted(f"duckdb:///{value}") if plain else None
    close = nearest(value.split("://", 1)[0], DIALECTS)
    return f"{close}://" if close else None


def choice_hint(
    names: tuple[str, ...], said: Mapping[str, str] | None = None
) -> Callable[[object], str | None]:
    """Guesses one of a few names, or what a word stands for."""

    def hint(value: object) -> str | None:
        if not isinstance(value, str):
            return None
        meant = (said or {}).get(value.strip().casefold())
        return quoted(meant or nearest(value, names))

    return hint


def in_words(names: Iterable[str]) -> str:
    """Names as a choice: "a, b or c"."""
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


LEVERS_SAID = {
    **dict.fromkeys(
        ("promo", "promotion", "discount", "voucher", "coupon", "gift", "cashback", "remise",
         "bon", "transactionnel", "points"),
        "transactional",
    ),
    **dict.fromkeys(("services", "serviciel", "delivery", "livraison"), "service"),
    **dict.fromkeys(
        ("relationnel", "relation", "call", "phone", "email", "letter", "survey", "appel"),
        "relational",
    ),
    **dict.fromkeys(("club", "community", "reviews", "tester", "avis", "engage"), "engagement"),
}  # fmt: skip
OBJECTIVES_SAID = {
    **dict.fromkeys(("ca", "sales", "turnover", "margin", "chiffre d'affaires"), "revenue"),
    **dict.fromkeys(("panier", "aov", "average basket"), "basket"),
    **dict.fromkeys(("fréquence", "frequence", "orders"), "frequency"),
    **dict.fromkeys(("churn", "retention", "active", "départs", "reactivation"), "attrition"),
}


def whole_hint(low: int, high: int) -> Hint:
    """Guesses a whole number within bounds."""

    def hint(value: object) -> str | None:
        number = written_number(value)
        if number is None or not math.isclose(number, round(number)):
            return None
        return str(round(number)) if low <= number <= high else None

    return hint

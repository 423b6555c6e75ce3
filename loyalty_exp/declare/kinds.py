"""The kinds of values a declaration holds, each with the words that say what is expected.

Knows nothing of tables or files: a wrong value becomes one error of type `expected`.
"""

from __future__ import annotations

import codecs
import datetime as dt
import difflib
import math
import re
import unicodedata
import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    ValidatorFunctionWrapHandler,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from loyalty_exp.declare.environment import holds_secret

__all__ = [
    "Alpha",
    "Amount",
    "ColumnName",
    "Currency",
    "Database",
    "Date",
    "Delimiter",
    "Encoding",
    "Enrolment",
    "Expected",
    "Fraction",
    "HoldoutPercent",
    "Lever",
    "Locale",
    "LongText",
    "Objective",
    "Percent",
    "Preset",
    "Scheme",
    "Sentence",
    "Slug",
    "Source",
    "Spending",
    "Timezone",
    "in_words",
    "nearest",
    "spelled",
    "whole",
    "written_date",
    "written_number",
]


def nearest(word: object, names: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The name closest to a word, letter case aside, or None when none is close."""
    if not isinstance(word, str):
        return None
    plain = {name.casefold().replace("_", " "): name for name in reversed(list(names))}
    found = difflib.get_close_matches(
        word[:200].casefold().replace("_", " ").strip(), list(plain), n=1, cutoff=cutoff
    )
    return plain[found[0]] if found else None


def _no_hint(value: object) -> str | None:  # noqa: ARG001
    return None


@dataclass(frozen=True, slots=True)
class Expected:
    """Marks a type with what it expects, in words, and with a guess at what was meant."""

    text: str
    hint: Callable[[Any], str | None] = _no_hint

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Wrap the type's own check."""
        return core_schema.no_info_wrap_validator_function(self._check, handler(source))

    def _check(self, value: object, handler: ValidatorFunctionWrapHandler) -> object:
        try:
            return handler(value)
        except ValidationError:
            context = {"expected": self.text, "hint": self.hint(value)}
            raise PydanticCustomError("expected", "{expected} is expected", context) from None


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


def _number_between(low: float, high: float) -> Callable[[object], str | None]:
    def hint(value: object) -> str | None:
        number = written_number(value)
        return None if number is None or not low <= number <= high else spelled(number)

    return hint


def _percent_hint(value: object) -> str | None:
    number = written_number(value)
    if number is None:
        return None
    if 0 < number < 1:
        return spelled(round(number * 100, 6))
    return spelled(number) if 1 <= number <= 90 else None


def _fraction_hint(value: object) -> str | None:
    number = written_number(value)
    if number is None:
        return None
    if 1 < number <= 100:
        return spelled(number / 100)
    return spelled(number) if 0 < number <= 1 else None


def _alpha_hint(value: object) -> str | None:
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


def _as_id(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    plain = unicodedata.normalize("NFKD", value[:200]).encode("ascii", "ignore").decode()
    guess = re.sub(r"[^A-Za-z0-9_]+", "-", plain).strip("-_")[:64]
    return guess or None


_WRONG_CATEGORIES = {"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"}


def _printable(text: str) -> str:
    joiner = "\u200d"  # holds composed emoji together
    if not text.strip() or any(
        unicodedata.category(char) in _WRONG_CATEGORIES and char != joiner for char in text
    ):
        raise ValueError
    return text


def _known_encoding(name: str) -> str:
    if not codecs.lookup(name)._is_text_encoding:  # noqa: SLF001
        raise ValueError
    return name


def _known_timezone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (OSError, zoneinfo.ZoneInfoNotFoundError) as error:
        raise ValueError from error
    return name


def _timezone_hint(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    zones = sorted(zoneinfo.available_timezones())
    cities = [zone for zone in zones if zone.rsplit("/", 1)[-1].casefold() == value.casefold()]
    full = [zone for zone in cities if "/" in zone]
    return next(iter(full or cities), None) or nearest(value, zones)


_CURRENCIES = {"€": "EUR", "euro": "EUR", "euros": "EUR", "$": "USD", "dollar": "USD", "£": "GBP"}


def _currency_hint(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    code = value.strip()
    if code.casefold() in _CURRENCIES:
        return _CURRENCIES[code.casefold()]
    return code.upper() if re.fullmatch("[A-Za-z]{3}", code) else None


DIALECTS = (
    "duckdb", "postgresql", "sqlite", "snowflake", "bigquery", "databricks", "trino",
    "clickhousedb", "mysql", "mariadb", "mssql", "oracle", "redshift", "sc",
)  # fmt: skip
_DATABASE = re.compile(r"\$\{\w+\}|(?P<dialect>[a-z][a-z0-9_]*)(\+[a-z0-9_]+)?://.*")


def _no_secret(text: str) -> str:
    if holds_secret(text):
        expected = "a password stands in the environment, not in this file"
        hint = "://user:${DATABASE_PASSWORD}@"
        raise PydanticCustomError("secret", "{expected}", {"expected": expected, "hint": hint})
    return text


def _is_database(text: str) -> str:
    match = _DATABASE.fullmatch(text)
    dialect = match["dialect"] if match else None
    close = dialect is not None and dialect not in DIALECTS and nearest(dialect, DIALECTS, 0.75)
    if match is None or close:
        raise ValueError
    return text


def _database_hint(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    if "://" not in value:
        plain = re.fullmatch(r"[\w ./\\-]+\.(?:duckdb|db)", value)
        return f"duckdb:///{value}" if plain else None
    close = nearest(value.split("://", 1)[0], DIALECTS)
    return f"{close}://" if close else None


_NO_SOURCE = re.compile(r"(?:https?|ftp|sftp|s3|gs|gcs|az|abfss?|hf|file)://", re.IGNORECASE)


def _is_source(text: str) -> str:
    if _NO_SOURCE.match(text):
        raise ValueError
    return _printable(text)


def _choice(
    names: tuple[str, ...], said: Mapping[str, str] | None = None
) -> Callable[[object], str | None]:
    def hint(value: object) -> str | None:
        if not isinstance(value, str):
            return None
        meant = (said or {}).get(value.strip().casefold())
        return meant or nearest(value, names)

    return hint


def in_words(names: Iterable[str]) -> str:
    """Names as a choice: "a, b or c"."""
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def _one_of(said: Mapping[str, str] | None = None, *names: str) -> Expected:
    return Expected(in_words(names), _choice(names, said))


_LEVERS_SAID = {
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
_OBJECTIVES_SAID = {
    **dict.fromkeys(("ca", "sales", "turnover", "margin", "chiffre d'affaires"), "revenue"),
    **dict.fromkeys(("panier", "aov", "average basket"), "basket"),
    **dict.fromkeys(("fréquence", "frequence", "orders"), "frequency"),
    **dict.fromkeys(("churn", "retention", "active", "départs", "reactivation"), "attrition"),
}

_slug = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
Slug = Annotated[
    str,
    Field(pattern=_slug),
    Expected("an id of 1 to 64 letters without accents, digits, - and _", _as_id),
]
Sentence = Annotated[
    str,
    Field(max_length=120),
    AfterValidator(_printable),
    Expected("a text of 1 to 120 characters"),
]
LongText = Annotated[
    str,
    Field(max_length=1000),
    AfterValidator(_printable),
    Expected("a text of 1 to 1000 characters, on one line"),
]
ColumnName = Annotated[
    str,
    Field(max_length=500),
    AfterValidator(_printable),
    Expected("the name of a column, between quotes,"),
]
Percent = Annotated[float, Field(ge=1, le=99), Expected("a percentage from 1 to 99", _percent_hint)]
HoldoutPercent = Annotated[
    float, Field(ge=1, le=90), Expected("a percentage from 1 to 90", _percent_hint)
]
Fraction = Annotated[
    float, Field(gt=0, le=1), Expected("a share above 0 and up to 1", _fraction_hint)
]
Alpha = Annotated[float, Field(ge=0.001, le=0.2), Expected("a risk from 0.001 to 0.2", _alpha_hint)]
Amount = Annotated[
    float,
    Field(ge=0, le=1e12),
    Expected("an amount of money, 0 or more, without sign or spaces,", _number_between(0, 1e12)),
]
Date = Annotated[
    dt.date,
    Field(ge=dt.date(1990, 1, 1), le=dt.date(2200, 1, 1)),
    Expected("a date written year-month-day, without quotes or time,", written_date),
]
Database = Annotated[
    str,
    Field(max_length=2000),
    AfterValidator(_is_database),
    Expected("the address of a database, such as duckdb:///loyalty.duckdb,", _database_hint),
    AfterValidator(_no_secret),
]
Source = Annotated[
    str,
    Field(max_length=2000),
    AfterValidator(_is_source),
    Expected("a CSV, Parquet or Excel file, or the address of a database,"),
    AfterValidator(_no_secret),
]
Timezone = Annotated[
    str,
    Field(max_length=100),
    AfterValidator(_known_timezone),
    Expected("a time zone such as Europe/Paris", _timezone_hint),
]
Currency = Annotated[
    str,
    Field(pattern=r"^[A-Z]{3}$"),
    Expected("a currency code of three letters such as EUR", _currency_hint),
]
Encoding = Annotated[
    str,
    Field(max_length=40),
    AfterValidator(_known_encoding),
    Expected(
        "the name of a text encoding such as utf-8 or cp1252",
        _choice(("utf-8", "cp1252", "latin-1", "utf-16", "iso-8859-15")),
    ),
]
Delimiter = Annotated[
    Literal[",", ";", "\t", "|"],
    Expected(
        'one of "," ";" "|" and "\\t"',
        _choice((), {"tab": '"\\t"', "comma": '","', "semicolon": '";"', "pipe": '"|"'}),
    ),
]
Locale = Annotated[
    Literal["fr", "en"],
    Expected(
        "fr or en",
        lambda value: (
            value[:2].lower()
            if isinstance(value, str) and value[:2].lower() in {"fr", "en"}
            else None
        ),
    ),
]
Preset = Annotated[
    Literal["shopify", "woocommerce", "prestashop", "sellsy"],
    _one_of(None, "shopify", "woocommerce", "prestashop", "sellsy"),
]
Scheme = Annotated[
    Literal["rfm", "tiers", "risk", "value"],
    _one_of(
        {"tier": "tiers", "clv": "value", "churn": "risk", "attrition": "risk"},
        "rfm", "tiers", "risk", "value",
    ),
]  # fmt: skip
Lever = Annotated[
    Literal["transactional", "service", "relational", "engagement"],
    _one_of(_LEVERS_SAID, "transactional", "service", "relational", "engagement"),
]
Objective = Annotated[
    Literal["revenue", "basket", "frequency", "attrition"],
    _one_of(_OBJECTIVES_SAID, "revenue", "basket", "frequency", "attrition"),
]
Enrolment = Annotated[Literal["once", "rolling"], _one_of(None, "once", "rolling")]
Spending = Annotated[
    Literal["obrien-fleming", "pocock", "power"],
    _one_of({"obf": "obrien-fleming"}, "obrien-fleming", "pocock", "power"),
]


def whole(low: int, high: int) -> Expected:
    """What is expected of a whole number between two bounds, both included."""

    def hint(value: object) -> str | None:
        number = written_number(value)
        if number is None or not math.isclose(number, round(number)):
            return None
        return str(round(number)) if low <= number <= high else None

    return Expected(f"a whole number from {low} to {high}", hint)

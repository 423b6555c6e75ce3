"""The kinds of values a declaration holds, each with the words that say what is expected.

Knows nothing of tables or files: a wrong value becomes one error of type `expected`.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
import zoneinfo
from collections.abc import Callable, Mapping
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

from loyalty_exp.declare.environment import holds_secret, is_elsewhere
from loyalty_exp.declare.hints import (
    DIALECTS,
    LEVERS_SAID,
    OBJECTIVES_SAID,
    alpha_hint,
    choice_hint,
    currency_hint,
    database_hint,
    fraction_hint,
    id_hint,
    in_words,
    nearest,
    number_between,
    percent_hint,
    timezone_hint,
    whole_hint,
    written_date,
)

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
    "QueryText",
    "RuleText",
    "Scheme",
    "Sentence",
    "Share",
    "Slug",
    "Source",
    "Spending",
    "Threshold",
    "TierMeasure",
    "Timezone",
    "whole",
]


def no_hint(value: object) -> str | None:  # noqa: ARG001
    return None


@dataclass(frozen=True, slots=True)
class Expected:
    """Marks a type with what it expects, in words, and with a guess at what was meant."""

    text: str
    hint: Callable[[Any], str | None] = no_hint

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


_WRONG_CATEGORIES = {"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"}


def _printable(text: str) -> str:
    joiner = "\u200d"  # holds composed emoji together
    if not text.strip() or any(
        unicodedata.category(char) in _WRONG_CATEGORIES and char != joiner for char in text
    ):
        raise ValueError
    return text


def _known_encoding(name: str) -> str:
    try:
        "a".encode(name)
    except LookupError as error:
        raise ValueError from error
    return name


def _known_timezone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (OSError, zoneinfo.ZoneInfoNotFoundError) as error:
        raise ValueError from error
    return name


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


def _is_source(text: str) -> str:
    if is_elsewhere(text):
        raise ValueError
    return _printable(text)


def _one_of(said: Mapping[str, str] | None = None, *names: str) -> Expected:
    return Expected(in_words(names), choice_hint(names, said))


_slug = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
Slug = Annotated[
    str,
    Field(pattern=_slug),
    Expected("an id of 1 to 64 letters without accents, digits, - and _", id_hint),
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
Percent = Annotated[float, Field(ge=1, le=99), Expected("a percentage from 1 to 99", percent_hint)]
QueryText = Annotated[str, Field(min_length=1, max_length=20_000), Expected("the text of a query")]
RuleText = Annotated[
    str,
    Field(min_length=1, max_length=2000),
    Expected("a rule of 1 to 2000 characters, such as \"tier = 'gold'\","),
]
Share = Annotated[
    float, Field(ge=0, le=100), Expected("a percentage from 0 to 100", number_between(0, 100))
]
HoldoutPercent = Annotated[
    float, Field(ge=1, le=90), Expected("a percentage from 1 to 90", percent_hint)
]
Fraction = Annotated[
    float, Field(gt=0, le=1), Expected("a share above 0 and up to 1", fraction_hint)
]
Alpha = Annotated[float, Field(ge=0.001, le=0.2), Expected("a risk from 0.001 to 0.2", alpha_hint)]
Amount = Annotated[
    float,
    Field(ge=0, le=1e12),
    Expected("an amount of money, 0 or more, without sign or spaces,", number_between(0, 1e12)),
]
Threshold = Annotated[
    float,
    Field(gt=0, le=1e12),
    Expected("a percentage of revenue, or an amount, above 0", number_between(1e-9, 1e12)),
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
    Expected("the address of a database, such as duckdb:///loyalty.duckdb,", database_hint),
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
    Expected("a time zone such as Europe/Paris", timezone_hint),
]
Currency = Annotated[
    str,
    Field(pattern=r"^[A-Z]{3}$"),
    Expected("a currency code of three letters such as EUR", currency_hint),
]
Encoding = Annotated[
    str,
    Field(max_length=40),
    AfterValidator(_known_encoding),
    Expected(
        "the name of a text encoding such as utf-8 or cp1252",
        choice_hint(("utf-8", "cp1252", "latin-1", "utf-16", "iso-8859-15")),
    ),
]
Delimiter = Annotated[
    Literal[",", ";", "\t", "|"],
    Expected(
        'one of "," ";" "|" and "\\t"',
        choice_hint((), {"tab": "\\t", "comma": ",", "semicolon": ";", "pipe": "|"}),
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
TierMeasure = Annotated[
    Literal["share", "revenue"],
    _one_of(
        {"percent": "share", "part": "share", "amount": "revenue", "ca": "revenue"},
        "share", "revenue",
    ),
]  # fmt: skip
Lever = Annotated[
    Literal["transactional", "service", "relational", "engagement"],
    _one_of(LEVERS_SAID, "transactional", "service", "relational", "engagement"),
]
Objective = Annotated[
    Literal["revenue", "basket", "frequency", "attrition"],
    _one_of(OBJECTIVES_SAID, "revenue", "basket", "frequency", "attrition"),
]
Enrolment = Annotated[Literal["once", "rolling"], _one_of(None, "once", "rolling")]
Spending = Annotated[
    Literal["obrien-fleming", "pocock", "power"],
    _one_of({"obf": "obrien-fleming"}, "obrien-fleming", "pocock", "power"),
]


def whole(low: int, high: int) -> Expected:
    """What is expected of a whole number between two bounds, both included."""
    return Expected(f"a whole number from {low} to {high}", whole_hint(low, high))

"""The language of a page: its words, numbers, dates, money. Knows no result type."""

from __future__ import annotations

import datetime as dt
import gettext
import io
import math
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babel import Locale

__all__ = ["LANGUAGES", "Tongue", "catalogue_path", "step_for"]

LANGUAGES = ("fr", "en")
_TERRITORIES = {"fr": "fr_FR", "en": "en_GB"}
_HOMES = {("en", "USD"): "en_US", ("en", "CAD"): "en_CA", ("fr", "CAD"): "fr_CA"}
_DOMAIN = "loyalty_exp"
_MINUS = "\N{MINUS SIGN}"
_EN_DASH = "\N{EN DASH}"
_JOINED = "\N{WORD JOINER}"
"""Between a sign and the symbol after it: a line may not break there."""


def catalogue_path(language: str) -> Path:
    """The gettext catalogue (.po) of a language."""
    return Path(__file__).parent / "locale" / language / "LC_MESSAGES" / f"{_DOMAIN}.po"


@cache
def _translations(language: str) -> gettext.NullTranslations:
    """The catalogue of a language, compiled in memory; English is the language of the code."""
    if language == "en":
        return gettext.NullTranslations()
    from babel.messages.mofile import write_mo  # noqa: PLC0415  (needed only for a page)
    from babel.messages.pofile import read_po  # noqa: PLC0415

    with catalogue_path(language).open("rb") as source:
        catalogue = read_po(source, locale=language, domain=_DOMAIN)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


@cache
def _locale(language: str, currency: str) -> Locale:
    """The language as it is written where the currency is at home: $ rather than US$."""
    from babel import Locale  # noqa: PLC0415

    home = _HOMES.get((language, currency), _TERRITORIES[language])
    return Locale.parse(home)


@cache
def _symbol(language: str, currency: str) -> str:
    from babel.numbers import get_currency_symbol  # noqa: PLC0415

    symbol: str = get_currency_symbol(currency, locale=_locale(language, currency))
    return symbol


def step_for(lower: float | None, upper: float | None) -> float:
    """The step that money is rounded to, in currency: what its interval can bear.

    Three figures of the interval's width: 4,123.40 to 33,017.10 is written in hundreds.
    Without an interval, the unit of the currency.
    """
    if lower is None or upper is None or not math.isfinite(upper - lower) or upper <= lower:
        return 1.0
    return float(10.0 ** max(math.floor(math.log10(upper - lower)) - 2, -2))


class Tongue:
    """A language ("fr" or "en") with a currency: translates, and writes figures as its readers do.

    Args:
        language: "fr" or "en".
        currency: ISO 4217 code of the project.
        labels: What the project calls its own segments, by id.

    Raises:
        ValueError: If the language has no catalogue.
    """

    def __init__(
        self, language: str, currency: str = "EUR", labels: Mapping[str, str] | None = None
    ) -> None:
        if language not in LANGUAGES:
            raise ValueError(f"language {language!r}: one of {', '.join(LANGUAGES)} is expected")
        self.language = language
        self.currency = currency
        self.labels = labels or {}
        self.locale = _locale(language, currency)
        self.symbol = _symbol(language, currency)
        """Sign of the currency, as a unit of tables and axes."""
        self._catalogue = _translations(language)

    def gettext(self, message: str) -> str:
        """The message in this language; the message itself where the catalogue has none."""
        return self._catalogue.gettext(message) if message else ""

    def ngettext(self, singular: str, plural: str, n: int) -> str:
        """The message in the number of `n`."""
        return self._catalogue.ngettext(singular, plural, n)

    def money(self, value: float | None, *, step: float | None = None, signed: bool = False) -> str:
        """Money, rounded to `step` (None: to the cent), a dash where there is none.

        A figure other than zero is never written as zero: the step shrinks until it shows.
        """
        if value is None or not math.isfinite(value):
            return _EN_DASH
        digits, rounded = 2, round(value, 2)
        if step is not None:
            step = _visible_step(value, step)
            rounded = round(value / step) * step
            digits = max(0, -math.floor(math.log10(step) + 1e-9))
            digits = 2 if digits == 1 else digits
        text = self._currency(abs(rounded), digits)
        sign = _MINUS if rounded < 0 else "+" if signed and rounded > 0 else ""
        return f"{sign}{'' if text[0].isdigit() or not sign else _JOINED}{text}"

    def _currency(self, value: float, digits: int) -> str:
        from babel.numbers import format_currency  # noqa: PLC0415

        pattern = self.locale.currency_formats["standard"].pattern
        pattern = pattern.replace("0.00", "0" + ("." + "0" * digits if digits else ""))
        text: str = format_currency(
            Decimal(repr(round(value, digits))) + 0,
            self.currency,
            pattern,
            locale=self.locale,
            currency_digits=False,
        )
        return text

    def number(self, value: float | None, digits: int = 0, *, signed: bool = False) -> str:
        """A number with a fixed count of decimals."""
        if value is None or not math.isfinite(value):
            return _EN_DASH
        from babel.numbers import format_decimal  # noqa: PLC0415

        rounded = round(value, digits) + 0.0
        pattern = "#,##0" + ("." + "0" * digits if digits else "")
        text: str = format_decimal(rounded, pattern, locale=self.locale).replace("-", _MINUS)
        return f"+{text}" if signed and rounded > 0 else text

    def percent(self, share: float | None, digits: int = 1, *, signed: bool = False) -> str:
        """A share (0.08) in percent (8.0%). Never rounds to 0 or 100 what is not."""
        if share is None or not math.isfinite(share):
            return _EN_DASH
        from babel.numbers import format_percent  # noqa: PLC0415

        while digits < 4 and share not in (0, 1) and round(share, digits + 2) in (0, 1):
            digits += 1
        pattern = self.locale.percent_formats[None].pattern
        pattern = pattern.replace("##0", "##0" + ("." + "0" * digits if digits else ""))
        rounded = round(share, digits + 2) + 0.0
        text: str = format_percent(rounded, pattern, locale=self.locale).replace("-", _MINUS)
        return f"+{text}" if signed and rounded > 0 else text

    def p_value(self, value: float | None) -> str:
        """A probability, never rounded to certainty."""
        if value is None or not math.isfinite(value):
            return _EN_DASH
        if value < 0.001:
            return "<" + "\N{NO-BREAK SPACE}" + self.number(0.001, 3)
        if value > 0.999:
            return ">" + "\N{NO-BREAK SPACE}" + self.number(0.999, 3)
        return self.number(value, 3)

    def p_phrase(self, value: float | None) -> str:
        """A p-value as it stands in a sentence: "p = 0.031" or "p < 0.001"."""
        text = self.p_value(value)
        space = "\N{NO-BREAK SPACE}"
        return f"p{space}{text}" if text[0] in "<>" else f"p{space}={space}{text}"

    def chance(self, probability: float | None) -> str:
        """A chance in percent, never 0 % nor 100 %."""
        if probability is None or not math.isfinite(probability):
            return _EN_DASH
        if probability < 0.01:
            return "<" + "\N{NO-BREAK SPACE}" + self.percent(0.01, 0)
        if probability > 0.99:
            return ">" + "\N{NO-BREAK SPACE}" + self.percent(0.99, 0)
        return self.percent(probability, 0)

    def between(self, lower: str, upper: str) -> str:
        """An interval in words."""
        _ = self.gettext
        return _("between %(lower)s and %(upper)s") % {"lower": lower, "upper": upper}

    def month(self, month: str) -> str:
        """A month (YYYY-MM) in full, with its year."""
        return self._date_text(_first_day(month), "LLLL y")

    def month_short(self, month: str, *, year: bool = False) -> str:
        """A month (YYYY-MM) as a chart's axis writes it."""
        return self._date_text(_first_day(month), "LLL yyyy" if year else "LLL")

    def date(self, day: dt.date) -> str:
        """A day in full."""
        return self._ordinal(day, self._date_text(day, "d MMMM y"))

    def date_short(self, day: dt.date) -> str:
        """A day where room is short, its parts never parted."""
        text = self._ordinal(day, self._date_text(day, "d MMM y"))
        return text.replace(" ", "\N{NO-BREAK SPACE}")

    def _ordinal(self, day: dt.date, text: str) -> str:
        """French writes the first day of a month as an ordinal."""
        return f"1er{text[1:]}" if self.language == "fr" and day.day == 1 else text

    def _date_text(self, day: dt.date, pattern: str) -> str:
        from babel.dates import format_date  # noqa: PLC0415

        text: str = format_date(day, pattern, locale=self.locale)
        return text

    def listed(self, items: list[str] | tuple[str, ...]) -> str:
        """Items as a list in a sentence: "a, b and c"."""
        from babel.lists import format_list  # noqa: PLC0415

        text: str = format_list(list(items), locale=self.locale)
        return text


def _visible_step(value: float, step: float) -> float:
    """The step, made finer until a value other than zero shows."""
    while step > 0.01 and value != 0 and round(value / step) == 0:
        step /= 10
    return max(step, 0.01)


def _first_day(month: str) -> dt.date:
    return dt.date.fromisoformat(f"{month}-01")

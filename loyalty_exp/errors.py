"""The error tree. Every class here is a mistake a user can mend: printed, exit code 2.

LoyaltyExpError
├── DeclarationError    the campaign file is wrong: every mistake of the file at once
├── RuleError           a `where` expression is not understood (declare/words.py)
├── DataError           a source of orders, customers, exposures or costs cannot be read
├── StoreError          the database cannot be opened, is locked, or holds what it should not
├── LaunchError         a draw is refused: launched already, edited since, nobody eligible
└── MeasureError        a result is asked for that the store cannot give

A bug is never wrapped in one of these: it shows its traceback.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "DataError",
    "DeclarationError",
    "LaunchError",
    "LoyaltyExpError",
    "MeasureError",
    "Mistake",
    "StoreError",
]


class LoyaltyExpError(Exception):
    """Base of every error that a user can mend."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in a declaration, placed where the user can see it."""

    file: str
    line: int
    table: str
    field: str
    message: str
    value: str | None = None
    """What is written there, as TOML; None where it is not to be shown."""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:"
        table = f" [{self.table}]" if self.table else ""
        field = f" {self.field}" if self.field else ""
        value = f" = {self.value}" if self.field and self.value is not None else ""
        colon = ":" if table or field else ""
        return f"{where}{table}{field}{value}{colon} {self.message}"


class DeclarationError(LoyaltyExpError):
    """The declaration holds mistakes; all of them are listed, one a line."""

    def __init__(self, mistakes: list[Mistake], language: str = "en") -> None:
        self.mistakes = mistakes
        self.language = language
        """What the declaration asks for as its language, as far as it can be read."""
        super().__init__("\n".join(str(mistake) for mistake in mistakes))


class DataError(LoyaltyExpError):
    """A source cannot be read as declared."""


class StoreError(LoyaltyExpError):
    """The store cannot be opened or holds something unexpected."""


class LaunchError(LoyaltyExpError):
    """A launch is refused; nothing was changed."""


class MeasureError(LoyaltyExpError):
    """A result cannot be computed from what the store holds."""

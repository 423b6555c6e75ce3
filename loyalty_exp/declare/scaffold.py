"""What an author of declarations starts from: a commented file, and a JSON Schema for editors."""

from __future__ import annotations

import datetime as dt
import re
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from loyalty_exp.errors import LoyaltyExpError

__all__ = ["json_schema", "scaffold"]


def scaffold(
    directory: Path, language: Literal["en", "fr"] = "en", today: dt.date | None = None
) -> Path:
    """Write a commented campaigns.toml, ready to edit.

    Args:
        directory: Where to write it; made if need be.
        language: Language of the comments and of the reports.
        today: Its campaign starts with the next month; the machine's day if None.

    Returns:
        The file written.

    Raises:
        LoyaltyExpError: The file exists, or the folder cannot be written; nothing is changed.
    """
    template = resources.files("loyalty_exp.declare") / "templates" / f"campaigns.{language}.toml"
    text = dated(
        template.read_text(encoding="utf-8"), today or dt.datetime.now().astimezone().date()
    )
    path = directory / "campaigns.toml"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError as error:
        raise LoyaltyExpError(f"{path} exists already: nothing was written") from error
    except OSError as error:
        raise LoyaltyExpError(f"{path} cannot be written: {error.strerror}") from error
    return path


def dated(template: str, today: dt.date) -> str:
    """A template with the dates of its campaign moved to come, by whole months."""
    month = today.year * 12 + today.month
    first = (_day(month, 1), _day(month + 2, 1) - dt.timedelta(days=1))
    until = _day(month + 10, 1) - dt.timedelta(days=1)
    moved = {
        "2026-03-01": first[0],
        "2026-04-30": first[1],
        "2026-12-31": until,
        "2026-01-01": first[0],
        "-2026": f"-{first[0].year}",
    }
    pattern = re.compile("|".join(moved))
    return pattern.sub(lambda found: str(moved[found.group()]), template)


def _day(month: int, day: int) -> dt.date:
    """A day of a month index, counted from 0."""
    return dt.date(month // 12, month % 12 + 1, day)


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a declaration, for editors that complete and check."""
    from loyalty_exp.declare.models import Declaration  # noqa: PLC0415

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Declaration.model_json_schema(by_alias=True),
        "title": "Declaration of loyalty_exp",
    }

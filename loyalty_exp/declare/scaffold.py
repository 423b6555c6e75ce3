"""What an author of declarations starts from: a commented file, and a JSON Schema for editors."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any, Literal

from loyalty_exp.errors import LoyaltyExpError

__all__ = ["json_schema", "scaffold"]


def scaffold(directory: Path, language: Literal["en", "fr"] = "en") -> Path:
    """Write a commented campaigns.toml, ready to edit.

    Args:
        directory: Where to write it; made if need be.
        language: Language of the comments and of the reports.

    Returns:
        The file written.

    Raises:
        LoyaltyExpError: The file exists, or the folder cannot be written; nothing is changed.
    """
    template = resources.files("loyalty_exp.declare") / "templates" / f"campaigns.{language}.toml"
    text = template.read_text(encoding="utf-8")
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


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a declaration, for editors that complete and check."""
    from loyalty_exp.declare.models import Declaration  # noqa: PLC0415

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Declaration.model_json_schema(by_alias=True),
        "title": "Declaration of loyalty_exp",
    }

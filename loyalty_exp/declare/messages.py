"""What a pydantic error means, in words for the person who wrote the file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from loyalty_exp.declare.hints import nearest

__all__ = ["Told", "explain"]


@dataclass(frozen=True, slots=True)
class Told:
    """A mistake in words, and what may be meant."""

    text: str
    hint: str | None = None


_PLAIN = {
    "dict_type": "a table is expected",
    "model_type": "a table is expected",
    "model_attributes_type": "a table is expected",
    "too_short": "at least one is expected",
}
_BOOLEANS = {"yes": "true", "true": "true", "oui": "true", "no": "false", "false": "false",
             "non": "false", "1": "true", "0": "false"}  # fmt: skip


def explain(error: Any) -> Told | None:
    """Put a pydantic error into words.

    Args:
        error: One item of `ValidationError.errors()`.

    Returns:
        The words; None for an error that only follows from another one.
    """
    kind, context, value = error["type"], error.get("ctx") or {}, error["input"]
    if kind == "default_factory_not_called":
        return None
    told = Told(f"{error['msg'][:1].lower()}{error['msg'][1:]}", context.get("hint"))
    if kind in _PLAIN:
        told = Told(_PLAIN[kind])
    elif kind == "tuple_type":
        told = Told("a list between [ and ] is expected", f'["{value}"]' if _short(value) else None)
    elif kind == "bool_type":
        told = Told("true or false is expected", _BOOLEANS.get(str(value).lower()))
    elif kind == "literal_error":
        expected = context.get("expected", "")
        hint = nearest(value, re.findall("'([^']+)'", expected))
        told = Told(f"{expected.replace(chr(39), '')} is expected", hint)
    return told


def _short(value: object) -> bool:
    return (
        isinstance(value, str) and value.isprintable() and len(value) <= 40 and "://" not in value
    )

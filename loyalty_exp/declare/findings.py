"""Mistakes of a table: the model's own and those between fields, raised at once by pydantic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ModelWrapValidatorHandler, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import InitErrorDetails, PydanticCustomError

from loyalty_exp.declare.hints import nearest
from loyalty_exp.declare.kinds import Expected

__all__ = ["Finding", "Raw", "validate"]

Raw = Mapping[str, Any]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Finding:
    """A mistake inside a table: where, what is wrong or expected, and what may be meant."""

    loc: tuple[str | int, ...]
    text: str
    hint: str | None = None

    def detail(self, kind: str = "finding") -> InitErrorDetails:
        """The finding as a line of a pydantic error."""
        told = PydanticCustomError(kind, "{text}", {"text": self.text, "hint": self.hint})
        return InitErrorDetails(type=told, loc=self.loc, input=None)


def validate(
    model: type[BaseModel],
    data: Any,
    handler: ModelWrapValidatorHandler[_T],
    check: Callable[[Raw], Iterable[Finding]],
) -> _T:
    """Run a model's own validation and its cross-check; raise the mistakes of both at once.

    Args:
        model: The model, whose fields name what is missing or unknown.
        data: The raw table.
        handler: The model's own validation.
        check: The cross-check; what it finds at a place replaces the model's own mistake there.

    Returns:
        What `handler` makes of the data.

    Raises:
        ValidationError: All mistakes.
    """
    result: _T | None = None
    details: list[InitErrorDetails] = []
    found = {finding.loc: finding for finding in check(data)} if isinstance(data, Mapping) else {}
    try:
        result = handler(data)
    except ValidationError as error:
        lines = error.errors(include_url=False)
        unknown = {line["loc"][0]: _unknown(model, line) for line in lines if _is_unknown(line)}
        meant = {finding.hint for finding in unknown.values()}
        for line in lines:
            if line["loc"] in found or (line["type"] == "missing" and line["loc"][0] in meant):
                continue
            details.append(_repeated(model, line, unknown))
    details += [finding.detail() for finding in found.values()]
    if details or result is None:
        raise ValidationError.from_exception_data(model.__name__, details)
    return result


def _is_unknown(line: Any) -> bool:
    return line["type"] == "extra_forbidden" and len(line["loc"]) == 1


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _unknown(model: type[BaseModel], line: Any) -> Finding:
    what = "table" if isinstance(line["input"], dict) else "key"
    (name,) = line["loc"]
    for table, field in _fields(model).items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel) and name in _fields(inner):
            return Finding((name,), f"unknown {what} here; it belongs to the table {table} below")
    return Finding((name,), f"unknown {what}", nearest(name, _fields(model)))


def _repeated(
    model: type[BaseModel], line: Any, unknown: Mapping[str | int, Finding]
) -> InitErrorDetails:
    """An error of the model's own, with words for what is missing or unknown here."""
    if _is_unknown(line):
        return unknown[line["loc"][0]].detail("extra_forbidden")
    if line["type"] == "missing" and len(line["loc"]) == 1:
        field = _fields(model)[str(line["loc"][0])]
        words = [mark.text for mark in field.metadata if isinstance(mark, Expected)]
        expected = words[0] if words else f"({(field.description or '').rstrip('.')})"
        text = f"is missing; {expected} is expected" if words else f"is missing {expected}"
        return Finding(line["loc"], text).detail("missing")
    message = line["msg"].replace("{", "(").replace("}", ")")
    kind = PydanticCustomError(line["type"], message, dict(line.get("ctx") or {}))
    return InitErrorDetails(type=kind, loc=line["loc"], input=line["input"])

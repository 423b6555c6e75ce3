"""Files to a Declaration, every mistake of all files at once, each with its line.

No message ever holds a secret: addresses of databases are never shown.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

from pydantic import ValidationError

from loyalty_exp.declare.environment import missing_variables
from loyalty_exp.declare.messages import explain
from loyalty_exp.declare.models import Declaration
from loyalty_exp.declare.positions import Path, Positions
from loyalty_exp.declare.syntax import Problem, parse
from loyalty_exp.errors import DeclarationError, Mistake

__all__ = ["find", "language_of", "read"]

_LARGEST = 2_000_000
_FRENCH = re.compile(r"""^\s*locale\s*=\s*["']fr""", re.MULTILINE)
_ADDRESSES = {"database", "registry_url", "source", "query"}


@dataclass(slots=True)
class _Document:
    name: str
    values: dict[str, Any] | None
    positions: Positions
    mistakes: list[Mistake]
    french: bool = False


def find(path: File) -> tuple[File, ...]:
    """The files of a declaration, in the order they are read.

    Args:
        path: A file such as campaigns.toml, joined by the .toml files of the folder `campaigns`
            beside it; or a folder: its campaigns.toml, else all its .toml files by name.

    Returns:
        The files; `path` itself if there is no such file.
    """
    if path.is_dir():
        main = path / "campaigns.toml"
        return find(main) if main.is_file() else tuple(sorted(path.glob("*.toml"))) or (main,)
    return path, *sorted(path.with_suffix("").glob("*.toml"))


def read(
    path: File | str | Sequence[File | str], environ: Mapping[str, str] | None = None
) -> Declaration:
    """Read and check a declaration.

    Args:
        path: A file or folder as `find` takes it, or the very files to read.
        environ: The environment variables to look for, the process's own by default.

    Returns:
        The declaration; addresses keep their `${NAME}`.

    Raises:
        DeclarationError: Every mistake of all files, in the order of files and lines.
    """
    files = find(File(path)) if isinstance(path, str | File) else tuple(map(File, path))
    documents = [_load(file) for file in files]
    mistakes = [mistake for document in documents for mistake in document.mistakes]
    if not all(document.values is not None for document in documents):
        raise DeclarationError(_ordered(mistakes, documents), _language(documents))
    whole = _Whole(documents)
    declaration: Declaration | None = None
    found = whole.mistakes
    try:
        declaration = Declaration.model_validate(whole.values)
    except ValidationError as error:
        for line in error.errors(include_url=False):
            found += whole.explained(line)
    found += whole.without_variables(os.environ if environ is None else environ)
    told = {(mistake.file, mistake.line) for mistake in mistakes}
    mistakes += [mistake for mistake in found if (mistake.file, mistake.line) not in told]
    if mistakes or declaration is None:
        raise DeclarationError(_ordered(mistakes, documents), _language(documents))
    return declaration


def language_of(path: File | str) -> str:
    """The language that a declaration asks for, 'en' or 'fr', whatever is wrong with it.

    Args:
        path: A file or folder as `find` takes it.
    """
    return _language(map(_load, find(File(path))))


def _language(documents: Iterable[_Document]) -> str:
    """The language that the files ask for, whatever else is wrong with them; English else."""
    return "fr" if any(document.french for document in documents) else "en"


def _ordered(mistakes: Iterable[Mistake], documents: Sequence[_Document]) -> list[Mistake]:
    order = {document.name: index for index, document in reversed(list(enumerate(documents)))}
    unique = dict.fromkeys(mistakes)
    return sorted(unique, key=lambda mistake: (order[mistake.file], mistake.line))


# --- one file ------------------------------------------------------------------------------------


def _load(file: File) -> _Document:
    name = str(file)
    try:
        if file.stat().st_size > _LARGEST:
            return _unread(name, "the file is larger than 2 MB: is it a declaration?")
        data = file.read_bytes()
    except FileNotFoundError:
        return _unread(name, "no such file; `loyalty-exp init` writes one to start from")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a file name"
        return _unread(name, f"the file cannot be read: {reason}")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _unread(name, "the file is saved as UTF-16: save it as UTF-8")
    text, mistakes = _decoded(name, data)
    parsed = parse(text)
    mistakes += [_placed(name, problem) for problem in parsed.problems]
    french = _FRENCH.search(text) is not None
    return _Document(name, parsed.values, parsed.positions, mistakes, french)


def _unread(name: str, text: str) -> _Document:
    return _Document(name, None, Positions(), [Mistake(name, 1, "", "", text)])


def _decoded(name: str, data: bytes) -> tuple[str, list[Mistake]]:
    """UTF-8, with or without mark; otherwise latin-1, which reads anything, and a mistake."""
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        letter = data[error.start : error.start + 1].decode("cp1252", "replace")
        shown = f" (the letter {letter})" if letter.isalpha() else ""
        text = f"this line is not UTF-8{shown}: save the file as UTF-8, not as latin-1 or ANSI"
        return data.decode("latin-1"), [Mistake(name, line, "", "", text)]


def _placed(name: str, problem: Problem) -> Mistake:
    text = _suggested(problem.text, problem.hint)
    return Mistake(name, problem.line, problem.table, problem.field, text, problem.value)


def _suggested(text: str, hint: str | None) -> str:
    return f"{text}; did you mean {hint}?" if hint else text


# --- all files together --------------------------------------------------------------------------


class _Whole:
    """The files merged, remembering where everything stands."""

    def __init__(self, documents: Sequence[_Document]) -> None:
        self.values: dict[str, Any] = {}
        self.mistakes: list[Mistake] = []
        self.first = documents[0]
        self.owner: dict[Path, _Document] = {}
        for document in documents:
            self.under: dict[Any, list[Path]] = {}
            for known in document.positions.lines:
                self.under.setdefault(known[:1], []).append(known)
            self._merge(self.values, document.values or {}, (), document)

    def _merge(
        self, into: dict[str, Any], values: Mapping[str, Any], path: Path, document: _Document
    ) -> None:
        for key, value in values.items():
            inner = (*path, key)
            if key not in into:
                self._own(inner, document)
                into[key] = value
                continue
            earlier = self.owner[inner]
            tables = isinstance(value, dict) and isinstance(into[key], dict)
            if tables and not (_defines(earlier, inner) and _defines(document, inner)):
                self._merge(into[key], value, inner, document)
            elif inner != ("schema",) or into[key] != value:
                first = f"{earlier.name}:{earlier.positions.nearest(inner)[1]}"
                table, field, line = self._place(inner, document)
                text = f"is defined twice: first in {first}"
                self.mistakes.append(Mistake(document.name, line, table, field, text))

    def _own(self, path: Path, document: _Document) -> None:
        for known in self.under.get(path[:1], ()):
            if known[: len(path)] == path:
                self.owner.setdefault(known, document)
        self.owner.setdefault(path, document)

    def _document(self, path: Path) -> _Document:
        while path and path not in self.owner:
            path = path[:-1]
        return self.owner.get(path, self.first)

    def _place(self, path: Path, document: _Document) -> tuple[str, str, int]:
        """Table, field and line to show for a path."""
        headers = document.positions.headers
        table = path
        while table and table not in headers:
            table = table[:-1]
        line = document.positions.nearest(path)[1]
        if not table and len(path) > 1 and path not in document.positions.lines:
            table = path[:-1]
        return _dotted(table), _dotted(path[len(table) :]), line

    def explained(self, line: Any) -> list[Mistake]:
        """A pydantic error as mistakes in their place; none if it only follows from another."""
        told = explain(line)
        if told is None:
            return []
        path = tuple(part for part in line["loc"] if part != "[key]")
        document = self._document(path)
        table, field, number = self._place(path, document)
        hidden = path != line["loc"] or line["type"] == "extra_forbidden"
        value = None if hidden else self._shown(path)
        text = _suggested(told.text, told.hint)
        return [Mistake(document.name, number, table, field, text, value)]

    def _shown(self, path: Path) -> str | None:
        value: Any = self.values
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        hidden = isinstance(value, str) and (path[-1] in _ADDRESSES or "://" in value)
        return None if hidden or isinstance(value, dict | list) else _literal(value)

    def without_variables(self, environ: Mapping[str, str]) -> list[Mistake]:
        """Addresses that ask for a variable which is not set."""
        mistakes = []
        for path, text in _addresses(self.values, ()):
            document = self._document(path)
            table, field, line = self._place(path, document)
            for name in missing_variables(text, environ):
                told = f"the environment variable {name} is not set"
                mistakes.append(Mistake(document.name, line, table, field, told))
        return mistakes


def _defines(document: _Document, path: Path) -> bool:
    return path in document.positions.headers or path in document.positions.values


def _addresses(values: Mapping[str, Any], path: Path) -> Iterable[tuple[Path, str]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _addresses(value, (*path, key))
        elif isinstance(value, str) and key in {"database", "registry_url", "source"}:
            yield (*path, key), value


def _dotted(path: Path) -> str:
    """A path as it is written in TOML; items of lists have no name of their own."""
    return ".".join(
        part if part.isascii() and part.replace("-", "_").isidentifier() else _literal(part)
        for part in path
        if isinstance(part, str)
    )


def _literal(value: object) -> str:
    """A value as it is written in TOML, cut short where it is long."""
    if isinstance(value, str):
        text = json.dumps(value, ensure_ascii=not value.isprintable())
    elif isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, dt.date | dt.time):
        text = value.isoformat()
    else:
        text = str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"

"""TOML text to values: a syntax mistake is explained, and mended as meant so that the rest is read.

Never repeats what may be a secret: only numbers, dates and the words of a choice are shown.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from dataclasses import dataclass, field
from typing import Any

from loyalty_exp.declare.hints import spelled, written_date, written_number
from loyalty_exp.declare.positions import Path, Positions, Unclosed, scan

__all__ = ["Parsed", "Problem", "parse"]

_MOST_PROBLEMS = 50
_MOST_LINES = 10_000
_LONGEST_LINE = 10_000
_DEEPEST = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """A syntax mistake: its line, the table it stands in, and what to write instead."""

    line: int
    table: str
    field: str
    text: str
    hint: str | None = None
    value: str | None = None


@dataclass(slots=True)
class Parsed:
    """What could be read of a text; `values` is None where too much would be guessed."""

    values: dict[str, Any] | None
    positions: Positions
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Mend:
    field: str
    text: str
    hint: str | None = None
    value: str | None = None
    line: str | None = None
    """The line as meant; None where nobody can tell."""


def parse(text: str) -> Parsed:
    """Read a TOML text; on a mistake, explain it, mend the line and go on.

    Args:
        text: The text, without byte-order mark.

    Returns:
        The values, None after a mistake that leaves doubt about the lines around it.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    if (endless := _endless(lines)) is not None:
        return Parsed(None, Positions(), [endless])
    problems: list[Problem] = []
    guessed = False
    while len(problems) < _MOST_PROBLEMS:
        mended = "\n".join(lines)
        try:
            values = tomllib.loads(mended)
            if _nested_deeper(values, _DEEPEST):
                problems.append(Problem(1, "", "", "lists or tables are nested too deep"))
                break
            return Parsed(None if guessed else values, scan(mended), problems)
        except RecursionError:
            problems.append(Problem(1, "", "", "lists or tables are nested too deep"))
            break
        except ValueError as error:
            whole = _whole(mended, lines, str(error))
            if whole:
                problems += whole
                break
            number = _line_of(error, lines)
            mend = _joined(lines, number) or _mend(lines[number - 1], str(error))
            problems.append(_problem(mend, number, lines))
            guessed = guessed or mend.line is None
            lines[number - 1] = mend.line or ""
    return Parsed(None, Positions(), problems)


def _nested_deeper(values: object, levels: int) -> bool:
    """Whether tables and lists stand in each other beyond so many levels."""
    layer = [values]
    for _ in range(levels):
        tables = [each for each in layer if isinstance(each, dict)]
        lists = [each for each in layer if isinstance(each, list)]
        layer = [each for table in tables for each in table.values()]
        layer += [each for one in lists for each in one]
    return any(isinstance(each, dict | list) for each in layer)


def _endless(lines: list[str]) -> Problem | None:
    """A text that no one writes: to read it, or to explain it, might never end."""
    if len(lines) > _MOST_LINES:
        told = f"more than {_MOST_LINES:,} lines: is it a declaration? Campaigns may stand in files"
        return Problem(_MOST_LINES, "", "", told)
    long = next((n for n, line in enumerate(lines, 1) if len(line) > _LONGEST_LINE), None)
    if long is None:
        return None
    return Problem(long, "", "", f"a line of more than {_LONGEST_LINE:,} characters")


def _problem(mend: _Mend, number: int, lines: list[str]) -> Problem:
    table = _table(lines, number) if mend.field else ""
    return Problem(number, table, mend.field, mend.text, mend.hint, mend.value)


def _line_of(error: ValueError, lines: list[str]) -> int:
    """The line a TOML error names; an error at the end of the text is on the last line."""
    named = re.search(r"\(at line (\d+)", str(error))
    last = max((i for i, line in enumerate(lines, 1) if line.strip()), default=1)
    number = int(named[1]) if named else last
    if not named and "digits" in str(error):  # an integer too long for Python has no place
        number = next((i for i, line in enumerate(lines, 1) if re.search(r"\d{1000}", line)), 1)
    return min(max(number, 1), len(lines))


_HEADER = re.compile(r"\s*\[{1,2}([^\[\]]+)\]")


def _table(lines: list[str], number: int) -> str:
    for line in reversed(lines[: number - 1]):
        if match := _HEADER.match(line):
            return match[1].strip()[:80]
    return ""


def _whole(text: str, lines: list[str], message: str) -> list[Problem]:
    """Mistakes that are not those of one line: something left open, or defined twice."""
    found = Positions()
    try:
        scan(text, found)
    except Unclosed as error:
        opened = {"]": "the list opened here", "}": "the inline table opened here"}
        what = opened.get(error.closing, "the text opened here")
        multi = error.closing in {"]", "}", '"""', "'''"}
        decimal = error.closing == "}" and _DECIMAL.search(lines[error.line - 1])
        if multi and not decimal:
            told = f"{what} is not closed with {error.closing}"
            return [Problem(error.line, _table(lines, error.line), "", told)]
    except (ValueError, RecursionError):
        pass
    if not re.search("overwrite|declare|mutate|redefine|[Dd]uplicate", message):
        return []
    return [
        Problem(
            second,
            _dotted(path) if path in found.headers else _table(lines, second),
            "" if path in found.headers else _dotted(path[-1:]),
            f"is defined twice: first on line {first}",
        )
        for path, first, second in found.twice
    ]


def _dotted(path: Path) -> str:
    return ".".join(part for part in path if isinstance(part, str))


def _joined(lines: list[str], number: int) -> _Mend | None:
    """A table between braces over several lines, put on one."""
    opened = re.match(r"\s*([\w-]+)\s*=\s*\{[^}]*$", lines[number - 1])
    end = next((i for i, line in enumerate(lines[number:], number + 1) if "}" in line), None)
    if opened is None or end is None or end > number + 100:
        return None
    parts = [line.split("#")[0].strip() for line in lines[number - 1 : end]]
    lines[number:end] = [""] * (end - number)
    table = _table(lines, number)
    hint = f"[{table}.{opened[1]}]" if table else f"[{opened[1]}]"
    text = "a table between braces stands on one line: write it as a table with a header"
    return _Mend(opened[1], text, hint, line=re.sub(r",\s*}", " }", " ".join(parts)))


# --- one line ------------------------------------------------------------------------------------

_KEY = r"[A-Za-z0-9_-]+"
_DECIMAL = re.compile(rf"({_KEY})(\s*=\s*)([+-]?\d+),(\d+)(?=\s*(?:[,}}#]|$))")
_PAIR = re.compile(rf"(\s*)({_KEY}(?:\.{_KEY})*)\s*([=:])(.*)", re.DOTALL)
_CURLY = re.compile("[“”„«»‘’]")
_YES = {"true", "yes", "oui", "vrai", "on"}
_NO = {"false", "no", "non", "faux", "off"}
_SHOWN = {
    "channels", "consent", "currency", "enrolment", "exclude", "label", "lever", "locale",
    "name", "objective", "preset", "scheme", "segments", "spending", "stratify_by", "timezone",
    "unit",
}  # fmt: skip


def _mend(line: str, message: str) -> _Mend:
    decimal = _DECIMAL.search(line)
    if decimal:
        return _decimal_comma(line, decimal)
    header = re.match(r"\s*\[\[?([^=]*)$", line)
    if header:
        return _header(header[1])
    pair = _PAIR.match(line)
    if pair is None:
        return _Mend("", "a [table], a key = value, or a # comment is expected")
    indent, key, sign, rest = pair.groups()
    if sign == ":":
        text = "= is expected between a key and its value"
        return _Mend(key, text, f"{key} =", line=f"{indent}{key} = {rest}")
    return _value(key, rest.strip(), message)


def _decimal_comma(line: str, found: re.Match[str]) -> _Mend:
    name, sign, whole, decimals = found.groups()
    outer = _PAIR.match(line)
    field_name = name if outer is None or outer[2].endswith(name) else f"{outer[2]}.{name}"
    if outer is not None and outer[2].endswith(name):
        field_name = outer[2]
    meant = f"{whole}.{decimals}"
    return _Mend(
        field_name,
        "a decimal point is expected, not a comma",
        meant,
        f"{whole},{decimals}",
        f"{line[: found.start()]}{name}{sign}{meant}{line[found.end() :]}",
    )


def _header(inside: str) -> _Mend:
    text = "the name of a table between [ and ], of letters without accents, digits, - and _,"
    name = inside.split("#", maxsplit=1)[0].rstrip().rstrip("]")
    parts = [_plain(part) for part in name.split(".")]
    if '"' in name or "'" in name or not all(parts):
        return _Mend("", f"{text} is expected")
    meant = f"[{'.'.join(parts)}]"
    return _Mend("", f"{text} is expected", meant, line=meant)


def _plain(text: str) -> str:
    bare = unicodedata.normalize("NFKD", text.strip()).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_]+", "-", bare).strip("-")[:64]


def _value(key: str, written: str, message: str) -> _Mend:
    """Explain a value that TOML does not know; the mended line gives the key some value."""
    empty = f'{key} = ""'
    bare = written.split("#", maxsplit=1)[0].strip()
    if not bare:
        return _Mend(key, "a value is expected after =", line=empty)
    if _CURLY.search(bare[0]):
        inner = _CURLY.sub("", bare).strip().replace('"', "").replace("\\", "/")
        meant = f'"{inner}"'
        text = "straight quotes are expected around a text"
        return _Mend(key, text, _shown(key, meant), line=f"{key} = {meant}")
    if bare[0] in "\"'":
        return _text(key, written, message)
    if bare[0] in "[{":
        return _Mend(key, "a list or a table between braces is expected, items parted by commas")
    return _bare(key, bare, empty)


def _text(key: str, written: str, message: str) -> _Mend:
    if "\\" in written and re.search("escape|hex|Unescaped|unicode", message, re.IGNORECASE):
        text = "a backslash is not allowed here: write / instead, or put the text in single quotes"
        return _Mend(key, text, line=f'{key} = ""')
    closed = len(written) > 1 and written.find(written[0], 1) > 0
    if closed:
        return _Mend(key, "nothing is expected after the closing quote", line=f'{key} = ""')
    return _Mend(key, "a closing quote is expected", line=f'{key} = ""')


def _bare(key: str, bare: str, empty: str) -> _Mend:
    if re.match(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?!\d)", bare):
        meant = written_date(bare)
        text = "a date written year-month-day is expected" if meant else "no such day"
        return _Mend(key, text, meant, bare[:40], f"{key} = {meant}" if meant else empty)
    number = written_number(bare)
    if number is not None:
        text = "a number alone, with a decimal point, is expected"
        return _Mend(key, text, spelled(number), bare[:40], f"{key} = {spelled(number)}")
    if bare.lower() in _YES | _NO:
        meant = "true" if bare.lower() in _YES else "false"
        return _Mend(key, "true or false is expected", meant, bare, f"{key} = {meant}")
    if re.fullmatch(r"[^\W\d][\w .'’-]*", bare):
        meant = f'"{bare}"'
        text = "a text between quotes is expected"
        return _Mend(key, text, _shown(key, meant), line=f"{key} = {meant}")
    text = "a text between quotes, a number, a date, true or false is expected"
    return _Mend(key, text, line=empty)


def _shown(key: str, meant: str) -> str | None:
    """A hint that repeats the file, kept for keys that never hold a secret."""
    return meant if key.rsplit(".", 1)[-1] in _SHOWN and len(meant) <= 60 else None

"""Where every table and key of a TOML text stands. Reads no values: `tomllib` does that."""

from __future__ import annotations

import bisect
import re
import tomllib
from dataclasses import dataclass, field

__all__ = ["Path", "Positions", "Unclosed", "scan"]

Path = tuple[str | int, ...]


@dataclass(slots=True)
class Positions:
    """Lines, counted from 1, of what a text defines."""

    lines: dict[Path, int] = field(default_factory=dict)
    """Line of each table and key, those merely implied by a longer name included."""
    headers: dict[Path, int] = field(default_factory=dict)
    """Line of each table that has a header of its own."""
    values: dict[Path, int] = field(default_factory=dict)
    """Line of each key that is given a value, items of lists included."""
    twice: list[tuple[Path, int, int]] = field(default_factory=list)
    """What is defined a second time: path, first line, second line."""

    def nearest(self, path: Path) -> tuple[Path, int]:
        """The longest known beginning of a path, and its line; ((), 1) if nothing is known."""
        while path and path not in self.lines:
            path = path[:-1]
        return path, self.lines.get(path, 1)


class Unclosed(Exception):  # noqa: N818
    """Something opened on `line` is not closed before the text ends or the next key begins."""

    def __init__(self, line: int, closing: str) -> None:
        self.line = line
        self.closing = closing
        super().__init__(line, closing)


_BLANK = re.compile(r"[ \t\r\n]+|#[^\n]*")
_KEY = re.compile(r"""[ \t]*("(?:\\.|[^"\\\n])*"|'[^'\n]*'|[A-Za-z0-9_-]+)[ \t]*""")
_WORD = re.compile(r"[^,\]}#\n]*")
_STRINGS = (
    ('"""', re.compile(r'(?:\\.|[^\\])*?"""(?:""?(?!"))?', re.DOTALL)),
    ("'''", re.compile(r"(?s:.)*?'''(?:''?(?!'))?")),
    ('"', re.compile(r'(?:\\.|[^"\\\n])*"')),
    ("'", re.compile(r"[^'\n]*'")),
)


def scan(text: str, found: Positions | None = None) -> Positions:
    """Find the line of every table, key and item.

    Args:
        text: TOML; where it is not valid, what was found up to there is in `found`.
        found: Receives the positions as they are found.

    Returns:
        The positions, `found` itself if it was given.

    Raises:
        Unclosed: A string, list or table is not closed.
        ValueError: The text is not valid TOML.
        RecursionError: Lists or tables are nested too deep.
    """
    scanner = _Scanner(text, found or Positions())
    scanner.document()
    return scanner.found


class _Scanner:
    def __init__(self, text: str, found: Positions) -> None:
        self.text = text
        self.at = 0
        self.found = found
        self.newlines = [match.start() for match in re.finditer("\n", text)]
        self.lists: dict[Path, int] = {}

    def line(self) -> int:
        return bisect.bisect_left(self.newlines, self.at) + 1

    def skip(self) -> None:
        while match := _BLANK.match(self.text, self.at):
            self.at = match.end()

    def looking_at(self, mark: str) -> bool:
        return self.text.startswith(mark, self.at)

    def expect(self, mark: str) -> None:
        if not self.looking_at(mark):
            raise ValueError(self.line())
        self.at += len(mark)

    def document(self) -> None:
        table: Path = ()
        while True:
            self.skip()
            if self.at >= len(self.text):
                return
            if self.looking_at("["):
                table = self.header()
            else:
                self.pair(table)

    def header(self) -> Path:
        line = self.line()
        many = self.looking_at("[[")
        self.expect("[[" if many else "[")
        path: Path = ()
        keys = self.keys()
        self.expect("]]" if many else "]")
        for depth, key in enumerate(keys):
            path = (*path, key)
            if path in self.lists and not (many and depth == len(keys) - 1):
                path = (*path, self.lists[path])
            self.found.lines.setdefault(path, line)
        if many:
            self.lists[path] = self.lists.get(path, -1) + 1
            path = (*path, self.lists[path])
        elif path in self.found.headers:
            self.found.twice.append((path, self.found.headers[path], line))
        self.found.headers.setdefault(path, line)
        self.found.lines[path] = self.found.headers[path]
        return path

    def keys(self) -> list[str]:
        keys = []
        while True:
            match = _KEY.match(self.text, self.at)
            if match is None:
                raise ValueError(self.line())
            keys.append(_spelled(match[1]))
            self.at = match.end()
            if not self.looking_at("."):
                return keys
            self.at += 1

    def pair(self, table: Path) -> None:
        line = self.line()
        path = table
        for key in self.keys():
            path = (*path, key)
            self.found.lines.setdefault(path, line)
        self.expect("=")
        self.value(path)

    def value(self, path: Path) -> None:
        self.skip()
        line = self.line()
        start = self.found.lines.setdefault(path, line)
        if path in self.found.values:
            self.found.twice.append((path, self.found.values[path], line))
        self.found.values.setdefault(path, start)
        if self.looking_at("["):
            self.items(path)
        elif self.looking_at("{"):
            self.inline(path)
        else:
            self.scalar()

    def scalar(self) -> None:
        for mark, rest in _STRINGS:
            if self.looking_at(mark):
                match = rest.match(self.text, self.at + len(mark))
                if match is None:
                    raise Unclosed(self.line(), mark)
                self.at = match.end()
                return
        word = _WORD.match(self.text, self.at)
        if word is None or not word[0].strip():
            raise ValueError(self.line())
        self.at = word.end()

    def items(self, path: Path) -> None:
        line = self.line()
        self.at += 1
        index = 0
        while True:
            self.skip()
            if self.looking_at("]"):
                self.at += 1
                return
            if self.at >= len(self.text):
                raise Unclosed(line, "]")
            self.value((*path, index))
            index += 1
            self.skip()
            if self.looking_at(","):
                self.at += 1
            elif not self.looking_at("]"):
                raise Unclosed(line, "]")

    def inline(self, path: Path) -> None:
        line = self.line()
        self.at += 1
        while True:
            self.skip()
            if self.looking_at("}"):
                self.at += 1
                return
            if self.at >= len(self.text):
                raise Unclosed(line, "}")
            self.pair(path)
            self.skip()
            if self.looking_at(","):
                self.at += 1
            elif not self.looking_at("}"):
                raise Unclosed(line, "}")


def _spelled(key: str) -> str:
    return next(iter(tomllib.loads(f"{key} = 0"))) if key[0] in "\"'" else key

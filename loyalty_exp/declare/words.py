"""The words of a rule: which may stand in it, and in which order. The first wall; knows no SQL."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from loyalty_exp.declare.hints import in_words, nearest
from loyalty_exp.errors import LoyaltyExpError

__all__ = ["FUNCTIONS", "RuleError", "Word", "words_of"]

FUNCTIONS: Mapping[str, tuple[int, int]] = {
    "abs": (1, 1),
    "coalesce": (2, 8),
    "greatest": (2, 8),
    "least": (2, 8),
    "length": (1, 1),
    "lower": (1, 1),
    "round": (1, 2),
    "upper": (1, 1),
}
"""The functions a rule may call, with their least and greatest number of arguments."""

LONGEST = 2000
MOST_WORDS = 400
DEEPEST = 32


class RuleError(LoyaltyExpError):
    """A rule is not understood.

    Attributes:
        rule: The rule's text.
        offset: Index of the offending character, from 0.
        word: The offending word, "" at the end of the rule.
        reason: What is wrong, in words.
        suggestion: What may be meant, or None.
    """

    def __init__(
        self, rule: str, offset: int, word: str, reason: str, suggestion: str | None = None
    ) -> None:
        self.rule = rule
        self.offset = offset
        self.word = word
        self.reason = reason
        self.suggestion = suggestion
        hint = f"; did you mean {suggestion}?" if suggestion else ""
        super().__init__(f"{self.where_and_what}{hint}")

    @property
    def where_and_what(self) -> str:
        """The offending word, its place and what is wrong, without the suggestion."""
        shown = self.word if self.word.isprintable() else ascii(self.word)[1:-1]
        word = f"{shown[:40]} " if shown else ""
        return f"{word}(character {self.offset + 1}): {self.reason}"


Kind = Literal["name", "function", "text", "number", "constant", "keyword", "operator", "mark"]


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a rule: its kind, its text as written and where it starts."""

    kind: Kind
    text: str
    start: int

    @property
    def lower(self) -> str:
        """The text in small letters: keywords and functions may be written either way."""
        return self.text.lower()


_LETTER = "A-Za-zÀ-ÖØ-öø-ÿŒœ_"
_WORD = re.compile(
    rf"(?P<blank>[ \t\r\n\u00a0\u202f]+)|(?P<text>'(?:[^']|'')*')"
    rf"|(?P<number>(?:[0-9]{{1,18}}(?:\.[0-9]{{0,18}})?|\.[0-9]{{1,18}})(?![\w.]))"
    rf"|(?P<name>[{_LETTER}][{_LETTER}0-9]{{0,63}}(?![\w.]))"
    r"|(?P<operator><=|>=|<>|!=|[=<>+*/-])|(?P<mark>[(),])"
)
_FORBIDDEN = (
    (re.compile(r"--|/\*|\*/|#"), "a comment is not allowed in a rule", None),
    (re.compile("=="), "not an operator", "="),
    (re.compile("&&?"), "not an operator", "and"),
    (re.compile(r"\|\|?"), "not an operator", "or"),
    (re.compile("!(?!=)"), "not an operator", "not"),
    (re.compile('["`]'), "names stand alone and texts in single quotes", "'"),
    (re.compile("[‘’“”«»]"), "straight single quotes are expected around a text", "'"),
    (re.compile("'"), "the closing quote is missing", None),
    (re.compile("[≥≤≠]"), "not an operator", None),
)
_SIGNS = {"≥": ">=", "≤": "<=", "≠": "<>"}
_KEYWORDS = {"and", "or", "not", "in", "between", "is"}
_CONSTANTS = {"true", "false", "null"}
_MEANT = {
    "et": "and", "ou": "or", "non": "not", "est": "is", "dans": "in", "entre": "between",
    "vrai": "true", "faux": "false", "nul": "null",
}  # fmt: skip
_SQL = {
    "all", "alter", "any", "array", "as", "asc", "attach", "begin", "by", "call", "case",
    "cast", "collate", "commit", "copy", "create", "cross", "current_date", "current_timestamp",
    "current_user", "delete", "desc", "detach", "distinct", "do", "drop", "else", "end",
    "escape", "except", "execute", "exists", "explain", "export", "extract", "filter", "for",
    "from", "glob", "grant", "group", "having", "ilike", "import", "insert", "install",
    "intersect", "interval", "into", "isnull", "join", "lambda", "lateral", "like", "limit",
    "load", "merge", "notnull", "offset", "on", "order", "over", "partition", "pivot", "pragma",
    "qualify", "regexp", "replace", "returning", "rlike", "rollback", "select", "set", "show",
    "similar", "some", "struct", "table", "tablesample", "then", "to", "top", "truncate",
    "union", "unnest", "unpivot", "update", "use", "using", "vacuum", "values", "when", "where",
    "window", "with",
}  # fmt: skip


def words_of(text: str) -> list[Word]:
    """Cut a rule into words and check their order.

    Args:
        text: The rule.

    Returns:
        Its words; every name, function and operator in it is one a rule may hold.

    Raises:
        RuleError: The first word that may not stand where it stands.
    """
    if len(text) > LONGEST:
        raise RuleError(text, LONGEST, "", f"a rule has at most {LONGEST} characters")
    words = list(_cut(text))
    if len(words) > MOST_WORDS:
        start = words[MOST_WORDS].start
        raise RuleError(text, start, "", f"a rule has at most {MOST_WORDS} words")
    _Order(text, words).check()
    return words


def _cut(text: str) -> Iterable[Word]:
    at = 0
    while at < len(text):
        match = _WORD.match(text, at)
        found = next((item for item in _FORBIDDEN if item[0].match(text, at)), None)
        if found and not (match and match.lastgroup == "text"):
            pattern, reason, hint = found
            sign = pattern.match(text, at)
            shown = sign[0] if sign else text[at]
            raise RuleError(text, at, shown, reason, _SIGNS.get(shown, hint))
        if match is None:
            raise _foreign(text, at)
        if match.lastgroup != "blank":
            yield _word(text, match)
        at = match.end()


def _word(text: str, match: re.Match[str]) -> Word:
    word, start = match[0], match.start()
    if match.lastgroup == "text":
        for offset, char in enumerate(word):
            if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and char != "\u200d":
                raise RuleError(text, start + offset, char, "this character is not allowed")
        return Word("text", word, start)
    if match.lastgroup == "name":
        return _named(text, word, match)
    kinds: dict[str | None, Kind] = {"number": "number", "operator": "operator", "mark": "mark"}
    return Word(kinds[match.lastgroup], word, start)


def _named(text: str, word: str, match: re.Match[str]) -> Word:
    lower, start = word.lower(), match.start()
    if lower in _KEYWORDS:
        return Word("keyword", word, start)
    if lower in _CONSTANTS:
        return Word("constant", word, start)
    called = text[match.end() :].lstrip(" \t\r\n\u00a0\u202f").startswith("(")
    if called and lower not in _MEANT:
        if lower not in FUNCTIONS:
            reason = f"no such function; the functions are {_all(FUNCTIONS)}"
            raise RuleError(text, start, word, reason, nearest(word, FUNCTIONS, 0.7))
        return Word("function", word, start)
    if lower in _SQL:
        raise RuleError(text, start, word, "this word is not available in a rule")
    return Word("name", word, start)


def _all(names: Iterable[str]) -> str:
    return in_words(names).replace(" or ", " and ")


def _foreign(text: str, at: int) -> RuleError:
    """The error for a character that starts no word."""
    run = re.match(rf"[\w{_LETTER}.]+", text[at:])
    word = run[0] if run else text[at]
    if word[0].isascii() and word[0].isdigit():
        return RuleError(text, at, word, "a number such as 12 or 0.5 is expected")
    if word[0].isalpha():
        strange = next((char for char in word if not re.match(f"[{_LETTER}0-9.]", char)), None)
        if strange:
            name = unicodedata.name(strange, "unknown").lower()
            return RuleError(text, at, word, f"a name cannot hold this letter ({name})")
        return RuleError(text, at, word, "a name holds letters, digits and _, at most 64")
    return RuleError(text, at, word, "this character is not allowed in a rule")


class _Order:
    """Whether each word may follow the one before, and every parenthesis is closed."""

    def __init__(self, text: str, words: list[Word]) -> None:
        self.text = text
        self.words = words
        self.open: list[tuple[Word, bool]] = []
        self.signs = 0

    def fail(self, word: Word, reason: str, hint: str | None = None) -> RuleError:
        return RuleError(self.text, word.start, word.text, reason, hint)

    def check(self) -> None:
        value_next = True
        for index, word in enumerate(self.words):
            before = self.words[index - 1] if index else None
            if value_next:
                value_next = self.value(word, before)
            else:
                following = self.words[index + 1] if index + 1 < len(self.words) else None
                value_next = self.link(word, following)
            if len(self.open) + self.signs > DEEPEST:
                raise self.fail(word, f"nested deeper than {DEEPEST} levels")
        if value_next:
            reason = "the rule ends where a value is expected" if self.words else "an empty rule"
            raise RuleError(self.text, len(self.text), "", reason)
        if self.open:
            raise self.fail(self.open[-1][0], "this parenthesis is not closed")

    def value(self, word: Word, before: Word | None) -> bool:
        """Take a word where a value is expected; whether one still is."""
        if before is not None and before.kind == "keyword" and before.lower == "in":
            if word.text != "(":
                raise self.fail(word, "a list between parentheses is expected after in")
            self.open.append((word, True))
            return True
        if word.text == "(":
            self.open.append((word, before is not None and before.kind == "function"))
            return True
        if word.kind == "function":
            return True
        if word.text in {"-", "+"} or (word.kind == "keyword" and word.lower == "not"):
            self.signs += 1
            return True
        if word.kind in {"keyword", "operator", "mark"}:
            raise self.fail(word, "a value is expected here")
        self.signs = 0
        return False

    def link(self, word: Word, following: Word | None) -> bool:
        """Take a word after a value; whether a value is expected next."""
        if word.text == ")":
            if not self.open:
                raise self.fail(word, "no parenthesis is open here")
            self.open.pop()
            return False
        if word.text == ",":
            if not self.open or not self.open[-1][1]:
                raise self.comma(word, following)
            return True
        if word.lower == "not":
            if following is None or following.lower not in {"in", "between"}:
                raise self.fail(word, "and, or, or a comparison is expected here")
            return False
        if word.kind in {"operator", "keyword"}:
            return True
        hint = _MEANT.get(word.lower)
        raise self.fail(word, "and, or, or a comparison is expected here", hint)

    def comma(self, word: Word, following: Word | None) -> RuleError:
        index = self.words.index(word)
        before = self.words[index - 1]
        if following and before.kind == following.kind == "number":
            return self.fail(
                before, "a decimal point is expected", f"{before.text}.{following.text}"
            )
        return self.fail(word, "a comma stands only in a list or between arguments")

"""DuckDB text that turns a source's cells into typed values. Builds text; runs nothing.

A cell that cannot be read becomes NULL, never an error: what is wrong with it is said by a check.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ColumnFormat",
    "amount",
    "boolean",
    "id_of",
    "identifier",
    "kind_counts",
    "literal",
    "moment",
    "style_counts",
    "text_of",
]

_ASCII_BLANKS, _OTHER_BLANKS = " \t\r\n\v\f", "\u00a0\u2007\u2009\u202f\ufeff\u200b"
_BLANKS = _ASCII_BLANKS + _OTHER_BLANKS
_USUAL_SHAPES = ("____-__-__ __:__:__", "____-__-__", "____-__-__T__:__:__")
"""Shapes that cost less to recognise than a pattern; they leave no room for an offset."""
_ISO = r"\d{4}-\d{1,2}-\d{1,2}([ T]\d{1,2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?"
_OFFSET = (
    r"\d{4}-\d{1,2}-\d{1,2}[ T]\d{1,2}:\d{2}(:\d{2}(\.\d{1,9})?)? ?([Zz]|UTC|[+-]\d{2}(:?\d{2})?)"
)
_SLASHED = r"\d{1,2}/\d{1,2}/\d{2}(\d{2})?( \d{1,2}:\d{2}(:\d{2})?( ?[AaPp]\.?[Mm]\.?)?)?"
_PLAIN_NUMBER = r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?"
_POINT_NUMBER = r"[+-]?(\d{1,3}(,\d{3})+(\.\d*)?|\d+(\.\d*)?([eE][+-]?\d{1,3})?|\.\d+)"
_COMMA_NUMBER = r"[+-]?(\d{1,3}(\.\d{3})+(,\d*)?|\d+(,\d*)?|,\d+)"


@dataclass(frozen=True, slots=True)
class ColumnFormat:
    """How one column is written, and what its engine type is."""

    type: str = "text"
    """text, number, boolean, timestamp (wall clock), instant (with an offset) or day."""
    plain: bool = False
    """Text known to be ISO dates and numbers with a decimal point: the cheap reading will do."""
    decimal_comma: bool = False
    month_first: bool = False
    """3/4/2026 is 4 March."""


def identifier(name: str) -> str:
    """A quoted name of a column or table."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A quoted text."""
    return "'" + text.replace("'", "''") + "'"


def text_of(column: str, form: ColumnFormat = ColumnFormat()) -> str:
    """The cell as text without the blanks around it; NULL when nothing is left."""
    name = identifier(column)
    if form.type == "number":
        whole = f"{name} = floor({name}) AND abs({name}) < 1e15"
        return (
            f"CASE WHEN {whole} THEN CAST(CAST({name} AS BIGINT) AS VARCHAR) "
            f"ELSE CAST({name} AS VARCHAR) END"
        )
    if form.type != "text":
        return f"CAST({name} AS VARCHAR)"
    return f"CASE WHEN {_edged(name)} THEN {_trimmed(name)} ELSE {name} END"


def _trimmed(name: str) -> str:
    return f"nullif(trim({name}, {literal(_BLANKS)}), '')"


def _edged(name: str) -> str:
    """Whether a text may begin or end with a blank: much cheaper than trimming every cell."""

    def ends(blanks: str) -> str:
        return " OR ".join(f"suffix({name}, {literal(blank)})" for blank in blanks)

    accented = f"strlen({name}) <> length({name}) AND ({ends(_OTHER_BLANKS)})"
    return f"({name} < '!' OR {name} > '~' OR {ends(_ASCII_BLANKS)} OR {accented})"


def id_of(column: str, form: ColumnFormat) -> str:
    """The cell as an id: text whose letter case does not count when it is an e-mail address."""
    text = text_of(column, form)
    if form.type == "text":
        name = identifier(column)
        lowered = f"CASE WHEN contains({name}, '@') THEN lower({_trimmed(name)}) "
        unusual = f"{_edged(name)} OR contains({name}, '@')"
        return f"CASE WHEN {unusual} THEN {lowered}ELSE {_trimmed(name)} END ELSE {name} END"
    return text


def amount(column: str, form: ColumnFormat) -> str:
    """The cell as a double; NULL when it is not a number (infinities and NaN pass)."""
    if form.type in {"number", "boolean"}:
        return f"CAST({identifier(column)} AS DOUBLE)"
    if form.type != "text":
        return "CAST(NULL AS DOUBLE)"
    if form.plain:
        return f"TRY_CAST({identifier(column)} AS DOUBLE)"
    text = _bare_number(column)
    if form.decimal_comma:
        point = f"replace(replace({text}, '.', ''), ',', '.')"
        read = f"CASE WHEN {_matches(text, _COMMA_NUMBER)} THEN TRY_CAST({point} AS DOUBLE)"
    else:
        read = (
            f"CASE WHEN {_matches(text, _POINT_NUMBER)} "
            f"THEN TRY_CAST(replace({text}, ',', '') AS DOUBLE)"
        )
    return (
        f"{read} WHEN lower({text}) IN ('nan', 'inf', '+inf', '-inf', 'infinity', '-infinity') "
        f"THEN TRY_CAST({text} AS DOUBLE) END"
    )


def _bare_number(column: str) -> str:
    """The cell without spaces, signs of currency, and with a leading minus."""
    text = f"regexp_replace({text_of(column)}, {literal(_NOISE)}, '', 'g')"
    text = f"replace({text}, '\u2212', '-')"
    text = rf"regexp_replace({text}, '^\(([^()]*)\)$', '-\1')"
    return rf"regexp_replace({text}, '^([^-]*)-$', '-\1')"


_NOISE = "[\\s\u00a0\u2007\u2009\u202f'\u2019€$£¥]|EUR|USD|GBP|CHF|CAD"


def _matches(text: str, pattern: str) -> str:
    return f"regexp_full_match({text}, {literal(pattern)})"


def moment(column: str, form: ColumnFormat, zone: str, project_zone: str) -> str:
    """The cell as wall clock of the project.

    A time without an offset is read in `zone`; a day without a time stays that day. A time that
    the clocks skipped in `zone` is read after the change, one that came twice as the later.
    """
    name = identifier(column)
    if form.type == "instant":
        return f"timezone({literal(project_zone)}, {name})"
    if form.type == "timestamp":
        return _moved(f"CAST({name} AS TIMESTAMP)", zone, project_zone)
    if form.type == "day":
        return f"CAST({name} AS TIMESTAMP)"
    if form.type != "text":
        return "CAST(NULL AS TIMESTAMP)"
    text = name if form.plain else _spaced(column)
    usual = " OR ".join(f"{text} LIKE {literal(shape)}" for shape in _USUAL_SHAPES)
    read = f"TRY_CAST({text} AS TIMESTAMP)"
    local = f"CASE WHEN {usual} THEN {read} WHEN {_matches(text, _ISO)} THEN {read} END"
    if not form.plain:
        local = f"coalesce({local}, {_slashed(text, month_first=form.month_first)})"
    if zone != project_zone:
        moved = _moved(local, zone, project_zone)
        local = f"CASE WHEN length({text}) <= 10 THEN {local} ELSE {moved} END"
    if form.plain:
        return local
    return f"coalesce({_offset(text, project_zone)}, {local})"


def _spaced(column: str) -> str:
    """A date without the words and marks between its parts: 1.2.2026 à 10h05 is 1/2/2026 10:05."""
    text = f"regexp_replace({text_of(column)}, '\\s+(à|a|at)\\s+|\\s+', ' ', 'g')"
    text = rf"regexp_replace({text}, '^(\d{{1,2}})[-./](\d{{1,2}})[-./](\d{{2,4}})', '\1/\2/\3')"
    text = rf"regexp_replace({text}, '^(\d{{4}})[./](\d{{1,2}})[./](\d{{1,2}})', '\1-\2-\3')"
    return rf"regexp_replace({text}, '^(.*) (\d{{1,2}})[hH](\d{{2}})$', '\1 \2:\3')"


def _slashed(text: str, *, month_first: bool) -> str:
    """A date of two digits, two digits and a year, with an optional time."""
    date = "%m/%d/" if month_first else "%d/%m/"
    clocks = ("", " %H:%M:%S", " %H:%M", " %I:%M:%S %p", " %I:%M %p")
    formats = [date + year + clock for year in ("%y", "%Y") for clock in clocks]
    listed = ", ".join(literal(each) for each in formats)
    half = rf"regexp_replace({text}, ' ?([AaPp])\.?([Mm])\.?$', ' \1\2')"
    return f"CASE WHEN {_matches(text, _SLASHED)} THEN try_strptime({half}, [{listed}]) END"


def _offset(text: str, project_zone: str) -> str:
    """A time with its own offset, as wall clock of the project."""
    fixed = rf"regexp_replace({text}, ' ?([Zz]|UTC)$', '+00:00')"
    fixed = rf"regexp_replace({fixed}, ' ?([+-]\d{{2}}):?(\d{{2}})$', '\1:\2')"
    fixed = rf"regexp_replace({fixed}, '(:\d\d(\.\d+)?) ?([+-]\d{{2}})$', '\1\3:00')"
    fixed = rf"regexp_replace({fixed}, '^(\S+[ T]\d{{1,2}}:\d\d)([+-]\d\d:\d\d)$', '\1:00\2')"
    at = f"timezone({literal(project_zone)}, TRY_CAST({fixed} AS TIMESTAMPTZ))"
    return f"CASE WHEN {_matches(text, _OFFSET)} THEN {at} END"


def _moved(local: str, zone: str, project_zone: str) -> str:
    if zone == project_zone:
        return local
    sane = f"{local} BETWEEN TIMESTAMP '1900-01-01' AND TIMESTAMP '2300-01-01'"
    there = f"timezone({literal(project_zone)}, timezone({literal(zone)}, {local}))"
    return f"CASE WHEN {sane} THEN {there} ELSE {local} END"


def boolean(column: str, form: ColumnFormat) -> str:
    """The cell as a boolean: yes and no in English and French, true and false, 1 and 0."""
    if form.type in {"boolean", "number"}:
        return f"CAST({identifier(column)} AS BOOLEAN)"
    text = f"lower({text_of(column)})"
    return (
        f"CASE WHEN {text} IN ('oui', 'yes', 'true', 'vrai', 'o', 'y', '1') THEN TRUE "
        f"WHEN {text} IN ('non', 'no', 'false', 'faux', 'n', '0') THEN FALSE END"
    )


def style_counts(column: str) -> tuple[str, ...]:
    """Aggregates that tell how a column of text is written.

    They count numbers that must have a decimal comma, that must have a decimal point, that may
    have a comma of either sort; then dates that read only day first, only month first, and all
    dates with strokes.
    """
    number, date = _bare_number(column), _spaced(column)
    comma = r"[+-]?(\d{1,3}(\.\d{3})+,\d*|\d*,(\d{1,2}|\d{4,})|\d{4,},\d{3}|0+,\d{3})"
    point = r"[+-]?(\d{1,3}(,\d{3})+\.\d*|\d*\.(\d{1,2}|\d{4,})|\d{4,}\.\d{3}|0+\.\d{3})"
    either = r"[+-]?\d{1,3}(,\d{3})+"
    day_first = r"(1[3-9]|2\d|3[01])/\d{1,2}/.*"
    month_first = r"\d{1,2}/(1[3-9]|2\d|3[01])/.*"
    return (
        f"count(*) FILTER ({_matches(number, comma)})",
        f"count(*) FILTER ({_matches(number, point)})",
        f"count(*) FILTER ({_matches(number, either)})",
        f"count(*) FILTER ({_matches(date, day_first)})",
        f"count(*) FILTER ({_matches(date, month_first)})",
        f"count(*) FILTER ({_matches(date, _SLASHED)})",
    )


_NOTHING = ("null", "none", "nan", "n/a", "na", "-")


def kind_counts(column: str) -> tuple[str, ...]:
    """Aggregates that tell the kind of a column of text.

    They count cells that are filled; of them words for yes and no, 0 and 1, numbers with a
    decimal point, numbers with a decimal comma, dates. A number with a leading zero is a code.
    """
    text = text_of(column)
    listed = ", ".join(map(literal, _NOTHING))
    filled = f"{text} IS NOT NULL AND lower({text}) NOT IN ({listed})"
    number = f"CASE WHEN {filled} THEN {_bare_number(column)} END"
    code = f"regexp_matches({number}, '^[+-]?0[0-9]|^[+]|[0-9]{{16}}')"
    words = "('oui', 'non', 'yes', 'no', 'true', 'false', 'vrai', 'faux')"
    date = moment(column, ColumnFormat(), "UTC", "UTC")
    other = moment(column, ColumnFormat(month_first=True), "UTC", "UTC")
    return (
        f"count(*) FILTER ({filled})",
        f"count(*) FILTER (lower({text}) IN {words})",
        f"count(*) FILTER ({text} IN ('0', '1'))",
        f"count(*) FILTER ({_matches(number, _POINT_NUMBER)} AND NOT {code})",
        f"count(*) FILTER ({_matches(number, _COMMA_NUMBER)} AND NOT {code})",
        f"count(*) FILTER ({filled} AND coalesce({date}, {other}) IS NOT NULL)",
    )

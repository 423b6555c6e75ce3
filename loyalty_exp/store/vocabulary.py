"""Words of the sources that the declaration must know: statuses, campaigns, arms, contacts.

A word is shown only where it cannot be a person's: close to a declared one, or on many rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import sqlalchemy as sa

from loyalty_exp.declare.hints import nearest
from loyalty_exp.declare.sources import Orders
from loyalty_exp.errors import DataError
from loyalty_exp.store import tables
from loyalty_exp.store.columns import plain_word, read_formula
from loyalty_exp.store.presets import status_words
from loyalty_exp.store.queries import unknown
from loyalty_exp.store.queries.parse import text_of
from loyalty_exp.store.readers import Source, asked

__all__ = ["CONTACTS", "REDEEMED", "Expected", "refuse_untold_statuses", "unfamiliar"]

REDEEMED = "redeemed"
"""The kind of contact that is an offer used; every other is a contact made."""
CONTACTS = frozenset(
    {"called", "clicked", "contact", "delivered", "opened", "sent", "visited", REDEEMED}
)
_SHARED = 5
"""Rows that must hold a word before it is shown."""
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Expected:
    """What the declaration names of the data: other columns are not kept, other words are told."""

    attributes: frozenset[str]
    """Attributes that rules, strata, units and consents name."""
    arms: Mapping[str, tuple[str, ...]]
    """Treated arms of each campaign."""


def refuse_untold_statuses(
    declared: Orders, source: Source, engine: duckdb.DuckDBPyConnection, folder: Path
) -> None:
    """A status that says nothing would count unpaid and cancelled orders as sales.

    Args:
        declared: orders whose status is mapped, but not which of its words make a sale.
        source: the opened source.
        engine: to read the words with.
        folder: private folder, for a file that must be mended first.

    Raises:
        DataError: always; it names the words, so that they can be declared.
    """
    column = read_formula(declared.columns["status"], source.header, "status of [data.orders]")
    name = column.columns[0]
    cell = text_of(name, source.formats[name])
    found = asked(engine, source, folder, lambda relation: unknown.words(relation, cell))
    known = set(status_words())
    shown = [
        f"{word} ({n:,} rows)" for word, n in found if plain_word(word) in known or _common(word, n)
    ]
    more = len(found) - len(shown[:_SHOWN])
    listed = ", ".join([*shown[:_SHOWN], *([f"{more} others"] if more else [])]) or "none"
    raise DataError(
        f'{source.name}: "{name}" is mapped as the status, but nothing says which of its words '
        f"make a sale; its words are {listed}. Add statuses = [...] under [data.orders] with those "
        "that do, or leave status out of columns to count every row"
    )


def unfamiliar(connection: sa.Connection, what: str, expected: Expected) -> tuple[str, ...]:
    """What the store holds of a log or ledger that counts for nothing, or otherwise than meant.

    Args:
        connection: an open store.
        what: exposures or costs; of other sources nothing is told.
        expected: what the declaration names.
    """
    if what == "exposures":
        return (*_contacts(connection, expected), *_strangers(connection))
    return tuple(_payments(connection, expected)) if what == "costs" else ()


def _contacts(connection: sa.Connection, expected: Expected) -> Iterable[str]:
    campaigns: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for campaign, kind, contacts in connection.execute(unknown.contacts_by_word()):
        campaigns[campaign] += contacts
        kinds[kind] += contacts
    known = _campaigns(connection, expected)
    for told in _others(campaigns, known, "campaign"):
        yield f"{told.text}: they count for no campaign{told.hint}"
    for told in _others(kinds, CONTACTS, "kind"):
        yield f'{told.text}: they count as contacts made; "{REDEEMED}" is an offer used{told.hint}'


def _strangers(connection: sa.Connection) -> Iterable[str]:
    contacts, people = connection.execute(unknown.strangers(tables.customers_table())).one()
    if contacts:
        yield (
            f"{_rows(contacts)} of the log are of customers without any order or attribute "
            f"({people:,}): are ids written as in the orders?"
        )


def _payments(connection: sa.Connection, expected: Expected) -> Iterable[str]:
    campaigns: Counter[str] = Counter()
    arms: dict[str, Counter[str]] = {}
    for campaign, arm, payments in connection.execute(unknown.payments_by_arm()):
        campaigns[campaign] += payments
        if arm is not None and campaign in expected.arms:
            arms.setdefault(campaign, Counter())[arm] += payments
    for told in _others(campaigns, _campaigns(connection, expected), "campaign"):
        yield f"{told.text}: they count for no campaign{told.hint}"
    for campaign, found in arms.items():
        for told in _others(found, expected.arms[campaign], f"arm of {campaign}"):
            yield f"{told.text}: they are shared by all its arms{told.hint}"


def _campaigns(connection: sa.Connection, expected: Expected) -> frozenset[str]:
    return frozenset({*expected.arms, *connection.scalars(unknown.launched_campaigns())})


@dataclass(frozen=True, slots=True)
class _Told:
    """A word that nothing declares."""

    text: str
    """Such as: unknown campaign "sprng" on 3 rows."""
    hint: str


def _others(found: Mapping[str, int], known: Iterable[str], field: str) -> Iterable[_Told]:
    """The unknown words: those that may be shown one by one, the others together."""
    there = sorted(known)
    named: set[str] = set()
    unshown = Counter[str]()
    for word, rows in found.items():
        close = nearest(word, there, 0.75) if word else None
        if word in there:
            continue
        if not word:
            yield _Told(f"no {field} on {_rows(rows)}", "")
        elif len(named) < _SHOWN and (close is not None or _common(word, rows)):
            named.add(word)
            hint = f"; did you mean {close}?" if close is not None else ""
            yield _Told(f'unknown {field} "{word}" on {_rows(rows)}', hint)
        else:
            unshown[word] = rows
    if unshown:
        words = f"{len(unshown):,} unknown words" if len(unshown) > 1 else "an unknown word"
        yield _Told(f"{words} as {field} on {_rows(unshown.total())}", "")


def _rows(number: int) -> str:
    return f"{number:,} rows" if number > 1 else "1 row"


def _common(word: str, rows: int) -> bool:
    """Whether a word is on so many rows, and so plain, that it tells of no one."""
    return rows >= _SHARED and len(word) <= 40 and word.isprintable() and "@" not in word

"""The journal: who ran what, appended and never changed. Holds no name of a person and no path."""

from __future__ import annotations

import datetime as dt
import getpass
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from loyalty_exp.store import tables
from loyalty_exp.store.queries.erase import kept_key

__all__ = ["WITHHELD", "Entry", "actor", "append", "entries"]

KEY = "actors"
WITHHELD = "withheld"
"""Stands in the journal for an argument that names a person."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One command that was run."""

    at: dt.datetime
    """When it ended, UTC."""
    actor: str
    """Keyed digest of the account's name: tells accounts apart without naming them."""
    command: str
    arguments: Mapping[str, str]
    version: str
    outcome: str
    """'done', or the class of the error that ended it."""


def actor(connection: sa.Connection) -> str:
    """The account that runs this process, as 12 hexadecimal digits under a key of the store."""
    key = connection.scalar(kept_key(KEY))
    if key is None:
        key = secrets.token_hex(32)
        connection.execute(tables.keys.insert().values(name=KEY, secret=key))
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = ""
    return hashlib.sha256(f"{key}:{name}".encode()).hexdigest()[:12]


def append(
    connection: sa.Connection,
    command: str,
    arguments: Mapping[str, str],
    *,
    outcome: str,
    version: str,
    now: dt.datetime,
) -> None:
    """Append one entry.

    Args:
        connection: a writing transaction.
        command: name of the command.
        arguments: what it was given; the caller leaves out persons, paths and secrets.
        outcome: 'done', or the class of the error.
        version: version of this package.
        now: when it ended, UTC.
    """
    connection.execute(
        tables.journal.insert().values(
            at=now.astimezone(dt.UTC).replace(tzinfo=None),
            actor=actor(connection),
            command=command,
            arguments=json.dumps(dict(arguments), sort_keys=True, ensure_ascii=False),
            version=version,
            outcome=outcome,
        )
    )


def entries(connection: sa.Connection) -> tuple[Entry, ...]:
    """The whole journal, oldest first."""
    rows = connection.execute(sa.select(tables.journal).order_by(tables.journal.c.at))
    return tuple(
        Entry(row.at, row.actor, row.command, json.loads(row.arguments), row.version, row.outcome)
        for row in rows
    )

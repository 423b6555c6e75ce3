"""On a server: erasure, a connection lost half way, two writers at once, no password in words."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from shops import CUSTOMERS, DECLARATION, EXPOSURES, done, open_shop, run, write_people

import loyalty_exp as lx
import loyalty_exp.design.draw
import loyalty_exp.store.load
from loyalty_exp.store import tables

NAMES = (f"trust_{n}" for n in itertools.count())
PERSON = "00007"


@pytest.fixture
def server(postgresql: str) -> sa.Engine:
    """A database of its own."""
    url = sa.make_url(postgresql)
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    name = next(NAMES)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    return sa.create_engine(
        url.set(database=name), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
    )


@pytest.fixture
def shop(server: sa.Engine, tmp_path: Path) -> Path:
    url = server.url.render_as_string(hide_password=False)
    named = f'name = "Small shop"\ndatabase = "{url}"'
    text = DECLARATION.replace('name = "Small shop"', named) + CUSTOMERS + EXPOSURES
    path = open_shop(tmp_path, text, customers=150)
    write_people(tmp_path, 150)
    return path


def cut(server: sa.Engine) -> None:
    """End every other connection to the database."""
    with server.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def cells(server: sa.Engine) -> str:
    with server.connect() as connection:
        names = connection.exec_driver_sql(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).scalars()
        return "".join(
            str(connection.exec_driver_sql(f'SELECT * FROM "{name}"').all()) for name in names
        )


def counts(server: sa.Engine) -> list[int]:
    wanted = (tables.orders, tables.launches, tables.assignments, tables.memberships)
    with server.connect() as connection:
        return [
            connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for table in wanted
        ]


def test_a_forgotten_person_is_gone_and_does_not_come_back(shop: Path, server: sa.Engine) -> None:
    done(shop, "load")
    done(shop, "launch", "spring", "--push-table", "crm")
    before = counts(server)
    assert f"'{PERSON}'" in cells(server)
    done(shop, "forget", PERSON)
    assert "agrees" in done(shop, "verify")
    assert f"'{PERSON}'" not in cells(server)
    assert counts(server) == before
    with server.connect() as connection:
        connection.execute(tables.loads.delete())
    done(shop, "load")
    assert f"'{PERSON}'" not in cells(server)
    assert counts(server) == before


@pytest.mark.parametrize("command", [("load",), ("launch", "spring")])
def test_a_lost_connection_changes_nothing(
    shop: Path, server: sa.Engine, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    done(shop, "load")
    with server.connect() as connection:
        connection.execute(tables.loads.delete())
    before = counts(server)
    module, name = {
        "load": (loyalty_exp.store.load, "apply_tombstones"),
        "launch": (loyalty_exp.design.draw, "population_of"),
    }[command[0]]
    genuine = getattr(module, name)
    with monkeypatch.context() as patched:
        patched.setattr(module, name, lambda *given: (cut(server), genuine(*given))[1])
        result = run(shop, *command)
    assert result.exit_code == 2, result.output
    assert "nothing was changed" in result.output
    assert counts(server) == before
    done(shop, *command)
    done(shop, "verify")


def test_two_launches_at_once_make_one_draw(shop: Path, server: sa.Engine) -> None:
    done(shop, "load")
    made: list[bool] = []
    threads = [
        threading.Thread(target=lambda: made.append(lx.open(shop).launch("spring").new))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False, False, True]
    assert counts(server)[1] == 1
    done(shop, "verify")

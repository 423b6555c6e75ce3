"""The first load makes the store beside its place: the same as any other load makes, or nothing."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from loyalty_exp.declare.sources import Data, Orders
from loyalty_exp.errors import StoreError
from loyalty_exp.store import load as loading
from loyalty_exp.store import opened, scratch, tables
from loyalty_exp.store.database import Store, open_store
from loyalty_exp.store.load import Expected, LoadReport, load

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
HEADER = "order_id,customer_id,ordered_at,revenue,channel\n"
GOOD = HEADER + "".join(
    f"o{n},c{n % 97},2025-{n % 12 + 1:02d}-{n % 28 + 1:02d} 10:00:00,{n % 13 - 1}.25,"
    f"{'web' if n % 3 else ''}\n"
    for n in range(5_000)
)
UNUSUAL = GOOD + "late,c1,2025-13-01,1,\n"
COLUMNS = ("order_id", "customer_id", "ordered_at", "revenue", "channel")


def run(store: Store, folder: Path, content: str) -> LoadReport:
    (folder / "orders.csv").write_text(content)
    data = Data(
        orders=Orders(
            source="orders.csv",
            columns={name: name for name in COLUMNS},
            max_rejected_percent=50,
        )
    )
    return load(
        store, data, project_timezone="Europe/Paris", currency="EUR", margin_rate=0.37,
        base=folder, expected=Expected(frozenset(), {}), now=NOW,
    )[0]  # fmt: skip


def held(store: Store) -> dict[str, Any]:
    with store.read() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(sa.select(table))))
            for table in tables.metadata.sorted_tables
        }


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"duckdb:///{tmp_path / 'store.duckdb'}")


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        HEADER,
        UNUSUAL,
        GOOD + "o1,c1,2025-01-01,1,\n",
        GOOD + "o1,c1,2025-02-02 10:00:00,0.25,web\n",
    ],
    ids=["good", "empty", "a bad row", "two orders of one id", "a row again"],
)
def test_it_keeps_what_a_load_into_an_empty_store_keeps(
    store: Store, tmp_path: Path, content: str
) -> None:
    first = run(store, tmp_path, content)
    empty = open_store(f"duckdb:///{tmp_path / 'empty.duckdb'}")
    with empty.write():
        pass
    assert run(empty, tmp_path, content) == first
    assert held(empty) == held(store)
    assert run(store, tmp_path, content).skipped
    assert hidden(tmp_path) == []
    assert (tmp_path / "store.duckdb").stat().st_mode & 0o77 == 0


def test_only_what_is_usual_takes_the_short_road(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longer road is closed; its first step fails."""
    monkeypatch.setattr(opened, "stage", None)
    run(store, tmp_path, GOOD)
    with pytest.raises(TypeError):
        run(open_store(f"duckdb:///{tmp_path / 'other.duckdb'}"), tmp_path, GOOD + "o1,c,x,1,\n")


@pytest.mark.parametrize(
    ("content", "plain"), [(UNUSUAL, False), (UNUSUAL.replace("2025-13-01", "2025-12-01"), True)]
)
def test_orders_known_to_be_unusual_are_not_read_as_plain_ones_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, plain: bool
) -> None:
    tried: list[bool] = []
    read = opened.stage

    def noted(*arguments: Any, plain: bool) -> Any:
        tried.append(plain)
        return read(*arguments, plain=plain)

    monkeypatch.setattr(opened, "stage", noted)
    run(store, tmp_path, content)
    assert tried == ([] if plain else [False])


@pytest.mark.parametrize(("content", "step"), [(GOOD, "fill_orders"), (UNUSUAL, "merge")])
def test_a_store_that_another_process_makes_meanwhile_is_loaded_into(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, step: str
) -> None:
    other = open_store(f"duckdb:///{tmp_path / 'store.duckdb'}")
    fill = getattr(loading, step)

    def slowly(*arguments: Any, **options: Any) -> Any:
        if not other.exists():
            with other.write():
                pass
        return fill(*arguments, **options)

    monkeypatch.setattr(loading, step, slowly)
    assert run(store, tmp_path, content).rows_loaded == 5_000
    assert len(held(store)["orders"]) == 5_000
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("content", [GOOD, UNUSUAL])
def test_nothing_is_left_of_a_load_that_fails(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    def fails(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loading, "_told", fails)
    with pytest.raises(KeyboardInterrupt):
        run(store, tmp_path, content)
    assert not store.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["orders.csv"]


KILLED = """
import os, sys
from loyalty_exp.store.database import open_store
with open_store(f"duckdb:///{sys.argv[1]}").begin() as connection:
    connection.commit()
    os._exit(9)
"""


@pytest.mark.skipif(os.name != "posix", reason="locks of folders need POSIX")
def test_what_a_killed_process_left_is_taken_away_by_the_next(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "store.duckdb"
    done = subprocess.run([sys.executable, "-c", KILLED, str(place)], check=False)
    assert done.returncode == 9
    assert not place.exists()
    (left,) = hidden(tmp_path)
    assert (tmp_path / left).stat().st_mode & 0o77 == 0
    run(store, tmp_path, GOOD)
    assert hidden(tmp_path) == [left], "its owner may be about to take its lock"
    monkeypatch.setattr(scratch, "AGE", -1.0)
    assert run(store, tmp_path, GOOD).skipped
    assert hidden(tmp_path) == []


def test_a_folder_that_takes_no_file_is_said_before_the_source_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened, "stage", None)
    folder = tmp_path / "gone"
    folder.mkdir()
    store = open_store(f"duckdb:///{folder / 'store.duckdb'}")
    shutil.rmtree(folder)
    with pytest.raises(StoreError, match="cannot be made in its folder"):
        run(store, tmp_path, GOOD)

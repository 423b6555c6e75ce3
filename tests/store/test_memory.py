"""The memory of the embedded engine is the same on every machine, unless the URL names another."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from loyalty_exp.errors import StoreError
from loyalty_exp.store.database import open_store
from loyalty_exp.store.engines import lower_memory


@pytest.mark.parametrize(
    ("asked", "held"), [("", "2.5 GiB"), ("?memory_limit=512MiB", "512.0 MiB")]
)
def test_memory_is_bounded(tmp_path: Path, asked: str, held: str) -> None:
    store = open_store(f"duckdb:///{tmp_path / 'store.duckdb'}{asked}")
    setting = sa.select(sa.func.current_setting("memory_limit"))
    with store.write() as connection:
        assert connection.scalar(setting) == held
    with store.read(repeatable=True) as connection:
        assert connection.scalar(setting) == held


@pytest.mark.parametrize(
    ("asked", "held"), [("", "1.0 GiB"), ("?memory_limit=512MiB", "512.0 MiB")]
)
def test_memory_is_lowered_and_never_raised(tmp_path: Path, asked: str, held: str) -> None:
    store = open_store(f"duckdb:///{tmp_path / 'store.duckdb'}{asked}")
    setting = sa.select(sa.func.current_setting("memory_limit"))
    with store.write() as connection:
        before = connection.scalar(setting)
        assert lower_memory(connection, 1.0) == before
        assert connection.scalar(setting) == held


def test_memory_used_up_is_told_with_its_repair(tmp_path: Path) -> None:
    store = open_store(f"duckdb:///{tmp_path / 'store.duckdb'}?memory_limit=64MiB")
    expected = r"^store\.duckdb: the engine's memory is used up .*add '\?memory_limit=8GiB"
    with pytest.raises(StoreError, match=expected), store.write() as connection:
        connection.exec_driver_sql("SELECT length(list(range)) FROM range(50000000)")


def test_memory_that_the_machine_has_not_got_is_not_asked_for(tmp_path: Path) -> None:
    store = open_store(f"duckdb:///{tmp_path / 'store.duckdb'}")
    reason = "Out of Memory Error: Failed to allocate block of 4194304 bytes (bad allocation)"
    with pytest.raises(StoreError, match=re.escape(reason)) as caught, store.write():
        raise sa.exc.OperationalError("", {}, Exception(reason))
    assert "memory_limit" not in str(caught.value)

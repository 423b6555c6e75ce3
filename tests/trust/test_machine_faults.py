"""Full disk, read-only folder, two processes at once: said in words, and nothing changed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from shops import (
    CUSTOMERS,
    DECLARATION,
    EXPOSURES,
    done,
    open_shop,
    order_lines,
    run,
    write_lines,
    write_people,
)

PERSON = "00007"
PROGRAM = "from loyalty_exp.cli import main; main()"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("loaded")
    path = open_shop(folder, DECLARATION + CUSTOMERS + EXPOSURES)
    write_people(folder)
    done(path, "load")
    return folder


@pytest.fixture(scope="module")
def launched(loaded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("launched") / "shop"
    shutil.copytree(loaded, folder)
    done(folder / "campaigns.toml", "launch", "spring")
    return folder


def start(
    folder: Path, *words: str, before: Callable[[], None] | None = None
) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "--file", str(folder / "campaigns.toml"), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,  # noqa: PLW1509  (limits are set in the child)
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors


def held(folder: Path) -> dict[str, object]:
    """What the store holds, and the files beside it."""
    found: dict[str, object] = {}
    with duckdb.connect(str(folder / "loyalty.duckdb"), read_only=True) as engine:
        for (name,) in engine.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            if name != "journal":
                text = f'SELECT count(*), bit_xor(hash(t)) FROM "{name}" t'
                found[name] = engine.execute(text).fetchone()
    for name in ("lists", "reports"):
        files = sorted(path for path in (folder / name).rglob("*") if path.is_file())
        found[name] = [(str(path), hashlib.sha256(path.read_bytes()).digest()) for path in files]
    return found


def small_files(limit: int) -> Callable[[], None]:
    """No file may grow beyond a limit, as on a full disk."""

    def set_limit() -> None:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return set_limit


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        (("load",), 64_000),
        (("launch", "spring"), 1_000),
        (("report",), 10_000),
        (("forget", PERSON), 1_000_000),
    ],
    ids=str,
)
def test_a_full_disk_changes_nothing(
    loaded: Path, launched: Path, tmp_path: Path, words: tuple[str, ...], limit: int
) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(launched if words[0] in {"report", "forget"} else loaded, folder)
    if words == ("load",):
        moved = [(*line[:3], line[3] + 1.0) for line in order_lines()]
        write_lines(folder, moved)
    before = held(folder)
    code, _, errors = ended(start(folder, *words, before=small_files(limit)))
    assert "Traceback" not in errors, errors
    assert code == 2, errors
    assert errors.strip()
    changed = {name for name, now in held(folder).items() if before.get(name) != now}
    assert changed <= allowed(words), errors
    done(folder / "campaigns.toml", *words)
    done(folder / "campaigns.toml", "verify")


def allowed(words: tuple[str, ...]) -> set[str]:
    """A launch is one transaction, then its lists; an erasure one, then the file is rewritten."""
    if words[0] == "launch":
        return {"launches", "assignments", "memberships", "roster_members", "roster_numbers"}
    if words[0] == "forget":
        return {
            "orders", "customer_month", "customer_rhythm", "customers", "memberships",
            "assignments", "exposures", "erasures", "erased_rosters", "keys", "lists",
            "roster_numbers",
        }  # fmt: skip
    return set()


def test_a_full_disk_for_working_files_is_said(loaded: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(loaded, folder)
    write_lines(folder, order_lines(seed=5))
    before = held(folder)
    code, _, errors = ended(start(folder, "load", before=small_files(4_000)))
    assert code == 2
    assert "working files cannot be written" in errors
    assert held(folder) == before


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root mounts a small disk")
def test_a_really_full_disk_changes_nothing(loaded: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        for name in ("orders.csv", "customers.csv", "contacts.csv", "campaigns.toml"):
            shutil.copy(loaded / name, disk / name)
        shutil.copy(loaded / "loyalty.duckdb", disk / "loyalty.duckdb")
        free = shutil.disk_usage(disk).free
        (disk / "ballast").write_bytes(b"x" * max(0, free - 8_000))
        write = [(*line[:3], line[3] + 1.0) for line in order_lines(40)]
        (disk / "orders.csv").unlink()
        write_lines(disk, write)
        filler = shutil.disk_usage(disk).free
        (disk / "more").write_bytes(b"x" * max(0, filler - 4_000))
        before = held(disk)
        refused = run(disk / "campaigns.toml", "load")
        assert refused.exit_code == 2, refused.output
        assert held(disk) == before
        (disk / "ballast").unlink()
        (disk / "more").unlink()
        done(disk / "campaigns.toml", "load")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder that nobody may write to: mounted so for root, by its permissions for others."""
    if os.getuid() != 0:
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        yield
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        return
    words = ["mount", "--bind", str(folder), str(folder)]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("words", [("load",), ("launch", "spring"), ("report",), ("forget", "1")])
def test_a_read_only_folder_is_said_and_nothing_changes(
    launched: Path, loaded: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(launched if words == ("report",) else loaded, folder)
    if words == ("load",):
        write_lines(folder, order_lines(seed=6))
    before = held(folder)
    with read_only(folder):
        refused = run(folder / "campaigns.toml", *words)
        assert run(folder / "campaigns.toml", "segments").exit_code == 0
    assert refused.exit_code == 2, refused.output
    assert re.search("denied|read-only", refused.output, re.IGNORECASE), refused.output
    assert held(folder) == before


def test_two_launches_at_once_make_one_draw(loaded: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(loaded, folder)
    both = [ended(each) for each in [start(folder, "launch", "spring") for _ in range(2)]]
    for code, _, errors in both:
        assert code == 0, errors
    said = sorted("nothing was changed" in output for _, output, _ in both)
    assert said == [False, True]
    with duckdb.connect(str(folder / "loyalty.duckdb"), read_only=True) as engine:
        assert engine.execute("SELECT count(*) FROM launches").fetchone() == (1,)
        found = engine.execute("SELECT count(*), count(DISTINCT customer) FROM assignments")
        total, persons = found.fetchone() or (0, 0)
    assert total == persons > 0
    done(folder / "campaigns.toml", "verify")
    assert not list(folder.rglob("*.partial"))


def test_two_loads_at_once_end_where_one_ends(launched: Path, tmp_path: Path) -> None:
    folder, alone = tmp_path / "shop", tmp_path / "alone"
    moved = [(*line[:3], line[3] + 1.0) if n % 3 else line for n, line in enumerate(order_lines())]
    for each in (folder, alone):
        shutil.copytree(launched, each)
        write_lines(each, moved)
    done(alone / "campaigns.toml", "load")
    for code, _, errors in [ended(each) for each in [start(folder, "load") for _ in range(2)]]:
        assert code == 0, errors
    tables = {
        "orders", "customer_month", "customer_rhythm", "customers", "exposures", "assignments",
        "rejects", "roster_members", "roster_numbers",
    }  # fmt: skip
    found, expected = held(folder), held(alone)
    assert {name for name in tables if found[name] != expected[name]} == set()
    with duckdb.connect(str(folder / "loyalty.duckdb"), read_only=True) as engine:
        loads = engine.execute("SELECT count(*), count(DISTINCT load_id) FROM loads").fetchone()
    assert loads is not None
    assert loads[0] == loads[1], "each file is loaded once"


def test_a_load_during_a_report_waits_its_turn(launched: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(launched, folder)
    lines = order_lines()
    write_lines(folder, [*lines, ("late", "00010", lines[-1][2], 99.0)])
    report = start(folder, "report")
    time.sleep(0.3)
    load = start(folder, "load")
    for each in (report, load):
        code, _, errors = ended(each)
        assert code == 0, errors
    with duckdb.connect(str(folder / "loyalty.duckdb"), read_only=True) as engine:
        found = engine.execute("SELECT count(*) FROM orders").fetchone()
    assert found == (len(lines) + 1,)
    assert (folder / "reports" / "index.html").exists()


def test_a_store_that_stays_locked_is_named_with_its_holder(
    launched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loyalty_exp.errors import StoreError
    from loyalty_exp.store import database

    folder = tmp_path / "shop"
    shutil.copytree(launched, folder)
    text = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(1, flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", text, str(folder / "loyalty.duckdb")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        monkeypatch.setattr(database, "LOCK_PATIENCE_SECONDS", 0.5)
        store = database.open_store(f"duckdb:///{folder / 'loyalty.duckdb'}")
        with pytest.raises(StoreError, match=f"in use by .*{holder.pid}.*nothing was changed"):
            store.write().__enter__()
    finally:
        holder.communicate("\n")

"""A throw-away PostgreSQL, a Spark of two executors, and the same company on every engine."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from engine_cases import DECLARATION, Shop, write_company

from loyalty_exp.project import open_project

INITDB = shutil.which("initdb") or next(
    (str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None
)


def as_server(command: Sequence[str]) -> list[str]:
    """PostgreSQL refuses to be run by root."""
    return ["runuser", "-u", "postgres", "--", *command] if os.getuid() == 0 else list(command)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """URL of an empty server of its own, reached by a socket that nobody else can open."""
    pytest.importorskip("psycopg")
    if INITDB is None:
        pytest.skip("no PostgreSQL server is installed (apt-get install postgresql)")
    # Not below pytest's folder: a socket's path is at most 107 bytes long.
    folder = Path(tempfile.mkdtemp(prefix="engines-"))
    folder.chmod(0o711)
    home = folder / "server"
    home.mkdir(mode=0o700)
    if os.getuid() == 0:
        shutil.chown(home, "postgres")
        folder.chmod(0o755)
    control = str(Path(INITDB).with_name("pg_ctl"))
    setup = [INITDB, "-D", str(home / "data"), "-A", "trust", "-U", "me", "-E", "UTF8"]
    made = subprocess.run(
        as_server([*setup, "--locale=C"]), capture_output=True, check=False, cwd=folder
    )
    if made.returncode:
        pytest.skip("the PostgreSQL server cannot be set up here")
    options = f"-c listen_addresses='' -c unix_socket_directories={home} -c fsync=off"
    server = [control, "-D", str(home / "data"), "-w", "-l", str(home / "log")]
    subprocess.run(
        as_server([*server, "-o", options, "start"]),
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=folder,
    )
    try:
        yield f"postgresql+psycopg://me@/postgres?host={home}"
    finally:
        subprocess.run(
            as_server([*server, "-m", "immediate", "stop"]),
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
        )
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A session whose work is done by two executor processes of one core each."""
    if shutil.which("java") is None:
        pytest.skip("no Java: Apache Spark cannot run")
    pytest.importorskip("pyspark", reason="pyspark is not installed (make test-engines)")
    from pyspark.sql import SparkSession

    folder = tmp_path_factory.mktemp("spark")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder
    for name, value in spark_settings(folder).items():
        builder = builder.config(name, value)
    here = Path.cwd()
    os.chdir(folder)  # standalone workers write their logs where they start
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pyspark about pandas, and of its sockets
            session = builder.getOrCreate()
        yield session
        session.stop()
    finally:
        os.chdir(here)


def spark_settings(folder: Path) -> dict[str, str]:
    """Settings of a cluster of two executor processes on this machine."""
    return {
        "spark.master": "local-cluster[2,1,1024]",
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        "spark.scheduler.maxRegisteredResourcesWaitingTime": "120s",
        # On a machine that is busy with other things an executor may be silent for minutes.
        "spark.network.timeout": "600s",
        "spark.executor.heartbeatInterval": "60s",
        "spark.worker.timeout": "600",
        "spark.sql.broadcastTimeout": "1200",
        "spark.log.level": "ERROR",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.executor.memory": "512m",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",  # compiling would take most of the time
        "spark.sql.codegen.wholeStage": "false",
        "spark.driver.extraJavaOptions": f"-Dderby.system.home={folder}",
    }


@pytest.fixture(scope="session")
def shops(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Shop]:
    """The company on an engine of that name: loaded, its campaign launched and measured; once."""

    @functools.cache
    def on(engine: str) -> Shop:
        folder = tmp_path_factory.mktemp(engine)
        if engine == "duckdb":
            return set_up(f"duckdb:///{folder / 'store.duckdb'}", folder)
        if engine == "spark":
            request.getfixturevalue("spark")
            return set_up(f"spark://?location={folder / 'facts'}", folder, "sqlite:///registry.db")
        url = sa.make_url(request.getfixturevalue("postgresql"))
        server = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with server.connect() as connection:
            connection.execute(sa.text("CREATE DATABASE shop"))
        return set_up(url.set(database="shop").render_as_string(), folder)

    return on


def set_up(url: str, folder: Path, registry: str | None = None) -> Shop:
    """Load, launch and measure the company on a database."""
    frames = write_company(folder)
    path = folder / "campaigns.toml"
    path.write_text(declaration(url, registry))
    project = open_project(path)
    project.load()
    plan = project.launch("winback").plan
    return Shop(project, frames, plan, project.measure("winback"))


def declaration(url: str, registry: str | None = None) -> str:
    """The company's declaration on a database, with a registry of its own where one is named."""
    text = DECLARATION.format(database=url)
    more = "" if registry is None else f'registry_url = "{registry}"\n'
    return text.replace("[data.orders]", f"{more}[data.orders]", 1)


@pytest.fixture(scope="session", params=["duckdb", "postgresql", "spark"])
def shop(request: pytest.FixtureRequest, shops: Callable[[str], Shop]) -> Shop:
    """The company on each engine that is run."""
    return shops(request.param)

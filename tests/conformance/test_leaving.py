"""What a run leaves in the store: nothing, though it was terminated, or it says what. And two runs on one database."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing

import pytest

from notistore import MemoryStore
from notistore_conformance import StoreImplementation, check_store_blocking
from notistore_conformance.cli import run_conform
from notistore_conformance.registry import checks_of
from notistore_sqlite import SQLiteStore

pytest_plugins = ["pytester"]

MODULE = """
from contextlib import asynccontextmanager
from notistore_conformance import StoreImplementation
from notistore_sqlite import SQLiteStore

@asynccontextmanager
async def make_store():
    store = SQLiteStore("rows.db")
    await store.create_schema()
    yield StoreImplementation(store, no_outage="an embedded database", processes=True)
    await store.close()
"""

MAIN = "import sys; from notistore.cli import main; sys.exit(main())"
CONFORM = [sys.executable, "-c", MAIN, "conform", "mine:make_store", "--profile=full"]
PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--notistore=mine:make_store"]


def rows(path):
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path, timeout=30)) as file:
        try:
            return file.execute("SELECT count(*) FROM notistore_notifications").fetchone()[0]
        except sqlite3.OperationalError:  # not created yet
            return 0


@pytest.mark.parametrize(
    ("command", "code", "printed"),
    [
        ([*CONFORM, "--only", "model/"], 143, "stopped; what the checks had stored was deleted"),
        ([*CONFORM, "--only", "processes/"], 143, "stopped; what the checks had stored was deleted"),
        ([*PYTEST, "--notistore-profile=full", "-k", "model/"], pytest.ExitCode.INTERRUPTED, "Terminated"),
    ],
    ids=["histories", "processes", "pytest"],
)
def test_a_run_that_is_terminated_deletes_what_it_has_stored(tmp_path, command, code, printed):
    (tmp_path / "mine.py").write_text(MODULE)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    run = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    until = time.monotonic() + 60
    while rows(tmp_path / "rows.db") < 5:
        assert run.poll() is None, run.stdout.read()
        assert time.monotonic() < until
        time.sleep(0.01)
    run.send_signal(signal.SIGTERM)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == code, output
    assert printed in output
    assert rows(tmp_path / "rows.db") == 0


class KeepsItsRows(MemoryStore):
    async def delete(self, recipient, *ids):
        return 0


class CannotDelete(MemoryStore):
    async def delete(self, recipient, *ids):
        raise PermissionError("not the owner")


@pytest.mark.parametrize(
    ("make_store", "why"),
    [(KeepsItsRows, "had no effect"), (CannotDelete, "raised PermissionError: not the owner")],
)
def test_what_could_not_be_deleted_is_reported(make_store, why, capsys):
    check_store_blocking(make_store, only="get/returns")
    printed = capsys.readouterr().err
    assert "recipients were left in the store, by get/returns: deleting them " + why in printed
    assert "They are of Recipient(id='user 1-" in printed


def test_the_command_line_reports_it_too(tmp_path, monkeypatch, capsys):
    (tmp_path / "keeps_one.py").write_text(
        "from notistore import MemoryStore\n"
        "class Keeps(MemoryStore):\n"
        "    async def delete(self, recipient, *ids): return 0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert run_conform("keeps_one:Keeps", only="get/returns") == 0
    assert "were left in the store, by get/returns: deleting them had no effect" in capsys.readouterr().err


def test_and_so_does_pytest_as_a_warning(pytester):
    pytester.makepyfile(
        keeps="""
        from notistore import MemoryStore

        class Keeps(MemoryStore):
            async def delete(self, recipient, *ids):
                return 0
        """,
        test_mine="""
        from keeps import Keeps
        from notistore_conformance import NotificationStoreSuite

        class TestMine(NotificationStoreSuite):
            def make_store(self):
                return Keeps()
        """,
    )
    for args in (["-k", "get/returns"], ["--notistore=keeps:Keeps", "-k", "get/returns"]):
        result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *args, timeout=60)
        result.stdout.fnmatch_lines(["*UserWarning: Rows of up to * were left in the store, by get/returns: *"])


PRUNING = [id for id in checks_of("store") if "prun" in id or id == "writers/time-zone"]


@pytest.fixture(params=["sqlite", "postgresql"])
def make_store(request, tmp_path):
    if request.param == "sqlite":

        @asynccontextmanager
        async def on_sqlite():
            store = SQLiteStore(tmp_path / "shared.db")
            await store.create_schema()
            yield StoreImplementation(store, no_outage="an embedded database")
            await store.close()

        return on_sqlite
    asyncpg = pytest.importorskip("asyncpg")
    from notistore_asyncpg import AsyncpgStore

    url = request.getfixturevalue("postgres_url")

    @asynccontextmanager
    async def on_postgresql():
        async with asyncpg.create_pool(url, min_size=0) as pool:
            store = AsyncpgStore(pool)
            await store.create_schema()
            yield StoreImplementation(store, no_outage="left to test_asyncpg_conforms.py")

    return on_postgresql


def test_two_runs_at_once_on_one_database_do_not_prune_each_others_rows(make_store):
    def run(number):
        return [
            result.message for id in PRUNING for result in check_store_blocking(make_store, only=id, seed=number).failed
        ]

    with ThreadPoolExecutor(2) as threads:
        for failures in threads.map(run, range(2)):
            assert not failures, "\n\n".join(failures)

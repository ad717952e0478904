"""A store opens as the old version or the new one, whenever whoever brings it up to date is killed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from supervise.errors import StoreError
from supervise.stores import Change
from supervise.stores import sqlite as opening
from supervise.stores.database import connect, migrate
from supervise.stores.migrations import Migration, migration, migrations, missing
from tests.nouns import NOON
from tests.stores.nouns import opened, row

OLD = migrations(("core",))
LATER = migration("0003_later.sql", "create table later (a text);\ninsert into later values ('b');\n")

KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
from supervise.stores.sqlite import Sqlite

def opens(path, steps):
    left = steps
    def step(*_):
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    def counted(function):
        return lambda *a, **k: (step(), function(*a, **k))[1]
    connect = sqlite3.connect
    def traced(*a, **k):
        db = connect(*a, **k)
        db.set_trace_callback(step)
        return db
    sqlite3.connect = traced
    for name in ("open", "fchmod", "fsync", "replace", "rename", "close"):
        setattr(os, name, counted(getattr(os, name)))
    Sqlite.open(path, host="ares")

start, folder = Path(sys.argv[1]), Path(sys.argv[2])
for steps in range(1000):
    here = folder / f"{steps:03}"
    here.mkdir()
    for file in start.iterdir():
        (here / file.name).write_bytes(file.read_bytes())
    child = os.fork()
    if not child:
        opens(here / "state.db", steps)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
"""


def killed_at_every_step(start: Path, folder: Path) -> list[Path]:
    """A folder for each statement and each touch of a file at which an opening was killed."""
    folder.mkdir()
    subprocess.run([sys.executable, "-c", KILLED, str(start), str(folder)], check=True)
    return sorted(folder.iterdir())


def old_store(folder: Path) -> Path:
    """A store with one row, as a version without the local tables would leave it."""
    folder.mkdir()
    db = connect(str(folder / "state.db"))
    migrate(db, folder / "state.db", OLD)
    columns = "host, name, agent_name, project, unit, platform, reason, since, observed_reason, updated_at"
    db.execute(
        f"insert into agent_status ({columns}) values ('ares', 'sma', 'SMA', 'p', 'u', 'systemd', 'Crashed',"
        " '2026-03-01T12:00:00.000000+00:00', 'Crashed', '2026-03-01T12:00:00.000000+00:00')"
    )
    db.close()
    return folder


def versions(path: Path) -> set[int]:
    db = sqlite3.connect(path)
    try:
        made = db.execute("select count(*) from sqlite_master where name = 'migrations'").fetchone()[0]
        return {number for (number,) in db.execute("select number from migrations")} if made else set()
    finally:
        db.close()


def tables(path: Path) -> set[str]:
    db = sqlite3.connect(path)
    try:
        return {name for (name,) in db.execute("select name from sqlite_master where type = 'table'")}
    finally:
        db.close()


def test_a_first_opening_that_is_killed_leaves_what_the_next_one_finishes(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    killed = killed_at_every_step(tmp_path / "empty", tmp_path / "killed")
    assert len(killed) > 25
    for folder in killed:
        path = folder / "state.db"
        found = tables(path) if path.exists() else set()
        assert found in (
            set(),
            {"migrations", *made_by(OLD)},
            {"migrations", *made_by(migrations())},
        ), folder
        with_one_row(folder)


def made_by(steps: Sequence[Migration]) -> set[str]:
    db = sqlite3.connect(":memory:")
    for step in steps:
        for statement in step.statements:
            db.execute(statement)
    found = {name for (name,) in db.execute("select name from sqlite_master where type = 'table'")}
    db.close()
    return found


def with_one_row(folder: Path) -> None:
    store = opened(folder)
    store.commit(Change(rows={"sma": row()}), now=NOON)
    assert store.load().rows == {"sma": row()}
    store.close()


def test_an_upgrade_that_is_killed_leaves_the_old_version_or_the_new_one(tmp_path: Path) -> None:
    killed = killed_at_every_step(old_store(tmp_path / "old"), tmp_path / "killed")
    assert len(killed) > 15
    seen = [versions(folder / "state.db") for folder in killed]
    assert seen == sorted(seen, key=len)
    assert {1} in seen
    assert seen[-1] == {1, 2}
    for folder, before in zip(killed, seen, strict=True):
        copy = folder / "state.db.before-2"
        if copy.exists() or before == {1, 2}:
            assert tables(copy) == {"migrations", *made_by(OLD)}
        store = opened(folder)
        assert store.load().rows["sma"].title == "SMA"
        store.close()
        assert versions(copy) == {1}


def test_the_copy_from_before_is_whole_and_private(tmp_path: Path) -> None:
    folder = old_store(tmp_path / "old")
    opened(folder).close()
    copy = folder / "state.db.before-2"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    shutil.copy(copy, tmp_path / "state.db")
    store = opened(tmp_path)
    assert list(store.load().rows) == ["sma"]
    store.close()
    assert sorted(one.name for one in folder.iterdir()) == ["state.db", "state.db.before-2", "state.db.lock"]


def test_nothing_is_copied_or_run_where_nothing_is_to_do(tmp_path: Path) -> None:
    opened(tmp_path).close()
    before = (tmp_path / "state.db").read_bytes()
    opened(tmp_path).close()
    assert (tmp_path / "state.db").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["state.db", "state.db.lock"]


def test_a_store_of_a_newer_version_is_refused_and_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(opening, "migrations", lambda: (*migrations(), LATER))
        opened(tmp_path).close()
    before = (tmp_path / "state.db").read_bytes()
    with pytest.raises(StoreError, match=r"^cannot open the store .*newer version of supervise \(step 3\)") as error:
        opened(tmp_path)
    assert not error.value.corrupt
    assert (tmp_path / "state.db").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["state.db", "state.db.lock"]


def test_a_step_that_is_not_the_one_that_ran_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(tmp_path).close()
    core, local = migrations()
    monkeypatch.setattr(opening, "migrations", lambda: (replace(core, checksum="0"), local))
    with pytest.raises(StoreError, match=r'"0001_core.sql" is not the one that made it: its checksum differs') as error:
        opened(tmp_path)
    assert not error.value.corrupt


def test_a_step_that_fails_leaves_nothing_of_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(tmp_path).close()
    broken = migration("0003_broken.sql", "create table half (a text);\ninsert into nowhere values (1);\n")
    with monkeypatch.context() as patch:
        patch.setattr(opening, "migrations", lambda: (*migrations(), broken))
        with pytest.raises(StoreError, match="no such table: nowhere"):
            opened(tmp_path)
    assert "half" not in tables(tmp_path / "state.db")
    opened(tmp_path).close()


def test_numbers_are_given_once_and_statements_are_whole() -> None:
    shipped = migrations(("core", "local", "postgres", "compat"))
    assert [one.number for one in shipped] == list(range(len(shipped)))
    assert all(sqlite3.complete_statement(statement) for one in migrations() for statement in one.statements)
    with pytest.raises(ValueError, match="does not end"):
        _ = migration("0009_half.sql", "create table a (b text);\ncreate table c (d text)\n").statements


def test_what_is_missing_is_what_did_not_run() -> None:
    first, second = Migration(1, "a", "", "x"), Migration(2, "b", "", "y")
    assert missing((first, second), {1: "x"}) == (second,)
    assert missing((first, second), {1: "x", 2: "y"}) == ()


POSTGRES = Path("/usr/lib/postgresql/15/bin")


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or not POSTGRES.is_dir(), reason="needs root and PostgreSQL 15")
def test_the_core_runs_unchanged_on_postgresql() -> None:
    folder = Path(tempfile.gettempdir()) / f"supervise-pg-{os.getpid()}"
    folder.mkdir(mode=0o700)
    shutil.chown(folder, "postgres")
    core = "".join(f"{statement}\n" for one in OLD for statement in one.statements)
    start = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    log = folder / "log"

    def run(*words: str, given: str = "") -> str:
        done = subprocess.run(
            ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", str(POSTGRES / words[0]), *words[1:]],
            input=given, capture_output=True, text=True, cwd=folder, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        run("initdb", "-D", f"{folder}/data", "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C.UTF-8")
        run("pg_ctl", "-D", f"{folder}/data", "-w", "-l", str(log), "-o", start, "start")
        psql = ("psql", "-h", str(folder), "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-At")
        run(*psql, "-1", given=core)
        told = run(*psql, given="select table_name from information_schema.tables where table_schema = 'public'")
        assert set(told.split()) == made_by(OLD)
    finally:
        subprocess.run(
            ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", str(POSTGRES / "pg_ctl"),
             "-D", f"{folder}/data", "-m", "immediate", "stop"], capture_output=True, cwd="/", check=False,
        )  # fmt: skip
        shutil.rmtree(folder)

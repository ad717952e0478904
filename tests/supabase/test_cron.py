"""Where pg_cron is, the database itself looks for hosts that are silent, though none lives to do it."""

from __future__ import annotations

import pytest

from supervise.stores.postgres import sweeps_itself
from tests.supabase.__main__ import migrated
from tests.supabase.conftest import unable
from tests.supabase.stack import EXTENSIONS, HASTE, Stack

SETTINGS = {
    **HASTE,
    "shared_preload_libraries": "pg_cron",
    "cron.database_name": "cron",
    "cron.use_background_workers": "on",
}


@pytest.mark.parametrize("there", ["before the tables", "only later"])
def test_pg_cron_sweeps_for_hosts_that_are_silent(there: str) -> None:
    if not (EXTENSIONS / "pg_cron.control").exists():
        unable("these tests need pg_cron")
    with Stack(settings=SETTINGS) as stack:
        url = stack.database.create("cron")
        with stack.database.connect("cron") as db:
            if there == "only later":
                migrated(url)
                assert not sweeps_itself(db)
            db.execute("create extension pg_cron")
            migrated(url)
            assert sweeps_itself(db)
            (job,) = db.execute("select jobname, schedule, command, active from cron.job").fetchall()
            assert (job["jobname"], job["active"]) == ("supervise-sweep", True)
            assert job["schedule"] in ("30 seconds", "* * * * *")
            db.execute(
                """insert into supervise_sessions (host, epoch, instance, seen_at)
                   values ('ares', 1, 'one', now() - interval '2 minutes')"""
            )
            db.execute(job["command"])
            assert db.execute("select host from agent_events where reason = 'HostSilent'").fetchall() == [
                {"host": "ares"}
            ]

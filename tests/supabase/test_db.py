"""`supervise db` and `supervise hosts`, as a person calls them, against a real database."""

from __future__ import annotations

import io
import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from supervise.errors import ExitCode
from supervise.stores import ledger, postgres
from supervise.stores.migrations import migration
from tests.cli.conftest import supervise
from tests.cli.shell import Supervise
from tests.supabase.conftest import Connection
from tests.supabase.nouns import event, opened, report, row, sample, stored
from tests.supabase.stack import Api, Stack

__all__ = ["supervise"]
TABLES = "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v') order by 1"
PASSWORD = "pl4nted-pa55word"


@pytest.fixture
def fresh(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A project that nothing was done to; the environment says where it is."""
    name = f"t{uuid4().hex[:12]}"
    monkeypatch.setenv("SUPABASE_DB_URL", stack.database.create(name))
    with stack.database.connect(name) as db:
        yield db


@pytest.fixture
def url(api: Api, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> str:
    """The environment says where the shared database is, and the secret of its project."""
    monkeypatch.setenv("SUPABASE_DB_URL", stack.database.url("shared"))
    monkeypatch.setenv("SUPABASE_JWT_SECRET", api.secret)
    return stack.database.url("shared")


def tables(db: Connection) -> list[str]:
    return [one["relname"] for one in db.execute(TABLES)]


# --- Steps ------------------------------------------------------------------------------------------------------------


def test_a_fresh_project_gets_all_steps_once(supervise: Supervise, fresh: Connection) -> None:
    before = supervise("db", "status")
    assert (before.code, before.out.count("missing)")) == (ExitCode.FAILED, len(ledger.steps()))
    for words in (("hosts",), ("db", "prune", "--yes")):
        answer = supervise(*words)
        assert (answer.code, "run `supervise db migrate`" in answer.err) == (ExitCode.FAILED, True)
    first = supervise("db", "migrate")
    assert (first.code, first.out.count("✓"), first.err) == (ExitCode.OK, len(ledger.steps()), "")
    there = tables(fresh)
    second = supervise("db", "migrate")
    assert (second.code, second.out.count("✓")) == (ExitCode.OK, 0)
    assert tables(fresh) == there
    after = supervise("db", "status", "--json")
    assert after.code == ExitCode.OK
    assert "with the extension pg_cron" in supervise("db", "status").out
    said = json.loads(after.out)
    assert {one["done"] for one in said["steps"]} == {True}
    assert (said["up_to_date"], said["swept_by_pg_cron"]) == (True, False)


def test_two_who_migrate_at_once_do_it_once(stack: Stack, fresh: Connection, supervise: Supervise) -> None:
    url = f"postgresql://postgres@/{fresh.info.dbname}?host={stack.database.folder}"
    code = "import sys; from supervise.stores import postgres\nwith postgres.connected(sys.argv[1]) as db:\n"
    code += "    postgres.migrate(db, tell=lambda step: print(step.name), notice=print)"
    python = Path(__file__).parents[2] / ".venv/bin/python"
    both = [subprocess.Popen([python, "-c", code, url], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [one.communicate(timeout=60)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert sorted("".join(said).split()) == sorted(step.name for step in ledger.steps())


def test_a_step_that_fails_leaves_nothing_of_itself(
    supervise: Supervise, fresh: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = migration("0099_broken.sql", "create table public.half (a text);\nselect 1 / 0;\n")
    monkeypatch.setattr(postgres, "steps", lambda: (*ledger.steps(), broken))
    answer = supervise("db", "migrate")
    assert answer.code == ExitCode.FAILED
    assert answer.err == "supervise: cannot run step 0099_broken.sql, nothing of it is left: division by zero\n"
    assert "half" not in tables(fresh)
    monkeypatch.undo()
    assert set(postgres.applied(fresh)) == {step.number for step in ledger.steps()}


def test_steps_that_are_not_those_that_ran_are_refused(supervise: Supervise, fresh: Connection) -> None:
    supervise("db", "migrate")
    fresh.execute("update supervise_migrations set checksum = 'other' where number = 4")
    answer = supervise("db", "migrate")
    assert answer.code == ExitCode.FAILED
    assert "its checksum differs" in answer.err
    as_json = supervise("db", "status", "--json")
    assert (as_json.code, as_json.out, "its checksum differs" in as_json.err) == (ExitCode.FAILED, "", True)
    fresh.execute("insert into supervise_migrations (number, name, checksum) values (99, 'later', 'x')")
    assert "cannot work with the database: it was written by a newer version of" in supervise("db", "status").err


def test_whoever_migrates_while_somebody_else_does_is_told_so(
    supervise: Supervise, fresh: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "WAIT", "100ms")
    fresh.execute("select pg_advisory_lock(%s)", (postgres.OTHERS,))
    answer = supervise("db", "migrate")
    assert (answer.code, answer.out) == (ExitCode.FAILED, "")
    assert answer.err == "supervise: somebody else migrates this database: wait for them, then run it again\n"


def test_migrating_leaves_nothing_in_the_session_which_a_pooler_gives_to_somebody_else(
    stack: Stack, fresh: Connection
) -> None:
    with postgres.connected(stack.database.url(fresh.info.dbname)) as db:
        postgres.migrate(db, tell=lambda step: None, notice=print)
        assert db.execute("select current_setting('lock_timeout') as wait").fetchone() == {"wait": "0"}
        assert db.execute("select from pg_locks where locktype = 'advisory'").fetchall() == []
        assert db.execute("select from pg_prepared_statements").fetchall() == []


def test_what_a_fresh_table_shows_between_two_steps_is_nothing(fresh: Connection) -> None:
    for step in ledger.steps():
        with fresh.transaction():
            fresh.execute(ledger.recorded(step).encode())
        open_ = fresh.execute(
            """select c.relname from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
               and (has_table_privilege('anon', c.oid, 'select, insert, truncate') or not c.relrowsecurity)"""
        ).fetchall()
        assert open_ == [], step.name


def test_the_printed_steps_do_the_same_in_psql(supervise: Supervise, fresh: Connection, stack: Stack) -> None:
    printed = supervise("db", "sql").out
    words = [
        "psql",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        f"postgresql://postgres@/{fresh.info.dbname}?host={stack.database.folder}",
    ]
    for there in (0, len(ledger.steps())):
        done = subprocess.run(words, input=printed, text=True, check=False, capture_output=True)
        assert (done.returncode, done.stderr.count("has run already")) == (0, there), done.stderr
    assert json.loads(supervise("db", "migrate", "--json").out) == {"done_now": [], "steps": len(ledger.steps())}
    assert supervise("db", "status").code == ExitCode.OK


def test_exported_steps_run_in_the_order_of_their_names_and_come_after_the_owner_s(
    supervise: Supervise, fresh: Connection, tmp_path: Path
) -> None:
    folder = tmp_path / "supabase/migrations"
    folder.mkdir(parents=True)
    (folder / "20990101000000_theirs.sql").write_text("create table theirs (a text);")
    (folder / "notes.sql").write_text("select 1;")
    assert supervise("db", "export").out.count("wrote") == len(ledger.steps())
    files = sorted(folder.glob("2*.sql"))
    assert files[0].name == "20990101000000_theirs.sql"
    assert [file.name.partition("_supervise_")[2] for file in files[1:]] == [step.name for step in ledger.steps()]
    for file in (*files, *files[1:]):  # the second time as after `supervise db migrate`
        with fresh.transaction():
            fresh.execute(file.read_bytes())
    assert supervise("db", "status").code == ExitCode.OK
    kept = [file.name for file in sorted(folder.iterdir())]
    files[-1].unlink()
    assert supervise("db", "export").out.count("wrote") == 1
    assert [file.name for file in sorted(folder.iterdir())] == kept
    assert "all steps are in supabase/migrations already" in supervise("db", "export").out


def test_without_a_url_it_says_how_to_give_one(supervise: Supervise, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUPABASE_DB_URL", raising=False)
    answer = supervise("db", "status")
    assert answer.code == ExitCode.USAGE
    assert "SUPABASE_DB_URL" in answer.err


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://postgres:{PASSWORD}@127.0.0.1:1/postgres",
        f"postgresql://postgres:{PASSWORD}@nowhere.invalid/postgres",
        f"postgresql://postgres:{PASSWORD}@host:port/postgres",
        f"postgresql://postgres:x@{PASSWORD}@127.0.0.1:1/postgres",
        f"postgresql://postgres:x/{PASSWORD}@127.0.0.1:1/postgres",
        f"postgresql://postgres:{PASSWORD}@/postgres?host=/nowhere",
        f"{PASSWORD} is no URL",
        f"https://{PASSWORD}.supabase.co",
    ],
)
def test_a_database_that_does_not_answer_is_one_line_without_the_password(
    supervise: Supervise, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("SUPABASE_DB_URL", url)
    for words in (("db", "migrate"), ("hosts",)):
        answer = supervise(*words)
        assert answer.code in (ExitCode.FAILED, ExitCode.USAGE)
        assert answer.err.count("\n") == 1
        assert PASSWORD not in answer.out + answer.err


def test_the_url_may_stand_in_a_file(
    supervise: Supervise, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "url").write_text(f"{url}\n")
    monkeypatch.delenv("SUPABASE_DB_URL")
    assert supervise("db", "status", "--url-file", "url").code == ExitCode.OK
    assert supervise("db", "status", "--url-file", "other").code == ExitCode.USAGE


# --- Hosts and their keys ---------------------------------------------------------------------------------------------


def test_a_host_key_writes_for_its_host_until_it_is_revoked(supervise: Supervise, url: str, api: Api) -> None:
    made = supervise("db", "host-key", "ares", "--days", "30")
    assert made.code == ExitCode.OK
    token = made.out.strip()
    assert token not in made.err
    as_json = json.loads(supervise("db", "host-key", "zeus", "--json").out)
    assert (as_json["host"], as_json["key"].count("."), as_json["file"]) == ("zeus", 2, None)
    report(api, opened(api, token=token), row(), token=token)
    assert api.call("rpc/open_session", {"host": "zeus", "instance": "one"}, token=token)[0] == 403
    assert "1 key revoked" in supervise("hosts", "revoke", "ares").out
    assert api.call("rpc/open_session", {"host": "ares", "instance": "one"}, token=token)[0] == 403
    again = supervise("hosts", "revoke", "ares")
    assert (again.code, "no key that is valid" in again.err) == (ExitCode.FAILED, True)


def test_a_key_in_a_file_is_its_owner_s_alone_and_replaces_none(supervise: Supervise, url: str, tmp_path: Path) -> None:
    made = supervise("db", "host-key", "ares", "--out", "ares.key")
    assert (made.code, made.out) == (ExitCode.OK, "")
    file = tmp_path / "ares.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().count(".") == 2
    before = file.read_text()
    assert supervise("db", "host-key", "ares", "--out", "ares.key").code == ExitCode.FAILED
    assert file.read_text() == before
    assert 'cannot write "nowhere/key": No such file' in supervise("db", "host-key", "ares", "--out", "nowhere/key").err


def test_no_key_is_made_that_lasts_too_long_or_of_no_secret(
    supervise: Supervise, url: str, db: Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert supervise("db", "host-key", "ares", "--days", "91").code == ExitCode.USAGE
    assert '"" is no name of a host' in supervise("db", "host-key", "").err
    monkeypatch.setenv("SUPABASE_JWT_SECRET", "short")
    answer = supervise("db", "host-key", "ares", "--out", "ares.key")
    assert (answer.code, "short" in answer.err) == (ExitCode.USAGE, False)
    assert not (tmp_path / "ares.key").exists()
    assert db.execute("select count(*) from supervise_host_keys").fetchone() == {"count": 0}


def test_hosts_are_listed_with_what_is_known_of_them(supervise: Supervise, url: str, api: Api) -> None:
    assert supervise("hosts").out == "no host has written yet\n"
    report(
        api, opened(api), row(), row("ema", agent_name="EMA"), host_row={"version": "1.2", "updated_at": "2026-01-01"}
    )
    supervise("db", "host-key", "zeus")
    listed = supervise("hosts").out.splitlines()
    assert [line.split()[0] for line in listed] == ["host", "ares", "zeus"]
    ares, zeus = json.loads(supervise("hosts", "--json").out)
    assert (ares["host"], ares["agents"], ares["version"], ares["keys"]) == ("ares", 2, "1.2", 0)
    assert (zeus["host"], zeus["agents"], zeus["seen_at"], zeus["keys"]) == ("zeus", 0, None, 1)


def test_nothing_is_left_of_a_host_that_was_forgotten(supervise: Supervise, url: str, api: Api, db: Connection) -> None:
    for host, title in (("ares", "SMA"), ("zeus", "EMA")):
        report(api, opened(api, host), row(agent_name=title), host=host, host_row={"updated_at": "2026-01-01"})
        api.rpc("append_events", host=host, rows=[event(host)])
        api.rpc("append_samples", host=host, rows=[sample()])
        api.rpc("request_command", host=host, name="sma", kind="stop")
        supervise("db", "host-key", host)
    assert supervise("hosts", "forget", "ares", "--yes").code == ExitCode.OK
    there = ("agent_status", "agent_events", "agent_samples", "host_status", "supervise_commands", "supervise_sessions")
    for table in (*there, "supervise_host_keys"):
        found = db.execute(f"select host from {table}").fetchall()
        assert found == [{"host": "zeus"}], table
    assert supervise("hosts", "forget", "ares", "--yes").code == ExitCode.FAILED


# --- Agents -----------------------------------------------------------------------------------------------------------


def test_an_agent_moves_to_another_host(supervise: Supervise, url: str, api: Api) -> None:
    epoch = opened(api, "ares")
    report(api, epoch, row())
    assert supervise("db", "disown", "SMA").code == ExitCode.OK
    (nobody,) = stored(api)
    assert (nobody["host"], nobody["status"], nobody["reason"]) == ("", "unknown", "Disowned")
    assert "belongs to no host already" in supervise("db", "disown", "SMA").err
    zeus = opened(api, "zeus")
    answer = report(api, zeus, row("sma_bot", 1, agent_name="SMA"), host="zeus")
    assert answer["rows"][0]["applied"]
    (taken,) = stored(api)
    assert (taken["host"], taken["name"], taken["agent_name"], taken["id"]) == ("zeus", "sma_bot", "SMA", nobody["id"])
    assert report(api, epoch, row(seq=2))["unknown_session"]


def test_a_forgotten_agent_is_gone_and_its_host_is_asked_to_begin_anew(
    supervise: Supervise, url: str, api: Api, db: Connection
) -> None:
    epoch = opened(api)
    report(api, epoch, row(), row("ema", agent_name="EMA"))
    api.rpc("append_events", host="ares", rows=[event()])
    api.rpc("append_samples", host="ares", rows=[sample(), sample("ema")])
    assert supervise("db", "forget", "sma", "-y").code == ExitCode.OK
    assert [one["name"] for one in stored(api)] == ["ema"]
    assert db.execute("select name from agent_samples").fetchall() == [{"name": "ema"}]
    assert db.execute("select name from agent_events").fetchall() == []
    assert report(api, epoch)["unknown_session"]


def test_what_another_table_refers_to_stays_and_that_table_is_named(
    supervise: Supervise, url: str, api: Api, db: Connection
) -> None:
    db.execute(
        "create table notes (host text, name text, foreign key (host, name) references agent_status (host, name))"
    )
    try:
        report(api, opened(api), row())
        db.execute("insert into notes values ('ares', 'sma')")
        for words in (("db", "disown", "sma"), ("db", "forget", "sma", "-y"), ("hosts", "forget", "ares", "-y")):
            answer = supervise(*words)
            assert answer.code == ExitCode.FAILED
            assert answer.err.endswith('rows of the table "notes" refer to it: delete those first\n'), answer.err
        assert [one["host"] for one in stored(api)] == ["ares"]
    finally:
        db.execute("drop table notes")


@pytest.mark.parametrize("taken", [("db", "disown", "sma"), ("db", "forget", "sma", "-y")])
def test_a_host_that_dies_as_an_agent_is_taken_from_it_is_silent_like_any_other(
    supervise: Supervise, url: str, api: Api, db: Connection, taken: tuple[str, ...]
) -> None:
    report(api, opened(api), row(), row("ema", agent_name="EMA"))
    assert supervise(*taken).code == ExitCode.OK
    db.execute("update supervise_sessions set seen_at = now() - interval '61 seconds'")
    assert api.rpc("sweep_silent_hosts") == {"hosts": ["ares"]}
    assert [(one["status"], one["reason"]) for one in stored(api, name="ema")] == [("unknown", "HostSilent")]
    assert json.loads(supervise("hosts", "--json").out)[0]["seen_at"]


def test_an_agent_must_be_named_so_that_one_is_meant(supervise: Supervise, url: str, api: Api) -> None:
    for host in ("ares", "zeus"):
        report(api, opened(api, host), row(), host=host)
    answer = supervise("db", "disown", "sma")
    assert (answer.code, "ares, zeus" in answer.err) == (ExitCode.USAGE, True)
    assert supervise("db", "disown", "sma", "--host", "zeus").code == ExitCode.OK
    assert supervise("db", "forget", "nothing", "-y").code == ExitCode.NO_SUCH_AGENT
    assert [one["host"] for one in stored(api)] == ["", "ares"]


def test_old_history_goes_and_the_rest_stays(supervise: Supervise, url: str, api: Api, db: Connection) -> None:
    old = [event(str(number), at="2020-01-01T00:00:00+00:00") for number in range(3)]
    new = event("new", at="2999-01-01T00:00:00+00:00")
    api.rpc("append_events", host="ares", rows=[*old, new])
    db.execute("update agent_events set arrived_at = at")
    for_ever = supervise("db", "prune", "--events", "infinity", "--json", "--yes").out
    assert json.loads(for_ever) == {"events": 0, "samples": 0}
    assert supervise("db", "prune", "--yes").out == "deleted 3 events and 0 samples\n"
    assert api.call("agent_events?select=id")[1] == [{"id": "new"}]


def test_nothing_goes_without_a_yes(supervise: Supervise, url: str, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    report(api, opened(api), row())
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\nn\nn\n"))
    assert supervise("db", "forget", "sma").code != ExitCode.OK
    assert supervise("hosts", "forget", "ares").code != ExitCode.OK
    api.rpc("append_events", host="ares", rows=[event(at="2020-01-01T00:00:00+00:00")])
    assert supervise("db", "prune").code != ExitCode.OK
    assert (len(stored(api)), len(api.call("agent_events?select=id")[1])) == (1, 1)
    for nothing in ("0s", "5x"):
        assert supervise("db", "prune", "--events", nothing, "--yes").code == ExitCode.USAGE


def test_without_psycopg_it_says_what_to_install(
    supervise: Supervise, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    answer = supervise("db", "status")
    assert (answer.code, "supervise-agents[postgres]" in answer.err) == (ExitCode.USAGE, True)

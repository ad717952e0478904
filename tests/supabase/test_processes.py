"""Real reconcilers in processes of their own: what they copy, what they take, and what nobody ever sees of a key."""

from __future__ import annotations

import getpass
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervise.model import SupabaseTarget
from tests.stores.supabase.web import Web, web
from tests.supabase.conftest import Connection
from tests.supabase.nouns import stored
from tests.supabase.reconciler import Reconciler, reconciler
from tests.supabase.stack import Api, eventually, signed

AGENTS, MOST = 250, 100_000_000
"""Bytes that a reconciler of so many agents may take with its replica."""


@pytest.fixture
def ours() -> Iterator[Reconciler]:
    with reconciler() as found:
        yield found


def key_file(ours: Reconciler, key: str) -> Path:
    file = ours.home / "key"
    file.write_text(key)
    file.chmod(0o600)
    return file


def test_a_reconciler_copies_what_it_knows_and_takes_little_memory(ours: Reconciler, api: Api, db: Connection) -> None:
    names = [f"a{number:03}" for number in range(AGENTS)]
    ours.install(SupabaseTarget(api.url, key_file(ours, api.secret_key)), names)
    ours.start()
    host = f"{getpass.getuser()}@{socket.gethostname()}"
    eventually(lambda: [one["name"] for one in stored(api, host=host)] == names, "all rows are there")
    eventually(lambda: db.execute("select from host_status").fetchone() is not None, "the host is there")
    memory = ours.memory()
    print(f"a reconciler of {AGENTS} agents with a replica has {memory / 1e6:.0f} MB in memory")
    assert memory < MOST
    assert "Supabase" not in ours.command("status", "--user")
    assert f"{api.url} has all" in ours.command("doctor", "--user", "--json")
    ours.stop()
    found = db.execute("select message from host_status").fetchone()
    assert found is not None
    assert "the reconciler was stopped" in found["message"]


def test_an_outage_is_told_where_people_look_and_so_is_its_end(ours: Reconciler, api: Api) -> None:
    ours.install(SupabaseTarget(api.url, key_file(ours, api.secret_key)))
    api.stop_gateway()
    try:
        ours.start()
        eventually(lambda: "connection refused" in ours.command("status", "--user"), "status says it")
        assert "Supabase is behind by" in ours.command("doctor", "--user")
        assert "supervise_replica_up 0.0" in ours.command("metrics", "--user")
    finally:
        api.start_gateway()
    eventually(lambda: "Supabase" not in ours.command("status", "--user"), "it is over", within=60)
    eventually(lambda: "supervise_replica_up 1.0" in ours.command("metrics", "--user"), "metrics say so too")
    ours.stop()


def test_what_was_refused_is_told_and_sent_again_on_demand(ours: Reconciler, api: Api, db: Connection) -> None:
    ours.install(SupabaseTarget(api.url, key_file(ours, api.secret_key)))
    db.execute("alter table agent_status add constraint nobody check (name <> 'sma') not valid")
    try:
        ours.start()
        eventually(lambda: "1 row refused and set aside" in ours.command("status", "--user"), "status says it")
        told = ours.command("doctor", "--user")
        assert "a row of sma" in told
        assert "23514" in told
    finally:
        db.execute("alter table agent_status drop constraint nobody")
    assert ours.command("db", "retry", "--user") == "✓ 1 item will be sent again\n"
    eventually(lambda: len(stored(api)) == 2, "it has arrived")
    assert ours.command("db", "retry", "--user") == "nothing was refused\n"
    ours.stop()


# --- Keys -------------------------------------------------------------------------------------------------------------

SECRET = "sb_secret_Planted_{}_KqYw7vT2xR9"
CLAIMS = {"iss": "supabase", "exp": 4102444800}
PLANTED = {
    "file": SECRET.format("file"),
    "credential": SECRET.format("credential"),
    "environment": SECRET.format("environment"),
    "dotenv": SECRET.format("dotenv"),
    "service": signed({**CLAIMS, "role": "service_role"}, "PlantedPlanted"),
    "host": signed({**CLAIMS, "role": "supervise_host", "host": "ares", "kid": "k"}, "PlantedPlanted"),
}
"""By where each lies."""


def planted(ours: Reconciler, where: str, url: str) -> dict[str, str]:
    """Put this secret into its place; gives what has to be in the environment for that."""
    key, file = PLANTED[where], None
    environ = {}
    match where:
        case "credential":
            (ours.home / "SUPABASE_SECRET_KEY").write_text(key)
            environ = {"CREDENTIALS_DIRECTORY": str(ours.home)}
        case "environment" | "service":
            environ = {"SUPABASE_KEY": key}
        case "dotenv":
            (ours.home / ".env").write_text(f"SUPABASE_URL={url}\nSUPABASE_SECRET_KEY={key}\n")
        case _:
            file = key_file(ours, key)
    ours.install(None if where == "dotenv" else SupabaseTarget(url, file))
    return environ


def everything(ours: Reconciler, environ: dict[str, str]) -> bytes:
    """All that is printed and stored, but for the places where the secrets were put."""
    assert ours.process is not None
    words = [["status"], ["status", "--json"], ["doctor"], ["doctor", "--json"], ["events"], ["events", "--json"]]
    printed = "".join(ours.command(*one, "--user", **environ) for one in [*words, ["metrics"]])
    seen = subprocess.run(["ps", "-eo", "args"], capture_output=True, check=True).stdout
    places = (ours.home / "key", ours.home / ".env", ours.home / "SUPABASE_SECRET_KEY")
    files = [file for file in ours.home.rglob("*") if file.is_file() and file not in places]
    return printed.encode() + seen + b"".join(file.read_bytes() for file in files)


@pytest.mark.parametrize("where", PLANTED)
def test_a_key_is_seen_by_nobody_but_whom_it_is_for(ours: Reconciler, where: str) -> None:
    """Even where the other side repeats it in each of its errors."""
    with web() as server:
        key = PLANTED[where]
        server.says(400, {"code": "42P01", "message": f"who sends {key} or {key[:60]}?", "details": key, "hint": key})
        environ = planted(ours, where, server.url)
        ours.start(**environ)
        eventually(lambda: arrived(server, key), "the key gets where it belongs")
        eventually(lambda: "who sends" in ours.command("status", "--user", **environ), "its trouble is told")
        found = everything(ours, environ)
        ours.stop()
    assert b"who sends" in found
    assert key.encode() not in found
    assert key[:40].encode() not in found


def arrived(server: Web, key: str) -> bool:
    return any(key in headers["authorization"] for _, headers, _ in tuple(server.asked))

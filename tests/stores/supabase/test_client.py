"""The client against a server that answers anything: what each answer means, and what never leaves it."""

from __future__ import annotations

import base64
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from supervise.stores.supabase.client import LARGEST, Client
from supervise.stores.supabase.faults import Fault, Kind
from supervise.stores.supabase.keys import Access
from tests.stores.supabase.web import Web, web

SECRET = "sb_secret_PlantedPlantedPlanted"


@pytest.fixture(scope="module")
def server() -> Iterator[Web]:
    with web() as found:
        yield found


@pytest.fixture
def client(server: Web) -> Iterator[Client]:
    server.asked.clear()
    one = Client(Access(server.url, SECRET, SECRET), connect=30, read=30, whole=30)
    yield one
    one.close()


def fault(client: Client) -> Fault:
    with pytest.raises(Fault) as found:
        client.call("report_status", host="ares", rows=[])
    assert SECRET not in str(found.value)
    assert SECRET not in repr(found.value.__cause__)
    return found.value


def test_a_call_is_one_request_with_its_arguments_and_its_key(server: Web, client: Client) -> None:
    server.says(200, {"rows": []})
    assert client.call("report_status", host="ares", rows=[{"a": "ü"}]) == {"rows": []}
    ((path, headers, body),) = server.asked
    assert (path, body) == ("/rest/v1/rpc/report_status", {"host": "ares", "rows": [{"a": "ü"}]})
    assert (headers["apikey"], headers["authorization"]) == (SECRET, f"Bearer {SECRET}")


def test_what_fails_is_asked_once(server: Web, client: Client) -> None:
    """The library would try again for seven seconds, in which nothing else is sent."""
    server.says(503, {"code": "PGRST002", "message": "no", "details": None, "hint": None})
    with pytest.raises(Fault):
        client.find("host_status", "epoch", host="ares")
    assert len(server.asked) == 1


def test_a_hosts_own_key_stands_beside_the_public_one(server: Web) -> None:
    server.says(200, {})
    client = Client(Access(server.url, "sb_publishable_x", "e.y.J"))
    client.call("report_status")
    client.close()
    _, headers, _ = server.asked[-1]
    assert (headers["apikey"], headers["authorization"]) == ("sb_publishable_x", "Bearer e.y.J")


def test_a_hosts_own_key_that_stands_alone_is_refused_with_what_it_needs(server: Web) -> None:
    server.says(401, {"message": "Invalid API key"})
    claims = base64.urlsafe_b64encode(b'{"role": "supervise_host"}').decode().rstrip("=")
    token = f"e.{claims}.y"
    for key, is_told in ((token, True), ("sb_publishable_x", False)):
        client = Client(Access(server.url, key, token))
        said = str(fault(client))
        client.close()
        assert said.startswith("the key is refused: Invalid API key")
        assert ("needs publishable_key beside it" in said) is is_told


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "22003", Kind.UNFIT),
        (409, "23505", Kind.UNFIT),
        (400, "23514", Kind.UNFIT),
        (400, "P0001", Kind.UNFIT),
        (400, "PGRST102", Kind.UNFIT),
        (500, "54000", Kind.UNFIT),
        (401, "PGRST301", Kind.REFUSED),
        (401, "PGRST303", Kind.REFUSED),
        (403, "42501", Kind.REFUSED),
        (404, "PGRST202", Kind.REFUSED),
        (400, "PGRST204", Kind.REFUSED),
        (404, "PGRST205", Kind.REFUSED),
        (404, "42P01", Kind.REFUSED),
        (404, "42883", Kind.REFUSED),
        (503, "PGRST000", Kind.AWAY),
        (503, "PGRST001", Kind.AWAY),
        (503, "PGRST002", Kind.AWAY),
        (504, "PGRST003", Kind.SLOW),
        (500, "57014", Kind.SLOW),
        (503, "53300", Kind.AWAY),
        (503, "57P01", Kind.AWAY),
        (500, "40P01", Kind.AWAY),
        (500, "40001", Kind.AWAY),
        (500, "08006", Kind.AWAY),
        (500, "XX000", Kind.AWAY),
    ],
)
def test_each_code_is_of_a_kind(server: Web, client: Client, status: int, code: str, kind: Kind) -> None:
    server.says(status, {"code": code, "message": f"says who sent {SECRET}", "details": None, "hint": None})
    found = fault(client)
    assert (found.kind, found.code) == (kind, code)


@pytest.mark.parametrize("length", range(270, 300, 3))
def test_of_a_key_that_is_repeated_where_the_text_is_cut_nothing_is_left(
    server: Web, client: Client, length: int
) -> None:
    server.says(400, {"code": "22003", "message": "x" * length + SECRET, "details": SECRET, "hint": SECRET})
    assert "sb_secret" not in str(fault(client))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, Kind.REFUSED) for status in (301, 401, 403, 404, 405)),
        *((status, Kind.AWAY) for status in (400, 408, 429, 500, 502, 503, 520)),
        *((status, Kind.SLOW) for status in (504, 524)),
        (413, Kind.UNFIT),
    ],
)
@pytest.mark.parametrize("body", [b"<html>Error</html>", b"", b'{"message": "Invalid API key"}', b"[]", b'{"message":'])
def test_where_no_code_is_given_the_status_counts(
    server: Web, client: Client, status: int, kind: Kind, body: bytes
) -> None:
    server.says(status, body, "application/json" if body.startswith(b"{") else "text/html", location="/login")
    assert fault(client).kind is kind
    assert len(server.asked) == 1  # it is not sent again by the library


def test_a_wish_to_be_left_alone_is_heard(server: Web, client: Client) -> None:
    server.says(429, {"message": "too many"}, retry_after="17")
    wish = fault(client).retry_after
    assert wish is not None
    assert wish.total_seconds() == 17


@pytest.mark.parametrize(
    ("body", "kind"), [(b"<html>Log in</html>", "text/html"), (b"", "text/plain"), (b'"ok"', "application/json")]
)
def test_a_good_answer_that_is_none_of_ours_is_no_success(server: Web, client: Client, body: bytes, kind: str) -> None:
    server.says(200, body, kind)
    found = fault(client)
    assert found.kind is Kind.REFUSED
    assert kind in str(found)


def test_a_cut_connection_passes(server: Web, client: Client) -> None:
    server.cuts()
    assert fault(client).kind is Kind.AWAY


def test_after_a_cut_the_next_call_goes_through(server: Web, client: Client) -> None:
    server.cuts()
    fault(client)
    server.says(200, {"rows": []})
    assert client.call("report_status") == {"rows": []}


def test_an_answer_that_does_not_begin_or_end_is_given_up(server: Web) -> None:
    client = Client(Access(server.url, SECRET, SECRET), connect=0.5, read=0.3, whole=0.6)
    server.dribbles(pause=5)
    assert fault(client).kind is Kind.SLOW
    server.dribbles(pause=0.02)
    began = time.monotonic()
    assert fault(client).kind is Kind.SLOW
    assert time.monotonic() - began < 3
    client.close()


def test_an_endless_answer_is_not_kept(server: Web) -> None:
    client = Client(Access(server.url, SECRET, SECRET), whole=30)
    server.dribbles(LARGEST * 2, pause=0, part=b" " * 65536)
    assert "larger than 16 MiB" in str(fault(client))
    client.close()


def test_nobody_there_passes_and_says_so_in_few_words() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = Client(Access(f"http://127.0.0.1:{taken.getsockname()[1]}", SECRET, SECRET))
        found = fault(client)
        assert (found.kind, str(found)) == (Kind.AWAY, "connection refused")
        client.close()


def test_a_name_that_nobody_knows_passes() -> None:
    client = Client(Access("http://nobody.invalid", SECRET, SECRET))
    found = fault(client)
    assert found.kind is Kind.AWAY
    assert str(found).startswith("nobody.invalid is not found")
    client.close()


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supabase", None)
    with pytest.raises(Fault, match=r"pip install 'supervise-agents\[supabase\]'") as found:
        Client(Access("https://x.supabase.co", SECRET, SECRET))
    assert found.value.kind is Kind.REFUSED


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(Fault, match="client cannot be made"):
        Client(Access("ftp://x", SECRET, SECRET))


def test_rows_for_somebody_elses_table_go_to_its_schema(server: Web, client: Client) -> None:
    server.says(201, b"")
    client.upsert("front.agents", [{"label": "SMA"}], key="label")
    ((path, headers, body),) = server.asked
    assert path.startswith("/rest/v1/agents?on_conflict=label")
    assert (headers["content-profile"], body) == ("front", [{"label": "SMA"}])
    assert "resolution=merge-duplicates" in headers["prefer"]


def test_nothing_of_the_library_is_imported_before_it_is_needed() -> None:
    modules = "supervise.stores.supabase.flusher, supervise.stores.supabase.client, supervise.reconcile.daemon"
    script = f"import sys, {modules}; print([one for one in ('supabase', 'postgrest', 'httpx') if one in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""What dashboards read with, the official clients, get table and view with what a member has in a browser."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from postgrest import APIError
from supabase import create_client
from supabase.lib.client_options import SyncClientOptions

from tests.supabase.nouns import opened, report, row
from tests.supabase.stack import CHECKOUT, HERE, Api

EXPECTED = [
    {"agent_name": "EMA", "status": "running", "health": 100},
    {"agent_name": "SMA", "status": "error", "health": 7},
]
TABLES = ("agent_status", "agent_health_latest")


def modules() -> Path:
    environ = {name: value for name, value in os.environ.items() if name != "POSTGREST_BIN"}
    words = [CHECKOUT / "scripts/postgrest"]
    done = subprocess.run(words, env=environ, capture_output=True, text=True, check=True)
    return Path(done.stdout.strip()).parents[1]


def by_javascript(api: Api, token: str) -> dict[str, Any]:
    words = ["node", str(HERE / "read.mjs"), str(modules()), api.url, api.publishable_key, token, *TABLES]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def by_python(api: Api, token: str) -> dict[str, Any]:
    with httpx.Client() as http:
        client = create_client(api.url, api.publishable_key, SyncClientOptions(httpx_client=http))
        if token:
            client.postgrest.auth(token)
        return {table: _read(client, table) for table in TABLES}


def _read(client: Any, table: str) -> Any:
    try:
        return client.table(table).select("agent_name,status,health").order("agent_name").execute().data
    except APIError as error:
        return error.code


@pytest.mark.parametrize("read", [by_javascript, by_python])
def test_the_clients_of_dashboards_read_table_and_view_as_a_member_and_nothing_as_anybody_else(
    api: Api, read: Callable[[Api, str], dict[str, Any]]
) -> None:
    report(api, opened(api), row("sma", status="error", health=7), row("ema"))
    member = api.token("authenticated", sub=str(uuid4()), app_metadata={"supervise": "viewer"})
    stranger = api.token("authenticated", sub=str(uuid4()))
    assert read(api, member) == dict.fromkeys(TABLES, EXPECTED)
    assert read(api, stranger) == {table: [] for table in TABLES}
    assert read(api, "") == dict.fromkeys(TABLES, "42501")

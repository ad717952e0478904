"""A Supabase for the tests of this folder: one for all of them, its tables emptied before each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import psycopg
import pytest

from supervise.stores.ledger import TABLES
from tests.supabase.__main__ import migrated
from tests.supabase.stack import Api, Stack, missing

REQUIRED = os.environ.get("SUPERVISE_REQUIRE_ALL") == "1"
Connection = psycopg.Connection[dict[str, Any]]


def unable(why: str) -> NoReturn:
    if REQUIRED:
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """PostgreSQL alone; `stack.api(name)` makes a migrated database with PostgREST and a gateway before it."""
    if why := missing():
        unable(why)
    with Stack(migrated) as started:
        yield started


@pytest.fixture(scope="session")
def shared_api(stack: Stack) -> Api:
    return stack.api("shared")


@pytest.fixture
def api(shared_api: Api, stack: Stack) -> Api:
    """Tables that nobody has written to yet, behind the gateway."""
    with stack.database.connect("shared") as db:
        kept = ("supervise_migrations",)
        there = db.execute("select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace")
        names = {one["relname"] for one in there} & set(TABLES) - set(kept)
        db.execute(f"truncate {', '.join(f'public.{name}' for name in sorted(names))}")
    return shared_api


@pytest.fixture
def db(api: Api, stack: Stack) -> Iterator[Connection]:
    """Straight into that database, as its owner."""
    with stack.database.connect("shared") as connection:
        yield connection


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.supabase)
            item.add_marker(pytest.mark.xdist_group(item.path.name))

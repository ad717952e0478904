"""`scripts/supabase-local`: a Supabase for trying things offline, until Ctrl-C or until the command given has ended."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress

from supervise.stores import postgres
from tests.supabase.stack import Api, Stack, missing


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/supabase-local", description=__doc__)
    parser.add_argument("--bare", action="store_true", help="without our tables: `supervise db migrate` makes them")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="run with its addresses and keys in the environment")
    given = parser.parse_args()
    if why := missing():
        print(f"supabase-local: {why}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Stack((lambda url: None) if given.bare else migrated) as stack:
        api = stack.api("local")
        return lasting(environment(stack, api), given.command)


def migrated(url: str) -> None:
    with postgres.connected(url) as db:
        postgres.migrate(db, tell=lambda step: None, notice=print)


def environment(stack: Stack, api: Api) -> Mapping[str, str]:
    """What a project's settings page would say."""
    return {
        "SUPABASE_URL": api.url,
        "SUPABASE_SECRET_KEY": api.secret_key,
        "SUPABASE_PUBLISHABLE_KEY": api.publishable_key,
        "SUPABASE_JWT_SECRET": api.secret,
        "SUPABASE_DB_URL": stack.database.url("local"),
    }


def lasting(settings: Mapping[str, str], command: list[str]) -> int:
    if command:
        return subprocess.run(command, env={**os.environ, **settings}, check=False).returncode
    for name, value in settings.items():
        print(f"export {name}={shlex.quote(value)}", flush=True)
    print("# all of it goes with Ctrl-C", flush=True)
    with suppress(KeyboardInterrupt):
        signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What the README says of Supabase can be done as it stands there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from uuid import uuid4

from supervise.errors import ExitCode
from tests.readme import blocks
from tests.supabase.conftest import Connection
from tests.supabase.stack import CHECKOUT, Api, Stack

(COMMANDS,) = [block for block in blocks("sh") if "supervise db migrate" in block]
(MEMBER,) = blocks("sql")


def test_the_commands_of_the_readme_work_one_after_the_other(stack: Stack, tmp_path: Path) -> None:
    name = f"t{uuid4().hex[:12]}"
    settings = {
        "SUPABASE_DB_URL": stack.database.create(name),
        "SUPABASE_JWT_SECRET": "x" * 40,
        "PATH": f"{CHECKOUT}/.venv/bin:{os.environ['PATH']}",
        "HOME": str(tmp_path),
    }
    lines = [line.partition(" #")[0].strip() for line in COMMANDS.splitlines() if line.startswith("supervise ")]
    assert len(lines) >= 6
    for line in lines:
        done = subprocess.run(line.split(), env=settings, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == ExitCode.OK, (line, done.stderr)
    assert (tmp_path / "web1.key").read_text().count(".") == 2


def test_the_first_member_is_added_as_it_says(api: Api, db: Connection) -> None:
    user = str(uuid4())
    with db.transaction(force_rollback=True):
        db.execute("create table auth.users (id uuid, email text)")
        db.execute(
            "insert into auth.users values (%s, 'ada@example.org'), (gen_random_uuid(), 'bob@example.org')", (user,)
        )
        db.execute(MEMBER.encode())
        found = db.execute("select user_id::text, role from supervise_members").fetchall()
    assert found == [{"user_id": user, "role": "operator"}]


def test_the_local_supabase_runs_a_command_in_its_environment(tmp_path: Path) -> None:
    assert shutil.which("node")
    said = 'supervise db status >/dev/null && supervise hosts && echo "$SUPABASE_URL ${SUPABASE_SECRET_KEY%%_*}"'
    done = subprocess.run(
        [CHECKOUT / "scripts/supabase-local", "sh", "-ec", said], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == "no host has written yet"
    assert second.startswith("http://127.0.0.1:")
    assert second.endswith(" sb")

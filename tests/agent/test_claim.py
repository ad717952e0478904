"""One copy of an agent and no second, with real copies that are killed and forked."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from supervise.agent.claim import in_unit, unit_of
from tests.agent.listening import Listener, ended, ran, started

PLACE = """
from supervise.agent import claim
claim.SYSTEM = os.environ["CLAIMS"]
"""
SECOND = PLACE + "Agent('feed'); print('runs')"


@pytest.fixture
def host(tmp_path: Path) -> dict[str, str]:
    """The settings of a host where claims are taken: in the folder that the machine has for them."""
    (tmp_path / "claim").mkdir()
    return {"SUPERVISE_SINGLE": "1", "CLAIMS": str(tmp_path / "claim"), "TMPDIR": str(tmp_path)}


@contextmanager
def first(code: str = "", **settings: str) -> Iterator[subprocess.Popen[str]]:
    """A copy that holds its claim until it is told to end."""
    program = f"{PLACE}\nagent = Agent('feed')\nprint('claimed', flush=True)\n{code}\nsys.stdin.readline()"
    with started(program, **settings) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "claimed\n"
        yield process


def test_a_second_copy_ends_with_a_sentence_about_the_first(host: dict[str, str], systemd: Listener) -> None:
    with first(**host) as copy:
        done, out, err = ended(SECOND, **host, NOTIFY_SOCKET=str(systemd.path))
    assert (done, out) == (75, "")
    where = Path.cwd()
    by_hand = rf"\((systemd unit \S+\.service|started by hand in {re.escape(str(where))})\)"
    when = r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    sentence = rf"feed is already running as PID {copy.pid} {when} {by_hand}; not starting a second copy"
    assert re.fullmatch(sentence + "\n", err)
    assert re.fullmatch(f"STATUS={sentence}", systemd.heard())


def test_the_file_says_who_holds_it(host: dict[str, str]) -> None:
    with first(**host) as copy:
        (file,) = Path(host["CLAIMS"]).rglob("feed")
        fields = Path(f"/proc/{copy.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        assert file.read_text(encoding="utf-8") == f"{copy.pid} {fields[19]}\n"
        assert file.stat().st_mode & 0o777 == 0o600


def test_another_name_is_another_claim(host: dict[str, str]) -> None:
    with first(**host):
        assert ran(PLACE + "Agent('feed.2'); print('runs')", **host) == "runs\n"
        assert ran(SECOND, **host, SUPERVISE_AGENT="feed.1") == "runs\n"


def test_copies_run_side_by_side_where_the_unit_allows_it(host: dict[str, str]) -> None:
    with first(**host):
        assert ran(SECOND, **{**host, "SUPERVISE_SINGLE": "0"}) == "runs\n"


def test_a_copy_that_was_killed_is_in_nobodys_way(host: dict[str, str]) -> None:
    with first(**host) as copy:
        copy.send_signal(signal.SIGKILL)
        copy.wait()
        assert ran(SECOND, **host) == "runs\n"


def test_an_agent_made_anew_in_its_process_is_no_second_copy(host: dict[str, str]) -> None:
    assert ran(PLACE + "Agent('feed'); Agent('feed'); print('runs')", **host) == "runs\n"


@pytest.mark.parametrize("how", ["forked", "started"])
def test_a_child_that_outlives_its_agent_does_not_keep_the_claim(host: dict[str, str], how: str) -> None:
    children = {
        "forked": "child = os.fork()\nif not child: time.sleep(60); os._exit(0)",
        "started": "import subprocess; child = subprocess.Popen(['sleep', '60'], close_fds=False).pid",
    }
    with first(f"{children[how]}\nprint(child, flush=True)", **host) as copy:
        assert copy.stdout is not None
        child = int(copy.stdout.readline())
        copy.kill()
        copy.wait()
        assert ran(SECOND, **host) == "runs\n"
        assert Path(f"/proc/{child}").exists()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_an_agent_are_no_second_copies(host: dict[str, str], tmp_path: Path, method: str) -> None:
    script = tmp_path / "agent.py"
    script.write_text(
        f"""
import multiprocessing, os
from supervise.agent import Agent, claim
claim.SYSTEM = os.environ["CLAIMS"]
agent = Agent("feed")
def work(number):
    agent.beat(f"row {{number}}")
    return number + Agent("feed").name.count("e")
if __name__ == "__main__":
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        print(pool.map(work, range(3)))
""",
        encoding="utf-8",
    )
    out = ran(f"import subprocess; sys.exit(subprocess.run([sys.executable, {str(script)!r}]).returncode)", **host)
    assert out == "[2, 3, 4]\n"


@pytest.mark.parametrize("content", ["", "garbage", "1 1\n", "999999999 5\n"])
def test_a_first_copy_that_cannot_be_named_is_respected_all_the_same(host: dict[str, str], content: str) -> None:
    with first(**host):
        (file,) = Path(host["CLAIMS"]).rglob("feed")
        file.write_text(content, encoding="utf-8")
        done, _, err = ended(SECOND, **host)
    assert done == 75
    assert err == "feed is already running, and holds its claim; not starting a second copy\n"


# --- Claims of other users --------------------------------------------------------------------------------------------

ROOT, TRADER, MALLORY = 0, 12_345, 12_346
needs_users = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")


@pytest.fixture
def shared() -> Iterator[dict[str, str]]:
    """As `host`, with a folder that every user may enter, as that of the machine."""
    with tempfile.TemporaryDirectory(prefix="supervise-claims-") as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "claim").mkdir()
        (Path(folder) / "claim").chmod(0o1777)
        yield {"SUPERVISE_SINGLE": "1", "CLAIMS": f"{folder}/claim", "TMPDIR": folder}


@contextmanager
def first_of(uid: int, settings: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    become = f"os.umask(0o077); os.setgroups([]); os.setgid({uid}); os.setuid({uid})"
    program = f"{PLACE}\n{become}\nAgent('feed')\nprint('claimed', flush=True)\nsys.stdin.readline()"
    with started(program, **settings) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "claimed\n"
        yield process


def second_of(uid: int, settings: dict[str, str], unit: subprocess.Popen[str] | None = None) -> tuple[int, str, str]:
    """How a copy of this user ends, while that process is the main one of the machine's unit `agent@feed.service`."""
    seen = f"'/proc/{unit.pid}/cgroup'" if unit else "None"
    code = f"""
{PLACE}
real = claim._read
claim._read = lambda path: "0::/supervise.slice/agent@feed.service\\n" if path == {seen} else real(path)
os.setgroups([]); os.setgid({uid}); os.setuid({uid})
Agent('feed'); print('runs')
"""
    return ended(code, **settings)


@needs_users
@pytest.mark.parametrize("uid", [ROOT, MALLORY])
def test_beside_its_unit_no_other_user_starts_a_copy_by_hand(shared: dict[str, str], uid: int) -> None:
    with first_of(TRADER, shared) as copy:
        done, out, err = second_of(uid, shared, copy)
    assert (done, out) == (75, "")
    assert err.startswith(f"feed is already running as PID {copy.pid} since ")
    assert "(systemd unit agent@feed.service)" in err


@needs_users
def test_beside_a_copy_of_roots_no_other_user_starts_one(shared: dict[str, str]) -> None:
    with first_of(ROOT, shared) as copy:
        done, _, err = second_of(TRADER, shared)
        assert done == 75
        assert err.startswith(f"feed is already running as PID {copy.pid} since ")
        copy.kill()
        copy.wait()
        assert second_of(TRADER, shared)[:2] == (0, "runs\n")


@needs_users
@pytest.mark.parametrize("uid", [ROOT, TRADER])
def test_a_claim_of_any_other_user_is_in_nobodys_way(shared: dict[str, str], uid: int) -> None:
    with first_of(MALLORY, shared):
        assert second_of(uid, shared)[:2] == (0, "runs\n")


@needs_users
@pytest.mark.parametrize("trap", ["a link to roots folder", "a link to the file", "the PID of the unit written in it"])
def test_no_other_user_can_make_up_a_claim_that_counts(shared: dict[str, str], trap: str) -> None:
    claims = Path(shared["CLAIMS"])
    with first_of(MALLORY, shared) as copy, first_of(ROOT, {**shared, "SUPERVISE_AGENT": "other"}):
        mine = claims / str(MALLORY)
        if trap == "a link to roots folder":
            (claims / "7").symlink_to(claims / "0")
            (claims / "0" / "feed").touch()
        elif trap == "a link to the file":
            (mine / "feed").unlink()
            (mine / "feed").symlink_to(claims / "0" / "other")
        else:
            (mine / "feed").write_text("1 1\n", encoding="utf-8")
        assert copy.poll() is None
        assert second_of(TRADER, shared)[:2] == (0, "runs\n")


@needs_users
def test_nobody_else_can_lock_a_claim_by_looking_at_it(shared: dict[str, str]) -> None:
    with first_of(TRADER, shared) as copy:
        file = Path(shared["CLAIMS"]) / str(TRADER) / "feed"
        assert file.parent.stat().st_mode & 0o777 == 0o755
        assert file.stat().st_mode & 0o777 == 0o600
        code = f"os.setgid({MALLORY}); os.setuid({MALLORY})\ntry: open({str(file)!r})\n"
        assert ran(f"{code}except PermissionError: print('no')", **shared) == "no\n"
        assert copy.poll() is None


@pytest.mark.parametrize(
    ("cgroups", "counts"),
    [
        ("0::/supervise.slice/agent@feed.service\n", True),
        ("0::/supervise.slice/supervise-heavy.slice/agent@feed.service/workers\n", True),
        ("1:name=systemd:/supervise.slice/agent@feed.service\n0::/\n", True),
        ("0::/agent@feed.service\n", True),
        ("0::/supervise.slice/agent@feed.2.service\n", False),
        ("0::/user.slice/user-1.slice/user@1.service/supervise.slice/agent@feed.service\n", False),
        ("0::/system.slice/mallory.service/agent@feed.service\n", False),
        ("4:pids:/supervise.slice/agent@feed.service\n0::/\n", False),
        ("", False),
    ],
)
def test_only_the_machines_unit_of_that_agent_counts(cgroups: str, counts: bool) -> None:
    assert in_unit(cgroups, "feed") is counts


# --- Places -----------------------------------------------------------------------------------------------------------


def where(**settings: str) -> str:
    """Where such a process finds the file of its claim: empty if it runs without one."""
    code = "Agent('feed'); print(*(os.readlink(f'/proc/self/fd/{fd}') for fd in claim._held.values()))"
    return ran(PLACE + code, **settings).strip()


def test_the_machines_folder_comes_first_then_the_users_then_a_temporary_one(
    host: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "runtime").mkdir()
    uid = tmp_path.stat().st_uid
    host["XDG_RUNTIME_DIR"] = str(tmp_path / "runtime")
    assert where(**host) == f"{tmp_path}/claim/{uid}/feed"
    host["CLAIMS"] = "/nonexistent"
    assert where(**host) == f"{tmp_path}/runtime/supervise/claim/feed"
    del host["XDG_RUNTIME_DIR"]
    assert where(**host) == f"{tmp_path}/supervise-claim-{uid}/feed"


@pytest.mark.parametrize("name", ["../feed", "..", ".", "a/b", "Żółty agent", "feed\n"])
def test_whatever_its_name_is_a_claim_stays_in_its_folder(host: dict[str, str], tmp_path: Path, name: str) -> None:
    found = where(**host, SUPERVISE_AGENT=name)
    assert Path(found).parent == tmp_path / "claim" / str(tmp_path.stat().st_uid)
    assert Path(found).is_file()


@pytest.mark.parametrize("trap", ["a link", "open to others", "a file"])
def test_a_folder_that_others_could_write_to_is_not_trusted(host: dict[str, str], tmp_path: Path, trap: str) -> None:
    uid = tmp_path.stat().st_uid
    folder = tmp_path / "claim" / str(uid)
    if trap == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    elif trap == "a file":
        folder.touch()
    else:
        folder.mkdir()
        folder.chmod(0o777)
    assert where(**host) == f"{tmp_path}/supervise-claim-{uid}/feed"


def test_a_claim_that_is_a_link_is_not_followed(host: dict[str, str], tmp_path: Path) -> None:
    uid = tmp_path.stat().st_uid
    (tmp_path / "precious").write_text("kept", encoding="utf-8")
    for folder in (tmp_path / "claim" / str(uid), tmp_path / f"supervise-claim-{uid}"):
        folder.mkdir(mode=0o700)
        (folder / "feed").symlink_to(tmp_path / "precious")
    assert where(**host) == ""
    assert (tmp_path / "precious").read_text(encoding="utf-8") == "kept"


@pytest.mark.parametrize(
    ("cgroups", "unit"),
    [
        ("0::/supervise.slice/agent@feed.service\n", "agent@feed.service"),
        ("0::/user.slice/user-1.slice/user@1.service/supervise.slice/agent@feed.1.service\n", "agent@feed.1.service"),
        ("0::/supervise.slice/agent-run-feed.scope\n", "agent-run-feed.scope"),
        ("0::/user.slice/user-1.slice/user@1.service/app.slice/vte-spawn-7.scope\n", None),
        ("0::/user.slice/user-1000.slice/session-2.scope\n", None),
        ("0::/\n", None),
        ("12:pids:/x.service\n1:name=systemd:/system.slice/cron.service\n0::/\n", "cron.service"),
        ("0::/system.slice/a:b.service\n", "a:b.service"),
        ("", None),
    ],
)
def test_the_unit_of_a_process_is_read_from_its_cgroup(cgroups: str, unit: str | None) -> None:
    assert unit_of(cgroups) == unit

"""One agent in the foreground, as its unit would run it: the same environment, user and directory, in its own scope.

The environment is not imitated but asked for: systemd itself runs `env` in a transient unit with the agent's settings.
The sandbox and the limits of the unit are not in force here; that is what a person who debugs wants, and is said.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from supervise.access import Identity, identity
from supervise.errors import SuperviseError
from supervise.model import AgentSpec, Scope, Secret
from supervise.places import Places, places
from supervise.platforms.systemd.directives import no_glob
from supervise.platforms.systemd.platform import Systemd
from supervise.platforms.systemd.units import environment, run_unit

OF_ONE_START = frozenset(
    {"INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"}
    | {"MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE", "LISTEN_FDS", "CREDENTIALS_DIRECTORY"}
)
"""What systemd sets anew for each start of each unit."""
TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGQUIT)
"""The terminal sends them to the agent as well; we wait for its answer."""


def unit_environment(spec: AgentSpec) -> dict[str, str]:
    """What systemd would give the agent, environment files included. Raises SuperviseError with systemd's words."""
    there = places(spec.scope, os.environ, uid=os.getuid())
    settings = [f"--setenv={name}={value}" for name, value in environment(spec, there).items()]
    files = [f"--property=EnvironmentFile={no_glob(file)}" for file in spec.environment_files]
    who = (
        ["--user"]
        if spec.scope is Scope.USER
        else [f"--uid={spec.user or 'root'}", *([f"--gid={spec.group}"] if spec.group else [])]
    )
    done = subprocess.run(
        ["systemd-run", "--pipe", "--wait", "--quiet", "--collect", *who, *files, *settings, "/usr/bin/env", "-0"],
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip() or f"systemd-run exited with code {done.returncode}"
        raise SuperviseError(f'cannot get the environment of "{spec.name}": {why}')
    pairs = (os.fsdecode(entry).partition("=") for entry in done.stdout.split(b"\0") if entry)
    return {name: value for name, _, value in pairs if name not in OF_ONE_START}


def run(spec: AgentSpec, there: Places) -> int:
    """Run the agent until it ends; gives its exit code, 128 + N when signal N killed it."""
    if spec.dynamic_user:
        raise SuperviseError(
            f'cannot run "{spec.name}" in the foreground: its dynamic user exists only inside its unit'
        )
    who = identity(spec.user, spec.group) if spec.user else None
    wanted = unit_environment(spec)
    with _credentials(spec.secrets, there, who) as folder:
        if folder:
            wanted["CREDENTIALS_DIRECTORY"] = str(folder)
        if spec.before_start and (code := _run_in_scope(spec.before_start, spec, there, who, wanted)):
            raise SuperviseError(f'cannot run "{spec.name}": its before_start exited with code {code}')
        return _run_in_scope(spec.command, spec, there, who, wanted)


def _run_in_scope(
    words: tuple[str, ...], spec: AgentSpec, places: Places, who: Identity | None, wanted: Mapping[str, str]
) -> int:
    gate, opener = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(opener)
        _become_agent(words, spec, who, wanted, gate)
    os.close(gate)
    try:
        asyncio.run(_enter_scope(spec, places, child))
        os.write(opener, b"go")
    finally:
        os.close(opener)  # without "go" the child ends
        code = _wait_for(child)
    return code


async def _enter_scope(spec: AgentSpec, places: Places, pid: int) -> None:
    async with Systemd(places) as platform:
        await platform.adopt(run_unit(spec.name), (pid,), description=f"{spec.title} in the foreground")


def _become_agent(
    words: tuple[str, ...], spec: AgentSpec, who: Identity | None, wanted: Mapping[str, str], gate: int
) -> None:
    """In the child, once it is in its scope. Never returns."""
    try:
        if os.read(gate, 2) != b"go":
            os._exit(1)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if who:
            os.initgroups(who.name, who.gid)
            os.setgid(who.gid)
            os.setuid(who.uid)
        os.chdir(spec.working_directory)
        os.execve(words[0], words, dict(wanted))  # noqa: S606 - this is what the command is for
    except OSError as error:
        os.write(2, f"supervise: cannot run {spec.name}: {error}\n".encode())
    finally:
        os._exit(203)


def _wait_for(child: int) -> int:
    before = {number: signal.signal(number, signal.SIG_IGN) for number in TERMINAL_SIGNALS}
    before[signal.SIGTERM] = signal.signal(signal.SIGTERM, lambda *_: _pass_on(child))
    try:
        _, status = os.waitpid(child, 0)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _pass_on(child: int) -> None:
    with suppress(ProcessLookupError):  # it had the same signal, and is gone
        os.kill(child, signal.SIGTERM)


@contextmanager
def _credentials(secrets: tuple[Secret, ...], places: Places, who: Identity | None) -> Iterator[Path | None]:
    """A folder that only the agent's user can read, gone afterwards, with its secrets as the unit would have them."""
    if not secrets:
        yield None
        return
    places.runtime.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="credentials-", dir=places.runtime))
    try:
        for secret in secrets:
            target = folder / secret.name
            target.write_bytes(_content(secret))
            target.chmod(0o400)
            if who:
                os.chown(target, who.uid, who.gid)
        if who:
            os.chown(folder, who.uid, who.gid)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _content(secret: Secret) -> bytes:
    if not secret.encrypted:
        return secret.path.read_bytes()
    done = subprocess.run(
        ["systemd-creds", "decrypt", f"--name={secret.name}", str(secret.path), "-"], capture_output=True, check=False
    )
    if done.returncode:
        raise SuperviseError(f'cannot decrypt secret "{secret.name}": {done.stderr.decode(errors="replace").strip()}')
    return done.stdout

"""The two sockets: there, of the right owner and mode, listened to, and by systemd."""

from __future__ import annotations

import grp
import stat
from collections.abc import Iterator
from pathlib import Path

from supervise.doctor.findings import Finding, Severity, needs_root
from supervise.doctor.installation import Installation
from supervise.doctor.remedies import restart_daemon, shell
from supervise.platforms.systemd.units import AGENTS_GROUP, SOCKETS

CHECK = "sockets"
MODES = {True: (0o666, 0o660), False: (0o600, 0o600)}
"""Of the control and the agent socket, by whether they are the machine's (`templates/systemd/*.socket.j2`)."""
LISTENING = Path("/proc/net/unix")


def sockets(there: Installation) -> Iterator[Finding]:
    paths = (there.places.control, there.places.agent_socket)
    open_paths = listened_to()
    for unit, path, mode in zip(SOCKETS, paths, MODES[there.system], strict=True):
        try:
            status = path.stat()
        except FileNotFoundError:
            yield _restart(there, f'"{path}" is not there, so nobody hears what is said to it.')
            continue
        except PermissionError:
            yield needs_root(CHECK, f'"{path}"')
            continue
        if not stat.S_ISSOCK(status.st_mode):
            commands = f"{shell(there, ('rm', '-r', path))} && {restart_daemon(there)}"
            yield Finding(CHECK, Severity.ERROR, f'"{path}" is no socket.', "Take it away and listen anew.", commands)
            continue
        if open_paths is not None and str(path) not in open_paths:
            yield _restart(there, f'"{path}" is a leftover: nobody listens.')
        elif (state := _state(there, unit)) not in (None, "active"):
            text = f'Not systemd listens on "{path}" ({unit} is {state}), so what is said while we are away is lost.'
            yield Finding(CHECK, Severity.WARNING, text, "Hand it to systemd.", restart_daemon(there))
        yield from _rights(there, path, status.st_mode & 0o777, status.st_uid, status.st_gid, mode)


def listened_to(file: Path = LISTENING) -> frozenset[str] | None:
    """The paths of all bound sockets; None where that cannot be seen."""
    try:
        lines = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()[1:]
    except OSError:
        return None
    return frozenset(words[7] for line in lines if len(words := line.split(maxsplit=7)) == 8)


def _state(there: Installation, unit: str) -> str | None:
    return there.systemd.units.get(unit, {}).get("ActiveState") if there.systemd else None


def _restart(there: Installation, text: str) -> Finding:
    return Finding(CHECK, Severity.ERROR, text, "Listen anew; no agent notices.", restart_daemon(there))


def _rights(there: Installation, path: Path, mode: int, uid: int, gid: int, wanted: int) -> Iterator[Finding]:
    if mode != wanted:
        severity = Severity.ERROR if wanted & ~mode else Severity.WARNING
        text = f'"{path}" has mode {mode:04o} and not {wanted:04o}.'
        yield Finding(CHECK, severity, text, "Set it right.", shell(there, ("chmod", f"{wanted:04o}", path)))
    owner = 0 if there.system else there.uid
    if uid != owner:
        command = shell(there, ("chown", str(owner), path))
        yield Finding(CHECK, Severity.WARNING, f'"{path}" belongs to uid {uid}.', "Set it right.", command)
    if there.system and path == there.places.agent_socket and gid != _gid(AGENTS_GROUP):
        command = shell(there, ("chgrp", AGENTS_GROUP, path))
        text = f'"{path}" is not of group {AGENTS_GROUP}, so agents cannot say how they are.'
        yield Finding(CHECK, Severity.ERROR, text, "Set it right.", command)


def _gid(group: str) -> int | None:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None

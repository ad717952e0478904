"""The reconciler: runs, starts at boot, answers, sees what is, is of the version installed, and can start once more."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from supervise import __version__
from supervise.access import Identity, obstacle
from supervise.doctor.findings import Finding, Severity
from supervise.doctor.installation import Installation
from supervise.doctor.reading import blocked_at
from supervise.doctor.remedies import install_any, restart_daemon, shell, supervise, systemctl
from supervise.marker import marker, version_key
from supervise.observe.listing import resident
from supervise.platforms.systemd.states import length
from supervise.platforms.systemd.units import DAEMON, RECONCILER, SCANNER, SOCKETS
from supervise.text import counted

CHECK = "daemon"
PROMPT = 1.0
"""Seconds in which it answers when all is well."""
STALE = 20.0
"""Seconds of age from which its view is not to be trusted: it looks at all every ten."""
RESTLESS = 5
"""So many restarts by systemd are no accident any more."""
SETTLED = timedelta(minutes=2)
"""So long a life says that it is over: its watchdog would have ended it four times."""
LARGE = 384 * 1024 * 1024
"""Bytes in memory: three quarters of what its unit allows."""
NO_JOB = (0, "/")
HOMES = ("/root", "/home")


def daemon(there: Installation) -> Iterator[Finding]:
    unit = there.systemd.units.get(RECONCILER) if there.systemd else None
    if unit:
        yield from _runs(there, unit)
        yield from _kept(there, unit)
    elif there.info is None:
        yield Finding(
            CHECK,
            Severity.ERROR,
            f"No reconciler answers: {there.silence or 'there is none'}.",
            "Start it.",
            start(there),
        )
    if there.info:
        yield from _answers(there, there.info)
        yield from _eyes(there, there.info)
        yield from _size(there, there.info)
    yield from _versions(there)
    yield from _program(there)


# --- Runs -------------------------------------------------------------------------------------------------------------


def _runs(there: Installation, unit: Mapping[str, Any]) -> Iterator[Finding]:
    log = shell(there, ("journalctl", *(() if there.system else ("--user",)), "-n", "30", "-u", RECONCILER))
    state = unit.get("ActiveState")
    if unit.get("LoadState") == "not-found":
        yield Finding(CHECK, Severity.ERROR, "The reconciler is not installed.", "Install again.", install_any(there))
    elif unit.get("LoadState") == "masked":
        command = shell(there, systemctl(there, "unmask", RECONCILER))
        yield Finding(CHECK, Severity.ERROR, "The reconciler is masked.", "Let it start again.", command)
    elif state == "active":
        if there.info is None:
            text = f"The reconciler runs and does not answer: {there.silence}."
            yield Finding(CHECK, Severity.ERROR, text, "Restart it; no agent notices.", restart_daemon(there))
    elif there.info:
        text = f"A reconciler runs by hand (PID {there.info.get('pid')}), not as its unit."
        yield Finding(CHECK, Severity.NOTE, text, "End it, then have systemd start its own.", start(there))
    elif state in ("activating", "failed") or unit.get("Job", NO_JOB)[0]:
        result = unit.get("Result") or "no result"
        text = f"The reconciler does not come up ({result}, exit status {unit.get('ExecMainStatus', 0)})."
        yield Finding(CHECK, Severity.ERROR, text, "See what it says.", log)
    else:
        text = f"The reconciler does not run ({state}): nothing is restarted that systemd has given up, nobody is told."
        yield Finding(CHECK, Severity.ERROR, text, "Start it.", start(there))
    restarts = int(unit.get("NRestarts", 0))
    if restarts:
        severity = Severity.WARNING if restarts >= RESTLESS and _is_young(there, unit) else Severity.NOTE
        text = f"systemd had to start the reconciler again {'once' if restarts == 1 else f'{restarts} times'}."
        yield Finding(CHECK, severity, text, "See why; a restart by hand counts anew.", log)


def _is_young(there: Installation, unit: Mapping[str, Any]) -> bool:
    """Whether it has not run for long: the count alone tells of what may be over since days."""
    since = length(int(unit.get("ActiveEnterTimestampMonotonic", 0)))
    return since is None or there.at.monotonic - since < SETTLED


def start(there: Installation) -> str:
    return shell(there, systemctl(there, "start", *SOCKETS, RECONCILER))


def _kept(there: Installation, unit: Mapping[str, Any]) -> Iterator[Finding]:
    """What keeps it alive: boot, watchdog, the drop-ins of others."""
    units = there.systemd.units if there.systemd else {}
    off = [name for name in DAEMON if units.get(name, {}).get("UnitFileState") == "disabled"]
    if off:
        command = shell(there, systemctl(there, "enable", *off))
        yield Finding(CHECK, Severity.WARNING, f"Not started at boot: {', '.join(off)}.", "Enable it.", command)
    if unit.get("ActiveState") == "active" and not length(int(unit.get("WatchdogUSec", 0))):
        text = "The reconciler has no watchdog: if it hangs, it hangs for ever."
        yield Finding(CHECK, Severity.WARNING, text, "See who took it away.", f"systemctl cat {RECONCILER}")
    if unit.get("ActiveState") == "active" and (late := _unfed(there, unit)):
        text = f"The reconciler last fed its watchdog {late.total_seconds():.0f} s ago; soon systemd kills it."
        yield Finding(CHECK, Severity.WARNING, text, "See what holds it up.", restart_daemon(there))
    for name in DAEMON:
        if paths := units.get(name, {}).get("DropInPaths"):
            text = f"{name} is changed by hand: {', '.join(map(str, paths))}."
            yield Finding(CHECK, Severity.NOTE, text, "It stays over every install.", f"systemctl cat {name}")
        if units.get(name, {}).get("NeedDaemonReload"):
            command = f"{shell(there, systemctl(there, 'daemon-reload'))} && {restart_daemon(there)}"
            text = f"{name} was changed on disk since systemd read it."
            yield Finding(CHECK, Severity.WARNING, text, "Have it read anew, and restart it.", command)


def _unfed(there: Installation, unit: Mapping[str, Any]) -> timedelta | None:
    """How long ago it fed its watchdog, where that is more than two thirds of the time it has."""
    watchdog, fed = length(int(unit.get("WatchdogUSec", 0))), length(int(unit.get("WatchdogTimestampMonotonic", 0)))
    if not watchdog or not fed:
        return None
    ago = there.at.monotonic - fed
    return ago if ago > watchdog * 2 / 3 else None


# --- Answers ----------------------------------------------------------------------------------------------------------


def _answers(there: Installation, info: Mapping[str, Any]) -> Iterator[Finding]:
    age = info.get("view_age")
    if there.seconds is not None and there.seconds > PROMPT:
        text = f"The reconciler needed {there.seconds:.1f} s to answer."
        yield Finding(CHECK, Severity.WARNING, text, "See whether the machine is overloaded.", "uptime")
    if age is None:
        yield Finding(CHECK, Severity.NOTE, "The reconciler has not looked at anything yet.", "Look again in a moment.")
    elif age > STALE:
        text = f"What the reconciler knows is {age:.0f} s old."
        yield Finding(CHECK, Severity.ERROR, text, "Restart it; no agent notices.", restart_daemon(there))
    known, count = info.get("agents"), sum(len(manifest.agents) for manifest in there.manifests)
    if known is not None and known != count and not there.damaged and not there.unseen:
        text = f"The reconciler knows of {known} agents, and {count} are installed."
        yield Finding(CHECK, Severity.ERROR, text, "Start it anew; no agent notices.", restart_daemon(there))
    if (unseen := info.get("platform_unseen")) is not None:
        text = f"The reconciler could not ask systemd for {unseen:.0f} s."
        yield Finding(CHECK, Severity.ERROR, text, "Restart it; no agent notices.", restart_daemon(there))
    if age is not None and age <= STALE and there.seconds is not None and there.seconds <= PROMPT:
        text = f"The reconciler answers in {there.seconds * 1000:.0f} ms; its view is {age:.0f} s old."
        yield Finding(CHECK, Severity.OK, text)


def _eyes(there: Installation, info: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether it sees whose processes run where."""
    seen = info.get("processes", {})
    if seen.get("unseen"):
        text = "The reconciler cannot see processes: hidden copies go unnoticed, and it starts nothing."
        command = shell(there, systemctl(there, "restart", *SCANNER))
        yield Finding(CHECK, Severity.ERROR, text, "Start the scan service again.", command)
    elif seen.get("complete") is False and there.system:
        text = "Not all processes of this machine can be seen (hidepid=?), so nothing is started by the reconciler."
        yield Finding(CHECK, Severity.ERROR, text, "See how /proc is mounted.", "findmnt /proc")
    if doubts := seen.get("doubts"):
        pids = ", ".join(map(str, doubts))
        text = f"{counted(len(doubts), 'process')} may be an agent's, and nobody can tell whose: PID {pids}."
        ask = shell(there, supervise(there, "ps"))
        yield Finding(CHECK, Severity.WARNING, text, "They keep it from starting; end them by hand.", ask)


def _size(there: Installation, info: Mapping[str, Any]) -> Iterator[Finding]:
    size = resident(int(info.get("pid", 0)))
    if size is not None and size > LARGE:
        text = f"The reconciler has {size >> 20} MiB in memory, of 512 MiB that it may have."
        yield Finding(CHECK, Severity.WARNING, text, "Restart it; no agent notices.", restart_daemon(there))
    elif size is not None:
        yield Finding(CHECK, Severity.OK, f"The reconciler has {size >> 20} MiB in memory.")


# --- Versions and program ---------------------------------------------------------------------------------------------


def installed_version(there: Installation) -> str | None:
    """Of what version the reconciler's unit on disk is."""
    found = marker(_unit_file(there))
    return found.version if found else None


def _versions(there: Installation) -> Iterator[Finding]:
    installed, runs = installed_version(there), (there.info or {}).get("version")
    if installed and runs and runs != installed:
        text = f"The reconciler that runs is {runs}, and {installed} is installed."
        yield Finding(CHECK, Severity.WARNING, text, "Restart it; no agent notices.", restart_daemon(there))
    if installed and version_key(installed) > version_key(__version__):
        text = f"This command is supervise {__version__}, older than what is installed ({installed})."
        yield Finding(CHECK, Severity.WARNING, text, f"Use the command of version {installed}.")
    elif installed and installed != __version__:
        text = f"This command is supervise {__version__}, newer than what is installed ({installed})."
        yield Finding(CHECK, Severity.NOTE, text, "Install again to bring the units up to it.", install_any(there))


def _program(there: Installation) -> Iterator[Finding]:
    """Whether the interpreter in the unit, and our code where it is the same as this one's, can be reached."""
    found = interpreter(_unit_file(there))
    if found is None or there.daemon is None:
        return
    needed = [found]
    if found == Path(sys.executable):
        needed.append(Path(__file__).parent)
    for path in needed:
        if not path.exists():
            text = f'The reconciler cannot start again: its interpreter "{path}" is gone.'
            yield Finding(CHECK, Severity.ERROR, text, "Install with this one.", install_any(there))
        elif why := obstacle(path, there.daemon):
            yield _unreachable(there, path, there.daemon, why)
            return


def _unreachable(there: Installation, path: Path, who: Identity, why: str) -> Finding:
    text = f"The reconciler cannot start again: {why}."
    step = blocked_at(path, who)
    if step is None or str(step).startswith(HOMES):
        advice = "Put supervise where everybody may execute it, as in /opt, and install with that."
        return Finding(CHECK, Severity.ERROR, text, advice)
    return Finding(CHECK, Severity.ERROR, text, "Let it in.", shell(there, ("chmod", "a+x", step)))


def interpreter(unit_file: str) -> Path | None:
    """The first word of `ExecStart=`."""
    found = re.search(r"^ExecStart=(.+)$", unit_file, re.MULTILINE)
    try:
        words = shlex.split(found[1]) if found else []
    except ValueError:  # a quote that does not end: systemd does not take it either, and the unit was edited
        return None
    return Path(words[0]) if words else None


def _unit_file(there: Installation) -> str:
    try:
        return (there.places.units / RECONCILER).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""

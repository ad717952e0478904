"""What the reconciler may do: polkit itself is asked whether its user may restart an agent, and nothing else.

A rule that is on disk and not in force helps nobody; one that is too wide gives root to whoever takes the reconciler.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from supervise.access import Identity
from supervise.doctor.findings import Finding, Severity, needs_root
from supervise.doctor.installation import Installation
from supervise.doctor.remedies import install_any, shell, systemctl
from supervise.marker import edited, marker
from supervise.platforms.systemd.units import unit_name

CHECK = "polkit"
ACTION = "org.freedesktop.systemd1.manage-units"
PATIENCE = 3.0
"""Seconds for each question."""
YES, BROKEN = 0, 127
"""pkcheck(1): 1, 2 and 3 are ways to say no."""
FORBIDDEN = (("dbus.service", "restart"), ("{agent}", "kill"), ("{agent}.evil.service", "start"))
INSTALLERS = {"apt-get": ("install", "polkitd"), "dnf": ("install", "polkit"), "zypper": ("install", "polkit")}


def polkit(there: Installation) -> Iterator[Finding]:
    if not shutil.which("pkcheck"):
        words = next(((tool, *words) for tool, words in INSTALLERS.items() if shutil.which(tool)), None)
        text = "polkit is not installed, so the reconciler may start, stop and restart nothing."
        yield Finding(CHECK, Severity.ERROR, text, "Install it.", shell(there, words) if words else "")
        return
    if there.uid != 0:
        yield needs_root(CHECK, "What the reconciler may do")
        return
    yield from _file(there)
    if there.daemon:
        agents = [spec.name for manifest in there.manifests for spec in manifest.agents]
        with _subject(there, there.daemon) as pid:
            yield from _effect(there, pid, unit_name(agents[0] if agents else "doctor"))


def _file(there: Installation) -> Iterator[Finding]:
    file = there.places.polkit
    if file is None:
        return
    try:
        content = file.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        yield Finding(CHECK, Severity.ERROR, f'The rule "{file}" is gone.', "Install again.", install_any(there))
        return
    if marker(content) is None:
        commands = shell(there, ("mv", file, file.with_name(f"{file.name}.old")))
        command = f"{commands} && {again}" if (again := install_any(there)) else commands
        yield Finding(CHECK, Severity.ERROR, f'The rule "{file}" is not ours.', "Move it away, install again.", command)
    elif edited(content):
        text = f'The rule "{file}" was changed by hand.'
        yield Finding(CHECK, Severity.ERROR, text, "Install again.", install_any(there))


def _effect(there: Installation, pid: int, agent: str) -> Iterator[Finding]:
    code, said = asked(pid, agent, "restart")
    if code == BROKEN:
        command = shell(there, systemctl(there, "restart", "polkit.service"))
        yield Finding(CHECK, Severity.ERROR, f"polkit does not answer: {said}.", "Start it anew.", command)
        return
    if code != YES:
        file = there.places.polkit
        sound = file is not None and file.exists()
        advice, command = "Install again.", install_any(there)
        if sound:
            advice, command = (
                "Have polkit read its rules anew.",
                shell(there, ("systemctl", "restart", "polkit.service")),
            )
        text = f"polkit does not let the reconciler restart {agent}, nor any other agent."
        yield Finding(CHECK, Severity.ERROR, text, advice, command)
    for pattern, verb in FORBIDDEN:
        unit = pattern.replace("{agent}", agent)
        if asked(pid, unit, verb)[0] == YES:
            yield Finding(
                CHECK,
                Severity.ERROR,
                f"polkit lets the reconciler {verb} {unit}, which amounts to the rights of root.",
                "Find the rule that allows it, and take it back.",
                "grep -rl manage-units /etc/polkit-1 /usr/share/polkit-1/rules.d",
            )
            return


def asked(pid: int, unit: str, verb: str) -> tuple[int, str]:
    """Whether the user of this process may do that: pkcheck's exit code and words."""
    words = ("--action-id", ACTION, "--process", str(pid), "--detail", "unit", unit, "--detail", "verb", verb)
    try:
        done = subprocess.run(["pkcheck", *words], capture_output=True, text=True, check=False, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return BROKEN, f"not within {PATIENCE:g} s"
    return done.returncode, done.stderr.strip().rstrip(".")


@contextmanager
def _subject(there: Installation, daemon: Identity) -> Iterator[int]:
    """A process of the reconciler's user: the reconciler, or where it does not run one that waits meanwhile."""
    pid = int((there.info or {}).get("pid", 0))
    if pid and _is_of(pid, daemon):
        yield pid
        return
    with subprocess.Popen(["sleep", "60"], user=daemon.uid, group=daemon.gid, extra_groups=[], env={}) as waiting:
        try:
            yield waiting.pid
        finally:
            waiting.kill()


def _is_of(pid: int, who: Identity) -> bool:
    try:
        return Path(f"/proc/{pid}").stat().st_uid == who.uid
    except OSError:
        return False

"""systemd itself: reachable over D-Bus, new enough, and well."""

from __future__ import annotations

import re
from collections.abc import Iterator

from supervise.doctor.findings import Finding, Severity, sentence
from supervise.doctor.installation import Installation
from supervise.doctor.remedies import shell, systemctl

CHECK = "bus"
OLDEST = 252
SLOW = 1.0
"""Seconds; usual are a few thousandths."""
WELL = ("running", "degraded")


def bus(there: Installation) -> Iterator[Finding]:
    found = there.systemd
    if found is None:
        command = "" if there.system else "loginctl enable-linger"
        yield Finding(
            CHECK, Severity.ERROR, sentence(there.unreachable), "Nothing can be started or seen without it.", command
        )
        return
    version = re.match(r"\D*(\d+)", found.version)
    if not version or int(version[1]) < OLDEST:
        text = f"systemd {found.version} is older than {OLDEST}, for which the units are written."
        yield Finding(CHECK, Severity.ERROR, text, "Upgrade the system.")
    if found.seconds > SLOW:
        text = f"systemd needed {found.seconds:.1f} s to answer over D-Bus."
        command = shell(there, ("systemd-analyze", "dump")) if there.system else ""
        yield Finding(CHECK, Severity.WARNING, text, "See what keeps it busy.", command)
    if found.state not in WELL:
        command = shell(there, systemctl(there, "list-jobs"))
        yield Finding(
            CHECK, Severity.WARNING, f"The machine is {found.state}.", "See what it still has to do.", command
        )
    elif found.state == "degraded":
        command = shell(there, systemctl(there, "--failed"))
        yield Finding(CHECK, Severity.NOTE, "Some unit of this machine has failed.", "See which.", command)
    else:
        yield Finding(CHECK, Severity.OK, f"systemd {found.version} answers in {found.seconds * 1000:.0f} ms.")

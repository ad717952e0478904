"""Whether the agents of a user outlive a logout and start at boot."""

from __future__ import annotations

import pwd
from collections.abc import Iterator

from supervise.doctor.findings import Finding, Severity
from supervise.doctor.installation import Installation
from supervise.install.disk import LINGER

CHECK = "linger"


def linger(there: Installation) -> Iterator[Finding]:
    if not (LINGER / pwd.getpwuid(there.uid).pw_name).exists():
        text = "Your agents end when you log out, and do not start at boot."
        yield Finding(CHECK, Severity.WARNING, text, "Keep your systemd running.", "loginctl enable-linger")

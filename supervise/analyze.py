"""`systemd-analyze`, systemd's own judge: it needs no booted systemd and is asked in a fixed environment."""

from __future__ import annotations

import subprocess

from supervise.errors import SuperviseError

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC"}


def analyze(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What it says; its exit code is the caller's to judge. Raises SuperviseError where it is not installed."""
    try:
        return subprocess.run(
            ["systemd-analyze", *words],
            capture_output=True,
            text=True,
            check=False,
            env={**ENVIRONMENT, **environment},
        )
    except FileNotFoundError:
        raise SuperviseError("cannot judge units and calendars: systemd-analyze is not installed here") from None

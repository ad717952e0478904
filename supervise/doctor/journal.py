"""The journal: kept over a boot, readable by whoever looks, and with our agents in it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from supervise.doctor.findings import Finding, Severity
from supervise.doctor.installation import Installation
from supervise.doctor.remedies import shell
from supervise.platforms.systemd.units import RECONCILER

CHECK = "journal"
PERSISTENT, VOLATILE = Path("/var/log/journal"), Path("/run/log/journal")
MACHINE_ID = Path("/etc/machine-id")
PATIENCE = 4.0


def journal(there: Installation) -> Iterator[Finding]:
    if not shutil.which("journalctl"):
        yield Finding(CHECK, Severity.ERROR, "journalctl is not installed, so no log can be shown.", "Install systemd.")
        return
    folder = _folder()
    if folder is None:
        text = "journald keeps nothing here, so no log can be shown."
        command = shell(there, ("systemctl", "restart", "systemd-journald.service"))
        yield Finding(CHECK, Severity.WARNING, text, "See `Storage=` in journald.conf(5).", command)
        return
    if folder.is_relative_to(VOLATILE):
        command = shell(there, ("mkdir", "-p", PERSISTENT), ("journalctl", "--flush"))
        yield Finding(CHECK, Severity.NOTE, "Logs are lost at each boot.", "Keep them on disk.", command)
    yield from _readable(there, folder)


def _folder() -> Path | None:
    """Where this machine's journal lies."""
    machine = MACHINE_ID.read_text(encoding="ascii").strip() if MACHINE_ID.exists() else ""
    return next((one / machine for one in (PERSISTENT, VOLATILE) if machine and (one / machine).is_dir()), None)


def _readable(there: Installation, folder: Path) -> Iterator[Finding]:
    if there.system and not os.access(folder / "system.journal", os.R_OK):
        command = shell(there, ("usermod", "-aG", "systemd-journal", "$USER")).replace("'$USER'", "$USER")
        text = "The logs of the machine's agents cannot be read by this user."
        yield Finding(CHECK, Severity.NOTE, text, "Look as root, or join the group and log in again.", command)
        return
    if there.info and not said(there):
        text = (
            "The journal has no line about the reconciler, though it runs: lines are lost, or older ones were removed."
        )
        yield Finding(
            CHECK, Severity.NOTE, text, "See what journald says.", "systemctl status systemd-journald.service"
        )


def said(there: Installation) -> bool:
    """Whether anything of ours is in the journal; also true where that cannot be asked in time."""
    about = "_SYSTEMD_UNIT" if there.system else "_SYSTEMD_USER_UNIT"
    by_manager = "UNIT" if there.system else "USER_UNIT"
    slice_ = "_SYSTEMD_SLICE" if there.system else "_SYSTEMD_USER_SLICE"
    words = (f"{slice_}=supervise.slice", "+", f"{about}={RECONCILER}", "+", f"{by_manager}={RECONCILER}")
    try:
        done = subprocess.run(
            ["journalctl", "--quiet", "--no-pager", "-n", "1", "-o", "cat", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return True
    return bool(done.stdout) or done.returncode != 0

"""The way of the agents' beats: room in the queue of their socket, and none that had to be refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from supervise.doctor.findings import Finding, Severity
from supervise.doctor.installation import Installation
from supervise.doctor.remedies import shell

CHECK = "beats"
QUEUE = Path("/proc/sys/net/unix/max_dgram_qlen")
ENOUGH = 64
"""Datagrams; Linux's own default of 10 holds no beat of most agents while the reconciler restarts."""
BETTER = 512


def beats(there: Installation) -> Iterator[Finding]:
    yield from room(there, QUEUE)
    refused = {why: count for why, count in (there.info or {}).get("refused_beats", {}).items() if count}
    if refused:
        counts = ", ".join(f"{count} {why}" for why, count in sorted(refused.items()))
        text = f"Beats were refused since the reconciler started: {counts}."
        yield Finding(CHECK, Severity.NOTE, text, "See who sent them.", "supervise events -n 50")


def room(there: Installation, file: Path) -> Iterator[Finding]:
    try:
        length = int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return
    if length < ENOUGH:
        text = f"A socket here holds {length} messages, so beats of many agents at once are lost while nobody reads."
        advice = f'Make it more; "net.unix.max_dgram_qlen = {BETTER}" in /etc/sysctl.d/60-supervise.conf keeps it so.'
        command = shell(there, ("sysctl", "-w", f"net.unix.max_dgram_qlen={BETTER}"))
        command = command if there.sees_all and there.system else f"sudo {command.removeprefix('sudo ')}"
        yield Finding(CHECK, Severity.NOTE, text, advice, command)

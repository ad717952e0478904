"""Probes: what they need is there, and each can be asked. Of one that cannot nobody else hears."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from supervise.access import Identity, obstacle
from supervise.doctor.findings import Finding, Severity, listed
from supervise.doctor.installation import Installation
from supervise.doctor.programs import who_runs
from supervise.doctor.reading import blocked_at, is_seen
from supervise.doctor.remedies import shell
from supervise.model import AgentSpec, Probe, ProbeKind

CHECK = "probes"
KINDS = {ProbeKind.HTTP: "httpx"}
"""What has to be installed beside us for a kind of probe."""


def probes(there: Installation) -> Iterator[Finding]:
    specs = [spec for manifest in there.manifests for spec in manifest.agents]
    for kind, library in KINDS.items():
        names = [spec.name for spec in specs if any(probe.kind is kind for _, probe in asked(spec))]
        if names and find_spec(library) is None:
            text = f"{library} is not installed, so probes by {kind.value} are not asked: {listed(names)}."
            yield Finding(CHECK, Severity.ERROR, text, "Install it.", f"pip install {library}")
    for spec in specs:
        who = who_runs(there, spec)
        for label, probe in asked(spec):
            if who and probe.kind is ProbeKind.COMMAND:
                yield from _command(there, spec, label, probe, who)
    for name, why in sorted((there.info or {}).get("unasked", {}).items()):
        text = f"{name}: a probe cannot be asked: {why}."
        command = f"journalctl -n 20 -u 'agent-*@{name}.service'"
        yield Finding(CHECK, Severity.WARNING, text, "See what its manager says of it.", command)


def asked(spec: AgentSpec) -> Iterator[tuple[str, Probe]]:
    for label, probe in (("ready", spec.ready), ("live", spec.live)):
        if probe:
            yield label, probe


def _command(there: Installation, spec: AgentSpec, label: str, probe: Probe, who: Identity) -> Iterator[Finding]:
    program = Path(probe.target[0])
    if is_seen(program) and not program.exists():
        text = f'{spec.name}: "{program}" of its {label} probe is gone, so it cannot be asked.'
        yield Finding(CHECK, Severity.ERROR, text, "Put it back.")
    elif why := obstacle(program, who):
        step = blocked_at(program, who)
        command = shell(there, ("chmod", "a+x", step)) if step else ""
        text = f"{spec.name}: its {label} probe cannot be asked: {why}."
        yield Finding(CHECK, Severity.ERROR, text, "Let it in.", command)

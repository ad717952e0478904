"""What agents are made of: programs, folders and files that they need at their next start, reached by their user."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from supervise.access import DYNAMIC, Identity, identity, obstacle, stranger_who_writes
from supervise.doctor.findings import Finding, Severity, listed, needs_root
from supervise.doctor.installation import Installation
from supervise.doctor.reading import blocked_at, is_seen
from supervise.doctor.remedies import shell
from supervise.model import AgentSpec

CHECK = "programs"


def programs(there: Installation) -> Iterator[Finding]:
    agents: dict[Finding, list[str]] = {}
    unseen: list[str] = []
    for spec in (spec for manifest in there.manifests for spec in manifest.agents):
        who = who_runs(there, spec)
        if who is None:  # its account is gone, which the check of accounts tells
            continue
        if not all(map(is_seen, (Path(spec.command[0]), spec.working_directory, *_files(spec)))):
            unseen.append(spec.name)
        for found in _one(there, spec, who):
            agents.setdefault(found, []).append(spec.name)
    for found, names in agents.items():
        yield Finding(CHECK, found.severity, f"{listed(names)}: {found.text}", found.advice, found.command)
    if unseen:
        yield needs_root(CHECK, f"What {listed(unseen)} {'is' if len(unseen) == 1 else 'are'} made of")


def who_runs(there: Installation, spec: AgentSpec) -> Identity | None:
    """None where the account is gone."""
    if spec.dynamic_user:
        return DYNAMIC
    try:
        return identity(spec.user or ("root" if there.system else str(there.uid)), spec.group)
    except KeyError:
        return None


def _files(spec: AgentSpec) -> tuple[Path, ...]:
    return (*spec.environment_files, *(secret.path for secret in spec.secrets))


def _one(there: Installation, spec: AgentSpec, who: Identity) -> Iterator[Finding]:
    program = Path(spec.command[0])
    if is_seen(program) and not program.exists():
        yield Finding(CHECK, Severity.ERROR, f'"{program}" is gone, so it cannot start again.', "Put it back.")
    elif why := obstacle(program, who):
        step = blocked_at(program, who)
        command = shell(there, ("chmod", "a+x", step)) if step else ""
        yield Finding(CHECK, Severity.ERROR, f"it cannot start again: {why}.", "Let it in.", command)
    elif why := stranger_who_writes(program, who):
        text = f'others than {who.name} and root can replace "{program}": {why}.'
        yield Finding(CHECK, Severity.WARNING, text, "Take that right away.")
    yield from _folder(there, spec.working_directory, who)
    for path in _files(spec):
        if is_seen(path) and not path.is_file():
            yield Finding(CHECK, Severity.ERROR, f'"{path}" is gone, so it cannot start again.', "Put it back.")
    for secret in spec.secrets:
        if not secret.encrypted and is_seen(secret.path) and secret.path.is_file():
            yield from _closed(there, secret.path)


def _folder(there: Installation, folder: Path, who: Identity) -> Iterator[Finding]:
    if is_seen(folder) and not folder.is_dir():
        yield Finding(
            CHECK, Severity.ERROR, f'its folder "{folder}" is gone, so it cannot start again.', "Put it back."
        )
    elif (why := obstacle(folder, who)) and (step := blocked_at(folder, who)):
        command = shell(there, ("chmod", "a+x", step))
        yield Finding(
            CHECK, Severity.ERROR, f"its folder cannot be entered at its next start: {why}.", "Let it in.", command
        )


def _closed(there: Installation, secret: Path) -> Iterator[Finding]:
    if secret.stat().st_mode & 0o044:
        command = shell(there, ("chmod", "600", secret))
        text = f'the secret "{secret}" can be read by others.'
        yield Finding(CHECK, Severity.WARNING, text, "Close it; its manager hands it over as root.", command)

"""Commands that whoever looks can copy into a shell: with `sudo` where it takes root, `--user` where it is theirs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from supervise.config.find import NAME
from supervise.doctor.installation import Installation
from supervise.install.privilege import privileged
from supervise.manifest import Manifest
from supervise.platforms.systemd.units import RECONCILER, SOCKETS

Words = Sequence[str | Path]


def shell(there: Installation, *commands: Words) -> str:
    """The commands one after the other, each with the rights that it takes."""
    before = () if there.sees_all else ("sudo",)
    return " && ".join(shlex.join((*before, *map(str, words))) for words in commands)


def systemctl(there: Installation, *words: str) -> Words:
    return ("systemctl", *(() if there.system else ("--user",)), *words)


def supervise(there: Installation, *words: str | Path) -> Words:
    return ("supervise", *words, *(() if there.system else ("--user",)))


def install(there: Installation, manifest: Manifest) -> Words:
    """What makes a project anew as it was installed; where its overlay is not known, NAME stands for it."""
    more = ["--env", "NAME"] if overlays(manifest.source) else []
    more += ["--allow-root"] if any(privileged(manifest.agents)) else []
    return supervise(there, "install", "-f", manifest.source, *more)


def install_any(there: Installation) -> str:
    """What writes the files that all projects share; empty where no project can be read."""
    return shell(there, install(there, there.manifests[0])) if there.manifests else ""


def restart_daemon(there: Installation) -> str:
    return shell(there, systemctl(there, "restart", *SOCKETS, RECONCILER))


def overlays(source: Path) -> tuple[str, ...]:
    """Names that `--env` could have had: a manifest does not say with which one it was made."""
    if source.name != NAME:
        return ()
    found = sorted(source.parent.glob(f"{source.stem}.*{source.suffix}"))
    return tuple(one.name.removeprefix(f"{source.stem}.").removesuffix(source.suffix) for one in found)

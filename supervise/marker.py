"""The first line of every file we write: whose it is, and two digests. Pure.

`file` is the digest of all that follows the marker, so an edit by hand shows. `run` covers only what takes effect when
a process is started, so a change of it asks for a restart. Files of no project (`project=-`) carry the version that
wrote them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

PREFIX = "# Managed by supervise:"
IN_SCRIPTS = "// "
"""What stands before it in a file whose comments do not begin with `#`."""
SHARED = "-"


@dataclass(frozen=True, slots=True)
class Marker:
    project: str
    agent: str
    file: str
    run: str
    version: str = SHARED

    def __str__(self) -> str:
        line = f"{PREFIX} project={self.project} agent={self.agent} file={self.file} run={self.run}"
        return line if self.version == SHARED else f"{line} version={self.version}"


def digest(parts: Iterable[str]) -> str:
    """Twelve hex digits that change when any part does."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def stamped(
    body: str,
    *,
    project: str = SHARED,
    agent: str = SHARED,
    run: str = SHARED,
    version: str = SHARED,
    comment: str = "",
) -> str:
    """The body under its marker line. `comment` makes a comment of it where `#` does not."""
    return f"{comment}{Marker(project, agent, digest([body]), run, version)}\n{body}"


def marker(content: str) -> Marker | None:
    """The marker of a file's content; None for a file that is not ours."""
    first = content.partition("\n")[0].removeprefix(IN_SCRIPTS)
    if not first.startswith(PREFIX):
        return None
    fields = dict(re.findall(r"(\w+)=(\S+)", first))
    try:
        return Marker(fields["project"], fields["agent"], fields["file"], fields["run"], fields.get("version", SHARED))
    except KeyError:
        return None


def edited(content: str) -> bool:
    """Whether somebody changed the file after we wrote it."""
    found = marker(content)
    return found is not None and found.file != digest([content.partition("\n")[2]])


def version_key(version: str) -> tuple[int, ...]:
    """For comparing versions: the numbers of `1.2.3`."""
    return tuple(int(number) for number in re.findall(r"\d+", version))

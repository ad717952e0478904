"""What agents would be started with now, as far as the disk shows it to us: the revision of their code, their files.

git is not run: the commit that is checked out stands in a few small files (gitrepository-layout(5)). They may belong to
anybody, so nothing is trusted to be regular, small or well-formed; and what cannot be seen is left out, never guessed.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from supervise.clock import now
from supervise.model import AgentSpec, FileMark, Instant, OnDisk

VARIABLE = "SUPERVISE_REVISION"
COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
REFERENCE = re.compile(r"ref: (refs/\S+)")
LINK = "gitdir: "
MOST_REFERENCES = 5
"""So many symbolic references lead to a commit at most, as with git itself."""
SMALL, LARGE = 1 << 12, 1 << 26
"""Bytes that are read of a file at most: of one with a line or two, and of packed references."""
GONE = FileMark("gone", None)

T = TypeVar("T")
Stamp = tuple[int, int, int, int]
"""Device, inode, size and time of writing: what differs when a file is another one."""


@dataclass(frozen=True, slots=True)
class Head:
    """The commit that is checked out, and since when the files that say so have been as they are."""

    commit: str
    since: datetime


@dataclass(slots=True)
class Files:
    """Files that are read again only where they changed; of whom nobody asks within a look they are forgotten."""

    _read: dict[tuple[Path, str], tuple[Stamp, object]] = field(default_factory=dict)
    _before: dict[tuple[Path, str], tuple[Stamp, object]] = field(default_factory=dict)

    def begin(self) -> None:
        """A new look at everything."""
        self._before, self._read = self._read, {}

    def parsed(
        self, path: Path, what: str, parse: Callable[[bytes], T], *, most: int = SMALL
    ) -> tuple[T, datetime] | None:
        """What a regular file says of `what`, and when it last changed; None where it cannot be read."""
        try:
            seen = path.stat()
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(seen.st_mode) or seen.st_size > most:
            return None
        known = self._read.get((path, what)) or self._before.get((path, what))
        if known is None or known[0] != _stamp(seen):
            content = _content(path, most)
            if content is None:
                return None
            known = _stamp(seen), parse(content)
        self._read[path, what] = known
        return known[1], _changed(seen)  # type: ignore[return-value]  # what `parse` returned


class Disk:
    """Looks at what agents would be started with. A look may take long where a disk does not answer."""

    def __init__(self, clock: Callable[[], Instant] = now) -> None:
        self._clock = clock
        self._files = Files()

    def look(self, specs: Iterable[AgentSpec]) -> dict[str, OnDisk]:
        self._files.begin()
        heads: dict[Path, Head | None] = {}
        return {spec.name: self._one(spec, heads) for spec in specs}

    def _one(self, spec: AgentSpec, heads: dict[Path, Head | None]) -> OnDisk:
        at = self._clock().monotonic
        marks = {what: mark for what, path in named_files(spec) if (mark := file_mark(path))}
        revision, since = self._revision(spec, heads)
        return OnDisk(at, revision, since, marks)

    def _revision(self, spec: AgentSpec, heads: dict[Path, Head | None]) -> tuple[str | None, datetime | None]:
        """By what the agent is told, where it is told; else by git."""
        for file in reversed(spec.environment_files):
            said = self._files.parsed(file, VARIABLE, variable)
            if said and said[0]:
                return said
        if spec.environment.get(VARIABLE):
            return spec.environment[VARIABLE], None
        folder = spec.working_directory
        if folder not in heads:
            heads[folder] = head(folder, self._files)
        found = heads[folder]
        return (found.commit, found.since) if found else (None, None)


def named_files(spec: AgentSpec) -> Iterator[tuple[str, Path]]:
    """The files that a start reads, by what people call them."""
    for secret in spec.secrets:
        yield f"secret {secret.name}", secret.path
    for file in spec.environment_files:
        yield f"environment file {file}", file


def file_mark(path: Path) -> FileMark | None:
    """What tells a file from what stands there later; None where we may not look."""
    try:
        seen = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return GONE
    except OSError:
        return None
    return FileMark("-".join(map(str, _stamp(seen))), _changed(seen))


def variable(content: bytes) -> str | None:
    """The revision that an environment file gives (systemd.exec(5), `EnvironmentFile=`; the last one counts)."""
    found = re.findall(rf"^[ \t]*{VARIABLE}=(.*)$", content.decode("utf-8", "replace"), re.MULTILINE)
    said = found[-1].strip() if found else ""
    return said[1:-1] if len(said) > 1 and said[0] == said[-1] and said[0] in "\"'" else said or None


# --- git --------------------------------------------------------------------------------------------------------------


def head(folder: Path, files: Files) -> Head | None:
    """The commit that is checked out where the folder lies; None where that is no working tree, or cannot be seen."""
    for above in (folder, *folder.parents):
        try:
            git = _repository(above, files)
        except OSError:  # what is hidden here may be nearer than what lies above
            return None
        if git:
            return _resolved(git, files)
    return None


def _repository(tree: Path, files: Files) -> Path | None:
    """The repository of a working tree: in it, or named by a file (`git worktree`, submodules). None if it is none."""
    git = tree / ".git"
    try:
        is_folder = stat.S_ISDIR(git.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if is_folder:
        return git
    found = files.parsed(git, "gitdir", _line)
    if found is None or not found[0].startswith(LINK):
        raise NotADirectoryError(git)
    return tree / found[0].removeprefix(LINK)


def _resolved(git: Path, files: Files) -> Head | None:
    found = files.parsed(git / "HEAD", "line", _line)
    shared = _shared(git, files)
    for _ in range(MOST_REFERENCES):
        if found is None:
            return None
        line, since = found
        if COMMIT.fullmatch(line):
            return Head(line, since)
        reference = REFERENCE.fullmatch(line)
        if reference is None or ".." in reference[1].split("/"):
            return None
        next_one = _referred(reference[1], git, shared, files)
        found = (next_one[0], max(since, next_one[1])) if next_one else None
    return None


def _referred(name: str, git: Path, shared: Path, files: Files) -> tuple[str, datetime] | None:
    """What a reference says: in a file of its own, of this tree or of all, else among those that are packed."""
    for place in (git, shared):
        if found := files.parsed(place / name, "line", _line):
            return found
    packed = files.parsed(shared / "packed-refs", name, lambda content: _packed(content, name), most=LARGE)
    return (packed[0], packed[1]) if packed and packed[0] else None


def _shared(git: Path, files: Files) -> Path:
    """Where all working trees of a repository have what they share."""
    found = files.parsed(git / "commondir", "line", _line)
    return git / found[0] if found else git


def _packed(content: bytes, name: str) -> str:
    found = re.search(rb"^(\S+) " + re.escape(name.encode()) + rb"$", content, re.MULTILINE)
    return found[1].decode("ascii", "replace") if found else ""


def _line(content: bytes) -> str:
    return os.fsdecode(content.partition(b"\n")[0]).rstrip("\r")


# --- Files ------------------------------------------------------------------------------------------------------------


def _stamp(seen: os.stat_result) -> Stamp:
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns


def _changed(seen: os.stat_result) -> datetime:
    try:
        return datetime.fromtimestamp(seen.st_ctime, UTC)
    except (ValueError, OverflowError, OSError):  # a file system of somebody's own may say anything
        return datetime.max.replace(tzinfo=UTC)


def _content(path: Path, most: int) -> bytes | None:
    """Without waiting: what was a file a moment ago may be a pipe by now."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            return os.read(descriptor, most)
        finally:
            os.close(descriptor)
    except OSError:
        return None

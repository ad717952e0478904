"""All processes, again and again, at little cost: only what is new, young, or due is read anew.

A process is known by its PID and the inode number of its folder in /proc, which no later process shares and which the
listing itself tells. Since a process may become another program (execve(2)) or be moved to another control group, the
young are read again in every look. Of the others a share is asked for its signs, so that each is within `ROUND` looks,
and read again where they differ.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from supervise.model import Process
from supervise.observe.scan import PROC, Signs, View, read, signs, view

ROUND = 10
"""So many looks until everybody has been read again."""
YOUNG = 5
"""A process is young in its first so many looks: shells become programs soon, or never."""


@dataclass(slots=True)
class _Known:
    """`process` is None for what is nobody's: kernel threads, zombies, other PID namespaces."""

    inode: int
    process: Process | None
    readable: bool
    looks: int = 0
    signs: Signs | None = None
    """What it was when it was read, once it is young no more."""


class Census:
    """The processes of this host. Each `look` gives what is there now and knows what it has read before."""

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._view: View = view(proc)
        self._known: dict[int, _Known] = {}
        self._looks = 0
        self.complete = False
        """Whether the last look could see everybody's processes."""

    def look(self) -> Iterator[Process]:
        """The living processes. Those that did not change are the same objects as before."""
        self._looks += 1
        there = dict(self._listed())
        for pid in self._known.keys() - there.keys():
            del self._known[pid]
        for pid, inode in there.items():
            known = self._known.get(pid)
            if known is None or known.inode != inode:
                self._known[pid] = self._read(pid, inode)
            else:
                self._read_again(pid, known)
        self.complete = 1 in there and all(one.readable for one in self._known.values())
        return iter([one.process for one in self._known.values() if one.process])

    def read_again(self, pid: int) -> None:
        """Have the next look read this process anew."""
        self._known.pop(pid, None)

    def _listed(self) -> Iterator[tuple[int, int]]:
        with os.scandir(self._proc) as entries:
            for entry in entries:
                if entry.name.isdecimal() and entry.name != self._view.pid:
                    yield int(entry.name), entry.inode()

    def _read_again(self, pid: int, known: _Known) -> None:
        known.looks += 1
        if known.looks > YOUNG and known.readable:
            if (pid + self._looks) % ROUND:
                return
            before, known.signs = known.signs, signs(self._proc, str(pid))
            if known.signs and known.signs == before:
                return
        found = self._read(pid, known.inode)
        known.readable = found.readable
        if found.process != known.process:
            known.process = found.process

    def _read(self, pid: int, inode: int) -> _Known:
        try:
            return _Known(inode, read(self._proc, str(pid), self._view), readable=True)
        except PermissionError:
            return _Known(inode, None, readable=False)

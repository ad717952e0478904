"""What an install still has to do, written down before it does it, for the next one to finish."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervise.errors import SuperviseError
from supervise.install.plan import FileChange, Kind
from supervise.places import Places


@dataclass(frozen=True, slots=True)
class Journal:
    """`changes` without contents: those are staged beside their places. `enable`, `disable`: units of the project that
    an unfinished install may or may not have dealt with; whatever they are now is nobody's choice."""

    project: str
    changes: tuple[FileChange, ...] = ()
    enable: tuple[str, ...] = ()
    disable: tuple[str, ...] = ()

    @property
    def unsettled(self) -> Mapping[str, frozenset[str]]:
        return {self.project: frozenset((*self.enable, *self.disable))}


def to_json(journal: Journal) -> str:
    files = [{"kind": change.kind, "path": str(change.path)} for change in journal.changes]
    content = {"project": journal.project, "files": files, "enable": journal.enable, "disable": journal.disable}
    return json.dumps(content, indent=1) + "\n"


def read_journal(places: Places) -> Journal | None:
    """None where no install is unfinished. Raises SuperviseError for a file that cannot be understood."""
    try:
        return _journal(json.loads(places.journal.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise SuperviseError(
            f'cannot read the journal "{places.journal}": {error}; remove it and install again'
        ) from error


def _journal(said: Any) -> Journal:
    changes = tuple(FileChange(Kind(one["kind"]), Path(one["path"]), None, None, None) for one in said["files"])
    return Journal(str(said["project"]), changes, tuple(said["enable"]), tuple(said["disable"]))

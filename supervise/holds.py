"""Hold files: a person forbids an agent to run, and every unit asserts that its file is not there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from supervise.model import Hold
from supervise.places import Places


def read_holds(places: Places) -> Mapping[str, Hold]:
    """Every hold by agent name. A file that cannot be parsed still holds: systemd looks only at its being there."""
    if not places.holds.is_dir():
        return {}
    found = [_hold(file) for file in sorted(places.holds.iterdir()) if not file.name.startswith(".")]
    return {hold.name: hold for hold in found if hold}


def write_hold(places: Places, hold: Hold) -> None:
    places.holds.mkdir(parents=True, exist_ok=True)
    content = {"reason": hold.reason, "by": hold.by, "at": hold.at.isoformat(timespec="seconds")}
    staged = places.holds / f".{hold.name}"
    staged.write_text(json.dumps(content) + "\n", encoding="utf-8")
    staged.rename(places.hold(hold.name))


def remove_hold(places: Places, name: str) -> bool:
    """Whether there was one."""
    try:
        places.hold(name).unlink()
    except FileNotFoundError:
        return False
    return True


def _hold(file: Path) -> Hold | None:
    """None where it was taken back this very moment."""
    try:
        written = datetime.fromtimestamp(file.lstat().st_mtime, UTC)
        content = json.loads(file.read_text(encoding="utf-8"))
        return Hold(file.name, str(content["reason"]), str(content["by"]), datetime.fromisoformat(content["at"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return Hold(file.name, "no reason is recorded", "somebody", written)

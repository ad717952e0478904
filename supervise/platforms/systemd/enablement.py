"""What is enabled and what is masked, read from the symlinks themselves: 500 D-Bus questions would say the same."""

from __future__ import annotations

from pathlib import Path

from supervise.places import Places
from supervise.platforms.systemd.units import DAEMON

WANTS = "supervise.target.wants"


def enabled_units(places: Places) -> frozenset[str]:
    """Units that `supervise.target` starts."""
    return _names(places.units / WANTS)


def target_enabled(places: Places) -> bool:
    """Whether `supervise.target` itself is pulled in at boot."""
    return (places.units / f"{places.boot_target}.wants" / "supervise.target").is_symlink()


def daemon_enabled(places: Places) -> frozenset[str]:
    """Those of our daemon's own units that a boot, or a login, starts."""
    folders = (f"{places.boot_target}.wants", "sockets.target.wants")
    return frozenset(unit for unit in DAEMON for folder in folders if (places.units / folder / unit).is_symlink())


def masked_units(places: Places) -> frozenset[str]:
    if not places.units.is_dir():
        return frozenset()
    return frozenset(path.name for path in places.units.glob("agent@*") if _leads_to(path) == "/dev/null")


def _leads_to(link: Path) -> str | None:
    """None for what is no link, or is none any more."""
    try:
        return str(link.readlink())
    except OSError:
        return None


def _names(folder: Path) -> frozenset[str]:
    return frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset()

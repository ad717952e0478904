"""Where things live on a host, for either scope."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from supervise.model import Scope
from supervise.places import SYSTEM, Places, places, user_places


def paths(found: Places) -> list[str]:
    return [
        str(path)
        for path in (
            found.units,
            found.manifests,
            found.state,
            found.runtime,
            found.stamps,
            found.holds,
            found.journal,
        )
    ]


def test_the_machines_places_are_fixed_whatever_the_environment_says() -> None:
    assert places(Scope.SYSTEM, {"XDG_CONFIG_HOME": "/x", "HOME": "/y"}, uid=0) is SYSTEM
    assert paths(SYSTEM) == [
        "/etc/systemd/system",
        "/etc/supervise/projects",
        "/var/lib/supervise",
        "/run/supervise",
        "/var/lib/systemd/timers",
        "/var/lib/supervise/hold",
        "/etc/supervise/install.journal",
    ]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (
            {"HOME": "/home/u"},
            [
                "/home/u/.config/systemd/user",
                "/home/u/.config/supervise/projects",
                "/home/u/.local/state/supervise",
                "/run/user/7/supervise",
                "/home/u/.local/share/systemd/timers",
                "/home/u/.local/state/supervise/hold",
                "/home/u/.config/supervise/install.journal",
            ],
        ),
        (
            {
                "HOME": "/home/u",
                "XDG_CONFIG_HOME": "/c",
                "XDG_STATE_HOME": "/s",
                "XDG_RUNTIME_DIR": "/r",
                "XDG_DATA_HOME": "/d",
            },
            [
                "/c/systemd/user",
                "/c/supervise/projects",
                "/s/supervise",
                "/r/supervise",
                "/d/systemd/timers",
                "/s/supervise/hold",
                "/c/supervise/install.journal",
            ],
        ),
    ],
    ids=["home", "xdg"],
)
def test_a_users_places_are_those_of_xdg(environ: Mapping[str, str], expected: list[str]) -> None:
    assert paths(places(Scope.USER, environ, uid=7)) == expected


def test_an_empty_variable_counts_as_unset() -> None:
    empty = {"HOME": "/home/u", "XDG_CONFIG_HOME": "", "XDG_STATE_HOME": "", "XDG_RUNTIME_DIR": "", "XDG_DATA_HOME": ""}
    assert user_places(empty, uid=7) == user_places({"HOME": "/home/u"}, uid=7)


def test_only_the_machine_makes_users_and_folders() -> None:
    own = user_places({"HOME": "/home/u"}, uid=7)
    assert (own.sysusers, own.tmpfiles) == (None, None)
    assert SYSTEM.sysusers == Path("/etc/sysusers.d/supervise.conf")
    assert SYSTEM.tmpfiles == Path("/etc/tmpfiles.d/supervise.conf")


def test_what_boots_the_agents_depends_on_the_scope() -> None:
    assert SYSTEM.boot_target == "multi-user.target"
    assert user_places({}, uid=7).boot_target == "default.target"


def test_each_project_and_each_agent_has_a_file_of_its_own() -> None:
    assert SYSTEM.manifest("trading") == Path("/etc/supervise/projects/trading.json")
    assert SYSTEM.hold("scanner.1") == Path("/var/lib/supervise/hold/scanner.1")
    assert SYSTEM.lock == Path("/run/supervise/install.lock")

"""Which directives stand in a unit, per level, scope, version and path. What they do is shown in `tests/e2e`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from supervise.model import AgentSpec, Hardening, Notify, Scope
from supervise.platforms.systemd.hardening import directives, left_out
from supervise.platforms.systemd.hardening_rules import RULES

NONE, STANDARD, STRICT = Hardening.NONE, Hardening.STANDARD, Hardening.STRICT
CLAIM = ("ReadWritePaths", "-/run/supervise/claim")
PATHS = {"BindPaths", "BindReadOnlyPaths", "ReadWritePaths"}


def spec(
    hardening: Hardening, folder: str = "/srv/p", *writable: str, scope: Scope = Scope.SYSTEM, dynamic: bool = False
) -> AgentSpec:
    return AgentSpec(
        name="a",
        base="a",
        title="A",
        project="p",
        scope=scope,
        command=("/usr/bin/python3", "a.py"),
        working_directory=Path(folder),
        hardening=hardening,
        writable_paths=tuple(Path(path) for path in writable),
        dynamic_user=dynamic,
    )


def lines(agent: AgentSpec, version: int = 252) -> list[tuple[str, str]]:
    return [(one.name, one.value) for one in directives(agent, version=version)]


def paths(agent: AgentSpec) -> list[tuple[str, str]]:
    return [line for line in lines(agent) if line[0] in PATHS]


def names(agent: AgentSpec, version: int = 252) -> set[str]:
    return {name for name, _ in lines(agent, version)}


def missing(agent: AgentSpec, version: int = 252) -> dict[str, str]:
    return dict(left_out(agent, version=version))


# --- Levels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", list(Scope))
def test_none_fences_nothing_and_leaves_nothing_out(scope: Scope) -> None:
    assert directives(spec(NONE, "/etc/p", "/etc/p/data", scope=scope), version=252) == ()
    assert left_out(spec(NONE, scope=scope), version=252) == ()


def test_standard_in_the_system_scope_is_this() -> None:
    assert lines(spec(STANDARD)) == [
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "full"),
        ("ProtectKernelModules", "yes"),
        ("ProtectControlGroups", "yes"),
        ("RestrictSUIDSGID", "yes"),
        ("RestrictRealtime", "yes"),
        ("LockPersonality", "yes"),
        ("SystemCallArchitectures", "native"),
        ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK"),
    ]


def test_standard_in_the_user_scope_keeps_what_works_there() -> None:
    assert names(spec(STANDARD, scope=Scope.USER)) == {
        "NoNewPrivileges",
        "RestrictSUIDSGID",
        "RestrictRealtime",
        "LockPersonality",
        "SystemCallArchitectures",
        "RestrictAddressFamilies",
    }
    assert set(missing(spec(STANDARD, scope=Scope.USER))) == {
        "ProtectSystem",
        "ProtectKernelModules",
        "ProtectControlGroups",
    }


def test_strict_in_the_system_scope_is_this() -> None:
    assert lines(spec(STRICT)) == [
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ReadOnlyPaths", "/run"),
        ("ProtectHome", "tmpfs"),
        ("TemporaryFileSystem", "/home:ro /root:ro /run/user:ro"),
        ("PrivateTmp", "yes"),
        ("PrivateDevices", "yes"),
        ("ProtectKernelModules", "yes"),
        ("ProtectKernelTunables", "yes"),
        ("ProtectKernelLogs", "yes"),
        ("ProtectControlGroups", "yes"),
        ("ProtectClock", "yes"),
        ("ProtectHostname", "yes"),
        ("ProtectProc", "invisible"),
        ("RestrictSUIDSGID", "yes"),
        ("RestrictRealtime", "yes"),
        ("LockPersonality", "yes"),
        ("SystemCallArchitectures", "native"),
        ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6"),
        ("RestrictNamespaces", "yes"),
        ("SystemCallFilter", "@system-service"),
        ("SystemCallErrorNumber", "EPERM"),
        ("CapabilityBoundingSet", ""),
        CLAIM,
    ]


def test_strict_in_the_user_scope_needs_private_users_and_lacks_two() -> None:
    user = names(spec(STRICT, scope=Scope.USER))
    system = names(spec(STRICT))
    assert user - system == {"PrivateUsers", "BindReadOnlyPaths", "RuntimeDirectory", "RuntimeDirectoryPreserve"}
    assert system - user == {"ProtectKernelLogs", "ProtectProc"}
    assert set(missing(spec(STRICT, scope=Scope.USER))) == {"ProtectKernelLogs", "ProtectProc"}


def test_private_users_is_no_loss_of_the_system_scope() -> None:
    assert left_out(spec(STRICT), version=252) == ()
    assert left_out(spec(STANDARD), version=252) == ()


@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize("level", list(Hardening))
def test_every_directive_is_of_the_service_says_why_and_asks_for_a_restart(level: Hardening, scope: Scope) -> None:
    for one in directives(spec(level, "/home/u/p", "/srv/data", scope=scope), version=252):
        assert (one.section, one.at_exec) == ("Service", True)
        assert one.why


def test_no_rule_stands_twice_at_one_level() -> None:
    for level in (STANDARD, STRICT):
        found = [rule.name for rule in RULES if level in rule.levels]
        assert len(found) == len(set(found))


# --- Versions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "since"), [(rule.name, rule.since) for rule in RULES if rule.since])
def test_a_directive_is_written_from_the_version_on_that_knows_it(name: str, since: int) -> None:
    assert name in names(spec(STRICT), since)
    assert name not in missing(spec(STRICT), since)
    assert name not in names(spec(STRICT), since - 1)
    assert str(since) in missing(spec(STRICT), since - 1)[name]


# --- Paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["/etc/p", "/usr/local/p", "/boot/p", "/usr"])
def test_standard_opens_a_programs_own_folder_where_the_system_is_read_only(folder: str) -> None:
    assert paths(spec(STANDARD, folder)) == [("ReadWritePaths", folder)]


@pytest.mark.parametrize("folder", ["/srv/p", "/opt/p", "/home/u/p", "/tmp/p", "/etcetera", "/"])
def test_standard_opens_nothing_that_is_open_already(folder: str) -> None:
    assert paths(spec(STANDARD, folder, "/srv/data")) == []


def test_standard_opens_nothing_in_the_user_scope_where_nothing_is_closed() -> None:
    assert paths(spec(STANDARD, "/etc/p", "/usr/local/data", scope=Scope.USER)) == []


def test_standard_opens_what_the_user_names_below_etc() -> None:
    assert paths(spec(STANDARD, "/srv/p", "/etc/app")) == [("ReadWritePaths", "/etc/app")]


def test_strict_opens_writable_paths_and_not_the_programs_own_folder() -> None:
    assert paths(spec(STRICT, "/srv/p", "/srv/p/data", "/run/p")) == [
        ("ReadWritePaths", "/srv/p/data"),
        ("ReadWritePaths", "/run/p"),
        CLAIM,
    ]


@pytest.mark.parametrize("root", ["/home/u", "/root", "/run/user/1000", "/tmp", "/var/tmp"])
def test_strict_shows_its_own_files_where_everything_is_hidden(root: str) -> None:
    agent = replace(spec(STRICT, f"{root}/p", f"{root}/p/data"), needed_paths=(Path(root, "venv"), Path("/opt/python")))
    assert paths(agent) == [
        ("BindPaths", f"{root}/p/data"),
        ("BindReadOnlyPaths", f"{root}/p"),
        ("BindReadOnlyPaths", f"{root}/venv"),
        CLAIM,
    ]


def test_what_lies_in_a_folder_that_is_shown_is_not_shown_again() -> None:
    agent = replace(
        spec(STRICT, "/home/u/p"), needed_paths=(Path("/home/u/p/.venv"), Path("/home/u/p2"), Path("/home/u/p"))
    )
    assert paths(agent) == [("BindReadOnlyPaths", "/home/u/p"), ("BindReadOnlyPaths", "/home/u/p2"), CLAIM]


def test_what_lies_in_a_writable_folder_stays_writable() -> None:
    agent = replace(spec(STRICT, "/home/u/p", "/home/u/p"), needed_paths=(Path("/home/u/p/.venv"),))
    assert paths(agent) == [("BindPaths", "/home/u/p"), CLAIM]


def test_a_writable_root_does_not_hide_the_programs_own_files() -> None:
    assert paths(spec(STRICT, "/home/u/p", "/")) == [("ReadWritePaths", "/"), ("BindReadOnlyPaths", "/home/u/p"), CLAIM]


@pytest.mark.parametrize(
    ("folder", "name"),
    [("/home/u", "ProtectHome"), ("/root", "ProtectHome"), ("/home", "ProtectHome"), ("/tmp", "PrivateTmp")],
)
def test_a_home_that_is_shown_whole_is_named(folder: str, name: str) -> None:
    assert folder in missing(spec(STRICT, folder))[name]
    assert folder in missing(spec(STRICT, "/srv/p", folder))[name]
    assert not missing(spec(STRICT, f"{folder}/deeper/p"))


@pytest.mark.parametrize("level", [NONE, STANDARD])
def test_a_dynamic_user_lives_in_a_read_only_world_at_every_level(level: Hardening) -> None:
    agent = spec(level, "/opt/p", "/home/u/data", "/tmp/data", dynamic=True)
    assert paths(agent) == [
        ("ReadWritePaths", "/home/u/data"),
        ("BindPaths", "/tmp/data"),
        ("ReadWritePaths", "/opt/p"),
        CLAIM,
    ]
    assert ("ReadWritePaths", "/") not in paths(spec(level, "/", dynamic=True))


def test_there_are_no_dynamic_users_in_the_user_scope() -> None:
    for level in Hardening:
        user = spec(level, scope=Scope.USER)
        assert lines(user) == lines(replace(user, dynamic_user=True))


def test_the_user_scope_shows_the_managers_socket_to_those_who_may_use_it() -> None:
    agent = spec(STRICT, scope=Scope.USER)
    assert ("BindReadOnlyPaths", "%t/systemd/notify") in lines(agent)
    assert ("BindReadOnlyPaths", "%t/systemd/notify") not in lines(replace(agent, notify=Notify.NEVER))


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("plain", "/home/u/plain"),
        ("with blank", '"/home/u/with blank"'),
        ("co:lon", '"/home/u/co:lon"'),
        ("co: lon", '"/home/u/co: lon"'),
        ('quo"te', '"/home/u/quo\\"te"'),
        ("back\\slash", '"/home/u/back\\\\slash"'),
        ("50%", '"/home/u/50%%"'),
        ("żółć", '"/home/u/żółć"'),
    ],
)
def test_bound_paths_are_quoted_and_their_colons_part_nothing(name: str, written: str) -> None:
    assert ("BindReadOnlyPaths", written) in lines(spec(STRICT, f"/home/u/{name}"))


def test_other_paths_are_quoted_as_words() -> None:
    assert ("ReadWritePaths", '"/srv/50%% \\"of\\""') in lines(spec(STRICT, "/srv", '/srv/50% "of"'))
    assert ("ReadWritePaths", "/srv/a:b") in lines(spec(STRICT, "/srv", "/srv/a:b"))

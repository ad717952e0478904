"""Which agents would run with more rights than an ordinary user."""

from __future__ import annotations

from typing import Any

import pytest

from supervise.install.privilege import ELEVATING, privileged
from supervise.model import Scope
from tests.nouns import spec


def reasons(**changes: Any) -> list[str]:
    return [why for _, why in privileged([spec(**changes)])]


def service(name: str, *values: str) -> dict[str, dict[str, tuple[str, ...]]]:
    return {"Service": {name: values}}


def test_an_ordinary_user_is_no_privilege() -> None:
    assert reasons(user="trader") == []
    assert reasons(user="trader", group="traders") == []


@pytest.mark.parametrize("user", ["root", "0", None])
def test_root_is_however_it_is_written(user: str | None) -> None:
    assert reasons(user=user) == ["runs as root: /usr/bin/python3 sma.py"]


def test_a_dynamic_user_is_not_root() -> None:
    assert reasons(user=None, dynamic_user=True) == []


@pytest.mark.parametrize("group", ["root", "0"])
def test_the_group_root_is(group: str) -> None:
    assert reasons(group=group) == ["runs in group root"]


@pytest.mark.parametrize("name", sorted(ELEVATING))
def test_a_directive_that_can_widen_rights_is_named_with_its_value(name: str) -> None:
    assert reasons(systemd=service(name, "x", "y")) == [f"systemd: sets {name}=x", f"systemd: sets {name}=y"]


@pytest.mark.parametrize("value", ["+/bin/x", "!/bin/x", "!!/bin/x", "-+/bin/x", "@-:+/bin/x"])
@pytest.mark.parametrize("name", ["ExecStart", "ExecStartPre", "ExecStop", "ExecReload"])
def test_a_command_with_full_rights_is_named(name: str, value: str) -> None:
    assert reasons(systemd=service(name, value)) == [f"systemd: sets {name}={value}"]


@pytest.mark.parametrize(
    "systemd",
    [
        service("ExecStartPost", "/bin/x +y", "-/bin/true", ":/bin/echo $!"),
        service("Nice", "5"),
        {"Unit": {"User": ("+",)}},
    ],
)
def test_what_widens_nothing_is_not(systemd: Any) -> None:
    assert reasons(systemd=systemd) == []


def test_all_reasons_of_all_agents_are_given_in_their_order() -> None:
    found = privileged([spec("a", user="root", group="root", systemd=service("PAMName", "login")), spec("b", user="0")])
    assert [name for name, _ in found] == ["a", "a", "a", "b"]


def test_a_users_own_manager_can_give_nobody_more_than_the_user_has() -> None:
    assert reasons(scope=Scope.USER, user="root", group="root", systemd=service("ExecStart", "+/bin/x")) == []

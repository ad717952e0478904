"""What a control group's path says of a process: its agent unit, and whether it lives in a container. Pure.

A process cannot leave its unit's control group by forking, so the path is proof where a PID or a parent is none.
"""

from __future__ import annotations

import re
from enum import StrEnum

from supervise.model import Scope

NAME = r"(?P<{}>[a-z][a-z0-9_]{{0,50}}(?:\.[0-9]+)?)"
UNITS = re.compile(
    "|".join(
        (
            rf"agent@{NAME.format('service')}\.service",
            rf"agent-(?:probe|ready)@{NAME.format('probe')}\.service",
            rf"agent-run-{NAME.format('run')}\.scope",
        )
    )
)
CONTAINER = re.compile(
    r"""(?:^|/)(?:
        (?:docker|lxc|ecs|actions_job)/[^/]+                        # cgroup v1, one folder per container
      | (?:docker|crio|cri-containerd|nerdctl)-[^/]+\.scope
      | libpod-[^/]+
      | lxc\.payload[./][^/]+
      | kubepods[^/]*(?:/[^/]+)*
      | machine\.slice/[^/]+ | machine-[^/]+\.scope | systemd-nspawn@[^/]+
    )(?=/|$)""",
    re.VERBOSE,
)


class UnitKind(StrEnum):
    """The units in which an agent's command may run without being hidden. The values name the groups of `UNITS`."""

    SERVICE = "service"
    PROBE = "probe"
    RUN = "run"


def own_manager(scope: Scope, uid: int) -> str:
    """The manager of this scope, as `agent_unit` wants it: the unit that it runs in, below which all of its own are."""
    return f"user@{uid}.service" if scope is Scope.USER else ""


def agent_unit(cgroup: str, manager: str = "") -> tuple[UnitKind, str] | None:
    """The agent unit of this manager that holds the control group, as its kind and the agent's name; in any slice.

    Between the two are slices only: below their own `user@UID.service` users name units as they like.
    """
    above: list[str] = []
    for component in cgroup.split("/")[1:]:
        if component.startswith("agent") and (found := UNITS.fullmatch(component)) and found.lastgroup:
            is_of_manager = [one for one in above if not one.endswith(".slice")] == ([manager] if manager else [])
            return (UnitKind(found.lastgroup), found[found.lastgroup]) if is_of_manager else None
        above.append(component)
    return None


def looks_like_agents(cgroup: str) -> bool:
    """Whether a unit of any manager, or what calls itself so, is an agent's."""
    return any(component.startswith("agent") and UNITS.fullmatch(component) for component in cgroup.split("/"))


def container(cgroup: str) -> str:
    """The part of the path that leads to a container, the innermost one; empty outside of containers."""
    ends = [found.end() for found in CONTAINER.finditer(cgroup)]
    return cgroup[: ends[-1]] if ends else ""


def below(cgroup: str, root: str) -> str:
    """The path as it is seen from inside the container at `root`: within one, what runs beside us is not foreign."""
    if root and (cgroup == root or cgroup.startswith(f"{root}/")):
        return cgroup[len(root) :] or "/"
    return cgroup

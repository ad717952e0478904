"""Everything that is done to agents and to their host: one table, one entry a fault.

What a fault leaves is what the timeline must have of it; what it does to the truth nobody writes down here, since the
oracle looks for itself.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from tests.chaos import program
from tests.chaos.crew import ELSEWHERE, FOLDER, OWNER, STRANGER, Member
from tests.chaos.look import drop_in
from tests.chaos.machine import KEPT, RECONCILER, STATE, Hands

SCANNER = "supervise-scan.service"
DEATH = "death"
"""A kind of event: it died, and was started again before its status could change."""
RESTART = "restart"
"""It was started anew by a person, in between two looks of the reconciler."""
DEATHS = frozenset(
    {
        DEATH,
        RESTART,
        "Crashed",
        "CrashLooping",
        "Exited",
        "ExitedCleanly",
        "Quarantined",
        "StartTimeout",
        "WatchdogExpired",
    }
)
STOPS = frozenset({"StoppedByOperator", "Held"})
"""What a death may be told as too, in the midst of a stop."""

STARTED = """said=$({} 2>&1) && exit
case $said in *"left processes behind"*) supervise start {{name}} --replace ;; *) echo "$said" >&2; exit 1 ;; esac"""
"""As a person does who is told that processes are left: ends those and starts anew; but no copy by hand."""

Do = Callable[[Hands, Member, float], str]
"""Does it, for so many seconds; gives why nothing came of it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`weight`: how often, compared with others. `lasts`: seconds until it is undone. `settles`: seconds after that."""

    name: str
    weight: int
    do: Do
    undo: Do | None = None
    lasts: tuple[float, float] = (0.0, 0.0)
    settles: float = 2.0
    befalls: Callable[[Member], bool] = lambda member: True
    of_host: bool = False
    ends: bool = False
    """It may end the agent's process."""
    hang: bool = False
    forks: bool = False
    """It leaves processes with the agent's command line in its unit."""
    deafens: bool = False
    """The silence of agents before and during it says nothing."""
    wants: str = ""
    """`down`: it is a person's order to stop."""
    leaves: frozenset[str] = frozenset()
    claimed: bool = False
    """The copy ends by itself where the agent's library finds that it is the second."""

    @property
    def undone(self) -> bool:
        return self.undo is not None


def sent(number: int) -> Do:
    return lambda hands, member, lasts: hands.signal(member, number)


def told(script: str) -> Do:
    """A shell script with {unit}, {name} and {drop_in}."""
    return lambda hands, member, lasts: hands.run(
        script.format(unit=member.unit, name=member.name, drop_in=drop_in(member.name), kept=KEPT)
    )


def _copy(hands: Hands, member: Member, lasts: float, *, user: str, directory: str) -> str:
    """Out of every agent unit, as whoever starts it by hand has it."""
    place = (f"--uid={user}", f"--working-directory={directory}", f"--unit={member.copy}")
    done = hands.lab.run("systemd-run", "--quiet", "--collect", *place, *member.argv, check=False)
    return done.stderr.strip()


def _end_copy(hands: Hands, member: Member, lasts: float) -> str:
    return hands.run(f"systemctl is-active -q {member.copy} || exit 9; systemctl stop {member.copy}")


def _flood(hands: Hands, member: Member, lasts: float) -> str:
    return hands.flood(1.5)


def _is_python(member: Member) -> bool:
    return member.kind.mode != "shell"


def _beats(member: Member) -> bool:
    return member.kind.beats


_deadly = partial(Fault, ends=True, leaves=DEATHS | STOPS | {"Silent"}, lasts=(1.0, 3.0))
_stop = partial(Fault, ends=True, wants="down", leaves=STOPS | {"Stopping", RESTART}, lasts=(2.0, 5.0), settles=3.0)
_copied = partial(Fault, undo=_end_copy, lasts=(6.0, 10.0), claimed=True)
_told_of = frozenset({"DuplicateProcess", "HiddenProcess"})
_host = partial(Fault, of_host=True)

_ALL = (
    _deadly("sigkill", 20, sent(signal.SIGKILL)),
    _deadly(
        "sigstop", 6, sent(signal.SIGSTOP), hang=True, befalls=_beats, settles=12.0, leaves=DEATHS | STOPS | {"Silent"}
    ),
    _deadly("hang", 6, sent(program.HANG), hang=True, befalls=_beats, settles=12.0, leaves=DEATHS | STOPS | {"Silent"}),
    _deadly("exit_0", 8, sent(program.EXIT_0)),
    _deadly("exit_3", 8, sent(program.EXIT_3)),
    _deadly("leave_child", 4, sent(program.LEAVE_CHILD), forks=True, befalls=_is_python),
    _deadly(
        "leave_stubborn_child",
        2,
        sent(program.LEAVE_STUBBORN_CHILD),
        forks=True,
        befalls=_is_python,
        settles=5.0,
        leaves=DEATHS | STOPS | {"Stopping"},
    ),
    Fault("setsid_grandchild", 4, sent(program.GRANDCHILD), forks=True, befalls=_is_python),
    _stop(
        "systemctl_stop",
        6,
        told("systemctl stop {unit}"),
        told("systemctl reset-failed {unit}; systemctl start {unit}"),
    ),
    _stop(
        "supervise_stop",
        6,
        told("supervise stop {name}"),
        told(STARTED.format("supervise start {name}")),
    ),
    _stop(
        "hold",
        6,
        told("supervise hold {name} --reason chaos"),
        told(STARTED.format("supervise release {name} --start")),
    ),
    Fault(
        "edit",
        5,
        told("echo '# by hand' >> {drop_in}"),
        told("cp -p {kept}/{name}.conf {drop_in} && systemctl daemon-reload"),
        lasts=(6.0, 9.0),
        leaves=frozenset({"Drift"}),
    ),
    _copied("copy_elsewhere", 4, partial(_copy, user=OWNER, directory=ELSEWHERE), befalls=_is_python),
    _copied("copy", 8, partial(_copy, user=OWNER, directory=FOLDER), leaves=_told_of),
    _copied("copy_of_stranger", 5, partial(_copy, user=STRANGER, directory=FOLDER), leaves=_told_of),
    _host(
        "kill_reconciler",
        5,
        lambda hands, member, lasts: hands.run(f"systemctl kill -s KILL {RECONCILER}"),
        deafens=True,
    ),
    _host(
        "kill_scan",
        3,
        lambda hands, member, lasts: hands.run(f"systemctl kill -s KILL {SCANNER}"),
    ),
    _host("daemon_reload", 4, lambda hands, member, lasts: hands.run("systemctl daemon-reload")),
    _host(
        "full_disk",
        2,
        lambda hands, member, lasts: hands.run(f"dd if=/dev/zero of={STATE}/filler bs=4k 2>/dev/null || true"),
        lambda hands, member, lasts: hands.run(f"rm {STATE}/filler"),
        lasts=(3.0, 8.0),
    ),
    _host("flood", 2, _flood, deafens=True),
)
FAULTS: Mapping[str, Fault] = {one.name: one for one in _ALL}

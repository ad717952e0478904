"""What was done to an agent, and what became of it: the oracle's own memory, from which it knows what cannot be seen.

Written by those who do the faults and by the oracle; only appended to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.crew import Member
from tests.chaos.facts import Facts
from tests.chaos.limits import QUARANTINE, seconds
from tests.chaos.truth import Known

RESENT = 5.5
"""Seconds between two words of an agent to the reconciler while nothing of them is new, and a turn of its loop."""
STOP = 8.0
"""Seconds that an agent may take to end: its watchdog's SIGABRT and stop timeout, then SIGKILL."""
DEATH_OF = 0.2
"""Seconds by which a look at an end may be off."""


@dataclass(slots=True)
class Act:
    """A fault, or what undoes it, done to one agent (or to the host: no name). `ends`: it may end a life."""

    fault: str
    name: str
    step: int
    begin: float
    end: float | None = None
    """None while it is under way."""
    ends: bool = False
    wants: str = ""
    """`down` or `up`: a person's order."""
    void: str = ""
    """Why nothing came of it."""
    hang: bool = False
    forks: bool = False
    deafens: bool = False
    """It keeps the reconciler from hearing the agents for a while."""
    leaves: frozenset[str] = frozenset()
    """What its event in the timeline may be."""
    uncertain: bool = False
    """An order that systemd may not have taken for one: to stop what was down already."""
    over: float | None = None
    """When it was undone."""


@dataclass(frozen=True, slots=True)
class Life:
    """One main process of an agent, from its start to its end."""

    pid: int
    begin: float
    end: float
    """At the latest: between two looks it may have ended, and have been followed by another."""
    seen: float
    """When it last lived for sure."""


@dataclass(slots=True)
class History:
    """One agent's."""

    member: Member
    acts: list[Act] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    """Those that have ended."""
    given_up: float | None = None
    """When it was last seen failed, or down without anybody's order."""

    def known(self, facts: Facts, *, counted_from: tuple[float, float] = (0.0, 0.0)) -> Known:
        """What is known of it at the moment of a look. `counted_from`: silence before these moments says nothing."""
        return Known(
            kind=self.member.kind,
            stopped=self.stopped(facts.end),
            silent=self._silent(facts, counted_from),
            may_loop=self.may_loop(facts.end),
        )

    def stopped(self, at: float) -> bool | None:
        """Whether a person's last order was to stop; None while it is carried out, or if it may have had no effect."""
        orders = [act for act in tuple(self.acts) if act.wants and act.begin <= at]
        if not orders:
            return False
        last = orders[-1]
        if last.end is None or last.end > at or last.uncertain or last.void:
            return None
        return last.wants == "down"

    def may_be_stopped(self, facts: Facts) -> bool:
        """Whether it may be down since somebody stopped it, or since it ended and is not to be started again."""
        ended_well = self.member.kind.policy != "always" and facts.unit.result == "success"
        return self.stopped(facts.end) is not False or ended_well

    def may_loop(self, at: float) -> bool:
        """Whether so many deaths, or one after it was given up, may have taken it out of service."""
        begin = max((act.begin for act in tuple(self.acts) if act.wants == "up" and act.begin <= at), default=0.0)
        if self.given_up is not None and self.given_up >= begin:
            return True
        loop = self.member.kind.loop
        deaths = [life for life in self.lives if life.end >= begin]
        return loop is not None and len(deaths) >= loop - 1

    def explained(self, life: Life) -> bool:
        """Whether somebody has ended this life, or it had to end."""
        return self.may_loop(life.end + DEATH_OF) or any(_ends(act, life) for act in tuple(self.acts))

    def forked(self, since: float) -> bool:
        """Whether it was made to have children, of which some may be left."""
        since = 0.0 if self.member.kind.loose else since
        return any(act.forks and (act.end or since) >= since - STOP for act in tuple(self.acts))

    def may_be_down(self, at: float) -> bool:
        """Whether it need not run now: stopped, or just given up."""
        if self.stopped(at) is not False:
            return True
        return self.given_up is not None and at - self.given_up < seconds(QUARANTINE)

    def _silent(self, facts: Facts, counted_from: tuple[float, float]) -> tuple[float, float] | None:
        hangs = [act for act in tuple(self.acts) if act.hang and not act.void and act.begin >= facts.unit.started]
        if not hangs or not facts.unit.pid:
            return None
        first = hangs[0]
        least, most = counted_from
        return max(first.begin - RESENT, least), max(first.end or facts.end, most)


def _ends(act: Act, life: Life) -> bool:
    """Whether the act may have ended the life: it was done in it, not long before its end."""
    if not act.ends or act.begin > life.end + DEATH_OF or (act.over or act.end or life.end) < life.begin - DEATH_OF:
        return False
    if act.hang:
        return True
    return (act.over or act.end or life.end) >= min(life.seen, life.end) - STOP


def newest(acts: Sequence[Act], at: float) -> Act | None:
    """The last act begun before a moment."""
    return max((act for act in acts if act.begin <= at), key=lambda act: act.begin, default=None)

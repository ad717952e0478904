"""What the daemon knows, and one pass over it: look, decide, write, act. It reads no clock but the one it was given.

Whoever learns something (the platform, the agent socket, the disk, a person) puts it in here and asks for a pass over
the agents concerned. A pass is synchronous and quick; writing and acting follow it.
"""

from __future__ import annotations

import asyncio
import getpass
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from supervise.decide import concluded, decide
from supervise.decide.events import action_event, doubt_event, order_event, told_of_host
from supervise.decide.judge import DOWN
from supervise.decide.presets import Choices, Weights, by_agent, renamed
from supervise.decide.signs import is_due, is_urgent
from supervise.decide.usage import moved
from supervise.model import (
    Action,
    AgentSpec,
    Beat,
    Decision,
    Doubt,
    Event,
    Findings,
    HostFacts,
    Instant,
    Intent,
    IntentKind,
    Lock,
    Observation,
    OnDisk,
    Outcome,
    Phase,
    Ping,
    ProbeResult,
    ProbeRole,
    Process,
    ProcessId,
    Reason,
    Requirement,
    Scope,
    Status,
    StatusRow,
    UnitState,
    Usage,
    World,
)
from supervise.observe.beats import changed as since_when
from supervise.observe.probes import Probed, is_news
from supervise.observe.usage import Life
from supervise.places import Places
from supervise.platforms.systemd.units import run_unit, unit_name
from supervise.reconcile import presets
from supervise.reconcile.disk import Disk, with_holds
from supervise.reconcile.tally import Tally
from supervise.stores import Change, Memory, Sample, Setting

log = logging.getLogger(__name__)
PARTS_OF_A_LIFE = (Phase.STARTING, Phase.ACTIVE, Phase.STOPPING)
"""In their order; after them it has ended."""
PREVIOUS_MAIN = timedelta(seconds=10)
"""So long after its end a main process is still known by its PID: its last words may be queued."""
Commit = Callable[[Change], "asyncio.Future[bool]"]
Told = Callable[[Mapping[str, StatusRow], Collection[Event], Collection[str]], None]
"""Rows that changed, events that happened, names that were forgotten."""


class Reconciler:
    """The state of the daemon. `commit` writes, `start` is asked to carry an action out once it is written."""

    def __init__(
        self,
        places: Places,
        *,
        host: str,
        clock: Callable[[], Instant],
        commit: Commit,
        start: Callable[[Action, asyncio.Future[bool]], None],
    ) -> None:
        self.places = places
        self.clock = clock
        self.rows: dict[str, StatusRow] = {}
        self.intents: dict[str, Intent] = {}
        self.states: dict[str, UnitState] = {}
        self.beats: dict[str, Beat] = {}
        self.usage: Mapping[str, Usage] = {}
        self.lives: dict[str, Life] = {}
        """Of what the figures are: the main process of an agent's unit, or one in the foreground."""
        self.on_disk: Mapping[str, OnDisk] = {}
        self.choices = Choices()
        self.weights: Mapping[str, Weights] = {}
        self.probed: dict[str, Probed] = {}
        self.acting: set[str] = set()
        self.wakes: dict[str, timedelta] = {}
        self.required: Mapping[str, Requirement] = {}
        self.disk = Disk()
        user = getpass.getuser() if places.scope is Scope.USER else None
        self.facts = HostFacts(name=host, may_act=True, user=user)
        self.findings: Findings | None = None
        """Whose processes run where; None as long as nobody knows."""
        self.view_of: Instant | None = None
        """The moment up to which everything that can be known is in here."""
        self.listeners: list[Told] = []
        self.tally = Tally()
        self.mains: dict[int, str] = {}
        """Agents by the PID of their main process, for a while also of the one before."""
        self._gone: dict[int, timedelta] = {}
        self._observed: dict[str, Observation] = {}
        self._owed: dict[str, None] = {}
        """Agents of whom nothing is new but words, and that they live; the first has waited longest."""
        self._dependents: dict[str, set[str]] = {}
        self._moved: dict[str, timedelta] = {}
        """When each unit last changed: what was seen of its processes before that is no longer so."""
        self._down_for_sure: dict[str, timedelta] = {}
        """Since when units are down that systemd was asked about after processes were seen in them."""
        self._doubted: dict[ProcessId, bool] = {}
        """Processes of which nobody can tell whose they are, and whether that was told."""
        self._unlooked: set[str] = set()
        """Who may have been started since it was last looked at what all would be started with."""
        self._commit = commit
        self._start = start

    # --- What was learnt ----------------------------------------------------------------------------------------------

    def remember(self, memory: Memory) -> None:
        """What was known before this process."""
        self.rows.update(memory.rows)
        self.intents.update(memory.intents)
        self.take_choices(presets.read(memory.settings))

    def take_disk(self, disk: Disk) -> None:
        self.disk = disk
        dependents: defaultdict[str, set[str]] = defaultdict(set)
        for spec in disk.specs.values():
            for dependency in spec.depends_on:
                if dependency.required:
                    dependents[dependency.unit].add(spec.name)
        self._dependents = dict(dependents)
        for spec in disk.specs.values():
            self._take_over_intent(spec)
        self.take_choices(renamed(self.choices, self._old_names()))
        for name in {*self.states, *disk.specs}:
            self._observe(name)

    def take_all(self, states: Mapping[str, UnitState]) -> None:
        """A snapshot: what it lacks is gone."""
        for name in self.states.keys() - states.keys():
            self._note_end(self.states[name])
        for name, state in states.items():
            self._note_change(self.states.get(name), state)
        self.states = dict(states)
        self._observed.clear()
        self.lives.clear()
        for name in self.states:
            self._observe(name)
        self.facts = replace(self.facts, unseen_since=None)

    def take_state(self, state: UnitState) -> set[str]:
        """One unit as it is now; gives all agents whom that concerns. What was said before the known is over."""
        known = self.states.get(state.name)
        if known is not None and _is_older(state, known):
            return set()
        if known is not None and state.next_run is None and state.timer_active is None:
            state = replace(state, next_run=known.next_run, timer_active=known.timer_active)
        if known is not None:
            state = _with_signs(replace(state, needs_reload=known.needs_reload), known)
        self.states[state.name] = state
        self._note_change(known, state)
        concerned = {state.name, *self._dependents.get(state.unit, ())}
        for name in concerned:
            self._observe(name)
        return concerned

    def take_findings(self, found: Findings | None, concerned: Collection[str]) -> set[str]:
        """Whose processes run where; gives the agents at which to look again."""
        before, self.findings = self.findings, found
        names = self._concerned(before, found, concerned)
        for name in names:
            self._observe(name)
        self._tell_of_doubts(found.doubts if found else ())
        if (found is None) is not self.facts.blind:
            self._tell_of_sight(found)
        return names

    def seemingly_left(self, found: Findings | None) -> set[str]:
        """Agents with processes in a unit that is down as far as we know, if nobody has asked about it since it is."""
        if found is None:
            return set()
        down = [name for name in found.inside if name in self.states and self.states[name].phase in DOWN]
        unsure = [name for name in down if self._down_for_sure.get(name) != self._moved_at(name)]
        return {name for name in unsure if self._inside(found, name)}

    def believe_down(self, names: Collection[str]) -> None:
        """These were asked about: what is down now is so, until it moves."""
        self._down_for_sure |= {name: self._moved_at(name) for name in names}

    def take_beat(self, name: str, beat: Beat) -> bool:
        """Whether it is to be decided about at once; else it is `owed` a look."""
        known = self.beats.get(name)
        self.beats[name] = beat = since_when(known, beat)
        if seen := self._observed.get(name):
            self._observed[name] = replace(seen, beat=beat)
        if is_urgent(known, beat):
            return True
        self._owed.setdefault(name)
        return False

    def owed(self, most: int) -> set[str]:
        """Whose beats are worth a row by now: all whose rows tell of trouble, of the others the first so many."""
        due = [name for name in self._owed if self._is_due(name)]
        well = [name for name in due if name in self.rows and self.rows[name].observed_reason is Reason.AS_WANTED]
        self._owed = dict.fromkeys(well[most:])
        return {*due} - {*self._owed}

    def _is_due(self, name: str) -> bool:
        state, beat = self.states.get(name), self.beats.get(name)
        return beat is not None and is_due(self.rows.get(name), beat, state.watchdog if state else None)

    def unasked(self) -> Iterator[tuple[str, str]]:
        """Agents of which a probe could not be put, and why."""
        for name in self.probed:
            if (found := self.answers(name)) and found.unasked:
                yield name, found.unasked

    def take_answer(self, name: str, life: str, role: ProbeRole, answer: ProbeResult | str) -> bool:
        """Whether it changes anything. It may be why nobody could be asked; of a life that is over it says nothing."""
        state = self.states.get(name)
        if state is None or state.phase is not Phase.ACTIVE or state.incarnation != life:
            return False
        known = self.answers(name) or Probed(life)
        told = replace(known, unasked=answer) if isinstance(answer, str) else known.answered(role, answer)
        self.probed[name] = told
        self._observe(name)
        return is_news(known, told)

    def forgive_failures(self) -> None:
        """What has failed up to now counts no more."""
        for name, probed in self.probed.items():
            if probed.failed:
                self.probed[name] = replace(probed, failed=0)
                self._observe(name)

    def forget_answers(self, names: Iterable[str]) -> None:
        """What these were asked, they are not asked any more."""
        for name in names:
            if self.probed.pop(name, None):
                self._observe(name)

    def take_pings(self, pings: Mapping[str, Ping]) -> None:
        for name, ping in pings.items():
            if (state := self.states.get(name)) is not None and state.phase is Phase.ACTIVE:
                self.states[name] = replace(state, last_ping=ping.at or state.last_ping, watchdog=ping.watchdog)
                self._observe(name)

    def take_stale(self, names: Collection[str], asked: Collection[str]) -> None:
        """Whose unit was changed on disk since the platform read it, of those that were asked about."""
        for name in asked:
            if (state := self.states.get(name)) is not None:
                self.states[name] = replace(state, needs_reload=name in names)
                self._observe(name)

    def take_requirements(self, required: Mapping[str, Requirement]) -> set[str]:
        """Units that are no agents, as they are now; gives the agents whom a change concerns."""
        changed = {unit for unit in required if required[unit] != self.required.get(unit)}
        self.required = required
        concerned = {name for unit in changed for name in self._dependents.get(unit, ())}
        for name in concerned:
            self._observe(name)
        return concerned

    def take_on_disk(self, found: Mapping[str, OnDisk]) -> set[str]:
        """What all would be started with now; gives those of whom that says something new."""
        before, self.on_disk = self.on_disk, found
        return {name for name in found if name not in before or _says_more(before[name], found[name])} | self.unlooked()

    def unlooked(self) -> set[str]:
        """Who runs, and of whom nobody knows yet what they were started with."""
        self._unlooked = {name for name in self._unlooked if self._is_new(name)}
        return self._unlooked & self.disk.specs.keys() & self.rows.keys()

    def take_choices(self, choices: Choices) -> None:
        """Which presets there are, and who goes by which."""
        self.choices = choices
        self.weights = by_agent(self.disk.specs.values(), choices)

    def take_usage(self, found: Mapping[str, Usage]) -> set[str]:
        """What all that run take now; gives of whom it is worth a row."""
        before, self.usage = self.usage, found
        changed = {name for name in {*before, *found} if before.get(name) != found.get(name)}
        for name in changed:
            self._observe(name)
        return {name for name in changed & found.keys() if (row := self.rows.get(name)) and moved(row, found[name])}

    def listen(self) -> None:
        """From now on beats are heard."""
        self.facts = replace(self.facts, listening_since=self.clock().monotonic)

    def disturb(self, now: Instant) -> None:
        """Silence up to now says nothing."""
        self.facts = replace(self.facts, disturbed=now.monotonic)

    def ask_probes(self) -> None:
        """From now on the agents' probes are asked."""
        self.facts = replace(self.facts, asks=True)

    def take_memory(self, *, lasts: bool) -> None:
        """Whether what is decided now can be written down."""
        if self.facts.forgets is lasts:
            self.facts = replace(self.facts, forgets=not lasts)

    def lose_sight(self) -> None:
        """The platform cannot be asked any longer."""
        if self.facts.unseen_since is None:
            self.facts = replace(self.facts, unseen_since=self.clock().monotonic)

    def disturbed(self, reason: str, text: str) -> None:
        """Something that concerns the whole host: silence before it says nothing."""
        now = self.clock()
        self.disturb(now)
        self.tell(told_of_host(reason, text, now=now))

    @property
    def foreign_requirements(self) -> frozenset[str]:
        """Units that agents require and that are no agents."""
        ours = {unit_name(name) for name in self.disk.specs}
        return frozenset(unit for unit in self._dependents if unit not in ours)

    # --- A pass -------------------------------------------------------------------------------------------------------

    def run_pass(self, names: Collection[str] | None = None) -> None:
        """Decide about these agents (all, if None), and set going what follows."""
        now = self.clock()
        self._pass(names, now)
        self.tally.passed(self.clock().monotonic - now.monotonic, everyone=names is None)

    def _pass(self, names: Collection[str] | None, now: Instant) -> None:
        self.disk = with_holds(self.places, self.disk)
        world = self.world()
        decision = decide(world, now=now, only=names)
        for name in self.wakes.keys() & (world.desired.keys() if names is None else set(names)):
            del self.wakes[name]
        self.wakes.update(decision.wakes)
        written = self._write(decision, now.wall)
        for action in decision.actions:
            self.acting.add(action.name)
            self._observe(action.name)
            self._start(action, written)

    def world(self) -> World:
        return World(
            desired=self.disk.specs,
            observed=self._observed,
            rows=self.rows,
            holds=self.disk.holds,
            intents=self.intents,
            marks=self.disk.marks,
            settled=self.disk.settled,
            on_disk=self.on_disk,
            weights=self.weights,
            host=self.facts,
        )

    def due(self, now: timedelta) -> set[str]:
        """Agents at which to look again by now."""
        return {name for name, at in self.wakes.items() if at <= now}

    def concluded(self, action: Action, outcome: Outcome) -> None:
        """An action has ended: remember what became of it and look again."""
        now = self.clock()
        self.tally.acted(action.kind, outcome)
        self.acting.discard(action.name)
        self._observe(action.name)
        row = self.rows.get(action.name)
        rows = {} if row is None else {action.name: concluded(row, action, outcome, now=now)}
        event = action_event(action, outcome, now=now, status=row.status if row else None)
        self.rows.update(rows)
        self._publish(Change(rows=rows, events=(event,)))
        self.run_pass({action.name})

    # --- What a person wants ------------------------------------------------------------------------------------------

    def order(
        self, what: str, names: Iterable[str], *, by: str, kind: IntentKind | None = None, reason: str = ""
    ) -> None:
        """Somebody does something: it is in the timeline, and `kind` is what they want until they say otherwise."""
        now = self.clock()
        names = [name for name in names if name in self.disk.specs]
        wishes = [Intent(kind, name, by, now.wall, now.boot, now.monotonic, reason) for name in names if kind]
        events = [order_event(name, what, by=by, reason=reason, now=now, status=self._status(name)) for name in names]
        self.intents.update({wish.name: wish for wish in wishes})
        self._publish(Change(intents=tuple(wishes), events=tuple(events)))
        self.run_pass(names)

    def lock(self, names: Iterable[str], lock: Lock | None, *, by: str) -> None:
        """Fix what is shown, or (None) show the truth again."""
        now = self.clock()
        rows = {name: replace(self.rows[name], lock=lock) for name in names if name in self.rows}
        what = "lock" if lock else "unlock"
        reason = (
            f"{lock.status.value} {lock.health} until {lock.until:%Y-%m-%d %H:%M} UTC: {lock.reason}" if lock else ""
        )
        events = tuple(
            order_event(name, what, by=by, reason=reason, now=now, status=row.status) for name, row in rows.items()
        )
        self.rows.update(rows)
        self._publish(Change(rows=rows, events=events))
        self.run_pass(set(rows))

    def choose(self, choices: Choices, settings: Iterable[Setting], events: Iterable[Event]) -> asyncio.Future[bool]:
        """A person has changed presets, or who goes by which: all are scored anew. Done once it is written."""
        self.take_choices(choices)
        written = self._publish(Change(settings=tuple(settings), events=tuple(events)))
        self.run_pass()
        return written

    def tell(self, *events: Event) -> None:
        self._publish(Change(events=events))

    def forget_main_processes(self, now: timedelta) -> None:
        """Let go of those that ended long ago: their PIDs may be somebody else's by now."""
        for pid, gone in tuple(self._gone.items()):
            if now - gone > PREVIOUS_MAIN:
                del self._gone[pid]
                self.mains.pop(pid, None)

    # --- Steps --------------------------------------------------------------------------------------------------------

    def _note_change(self, known: UnitState | None, state: UnitState) -> None:
        if known is None or (known.phase, known.pid) != (state.phase, state.pid):
            self._moved[state.name] = self.clock().monotonic
        if known and known.pid != state.pid:
            self._note_end(known)
        if state.pid:
            self._unlooked.add(state.name)
            self.mains[state.pid] = state.name
            self._gone.pop(state.pid, None)

    def _note_end(self, known: UnitState) -> None:
        if known.pid and self.mains.get(known.pid) == known.name:  # else another agent has its PID already
            self._gone[known.pid] = self.clock().monotonic

    def _observe(self, name: str) -> None:
        """Join what is known of one agent."""
        spec = self.disk.specs.get(name)
        state = self.states.get(name) or self._left_behind(name)
        if state is None:
            self._observed.pop(name, None)
            self.lives.pop(name, None)
            return
        units = [one.unit for one in spec.depends_on if one.required] if spec else []
        usage, life = self.usage.get(name), self._take_life(state)
        probed = self.answers(name)
        self._observed[name] = Observation(
            unit=self.disk.seen_on(state),
            beat=self.beats.get(name),
            ready=probed.ready if probed else None,
            live=probed.live if probed else None,
            failed_probes=probed.failed if probed else 0,
            **self._processes(name),
            requirements={unit: self._requirement(unit) for unit in units},
            acting=name in self.acting,
            usage=usage if usage and life and usage.incarnation == life.incarnation else None,
        )

    def _take_life(self, state: UnitState) -> Life | None:
        life = self._life(state)
        if life:
            self.lives[state.name] = life
        else:
            self.lives.pop(state.name, None)
        return life

    def _life(self, state: UnitState) -> Life | None:
        if state.pid and state.incarnation:
            return Life(state.incarnation, state.unit, state.pid)
        ones = self.findings.foreground.get(state.name, ()) if self.findings else ()
        if first := min((one.id for one in ones), key=lambda one: one.pid, default=None):
            return Life(f"{first.pid}/{first.started}", run_unit(state.name), first.pid)
        return None

    def _is_new(self, name: str) -> bool:
        """Whether it runs, and its row does not say yet what this life was started with."""
        state, row = self.states.get(name), self.rows.get(name)
        if state is None or None in (state.pid, state.incarnation, state.started_monotonic):
            return False
        return row is None or row.past.loaded is None or row.past.loaded.incarnation != state.incarnation

    def answers(self, name: str) -> Probed | None:
        """What the probes of the agent have answered in its present life."""
        probed, state = self.probed.get(name), self.states.get(name)
        return probed if probed and state and probed.incarnation == state.incarnation else None

    def _left_behind(self, name: str) -> UnitState | None:
        """The unit that systemd and we have forgotten, and of which processes are left."""
        if name in self.disk.specs or self.findings is None or name not in self.findings.inside:
            return None
        return UnitState(name, unit_name(name), Phase.ABSENT)

    def _processes(self, name: str) -> Mapping[str, Any]:
        """What was seen of its processes; of those in its unit only what was seen since the unit last changed."""
        found = self.findings
        if found is None:
            return {}
        inside = self._inside(found, name)
        return {
            "outside": found.outside.get(name, ()),
            "inside": inside,
            "foreground": _ids(found.foreground.get(name, ())),
            "foreground_since": found.foreground_since(name),
        }

    def _inside(self, found: Findings, name: str) -> frozenset[ProcessId] | None:
        return _ids(found.inside.get(name, ())) if found.at and found.at > self._moved_at(name) else None

    def _moved_at(self, name: str) -> timedelta:
        """Since when its unit is as it is, where that was seen."""
        return self._moved.get(name, timedelta())

    def _concerned(self, before: Findings | None, found: Findings | None, changed: Collection[str]) -> set[str]:
        if found is None:
            return set(self._observed) if before else set()
        if before is None:
            return {*self._observed, *found.inside}
        left = {name for name in found.inside if name not in self.states or self.states[name].phase in DOWN}
        return {*changed, *left}

    def _tell_of_doubts(self, doubts: Collection[Doubt]) -> None:
        """Once of each process that may be an agent's and of which nobody can tell, in two looks: one that is just
        starting cannot be inspected for a moment."""
        new = [doubt for doubt in doubts if self._doubted.get(doubt.process.id) is False]
        self._doubted = {doubt.process.id: doubt.process.id in self._doubted for doubt in doubts}
        if new:
            now = self.clock()
            self.tell(*(doubt_event(doubt, now=now) for doubt in new))

    def _tell_of_sight(self, found: Findings | None) -> None:
        self.facts = replace(self.facts, blind=found is None)
        if self.facts.blind:
            text = "Processes cannot be seen: hidden ones go unnoticed, and we start nothing."
            self.tell(told_of_host("ProcessesUnseen", text, now=self.clock()))
        else:
            self.tell(told_of_host("ProcessesSeen", "Processes are seen again.", now=self.clock()))

    def _requirement(self, unit: str) -> Requirement:
        state = self.states.get(unit.removeprefix("agent@").removesuffix(".service"))
        if state is None or state.unit != unit:
            return self.required.get(unit, Requirement(active=False))
        return Requirement(state.phase is Phase.ACTIVE and not state.job, state.left_active)

    def _status(self, name: str) -> Status | None:
        row = self.rows.get(name)
        return row.status if row else None

    def _write(self, decision: Decision, at: datetime) -> asyncio.Future[bool]:
        before = self.rows
        samples = tuple(
            Sample(name, at, row)
            for name, row in decision.rows.items()
            if name not in before or before[name].status is not row.status
        )
        renamed = {
            name: old for name in decision.rows if name not in before and (old := self._renamed_from(name)) is not None
        }
        self.rows.update(decision.rows)
        for name in decision.forget:
            self.rows.pop(name, None)
            self.intents.pop(name, None)
            self.beats.pop(name, None)
            self.probed.pop(name, None)
        return self._publish(Change(decision.rows, decision.events, samples, (), decision.forget, renamed))

    def _take_over_intent(self, spec: AgentSpec) -> None:
        """What a person wanted of an agent holds under its new name too, as it does in the store."""
        old = self.intents.get(spec.renamed_from or "")
        if old and old.name not in self.disk.specs:
            self.intents.setdefault(spec.name, replace(old, name=spec.name))

    def _old_names(self) -> dict[str, str]:
        specs = self.disk.specs
        old_names = {name: spec.renamed_from for name, spec in specs.items()}
        return {name: old for name, old in old_names.items() if old and old not in specs}

    def _renamed_from(self, name: str) -> str | None:
        spec = self.disk.specs.get(name)
        old = spec.renamed_from if spec else None
        return old if old in self.rows and old not in self.disk.specs else None

    def _publish(self, change: Change) -> asyncio.Future[bool]:
        """To whoever listens first, since memory is the truth; then to the store."""
        if not (change.rows or change.events or change.intents or change.forget):
            done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            done.set_result(True)
            return done
        self.tally.happened(change.events)
        for listener in self.listeners:
            listener(change.rows, change.events, change.forget)
        return self._commit(change)


def _says_more(before: OnDisk, found: OnDisk) -> bool:
    return replace(before, at=found.at) != found


def _ids(processes: Iterable[Process]) -> frozenset[ProcessId]:
    return frozenset(one.id for one in processes)


def _is_older(state: UnitState, known: UnitState) -> bool:
    """Whether it is of a life before the known one, or of an earlier part of the same: no life goes backwards."""
    if state.started_monotonic is None or known.started_monotonic is None:
        return False
    if state.incarnation == known.incarnation:
        part, then = _part_of_life(state), _part_of_life(known)
        return part is not None and then is not None and part < then
    return state.started_monotonic < known.started_monotonic


def _part_of_life(state: UnitState) -> int | None:
    """None of a unit that is down while its main process lives: that may not end, or the state is of two moments."""
    if state.ended_monotonic is not None:
        return len(PARTS_OF_A_LIFE)
    return PARTS_OF_A_LIFE.index(state.phase) if state.phase in PARTS_OF_A_LIFE else None


def _with_signs(state: UnitState, known: UnitState) -> UnitState:
    """A state with what no signal tells of a life that goes on: its last ping, and a watchdog that it armed itself."""
    if known.incarnation != state.incarnation:
        return state
    return replace(state, last_ping=known.last_ping or state.last_ping, watchdog=known.watchdog or state.watchdog)

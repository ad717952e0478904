"""The plan as a value: what would change, who would stop, start or restart, and what is left to the operator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from supervise import __version__
from supervise.errors import SuperviseError
from supervise.install.plan import Disk, Kind, Plan, Seen, Target, conflicts, plan
from supervise.manifest import Manifest, RunMark
from supervise.marker import stamped
from supervise.model import (
    AgentSpec,
    AlertKind,
    AlertTarget,
    Phase,
    Probe,
    ProbeKind,
    ReconcilerSettings,
    Resources,
    Restart,
    Schedule,
    Scope,
    UnitState,
)
from supervise.platforms.systemd.units import DAEMON, RECONCILER, units
from tests.nouns import NOW, copy, places_in, spec, state

THERE = places_in(Path("/host"))
SOURCE = Path("/srv/trading/agents.yaml")
NOTHING = Disk({}, (), frozenset(), frozenset(), False, {}, False)
NIGHTLY = Schedule(("*-*-* 04:00:00 UTC",))
SMA, JOB = spec("sma"), spec("nightly", schedule=NIGHTLY)
CHECK = Probe(ProbeKind.COMMAND, ("/bin/true",))
DROP_IN = THERE.units / "agent@sma.service.d/50-supervise.conf"
TIMER = THERE.units / "agent@nightly.timer"


def target(*specs: AgentSpec, **changes: Any) -> Target:
    files = tuple(units(specs, places=THERE, version=252))
    return replace(Target("trading", SOURCE, Scope.SYSTEM, specs, files), **changes)


REMOVAL = target(files=(), remove=True)


def quiet(*states: UnitState) -> Seen:
    return Seen({one.name: one for one in states}, {}, NOW)


def planned(wanted: Target, disk: Disk = NOTHING, seen: Seen | None = None) -> Plan:
    return plan(wanted, disk, seen or quiet(), places=THERE)


def installed(*specs: AgentSpec, **changes: Any) -> Disk:
    """The disk after these agents were installed and all that boots was enabled."""
    done = planned(target(*specs))
    assert done.manifest is not None
    return replace(
        NOTHING,
        files={change.path: change.after or "" for change in done.changes},
        enabled=frozenset(done.enable) - {"supervise.target", *DAEMON},
        target_enabled=True,
        daemon_enabled=frozenset(DAEMON),
        manifests={"trading": done.manifest},
        **changes,
    )


def and_another_project(disk: Disk, *specs: AgentSpec) -> Disk:
    other = Manifest("web", Path("/srv/web/agents.yaml"), Scope.SYSTEM, "systemd", __version__, specs, {})
    return replace(disk, manifests={**disk.manifests, "web": other})


def files_of(made: Plan, kind: Kind) -> set[Path]:
    return {change.path for change in made.changes if change.kind is kind}


def with_file(disk: Disk, path: Path, content: str) -> Disk:
    return replace(disk, files={**disk.files, path: content})


# --- Files ------------------------------------------------------------------------------------------------------------


def test_on_an_empty_host_everything_is_added() -> None:
    made = planned(target(SMA, JOB))
    assert files_of(made, Kind.ADD) == {file.path for file in target(SMA, JOB).files}
    assert made.agents_added == ("sma", "nightly")
    assert made.manifest_changes
    assert not made.empty


def test_probes_that_are_commands_have_files_and_change_nothing_else() -> None:
    probed = spec("sma", live=CHECK, ready=CHECK)
    names = {"agent-probe@sma.service", "agent-ready@sma.service"}
    running = quiet(state(Phase.ACTIVE, "sma"))
    come = planned(target(probed), installed(SMA), running)
    assert {path.name for path in files_of(come, Kind.ADD)} == names
    assert (come.agents_added, come.stop, dict(come.restart), come.enable) == ((), (), {}, ())
    other = planned(target(replace(probed, live=replace(CHECK, target=("/bin/false",)))), installed(probed), running)
    assert {path.name for path in files_of(other, Kind.CHANGE)} == {"agent-probe@sma.service"}
    assert (dict(other.restart), other.stop) == ({}, ())
    gone = planned(target(SMA), installed(probed), running)
    assert {path.name for path in files_of(gone, Kind.REMOVE)} == set(gone.stop) == names
    assert dict(gone.restart) == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"alerts": (AlertTarget("trading/slack-1", AlertKind.SLACK, url_file=Path("/etc/hook")),)},
        {"reconciler": ReconcilerSettings(remote_control=True)},
    ],
    ids=str,
)
def test_what_only_the_daemon_reads_changes_the_manifest_and_no_file(changes: dict[str, Any]) -> None:
    made = planned(target(SMA, **changes), installed(SMA))
    assert (made.changes, made.restart, made.manifest_changes) == ((), {}, True)
    assert made.manifest
    assert changes.items() <= {"alerts": made.manifest.alerts, "reconciler": made.manifest.reconciler}.items()
    done = replace(installed(SMA), manifests={"trading": made.manifest})
    assert planned(target(SMA, **changes), done).empty


def test_a_second_plan_is_empty() -> None:
    made = planned(target(SMA, JOB), installed(SMA, JOB))
    assert (made.changes, made.enable, made.disable, made.stop, made.notes) == ((), (), (), (), ())
    assert not made.manifest_changes
    assert made.empty


def test_what_differs_is_changed_and_nothing_else() -> None:
    made = planned(target(replace(SMA, title="Crossover"), JOB), installed(SMA, JOB))
    assert [(one.kind, one.path, one.agent, one.edited) for one in made.changes] == [
        (Kind.CHANGE, DROP_IN, "sma", False)
    ]
    lines = list(made.changes[0].diff())
    assert "-Description=Sma" in lines
    assert "+Description=Crossover" in lines
    assert not [line for line in lines if "Managed by" in line]


def test_an_edit_by_hand_is_undone_and_named() -> None:
    disk = installed(SMA)
    made = planned(target(SMA), with_file(disk, DROP_IN, disk.files[DROP_IN] + "Nice=19\n"))
    assert [(one.kind, one.path, one.edited) for one in made.changes] == [(Kind.CHANGE, DROP_IN, True)]


def test_an_agent_that_is_gone_is_removed_and_stopped_and_disabled() -> None:
    made = planned(target(SMA), installed(SMA, JOB))
    assert files_of(made, Kind.REMOVE) == {TIMER, THERE.units / "agent@nightly.service.d/50-supervise.conf"}
    assert set(made.stop) == {"agent@nightly.timer", "agent@nightly.service"}
    assert made.disable == ("agent@nightly.timer",)


def test_a_file_of_ours_that_was_lost_is_added_again() -> None:
    disk = installed(SMA)
    made = planned(target(SMA), replace(disk, files={path: x for path, x in disk.files.items() if path != DROP_IN}))
    assert files_of(made, Kind.ADD) == {DROP_IN}


def test_what_cannot_be_looked_at_is_named_and_not_called_missing() -> None:
    disk = installed(SMA)
    files = {path: content for path, content in disk.files.items() if path != DROP_IN}
    made = planned(target(SMA), replace(disk, files=files, unseen=frozenset({DROP_IN, Path("/of/nobody"), TIMER})))
    assert not made.pending
    assert made.notes == (f"cannot be seen without root: {DROP_IN}",)
    assert planned(target(SMA), replace(disk, files=files)).pending


def test_an_interrupted_install_is_never_an_empty_plan() -> None:
    assert not planned(target(SMA), installed(SMA, interrupted=True)).empty


def test_a_lost_manifest_is_written_anew() -> None:
    made = planned(target(SMA), replace(installed(SMA), manifests={}))
    assert made.changes == ()
    assert made.manifest_changes


def test_a_manifest_that_says_the_same_is_left() -> None:
    disk = installed(SMA)
    later = replace(disk.manifests["trading"], runs={"sma": RunMark(run_of(SMA), "boot-0", timedelta())})
    made = planned(target(SMA), replace(disk, manifests={"trading": later}))
    assert made.empty
    assert made.manifest is not None
    assert made.manifest.runs == later.runs


# --- Strangers --------------------------------------------------------------------------------------------------------


def test_a_strangers_file_is_refused() -> None:
    with pytest.raises(SuperviseError, match="that is not ours; move it away first") as error:
        planned(target(SMA), with_file(NOTHING, DROP_IN, "[Service]\nNice=5\n"))
    assert str(DROP_IN) in str(error.value)


def test_a_file_of_another_project_is_refused() -> None:
    with pytest.raises(SuperviseError, match='it belongs to project "web"'):
        planned(target(SMA), with_file(NOTHING, DROP_IN, stamped("[Unit]\n", project="web", agent="sma")))


@pytest.mark.parametrize("wanted", [target(SMA), REMOVAL], ids=["install", "uninstall"])
def test_files_of_others_elsewhere_are_not_touched(wanted: Target) -> None:
    others = {
        THERE.units / "agent@page.service.d/50-supervise.conf": stamped("[Unit]\n", project="web", agent="page"),
        THERE.units / "supervise.target.d/local.conf": "[Unit]\n",
    }
    disk = installed(SMA)
    made = planned(wanted, and_another_project(replace(disk, files={**disk.files, **others}), spec("page")))
    assert not {change.path for change in made.changes} & set(others)


# --- The project's own file -------------------------------------------------------------------------------------------


def moved_from(folder: Path, *, there: bool) -> Disk:
    source = folder / "agents.yaml"
    if there:
        source.touch()
    disk = installed(SMA)
    return replace(disk, manifests={"trading": replace(disk.manifests["trading"], source=source)})


def test_a_project_of_that_name_from_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SuperviseError, match="pass --moved") as error:
        planned(target(SMA), moved_from(tmp_path, there=True))
    assert str(tmp_path / "agents.yaml") in str(error.value)


@pytest.mark.parametrize(
    ("wanted", "there"),
    [(target(SMA, moved=True), True), (target(SMA), False)],
    ids=["said-to-be-moved", "the-old-file-is-gone"],
)
def test_a_file_that_was_moved_takes_its_project_over(tmp_path: Path, wanted: Target, there: bool) -> None:
    made = planned(wanted, moved_from(tmp_path, there=there))
    assert made.changes == ()
    assert made.manifest_changes
    assert made.manifest is not None
    assert made.manifest.source == SOURCE


def test_a_project_is_removed_wherever_its_file_lies(tmp_path: Path) -> None:
    disk = moved_from(tmp_path, there=True)
    assert files_of(planned(REMOVAL, disk), Kind.REMOVE) == set(disk.files)


# --- Shared files -----------------------------------------------------------------------------------------------------

SLICE = THERE.units / "supervise.slice"


@pytest.mark.parametrize("version", ["0.0.1", __version__])
def test_a_shared_file_of_an_older_version_is_replaced(version: str) -> None:
    made = planned(target(SMA), with_file(installed(SMA), SLICE, stamped("[Slice]\n", version=version)))
    assert files_of(made, Kind.CHANGE) == {SLICE}


def test_a_shared_file_of_a_newer_version_is_left_and_noted() -> None:
    made = planned(target(SMA), with_file(installed(SMA), SLICE, stamped("[Slice]\n", version="99.0")))
    assert made.empty
    assert made.notes == ("the shared files were written by a newer version of supervise; left so",)


def test_shared_files_stay_while_another_project_is_installed() -> None:
    made = planned(REMOVAL, and_another_project(installed(SMA), spec("page")))
    assert files_of(made, Kind.REMOVE) == {DROP_IN, THERE.units / "supervise.target.d/trading.conf"}
    assert made.disable == made.stop == ("agent@sma.service",)


def test_shared_files_go_with_the_last_project() -> None:
    made = planned(REMOVAL, installed(SMA))
    assert SLICE in files_of(made, Kind.REMOVE)
    assert made.stop == ("agent@sma.service", "supervise.target")
    assert made.disable == ("agent@sma.service", "supervise.target", *DAEMON)
    assert made.last
    assert made.manifest is None
    assert made.manifest_changes


def test_shared_files_stay_when_only_the_agents_go() -> None:
    assert SLICE not in files_of(planned(target(), installed(SMA)), Kind.REMOVE)


# --- Enablement -------------------------------------------------------------------------------------------------------


def enablement(wanted: Target, disk: Disk = NOTHING) -> tuple[set[str], set[str]]:
    made = planned(wanted, disk)
    return set(made.enable), set(made.disable)


OFF = replace(SMA, auto_start=False)


def test_what_is_new_is_enabled_a_job_by_its_timer() -> None:
    assert enablement(target(SMA, JOB)) == (
        {"agent@sma.service", "agent@nightly.timer", "supervise.target", *DAEMON},
        set(),
    )


def test_what_does_not_start_at_boot_is_not_enabled() -> None:
    assert enablement(target(OFF)) == ({"supervise.target", *DAEMON}, set())


def test_the_target_is_enabled_by_the_first_project_only() -> None:
    disk = and_another_project(NOTHING, spec("page"))
    assert enablement(target(SMA), disk) == ({"agent@sma.service", *DAEMON}, set())


def test_a_target_that_is_enabled_already_is_not_enabled_again() -> None:
    assert enablement(target(OFF), replace(NOTHING, target_enabled=True)) == (set(DAEMON), set())


def test_a_daemon_that_somebody_disabled_stays_so() -> None:
    assert enablement(target(SMA), replace(installed(SMA), daemon_enabled=frozenset())) == (set(), set())


def test_a_changed_daemon_is_started_anew() -> None:
    older = stamped("[Service]\n", version=__version__)
    assert planned(target(SMA), with_file(installed(SMA), THERE.units / RECONCILER, older)).daemon_changes
    assert not planned(target(SMA), with_file(installed(SMA), SLICE, older)).daemon_changes


def test_a_changed_auto_start_is_carried_out() -> None:
    assert enablement(target(OFF), installed(SMA)) == (set(), {"agent@sma.service"})
    assert enablement(target(SMA), installed(OFF)) == ({"agent@sma.service"}, set())


@pytest.mark.parametrize("agent", [SMA, JOB])
def test_an_operators_own_disable_stays_and_is_noted(agent: AgentSpec) -> None:
    made = planned(target(agent), replace(installed(agent), enabled=frozenset()))
    assert made.empty
    assert len(made.notes) == 1
    assert made.notes[0].startswith(f"{agent.name}: disabled by hand")


def test_an_operators_own_enable_stays_and_is_noted() -> None:
    made = planned(target(OFF), replace(installed(OFF), enabled=frozenset({"agent@sma.service"})))
    assert made.empty
    assert [note for note in made.notes if note.startswith("sma: enabled by hand")] == list(made.notes)
    assert made.notes


def test_an_agent_that_becomes_a_job_changes_what_is_enabled() -> None:
    agent, job = spec("nightly"), JOB
    assert enablement(target(job), installed(agent)) == ({"agent@nightly.timer"}, {"agent@nightly.service"})
    assert enablement(target(agent), installed(job)) == ({"agent@nightly.service"}, {"agent@nightly.timer"})


# --- What runs --------------------------------------------------------------------------------------------------------


def run_of(agent: AgentSpec) -> str:
    made = planned(target(agent)).manifest
    assert made is not None
    return made.runs[agent.name].run


def restarts(before: AgentSpec, after: AgentSpec, *states: UnitState) -> Mapping[str, str]:
    return planned(target(after), installed(before), quiet(*states)).restart


STARTED = state(Phase.ACTIVE, started_monotonic=NOW.monotonic + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"command": ("/usr/bin/python3", "other.py")}, "ExecStart"),
        ({"environment": {"MODE": "live"}}, "Environment"),
        ({"user": "bot"}, "User"),
        ({"resources": Resources(memory="1G"), "user": "bot"}, "MemoryMax, User"),
    ],
)
@pytest.mark.parametrize("phase", [Phase.ACTIVE, Phase.STARTING, Phase.RESTARTING, Phase.STOPPING])
def test_who_runs_something_older_would_restart_for_the_directives_that_changed(
    changes: dict[str, Any], why: str, phase: Phase
) -> None:
    assert restarts(SMA, replace(SMA, **changes), replace(STARTED, phase=phase)) == {"sma": why}


@pytest.mark.parametrize(
    "changes", [{"title": "Crossover"}, {"restart": Restart(burst=9)}, {"stop_timeout": timedelta(seconds=99)}], ids=str
)
def test_what_a_reload_brings_about_restarts_nobody(changes: dict[str, Any]) -> None:
    made = planned(target(replace(SMA, **changes)), installed(SMA), quiet(STARTED))
    assert files_of(made, Kind.CHANGE) == {DROP_IN}
    assert made.restart == {}


@pytest.mark.parametrize("phase", [Phase.INACTIVE, Phase.FAILED, Phase.ABSENT, Phase.QUEUED])
def test_who_is_down_is_not_restarted(phase: Phase) -> None:
    assert restarts(SMA, replace(SMA, command=("/bin/other",)), state(phase)) == {}


def test_a_job_is_not_restarted_its_next_run_is_the_new_one() -> None:
    running = state(Phase.ACTIVE, "nightly", started_monotonic=timedelta())
    assert restarts(JOB, replace(JOB, command=("/bin/other",)), running) == {}


def test_who_was_started_before_the_last_install_would_restart_too() -> None:
    before = replace(STARTED, started_monotonic=NOW.monotonic - timedelta(seconds=1))
    assert restarts(SMA, SMA, before) == {"sma": "was started before the last install"}
    assert restarts(SMA, SMA, STARTED) == {}


@pytest.mark.parametrize(
    ("agent", "seen", "starts"),
    [
        (SMA, (), True),
        (SMA, (state(Phase.INACTIVE),), True),
        (SMA, (state(Phase.FAILED),), True),
        (SMA, (state(Phase.ACTIVE),), False),
        (SMA, (state(Phase.RESTARTING),), False),
        (OFF, (state(Phase.INACTIVE),), False),
        (JOB, (), True),
        (JOB, (state(Phase.INACTIVE, "nightly", timer_active=False),), True),
        (JOB, (state(Phase.INACTIVE, "nightly", timer_active=True),), False),
        (replace(JOB, auto_start=False), (), False),
    ],
)
def test_what_boots_by_itself_and_does_not_run_would_start(
    agent: AgentSpec, seen: Iterable[UnitState], starts: bool
) -> None:
    assert (planned(target(agent), installed(agent), quiet(*seen)).start == (agent.name,)) is starts


def test_an_agent_that_becomes_a_job_is_stopped_as_a_service() -> None:
    agent = spec("nightly")
    made = planned(target(JOB), installed(agent), quiet(state(Phase.ACTIVE, "nightly")))
    assert made.stop == ("agent@nightly.service",)
    assert planned(target(JOB), installed(agent), quiet(state(Phase.INACTIVE, "nightly"))).stop == ()


def test_a_job_that_becomes_an_agent_loses_its_timer() -> None:
    made = planned(target(spec("nightly")), installed(JOB))
    assert made.stop == ("agent@nightly.timer",)
    assert files_of(made, Kind.REMOVE) == {TIMER}


def test_copies_outside_are_named_and_nobody_without_one() -> None:
    seen = Seen({}, {"sma": (copy(),), "nightly": ()}, NOW)
    assert planned(target(SMA, JOB), NOTHING, seen).outside == {"sma": (copy(),)}


# --- Notes ------------------------------------------------------------------------------------------------------------


def test_a_mask_and_a_drop_in_made_by_hand_are_noted() -> None:
    beside = THERE.units / "agent@sma.service.d/override.conf"
    foreign = THERE.units / "agent@page.service.d/override.conf"
    disk = installed(SMA, masked=frozenset({"agent@sma.service"}), beside=(beside, foreign))
    assert planned(target(SMA), disk).notes == (
        "sma: masked by hand; it does not start until `systemctl unmask agent@sma.service`",
        f'also in force, made by hand: "{beside}"',
    )


def test_a_target_that_is_not_enabled_is_noted_after_the_first_install() -> None:
    made = planned(target(SMA), replace(installed(SMA), target_enabled=False))
    assert made.empty
    assert any("supervise.target is not enabled for multi-user.target" in note for note in made.notes)


# --- Unique names -----------------------------------------------------------------------------------------------------


def test_a_name_or_title_of_another_project_is_a_conflict_that_names_its_file() -> None:
    others = and_another_project(NOTHING, spec("sma"), spec("page.1", title="Crossover")).manifests.values()
    found = list(conflicts((SMA, spec("x", title="Crossover"), spec("page"), spec("free")), "trading", others))
    assert {(agent, key) for agent, key, _, _ in found} == {("sma", ""), ("sma", "title"), ("x", "title"), ("page", "")}
    assert all('project "web" (/srv/web/agents.yaml)' in text for _, _, text, _ in found)


def test_a_project_is_in_no_conflict_with_itself() -> None:
    assert list(conflicts((SMA,), "trading", installed(SMA).manifests.values())) == []

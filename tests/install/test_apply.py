"""Plans carried out on real files: whole or not at all, repeatable, and finished by the next install if killed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from supervise.errors import SuperviseError
from supervise.install import apply as applying
from supervise.install.apply import (
    Applied,
    apply,
    commit,
    discard_staged,
    recover,
    stage,
    write_journal,
)
from supervise.install.disk import STAGED, read_disk, staged_files
from supervise.install.journal import Journal, read_journal
from supervise.install.plan import FileChange, Kind, Plan, Seen, Target, plan
from supervise.manifest import Manifest, from_json
from supervise.model import Action, AgentSpec, Outcome, Probe, ProbeKind, Schedule, Scope
from supervise.observe.scan import Scan
from supervise.places import Places
from supervise.platforms import UnitChanges
from tests.install.machine import Machine
from tests.nouns import NOW, copy, places_in, spec

SOURCE = Path("/srv/trading/agents.yaml")
SMA, FEED = spec("sma"), spec("feed")
JOB = spec("nightly", schedule=Schedule(("*-*-* 04:00:00 UTC",)))
CHECK = Probe(ProbeKind.COMMAND, ("/bin/true",))
PROBED = spec("sma", live=CHECK, ready=Probe(ProbeKind.TCP, ("localhost:1",)))
"""Of its probes only the command has a unit."""


@pytest.fixture
def there(tmp_path: Path) -> Places:
    return places_in(tmp_path)


@pytest.fixture
def machine(there: Places) -> Machine:
    return Machine(there)


def silent(_: str) -> None:
    """Nobody reads the progress."""


def target(machine: Machine, *specs: AgentSpec, remove: bool = False) -> Target:
    files = () if remove else tuple(machine.units(specs, places=machine.places, version=252))
    return Target("trading", SOURCE, Scope.SYSTEM, specs, files, remove=remove)


def planned(machine: Machine, *specs: AgentSpec, remove: bool = False) -> Plan:
    wanted = target(machine, *specs, remove=remove)
    states = asyncio.run(machine.snapshot([spec.name for spec in specs])).states
    return plan(wanted, read_disk(machine.places, wanted.files), Seen(states, {}, NOW), places=machine.places)


def install(machine: Machine, *specs: AgentSpec, remove: bool = False) -> Applied:
    """What `supervise install` does under its lock."""
    asyncio.run(recover(machine, machine.places, silent))
    made = planned(machine, *specs, remove=remove)
    old = read_disk(machine.places, ()).manifests.get("trading")
    return asyncio.run(apply(made, machine, places=machine.places, old=old, report=silent))


def uninstall(machine: Machine) -> Applied:
    return install(machine, remove=True)


def run(machine: Machine, *names: str) -> None:
    """Agents that run when the test begins."""
    machine.running |= {f"agent@{name}.service" for name in names}


def manifest(there: Places) -> Manifest | None:
    file = there.manifest("trading")
    return from_json(file.read_text(), file=file) if file.exists() else None


def agents(there: Places) -> list[str]:
    found = manifest(there)
    return [agent.name for agent in found.agents] if found else []


def leftovers(there: Places) -> list[Path]:
    """What only an unfinished install leaves."""
    return [path for path in there.units.parent.rglob("*") if path.name.endswith(STAGED) or path == there.journal]


def drop_in(there: Places, name: str) -> Path:
    return there.units / f"agent@{name}.service.d/50-supervise.conf"


# --- All goes well ----------------------------------------------------------------------------------------------------


def test_an_install_writes_enables_and_reloads_once(there: Places, machine: Machine) -> None:
    done = install(machine, SMA, JOB)
    wanted = {file.path: file.content for file in target(machine, SMA, JOB).files}
    assert machine.files() == machine.loaded == wanted
    assert machine.links() == {
        "supervise.target/agent@sma.service",
        "supervise.target/agent@nightly.timer",
        "multi-user.target/supervise.target",
        "multi-user.target/supervise-reconciler.service",
        "sockets.target/supervise-reconciler.socket",
        "sockets.target/supervise-agent.socket",
    }
    assert machine.orders.count("reload") == 1
    assert done == Applied(len(wanted), reloaded=True, kept={})
    assert agents(there) == ["sma", "nightly"]
    assert leftovers(there) == []


def test_after_an_install_nothing_is_left_to_do(machine: Machine) -> None:
    install(machine, SMA, JOB)
    assert planned(machine, SMA, JOB).empty


def test_files_can_be_read_by_all_whatever_the_umask(there: Places, machine: Machine) -> None:
    before = os.umask(0o077)
    try:
        install(machine, SMA)
    finally:
        os.umask(before)
    assert drop_in(there, "sma").stat().st_mode & 0o777 == 0o644
    assert there.manifest("trading").stat().st_mode & 0o777 == 0o644


def test_what_is_removed_is_stopped_and_disabled_while_its_files_are_there(there: Places, machine: Machine) -> None:
    install(machine, SMA, JOB)
    run(machine, "sma", "nightly")
    machine.running.add("agent@nightly.timer")
    machine.orders.clear()
    install(machine, SMA)
    assert machine.agents_up() == {"agent@sma.service"}
    assert set(machine.orders[:2]) == {"stop agent@nightly.timer", "stop agent@nightly.service"}
    assert machine.orders[2:-2] == [
        "disable agent@nightly.timer",
        "reload",
        "forget agent@nightly.service",
        "forget agent@nightly.timer",
    ]
    assert not drop_in(there, "nightly").parent.exists()
    assert not (there.units / "agent@nightly.timer").exists()


def test_a_probe_that_is_removed_is_stopped_and_gone_and_its_agent_runs_on(there: Places, machine: Machine) -> None:
    install(machine, PROBED)
    unit = there.units / "agent-probe@sma.service"
    assert unit.exists()
    run(machine, "sma")
    machine.running.add(unit.name)
    machine.orders.clear()
    done = install(machine, SMA)
    assert (machine.orders, done.kept) == (
        ["stop agent-probe@sma.service", "reload", "forget agent-probe@sma.service"],
        {},
    )
    assert machine.agents_up() == {"agent@sma.service"}
    assert not unit.exists()
    assert drop_in(there, "sma").exists()


def test_a_probe_that_does_not_stop_keeps_its_file(there: Places, machine: Machine) -> None:
    install(machine, PROBED)
    machine.running.add("agent-probe@sma.service")
    machine.stubborn.add("agent-probe@sma.service")
    done = install(machine, SMA)
    assert done.kept == {"agent-probe@sma.service": "it does not end"}
    assert (there.units / "agent-probe@sma.service").exists()
    machine.stubborn.clear()
    install(machine, SMA)
    assert not (there.units / "agent-probe@sma.service").exists()


def test_an_uninstall_leaves_nothing_of_ours(there: Places, machine: Machine) -> None:
    install(machine, PROBED, JOB)
    run(machine, "sma")
    machine.running.add("supervise.target")
    uninstall(machine)
    assert machine.agents_up() == set()
    assert machine.files() == {}
    assert machine.links() == set()
    assert manifest(there) is None
    assert leftovers(there) == []


def test_a_folder_with_a_drop_in_of_the_operators_is_left_with_it(there: Places, machine: Machine) -> None:
    install(machine, SMA)
    own = drop_in(there, "sma").with_name("override.conf")
    own.write_text("[Service]\nNice=5\n")
    uninstall(machine)
    assert machine.files() == {own: "[Service]\nNice=5\n"}


def test_a_mark_stays_with_what_would_run_the_same_and_is_new_for_the_rest(there: Places, machine: Machine) -> None:
    install(machine, SMA, FEED)
    before = manifest(there)
    install(machine, replace(SMA, title="Crossover"), replace(FEED, command=("/bin/other",)))
    after = manifest(there)
    assert before is not None
    assert after is not None
    assert after.runs["sma"] == before.runs["sma"]
    assert after.runs["feed"].run != before.runs["feed"].run
    assert after.runs["feed"].since > before.runs["feed"].since


# --- What does not stop -----------------------------------------------------------------------------------------------


def stuck(machine: Machine, *names: str) -> None:
    run(machine, *names)
    machine.stubborn |= {f"agent@{name}.service" for name in names}


def test_what_does_not_stop_keeps_its_files_and_stays_in_the_manifest(there: Places, machine: Machine) -> None:
    install(machine, SMA, FEED)
    stuck(machine, "feed")
    done = install(machine, SMA)
    assert done.kept == {"agent@feed.service": "it does not end"}
    assert drop_in(there, "feed").exists()
    assert "supervise.target/agent@feed.service" in machine.links()
    assert agents(there) == ["feed", "sma"]


@pytest.mark.parametrize(
    ("cgroup", "stopped"),
    [
        ("/user.slice", True),
        ("/supervise.slice/agent-run-sma.scope", False),
        ("/user.slice/user-7.slice/user@7.service/supervise.slice/agent-run-sma.scope", False),
    ],
)
def test_the_slice_goes_with_the_last_project_unless_a_process_is_in_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, cgroup: str, stopped: bool
) -> None:
    monkeypatch.setattr(applying, "scan", lambda: Scan((copy(cgroup=cgroup),), complete=True, booted_at=NOW.wall))
    install(machine, SMA)
    assert "stop supervise.slice" not in machine.orders
    uninstall(machine)
    assert ("stop supervise.slice" in machine.orders) is stopped


def test_a_stop_that_a_start_overtook_is_asked_for_again(there: Places, machine: Machine) -> None:
    install(machine, SMA, FEED)
    run(machine, "feed")
    machine.overtaken["agent@feed.service"] = 2
    assert install(machine, SMA).kept == {}
    assert machine.agents_up() == set()


def test_what_is_started_again_and_again_while_we_stop_it_keeps_its_files(there: Places, machine: Machine) -> None:
    install(machine, SMA, FEED)
    run(machine, "feed")
    machine.overtaken["agent@feed.service"] = 1000
    assert install(machine, SMA).kept == {"agent@feed.service": "another request took its place"}
    assert drop_in(there, "feed").exists()


def test_what_was_started_between_its_stop_and_the_loss_of_its_files_does_not_outlive_them(machine: Machine) -> None:
    install(machine, SMA, FEED)
    machine.revived = {"agent@feed.service"}
    install(machine, SMA)
    assert machine.agents_up() == set()


def test_what_did_not_stop_goes_with_the_next_install(there: Places, machine: Machine) -> None:
    install(machine, SMA, FEED)
    stuck(machine, "feed")
    install(machine, SMA)
    machine.stubborn.clear()
    install(machine, SMA)
    assert machine.agents_up() == set()
    assert not drop_in(there, "feed").exists()
    assert agents(there) == ["sma"]
    assert planned(machine, SMA).empty


def test_an_uninstall_keeps_all_that_a_unit_needs_which_does_not_stop(there: Places, machine: Machine) -> None:
    install(machine, SMA, FEED)
    stuck(machine, "feed")
    machine.running.add("supervise.target")
    uninstall(machine)
    assert machine.agents_up() == {"agent@feed.service", "supervise.target"}
    assert {drop_in(there, "feed"), there.units / "agent@.service", there.units / "supervise.slice"} <= set(
        machine.loaded
    )
    assert not drop_in(there, "sma").exists()
    assert {"supervise.target/agent@feed.service", "multi-user.target/supervise.target"} <= machine.links()
    assert agents(there) == ["feed"]
    machine.stubborn.clear()
    uninstall(machine)
    assert machine.files() == {}
    assert machine.links() == set()
    assert manifest(there) is None


def test_a_manager_that_cannot_be_reached_is_as_good_as_one_that_refuses(there: Places, machine: Machine) -> None:
    install(machine, SMA, FEED)
    run(machine, "feed")
    machine.deaf.add("stop agent@feed.service")
    assert install(machine, SMA).kept == {
        "agent@feed.service": "cannot stop agent@feed.service: the connection is gone"
    }
    assert drop_in(there, "feed").exists()


def test_an_agent_that_becomes_a_job_while_it_does_not_stop_is_in_the_manifest_once(
    there: Places, machine: Machine
) -> None:
    install(machine, spec("nightly"))
    stuck(machine, "nightly")
    assert install(machine, JOB).kept
    assert agents(there) == ["nightly"]
    found = manifest(there)
    assert found is not None
    assert found.agents == (JOB,)


# --- What goes wrong --------------------------------------------------------------------------------------------------


def full(path: Path) -> None:
    """The next file staged for this path lies on a device that is full."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f".{path.name}{STAGED}").symlink_to("/dev/full")


def test_where_the_disk_is_full_nothing_is_left_and_nothing_was_changed(there: Places, machine: Machine) -> None:
    install(machine, SMA)
    before = machine.files()
    made = planned(machine, replace(SMA, title="Other"), FEED, JOB)
    full(made.changes[-1].path)
    machine.orders.clear()
    with pytest.raises(SuperviseError, match=r"No space left on device; nothing was changed"):
        asyncio.run(apply(made, machine, places=there, old=None, report=silent))
    assert machine.files() == before
    assert machine.orders == []
    assert leftovers(there) == []
    assert not drop_in(there, "feed").parent.exists()
    assert agents(there) == ["sma"]


def test_where_a_folder_cannot_be_made_the_error_names_it(there: Places, machine: Machine) -> None:
    there.units.mkdir(parents=True)
    drop_in(there, "sma").parent.write_text("in the way")
    made = Plan("trading", (FileChange(Kind.ADD, drop_in(there, "sma"), None, "x\n", "sma"),))
    with pytest.raises(SuperviseError, match=r"agent@sma\.service\.d"):
        asyncio.run(apply(made, machine, places=there, old=None, report=silent))
    assert leftovers(there) == []


@pytest.mark.parametrize("place", ["journal", "manifest"])
def test_a_disk_that_is_full_later_is_made_good_by_the_next_install(
    there: Places, machine: Machine, place: str
) -> None:
    install(machine, SMA)
    made = planned(machine, replace(SMA, title="Other"), FEED)
    full(there.journal if place == "journal" else there.manifest("trading"))
    with pytest.raises(SuperviseError, match="the next install goes on from here"):
        asyncio.run(apply(made, machine, places=there, old=manifest(there), report=silent))
    assert agents(there) == ["sma"]
    install(machine, replace(SMA, title="Other"), FEED)
    assert agents(there) == ["sma", "feed"]
    assert planned(machine, replace(SMA, title="Other"), FEED).empty
    assert leftovers(there) == []


def test_the_manifest_comes_last(there: Places, machine: Machine) -> None:
    machine.deaf.add("reload")
    with pytest.raises(SuperviseError, match="cannot reload"):
        install(machine, SMA)
    assert drop_in(there, "sma").exists()
    assert manifest(there) is None
    assert there.journal.exists()
    machine.deaf.clear()
    install(machine, SMA)
    assert agents(there) == ["sma"]
    assert planned(machine, SMA).empty
    assert not there.journal.exists()


def test_what_breaks_off_while_stopping_leaves_nothing_staged(there: Places, machine: Machine) -> None:
    class Interrupted(Machine):
        async def perform(self, action: Action) -> Outcome:
            raise asyncio.CancelledError

    install(machine, SMA, FEED)
    before = machine.files()
    with pytest.raises(asyncio.CancelledError):
        install(Interrupted(there), replace(SMA, title="Other"))
    assert machine.files() == before
    assert leftovers(there) == []


# --- Killed at any step -----------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The end of the process; nothing of ours catches it."""


@contextmanager
def killed_at(step: int) -> Iterator[Callable[[], bool]]:
    """Ends us before the given one of all calls that change the disk or the machine; says whether it came to that."""
    left = [step]

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return call(*args, **options)

        return called

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in ((os, "fsync"), (Path, "rename"), (Path, "unlink"), (Machine, "perform")):
            patch.setattr(owner, name, counted(getattr(owner, name)))
        with suppress(Killed):
            yield lambda: left[0] < 0


def test_killed_at_any_step_each_file_is_old_or_new_and_the_next_install_goes_on(tmp_path: Path) -> None:
    changed = replace(SMA, command=("/bin/other",))
    step, killed = 0, True
    while killed:
        machine = Machine(places_in(tmp_path / str(step)))
        install(machine, SMA, JOB)
        run(machine, "sma", "nightly")
        old = machine.files()
        new = {file.path: file.content for file in target(machine, changed, FEED).files}
        with killed_at(step) as died:
            install(machine, changed, FEED)
        killed = died()
        for path, content in machine.files().items():
            assert content in (old.get(path), new.get(path)), f"{path} is torn when killed at step {step}"
        install(machine, changed, FEED)
        assert machine.files() == machine.loaded == new, f"killed at step {step}"
        assert planned(machine, changed, FEED).empty, f"killed at step {step}"
        assert leftovers(machine.places) == [], f"killed at step {step}"
        assert machine.agents_up() == {"agent@sma.service"}
        step += 1
    assert step > 20


# --- The parts --------------------------------------------------------------------------------------------------------


def changes(folder: Path) -> list[FileChange]:
    """One file to add, one to change, one to remove."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "changed.conf").write_text("old\n")
    (folder / "agent@gone.service.d").mkdir()
    (folder / "agent@gone.service.d/x.conf").write_text("old\n")
    return [
        FileChange(Kind.ADD, folder / "agent@new.service.d/x.conf", None, "new\n", "new"),
        FileChange(Kind.CHANGE, folder / "changed.conf", "old\n", "new\n", None),
        FileChange(Kind.REMOVE, folder / "agent@gone.service.d/x.conf", "old\n", None, "gone"),
    ]


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_staged_file_is_not_in_its_place_yet(there: Places) -> None:
    stage(changes(there.units), silent)
    assert contents(there.units) == {
        f"agent@new.service.d/.x.conf{STAGED}": "new\n",
        f".changed.conf{STAGED}": "new\n",
        "changed.conf": "old\n",
        "agent@gone.service.d/x.conf": "old\n",
    }
    assert len(list(staged_files(there))) == 2


def test_a_commit_may_be_repeated(there: Places) -> None:
    wanted = changes(there.units)
    stage(wanted, silent)
    for _ in range(3):
        commit(wanted)
        assert contents(there.units) == {"agent@new.service.d/x.conf": "new\n", "changed.conf": "new\n"}
        assert not (there.units / "agent@gone.service.d").exists()


def test_what_was_only_staged_is_thrown_away(there: Places, machine: Machine) -> None:
    stage(changes(there.units), silent)
    asyncio.run(recover(machine, there, silent))
    assert contents(there.units) == {"changed.conf": "old\n", "agent@gone.service.d/x.conf": "old\n"}
    assert not (there.units / "agent@new.service.d").exists()
    assert machine.orders == []


def test_what_a_journal_lists_is_finished(there: Places, machine: Machine) -> None:
    wanted = changes(there.units)
    stage(wanted, silent)
    write_journal(there, Journal("trading", tuple(wanted)))
    commit(wanted[:1])
    told: list[str] = []
    asyncio.run(recover(machine, there, told.append))
    assert contents(there.units) == {"agent@new.service.d/x.conf": "new\n", "changed.conf": "new\n"}
    assert machine.orders == ["reload", "forget agent@gone.service"]
    assert told == ["finishing an install that was interrupted"]
    assert not there.journal.exists()


def test_where_nothing_was_interrupted_nothing_is_done(there: Places, machine: Machine) -> None:
    install(machine, SMA)
    before = machine.files()
    machine.orders.clear()
    asyncio.run(recover(machine, there, silent))
    discard_staged(there)
    assert machine.files() == before
    assert machine.orders == []


def test_a_journal_remembers_what_to_do_with_which_file(there: Places) -> None:
    wanted = changes(there.units)
    write_journal(there, Journal("trading", tuple(wanted)))
    found = read_journal(there)
    assert found
    assert [(one.kind, one.path) for one in found.changes] == [(one.kind, one.path) for one in wanted]


@pytest.mark.parametrize("content", ["", "{", "7", '[{"kind": "add"}]', '[{"kind": "burn", "path": "/x"}]', '["x"]'])
def test_a_journal_that_cannot_be_read_stops_the_install(there: Places, machine: Machine, content: str) -> None:
    there.journal.parent.mkdir(parents=True)
    there.journal.write_text(content)
    with pytest.raises(SuperviseError, match="remove it and install again"):
        install(machine, SMA)
    assert machine.files() == {}


def test_the_machine_of_these_tests_refuses_what_has_no_file(machine: Machine) -> None:
    with pytest.raises(SuperviseError, match="does not exist"):
        asyncio.run(machine.apply(UnitChanges(enable=("agent@sma.service",))))

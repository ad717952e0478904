"""What a look at a real folder finds, and whom it says that a change concerns."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from supervise import manifest
from supervise.clock import boot_id
from supervise.holds import remove_hold, write_hold
from supervise.manifest import Manifest, RunMark, to_json
from supervise.marker import stamped
from supervise.model import AgentSpec, Hold, Phase, Scope
from supervise.places import Places
from supervise.platforms.systemd.units import DROP_IN
from supervise.reconcile import disk
from supervise.reconcile.disk import Disk, look, look_anew, with_holds
from tests.nouns import NOON, places_in, seconds, spec, state

AGENTS = ("sma", "breakout", "scanner.1", "report")
WANTS = "supervise.target.wants"
Change = Callable[[Places], object]


def drop_in(there: Places, name: str) -> Path:
    return there.units / f"agent@{name}.service.d" / DROP_IN


def ours(name: str) -> str:
    return stamped("[Service]\nRestart=always\n", project="trading", agent=name, run="0")


def written(there: Places, *specs: AgentSpec, project: str = "trading", run: str = "r1", boot: str = "") -> None:
    """The manifest of a project, as `install` writes it: whole, and in the place of the one before."""
    marks = {one.name: RunMark(run, boot or boot_id(), seconds(9 if run == "r1" else 99)) for one in specs}
    found = Manifest(project, Path("/srv/agents.yaml"), Scope.SYSTEM, "systemd", "1", specs, marks)
    there.manifests.mkdir(parents=True, exist_ok=True)
    staged = there.manifests / f".{project}"
    staged.write_text(to_json(found))
    staged.rename(there.manifest(project))


def hold(name: str) -> Change:
    return lambda there: write_hold(there, Hold(name, "not now", "ada", NOON))


@pytest.fixture
def there(tmp_path: Path) -> Places:
    """A project with three agents and another one with a job, as they are right after an install."""
    found = places_in(tmp_path)
    for name in AGENTS:
        drop_in(found, name).parent.mkdir(parents=True)
        drop_in(found, name).write_text(ours(name))
    (found.units / WANTS).mkdir()
    (found.units / WANTS / "agent@sma.service").symlink_to("../agent@.service")
    written(found, *map(spec, AGENTS[:3]))
    written(found, spec("report", project="office"), project="office")
    write_hold(found, Hold("breakout", "too many orders", "ada", NOON))
    return found


@pytest.fixture
def before(there: Places) -> Disk:
    return look(there, Disk())[0]


# --- A first look -----------------------------------------------------------------------------------------------------


def test_a_first_look_finds_everything_and_concerns_everybody(there: Places) -> None:
    found, touched = look(there, Disk())
    assert [one.project for one in found.manifests] == ["office", "trading"]
    assert found.specs == {**{name: spec(name) for name in AGENTS[:3]}, "report": spec("report", project="office")}
    assert found.marks == dict.fromkeys(AGENTS, seconds(9))
    assert found.holds == {"breakout": Hold("breakout", "too many orders", "ada", NOON)}
    assert found.enabled == {"agent@sma.service"}
    assert not any((found.masked, found.edited, found.damaged, found.settled))
    assert touched == set(AGENTS)


def test_where_nothing_was_ever_installed_there_is_nothing(tmp_path: Path) -> None:
    there = places_in(tmp_path)
    found, touched = look(there, Disk())
    assert replace(found, stamps={}) == Disk()
    assert touched == frozenset()
    assert look(there, found)[0] is found


def test_what_was_installed_before_this_boot_is_settled(there: Places) -> None:
    written(there, *map(spec, AGENTS[:3]), boot="another")
    found, _ = look(there, Disk())
    assert found.settled == set(AGENTS[:3])
    assert found.marks == {"report": seconds(9)}


def test_a_unit_is_shown_with_what_only_the_disk_tells() -> None:
    found = Disk(
        enabled=frozenset({"agent@sma.service", "agent@report.timer"}),
        masked=frozenset({"agent@breakout.service"}),
        edited=frozenset({"breakout"}),
    )
    seen = {name: found.seen_on(state(name=name)) for name in AGENTS}
    assert {name for name, one in seen.items() if one.enabled} == {"sma", "report"}
    assert {name for name, one in seen.items() if one.masked} == {"breakout"}
    assert {name for name, one in seen.items() if one.edited} == {"breakout"}
    assert found.seen_on(state(Phase.INACTIVE, masked=True)).masked  # at run time only: the disk knows nothing of it


# --- What changes -----------------------------------------------------------------------------------------------------


def test_an_unchanged_disk_is_the_same_object(there: Places, before: Disk) -> None:
    for _ in range(3):
        assert look(there, before) == (before, frozenset())
        assert look(there, before)[0] is before


def install(*specs: AgentSpec, run: str = "r1") -> Change:
    return lambda there: written(there, *specs, run=run)


def link(unit: str) -> Change:
    return lambda there: (there.units / WANTS / unit).symlink_to("../agent@.service")


def unlink(unit: str) -> Change:
    return lambda there: (there.units / WANTS / unit).unlink()


def mask(unit: str) -> Change:
    return lambda there: (there.units / unit).symlink_to("/dev/null")


def edit(name: str, text: str = "CPUWeight=1\n") -> Change:
    """In place, as some editors do: the folder does not change."""

    def change(there: Places) -> None:
        with drop_in(there, name).open("a") as file:
            file.write(text)

    return change


def add_beside(name: str) -> Change:
    return lambda there: drop_in(there, name).with_name("override.conf").write_text("[Service]\n")


def remove(name: str) -> Change:
    return lambda there: drop_in(there, name).unlink()


def remove_folder(name: str) -> Change:
    def change(there: Places) -> None:
        drop_in(there, name).unlink()
        drop_in(there, name).parent.rmdir()

    return change


def release(name: str) -> Change:
    return lambda there: remove_hold(there, name)


def uninstall(project: str) -> Change:
    return lambda there: there.manifest(project).unlink()


SMA, BREAKOUT, SCANNER = map(spec, AGENTS[:3])


@pytest.mark.parametrize(
    ("change", "concerned"),
    [
        pytest.param(install(SMA, replace(BREAKOUT, title="B"), SCANNER), {"breakout"}, id="a spec"),
        pytest.param(install(SMA, BREAKOUT), {"scanner.1"}, id="an agent less"),
        pytest.param(install(SMA, BREAKOUT, SCANNER, spec("new")), {"new"}, id="an agent more"),
        pytest.param(install(SMA, BREAKOUT, SCANNER, run="r2"), set(AGENTS[:3]), id="what they would be started as"),
        pytest.param(install(SMA, BREAKOUT, SCANNER), set(), id="the same installed again"),
        pytest.param(uninstall("office"), {"report"}, id="a project less"),
        pytest.param(hold("sma"), {"sma"}, id="a hold"),
        pytest.param(hold("scanner.1"), {"scanner.1"}, id="a hold of one instance"),
        pytest.param(hold("breakout"), {"breakout"}, id="another reason to hold"),
        pytest.param(hold("stranger"), set(), id="a hold of nobody's"),
        pytest.param(release("breakout"), {"breakout"}, id="a release"),
        pytest.param(link("agent@breakout.service"), {"breakout"}, id="enabled"),
        pytest.param(link("agent@scanner.1.service"), {"scanner.1"}, id="one instance enabled"),
        pytest.param(link("agent@report.timer"), {"report"}, id="a timer enabled"),
        pytest.param(unlink("agent@sma.service"), {"sma"}, id="disabled"),
        pytest.param(link("stranger.service"), set(), id="somebody else's enabled"),
        pytest.param(mask("agent@sma.service"), {"sma"}, id="masked"),
        pytest.param(mask("agent@stranger.service"), set(), id="somebody else's masked"),
        pytest.param(edit("scanner.1"), {"scanner.1"}, id="edited"),
        pytest.param(remove("report"), {"report"}, id="a drop-in removed"),
        pytest.param(remove_folder("report"), {"report"}, id="its folder removed"),
        pytest.param(add_beside("sma"), {"sma"}, id="a drop-in by hand"),
        pytest.param(lambda there: (there.units / "other.service").touch(), set(), id="somebody else's unit"),
        pytest.param(lambda there: (there.manifests / "notes.txt").touch(), set(), id="a file that is no manifest"),
    ],
)
def test_a_change_concerns_exactly_those_whom_it_changes(
    there: Places, before: Disk, change: Change, concerned: set[str]
) -> None:
    change(there)
    after, touched = look(there, before)
    assert touched == concerned
    fresh, _ = look(there, Disk())
    assert after == fresh
    assert look(there, after)[0] is after


@pytest.mark.parametrize(
    ("change", "undo"),
    [
        pytest.param(mask("agent@sma.service"), lambda there: (there.units / "agent@sma.service").unlink(), id="mask"),
        pytest.param(hold("sma"), release("sma"), id="hold"),
        pytest.param(unlink("agent@sma.service"), link("agent@sma.service"), id="disable"),
        pytest.param(edit("sma"), lambda there: drop_in(there, "sma").write_text(ours("sma")), id="edit"),
        pytest.param(remove("sma"), lambda there: drop_in(there, "sma").write_text(ours("sma")), id="remove"),
    ],
)
def test_what_is_undone_concerns_them_again_and_leaves_no_trace(
    there: Places, before: Disk, change: Change, undo: Change
) -> None:
    change(there)
    changed, touched = look(there, before)
    assert touched == {"sma"}
    undo(there)
    after, touched = look(there, changed)
    assert touched == {"sma"}
    assert replace(after, stamps={}) == replace(before, stamps={})


def test_a_drop_in_is_edited_if_it_is_not_as_we_wrote_it(there: Places, before: Disk) -> None:
    edit("sma")(there)
    remove("breakout")(there)
    drop_in(there, "report").write_text("[Service]\n")  # without our marker, so nobody can tell what it was
    found, touched = look(there, before)
    assert found.edited == touched == {"sma", "breakout", "report"}


def test_who_edits_again_is_noticed_again(there: Places, before: Disk) -> None:
    """The manager may have read the first edit and not the second."""
    edit("sma")(there)
    once, _ = look(there, before)
    edit("sma")(there)
    twice, touched = look(there, once)
    assert touched == twice.edited == {"sma"}


def test_a_drop_in_of_bytes_that_are_no_text_is_edited(there: Places, before: Disk) -> None:
    drop_in(there, "sma").write_bytes(b"\xff\xfe\x00")
    assert look(there, before)[0].edited == {"sma"}


def test_only_what_changed_is_read_again(there: Places, before: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def is_edited(file: Path) -> bool:
        read.append(file.parent.name)
        return False

    monkeypatch.setattr(disk, "_is_edited", is_edited)
    monkeypatch.setattr(disk, "read_manifests", lambda places: pytest.fail("the manifests are as they were"))
    edit("sma")(there)
    hold("breakout")(there)
    look(there, before)
    assert read == ["agent@sma.service.d"]


def test_a_change_that_no_stamp_tells_of_is_found_by_who_looks_anew(
    there: Places, before: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "_stamp", lambda path: before.stamps.get(path, disk.NOTHING))
    written(there, SMA, BREAKOUT)
    hold("sma")(there)
    assert look(there, before)[0] is before
    found, touched = look_anew(there, before)
    assert found.specs.keys() == {"sma", "breakout", "report"}
    assert found.holds.keys() == {"sma", "breakout"}
    assert touched >= {"scanner.1", "sma"}
    assert look(there, found)[0] is found


# --- Damage -----------------------------------------------------------------------------------------------------------


def test_a_damaged_manifest_keeps_its_agents_until_it_is_whole_again(there: Places, before: Disk) -> None:
    there.manifest("trading").write_text('{"project": "trad')
    damaged, touched = look(there, before)
    assert (damaged.specs, damaged.marks) == (before.specs, before.marks)
    assert touched == frozenset()
    assert "trading.json" in damaged.damaged["trading"]
    assert look(there, damaged)[0] is damaged

    written(there, SMA, BREAKOUT)
    whole, touched = look(there, damaged)
    assert whole.specs.keys() == {"sma", "breakout", "report"}
    assert whole.damaged == {}
    assert touched == {"scanner.1"}


def test_beside_a_damaged_manifest_the_others_are_followed(there: Places, before: Disk) -> None:
    there.manifest("trading").write_text("")
    written(there, spec("report", project="office", title="New"), project="office")
    found, touched = look(there, before)
    assert touched == {"report"}
    assert found.specs["report"].title == "New"
    assert found.specs.keys() == set(AGENTS)


def test_a_manifest_that_was_never_whole_gives_nothing_but_its_name(there: Places) -> None:
    there.manifest("trading").write_text("[]")
    found, touched = look(there, Disk())
    assert touched == found.specs.keys() == {"report"}
    assert found.damaged.keys() == {"trading"}


def test_a_damaged_manifest_that_is_removed_takes_its_agents_along(there: Places, before: Disk) -> None:
    there.manifest("trading").write_text("")
    damaged, _ = look(there, before)
    there.manifest("trading").unlink()
    found, touched = look(there, damaged)
    assert found.specs.keys() == {"report"}
    assert found.damaged == {}
    assert touched == set(AGENTS[:3])


@pytest.fixture
def shut(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The folder of the manifests as it is to somebody who may not look into it; root may look into every folder."""
    with monkeypatch.context() as patch:
        for module in (manifest, disk):
            patch.setattr(module, "hidden", lambda places: f"cannot read the manifests in {places.manifests}: no")
        yield patch


def test_a_folder_that_cannot_be_read_leaves_everything_installed(
    there: Places, before: Disk, shut: pytest.MonkeyPatch
) -> None:
    found, touched = look(there, before)
    assert (found.specs, found.manifests, found.marks) == (before.specs, before.manifests, before.marks)
    assert touched == frozenset()
    assert found.damaged.keys() == {"-"}
    assert look(there, found)[0] is found

    hold("sma")(there)  # what can be seen is seen
    held, touched = look(there, found)
    assert touched == {"sma"}
    assert held.holds.keys() == {"sma", "breakout"}

    shut.undo()
    there.manifests.chmod(0o755)
    whole, touched = look(there, held)
    assert whole.damaged == {}
    assert whole.specs.keys() == set(AGENTS)
    assert touched == frozenset()


# --- While we look ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("meanwhile", [install(SMA), uninstall("trading"), edit("sma"), hold("sma"), remove("sma")])
@pytest.mark.parametrize("reading", ["read_manifests", "read_holds", "enabled_units", "boot_id"])
def test_what_changes_while_we_look_is_seen_by_the_next_look(
    there: Places, before: Disk, monkeypatch: pytest.MonkeyPatch, reading: str, meanwhile: Change
) -> None:
    real = getattr(disk, reading)

    def slow(*places: Places) -> object:
        found = real(*places)
        monkeypatch.setattr(disk, reading, real)
        meanwhile(there)
        return found

    monkeypatch.setattr(disk, reading, slow)
    written(there, SMA, BREAKOUT, SCANNER, spec("new"))
    during, _ = look(there, before)
    after, _ = look(there, during)
    assert replace(after, stamps={}) == replace(look(there, Disk())[0], stamps={})


# --- Holds ------------------------------------------------------------------------------------------------------------


def test_holds_are_read_again_where_they_changed_and_only_there(there: Places, before: Disk) -> None:
    assert with_holds(there, before) is before
    hold("sma")(there)
    held = with_holds(there, before)
    assert set(held.holds) == {"sma", "breakout"}
    assert replace(held, holds=before.holds) == before
    release("sma")(there)
    release("breakout")(there)
    assert with_holds(there, held).holds == {}


@pytest.mark.parametrize(("change", "name"), [(hold("sma"), "sma"), (release("breakout"), "breakout")])
def test_a_hold_that_was_read_in_between_is_told_of_by_the_next_look_all_the_same(
    there: Places, before: Disk, change: Change, name: str
) -> None:
    change(there)
    after, touched = look(there, with_holds(there, before))
    assert touched == {name}
    assert look(there, after)[0] is after


def test_a_first_hold_is_seen_though_its_folder_was_not_there(there: Places, before: Disk) -> None:
    release("breakout")(there)
    there.holds.rmdir()
    none, _ = look(there, before)
    assert with_holds(there, none) is none
    assert with_holds(there, nobody := Disk()) is nobody
    hold("sma")(there)
    assert set(with_holds(there, none).holds) == {"sma"}


def test_a_manifest_that_only_others_rights_changed_of_is_looked_at_again(there: Places, before: Disk) -> None:
    """It may have become readable."""
    os.chmod(there.manifest("trading"), 0o600)
    after, touched = look(there, before)
    assert after is not before
    assert touched == frozenset()

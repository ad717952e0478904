"""Our files on a real disk: missing, changed, of nobody, half installed."""

from __future__ import annotations

import fcntl
from dataclasses import replace
from pathlib import Path

import pytest

from supervise.doctor.findings import Severity
from supervise.doctor.installation import Installation
from supervise.doctor.units import install_runs, units
from supervise.install.apply import write_journal
from supervise.install.journal import Journal
from supervise.model import Probe, ProbeKind, Schedule, Scope
from supervise.platforms.systemd.units import DROP_IN, RECONCILER, drop_in
from tests.doctor.nouns import installation, installed, manifest, only
from tests.nouns import spec

SMA = spec(live=Probe(ProbeKind.COMMAND, ("/bin/true",)))
NIGHTLY = spec("nightly", schedule=Schedule(("daily",)))


@pytest.fixture
def there(tmp_path: Path) -> Installation:
    found = installation(tmp_path, manifest(SMA, NIGHTLY, folder=tmp_path))
    installed(found)
    return found


def file_of(there: Installation, name: str) -> Path:
    return there.places.units / f"agent@{name}.service.d" / DROP_IN


def test_what_an_install_has_written_is_well(there: Installation) -> None:
    assert list(units(there)) == []


@pytest.mark.parametrize(
    "name",
    [
        "agent@sma.service.d/50-supervise.conf",
        "agent-probe@sma.service",
        "agent@nightly.timer",
        "supervise.target.d/trading.conf",
        RECONCILER,
    ],
)
def test_a_file_that_is_gone_is_an_error(there: Installation, name: str) -> None:
    (there.places.units / name).unlink()
    finding = only(units(there), name)
    assert finding.severity is Severity.ERROR
    assert finding.command == f"supervise install -f {there.manifests[0].source}"


@pytest.mark.parametrize("name", ["agent@sma.service.d/50-supervise.conf", RECONCILER, "agent@.service"])
def test_an_edit_by_hand_is_a_warning(there: Installation, name: str) -> None:
    with (there.places.units / name).open("a") as file:
        file.write("Nice=5\n")
    finding = only(units(there), f"Changed by hand: {name}.")
    assert finding.severity is Severity.WARNING
    assert "install" in finding.command


def test_a_file_without_its_first_line_is_moved_away_before_the_install(there: Installation) -> None:
    file = file_of(there, "sma")
    file.write_text("[Service]\n")
    finding = only(units(there), "is not ours any more")
    assert finding.command.startswith(f"mv {file} {file}.old && supervise install")


def test_a_file_of_an_agent_that_is_not_installed_is_of_nobody(there: Installation) -> None:
    for ghost in (spec("ghost"), spec("other", project="gone")):
        file = drop_in(ghost, places=there.places, version=252)
        file.path.parent.mkdir()
        file.path.write_text(file.content)
    finding = only(units(there), "belong to no agent")
    assert finding.severity is Severity.WARNING
    assert finding.command == (
        "systemctl disable --now agent@ghost.service agent@other.service && "
        f"rm {file_of(there, 'ghost')} {file_of(there, 'other')} && systemctl daemon-reload"
    )


def test_files_of_a_project_whose_manifest_is_damaged_are_not_of_nobody(there: Installation) -> None:
    assert list(units(replace(there, manifests=(), damaged={"trading": "it is torn"}))) == []


def test_who_cannot_see_the_manifests_calls_nothing_of_nobody(there: Installation) -> None:
    assert list(units(replace(there, manifests=(), unseen=True, uid=1000))) == []


def test_a_link_that_starts_no_agent_of_ours_is_noted(there: Installation) -> None:
    wants = there.places.units / "supervise.target.wants"
    wants.mkdir()
    (wants / "agent@sma.service").symlink_to("../agent@.service")
    (wants / "agent@ghost.service").symlink_to("../agent@.service")
    finding = only(units(there), "agent@ghost.service")
    assert (finding.severity, finding.command) == (Severity.NOTE, "systemctl disable agent@ghost.service")


def test_an_install_that_was_killed_is_a_warning(there: Installation) -> None:
    (file_of(there, "sma").parent / f".{DROP_IN}.supervise-new").write_text("")
    assert only(units(there), "has only begun (1 files").severity is Severity.WARNING
    write_journal(there.places, Journal("trading"))
    assert only(units(there), "has not ended").severity is Severity.WARNING


def test_an_install_that_runs_is_no_trouble(there: Installation) -> None:
    write_journal(there.places, Journal("trading"))
    there.places.lock.parent.mkdir(parents=True)
    with there.places.lock.open("w") as lock:
        assert not install_runs(there.places.lock)
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert only(units(there), "An install runs").severity is Severity.NOTE
    assert not install_runs(there.places.lock)


def test_a_damaged_journal_stops_every_install(there: Installation) -> None:
    there.places.journal.write_text("{")
    finding = only(units(there), "No install can begin")
    assert finding.severity is Severity.ERROR
    assert finding.command.startswith(f"rm {there.places.journal} && supervise install")


def test_an_ordinary_user_gets_sudo_and_a_user_of_their_own_systemd_does_not(there: Installation) -> None:
    file_of(there, "sma").unlink()
    assert only(units(replace(there, uid=1000)), "are gone").command.startswith("sudo supervise install")
    own = replace(there, uid=1000, places=replace(there.places, scope=Scope.USER))
    assert only(units(own), "are gone: agent").command == (f"supervise install -f {there.manifests[0].source} --user")


def test_the_install_of_what_runs_as_root_says_so(tmp_path: Path) -> None:
    there = installation(tmp_path, manifest(spec(user="root"), folder=tmp_path))
    installed(there)
    file_of(there, "sma").unlink()
    assert only(units(there), "are gone: agent").command.endswith("--allow-root")

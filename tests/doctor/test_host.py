"""systemd, polkit, drift, accounts and the clock, judged from what was said and what lies on a disk."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from supervise.doctor import polkit as checked
from supervise.doctor.accounts import accounts
from supervise.doctor.bus import bus
from supervise.doctor.clock import clock, synchronised
from supervise.doctor.drift import drift, newer, old
from supervise.doctor.findings import Finding, Severity
from supervise.doctor.installation import Installation
from supervise.manifest import RunMark
from supervise.model import Snapshot
from tests.doctor.nouns import bad, installation, installed, manifest, only, systemd
from tests.nouns import NOW, spec, state


@pytest.fixture
def there(tmp_path: Path) -> Installation:
    found = installation(tmp_path, manifest(spec(), spec("feed", auto_start=False), folder=tmp_path))
    installed(found)
    return found


# --- systemd ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "state", "seconds", "severities"),
    [
        ("252.39-1~deb12u2", "running", 0.005, [Severity.OK]),
        ("v256", "degraded", 0.005, [Severity.NOTE]),
        ("251", "running", 0.005, [Severity.ERROR, Severity.OK]),
        ("252", "maintenance", 0.005, [Severity.WARNING]),
        ("252", "running", 1.5, [Severity.WARNING, Severity.OK]),
    ],
)
def test_systemd_is_judged_by_version_state_and_speed(
    there: Installation, version: str, state: str, seconds: float, severities: list[Severity]
) -> None:
    said = replace(systemd(), version=version, state=state, seconds=seconds)
    assert [one.severity for one in bus(replace(there, systemd=said))] == severities


def test_where_systemd_cannot_be_asked_the_reason_is_told(there: Installation) -> None:
    (finding,) = bus(replace(there, systemd=None, unreachable="cannot reach systemd; is dbus installed?"))
    assert (finding.severity, finding.text) == (Severity.ERROR, "Cannot reach systemd; is dbus installed?")


# --- polkit -----------------------------------------------------------------------------------------------------------


def asked_with(monkeypatch: pytest.MonkeyPatch, *allowed: str, broken: bool = False) -> None:
    """A pkcheck that says yes to these `VERB UNIT`s."""

    def run(words: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        unit, verb = words[words.index("unit") + 1], words[words.index("verb") + 1]
        code = 127 if broken else 0 if f"{verb} {unit}" in allowed else 2
        return subprocess.CompletedProcess(words, code, "", "no authority.\n")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")


RESTART = "restart agent@sma.service"


def test_a_rule_that_allows_agents_and_nothing_else_is_well(
    there: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_with(monkeypatch, RESTART)
    assert list(checked.polkit(there)) == []


def test_a_rule_without_effect_is_an_error(there: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    asked_with(monkeypatch)
    assert only(checked.polkit(there), "does not let").severity is Severity.ERROR


@pytest.mark.parametrize(
    "more", ["restart dbus.service", "kill agent@sma.service", "start agent@sma.service.evil.service"]
)
def test_a_rule_that_is_too_wide_is_an_error(there: Installation, monkeypatch: pytest.MonkeyPatch, more: str) -> None:
    asked_with(monkeypatch, RESTART, more)
    assert only(checked.polkit(there), more).severity is Severity.ERROR


def test_a_polkit_that_does_not_answer_is_one_error(there: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    asked_with(monkeypatch, broken=True)
    assert [one.text for one in checked.polkit(there)] == ["polkit does not answer: no authority."]


def test_who_is_not_root_is_told_that_this_needs_root(there: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    asked_with(monkeypatch, RESTART)
    (finding,) = checked.polkit(replace(there, uid=1000))
    assert (finding.severity, "needs root" in finding.text) == (Severity.NOTE, True)


def test_a_machine_without_polkit_gets_the_command_that_installs_it(
    there: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/dnf" if name == "dnf" else None)
    (finding,) = checked.polkit(there)
    assert (finding.severity, finding.command) == (Severity.ERROR, "dnf install polkit")


# --- Drift ------------------------------------------------------------------------------------------------------------


def drifted(there: Installation) -> list[Finding]:
    """As far as the disk tells."""
    return [one for one in drift(replace(there, systemd=None)) if "no systemd answers" not in one.text]


def enable(there: Installation, *units: str) -> None:
    for unit in units:
        target = "multi-user.target" if unit == "supervise.target" else "supervise.target"
        wants = there.places.units / f"{target}.wants"
        wants.mkdir(exist_ok=True)
        (wants / unit).symlink_to("../x")


def test_what_is_enabled_as_it_was_installed_is_no_drift(there: Installation) -> None:
    enable(there, "supervise.target", "agent@sma.service")
    assert drifted(there) == []


def test_without_the_target_nothing_starts_at_boot(there: Installation) -> None:
    enable(there, "agent@sma.service")
    assert [(one.severity, one.command) for one in drifted(there)] == [
        (Severity.WARNING, "systemctl enable supervise.target")
    ]


def test_what_was_enabled_or_disabled_by_hand_is_noted_with_the_way_back(there: Installation) -> None:
    enable(there, "supervise.target", "agent@feed.service")
    assert [(one.severity, one.command) for one in drifted(there)] == [
        (Severity.NOTE, "systemctl enable agent@sma.service"),
        (Severity.NOTE, "systemctl disable agent@feed.service"),
    ]


def test_a_mask_is_a_warning(there: Installation) -> None:
    enable(there, "supervise.target", "agent@sma.service")
    (there.places.units / "agent@sma.service").symlink_to("/dev/null")
    assert [(one.severity, one.command) for one in drifted(there)] == [
        (Severity.WARNING, "systemctl unmask agent@sma.service")
    ]


def test_a_drop_in_of_the_operators_is_noted(there: Installation) -> None:
    enable(there, "supervise.target", "agent@sma.service")
    own = there.places.units / "agent@sma.service.d/override.conf"
    own.write_text("[Service]\nNice=5\n")
    assert only(drifted(there), str(own)).severity is Severity.NOTE


@pytest.mark.parametrize(("before", "old_one"), [(timedelta(seconds=-1), True), (timedelta(seconds=1), False)])
def test_what_runs_something_older_is_noted(there: Installation, before: timedelta, old_one: bool) -> None:
    mark = RunMark("1", NOW.boot, timedelta(minutes=5))
    known = replace(there.manifests[0], runs={"sma": mark})
    running = state(pid=7, started_monotonic=mark.since + before)
    found = list(old(there, (known,), Snapshot({"sma": running}, NOW)))
    assert [(one.severity, one.command) for one in found] == (
        [(Severity.NOTE, "supervise restart sma")] if old_one else []
    )


def test_only_files_that_are_newer_than_what_systemd_read_are_asked_about(there: Installation) -> None:
    now = datetime.now(UTC)
    assert not newer(spec(), there.places, now + timedelta(hours=1))
    assert newer(spec(), there.places, now - timedelta(hours=1))
    assert newer(spec(), there.places, None)


# --- Accounts ---------------------------------------------------------------------------------------------------------


def test_users_and_groups_of_ours_that_are_missing_are_an_error(there: Installation) -> None:
    finding = only(accounts(replace(there, daemon=None)), "There is no user supervise")
    assert finding.severity is Severity.ERROR
    assert "install" in finding.command


def test_an_agent_whose_user_is_gone_cannot_start_again(there: Installation, tmp_path: Path) -> None:
    agents = (spec("a", user="nobody-here"), spec("b", user="nobody-here"), spec("c", user="root", group="no-group"))
    found = list(accounts(replace(there, manifests=(manifest(*agents, folder=tmp_path),))))
    assert only(found, "no nobody-here any more").text.endswith(": a, b.")
    assert only(found, "no root:no-group any more").severity is Severity.ERROR


# --- The clock --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "severity"),
    [
        ({"NTPSynchronized": "yes"}, Severity.OK),
        ({"NTPSynchronized": "no", "CanNTP": "no"}, Severity.NOTE),
        ({"NTPSynchronized": "no", "CanNTP": "yes", "NTP": "no"}, Severity.NOTE),
        (None, Severity.NOTE),
    ],
)
def test_a_clock_that_nobody_keeps_is_noted(
    there: Installation, said: dict[str, str] | None, severity: Severity
) -> None:
    assert [one.severity for one in synchronised(there, said)] == [severity]


def test_a_clock_before_our_time_is_wrong(there: Installation) -> None:
    found = clock(replace(there, info=None, at=replace(NOW, wall=datetime(1970, 1, 1, tzinfo=UTC))))
    assert only(found, "clock is wrong").severity is Severity.ERROR


def test_a_manifest_from_the_future_is_a_warning(there: Installation) -> None:
    here = replace(there, info=None, at=replace(NOW, wall=datetime.now(UTC)))
    assert bad(clock(here)) == []
    assert only(clock(replace(here, at=NOW)), "in the future").severity is Severity.WARNING
    later = RunMark("1", NOW.boot, NOW.monotonic + timedelta(seconds=1))
    marked = replace(here.manifests[0], runs={"sma": later})
    assert only(clock(replace(here, manifests=(marked,))), "in the future").severity is Severity.WARNING

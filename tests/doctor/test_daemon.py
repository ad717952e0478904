"""The reconciler from outside: what systemd and it itself say of it, and whether it could start once more."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from supervise.doctor.daemon import daemon, interpreter
from supervise.doctor.findings import Finding, Severity
from supervise.doctor.installation import Installation
from supervise.model import Scope
from supervise.platforms.systemd.units import RECONCILER
from tests.doctor.nouns import STRANGER, WELL, bad, installation, installed, manifest, only, systemd
from tests.nouns import NOW


@pytest.fixture
def there(tmp_path: Path) -> Installation:
    found = installation(tmp_path, manifest(folder=tmp_path))
    installed(found)
    return found


def with_unit(there: Installation, **properties: Any) -> list[Finding]:
    return list(daemon(replace(there, systemd=systemd(**properties))))


def with_info(there: Installation, **said: Any) -> list[Finding]:
    return list(daemon(replace(there, info={**WELL, **said})))


def test_one_that_is_well_is_told_with_numbers(there: Installation) -> None:
    assert [(one.severity, one.text) for one in daemon(there)] == [
        (Severity.OK, "The reconciler answers in 10 ms; its view is 1 s old.")
    ]


@pytest.mark.parametrize(
    ("properties", "words", "severity", "command"),
    [
        ({"LoadState": "not-found", "ActiveState": "inactive"}, "is not installed", Severity.ERROR, "install"),
        ({"LoadState": "masked", "ActiveState": "inactive"}, "is masked", Severity.ERROR, "systemctl unmask"),
        ({"ActiveState": "inactive"}, "does not run (inactive)", Severity.ERROR, "systemctl start"),
        ({"ActiveState": "active"}, "does not answer: it hangs", Severity.ERROR, "systemctl restart"),
        (
            {"ActiveState": "activating", "Result": "exit-code", "ExecMainStatus": 203},
            "(exit-code, exit status 203)",
            Severity.ERROR,
            "journalctl",
        ),
        ({"ActiveState": "failed", "Result": "watchdog"}, "does not come up (watchdog", Severity.ERROR, "journalctl"),
    ],
)
def test_one_that_does_not_answer_is_an_error_by_what_systemd_says(
    there: Installation, properties: dict[str, Any], words: str, severity: Severity, command: str
) -> None:
    finding = only(with_unit(replace(there, info=None, silence="it hangs"), **properties), words)
    assert finding.severity is severity
    assert command in finding.command


def test_without_systemd_and_without_an_answer_it_is_an_error(there: Installation) -> None:
    found = daemon(replace(there, systemd=None, info=None, silence="nobody listens"))
    assert only(found, "nobody listens").severity is Severity.ERROR


def test_one_that_somebody_runs_by_hand_is_noted(there: Installation) -> None:
    assert only(with_unit(there, ActiveState="inactive"), "by hand").severity is Severity.NOTE


@pytest.mark.parametrize(
    ("count", "age", "severity"),
    [(1, 1, Severity.NOTE), (4, 1, Severity.NOTE), (5, 1, Severity.WARNING), (5, 300, Severity.NOTE)],
)
def test_restarts_by_systemd_are_counted_and_forgiven(
    there: Installation, count: int, age: int, severity: Severity
) -> None:
    since = (NOW.monotonic - timedelta(seconds=age)) // timedelta(microseconds=1)
    found = with_unit(there, NRestarts=count, ActiveEnterTimestampMonotonic=since)
    assert only(found, "had to start").severity is severity


def test_what_keeps_it_alive_must_be_in_force(there: Installation) -> None:
    assert only(with_unit(there, UnitFileState="disabled"), RECONCILER).command == f"systemctl enable {RECONCILER}"
    assert bad(with_unit(there, WatchdogUSec=0))
    assert bad(with_unit(there, WatchdogUSec=2**64 - 1))
    assert "daemon-reload" in only(with_unit(there, NeedDaemonReload=True), "on disk since").command
    assert not bad(with_unit(there, DropInPaths=["/etc/x.conf"]))
    assert only(with_unit(there, DropInPaths=["/etc/x.conf"]), "/etc/x.conf").severity is Severity.NOTE


@pytest.mark.parametrize(("ago", "late"), [(19, False), (21, True)])
def test_a_watchdog_that_is_not_fed_is_told_before_it_bites(there: Installation, ago: int, late: bool) -> None:
    fed = NOW.monotonic - timedelta(seconds=ago)
    found = with_unit(there, WatchdogTimestampMonotonic=fed // timedelta(microseconds=1))
    assert bool(bad(found)) is late


@pytest.mark.parametrize(
    ("said", "severity"),
    [
        ({"view_age": 19.0}, None),
        ({"view_age": 21.0}, Severity.ERROR),
        ({"platform_unseen": 6.0}, Severity.ERROR),
        ({"version": "0.0.1"}, Severity.WARNING),
        ({"agents": 1}, None),
        ({"agents": 0}, Severity.ERROR),
    ],
)
def test_what_it_says_of_itself_is_judged(there: Installation, said: dict[str, Any], severity: Severity | None) -> None:
    assert [one.severity for one in bad(with_info(there, **said))] == ([severity] if severity else [])


@pytest.mark.parametrize(("pids", "words"), [([7], "1 process may be"), ([7, 8], "2 processes may be")])
def test_processes_that_may_be_an_agents_are_counted_and_looked_at_where_they_are(
    there: Installation, pids: list[int], words: str
) -> None:
    found = only(with_info(there, processes={"unseen": False, "complete": True, "doubts": pids}), words)
    assert found.text.endswith(f"PID {', '.join(map(str, pids))}.")
    assert found.command == "supervise ps"
    own = replace(there, places=replace(there.places, scope=Scope.USER))
    found = only(with_info(own, processes={"unseen": False, "complete": True, "doubts": pids}), words)
    assert found.command == "supervise ps --user"


def test_one_that_has_not_looked_yet_is_not_well(there: Installation) -> None:
    assert {one.severity for one in with_info(there, view_age=None)} == {Severity.NOTE}


def test_a_slow_answer_is_a_warning(there: Installation) -> None:
    assert only(daemon(replace(there, seconds=1.5)), "needed 1.5 s").severity is Severity.WARNING


@pytest.mark.parametrize(
    ("version", "severity"), [("99.0", Severity.WARNING), ("0.0.1", Severity.NOTE)], ids=["newer", "older"]
)
def test_another_version_than_this_command_is_told(there: Installation, version: str, severity: Severity) -> None:
    file = there.places.units / RECONCILER
    file.write_text(file.read_text().replace(f"version={WELL['version']}", f"version={version}", 1))
    found = list(daemon(replace(there, info={**WELL, "version": version})))
    assert only(found, "This command is").severity is severity


def test_an_interpreter_that_is_gone_or_closed_is_found(there: Installation, tmp_path: Path) -> None:
    program = tmp_path / "bin/python"
    file = there.places.units / RECONCILER
    file.write_text(f"[Service]\nExecStart={program} -P -m supervise reconcile\n")
    assert only(daemon(there), "is gone").severity is Severity.ERROR
    program.parent.mkdir()
    program.write_text("")
    program.chmod(0o700)
    finding = only(daemon(replace(there, daemon=STRANGER)), "cannot start again")
    assert finding.severity is Severity.ERROR


def test_the_interpreter_is_the_first_word_of_the_command() -> None:
    assert interpreter('[Service]\nExecStart="/opt/my env/bin/python" -m supervise\n') == Path("/opt/my env/bin/python")
    assert interpreter("[Service]\n") is None
    assert interpreter('ExecStart="/opt\n') is None

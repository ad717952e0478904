"""What people and programs see of it: bad first, commands as they can be copied, nothing foreign that acts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import pytest

from supervise.cli import main
from supervise.cli.doctor import first_run, screen
from supervise.doctor.findings import Finding, Severity
from supervise.doctor.installation import Installation
from tests.doctor.nouns import installation, manifest

ERROR = Finding("units", Severity.ERROR, "Files are gone.", "Install again.", "supervise install -f 'a b.yaml'")
NOTE = Finding("clock", Severity.NOTE, "Nobody keeps the clock.", "Keep it.")
WELL = Finding("bus", Severity.OK, "systemd answers.")
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def there(tmp_path: Path) -> Installation:
    return installation(tmp_path, manifest(folder=tmp_path))


def lines(there: Installation, *findings: Finding, verbose: bool = False) -> list[str]:
    return [click.unstyle(line) for line in screen(there, findings, verbose=verbose)]


def test_each_finding_says_what_is_and_what_to_do_with_a_command_on_a_line_of_its_own(there: Installation) -> None:
    assert lines(there, ERROR, NOTE, WELL)[:-1] == [
        "✗ units  Files are gone.",
        "         Install again:",
        "           supervise install -f 'a b.yaml'",
        "· clock  Nobody keeps the clock.",
        "         Keep it.",
        "1 error, 1 note; 1 check found all well",
    ]


def test_what_is_well_is_told_if_asked_for(there: Installation) -> None:
    assert "✓ bus    systemd answers." in lines(there, ERROR, WELL, verbose=True)
    assert "✓ bus  systemd answers." not in lines(there, WELL)
    assert lines(there, WELL)[0] == "nothing is wrong; 1 check found all well"


def test_a_check_that_found_something_is_not_counted_among_the_well_ones(there: Installation) -> None:
    partly = replace(WELL, check="units")
    assert "1 error; 0 checks found all well" in lines(there, ERROR, partly)


def test_foreign_words_cannot_act_on_a_terminal(there: Installation) -> None:
    text = "\x1b[2J".join(lines(there, replace(ERROR, text="\x1b[31m", advice="\x07", command="\u202erm")))
    assert {"\x07", "\u202e", "\x1b[31m"} & set(text) == set()
    assert "␛[31m" in text


def test_versions_are_told(there: Installation) -> None:
    assert "systemd 252.39-1" in lines(there, WELL)[-1]


def test_where_nothing_is_installed_it_says_how_to_begin(tmp_path: Path) -> None:
    there = installation(tmp_path)
    assert lines(there, WELL)[0] == first_run(there)
    assert "supervise init" in first_run(there)
    assert "sudo supervise apply" in first_run(replace(there, uid=1000))
    assert "sudo" not in first_run(there)


# --- The command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`supervise doctor --user WORDS` of somebody with an empty home: exit code and output."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)

    def called(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["supervise", "doctor", "--user", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return ended.value.code, capsys.readouterr().out

    return called


def test_a_first_run_is_no_failure(doctor: Run) -> None:
    code, out = doctor()
    assert code == 0
    assert out.startswith("Nothing is installed for you yet.")


def test_programs_get_findings_and_versions(doctor: Run) -> None:
    code, out = doctor("--json")
    said = json.loads(out)
    assert (code, said["installed"], said["scope"]) == (0, False, "user")
    assert set(said["versions"]) == {"supervise", "installed", "reconciler", "systemd", "python"}
    assert {"check", "severity", "text", "advice", "command"} == set(said["findings"][0])


def test_an_installation_without_systemd_and_reconciler_is_an_error_and_breaks_no_check(
    doctor: Run, tmp_path: Path
) -> None:
    projects = tmp_path / ".config/supervise/projects"
    projects.mkdir(parents=True)
    (projects / "torn.json").write_text('{"project": "torn"')
    code, out = doctor("--json")
    found = json.loads(out)["findings"]
    errors = {one["check"] for one in found if one["severity"] == "error"}
    assert code == 1
    assert errors >= {"bus", "daemon", "sockets", "manifests"}
    assert [one["text"] for one in found if "broke off" in one["text"]] == []

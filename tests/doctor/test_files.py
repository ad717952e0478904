"""Manifests, their agents.yaml, the store, sockets and secrets: files with real modes below a folder."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from supervise.access import Identity, identity
from supervise.doctor.alerts import alerts
from supervise.doctor.beats import beats, room
from supervise.doctor.config import config
from supervise.doctor.findings import Severity
from supervise.doctor.installation import Installation, Pending
from supervise.doctor.manifests import manifests
from supervise.doctor.probes import probes
from supervise.doctor.programs import programs
from supervise.doctor.reading import blocked_at, cannot_read
from supervise.doctor.sockets import listened_to, sockets
from supervise.doctor.store import store
from supervise.errors import ConfigError, Mark, Problem, SuperviseError
from supervise.install.plan import Plan
from supervise.model import AlertKind, AlertTarget, Probe, ProbeKind, Scope, Secret
from supervise.stores.sqlite import Sqlite
from tests.doctor.nouns import STRANGER, WELL, bad, installation, installed, manifest, only, systemd
from tests.nouns import spec

ME = identity(str(os.getuid()))


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that everybody may enter; those of pytest are closed."""
    with tempfile.TemporaryDirectory(prefix="supervise-doctor-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def there(folder: Path) -> Installation:
    found = installation(folder, manifest(folder=folder), daemon=STRANGER)
    installed(found)
    return found


def pending(**answers: bool | SuperviseError) -> Pending:
    """Plans by overlay, `plain` without one: whether something would change, or what goes wrong."""

    def planned(file: Path, environment: str | None) -> Plan:
        answer = answers[environment or "plain"]
        if isinstance(answer, SuperviseError):
            raise answer
        return Plan("trading", interrupted=answer)

    return planned


# --- Reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "owner", "group", "readable"),
    [
        (0o600, True, False, True),
        (0o600, False, False, False),
        (0o640, False, True, True),
        (0o604, False, True, False),
        (0o604, False, False, True),
        (0o040, True, True, False),
    ],
)
def test_who_may_read_is_judged_by_the_bits_that_are_theirs(
    folder: Path, mode: int, owner: bool, group: bool, readable: bool
) -> None:
    file = folder / "file"
    file.touch()
    file.chmod(mode)
    status = file.stat()
    who = Identity("ada", status.st_uid if owner else 12_345, -1, frozenset({status.st_gid} if group else {54_321}))
    if status.st_uid == 0 and owner:
        os.chown(file, 12_345, status.st_gid)
        who = replace(who, uid=12_345)
    assert (cannot_read(file, who) is None) is readable


@pytest.mark.parametrize(("mode", "readable"), [(0o700, False), (0o704, False), (0o701, False), (0o705, True)])
def test_a_folder_must_be_read_and_entered(folder: Path, mode: int, readable: bool) -> None:
    inner = folder / "inner"
    inner.mkdir()
    inner.chmod(mode)
    assert (cannot_read(inner, STRANGER) is None) is readable


def test_the_first_closed_folder_is_named(folder: Path) -> None:
    closed = folder / "closed"
    (closed / "further").mkdir(parents=True)
    closed.chmod(0o700)
    assert blocked_at(closed / "further", STRANGER) == closed
    assert blocked_at(folder, STRANGER) is None


# --- Manifests --------------------------------------------------------------------------------------------------------


def test_manifests_as_an_install_writes_them_are_well(there: Installation) -> None:
    found = [one for one in manifests(there) if "Others than root" not in one.text]
    assert found == []


@pytest.mark.parametrize("which", ["etc", "etc/projects"])
def test_a_folder_that_the_reconciler_cannot_enter_is_an_error(there: Installation, folder: Path, which: str) -> None:
    (folder / which).chmod(0o700)
    finding = only(manifests(there), "cannot see what is installed")
    assert finding.severity is Severity.ERROR
    assert finding.command.startswith(f"chmod a+rx {folder}/etc {folder}/etc/projects && systemctl restart ")


def test_a_manifest_that_the_reconciler_cannot_read_is_an_error(there: Installation) -> None:
    file = there.places.manifest("trading")
    file.chmod(0o640)
    assert only(manifests(there), "cannot read a manifest").command.startswith(f"chmod a+r {file} && systemctl ")


def test_a_manifest_that_others_may_write_is_an_error(there: Installation) -> None:
    there.places.manifest("trading").chmod(0o666)
    finding = only(manifests(there), "may be written by anybody")
    assert (finding.severity, "chmod go-w" in finding.command) == (Severity.ERROR, True)


def test_a_damaged_manifest_is_an_error_with_the_install_that_makes_it_anew(there: Installation) -> None:
    file, source = there.places.manifest("trading"), there.manifests[0].source
    file.write_text(file.read_text()[:300])
    hurt = replace(there, manifests=(), damaged={"trading": "it is torn"})
    assert only(manifests(hurt), "is damaged").command == f"supervise install -f {source}"
    source.unlink()
    assert only(manifests(hurt), "is damaged").command == ""


def test_a_manifest_of_a_newer_version_is_told_whether_it_can_be_read_or_not(there: Installation) -> None:
    newer = replace(there.manifests[0], version="99.1")
    installed(replace(there, manifests=(newer,)))
    assert only(manifests(replace(there, manifests=(newer,))), "newer than this").severity is Severity.WARNING
    hurt = replace(there, manifests=(), damaged={"trading": "unknown words"})
    assert only(manifests(hurt), "installed by supervise 99.1").severity is Severity.ERROR


# --- agents.yaml ------------------------------------------------------------------------------------------------------


def test_a_file_that_says_what_is_installed_is_well(there: Installation) -> None:
    assert list(config(there)) == []


def test_a_file_that_is_gone_is_a_warning(there: Installation) -> None:
    there.manifests[0].source.unlink()
    finding = only(config(there), "is gone")
    assert (finding.severity, finding.command) == (Severity.WARNING, "")
    assert "`supervise uninstall -p trading`" in finding.advice


def test_pending_changes_are_a_note(there: Installation) -> None:
    finding = only(config(replace(there, pending=pending(plain=True))), "pending changes")
    assert finding.severity is Severity.NOTE
    assert finding.command == f"supervise plan -f {there.manifests[0].source}"


def test_a_project_may_have_been_installed_with_an_overlay(there: Installation, folder: Path) -> None:
    for name in ("dev", "prod"):
        (folder / f"agents.{name}.yaml").touch()
    wrong = SuperviseError("not this one")
    assert list(config(replace(there, pending=pending(plain=True, dev=wrong, prod=False)))) == []
    assert list(config(replace(there, pending=pending(plain=wrong, dev=True, prod=False)))) == []
    assert "--env" in only(config(replace(there, pending=pending(plain=True, dev=True, prod=True))), "pending").text


def test_a_file_that_is_not_valid_is_a_warning_with_its_first_mistake(there: Installation) -> None:
    source = there.manifests[0].source
    problems = [Problem(Mark(source, line, 3), "agents.sma", "is wrong") for line in (5, 9)]
    finding = only(config(replace(there, pending=pending(plain=ConfigError(problems)))), "not valid")
    assert finding.severity is Severity.WARNING
    assert f"{source}:5:3: agents.sma: is wrong (and 1 more)" in finding.text
    assert finding.command == f"supervise check -f {source}"


def test_an_install_that_would_fail_is_a_warning(there: Installation) -> None:
    answer = pending(plain=SuperviseError('cannot write "x": a file is there that is not ours'))
    assert only(config(replace(there, pending=answer)), "is not ours").severity is Severity.WARNING


# --- The store --------------------------------------------------------------------------------------------------------


def own_store(there: Installation) -> Installation:
    there.places.state.mkdir()
    Sqlite.open(there.places.store, host="here").close()
    return replace(there, daemon=ME)


def test_a_store_of_ours_is_well_with_and_without_a_reconciler(there: Installation) -> None:
    there = own_store(there)
    assert list(store(there)) == []
    assert list(store(replace(there, info=None))) == []


def test_looking_at_a_store_leaves_nothing_beside_it(there: Installation) -> None:
    there = own_store(there)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in there.places.state.iterdir())
    assert list(store(replace(there, info=None))) == []
    assert sorted((path.name, path.stat().st_mtime_ns) for path in there.places.state.iterdir()) == before


def test_trouble_of_the_store_is_an_error_with_its_reason(there: Installation) -> None:
    trouble = {"why": "the disk is full", "since": "2026-03-01T12:00:00+00:00", "lost": 3}
    finding = only(store(replace(there, info={**WELL, "store": trouble})), "the disk is full, and 3 events are lost")
    assert finding.severity is Severity.ERROR


def test_another_owner_or_mode_is_told(there: Installation) -> None:
    there = own_store(there)
    there.places.store.chmod(0o644)
    assert only(store(there), "mode 0644").severity is Severity.WARNING
    assert only(store(replace(there, daemon=STRANGER)), 'state.db" belongs to uid').severity is Severity.ERROR


def test_what_lies_beside_the_store_is_noted(there: Installation) -> None:
    there = own_store(there)
    for name in ("state.db.corrupt-20260101T000000", "state.db.before-3"):
        there.places.state.joinpath(name).touch()
    assert [(one.severity, one.command.split("/")[-1]) for one in store(there)] == [
        (Severity.NOTE, "state.db.corrupt-20260101T000000"),
        (Severity.NOTE, "state.db.before-3"),
    ]


@pytest.mark.parametrize("content", [b"not a database at all", b"SQLite format 3\0" + b"x" * 5000])
def test_a_damaged_store_is_seen_where_no_reconciler_can_tell(there: Installation, content: bytes) -> None:
    there = own_store(there)
    there.places.store.write_bytes(content)
    assert [one.severity for one in store(replace(there, info=None))] == [Severity.ERROR]


def test_a_store_that_was_removed_under_the_reconciler_is_an_error(there: Installation) -> None:
    there.places.state.mkdir()
    assert only(store(there), "was removed while").severity is Severity.ERROR
    assert list(store(replace(there, info=None))) == []


# --- Sockets ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def listening(there: Installation) -> Iterator[Installation]:
    """A user's two sockets, open."""
    there = replace(there, places=replace(there.places, scope=Scope.USER), uid=os.getuid(), daemon=ME)
    there.places.runtime.mkdir()
    with socket.socket(socket.AF_UNIX) as control, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as agent:
        for one, path in ((control, there.places.control), (agent, there.places.agent_socket)):
            one.bind(str(path))
            path.chmod(0o600)
        yield there


def test_two_open_sockets_are_well(listening: Installation) -> None:
    assert list(sockets(listening)) == []


def test_a_socket_that_is_gone_or_something_else_is_an_error(listening: Installation) -> None:
    listening.places.control.unlink()
    agent = listening.places.agent_socket
    agent.rename(agent.with_name("moved"))
    agent.write_text("")
    found = bad(sockets(listening))
    assert [one.severity for one in found] == [Severity.ERROR] * 2
    assert "is not there" in found[0].text
    assert "is no socket" in found[1].text


def test_a_socket_file_at_which_nobody_listens_is_a_leftover(there: Installation) -> None:
    there.places.runtime.mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(there.places.control))
    assert only(sockets(there), "is a leftover").severity is Severity.ERROR


def test_a_mode_that_shuts_somebody_out_is_an_error_and_one_too_wide_a_warning(listening: Installation) -> None:
    listening.places.control.chmod(0o400)
    listening.places.agent_socket.chmod(0o666)
    assert [(one.severity, one.command.split()[1]) for one in sockets(listening)] == [
        (Severity.ERROR, "0600"),
        (Severity.WARNING, "0600"),
    ]


def test_sockets_that_systemd_does_not_hold_are_told(listening: Installation) -> None:
    said = systemd()
    said.units["supervise-agent.socket"]["ActiveState"] = "inactive"  # type: ignore[index]
    finding = only(sockets(replace(listening, systemd=said)), "agent.sock")
    assert finding.severity is Severity.WARNING


def test_a_path_with_blanks_is_read_from_the_kernels_list(tmp_path: Path) -> None:
    file = tmp_path / "unix"
    line = "0000000000000000: 00000002 00000000 00010000 0001 01 31337"
    file.write_text(f"Num RefCount\n{line} /run/with a blank.sock\n{line}\n")
    assert listened_to(file) == frozenset({"/run/with a blank.sock"})
    assert listened_to(tmp_path / "nothing") is None


# --- What agents and alerts need --------------------------------------------------------------------------------------


def with_agent(there: Installation, **changes: Any) -> Installation:
    folder = there.places.units.parent
    agent = spec(user="root", **{"command": ("/bin/sleep",), "working_directory": folder, **changes})
    return replace(there, manifests=(manifest(agent, folder=folder),))


def test_an_agent_of_which_all_is_there_is_well(there: Installation) -> None:
    assert list(programs(with_agent(there))) == []


def test_what_an_agent_would_miss_at_its_next_start_is_an_error(there: Installation, folder: Path) -> None:
    gone = folder / "gone"
    for changes in (
        {"command": (str(gone),)},
        {"working_directory": gone},
        {"environment_files": (gone,)},
        {"secrets": (Secret("KEY", gone),)},
    ):
        finding = only(programs(with_agent(there, **changes)), "is gone")
        assert finding.severity is Severity.ERROR
        assert finding.text.startswith("sma: ")


def test_a_program_that_cannot_be_executed_comes_with_the_command_that_allows_it(
    there: Installation, folder: Path
) -> None:
    program = folder / "run"
    program.write_text("")
    program.chmod(0o644)
    finding = only(programs(with_agent(there, command=(str(program),))), "cannot start again")
    assert (finding.severity, finding.command) == (Severity.ERROR, f"chmod a+x {program}")


def test_probes_that_can_be_asked_are_well(there: Installation) -> None:
    http = Probe(ProbeKind.HTTP, ("http://localhost/",))
    assert list(probes(with_agent(there, ready=http, live=Probe(ProbeKind.COMMAND, ("/bin/true",))))) == []
    assert list(probes(with_agent(there))) == []


def test_a_probe_whose_command_is_gone_or_closed_is_an_error(there: Installation, folder: Path) -> None:
    check = folder / "check"
    asked = with_agent(there, live=Probe(ProbeKind.COMMAND, (str(check),)))
    assert only(probes(asked), f'"{check}" of its live probe is gone').severity is Severity.ERROR
    check.write_text("")
    check.chmod(0o644)
    finding = only(probes(asked), "sma: its live probe cannot be asked")
    assert (finding.severity, finding.command) == (Severity.ERROR, f"chmod a+x {check}")


def test_a_library_that_is_missing_is_an_error_only_where_somebody_needs_it(
    there: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervise.doctor.probes.find_spec", lambda name: None)
    http = with_agent(there, live=Probe(ProbeKind.HTTP, ("http://localhost/",)))
    finding = only(probes(http), "httpx is not installed, so probes by http are not asked: sma.")
    assert finding.severity is Severity.ERROR
    assert list(probes(with_agent(there, live=Probe(ProbeKind.TCP, ("localhost:1",))))) == []


def test_what_the_reconciler_could_not_ask_is_a_warning_with_its_reason(there: Installation) -> None:
    told = replace(there, info={**WELL, "unasked": {"sma": "it may not"}})
    finding = only(probes(told), "sma: a probe cannot be asked: it may not.")
    assert finding.severity is Severity.WARNING
    assert "sma" in finding.command


def test_a_secret_that_others_can_read_is_a_warning(there: Installation, folder: Path) -> None:
    key = folder / "key"
    key.touch(0o600)
    assert list(programs(with_agent(there, secrets=(Secret("KEY", key),)))) == []
    key.chmod(0o640)
    finding = only(programs(with_agent(there, secrets=(Secret("KEY", key),))), "can be read by others")
    assert (finding.severity, finding.command) == (Severity.WARNING, f"chmod 600 {key}")


def test_what_is_wrong_with_many_agents_is_told_once(there: Installation, folder: Path) -> None:
    agents = [spec(f"a{number}", user="root", working_directory=folder / "gone") for number in range(9)]
    finding = only(programs(replace(there, manifests=(manifest(*agents, folder=folder),))), "its folder")
    assert finding.text.startswith("a0, a1, a2, a3, a4, a5 and 3 more: ")


def with_alerts(there: Installation, folder: Path) -> tuple[Installation, Path]:
    file = folder / "url"
    file.touch(0o640)
    target = AlertTarget("trading/webhook-1", AlertKind.WEBHOOK, url_file=file, hold_down=timedelta())
    return replace(there, manifests=(manifest(folder=folder, alerts=(target,)),)), file


@pytest.mark.parametrize(("mode", "well"), [(0o640, True), (0o600, False), (0o644, False)])
def test_a_secret_of_alerts_is_for_the_reconciler_and_nobody_else(
    there: Installation, folder: Path, mode: int, well: bool
) -> None:
    there, file = with_alerts(there, folder)
    file.chmod(mode)
    member = replace(STRANGER, groups=frozenset({file.stat().st_gid}))
    found = list(alerts(replace(there, daemon=member)))
    assert (found == []) is well
    assert all(one.command == f"chgrp supervise {file} && chmod 640 {file}" for one in found)
    file.unlink()
    assert only(alerts(there), "there is no file").severity is Severity.WARNING


def test_alerts_that_fail_are_a_warning_with_their_last_error(there: Installation) -> None:
    one = {"failing": True, "last_error": "HTTP 410", "dropped": 2}
    found = list(alerts(replace(there, info={**WELL, "alerts": {"trading/slack-1": one}})))
    assert [(one.severity, one.text) for one in found] == [
        (Severity.WARNING, "Nobody is told by trading/slack-1: HTTP 410."),
        (Severity.NOTE, "2 alerts to trading/slack-1 were dropped."),
    ]


@pytest.mark.parametrize(
    ("where", "named"),
    [
        ({"url": "https://bob:pw@hooks.example:8443/agents?token=T0"}, "webhook hooks.example:8443/agents"),
        ({"url_file": Path("/etc/supervise/hook")}, 'webhook (address in "/etc/supervise/hook")'),
    ],
)
def test_whom_alerts_do_not_reach_is_named_as_in_the_file_and_without_secrets(
    there: Installation, folder: Path, where: dict[str, Any], named: str
) -> None:
    target = AlertTarget("trading/webhook-1", AlertKind.WEBHOOK, **where)
    one = {"failing": True, "last_error": "HTTP 410", "dropped": 2}
    there = replace(
        there,
        manifests=(manifest(folder=folder, alerts=(target,)),),
        info={**WELL, "alerts": {"trading/webhook-1": one}},
    )
    failing = only(alerts(there), "Nobody is told")
    assert failing.text == f"Nobody is told by {named}: HTTP 410."
    assert failing.advice == "See that its address is right and can be reached from here."
    assert only(alerts(there), "dropped").text == f"2 alerts to {named} were dropped."


@pytest.mark.parametrize("why", ["Permission denied", "it is empty"])
def test_a_file_that_the_reconciler_could_not_read_is_what_is_to_be_repaired(
    there: Installation, folder: Path, why: str
) -> None:
    there, file = with_alerts(there, folder)
    one = {"failing": True, "last_error": f'cannot read "{file}": {why}', "dropped": 0}
    finding = only(alerts(replace(there, info={**WELL, "alerts": {"trading/webhook-1": one}})), "Nobody is told")
    assert "address is right" not in finding.advice
    if why == "it is empty":
        assert (finding.advice, finding.command) == (f'See what is in "{file}".', "")
    else:
        assert "cannot be read" in finding.advice
        assert finding.command == f"chgrp supervise {file} && chmod 640 {file}"


@pytest.mark.parametrize(("length", "enough"), [(10, False), (63, False), (64, True), (512, True)])
def test_a_short_queue_of_beats_is_noted_with_the_line_that_makes_it_longer(
    there: Installation, tmp_path: Path, length: int, enough: bool
) -> None:
    file = tmp_path / "max_dgram_qlen"
    file.write_text(f"{length}\n")
    found = list(room(there, file))
    assert (found == []) is enough
    assert all(one.command == "sysctl -w net.unix.max_dgram_qlen=512" for one in found)


def test_refused_beats_are_noted(there: Installation) -> None:
    found = beats(replace(there, info={**WELL, "refused_beats": {"too large": 3, "not an agent": 0}}))
    assert only(found, "refused").text.endswith(": 3 too large.")

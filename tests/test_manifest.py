"""The record of a finished install: it says again all that was written, and who runs something older."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from supervise.errors import NoSuchAgent, SuperviseError
from supervise.manifest import (
    Manifest,
    RunMark,
    from_json,
    manifests,
    of_project,
    outdated,
    read_manifests,
    run_mark,
    to_json,
    unreadable,
)
from supervise.model import (
    FOREVER,
    AgentSpec,
    AlertKind,
    AlertTarget,
    Dependency,
    Hardening,
    HeartbeatLimits,
    HiddenPolicy,
    Instant,
    Notify,
    NotifyAccess,
    Phase,
    Probe,
    ProbeKind,
    Quarantine,
    Rate,
    ReconcilerSettings,
    Resources,
    Restart,
    RestartPolicy,
    Schedule,
    Scope,
    Secret,
    Status,
)
from supervise.places import Places
from tests.nouns import NOW, places_in, spec, state

FILE = Path("/etc/supervise/projects/trading.json")
HOUR = timedelta(hours=1)
FULL = spec(
    "scanner.2",
    base="scanner",
    title='Scanner #2 "große" 日本 🙂',
    scope=Scope.USER,
    command=("/usr/bin/python3", "-m", "scan", "", "a b", "%i", "$HOME", "\\", "x\ny"),
    instance=2,
    before_start=("/bin/true",),
    environment={"MODE": "live", "EMPTY": ""},
    environment_files=(Path("/etc/a b.env"),),
    secrets=(Secret("KEY", Path("/etc/key")), Secret("SEALED", Path("/etc/sealed"), encrypted=True)),
    user=None,
    group="traders",
    dynamic_user=True,
    auto_start=False,
    notify=Notify.ALWAYS,
    notify_access=NotifyAccess.ALL,
    watchdog=None,
    startup_timeout=FOREVER,
    stop_timeout=timedelta(milliseconds=1500),
    stop_signal="SIGINT",
    restart=Restart(RestartPolicy.ON_FAILURE, timedelta(microseconds=1), 7, FOREVER, None),
    quarantine=Quarantine(timedelta(seconds=1), 1.5, HOUR, timedelta()),
    depends_on=(Dependency("agent@market_data.service", required=True), Dependency("redis.service")),
    url="http://localhost:8000",
    ready=Probe(ProbeKind.HTTP, ("http://localhost:8000/health",), "200", HOUR, HOUR, 1),
    live=Probe(ProbeKind.COMMAND, ("/bin/check", "--deep")),
    heartbeat=HeartbeatLimits(HOUR, 2 * HOUR, written=True),
    max_idle=timedelta(days=400),
    resources=Resources("512M", "50%", "200%", "infinity", "1024:4096", 100),
    hardening=Hardening.STRICT,
    writable_paths=(Path("/srv/data"),),
    needed_paths=(Path("/srv/trading"), Path("/usr/lib/python3")),
    hidden=HiddenPolicy.STOP,
    single=False,
    schedule=Schedule(("*-*-* 04:00:00 UTC", "hourly"), HOUR, 2 * HOUR, catch_up=True),
    renamed_from="old_scanner",
    tags=("feed", "slow"),
    log_rate=Rate(0, timedelta(seconds=1)),
    systemd={"Service": {"Nice": ("5",), "ExecStartPost": ("/bin/a", "/bin/b")}, "Unit": {}},
    wave=3,
    waves=4,
)
"""An agent with a value of its own in every field."""
TARGET = AlertTarget(
    id="trading/webhook-1",
    kind=AlertKind.WEBHOOK,
    url="https://example.org/hook",
    url_file=Path("/etc/supervise/hook"),
    secret_file=Path("/etc/supervise/key"),
    hold_down=timedelta(),
    repeat=HOUR,
    resolved=False,
    min_status=Status.WARNING,
    agents=("scanner", "sma"),
    tags=("feed",),
)


def manifest(*agents: AgentSpec, **changes: Any) -> Manifest:
    runs = {agent.name: RunMark("0123456789ab", "boot-1", timedelta(hours=1)) for agent in agents}
    return replace(
        Manifest("trading", Path("/srv/agents.yaml"), Scope.SYSTEM, "systemd", "1.0", agents, runs), **changes
    )


# --- Written and read -------------------------------------------------------------------------------------------------


def test_the_full_example_leaves_no_field_at_its_default() -> None:
    plain = spec(FULL.name, base=FULL.base)
    same = {one.name for one in fields(AgentSpec) if getattr(FULL, one.name) == getattr(plain, one.name)}
    assert same == {"name", "base", "project", "working_directory"}


WHOLE_SECONDS = st.integers(0, 10**10).map(lambda seconds: timedelta(seconds=seconds))
SPANS = st.one_of(WHOLE_SECONDS, st.timedeltas(timedelta(), timedelta(days=1000)), st.just(FOREVER))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
AGENTS = st.builds(
    replace,
    st.just(FULL),
    title=TEXTS,
    command=st.lists(TEXTS, min_size=1, max_size=4).map(tuple),
    working_directory=TEXTS.map(lambda text: Path("/srv") / text.replace("/", "_")),
    environment=st.dictionaries(TEXTS, TEXTS, max_size=3),
    startup_timeout=SPANS,
    stop_timeout=SPANS,
    watchdog=st.none() | SPANS,
    notify=st.sampled_from(Notify),
    restart=st.builds(Restart, st.sampled_from(RestartPolicy), SPANS, st.integers(0, 9), SPANS),
    schedule=st.none() | st.builds(Schedule, st.tuples(TEXTS), st.none() | SPANS, SPANS),
    systemd=st.dictionaries(TEXTS, st.dictionaries(TEXTS, st.lists(TEXTS).map(tuple), max_size=2), max_size=2),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(AGENTS, SPANS.filter(lambda span: span != FOREVER))
@example(FULL, timedelta(days=90, microseconds=1))
@example(spec(), timedelta())
def test_what_is_written_is_read_back(agent: AgentSpec, since: timedelta) -> None:
    written = manifest(agent, runs={agent.name: RunMark("0123456789ab", "boot-1", since)})
    assert from_json(to_json(written), file=FILE) == written


def test_whom_to_tell_and_how_the_daemon_works_are_read_back() -> None:
    written = manifest(
        alerts=(TARGET, AlertTarget("trading/slack-1", AlertKind.SLACK)),
        reconciler=ReconcilerSettings(HOUR, 2 * HOUR, remote_control=True, metrics_listen="[::1]:9750"),
    )
    assert from_json(to_json(written), file=FILE) == written


def test_a_manifest_of_before_there_were_alerts_is_read() -> None:
    older = json.loads(to_json(manifest(spec())))
    del older["alerts"], older["reconciler"]
    assert from_json(json.dumps(older), file=FILE) == manifest(spec())


def test_the_same_manifest_gives_the_same_bytes() -> None:
    text = to_json(manifest(FULL, spec()))
    assert to_json(from_json(text, file=FILE)) == text
    assert text.endswith("}\n")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"project": "trading"}', to_json(manifest(spec())).replace('"system"', '"galaxy"')],
    ids=["empty", "cut", "a-list", "null", "incomplete", "unknown-word"],
)
def test_a_broken_manifest_is_one_sentence_that_says_what_to_do(text: str) -> None:
    with pytest.raises(SuperviseError) as error:
        from_json(text, file=FILE)
    assert str(error.value).startswith(f'cannot read the manifest "{FILE}" (')
    assert str(error.value).endswith("`supervise install` in the folder of its agents.yaml writes it anew")
    assert "\n" not in str(error.value)


# --- In their folder --------------------------------------------------------------------------------------------------


def put(places: Places, *found: Manifest) -> None:
    places.manifests.mkdir(parents=True)
    for one in found:
        places.manifest(one.project).write_text(to_json(one), encoding="utf-8")


def test_all_projects_are_found_by_name(tmp_path: Path) -> None:
    there = places_in(tmp_path)
    put(there, manifest(FULL, project="web"), manifest(spec(), project="bots"))
    (there.manifests / ".trading.json.supervise-new").write_text("{")
    (there.manifests / "notes.txt").write_text("hello")
    assert [one.project for one in manifests(there)] == ["bots", "web"]


def test_a_project_that_is_not_installed_is_an_error_that_names_those_that_are() -> None:
    found = [manifest(spec(), project=name) for name in ("bots", "web")]
    assert of_project(found, None) == tuple(found)
    assert of_project(found, "web") == (found[1],)
    assert of_project([], "web") == ()
    with pytest.raises(NoSuchAgent, match='there is no project "webb"; installed: bots, web'):
        of_project(found, "webb")


def test_without_a_folder_nothing_is_installed(tmp_path: Path) -> None:
    assert list(manifests(places_in(tmp_path))) == []


@pytest.mark.parametrize("damage", [b"{", b"", b"\xff\xfe\x00"], ids=["cut", "empty", "not-text"])
def test_one_damaged_manifest_hides_no_other_and_is_named(tmp_path: Path, damage: bytes) -> None:
    there = places_in(tmp_path)
    put(there, manifest(spec(), project="bots"))
    there.manifest("web").write_bytes(damage)
    assert [one.project for one in manifests(there)] == ["bots"]
    assert list(unreadable(there)) == ["web"]
    assert str(there.manifest("web")) in unreadable(there)["web"]


def test_a_manifest_that_is_mended_while_it_is_read_is_in_one_of_the_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = places_in(tmp_path)
    put(there, manifest(spec(), project="bots"))
    there.manifest("bots").write_text("{")
    real = Path.read_text

    def mended(file: Path, encoding: str) -> str:
        found = real(file, encoding=encoding)
        there.manifest("bots").write_text(to_json(manifest(spec(), project="bots")), encoding="utf-8")
        return found

    monkeypatch.setattr(Path, "read_text", mended)
    found, damaged = read_manifests(there)
    assert (found, list(damaged)) == ((), ["bots"])
    found, damaged = read_manifests(there)
    assert ([one.project for one in found], damaged) == (["bots"], {})


def test_a_manifest_that_goes_while_it_is_read_is_not_damaged(tmp_path: Path) -> None:
    there = places_in(tmp_path)
    put(there, manifest(spec(), project="bots"))
    (there.manifests / "gone.json").symlink_to(there.manifests / "nowhere")
    assert ([one.project for one in manifests(there)], unreadable(there)) == (["bots"], {})


# --- Compared ---------------------------------------------------------------------------------------------------------


def test_when_a_digest_came_makes_no_other_manifest() -> None:
    one = manifest(spec())
    assert one.same_as(replace(one, runs={"sma": RunMark("0123456789ab", "boot-2", timedelta())}))


@pytest.mark.parametrize(
    "changes",
    [
        {"project": "web"},
        {"source": Path("/srv/other/agents.yaml")},
        {"scope": Scope.USER},
        {"platform": "local"},
        {"version": "2.0"},
        {"agents": (spec(title="Other"),)},
        {"runs": {"sma": RunMark("ba9876543210", "boot-1", timedelta(hours=1))}},
        {"runs": {}},
        {"alerts": (TARGET,)},
        {"reconciler": ReconcilerSettings(remote_control=True)},
    ],
    ids=str,
)
def test_anything_else_does(changes: dict[str, Any]) -> None:
    assert not manifest(spec()).same_as(replace(manifest(spec()), **changes))


def test_no_manifest_is_like_none() -> None:
    assert not manifest(spec()).same_as(None)


# --- Outdated ---------------------------------------------------------------------------------------------------------

MARK = RunMark("0123456789ab", "boot-1", timedelta(minutes=10))


@pytest.mark.parametrize(
    ("started", "boot", "older"),
    [
        (timedelta(minutes=9), "boot-1", True),
        (timedelta(minutes=10), "boot-1", False),
        (timedelta(minutes=11), "boot-1", False),
        (timedelta(minutes=9), "boot-2", False),
        (None, "boot-1", False),
    ],
    ids=["before", "at-once", "after", "after-a-boot", "not-started"],
)
def test_outdated_is_who_was_started_before_what_is_on_disk(started: timedelta | None, boot: str, older: bool) -> None:
    assert outdated(MARK, state(Phase.ACTIVE, started_monotonic=started), boot=boot) is older


def test_a_mark_stays_while_its_digest_does() -> None:
    later = Instant(NOW.wall, timedelta(hours=5), timedelta(hours=5), "boot-2")
    assert run_mark(MARK.run, MARK, later) is MARK


@pytest.mark.parametrize("previous", [None, MARK])
def test_a_new_digest_is_marked_with_now(previous: RunMark | None) -> None:
    assert run_mark("ba9876543210", previous, NOW) == RunMark("ba9876543210", "boot-1", NOW.monotonic)

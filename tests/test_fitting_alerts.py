"""From `alerts:` and `reconciler:` to what the daemon reads in the manifest, and what would have no effect."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from supervise import fitting_alerts
from supervise.access import Identity
from supervise.cli.installing import session_for
from supervise.cli.wanted import wanted
from supervise.fitting_alerts import alert_targets, alert_warnings, reconciler_settings
from supervise.manifest import to_json
from supervise.model import AlertKind, AlertTarget, ReconcilerSettings, Scope, Status
from tests.config.loading import loaded

OWNER, STRANGER = 12_345, 12_346
"""Uids and gids of nobody on this machine."""
TOP = "project: p\nagents: {a: {command: [/bin/sleep, infinity], tags: [feed]}, b: {command: x}}\n"


def targets(folder: Path, *alerts: str) -> tuple[AlertTarget, ...]:
    return alert_targets(loaded(folder, TOP + written(*alerts)))


def written(*alerts: str) -> str:
    return "alerts:\n" + "".join(f"  - {alert}\n" for alert in alerts)


def warnings(folder: Path, *alerts: str, scope: Scope = Scope.SYSTEM) -> list[str]:
    found = list(alert_warnings(loaded(folder, TOP + written(*alerts)), scope))
    assert all(one.warning for one in found)
    return [str(one).removeprefix(f"{folder}/") for one in found]


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Callable[[Identity], None]:
    """Makes the daemon's user this one: an install has made none on this machine yet."""

    def known(who: Identity) -> None:
        monkeypatch.setattr(fitting_alerts, "identity", {"supervise": who}.__getitem__)

    return known


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may enter; those of pytest are closed."""
    with tempfile.TemporaryDirectory(prefix="supervise-alerts-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


# --- Targets ----------------------------------------------------------------------------------------------------------


def test_a_target_of_which_little_is_written_is_complete(tmp_path: Path) -> None:
    (found,) = targets(tmp_path, '{webhook: "https://h/x"}')
    assert found == AlertTarget(
        id="p/webhook-29c73581",
        kind=AlertKind.WEBHOOK,
        url="https://h/x",
        hold_down=timedelta(seconds=30),
        resolved=True,
        min_status=Status.ERROR,
    )


def test_everything_that_is_written_is_there_and_paths_start_at_the_file(tmp_path: Path) -> None:
    (found,) = targets(
        tmp_path,
        "{webhook: file:../hook, secret: file:/etc/key, hold_down: 0, repeat: 4h, resolved: false, "
        "min_status: warning, agents: [a], tags: [feed]}",
    )
    assert found == AlertTarget(
        id=found.id,
        kind=AlertKind.WEBHOOK,
        url_file=tmp_path.parent / "hook",
        secret_file=Path("/etc/key"),
        hold_down=timedelta(),
        repeat=timedelta(hours=4),
        resolved=False,
        min_status=Status.WARNING,
        agents=("a",),
        tags=("feed",),
    )


def test_ways_that_are_not_sent_are_left_out(tmp_path: Path) -> None:
    found = targets(tmp_path, "{email: a@b.c}", "{apprise: file:x}", "{slack: file:hook}")
    assert [(one.kind, one.url_file) for one in found] == [(AlertKind.SLACK, tmp_path / "hook")]


def test_an_id_is_that_of_the_address_in_whatever_order_and_with_whatever_else(tmp_path: Path) -> None:
    one, two = targets(tmp_path, "{slack: file:one}", "{slack: file:two}")
    again = targets(tmp_path, "{slack: file:two, hold_down: 1h, agents: [a]}", "{slack: file:one}")
    assert [target.id for target in again] == [two.id, one.id]
    assert one.id != two.id


def test_an_address_that_is_written_twice_is_two_targets(tmp_path: Path) -> None:
    found = targets(tmp_path, "{slack: file:x, agents: [a]}", "{slack: file:x, agents: [b]}", "{slack: file:x}")
    assert [one.id.removeprefix(found[0].id) for one in found] == ["", "-2", "-3"]


# --- The reconciler ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("", ReconcilerSettings()),
        ("reconciler: {retention: 7d}", ReconcilerSettings(timedelta(days=7), timedelta(days=7))),
        ("reconciler: {retention: {events: 1y}}", ReconcilerSettings(events_for=timedelta(days=365.25))),
        ("reconciler: {retention: {samples: 1h}}", ReconcilerSettings(samples_for=timedelta(hours=1))),
        ("reconciler: {remote_control: true}", ReconcilerSettings(remote_control=True)),
        ("reconciler: {metrics_listen: 'localhost:9750'}", ReconcilerSettings(metrics_listen="localhost:9750")),
        (
            "reconciler: {metrics_listen: '0.0.0.0:9750', metrics_public: true}",
            ReconcilerSettings(metrics_listen="0.0.0.0:9750"),
        ),
    ],
)
def test_what_is_unwritten_is_as_usual(tmp_path: Path, text: str, settings: ReconcilerSettings) -> None:
    assert reconciler_settings(loaded(tmp_path, TOP + text)) == settings


# --- What would have no effect ----------------------------------------------------------------------------------------


def test_a_way_that_is_not_sent_is_warned_about_at_its_place(tmp_path: Path) -> None:
    assert warnings(tmp_path, "{email: [a@b.c]}", "{apprise: file:x}") == [
        "agents.yaml:4:13: alerts.0.email: this version does not send by email, so nobody is told; "
        "use webhook or slack",
        "agents.yaml:5:15: alerts.1.apprise: this version does not send by apprise, so nobody is told; "
        "use webhook or slack",
    ]


def test_a_filter_that_nothing_passes_is_warned_about(tmp_path: Path) -> None:
    assert warnings(tmp_path, '{webhook: "https://h/x", agents: [a, c], tags: [feed, fed]}')[1:] == [
        'agents.yaml:4:38: alerts.0.agents: there is no agent "c"',
        'agents.yaml:4:52: alerts.0.tags: no agent has the tag "fed"',
    ]


def test_a_webhook_that_is_not_signed_is_warned_about(tmp_path: Path) -> None:
    assert warnings(tmp_path, '{webhook: "https://h/x"}') == [
        "agents.yaml:4:15: alerts.0.webhook: it is not signed, so whoever gets it cannot know who sent it; "
        "write `secret: file:PATH`"
    ]


@pytest.mark.parametrize(("key", "said"), [("s3cret-" + "x" * 9, ""), ("s3cret-" + "x" * 8 + "\n", "15"), ("\n", "0")])
def test_a_key_that_could_be_guessed_is_warned_about_and_not_shown(tmp_path: Path, key: str, said: str) -> None:
    (tmp_path / "key").write_text(key)
    (tmp_path / "key").chmod(0o600)
    found = warnings(tmp_path, '{webhook: "https://h/x", secret: file:key}', scope=Scope.USER)
    text = f'agents.yaml:4:38: alerts.0.secret: the key in "{tmp_path}/key" has {said} bytes, and could be guessed; '
    assert found == ([f"{text}write one of 16 or more"] if said else [])


def test_a_secret_beside_slack_signs_nothing(tmp_path: Path) -> None:
    (tmp_path / "hook").write_text("")
    (tmp_path / "hook").chmod(0o600)
    (found,) = warnings(tmp_path, "{slack: file:hook, secret: file:nowhere}")
    assert found.startswith("agents.yaml:4:32: alerts.0.secret: only a webhook is signed")
    assert targets(tmp_path, "{slack: file:hook, secret: file:nowhere}")[0].secret_file is None


def test_a_file_that_is_not_there_is_warned_about_with_what_to_do(tmp_path: Path) -> None:
    alerts = ("{slack: file:my hook}", "{webhook: file:hook, secret: file:key}")
    assert warnings(tmp_path, *alerts) == [
        f'agents.yaml:4:13: alerts.0.slack: there is no file "{tmp_path}/my hook", so nothing is sent; write it, then '
        f"`chgrp supervise '{tmp_path}/my hook'; chmod 640 '{tmp_path}/my hook'`",
        f'agents.yaml:5:15: alerts.1.webhook: there is no file "{tmp_path}/hook", so nothing is sent; write it, then '
        f"`chgrp supervise {tmp_path}/hook; chmod 640 {tmp_path}/hook`",
        f'agents.yaml:5:34: alerts.1.secret: there is no file "{tmp_path}/key", so nothing is sent; write it, then '
        f"`chgrp supervise {tmp_path}/key; chmod 640 {tmp_path}/key`",
    ]
    assert warnings(tmp_path, alerts[0], scope=Scope.USER)[0].endswith(f"then `chmod 600 '{tmp_path}/my hook'`")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (found,) = warnings(tmp_path, "{slack: file:.}")
    assert found.endswith(f'"{tmp_path}" is not a file, so nothing is sent')


@pytest.mark.parametrize(
    ("mode", "owns", "in_group", "said"),
    [
        (0o640, False, True, None),
        (0o400, True, False, None),
        (0o600, False, True, "cannot read"),
        (0o640, False, False, "cannot read"),
        (0o040, True, True, "cannot read"),
        (0o644, False, False, "can be read by others"),
    ],
)
def test_what_the_daemon_may_not_read_is_warned_about(
    folder: Path, daemon: Callable[[Identity], None], mode: int, owns: bool, in_group: bool, said: str | None
) -> None:
    file = folder / "hook"
    file.write_text("https://h/x")
    file.chmod(mode)
    if os.getuid() == 0:  # else its owner would be root, who may read everything
        os.chown(file, OWNER, OWNER)
    me = file.stat()
    groups = frozenset({me.st_gid} if in_group else {})
    daemon(Identity("supervise", me.st_uid if owns else STRANGER, STRANGER, groups))
    found = warnings(folder, "{slack: file:hook}")
    if said is None:
        assert found == []
    else:
        assert said in found[0]
        assert found[0].endswith(f"; `chgrp supervise {file}; chmod 640 {file}`")


def test_a_folder_on_the_way_may_be_closed_to_the_daemon(folder: Path, daemon: Callable[[Identity], None]) -> None:
    (folder / "closed").mkdir()
    file = folder / "closed/hook"
    file.write_text("https://h/x")
    file.chmod(0o640)
    (folder / "hook").symlink_to(file)
    daemon(Identity("supervise", STRANGER, STRANGER, frozenset({file.stat().st_gid})))
    (folder / "closed").chmod(0o755)
    assert warnings(folder, "{slack: file:hook}") == []
    (folder / "closed").chmod(0o700)
    (found,) = warnings(folder, "{slack: file:hook}")
    assert f'cannot read "{folder}/hook": supervise may not enter folder "{folder}/closed"' in found


def test_before_its_user_is_made_nothing_is_said_of_what_it_may_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting_alerts, "DAEMON", "no-such-user-here")
    (tmp_path / "hook").write_text("https://h/x")
    (tmp_path / "hook").chmod(0o600)
    assert warnings(tmp_path, "{slack: file:hook}") == []


def test_for_agents_of_ones_own_it_is_oneself_who_must_read_it(tmp_path: Path) -> None:
    (tmp_path / "hook").write_text("https://h/x")
    (tmp_path / "hook").chmod(0o600)
    assert warnings(tmp_path, "{slack: file:hook}", scope=Scope.USER) == []


# --- Into the manifest ------------------------------------------------------------------------------------------------


def test_an_install_writes_them_into_the_manifest_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    (tmp_path / "hook").write_text("https://hooks.example/T0SECRET")
    (tmp_path / "agents.yaml").write_text(
        "project: p\nagents: {a: {command: [/bin/sleep, infinity]}}\n"
        "reconciler: {retention: 7d}\n" + written("{slack: file:hook}")
    )

    async def planned() -> None:
        found = wanted(tmp_path / "agents.yaml", None, Scope.USER)
        async with session_for(found) as session:
            manifest = (await session.plan()).manifest
        assert manifest
        assert manifest.alerts == alert_targets(found.config) != ()
        assert manifest.reconciler == ReconcilerSettings(timedelta(days=7), timedelta(days=7))
        assert "T0SECRET" not in to_json(manifest)

    asyncio.run(planned())

"""Fits `alerts:` and `reconciler:` to what the daemon reads in the manifest: paths absolute, defaults filled in.

Everybody can read the manifest, so no secret may pass through here: of a file only its path. What the daemon could not
use is warned about; nothing is changed.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from supervise.access import Identity, identity, obstacle
from supervise.config import Alert, Config, SecretSource
from supervise.errors import Problem
from supervise.fitting import absolute
from supervise.model import AlertKind, AlertTarget, ReconcilerSettings, Scope, Status

DAEMON = "supervise"
"""The user and the group of the machine's reconciler (`units/supervise.sysusers`)."""

SHORTEST_KEY = 16
"""Bytes."""


def reconciler_settings(config: Config) -> ReconcilerSettings:
    written, usual = config.reconciler, ReconcilerSettings()
    return ReconcilerSettings(
        events_for=written.retention.events or usual.events_for,
        samples_for=written.retention.samples or usual.samples_for,
        remote_control=written.remote_control,
        metrics_listen=written.metrics_listen,
    )


def alert_targets(config: Config) -> tuple[AlertTarget, ...]:
    """Those that can be sent to. An id is made of project, way and address, so that with other filters or times it is
    the same target still, and what was told there stays told."""
    taken: Counter[str] = Counter()
    targets: list[AlertTarget] = []
    for alert in config.alerts:
        if not (way := _way(alert)):
            continue
        kind, source = way
        address = source if isinstance(source, str) else str(_path(config, source))
        name = f"{config.project}/{kind.value}-{hashlib.sha256(address.encode()).hexdigest()[:8]}"
        taken[name] += 1
        targets.append(_target(config, alert, kind, source, name if taken[name] == 1 else f"{name}-{taken[name]}"))
    return tuple(targets)


def alert_warnings(config: Config, scope: Scope) -> Iterator[Problem]:
    """What is written and would have no effect on this host: ways that are not sent, files that cannot be read. And
    webhooks of which nobody can be sure who sent them."""
    daemon = daemon_identity(scope)
    tags = {tag for agent in config.agents.values() for tag in agent.tags}
    for index, alert in enumerate(config.alerts):
        for key, text in (*_unsent(alert), *_unsigned(alert), *_nobody(alert, config, tags)):
            yield config.problem(text, "alerts", index, key, warning=True)
        for key, source in _files(alert).items():
            path = _path(config, source)
            why = unusable(path, daemon, advice=advice(path, scope)) or (_weak(path) if key == "secret" else None)
            if why:
                yield config.problem(why, "alerts", index, key, warning=True)


def _way(alert: Alert) -> tuple[AlertKind, str | SecretSource] | None:
    """How it is sent, and the URL or where that is kept; None for the ways that this version does not send."""
    if alert.webhook is not None:
        return AlertKind.WEBHOOK, alert.webhook
    return (AlertKind.SLACK, alert.slack) if alert.slack is not None else None


def _target(config: Config, alert: Alert, kind: AlertKind, source: str | SecretSource, name: str) -> AlertTarget:
    return AlertTarget(
        id=name,
        kind=kind,
        url=source if isinstance(source, str) else None,
        url_file=None if isinstance(source, str) else _path(config, source),
        secret_file=_path(config, alert.secret) if alert.secret and kind is AlertKind.WEBHOOK else None,
        hold_down=alert.hold_down,
        repeat=alert.repeat,
        resolved=alert.resolved,
        min_status=Status(alert.min_status.value),
        agents=alert.agents,
        tags=alert.tags,
    )


def _path(config: Config, source: SecretSource) -> Path:
    return absolute(config.folder, source.path)


# --- What has no effect -----------------------------------------------------------------------------------------------


def _unsent(alert: Alert) -> Iterator[tuple[str, str]]:
    for key in ("email", "apprise"):
        if getattr(alert, key) is not None:
            yield key, f"this version does not send by {key}, so nobody is told; use webhook or slack"
    if alert.slack is not None and alert.secret is not None:
        yield "secret", "only a webhook is signed; Slack's address is secret itself"


def _unsigned(alert: Alert) -> Iterator[tuple[str, str]]:
    if alert.webhook is not None and alert.secret is None:
        yield "webhook", "it is not signed, so whoever gets it cannot know who sent it; write `secret: file:PATH`"


def _weak(path: Path) -> str | None:
    """Why this key could be guessed. Nothing of it may stand in the text."""
    try:
        size = len(path.read_bytes().strip())
    except OSError:
        return None
    if size >= SHORTEST_KEY:
        return None
    return f'the key in "{path}" has {size} bytes, and could be guessed; write one of {SHORTEST_KEY} or more'


def _nobody(alert: Alert, config: Config, tags: set[str]) -> Iterator[tuple[str, str]]:
    for name in alert.agents:
        if name not in config.agents:
            yield "agents", f'there is no agent "{name}"'
    for tag in alert.tags:
        if tag not in tags:
            yield "tags", f'no agent has the tag "{tag}"'


def _files(alert: Alert) -> Mapping[str, SecretSource]:
    """What the daemon reads when it sends, by key."""
    found = {"webhook": alert.webhook, "slack": alert.slack, "secret": alert.secret if alert.webhook else None}
    return {key: source for key, source in found.items() if isinstance(source, SecretSource)}


def daemon_identity(scope: Scope) -> Identity | None:
    """Whom the machine's daemon runs as, once it is installed; that of `--user` is whoever asks."""
    if scope is Scope.USER:
        return identity(str(os.getuid()))
    try:
        return identity(DAEMON)
    except KeyError:
        return None


def unusable(path: Path, daemon: Identity | None, *, advice: str) -> str | None:
    """Why the daemon cannot read the file, or others can, and what to do. What we may not look at is not judged."""
    try:
        status = path.stat()
    except PermissionError:
        return None
    except OSError:
        return f'there is no file "{path}", so nothing is sent; write it, then {advice}'
    if not stat.S_ISREG(status.st_mode):
        return f'"{path}" is not a file, so nothing is sent'
    if status.st_mode & stat.S_IROTH:
        return f'"{path}" can be read by others; {advice}'
    if daemon is None:
        return None
    for folder in (path.parent, Path(os.path.realpath(path)).parent):
        if why := obstacle(folder, daemon):
            return f'the reconciler cannot read "{path}": {why}; move it to where {daemon.name} may read'
    return None if _may_read(status, daemon) else f'the reconciler cannot read "{path}"; {advice}'


def _may_read(status: os.stat_result, who: Identity) -> bool:
    """As access.py judges whether somebody may execute, from the mode bits; nobody else's bit is set here."""
    if who.uid in (0, status.st_uid):
        return who.uid == 0 or bool(status.st_mode & stat.S_IRUSR)
    return status.st_gid in who.groups and bool(status.st_mode & stat.S_IRGRP)


def advice(path: Path, scope: Scope) -> str:
    file = shlex.quote(str(path))
    return f"`chmod 600 {file}`" if scope is Scope.USER else f"`chgrp {DAEMON} {file}; chmod 640 {file}`"

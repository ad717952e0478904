"""Messages for tests, as the alerts would make them."""

from __future__ import annotations

from typing import Any

from supervise.alerts.messages import Message, MessageKind, Subject, message
from supervise.model import Status
from tests.nouns import NOON, NOW


def agent(name: str = "sma", **changes: Any) -> Subject:
    plain: dict[str, Any] = {
        "name": name,
        "title": "SMA Agent",
        "project": "trading",
        "status": Status.ERROR,
        "reason": "Crashed",
        "message": "exited with code 1",
        "since": NOON,
        "health": 20,
    }
    return Subject(**{**plain, **changes})


def firing(*agents: Subject, target: str = "trading/a") -> Message:
    return message(MessageKind.FIRING, target, agents or (agent(),), now=NOW, host="alpha")

"""The alerts' memory as a text that a store keeps: a restart must neither repeat what was told nor forget it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from supervise import serial
from supervise.alerts.messages import Message
from supervise.alerts.troubles import AlertState

KEY = "alerts"
"""The key of the note."""


@dataclass(frozen=True, slots=True)
class AlertNote:
    """What was told, and what had not arrived when the daemon ended."""

    state: AlertState = field(default_factory=AlertState)
    unsent: tuple[Message, ...] = ()


def to_note(state: AlertState, unsent: Iterable[Message] = ()) -> str:
    return serial.to_json(AlertNote(state, tuple(unsent)))


def from_note(text: str | None) -> AlertNote:
    """Empty where there is none, or one that cannot be read: then troubles that last are told once more."""
    try:
        found: AlertNote = serial.of_json(AlertNote, text or "{}")
    except ValueError:
        return AlertNote()
    return found

"""What an agent last said of itself. Each beat carries all of it, so that a lost one loses nothing.

Pure. What it works at stays until it says something else; how it fares is its last word, and `stopping` the very last.
"""

from __future__ import annotations

from supervise.agent.wording import DROPPED, LONGEST_NAME, fraction, line, percent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class State:
    """`fields`: the keys of a datagram, only those that are set. Never changed, only replaced."""

    def __init__(self, name: str) -> None:
        self._name: dict[str, Any] = {"v": 1, "agent": line(name, LONGEST_NAME)}
        self._work: dict[str, Any] = {}
        self._condition: dict[str, Any] = {}
        self._stopping = False
        self.fields: dict[str, Any] = self._name

    def works(
        self, activity: object = None, *, progress: object = None, health: object = None, metadata: object = None
    ) -> None:
        """What it does. None: as before; but progress belongs to an activity, and ends with it."""
        work = dict(self._work)
        if activity is not None:
            text = line(activity)
            if text != work.get("activity"):
                work.pop("progress", None)
            work["activity"] = text
        if metadata is not None:
            work["metadata"] = _snapshot(metadata)
        _set(work, progress=fraction(progress), health=percent(health))
        self._work = work

    def is_well(self) -> None:
        self._becomes("running")

    def is_in_trouble(self, status: str, *, health: object = None, **why: str) -> None:
        """`status`: warning or error. `why`: the one key, `error` or `waiting`, that says what is wrong."""
        self._becomes(status, health=percent(health), **why)

    def is_stopping(self) -> None:
        self._stopping = True
        self._becomes("stopping")

    def _becomes(self, status: str, *, health: int | None = None, **why: str) -> None:
        self._condition = {"status": "stopping" if self._stopping else status, **why}
        _set(self._condition, health=health)
        self.fields = {**self._name, **self._work, **self._condition}


def _set(fields: dict[str, Any], **values: object) -> None:
    fields.update({key: value for key, value in values.items() if value is not None})


def _snapshot(metadata: Any) -> dict[Any, Any]:
    """A copy: the agent may go on changing its own."""
    try:
        return dict(metadata)
    except Exception:  # no mapping, or changed by another thread meanwhile
        return {DROPPED: "it is no mapping"}

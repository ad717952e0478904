"""How much of what agents take is worth a row, and how near they are to their limits. Pure."""

from __future__ import annotations

from typing import Protocol

from supervise.model import Usage

SHARE = 0.2
LEAST_CPU, LEAST_MEMORY, LEAST_TASKS = 0.05, 8 * 1024 * 1024, 4
"""A figure is worth a new row once it is off by a fifth, and by no less than this: else 500 agents that idle would be
written down at each look for nothing but noise."""
NEAR = 0.8
"""From this share of a limit on there is pressure."""


class Figures(Protocol):
    """What a row and an observation have in common."""

    @property
    def cpu(self) -> float | None: ...
    @property
    def memory(self) -> int | None: ...
    @property
    def tasks(self) -> int | None: ...


def moved(before: Figures, now: Figures) -> bool:
    """Whether the figures differ so much that a row must tell."""
    if (before.cpu, before.memory, before.tasks) == (now.cpu, now.memory, now.tasks):
        return False
    return (
        _off(before.cpu, now.cpu, LEAST_CPU)
        or _off(before.memory, now.memory, LEAST_MEMORY)
        or _off(before.tasks, now.tasks, LEAST_TASKS)
    )


def _off(before: float | None, now: float | None, least: float) -> bool:
    if before is None or now is None:
        return before is not now
    return abs(now - before) >= max(least, SHARE * before)


def pressure(usage: Usage) -> tuple[float, str]:
    """How near it is to the limit that is nearest, from 0 to 1 and in tenths, so that it is not another at each look;
    and what limit that is, where it is near one."""
    near = _near(usage)
    if not near:
        return 0.0, ""
    share, what = max(near)
    step = min(max(round((share - NEAR) / (1 - NEAR), 1), 0.0), 1.0)
    return step, what.format(percent=round(100 * (NEAR + (1 - NEAR) * step)))


def _near(usage: Usage) -> list[tuple[float, str]]:
    """The limits that it is near to: what share of each it takes, and what people are told."""
    near = []
    if usage.memory is not None and usage.memory_limit and (share := usage.memory / usage.memory_limit) > NEAR:
        near.append((share, "its memory is at {percent} % of its limit"))
    if usage.tasks is not None and usage.tasks_limit and (share := usage.tasks / usage.tasks_limit) > NEAR:
        near.append((share, "its tasks are at {percent} % of their limit"))
    if usage.throttled is not None and usage.throttled > NEAR:
        near.append((usage.throttled, "its CPU limit holds it back {percent} % of the time"))
    return near

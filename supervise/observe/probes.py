"""What the probes of one life of an agent have answered, and how often in a row it was no. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from supervise.model import ProbeResult, ProbeRole


@dataclass(frozen=True, slots=True)
class Probed:
    """`failed`: failures of the live probe in a row. `unasked`: why the last question could not even be put."""

    incarnation: str
    ready: ProbeResult | None = None
    live: ProbeResult | None = None
    failed: int = 0
    unasked: str = ""

    def answered(self, role: ProbeRole, result: ProbeResult) -> Probed:
        if role is ProbeRole.READY:
            return replace(self, ready=result, unasked="")
        return replace(self, live=result, failed=0 if result.ok else self.failed + 1, unasked="")


def is_news(before: Probed, now: Probed) -> bool:
    """Whether anything but a time or the number of questions is another."""
    return (
        _said(before.ready) != _said(now.ready) or _said(before.live) != _said(now.live) or before.failed != now.failed
    )


def _said(result: ProbeResult | None) -> tuple[bool, str, str | None] | None:
    return (result.ok, result.detail, result.network_error) if result else None

"""What `status NAME` says of an agent's probes: what each asks, and what was answered last."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from supervise.cli.output import age
from supervise.decide.probes import named
from supervise.model import AgentSpec, Phase, ProbeResult, Reason, StatusRow
from supervise.observe.probes import Probed

UNREADY = (Reason.STARTING, Reason.START_TIMEOUT)


def probe_facts(
    spec: AgentSpec, row: StatusRow, probed: Probed | None, now: datetime, *, known: bool
) -> Iterator[tuple[str, str]]:
    """A label and a text for each probe. `known`: a reconciler has told, which alone asks."""
    answers = {"ready": probed.ready, "live": probed.live} if probed else {}
    for label, probe in (("ready", spec.ready), ("live", spec.live)):
        if probe is None:
            continue
        answer = answers.get(label)
        said = _said(answer, now) if answer else _unsaid(label, row, known=known)
        times = f", {probed.failed} times in a row" if probed and label == "live" and probed.failed > 1 else ""
        yield label, f"{named(probe)}: {said}{times}"
    if probed and probed.unasked:
        yield "unasked", f"a probe cannot be asked: {probed.unasked}"


def probes_json(probed: Probed | None) -> dict[str, Any] | None:
    if probed is None:
        return None
    return {
        "ready": _answer_json(probed.ready),
        "live": _answer_json(probed.live),
        "failed": probed.failed,
        "unasked": probed.unasked,
    }


def _said(answer: ProbeResult, now: datetime) -> str:
    return f"{answer.detail} ({age(answer.at.wall, now)})"


def _unsaid(label: str, row: StatusRow, *, known: bool) -> str:
    if not known:
        return "asked by the reconciler"
    if row.phase is not Phase.ACTIVE:
        return "asked once it runs"
    if label == "ready" and row.observed_reason not in UNREADY:
        return "ready"
    return "not answered yet"


def _answer_json(answer: ProbeResult | None) -> dict[str, Any] | None:
    if answer is None:
        return None
    return {
        "ok": answer.ok,
        "detail": answer.detail,
        "network_error": answer.network_error,
        "at": answer.at.wall,
    }

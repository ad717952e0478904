"""What is shown of probes: the last answers with their age, and nothing that was not said."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from supervise.cli.probe_view import probe_facts, probes_json
from supervise.model import AgentSpec, Phase, Probe, ProbeKind, ProbeResult, Reason, Status
from supervise.observe.probes import Probed
from tests.nouns import NOON, NOW, row, spec

HTTP = Probe(ProbeKind.HTTP, ("http://localhost:8000/health",))
TCP = Probe(ProbeKind.TCP, ("localhost:8000",))
BOTH = spec(ready=TCP, live=HTTP)
YES, NO = ProbeResult(True, "it accepts connections", NOW), ProbeResult(False, "connection refused", NOW, "refused")
STARTING = row(status=Status.STARTING, reason=Reason.STARTING)


def facts(agent: AgentSpec = BOTH, probed: Probed | None = None, **more: Any) -> dict[str, str]:
    told = {"row": row(), "known": True, **more}
    return dict(probe_facts(agent, told["row"], probed, NOON + timedelta(minutes=2), known=told["known"]))


def test_the_last_answers_come_with_their_age_and_how_often_it_was_no() -> None:
    assert facts(probed=Probed("a", ready=YES, live=NO, failed=4)) == {
        "ready": "localhost:8000: it accepts connections (2 min ago)",
        "live": "http://localhost:8000/health: connection refused (2 min ago), 4 times in a row",
    }
    assert facts(probed=Probed("a", live=NO, failed=1))["live"].endswith("connection refused (2 min ago)")


def test_of_an_agent_without_probes_nothing_is_said() -> None:
    assert facts(spec()) == {}


def test_what_was_not_answered_is_told_by_why() -> None:
    assert facts() == {"ready": "localhost:8000: ready", "live": "http://localhost:8000/health: not answered yet"}
    assert facts(row=STARTING)["ready"] == "localhost:8000: not answered yet"
    assert facts(row=row(phase=Phase.INACTIVE))["live"].endswith(": asked once it runs")
    assert facts(known=False)["live"].endswith(": asked by the reconciler")


def test_what_cannot_be_asked_is_told() -> None:
    assert facts(probed=Probed("a", unasked="httpx is not installed"))["unasked"] == (
        "a probe cannot be asked: httpx is not installed"
    )


def test_for_programs_an_answer_has_its_time_in_the_calendar() -> None:
    assert probes_json(None) is None
    assert probes_json(Probed("a", live=NO, failed=2)) == {
        "ready": None,
        "live": {"ok": False, "detail": "connection refused", "network_error": "refused", "at": NOON},
        "failed": 2,
        "unasked": "",
    }

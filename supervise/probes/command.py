"""A `command` probe: good if the command exits with 0. The agent's own manager runs it, in a unit like the agent's."""

from __future__ import annotations

from supervise.model import Question
from supervise.probes import CannotAsk, Failed, Run


async def check(question: Question, run: Run) -> str:
    outcome = await run(question.name, question.role)
    if outcome.ok:
        return outcome.detail
    raise CannotAsk(outcome.detail) if outcome.unmade else Failed(outcome.detail)

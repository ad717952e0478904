"""Every mistake of `bad_inputs.txt` is told once, at its place, with words that help."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from supervise.errors import ConfigError
from tests.config.loading import loaded

TABLE = (Path(__file__).parent / "bad_inputs.txt").read_text(encoding="utf-8")
CASES = [case.partition("\n")[::2] for case in re.split(r"^=== ", TABLE, flags=re.MULTILINE)[1:]]


@pytest.mark.parametrize("case", [pytest.param(body, id=name) for name, body in CASES])
def test_a_mistake_is_told_at_its_place(case: str, tmp_path: Path) -> None:
    lines = case.splitlines(keepends=True)
    expected = [line[2:].rstrip("\n") for line in lines if line.startswith("> ")]
    text = "".join(line for line in lines if not line.startswith("> ")).rstrip("\n") + "\n"
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    told = [
        f"{problem.mark.line}:{problem.mark.column} {problem.key or '-'} | {problem.text}"
        for problem in caught.value.problems
    ]
    assert told == expected


def test_the_table_is_as_large_as_we_promised() -> None:
    assert len(CASES) >= 80


def test_a_problem_reads_as_the_documentation_says(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, "agents:\n  market_data:\n    command: x\n    restrat: {policy: never}\n")
    assert str(caught.value) == (
        f"{tmp_path}/agents.yaml:4:5: agents.market_data.restrat: unknown key; did you mean 'restart'?"
    )


def test_the_names_that_the_system_sets_are_all_refused(tmp_path: Path) -> None:
    ours = ("SUPERVISE_INSTANCE", "SUPERVISE_REVISIONS", "SUPERVISE_")
    for name in ("INVOCATION_ID", "JOURNAL_STREAM", "LISTEN_PID", "WATCHDOG_PID", *ours):
        with pytest.raises(ConfigError, match="set by the system"):
            loaded(tmp_path, f"agents: {{a: {{command: x, environment: {{{name}: x}}}}}}")


def test_the_revision_of_its_code_may_be_told(tmp_path: Path) -> None:
    told = loaded(tmp_path, "agents: {a: {command: x, environment: {SUPERVISE_REVISION: v7}}}")
    assert told.agents["a"].environment == {"SUPERVISE_REVISION": "v7"}

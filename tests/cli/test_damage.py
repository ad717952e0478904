"""A manifest that cannot be read: its agents run on, so nothing says that there are none."""

from __future__ import annotations

import pytest

from supervise.errors import ExitCode
from supervise.manifest import to_json
from supervise.model import Scope
from supervise.places import Places
from supervise.reconcile.orders import row_json
from tests.cli.shell import Supervise
from tests.nouns import row, spec
from tests.reconcile.rig import manifest_of
from tests.reconcile.served import INFO, served


@pytest.fixture(autouse=True)
def by_an_ordinary_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)


@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["status", "sma"],
        ["ps"],
        ["top", "-n", "1"],
        ["logs"],
        ["trial", "sma"],
        ["start", "sma"],
        ["stop", "--all"],
        ["restart", "--outdated"],
        ["adopt", "7"],
        ["lock", "sma", "stopped", "0", "--reason", "x"],
        ["events", "sma"],
        ["env", "sma"],
        ["run", "sma"],
    ],
)
def test_where_none_can_be_read_that_is_said_and_not_that_there_are_no_agents(
    supervise: Supervise, there: Places, words: list[str]
) -> None:
    file = there.manifest("trading")
    file.write_text(file.read_text()[:40])
    answer = supervise(*words, "--user")
    assert (answer.code, answer.out) == (ExitCode.FAILED, "")
    (line,) = answer.err.splitlines()
    assert line.startswith(f'supervise: cannot read the manifest "{file}" (')
    assert line.endswith("`supervise install --user` in the folder of its agents.yaml writes it anew")


@pytest.mark.parametrize("words", [[], ["sma"], ["--json"]])
def test_what_the_reconciler_still_knows_of_all_is_shown(supervise: Supervise, there: Places, words: list[str]) -> None:
    there.manifest("trading").write_text("{")
    with served(there.control, rows={"reconciler": INFO, "rows": [row_json(row(pid=7))]}):
        answer = supervise("status", "--user", *words)
    assert (answer.code, "cannot read the manifest" in answer.err) == (ExitCode.FAILED, True)
    assert ("✓ running" in answer.out, "view 0.4 s old" in answer.out) == (not words, not words)


def test_the_agents_of_the_other_projects_are_there_and_the_damage_is_named(
    supervise: Supervise, there: Places
) -> None:
    there.manifest("web").write_text(to_json(manifest_of(spec("page"), project="web", scope=Scope.USER)))
    file = there.manifest("trading")
    file.write_text("{")
    answer = supervise("events", "sma", "--user")
    assert answer.code == ExitCode.NO_SUCH_AGENT
    warning, error = answer.err.splitlines()
    assert warning.startswith(f'! cannot read the manifest "{file}"')
    assert error.startswith('supervise: there is no agent "sma"')

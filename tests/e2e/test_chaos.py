"""Faults at random on a real systemd, and an oracle that knows nothing of our code: every row is true in time."""

from __future__ import annotations

import pytest

from tests.chaos.__main__ import main
from tests.e2e.conftest import _possible

pytestmark = pytest.mark.lab

FAULTS, MINUTES = 150, 2.8


@pytest.mark.timeout(420)  # the faults themselves, the start of the agents, and until all is quiet again
def test_in_a_storm_of_faults_every_row_stays_true(capsys: pytest.CaptureFixture[str]) -> None:
    _possible()
    code = main(["--seed", "4", "--faults", str(FAULTS), "--agents", "15", "--minutes", str(MINUTES)])
    told = capsys.readouterr().out
    print(told)
    assert code == 0, told[told.index("$ scripts/chaos") :]

"""The fleet as a fixture: one install per scope, and each test once in every scope that it speaks of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from supervise.model import Scope
from tests.e2e.keys.catalogue import all_shown, shown_by
from tests.e2e.keys.fleet import Fleet
from tests.lab import Lab


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if shown := shown_by(metafunc.function):
        scopes = [pytest.param(scope, marks=pytest.mark.xdist_group(f"keys-{scope}")) for scope in shown.scopes]
        metafunc.parametrize("fleet", scopes, indirect=True, scope="package", ids=str)


@pytest.fixture(scope="package")
def fleet(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Fleet]:
    scope: Scope = request.param
    made = Fleet(lab, scope)
    made.install(shown.agents for shown in all_shown() if scope in shown.scopes and shown.agents)
    yield made
    made.remove()

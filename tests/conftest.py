"""Where everything is required (`SUPERVISE_REQUIRE_ALL=1`, set by `.ci/run`), a skipped test is a failed one."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "clean",
    database=None,  # leaves no folder behind, also where the checkout is read-only
    deadline=None,  # a busy machine is no error of the code
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("clean")

REQUIRED = os.environ.get("SUPERVISE_REQUIRE_ALL") == "1"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if REQUIRED and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where everything is required: {report.longrepr}"
    return report

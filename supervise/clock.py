"""The one place that reads clocks. Everybody else is given an `Instant`."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from supervise.model import Instant


def now() -> Instant:
    return Instant(
        wall=datetime.now(UTC),
        monotonic=timedelta(seconds=time.clock_gettime(time.CLOCK_MONOTONIC)),
        boottime=timedelta(seconds=time.clock_gettime(time.CLOCK_BOOTTIME)),
        boot=boot_id(),
    )


@cache
def boot_id() -> str:
    """What tells this run of the kernel from the one before."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip().replace("-", "")

"""When to try again. Pure: what is drawn by chance is an argument."""

from __future__ import annotations

from datetime import timedelta

FIRST, LONGEST = 0.1, 5.0
"""Seconds: the bounds of the pause. It is never longer than a tick: so soon after an outage all rows are there."""
UNTIL_REPAIRED = 30.0
"""Its bound where a person has to put something right, and each try reads the key anew."""
LONGEST_WISH = timedelta(minutes=5)
"""However long a server asks to be left alone."""


def pause(failures: int, *, draw: float, longest: float = LONGEST, wish: timedelta | None = None) -> float:
    """Seconds until the next try after so many failed ones. Full jitter (`draw` from 0 to 1): hosts that failed
    together do not come back together. https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    ceiling = min(FIRST * 2.0 ** min(failures, 20), longest)
    return max(FIRST / 2 + (ceiling - FIRST / 2) * draw, min(wish or timedelta(), LONGEST_WISH).total_seconds())

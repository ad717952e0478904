"""What a sign of life is worth: a decision at once, a row soon, or none. Pure.

How an agent is has to be told at once. Its words, and that it lives, come by the hundred each second, and can wait.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from operator import attrgetter

from supervise.model import Beat, Reason, Source, StatusRow

COARSE = timedelta(seconds=5)
"""A newer heartbeat alone is worth a new row only so often, or three times per watchdog interval if that is sooner."""
SEEN = timedelta(seconds=30)
"""The same of an agent that gives no sign itself: that it was seen active once more is told by the row as it stands."""
URGENT = attrgetter("pid", "by_main", "status", "health", "error", "waiting")


def is_urgent(before: Beat | None, beat: Beat) -> bool:
    """Whether a beat may change how its agent is."""
    return before is None or URGENT(before) != URGENT(beat)


def is_due(row: StatusRow | None, beat: Beat, watchdog: timedelta | None) -> bool:
    """Whether the row lacks something that a beat has said, or may change by its having come."""
    if row is None or row.observed_reason is not Reason.AS_WANTED:
        return True
    if beat.activity and beat.activity != row.last_activity:
        return True
    return is_worth_a_row(row.last_heartbeat, beat.at.wall, Source.BEAT, watchdog)


def is_worth_a_row(
    old: datetime | None, new: datetime | None, source: Source | None, watchdog: timedelta | None
) -> bool:
    """Whether a heartbeat is so much newer than that of the row."""
    if new is None or new == old:
        return False
    return old is None or abs(new - old) >= _coarseness(source, watchdog)


def _coarseness(source: Source | None, watchdog: timedelta | None) -> timedelta:
    if source is Source.OBSERVED:
        return SEEN
    return min(COARSE, watchdog / 3) if watchdog else COARSE

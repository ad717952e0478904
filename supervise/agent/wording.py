"""Whatever an agent says, made fit to be sent: bounded lines of valid UTF-8, and one datagram that always fits.

Pure, and raises nothing whatever it is given: a sign of life must not be what kills an agent.
"""

from __future__ import annotations

import json
import math
import re

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` alone would cost a quarter of the time that importing this package may take
    from collections.abc import Mapping
    from typing import Any

    Fields = Mapping[str, Any]

LONGEST_DATAGRAM = 8192
LONGEST_TEXT = 1024
"""Bytes. Three such texts fit a datagram even if each of their characters has to be escaped in JSON."""
LONGEST_NAME = 128
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
DROPPED = "_dropped"
"""The key that stands in for metadata which could not be sent; its value says why."""


def line(value: object, limit: int = LONGEST_TEXT) -> str:
    """A value as one line of text, cut to so many bytes of UTF-8 between two characters."""
    try:
        text = str(value)[: 4 * limit]
    except Exception:  # the agent's own __str__ is broken: say what it was
        text = f"<{type(value).__name__}>"
    text = UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", " ".join(text.split()))
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    return encoded[: limit - len("…".encode())].decode(errors="ignore") + "…"


def reason(value: object) -> str:
    """What went wrong: an exception with its kind, anything else as it is."""
    if not isinstance(value, BaseException):
        return line(value)
    said = line(value)
    return line(f"{type(value).__name__}: {said}") if said else type(value).__name__


def percent(value: object) -> int | None:
    """A whole number from 0 to 100; None for what is no number."""
    found = number(value)
    return None if found is None else round(min(100.0, max(0.0, found)))


def fraction(value: object) -> float | None:
    """A number from 0 to 1; None for what is no number."""
    found = number(value)
    return None if found is None else round(min(1.0, max(0.0, found)), 4)


def number(value: Any) -> float | None:
    try:
        found = float(value)
    except Exception:  # a number of the agent's own making may raise anything
        return None
    return None if math.isnan(found) else found


def status_text(fields: Fields) -> str:
    """The line that `systemctl status` shows. systemd eats backslashes (measured on 252), so there are none."""
    status = fields.get("status")
    if "waiting" in fields:
        text = f"waiting: {fields['waiting']}"
    elif "error" in fields:
        text = f"{status}: {fields['error']}"
    else:
        text = "stopping" if status == "stopping" else fields.get("activity", "")
    return line(text.replace("\\", "/"), LONGEST_TEXT - len("STATUS="))


def datagram(fields: Fields) -> bytes:
    """The fields as JSON. Metadata that does not fit or is no JSON is left out, and a mark says so."""
    metadata = fields.get("metadata")
    if not metadata:
        return _json({key: value for key, value in fields.items() if key != "metadata"})
    try:
        whole = _json(fields)
    except Exception as error:  # anything may stand in there
        return _json({**fields, "metadata": {DROPPED: f"it is no JSON: {line(error, 100)}"}})
    if len(whole) <= LONGEST_DATAGRAM:
        return whole
    return _json({**fields, "metadata": {DROPPED: f"it is too large: {len(whole)} bytes in all"}})


def _json(fields: Fields) -> bytes:
    text = json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=line)
    return text.encode(errors="replace")

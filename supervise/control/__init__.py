"""The control socket: JSON lines between the reconciler and everybody who asks it (DESIGN, section 3).

→ {"id": 1, "op": "rows", "args": {…}}
← {"id": 1, "item": …}                          any number of times, where an operation streams
← {"id": 1, "ok": true, "result": …}            or {"id": 1, "ok": false, "error": {"code": …, "message": …}}
"""

from __future__ import annotations

LONGEST_REQUEST = 64 * 1024
LONGEST_ANSWER = 64 * 1024 * 1024
"""Bytes of one line."""
OPERATORS = "supervise-operators"
"""The group whose members may act."""

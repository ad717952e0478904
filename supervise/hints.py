"""Commands that stand in sentences, in backquotes: what is said of one's own agents must name those that act on them.

Sentences are made without knowing where they will be read, so this is done where they are shown. Pure.
"""

from __future__ import annotations

import re

from supervise.model import Scope

HINT = re.compile(r"`supervise (db retry|(?!(?:completion|db|hosts|init|schema)\b)[a-z-]++)(?! --user)")
"""All but the commands that know no scope."""


def for_scope(text: str, scope: Scope) -> str:
    """For a user's own agents `supervise stop sma` is `supervise stop --user sma`."""
    return text if scope is Scope.SYSTEM else HINT.sub(r"`supervise \1 --user", text)

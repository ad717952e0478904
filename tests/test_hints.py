"""Commands in sentences, for who reads them."""

from __future__ import annotations

import pytest

from supervise.hints import for_scope
from supervise.model import Scope


@pytest.mark.parametrize(
    ("said", "own"),
    [
        ("held (`supervise release sma`)", "held (`supervise release --user sma`)"),
        (
            "`supervise force-stop sma` or `supervise stop sma`",
            "`supervise force-stop --user sma` or `supervise stop --user sma`",
        ),
        ("`supervise doctor`", "`supervise doctor --user`"),
        ("`supervise stop --user sma`", "`supervise stop --user sma`"),
        ("write it (`supervise init`), `supervise schema`", "write it (`supervise init`), `supervise schema`"),
        ("ask `supervise db status` and `supervise hosts`", "ask `supervise db status` and `supervise hosts`"),
        ("`supervise db retry` sends it", "`supervise db retry --user` sends it"),
        ("`sudo supervise ps` sees more", "`sudo supervise ps` sees more"),
        ("supervise is no command here", "supervise is no command here"),
    ],
)
def test_for_ones_own_agents_a_command_says_so(said: str, own: str) -> None:
    assert for_scope(said, Scope.USER) == own
    assert for_scope(said, Scope.SYSTEM) == said

"""Answers of one life, put together: what was said last, and how often in a row it was no."""

from __future__ import annotations

from dataclasses import replace

from supervise.model import ProbeResult, ProbeRole
from supervise.observe.probes import Probed, is_news
from tests.nouns import NOW, after, seconds

READY, LIVE = ProbeRole.READY, ProbeRole.LIVE
YES = ProbeResult(True, "status 200", NOW)
NO = ProbeResult(False, "status 503", NOW)
FRESH = Probed("boot-1/a")


def test_noes_of_the_live_probe_are_counted_until_a_yes() -> None:
    probed = FRESH
    counts = []
    for answer in (NO, NO, YES, NO):
        probed = probed.answered(LIVE, answer)
        counts.append(probed.failed)
    assert counts == [1, 2, 0, 1]
    assert probed.live == NO


def test_noes_of_the_ready_probe_are_not_counted() -> None:
    assert FRESH.answered(READY, NO) == Probed("boot-1/a", ready=NO)


def test_an_answer_ends_that_nobody_could_be_asked() -> None:
    unasked = replace(FRESH, unasked="httpx is not installed")
    assert (unasked.answered(LIVE, YES).unasked, unasked.answered(READY, YES).unasked) == ("", "")


def test_the_same_answer_later_is_no_news_and_everything_else_is() -> None:
    well, ready = FRESH.answered(LIVE, YES), FRESH.answered(READY, NO)
    assert not is_news(well, well.answered(LIVE, replace(YES, at=after(seconds(9)))))
    assert not is_news(ready, ready.answered(READY, replace(NO, at=after(seconds(9)))))
    assert not is_news(well, replace(well, unasked="no right"))
    assert is_news(FRESH, well)
    assert is_news(FRESH, ready)
    assert is_news(well, well.answered(LIVE, replace(YES, detail="status 204")))
    assert is_news(ready, ready.answered(READY, YES))
    failing = well.answered(LIVE, NO)
    assert is_news(failing, failing.answered(LIVE, NO))
    assert is_news(failing, replace(failing, live=replace(NO, network_error="refused")))

"""Messages on their way, against a real server that may do anything: they arrive, or it is said why not."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from supervise.alerts.messages import Message
from supervise.alerts.posting import Answer, retry_after, without_secrets
from supervise.alerts.senders import (
    LONGEST_QUEUE,
    LONGEST_WAIT,
    PATIENCE,
    PAUSES,
    TIMEOUT,
    Delivery,
    Sender,
    pause_after,
)
from supervise.model import AlertKind, AlertTarget
from tests.alerts.receiver import CUT, HALF, HANG, Receiver, ids, receiver, until
from tests.alerts.told import agent, firing
from tests.nouns import NOON

SECOND = timedelta(seconds=1)
AT_ONCE = (timedelta(),) * 4


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def webhook(there: Receiver, **changes: Any) -> AlertTarget:
    return AlertTarget("trading/a", AlertKind.WEBHOOK, **{"url": there.url, **changes})


def told(number: int = 0) -> Message:
    return replace(firing(), id=f"msg_{number}")


def sender(*targets: AlertTarget, **changes: Any) -> Sender:
    return Sender(targets, **{"pauses": AT_ONCE, **changes})


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await story()

    asyncio.run(whole())


def working() -> set[str]:
    """Tasks of ours that have not ended."""
    return {task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("alerts to ")}


async def settled(one: Sender, id: str = "trading/a") -> Delivery:
    """How it went, once nothing is pending any more."""
    await until(lambda: one.states()[id].pending == 0)
    found = one.states()[id]
    assert await one.close(SECOND) == ()
    return found


# --- It arrives -------------------------------------------------------------------------------------------------------


def test_a_webhook_is_signed_as_its_receiver_checks(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"whsec_{base64.b64encode(b'0123456789abcdef').decode()}\n")

    async def story() -> None:
        async with receiver() as there:
            one = sender(webhook(there, secret_file=tmp_path / "key"))
            one.send([told()])
            before = datetime.now(UTC)
            delivery = await settled(one)
        (got,) = there.requests
        sent_at = got.headers["webhook-timestamp"]
        content = b".".join((got.headers["webhook-id"].encode(), sent_at.encode(), got.body))
        mac = base64.b64encode(hmac.digest(b"0123456789abcdef", content, hashlib.sha256)).decode()
        assert got.headers["webhook-signature"] == f"v1,{mac}"
        assert abs(int(sent_at) - before.timestamp()) < 5
        assert json.loads(got.body)["agents"][0]["name"] == "sma"
        assert (got.headers["content-type"], got.path) == (
            "application/json; charset=utf-8",
            "/services/T0SECRET/B0SECRET?key=hunter2",
        )
        assert (delivery.failing, delivery.last_error, delivery.dropped) == (False, "", 0)
        assert delivery.last_ok
        assert delivery.last_ok >= before

    run(story)


def test_slack_gets_a_text_at_the_address_that_its_file_holds_now(tmp_path: Path) -> None:
    file = tmp_path / "hook"
    file.write_text("http://127.0.0.1:1/old\n")

    async def story() -> None:
        async with receiver() as there:
            one = sender(AlertTarget("trading/a", AlertKind.SLACK, url_file=file), pauses=(timedelta(),))
            one.send([told(1)])
            await until(lambda: one.states()["trading/a"].dropped == 1)
            file.write_text(f"{there.url}\n")
            one.send([told(2)])
            assert not (await settled(one)).failing
        (got,) = there.requests
        assert json.loads(got.body).keys() == {"text"}
        assert "webhook-id" not in got.headers

    run(story)


def test_messages_arrive_in_their_order() -> None:
    async def story() -> None:
        async with receiver("500", "200", "503") as there:
            one = sender(webhook(there))
            one.send(told(number) for number in range(4))
            await settled(one)
        assert ids(there.requests) == ["msg_0", "msg_0", "msg_1", "msg_1", "msg_2", "msg_3"]

    run(story)


def test_one_target_that_hangs_delays_no_other() -> None:
    async def story() -> None:
        async with receiver(HANG) as slow, receiver() as quick:
            one = sender(webhook(slow), replace(webhook(quick), id="trading/b"))
            one.send([told(1), replace(told(2), target="trading/b")])
            await until(lambda: one.states()["trading/b"].last_ok)
            assert one.states()["trading/a"].pending == 1
            assert [left.id for left in await one.close(timedelta())] == ["msg_1"]

    run(story)


# --- It does not ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("500", "127.0.0.1 answers 500: ok"),
        ("503\nRetry-After: soon", "127.0.0.1 answers 503: ok"),
        ("429\nRetry-After: 0", "127.0.0.1 answers 429: ok"),
        ("408", "127.0.0.1 answers 408: ok"),
        ("425", "127.0.0.1 answers 425: ok"),
        (f"500\n{HALF}", "cannot reach 127.0.0.1: peer closed connection"),
        (CUT, "cannot reach 127.0.0.1: Server disconnected"),
        (HANG, "no answer from 127.0.0.1 within 0.2 s"),
        ("2x0", "cannot reach 127.0.0.1: illegal status line"),
    ],
)
def test_what_may_pass_is_tried_again_with_the_same_id(answer: str, error: str) -> None:
    async def story() -> None:
        async with receiver(answer) as there:
            one = sender(webhook(there), timeout=SECOND / 5 if answer == HANG else TIMEOUT)
            one.send([told()])
            delivery = await settled(one)
        assert ids(there.requests) == ["msg_0", "msg_0"]
        assert delivery.last_error.startswith(error)
        assert (delivery.failing, delivery.dropped) == (False, 0)
        assert delivery.last_ok
        assert delivery.last_error_at

    run(story)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("400", "127.0.0.1 answers 400: ok"),
        ("403", "127.0.0.1 answers 403: ok"),
        ("404", "127.0.0.1 answers 404: ok"),
        ("410", "127.0.0.1 answers 410: ok"),
        ("302\nLocation: http://127.0.0.1:1/", "127.0.0.1 answers 302, a redirect; give the final address"),
        ("308\nLocation: /", "127.0.0.1 answers 308, a redirect; give the final address"),
    ],
)
def test_what_is_refused_for_good_is_not_tried_again(answer: str, error: str) -> None:
    async def story() -> None:
        async with receiver(answer) as there:
            one = sender(webhook(there))
            one.send([told()])
            delivery = await settled(one)
        assert (len(there.requests), delivery.last_error, delivery.dropped) == (1, error, 1)
        assert delivery.failing

    run(story)


def test_after_five_tries_a_message_is_given_up_and_the_next_has_its_own() -> None:
    async def story() -> None:
        async with receiver(*["500"] * 5) as there:
            one = sender(webhook(there))
            one.send([told(1), told(2)])
            delivery = await settled(one)
        assert ids(there.requests) == ["msg_1"] * 5 + ["msg_2"]
        assert (delivery.dropped, delivery.failing) == (1, False)

    run(story)


def test_who_asks_to_be_left_alone_is() -> None:
    async def story() -> None:
        async with receiver("429\nRetry-After: 1") as there:
            one = sender(webhook(there))
            one.send([told()])
            await settled(one)
        first, second = there.requests
        assert second.at - first.at >= 1

    run(story)


def test_a_file_that_cannot_be_read_is_told_with_its_name(tmp_path: Path) -> None:
    async def story() -> None:
        one = sender(AlertTarget("trading/a", AlertKind.SLACK, url_file=tmp_path / "hook"))
        one.send([told()])
        delivery = await settled(one)
        assert delivery.last_error == f'cannot read "{tmp_path}/hook": No such file or directory'
        assert delivery.dropped == 1

    run(story)


def test_too_many_waiting_push_out_the_oldest() -> None:
    async def story() -> None:
        async with receiver(HANG) as there:
            one = sender(webhook(there), pauses=())
            one.send([told()])
            await until(lambda: there.requests)
            one.send(told(number) for number in range(1, LONGEST_QUEUE + 6))
            found = one.states()["trading/a"]
            assert (found.dropped, found.pending) == (5, LONGEST_QUEUE + 1)
            left = await one.close(timedelta())
        assert [message.id for message in left] == ["msg_0", *(f"msg_{n}" for n in range(6, LONGEST_QUEUE + 6))]

    run(story)


# --- Secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["404", CUT, "302\nLocation: /", "200"])
def test_nothing_of_an_address_but_its_host_is_ever_said(answer: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def story() -> None:
        async with receiver(answer, said=b"no team at /services/T0SECRET/B0SECRET?key=hunter2, T0SECRET") as there:
            one = sender(webhook(there), pauses=())
            one.send([told()])
            delivery = await settled(one)
        assert len(there.requests) == 1
        said = caplog.text + repr(delivery)
        assert "SECRET" not in said
        assert "hunter2" not in said

    run(story)


def test_an_answer_is_shown_short_and_harmless() -> None:
    async def story() -> None:
        async with receiver("400", said=b"\x1b[31mbad\xff" + b"x" * 1_000_000) as there:
            one = sender(webhook(there))
            one.send([told()])
            error = (await settled(one)).last_error
        assert error.startswith("127.0.0.1 answers 400: ␛[31mbad�xxx")
        assert len(error) < 250

    run(story)


def test_of_an_answer_without_end_the_beginning_is_read() -> None:
    async def story() -> None:
        async with receiver(f"400\n{HANG}", said=b"x" * 5000) as there:
            one = sender(webhook(there))
            one.send([told()])
            error = (await settled(one)).last_error
        assert error.startswith("127.0.0.1 answers 400: xxx")

    run(story)


def test_the_host_stays() -> None:
    url = "https://hooks.example.org/services/T1234?token=abcdef"
    text = f"cannot get {url} at hooks.example.org: T1234, abcdef"
    assert without_secrets(text, url) == "cannot get https://hooks.example.org…?… at hooks.example.org: …, …"


# --- The log ----------------------------------------------------------------------------------------------------------


def test_the_log_hears_once_of_each_change(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def story() -> None:
        async with receiver("500", "503", "500", "200", "200", "404") as there:
            one = sender(webhook(there))
            one.send(told(number) for number in range(3))
            await settled(one)

    run(story)
    assert [record.getMessage() for record in caplog.records] == [
        "alerts do not reach trading/a: 127.0.0.1 answers 500: ok",
        "alerts reach trading/a again",
        "alerts do not reach trading/a: 127.0.0.1 answers 404: ok",
    ]


# --- Beginning and end ------------------------------------------------------------------------------------------------


def test_without_something_to_send_httpx_is_not_imported() -> None:
    code = (
        "import asyncio, sys\n"
        "from datetime import timedelta\n"
        "from supervise.alerts.senders import Sender\n"
        "async def main():\n"
        "    one = Sender()\n"
        "    one.send([])\n"
        "    await one.close(timedelta(seconds=1))\n"
        "asyncio.run(main())\n"
        "print('httpx' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_sending_returns_at_once() -> None:
    async def story() -> None:
        async with receiver(HANG) as there:
            one = sender(webhook(there))
            one.send([told()])
            assert (there.requests, one.states()["trading/a"].pending) == ([], 1)
            await one.close(timedelta())

    run(story)


def test_closing_gives_what_waits_a_moment_to_arrive() -> None:
    async def story() -> None:
        async with receiver() as there:
            one = sender(webhook(there))
            one.send(told(number) for number in range(3))
            assert await one.close(10 * SECOND) == ()
        assert ids(there.requests) == ["msg_0", "msg_1", "msg_2"]

    run(story)


def test_what_has_not_arrived_when_it_closes_is_given_back() -> None:
    async def story() -> None:
        async with receiver("500") as there:
            one = sender(webhook(there), pauses=PAUSES, draw=lambda: 1.0)
            one.send([told(1), told(2)])
            await until(lambda: one.states()["trading/a"].failing)
            assert [message.id for message in one.unsent()] == ["msg_1", "msg_2"]
            assert [message.id for message in await one.close(timedelta())] == ["msg_1", "msg_2"]
            one.send([told(3)])
            assert (one.states()["trading/a"].pending, working()) == (3, set())
        assert ids(there.requests) == ["msg_1"]

    run(story)


def test_a_target_that_goes_is_forgotten_and_others_go_on() -> None:
    async def story() -> None:
        async with receiver(HANG) as gone, receiver() as there:
            one = sender(webhook(gone))
            one.send([told(1)])
            await until(lambda: gone.requests)
            kept = replace(webhook(there), id="trading/b")
            one.retarget([kept])
            one.send([told(2), replace(told(3), target="trading/b")])
            assert (await settled(one, "trading/b")).last_ok
            assert (list(one.states()), working()) == (["trading/b"], set())
        assert (ids(gone.requests), ids(there.requests)) == (["msg_1"], ["msg_3"])

    run(story)


def test_a_changed_target_keeps_what_is_known_of_it() -> None:
    async def story() -> None:
        async with receiver("404") as before, receiver() as after:
            one = sender(webhook(before))
            one.send([told(1)])
            await until(lambda: one.states()["trading/a"].dropped)
            one.retarget([webhook(after)])
            one.send([told(2)])
            delivery = await settled(one)
        assert (delivery.dropped, delivery.failing) == (1, False)
        assert ids(after.requests) == ["msg_2"]

    run(story)


# --- Pauses -----------------------------------------------------------------------------------------------------------


def pause(tries: int, *, draw: float = 1.0, spent: timedelta = timedelta(), **answer: Any) -> timedelta | None:
    return pause_after(Answer("no", **answer), tries, spent=spent, pauses=PAUSES, draw=draw)


def test_pauses_grow_and_are_drawn_up_to_their_length() -> None:
    assert [pause(tries) for tries in range(1, 6)] == [*(SECOND * n for n in (10, 40, 160, 300)), None]
    assert pause(2, draw=0.25) == 10 * SECOND
    assert pause(2, draw=0.0) == timedelta()


def test_all_tries_fit_into_the_patience() -> None:
    assert sum(PAUSES, 5 * TIMEOUT) <= PATIENCE


@pytest.mark.parametrize(
    ("asked", "waited"),
    [(timedelta(), 10 * SECOND), (30 * SECOND, 30 * SECOND), (timedelta(days=2), LONGEST_WAIT)],
)
def test_the_wish_to_be_left_alone_is_heard_up_to_a_limit(asked: timedelta, waited: timedelta) -> None:
    assert pause(1, retry_after=asked) == waited


def test_old_news_is_given_up() -> None:
    assert pause(1, spent=PATIENCE - 10 * SECOND) == 10 * SECOND
    assert pause(1, spent=PATIENCE - 9 * SECOND) is None


def test_a_refusal_for_good_needs_no_pause() -> None:
    assert pause(1, permanent=True) is None


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("120", 120 * SECOND),
        (" 7 ", 7 * SECOND),
        ("Sun, 01 Mar 2026 12:01:00 GMT", 60 * SECOND),
        ("Sun, 01 Mar 2026 12:01:00 -0000", 60 * SECOND),
        ("Sun, 01 Mar 2026 11:00:00 GMT", timedelta()),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("9" * 400, None),
        ("Sun, 01 Mar 99999999999 11:00:00 GMT", None),
    ],
)
def test_how_long_to_wait_is_read_as_seconds_or_a_date(value: str, found: timedelta | None) -> None:
    assert retry_after(value, NOON) == found


def test_an_agent_of_any_text_can_be_sent() -> None:
    async def story() -> None:
        async with receiver() as there:
            one = sender(webhook(there))
            one.send([replace(firing(agent(title="\ud800\x00\u202e", message="\ud800")), host="\udcff")])
            assert not (await settled(one)).failing
        assert len(there.requests) == 1

    run(story)

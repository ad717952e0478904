"""What is heard of an agent that is a real process, with its forks, threads and signals."""

from __future__ import annotations

import errno

import pytest

from tests.agent.listening import Listener, ended, ran, started


def heard_by(systemd: Listener, supervisor: Listener) -> dict[str, str]:
    return {"NOTIFY_SOCKET": str(systemd.path), "SUPERVISE_AGENT_SOCKET": str(supervisor.path)}


def test_the_first_beat_is_ready_arms_the_watchdog_and_says_what_it_does(
    systemd: Listener, supervisor: Listener
) -> None:
    code = "Agent('feed').beat('page 3', progress=0.4, health=90, metadata={'symbol': 'BTC'})"
    ran(code, SUPERVISE_WATCHDOG_USEC="30000000", **heard_by(systemd, supervisor))
    assert systemd.messages() == ["READY=1\nWATCHDOG_USEC=30000000\nWATCHDOG=1\nSTATUS=page 3"]
    assert supervisor.beats() == [
        {
            "v": 1,
            "agent": "feed",
            "activity": "page 3",
            "progress": 0.4,
            "health": 90,
            "metadata": {"symbol": "BTC"},
            "status": "running",
        }
    ]


def test_ready_is_no_beat(systemd: Listener, supervisor: Listener) -> None:
    ran("Agent('feed').ready('serving')", SUPERVISE_WATCHDOG_USEC="30000000", **heard_by(systemd, supervisor))
    assert systemd.messages() == ["READY=1\nSTATUS=serving"]
    assert supervisor.beats() == []


@pytest.mark.parametrize(
    ("call", "said", "text"),
    [
        ("waiting('no route')", {"status": "warning", "waiting": "no route"}, "waiting: no route"),
        ("warning('slow', health=75)", {"status": "warning", "error": "slow", "health": 75}, "warning: slow"),
        ("error('no login', health=30)", {"status": "error", "error": "no login", "health": 30}, "error: no login"),
        ("error(OSError('no disk'))", {"status": "error", "error": "OSError: no disk"}, "error: OSError: no disk"),
    ],
)
def test_trouble_is_a_sign_of_life_but_not_of_readiness(
    systemd: Listener, supervisor: Listener, call: str, said: dict[str, object], text: str
) -> None:
    ran(f"Agent('feed').{call}", WATCHDOG_USEC="30000000", **heard_by(systemd, supervisor))
    assert supervisor.beats() == [{"v": 1, "agent": "feed", **said}]
    assert systemd.messages() == [f"WATCHDOG=1\nSTATUS={text}"]


def test_the_name_of_the_unit_wins(supervisor: Listener) -> None:
    code = "agent = Agent('scanner'); agent.beat(); print(agent.name)"
    out = ran(code, SUPERVISE_AGENT="scanner.1", SUPERVISE_AGENT_SOCKET=str(supervisor.path))
    assert out == "scanner.1\n"
    assert supervisor.beat()["agent"] == "scanner.1"


@pytest.mark.parametrize(
    "settings", [{}, {"NOTIFY_SOCKET": "/nonexistent", "SUPERVISE_SINGLE": "1", "TMPDIR": "/proc"}]
)
def test_it_does_no_harm_where_nobody_listens(settings: dict[str, str]) -> None:
    code = """
        with Agent("alone") as agent:
            agent.ready("a"); agent.beat("b", progress="much", health=object(), metadata=3)
            agent.waiting(None); agent.warning("w"); agent.error(ValueError()); agent.extend("long"); agent.extend(5)
            agent.deadlock(); agent.stopping(); agent.beat()
        print("alive")
    """
    assert ran(code, **settings) == "alive\n"


def test_more_time_and_a_deadlock_are_told_to_the_manager(systemd: Listener, supervisor: Listener) -> None:
    code = "agent = Agent('feed'); agent.extend(1.5); agent.deadlock('two locks')"
    ran(code, **heard_by(systemd, supervisor))
    assert systemd.messages() == ["EXTEND_TIMEOUT_USEC=1500000", "WATCHDOG=trigger\nSTATUS=error: two locks"]
    assert [beat["error"] for beat in supervisor.beats()] == ["two locks"]


# --- Full queues ------------------------------------------------------------------------------------------------------


def test_a_full_queue_blocks_nobody_and_the_next_beat_makes_up_for_it(systemd: Listener, supervisor: Listener) -> None:
    systemd.fill()
    supervisor.fill()
    code = """
        agent = Agent("feed")
        began = time.monotonic()
        agent.ready("starting")
        for _ in range(1000):
            agent.beat("old")
        print(time.monotonic() - began, flush=True)
        sys.stdin.readline()
        agent.beat("new")
    """
    with started(code, SUPERVISE_WATCHDOG_USEC="30000000", **heard_by(systemd, supervisor)) as agent:
        assert agent.stdout is not None
        assert float(agent.stdout.readline()) < 2
        systemd.waiting()
        supervisor.waiting()
        agent.communicate("go on\n", timeout=10)
    assert systemd.messages() == ["READY=1\nWATCHDOG_USEC=30000000\nWATCHDOG=1\nSTATUS=new"]
    assert [beat["activity"] for beat in supervisor.beats()] == ["new"]


def test_ready_is_tried_again_for_a_few_milliseconds(systemd: Listener) -> None:
    systemd.fill()
    code = """
        from supervise.agent import agent as module
        agent = Agent("feed")
        module.TRIES = 100_000
        print("now", flush=True)
        agent.ready("serving")
    """
    with started(code, NOTIFY_SOCKET=str(systemd.path)) as agent:
        assert agent.stdout is not None
        agent.stdout.readline()
        while (message := systemd.heard()) == "":
            pass
    assert message == "READY=1\nSTATUS=serving"


# --- Ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["pass", "sys.exit()", "sys.exit(0)"])
def test_an_agent_that_ends_says_that_it_stops(systemd: Listener, supervisor: Listener, end: str) -> None:
    ran(f"with Agent('feed') as agent: {end}", **heard_by(systemd, supervisor))
    assert systemd.messages() == ["STOPPING=1\nSTATUS=stopping"]
    assert [beat["status"] for beat in supervisor.beats()] == ["stopping"]


@pytest.mark.parametrize(
    ("end", "exits", "words", "number"),
    [
        ("raise RuntimeError('no feed')", 1, "RuntimeError: no feed", errno.ENOTRECOVERABLE),
        ("open('/nonexistent')", 1, "FileNotFoundError: [Errno 2]", errno.ENOENT),
        ("sys.exit(3)", 3, "exit code 3", errno.ENOTRECOVERABLE),
        ("sys.exit('no config')", 1, "no config", errno.ENOTRECOVERABLE),
    ],
)
def test_an_agent_that_dies_says_of_what_and_not_that_it_stops(
    systemd: Listener, supervisor: Listener, end: str, exits: int, words: str, number: int
) -> None:
    code = f"with Agent('feed') as agent:\n    agent.error('earlier')\n    {end}"
    done, _, err = ended(code, **heard_by(systemd, supervisor))
    assert done == exits
    _, last = systemd.messages()
    assert last.startswith(f"ERRNO={number}\nSTATUS=error: {words}")
    supervisor.beat()
    assert supervisor.beat()["error"].startswith(words)
    assert ("Traceback" in err) is (not end.startswith("sys.exit"))


def test_last_words_are_one_message(systemd: Listener) -> None:
    code = (
        "with Agent('feed') as agent:\n    try: open('/nonexistent')\n    except OSError: raise ValueError('no bars')"
    )
    assert ended(code, NOTIFY_SOCKET=str(systemd.path))[0] == 1
    assert systemd.messages() == [f"ERRNO={errno.ENOENT}\nSTATUS=error: ValueError: no bars"]


def test_stopping_is_the_last_status_but_not_the_last_sign_of_life(systemd: Listener, supervisor: Listener) -> None:
    code = "agent = Agent('feed'); agent.beat('page'); agent.stopping(); agent.beat('flushing'); agent.stopping()"
    ran(code, WATCHDOG_USEC="3", **heard_by(systemd, supervisor))
    assert [beat["status"] for beat in supervisor.beats()] == ["running", "stopping", "stopping"]
    assert systemd.messages()[:2] == ["READY=1\nWATCHDOG=1\nSTATUS=page", "STOPPING=1\nSTATUS=stopping"]


def test_a_signal_handler_may_speak_in_the_midst_of_a_beat(supervisor: Listener) -> None:
    code = """
        agent, spoken = Agent("feed"), []
        def speak(*_):
            agent.error(f"signal {len(spoken)}"); spoken.append(1)
            if len(spoken) == 300: agent.stopping()
        signal.signal(signal.SIGALRM, speak)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        while len(spoken) < 300:
            agent.beat(f"page {len(spoken)}")
        signal.setitimer(signal.ITIMER_REAL, 0)
        agent.beat()
        print(agent._state.fields["status"])
    """
    assert ran(code, SUPERVISE_AGENT_SOCKET=str(supervisor.path)) == "stopping\n"


# --- Threads and children ---------------------------------------------------------------------------------------------


def test_many_threads_may_beat_at_once(systemd: Listener, supervisor: Listener) -> None:
    code = """
        from threading import Thread
        agent = Agent("feed")
        def loop(number):
            for page in range(500):
                agent.beat(f"page {page} of {number}", metadata={"number": number})
                agent.error("no")
        threads = [Thread(target=loop, args=(number,)) for number in range(8)]
        [one.start() for one in threads]
        [one.join() for one in threads]
    """
    assert ran(code, WATCHDOG_USEC="3000000", **heard_by(systemd, supervisor)) == ""
    assert all(beat["agent"] == "feed" for beat in supervisor.beats())
    assert systemd.messages()[0].startswith("READY=1")


@pytest.mark.parametrize("voice", ["agent", "Agent('feed')"])
def test_a_forked_child_says_nothing_to_the_manager(systemd: Listener, supervisor: Listener, voice: str) -> None:
    code = f"""
        agent = Agent("feed")
        agent.beat("parent")
        if child := os.fork():
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        mine = {voice}
        mine.ready("child"); mine.error("child"); mine.extend(9); mine.deadlock(); mine.stopping()
        os._exit(0)
    """
    ran(code, WATCHDOG_USEC="3", **heard_by(systemd, supervisor))
    assert systemd.messages() == ["READY=1\nWATCHDOG=1\nSTATUS=parent"]
    assert supervisor.beat()["activity"] == "parent"


def test_a_fork_while_another_thread_beats_leaves_the_child_able_to(supervisor: Listener) -> None:
    code = """
        from threading import Thread
        import warnings
        warnings.simplefilter("ignore")  # newer Pythons warn of exactly this
        agent, over = Agent("feed"), []
        def loop():
            while not over: agent.beat("parent")
        thread = Thread(target=loop); thread.start()
        for _ in range(100):
            if child := os.fork():
                assert os.waitpid(child, 0)[1] == 0
            else:
                signal.alarm(5)
                agent.beat("child")
                os._exit(0)
        over.append(True); thread.join()
    """
    ran(code, SUPERVISE_AGENT_SOCKET=str(supervisor.path))


def test_a_program_that_the_agent_starts_cannot_speak_to_the_manager(systemd: Listener) -> None:
    code = """
        import subprocess
        agent = Agent("feed")
        agent.beat("parent")
        child = "import os; from supervise.agent import Agent; Agent('feed').beat('child'); print(dict(os.environ))"
        print(subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True).stdout)
    """
    out = ran(code, NOTIFY_SOCKET=str(systemd.path))
    assert "NOTIFY_SOCKET" not in out
    assert systemd.messages() == ["READY=1\nSTATUS=parent"]


def test_an_agent_made_anew_still_has_its_manager(systemd: Listener) -> None:
    code = "Agent('feed').beat(); Agent('feed').beat('again')"
    ran(code, NOTIFY_SOCKET=str(systemd.path), WATCHDOG_USEC="3000000")
    assert systemd.messages() == ["READY=1\nWATCHDOG=1", "STATUS=again"]


def test_a_hung_loop_falls_silent(systemd: Listener, supervisor: Listener) -> None:
    code = "agent = Agent('feed'); agent.beat()\nprint('hangs', flush=True)\nsignal.pause()"
    with started(code, WATCHDOG_USEC="30000", **heard_by(systemd, supervisor)) as agent:
        assert agent.stdout is not None
        agent.stdout.readline()
        assert (len(systemd.messages()), len(supervisor.beats())) == (1, 1)
        for listener in (systemd, supervisor):
            with pytest.raises(TimeoutError):
                listener.raw(timeout=0.2)

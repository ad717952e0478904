"""What an agent's keys mean once they are read, and what they are when nobody wrote them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from supervise import model
from supervise.config import AgentSettings, DependsOn, SecretSource
from tests.config.loading import agent, loaded, mistakes

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def test_unwritten_keys_have_the_defaults_of_the_documentation() -> None:
    unwritten = AgentSettings()
    assert unwritten.watchdog == 30 * SECOND
    assert (unwritten.startup_timeout, unwritten.stop_timeout) == (90 * SECOND, 10 * SECOND)
    assert unwritten.stop_signal == "SIGTERM"
    assert unwritten.restart == model.Restart(
        model.RestartPolicy.ALWAYS, 2 * SECOND, 5, MINUTE, model.Rate(5, 15 * MINUTE)
    )
    assert unwritten.quarantine == model.Quarantine(MINUTE, 2.0, 30 * MINUTE, 10 * MINUTE)
    assert (unwritten.enabled, unwritten.auto_start, unwritten.single, unwritten.dynamic_user) == (
        True,
        True,
        True,
        False,
    )
    assert unwritten.notify is model.Notify.AUTO
    assert unwritten.notify_access is model.NotifyAccess.MAIN
    assert unwritten.hardening is model.Hardening.STANDARD
    assert unwritten.hidden is model.HiddenPolicy.REPORT
    assert unwritten.working_directory == "."
    assert unwritten.logs.rate_limit == model.Rate(1000, 30 * SECOND)
    assert unwritten.max_runtime == model.FOREVER
    assert (unwritten.catch_up, unwritten.deadline, unwritten.max_idle) == (False, None, None)
    assert (unwritten.instances, unwritten.hosts, unwritten.heartbeat, unwritten.user) == (None, None, None, None)
    assert unwritten.heartbeat_limits == model.HeartbeatLimits(MINUTE, 5 * MINUTE, written=False)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("[python, run.py]", ("python", "run.py")),
        ("python -m scraper --source 'main feed'", ("python", "-m", "scraper", "--source", "main feed")),
        ('"x \\"a b\\" c\\\\ d \'\' #e"', ("x", "a b", "c d", "", "#e")),
        ("python -c 'print(1); x > y'", ("python", "-c", "print(1); x > y")),
        ("[sh, -c, 'a | b > c']", ("sh", "-c", "a | b > c")),
        ("[x, 1.10, 007, true, ' ']", ("x", "1.10", "007", "true", " ")),
        (r"x a\|b \; \$\(", ("x", "a|b", ";", "$(")),
        ("x $HOME %i *", ("x", "$HOME", "%i", "*")),
        (">\n      x\n      y", ("x", "y")),
    ],
)
def test_a_command_is_a_list_or_split_as_a_shell_splits_it(
    written: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    assert agent(tmp_path, f"command: {written}\nbefore_start: {written}").command == words
    assert agent(tmp_path, f"command: {written}\nbefore_start: {written}").before_start == words


def test_environment_values_keep_their_text(tmp_path: Path) -> None:
    keys = "environment: {VERSION: 1.10, PORT: 8000, DEBUG: true, EMPTY: '', OCTAL: 0644, NO: no}"
    assert agent(tmp_path, keys).environment == {
        "VERSION": "1.10",
        "PORT": "8000",
        "DEBUG": "true",
        "EMPTY": "",
        "OCTAL": "0644",
        "NO": "no",
    }


@pytest.mark.parametrize(("written", "number"), [("5", 5), ("0x1F", 31), ("0o17", 15), ("007", 7), ("+3", 3)])
def test_numbers_are_those_of_yaml_1_2(written: str, number: int, tmp_path: Path) -> None:
    assert agent(tmp_path, f"instances: {written}").instances == number


@pytest.mark.parametrize(("written", "value"), [("true", True), ("True", True), ("FALSE", False), ("false", False)])
def test_switches_are_those_of_yaml_1_2(written: str, value: bool, tmp_path: Path) -> None:
    assert agent(tmp_path, f"auto_start: {written}").auto_start is value


@pytest.mark.parametrize(
    ("written", "name"),
    [("TERM", "SIGTERM"), ("SIGINT", "SIGINT"), ("15", "SIGTERM"), ("sigusr1", "SIGUSR1"), ("RTMIN", "SIGRTMIN")],
)
def test_a_signal_is_named_in_any_way(written: str, name: str, tmp_path: Path) -> None:
    assert agent(tmp_path, f"stop_signal: {written}").stop_signal == name


def test_off_switches_off(tmp_path: Path) -> None:
    off = agent(tmp_path, "watchdog: off\nquarantine: off\nrestart: {loop: off}\nmax_idle: off")
    assert (off.watchdog, off.quarantine, off.restart.loop, off.max_idle) == (None, None, None, None)


def test_restart_and_quarantine_are_maps(tmp_path: Path) -> None:
    written = agent(
        tmp_path,
        "restart: {policy: on-failure, delay: 0, burst: 3, window: 2min, loop: 4/10min}\n"
        "quarantine: {first: 30s, factor: 1.5, max: 5min, settle: 1h}",
    )
    assert written.restart == model.Restart(
        model.RestartPolicy.ON_FAILURE, timedelta(), 3, 2 * MINUTE, model.Rate(4, 10 * MINUTE)
    )
    assert written.quarantine == model.Quarantine(30 * SECOND, 1.5, 5 * MINUTE, 60 * MINUTE)


@pytest.mark.parametrize("written", ["5 in 15min", "5/15min", "5 / 15min", "5  in  900"])
def test_a_rate_is_written_in_two_ways(written: str, tmp_path: Path) -> None:
    assert agent(tmp_path, f"restart: {{loop: {written}}}").restart.loop == model.Rate(5, 15 * MINUTE)


@pytest.mark.parametrize(("written", "notify"), [("auto", "AUTO"), ("true", "ALWAYS"), ("false", "NEVER")])
def test_notify_has_three_values(written: str, notify: str, tmp_path: Path) -> None:
    assert agent(tmp_path, f"notify: {written}").notify is model.Notify[notify]


def test_dependencies_name_agents_and_units(tmp_path: Path) -> None:
    text = """
agents:
  a: {command: x}
  b: {command: x, depends_on: [a, {postgresql.service: required}, "dev-sda\\\\x2d1.device"]}
"""
    assert loaded(tmp_path, text).agents["b"].depends_on == (
        DependsOn("a"),
        DependsOn("postgresql.service", required=True),
        DependsOn("dev-sda\\x2d1.device"),
    )


def test_many_agents_may_depend_on_one_without_a_circle(tmp_path: Path) -> None:
    lines = [f"  a{n}: {{command: x, depends_on: [{', '.join(f'a{m}' for m in range(n))}]}}" for n in range(30)]
    assert len(loaded(tmp_path, "\n".join(["agents:", *lines])).agents) == 30


def test_a_long_chain_of_dependencies_is_walked(tmp_path: Path) -> None:
    lines = [f"  a{n}: {{command: x, depends_on: [a{n + 1}]}}" for n in range(1500)]
    text = "\n".join(["agents:", *lines, "  a1500: {command: x}"])
    assert mistakes(tmp_path, text) == []


@pytest.mark.parametrize("limit", ["512M", "1.5G", "50%", "infinity", "1073741824", "12.5%"])
def test_memory_keeps_its_notation(limit: str, tmp_path: Path) -> None:
    written = agent(tmp_path, f"resources: {{memory: {limit}, memory_high: {limit}}}").resources
    assert (written.memory, written.memory_high) == (limit, limit)


def test_resources_keep_their_notation(tmp_path: Path) -> None:
    written = agent(tmp_path, "resources: {cpu: 250%, tasks: 10%, open_files: 1024:infinity, io_weight: 10000}")
    assert written.resources == model.Resources(cpu="250%", tasks="10%", open_files="1024:infinity", io_weight=10000)


def test_probes_ask_in_three_ways(tmp_path: Path) -> None:
    keys = "url: http://h:1\nprobes:\n  ready: {command: check --now, failures: 5}\n  live: {http: /x, expect: 204}"
    probes = agent(tmp_path, keys).probes
    assert probes.ready is not None
    assert probes.live is not None
    assert (probes.ready.command, probes.ready.failures) == (("check", "--now"), 5)
    assert (probes.live.http, probes.live.expect, probes.live.timeout) == ("/x", "204", 5 * SECOND)
    tcp = agent(tmp_path, 'probes: {live: {tcp: "[::1]:80"}}').probes.live
    assert tcp is not None
    assert tcp.tcp == "[::1]:80"


def test_heartbeat_limits_follow_the_watchdog(tmp_path: Path) -> None:
    assert agent(tmp_path, "watchdog: 10min").heartbeat_limits == model.HeartbeatLimits(10 * MINUTE, 20 * MINUTE)
    assert agent(tmp_path, "watchdog: off").heartbeat_limits == model.HeartbeatLimits(MINUTE, 5 * MINUTE)
    assert agent(tmp_path, "heartbeat: {late_after: 2min}").heartbeat_limits == model.HeartbeatLimits(
        2 * MINUTE, 5 * MINUTE, written=True
    )


def test_an_account_is_a_name_or_a_number(tmp_path: Path) -> None:
    written = agent(tmp_path, "user: bob\ngroup: 1000")
    assert (written.user, written.group, written.dynamic_user) == ("bob", "1000", False)


def test_late_and_silent_at_once_is_a_mistake(tmp_path: Path) -> None:
    text = "agents: {a: {command: x, heartbeat: {late_after: 5min}}}"
    assert "late_after (5min) must be shorter than silent_after (5min)" in mistakes(tmp_path, text)[0]


def test_a_limit_that_a_well_agent_may_miss_is_doubtful(tmp_path: Path) -> None:
    def doubts(late_after: str) -> list[str]:
        text = f"agents: {{a: {{command: x, heartbeat: {{late_after: {late_after}}}}}}}"
        return [each.text for each in loaded(tmp_path, text).warnings]

    assert doubts("5s") == ["an agent that is well may be late: what has not changed, its library tells every 5s"]
    assert doubts("6s") == []


def test_secrets_are_references(tmp_path: Path) -> None:
    assert agent(tmp_path, "secrets: {TOKEN: 'file:keys/a b', API_KEY: encrypted:k.cred}").secrets == {
        "TOKEN": SecretSource("file", "keys/a b"),
        "API_KEY": SecretSource("encrypted", "k.cred"),
    }


@pytest.mark.parametrize(
    "keys",
    [
        "environment: {API_KEY: x}\nallow_plain: [API_KEY]",
        "command: x --api-key=1\nallow_plain: [api-key]",
        "command: x --api-key 1\nallow_plain: [API_KEY]",
        "environment: {TOKEN_FILE: x, KEY_PATH: y, MONKEY: z, KEYBOARD: q, TOKENIZER: t}",
        "command: [x, --token-file, y, '-k', KEYS=1, 'say TOKEN=x']",
    ],
)
def test_what_only_looks_like_a_secret_is_allowed(keys: str, tmp_path: Path) -> None:
    assert agent(tmp_path, keys)


def test_a_job_has_one_or_several_times(tmp_path: Path) -> None:
    keys = "schedule: daily\ndeadline: 5min\nmax_runtime: 1h\ncatch_up: true"
    job = agent(tmp_path, keys)
    assert (job.schedule, job.deadline, job.max_runtime, job.catch_up) == (("daily",), 5 * MINUTE, 60 * MINUTE, True)
    several = agent(tmp_path, 'schedule: ["Mon..Fri 09:30 America/New_York", "*-*-1/2 06:00:00.5", "*:0/15"]')
    assert len(several.schedule) == 3


def test_raw_directives_are_one_value_or_many(tmp_path: Path) -> None:
    keys = "systemd: {Service: {Nice: 5, ExecStartPost: ['', /bin/x]}, Unit: {Documentation: 'man:x(1)'}}"
    assert agent(tmp_path, keys).systemd == {
        "Service": {"Nice": ("5",), "ExecStartPost": ("", "/bin/x")},
        "Unit": {"Documentation": ("man:x(1)",)},
    }


def test_lists_hosts_and_files_are_read(tmp_path: Path) -> None:
    written = agent(
        tmp_path,
        "hosts: [db1, 'web*', tag:fast]\ntags: [a, b-1]\nenvironment_file: .env\nwritable_paths: [data, /tmp/x]",
    )
    assert written.hosts == ("db1", "web*", "tag:fast")
    assert written.tags == ("a", "b-1")
    assert written.environment_file == (".env",)
    assert written.writable_paths == ("data", "/tmp/x")
    assert agent(tmp_path, "environment_file: [a, b]").environment_file == ("a", "b")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        AgentSettings().title = "x"  # type: ignore[misc]


def test_doubtful_things_are_warnings_with_a_place(tmp_path: Path) -> None:
    text = """\
agents:
  a: {command: x, notify: false, notify_access: all}
  b: {command: x, instances: 2, url: "http://h:1"}
  c: {command: x, depends_on: [{d: required}]}
  d: {command: x, enabled: false}
"""
    warnings = loaded(tmp_path, text).warnings
    assert [f"{each.mark.line}:{each.mark.column} {each.key} {each.text}" for each in warnings] == [
        "2:49 agents.a.notify_access without effect: notify is false",
        "3:38 agents.b.url all 2 instances share this address",
        "4:32 agents.c.depends_on.0 'd' is required, but it is not enabled: this agent cannot start",
    ]
    assert all(each.warning for each in warnings)

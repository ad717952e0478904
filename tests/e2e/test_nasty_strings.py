"""Any text that a user may write reaches the running process byte for byte, or is refused by `check` at its place.

The bugs looked for are in what the parsers and the glob of systemd make of a quote, a `%`, a `$` or a backslash. What
arrived is asked of /proc and of systemd, never of `supervise`.
"""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab import Lab, eventually

pytestmark = pytest.mark.lab

ROOT = "/srv/nasty"
PYTHON = "/usr/bin/python3"
IDLE = "import signal\nsignal.pause()\n"
DUMP = "import os, sys\nopen('argv', 'wb').write(b'\\0'.join(map(os.fsencode, sys.argv[1:])))\n"
TELL = """
import signal, sys
for word in [*sys.argv[1:], "END"]:
    print(word, flush=True)
signal.pause()
"""
MARK = """
import os, signal, sys
for path in sys.argv[1:]:
    open(os.path.join(path, "mark"), "w").close()
open("/srv/nasty/done", "w").close()
signal.pause()
"""

BIDI = ("\u202eright to left", "a\u2066b\u2069", "\u200fmark")
BREAKS = ("line\nbreak", "carriage\r\nreturn", "tab\there", "\u2028", "\u0085")
CONTROLS = (*(chr(code) for code in range(1, 32)), "\x7f", "\x9b31m", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07")
BLANKS = ("  before", "after  ", " both ", "\u00a0nbsp\u00a0")
ENDS_BADLY = ("trailing\\", "\\", "even\\\\", "odd\\\\\\")
PLAIN = (
    # specifiers and variables
    *("%", "%%", "%i", "%%i", "%n %h %z", "100%"),
    *("$", "$$", "$HOME", "$HOME/x", "${HOME}", "${X}", "$${X}", "a$b${c}d$"),
    # quotes and escapes
    *("'", '"', "it's", 'say "hi"', "'quoted'", '"quoted"', "\"'\"'", "\\x41", "\\n"),
    *("C:\\new\\table", "\\\\double", "a\\ b", "\\u0041", "\\101", "\\;", '\\"', "\\'q"),
    # what means something at the beginning of a command, a line, a list
    *("@at", "-dash", "--", "-", ":colon", "+plus", "!bang", "!!bang", "|pipe"),
    *(";", ";;", "; x", "#", "# comment", "[Service]"),
    *("=", "a=b", "NAME=value", "=x", "~", "~root", "&&", ">", "<", "`id`", "$(id)", "(", "x;y", "&"),
    # globs
    *("*", "?", "[a-z]", "[!a]*", "{a,b}", "a*b?c", "[", "]"),
    # spaces and other scripts
    *("two words", "three  wide   blanks", "a, b"),
    *("żółw", "emoji 🐢", "👩‍👩‍👧", "漢字", "e\u0301", "שלום", "\U0010fffd"),
    *("null", "true", "007", "1e3", "0x1f", "no", "- item", "key: value", "{x}", "on", "%YAML"),
)  # fmt: skip
LONG = "long" * 25_000
STRINGS = ("", *PLAIN, *ENDS_BADLY, *BLANKS, *BREAKS, *CONTROLS, *BIDI, LONG, " ", ".", "..", "a/b", "/")
TITLES = (*PLAIN, *ENDS_BADLY, *BLANKS, "title " * 1000 + "end")
FILE_NAMES = tuple(text for text in (*PLAIN, *BLANKS) if "/" not in text and not text[-1].isspace())
PROGRAMS = (*FILE_NAMES, *ENDS_BADLY, "after  ")
"""systemd wants a program without quotes and backslashes, where any other path may have them."""


@dataclass(frozen=True)
class Host:
    """The lab with the project installed, and the PID of each agent that runs."""

    lab: Lab
    pids: Mapping[str, int]

    def proc(self, agent: str, what: str) -> bytes:
        return self.lab.path(f"/proc/{self.pids[agent]}/{what}").read_bytes()

    def link(self, agent: str, what: str) -> str:
        return os.readlink(self.lab.path(f"/proc/{self.pids[agent]}/{what}"))


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[Host]:
    """One install for all of it."""
    lab.add_user("nasty", linger=True)
    _lay_out(lab)
    lab.supervise("install", "-f", f"{ROOT}/agents.yaml", "--start")
    yield Host(lab, _pids(lab))
    lab.supervise("uninstall", "-f", f"{ROOT}/agents.yaml", "--yes")
    lab.run("userdel", "--force", "nasty", check=False)


def _lay_out(lab: Lab) -> None:
    folders = {"in": FILE_NAMES, "write": FILE_NAMES, "files": (), "secrets": (), "bin": ()}
    for folder, names in folders.items():
        for name in ("", *names):
            lab.path(f"{ROOT}/{folder}/{name}").mkdir(parents=True, exist_ok=True)
    for name in FILE_NAMES:
        lab.path(f"/home/nasty/write/{name}").mkdir(parents=True)
        lab.write(f"{ROOT}/files/{name}", f"FROM_{FILE_NAMES.index(name)}=arrived\n")
        lab.write(f"{ROOT}/secrets/{name}", f"secret of {name}", mode=0o600)
    for name in PROGRAMS:
        shutil.copy2(lab.path("/usr/bin/sleep"), lab.path(f"{ROOT}/bin/{name}"))
    for name, text in (("idle.py", IDLE), ("tell.py", TELL), ("dump.py", DUMP), ("mark.py", MARK)):
        lab.write(f"{ROOT}/{name}", text)
    lab.write(f"{ROOT}/agents.yaml", _dumped({"project": "nasty", "agents": dict(_agents())}))
    lab.run("chown", "-R", "nasty:", ROOT, "/home/nasty")


def _agents() -> Iterator[tuple[str, dict[str, Any]]]:
    idle = [PYTHON, f"{ROOT}/idle.py"]
    light = {"hardening": "none", "working_directory": ROOT}
    yield "arguments", {**light, "command": [*idle, *STRINGS], "before_start": [PYTHON, "dump.py", *STRINGS]}
    yield "settings", {**light, "command": idle, "environment": {f"V_{n}": text for n, text in enumerate(STRINGS)}}
    yield "talker", {**light, "command": [PYTHON, f"{ROOT}/tell.py", *CONTROLS, *BIDI, *BREAKS]}
    yield "reader", {**light, "command": idle, "environment_file": [f"files/{name}" for name in FILE_NAMES]}
    yield (
        "keeper",
        {**light, "command": idle, "secrets": {f"s{n}": f"file:secrets/{name}" for n, name in enumerate(FILE_NAMES)}},
    )
    paths = [f"{folder}/write/{name}" for folder in (ROOT, "/home/nasty") for name in FILE_NAMES]
    yield (
        "writer",
        {
            "working_directory": f"{ROOT}/in",
            "hardening": "strict",
            "writable_paths": [*paths, ROOT],
            "command": [PYTHON, f"{ROOT}/mark.py", *paths],
        },
    )
    yield (
        "homely",
        {
            "working_directory": "/home/nasty/write/it's",
            "hardening": "strict",
            "command": idle,
            "writable_paths": [ROOT],
        },
    )
    for number, title in enumerate(TITLES):
        yield f"titled_{number}", {**light, "title": title, "command": idle, "auto_start": False}
    for number, name in enumerate(FILE_NAMES):
        yield f"in_{number}", {**light, "working_directory": f"in/{name}", "command": ["/usr/bin/sleep", "infinity"]}
    for number, name in enumerate(PROGRAMS):
        yield f"program_{number}", {**light, "command": [f"bin/{name}", "infinity"]}


class _Quoted(yaml.SafeDumper):
    """Every text in double quotes, the only form of YAML that can hold any text."""


_Quoted.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


def _dumped(config: Any, *, on_one_line: bool = False) -> str:
    """As YAML; `${` is written `$${`, since `${NAME}` is expanded in values."""
    return yaml.dump(
        _spelt(config), Dumper=_Quoted, allow_unicode=True, width=10**9, default_flow_style=on_one_line, sort_keys=False
    )


def _spelt(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, dict):
        return {name: _spelt(one) for name, one in value.items()}
    return [_spelt(one) for one in value] if isinstance(value, list) else value


def _pids(lab: Lab) -> dict[str, int]:
    shown = lab.sh("systemctl show 'agent@*' -p Id -p MainPID")
    pairs = (dict(line.split("=", 1) for line in block.splitlines()) for block in shown.split("\n\n") if block.strip())
    return {pair["Id"].removeprefix("agent@").removesuffix(".service"): int(pair.get("MainPID", 0)) for pair in pairs}


def _environ(raw: bytes) -> dict[str, str]:
    return dict(os.fsdecode(entry).split("=", 1) for entry in raw.split(b"\0") if entry)


def test_there_are_enough_of_them() -> None:
    assert len(set(STRINGS)) == len(STRINGS) >= 60
    assert len(set(TITLES)) == len(TITLES) >= 60
    assert len(set(FILE_NAMES)) == len(FILE_NAMES) >= 60


def test_arguments_arrive_byte_for_byte(host: Host) -> None:
    assert host.proc("arguments", "cmdline").split(b"\0")[2:-1] == [os.fsencode(text) for text in STRINGS]


def test_arguments_of_before_start_arrive_byte_for_byte(host: Host) -> None:
    assert host.lab.path(f"{ROOT}/argv").read_bytes().split(b"\0") == [os.fsencode(text) for text in STRINGS]


def test_environment_values_arrive_byte_for_byte(host: Host) -> None:
    environ = _environ(host.proc("settings", "environ"))
    assert [environ[f"V_{number}"] for number in range(len(STRINGS))] == list(STRINGS)


def test_every_environment_file_is_found_under_its_own_name(host: Host) -> None:
    """`EnvironmentFile=` expands globs: `[a-z]` must be the file of that name."""
    environ = _environ(host.proc("reader", "environ"))
    assert [name for number, name in enumerate(FILE_NAMES) if environ.get(f"FROM_{number}") != "arrived"] == []


def test_secrets_come_from_the_files_named(host: Host) -> None:
    folder = Path("/run/credentials/agent@keeper.service")
    inside = host.lab.path(f"/proc/{host.pids['keeper']}/root")
    found = [(inside / str(folder / f"s{number}").lstrip("/")).read_text() for number in range(len(FILE_NAMES))]
    assert found == [f"secret of {name}" for name in FILE_NAMES]


def test_working_directories_are_the_ones_written(host: Host) -> None:
    found = [host.link(f"in_{number}", "cwd") for number in range(len(FILE_NAMES))]
    assert found == [f"{ROOT}/in/{name}" for name in FILE_NAMES]


def test_executables_are_the_ones_written(host: Host) -> None:
    numbers = range(len(PROGRAMS))
    eventually(lambda: all(host.link(f"program_{n}", "exe") != "/usr/bin/nice" for n in numbers), "all programs")
    assert [host.link(f"program_{number}", "exe") for number in numbers] == [f"{ROOT}/bin/{name}" for name in PROGRAMS]
    lines = [host.proc(f"program_{number}", "cmdline") for number in numbers]
    assert lines == [os.fsencode(f"{ROOT}/bin/{name}\0infinity\0") for name in PROGRAMS]


def test_writable_paths_are_writable_in_a_strict_sandbox(host: Host) -> None:
    eventually(host.lab.path(f"{ROOT}/done").exists, "the writer to be done")
    places = [f"{folder}/write/{name}" for folder in (ROOT, "/home/nasty") for name in FILE_NAMES]
    assert [place for place in places if not host.lab.path(f"{place}/mark").exists()] == []


def test_a_home_of_an_odd_name_is_shown_in_a_strict_sandbox(host: Host) -> None:
    assert host.link("homely", "cwd") == "/home/nasty/write/it's"


def test_titles_arrive_in_systemd_and_in_the_table(host: Host) -> None:
    """systemd drops blanks at the ends of a description; the table keeps them."""
    names = [f"titled_{number}" for number in range(len(TITLES))]
    units = [f"agent@{name}.service" for name in names]
    shown = host.lab.run("systemctl", "show", "--value", "-p", "Description", *units).stdout.split("\n\n")
    assert [text.removesuffix("\n") for text in shown] == [title.strip(" ") for title in TITLES]
    rows = json.loads(host.lab.supervise("status", "--json", *names, check=False).stdout)["agents"]
    assert {row["name"]: row["title"] for row in rows} == dict(zip(names, TITLES, strict=True))


def test_a_user_s_own_systemd_gives_the_same_bytes(host: Host) -> None:
    lab, folder = host.lab, "/home/nasty/own"
    agents = {
        "own_arguments": {"command": [PYTHON, "idle.py", *STRINGS]},
        "own_settings": {
            "command": [PYTHON, "idle.py"],
            "environment": {f"V_{number}": text for number, text in enumerate(STRINGS)},
        },
    }
    lab.write(f"{folder}/idle.py", IDLE)
    lab.write(f"{folder}/agents.yaml", _dumped({"project": "own", "agents": agents}))
    lab.run("chown", "-R", "nasty:", folder)
    lab.supervise("install", "--user", "-f", f"{folder}/agents.yaml", "--start", user="nasty")
    shown = lab.run("systemctl", "--user", "show", "-P", "MainPID", *(f"agent@{name}" for name in agents), user="nasty")
    own = Host(lab, dict(zip(agents, map(int, shown.stdout.split()), strict=True)))
    assert own.proc("own_arguments", "cmdline").split(b"\0")[2:-1] == [os.fsencode(text) for text in STRINGS]
    environ = _environ(own.proc("own_settings", "environ"))
    assert [environ[f"V_{number}"] for number in range(len(STRINGS))] == list(STRINGS)
    lab.supervise("uninstall", "--user", "-p", "own", "--yes", user="nasty")


# --- What people are shown --------------------------------------------------------------------------------------------


def test_env_tells_the_exact_values(host: Host) -> None:
    told = json.loads(host.lab.supervise("env", "settings", "--json").stdout)
    assert [told[f"V_{number}"] for number in range(len(STRINGS))] == list(STRINGS)
    told = json.loads(host.lab.supervise("env", "reader", "--json").stdout)
    assert [name for number, name in enumerate(FILE_NAMES) if told.get(f"FROM_{number}") != "arrived"] == []


@pytest.mark.parametrize(
    "words",
    [
        ("env", "settings"),
        ("status",),
        ("status", "arguments"),
        ("logs", "talker"),
        ("plan", "-v", "-f", f"{ROOT}/other.yaml"),
        ("check", "-f", f"{ROOT}/other.yaml"),
        ("check", "-f", f"{ROOT}/wrong.yaml"),
    ],
    ids=" ".join,
)
def test_nothing_of_it_acts_on_a_terminal(host: Host, words: tuple[str, ...]) -> None:
    eventually(lambda: "END" in host.lab.supervise("logs", "talker").stdout, "the talker to have spoken")
    acting = [*CONTROLS, *BREAKS, *BIDI]
    other = {"working_directory": ROOT, "command": [PYTHON, *acting], "environment": {"V": "\u202e"}}
    wrong = {"x\x1b[31m\u202e": {"command": acting, "title": "\x1b[31m\u202e", "\x1b\u202e": acting, "user": "\x1b"}}
    host.lab.write(f"{ROOT}/other.yaml", _dumped({"project": "other", "agents": {"other": other}}))
    host.lab.write(f"{ROOT}/wrong.yaml", _dumped({"project": "other", "agents": wrong}))
    done = host.lab.supervise(*words, check=False)
    said = done.stdout + done.stderr
    assert said.strip()
    assert {f"U+{ord(one):04X}" for one in said if one != "\n" and _acts(one)} == set()


def _acts(character: str) -> bool:
    """Whether a terminal may do something else with it than show it."""
    embeds = unicodedata.bidirectional(character) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    return embeds or unicodedata.category(character) == "Cc" or character in "\u2028\u2029\u200e\u200f\u061c"


# --- What is refused --------------------------------------------------------------------------------------------------


def test_check_refuses_what_cannot_be_and_names_each_place(lab: Lab) -> None:
    lab.run("useradd", "--create-home", "refused")
    no_text = ("nul\0", "none\ufdd0", "none\U0001ffff")
    no_line = ("", " ", *no_text, *BREAKS, *CONTROLS, *BIDI)
    no_path = (*no_line, "end\\", "end ", "end\u00a0")
    bad: list[dict[str, Any]] = [
        *({"title": text} for text in no_line),
        *({"working_directory": text} for text in no_path),
        *({"environment_file": text} for text in no_path),
        *({"environment_file": ["/etc/hosts", text]} for text in no_path),
        *({"writable_paths": [text]} for text in no_path),
        *({"python": text} for text in no_path),
        *({"secrets": {"s": f"file:{text}"}} for text in no_path),
        *({"command": ["sleep", text]} for text in no_text),
        *({"environment": {"V": text}} for text in no_text),
    ]
    good: list[dict[str, Any]] = [{"command": ["sleep", text], "environment": {"V": text}} for text in STRINGS]
    good += [{"title": f"good {text}"} for text in TITLES]
    names = ("name\n", "", "\x1b", "a\u202e", "-a", "a b", "x.service", "%i", "Ä", "a" * 52)
    lines = ["project: refused", "agents:", *(_line(f"bad_{number}", keys) for number, keys in enumerate(bad))]
    lines += [_line(name, {}) for name in names]
    refused = set(range(3, len(lines) + 1))
    lines += [_line(f"good_{number}", keys) for number, keys in enumerate(good)]
    lab.write("/home/refused/agents.yaml", "\n".join(lines) + "\n")
    done = lab.supervise("check", "--json", "-f", "/home/refused/agents.yaml", check=False)
    assert done.returncode == 7
    problems = json.loads(done.stdout)["problems"]
    told = {problem["mark"]["line"]: problem["text"] for problem in problems}
    assert [lines[number - 1] for number in sorted(refused - set(told))] == []
    assert {number: text for number, text in told.items() if number not in refused} == {}
    assert all(problem["mark"]["column"] > 1 and problem["text"] for problem in problems)
    lab.run("userdel", "--remove", "--force", "refused", check=False)


def _line(name: str, keys: Mapping[str, Any]) -> str:
    """One agent on one line of YAML, so that a problem's line says which one is meant."""
    written = _dumped({"command": ["sleep", "1"], "user": "refused", **keys}, on_one_line=True)
    return f"  {json.dumps(name)}: {written.strip()}"

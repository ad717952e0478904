"""What a command line runs, whatever options stand before it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervise.observe.commands import Command, Kind, command, wanted

FLAGS = ["-u", "-B", "-E", "-s", "-S", "-I", "-O", "-OO", "-q", "-v", "-b", "-d", "-P", "-uB", "-sE"]
VALUED = [["-X", "dev"], ["-Xutf8"], ["-W", "ignore"], ["-Wignore"], ["-uW", "ignore"], ["-BX", "dev"]]
LONG = [["--check-hash-based-pycs", "default"]]

options = st.lists(st.sampled_from([[flag] for flag in FLAGS] + VALUED + LONG), max_size=5).map(
    lambda groups: [word for group in groups for word in group]
)
words = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=12)
interpreters = st.sampled_from(
    ["python", "python3", "/usr/bin/python3.11", ".venv/bin/python", "pypy3", "pythonw", "python3.13t", "pypy3.10"]
)


@given(interpreters, options, words, st.lists(words, max_size=4))
def test_options_of_the_interpreter_never_change_what_is_run(
    python: str, before: list[str], target: str, after: list[str]
) -> None:
    script = f"s{target}"
    for end in ([], ["--"]):
        assert command([python, *before, *end, script, *after]) == Command(Kind.SCRIPT, script, tuple(after), "python")
    for letters in ("-m", "-um", "-Bsm"):
        assert command([python, *before, letters, script, *after]) == Command(
            Kind.MODULE, script, tuple(after), "python"
        )
        assert command([python, *before, letters + script, *after]) == Command(
            Kind.MODULE, script, tuple(after), "python"
        )
    assert command([python, *before, "-c", target, *after]) == Command(Kind.CODE, target, tuple(after), "python")
    assert command([python, *before, "-", *after]) == Command(Kind.STDIN, "", tuple(after), "python")


@settings(max_examples=25, deadline=None)
@given(options.filter(lambda before: "-d" not in before and "-v" not in before), st.lists(words, max_size=3))
def test_python_itself_reads_its_options_as_we_do(before: list[str], after: list[str]) -> None:
    """The interpreter is the judge: what it leaves in `sys.argv` is what we call arguments."""
    code = "import sys; sys.stdout.buffer.write(ascii(sys.argv[1:]).encode())"
    line = [sys.executable, *before, "-c", code, *after]
    said = subprocess.run(line, capture_output=True, check=True, stdin=subprocess.DEVNULL).stdout.decode()
    assert said == ascii(list(command(line).arguments))


@given(st.lists(words, min_size=1, max_size=6))
def test_any_words_are_some_command(argv: list[str]) -> None:
    for first in ("python", "sh", "node", "env", "nice", "x"):
        command([first, *argv])
        wanted([first, *argv])
    command(argv)
    wanted(argv)


@pytest.mark.parametrize(
    ("words", "target", "arguments"),
    [
        (["env", "python", "x.py"], "x.py", ()),
        (["/usr/bin/env", "-i", "A=1", "B=2", "python", "-u", "x.py", "C=3"], "x.py", ("C=3",)),
        (["env", "-u", "A", "--unset", "B", "--unset=C", "-C", "/srv", "--chdir=/srv", "python", "x.py"], "x.py", ()),
        (["env", "-S", "python -u x.py", "a"], "x.py", ("a",)),
        (["env", "-iS", "A='b c' python x.py"], "x.py", ()),
        (["env", "-vSpython x.py"], "x.py", ()),
        (["env", "--split-string=python x.py"], "x.py", ()),
        (["env", "--split-string", "python x.py"], "x.py", ()),
        (["env", "--", "A=1", "python", "x.py"], "x.py", ()),
    ],
)
def test_env_becomes_what_it_starts(words: list[str], target: str, arguments: tuple[str, ...]) -> None:
    assert command(words) == Command(Kind.SCRIPT, target, arguments, "python")


@pytest.mark.parametrize("words", [["env"], ["env", "-i"], ["env", "A=1"], ["env", "-S"], ["env", "-S", ""]])
def test_env_that_starts_nothing_stays_env(words: list[str]) -> None:
    assert command(words) == Command(Kind.PROGRAM, "env", tuple(words[1:]))


@pytest.mark.parametrize(
    "words",
    [
        ["nohup", "python", "x.py"],
        ["/usr/bin/nice", "-n", "5", "python", "x.py"],
        ["nice", "-5", "ionice", "-c3", "-n", "7", "python", "x.py"],
        ["setsid", "-w", "env", "A=1", "stdbuf", "-oL", "-e", "0", "python", "x.py"],
    ],
)
def test_a_configured_launcher_becomes_what_it_starts(words: list[str]) -> None:
    assert wanted(words) == Command(Kind.SCRIPT, "x.py", (), "python")


@pytest.mark.parametrize(
    "first", ["uv", "timeout", "sudo", "strace", "nohup", "setsid", "pythonic", "python-config", "ipython"]
)
def test_a_running_program_that_starts_a_command_is_not_that_command(first: str) -> None:
    assert command([first, "python", "x.py"]) == Command(Kind.PROGRAM, first, ("python", "x.py"))


def test_the_kernels_word_on_the_executable_counts_more_than_the_first_argument() -> None:
    assert command(["python", "x.py"], program="/usr/bin/tail").kind is Kind.PROGRAM
    assert command(["my agent", "x.py"], program="/usr/bin/python3.11").kind is Kind.SCRIPT
    assert command(["env", "x.py"], program="/usr/bin/python3.11") == Command(Kind.SCRIPT, "x.py", (), "python")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["sh", "run.sh", "a"], Command(Kind.SCRIPT, "run.sh", ("a",), "shell")),
        (["-bash", "-eu", "run.sh"], Command(Kind.SCRIPT, "run.sh", (), "shell")),
        (["bash", "--", "run.sh"], Command(Kind.SCRIPT, "run.sh", (), "shell")),
        (["bash", "-euo", "pipefail", "run.sh"], Command(Kind.PROGRAM, "bash", ("-euo", "pipefail", "run.sh"))),
        (["sh", "-c", "x", "run.sh"], Command(Kind.PROGRAM, "sh", ("-c", "x", "run.sh"))),
        (["sh"], Command(Kind.PROGRAM, "sh", ())),
        (["node", "--max-old-space-size=512", "app.js"], Command(Kind.SCRIPT, "app.js", (), "node")),
        (["node", "-r", "x", "app.js"], Command(Kind.PROGRAM, "node", ("-r", "x", "app.js"))),
        (["node", "--require", "x", "app.js"], Command(Kind.PROGRAM, "node", ("--require", "x", "app.js"))),
        (["ruby3.1", "-e", "x"], Command(Kind.PROGRAM, "ruby3.1", ("-e", "x"))),
        (["perl", "-w", "app.pl"], Command(Kind.SCRIPT, "app.pl", (), "perl")),
    ],
)
def test_scripts_of_other_interpreters(words: list[str], expected: Command) -> None:
    assert command(words) == expected

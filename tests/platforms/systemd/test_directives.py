"""Quoting, undone by a reader of systemd.syntax(7) that knows nothing of ours; a real one does it in `tests/e2e`."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from supervise.model import FOREVER
from supervise.platforms.systemd.directives import (
    GO_BETWEEN,
    assignment,
    command,
    glob_free,
    no_glob,
    rest_of_line,
    span,
    word,
    words,
    yes_no,
)
from supervise.spans import span as read_span

SPOKEN = {"n": "\n", "t": "\t", "r": "\r", "s": " ", "\\": "\\", '"': '"', "'": "'"}
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
NASTY = st.text(st.sampled_from("ab \t\n\r\\\"'%$;:{}=\x01\x1f\x7f@-+!é日🙂"))
ANY = TEXTS | NASTY


def systemd_reads(line: str) -> list[str]:
    """The words of a line: quotes and C escapes undone, then `%%`; any other specifier is a mistake."""
    return [_specifiers(found) for found in _split(line)]


def _split(line: str) -> Iterator[str]:
    characters = iter(line)
    found: list[str] | None = None
    quote = ""
    for one in characters:
        if one == "\\":
            found = [*(found or []), _escape(characters)]
        elif quote:
            if one == quote:
                quote = ""
            else:
                found = [*(found or []), one]
        elif one in "\"'":
            quote, found = one, found or []
        elif one in " \t\n\r":
            if found is not None:
                yield "".join(found)
            found = None
        else:
            found = [*(found or []), one]
    assert not quote, "a quote is left open"
    if found is not None:
        yield "".join(found)


def _escape(characters: Iterator[str]) -> str:
    kind = next(characters)
    return chr(int(next(characters) + next(characters), 16)) if kind == "x" else SPOKEN[kind]


def _specifiers(text: str) -> str:
    assert "%" not in text.replace("%%", ""), "a specifier would be expanded"
    return text.replace("%%", "%")


# --- Words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("run_api.py", "run_api.py"),
        ("--host=0.0.0.0:80", "--host=0.0.0.0:80"),
        ("", '""'),
        ("main feed", '"main feed"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("it's", '"it\'s"'),
        ("a\\b", '"a\\\\b"'),
        ("100%", '"100%%"'),
        ("%i", '"%%i"'),
        ("$HOME", '"$HOME"'),
        ("${X}", '"${X}"'),
        (";", '";"'),
        ("a\nb\tc\r", '"a\\nb\\tc\\r"'),
        ("\x01\x1f\x7f", '"\\x01\\x1f\\x7f"'),
        ("日本🙂", '"日本🙂"'),
        ("#", '"#"'),
    ],
)
def test_a_word_is_quoted_where_it_must_be(text: str, quoted: str) -> None:
    assert word(text) == quoted


@given(st.lists(ANY))
def test_systemd_reads_the_words_that_were_meant(texts: list[str]) -> None:
    assert systemd_reads(words(texts)) == texts


@given(st.lists(ANY))
def test_words_never_leave_their_line_or_begin_a_comment(texts: list[str]) -> None:
    line = words(texts)
    assert not set(line) & set("\n\r\0")
    assert not line.startswith(("#", ";"))
    assert not line.endswith("\\")


@given(st.text("ABC_", min_size=1), ANY)
def test_an_assignment_is_one_word(name: str, value: str) -> None:
    assert systemd_reads(assignment(name, value)) == [f"{name}={value}"]


# --- Commands ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["/usr/bin/python3", "-m", "x"], "/usr/bin/python3 -m x"),
        (["/usr/bin/env", "$HOME"], ':/usr/bin/env "$HOME"'),
        (["/opt/a b/run"], '"/opt/a b/run"'),
        (["/opt/$x/run"], ':"/opt/$x/run"'),
        (["/opt/it's", "-v"], '/usr/bin/nice -n 0 -- "/opt/it\'s" -v'),
        (["/opt/a\\b", "$X"], ':/usr/bin/nice -n 0 -- "/opt/a\\\\b" "$X"'),
        (["/bin/x", "'"], '/bin/x "\'"'),
        (["/bin/x", "-:+!@"], '/bin/x "-:+!@"'),
        (["/bin/x", "-"], "/bin/x -"),
    ],
)
def test_a_command_line(argv: list[str], line: str) -> None:
    assert command(argv) == line


@given(ANY.map(lambda text: f"/{text}"), st.lists(ANY))
def test_systemd_runs_the_program_with_the_arguments_that_were_meant(program: str, arguments: list[str]) -> None:
    line = command([program, *arguments])
    read = systemd_reads(line.removeprefix(":"))
    assert read[-len(arguments) - 1 :] == [program, *arguments]
    assert read[: -len(arguments) - 1] in ([], list(GO_BETWEEN))


@given(ANY.map(lambda text: f"/{text}"), st.lists(ANY))
def test_variables_are_never_expanded(program: str, arguments: list[str]) -> None:
    line = command([program, *arguments])
    assert line.startswith(":") or "$" not in line


@given(ANY.map(lambda text: f"/{text}"))
def test_systemd_itself_is_never_asked_to_execute_a_name_that_it_refuses(program: str) -> None:
    first = systemd_reads(command([program]).removeprefix(":"))[0]
    assert not set(first) & {*map(chr, range(1, 32)), "\x7f", '"', "'", "\\"}


# --- The rest of a line -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Market Data", "Market Data"),
        ("50% off", "50%% off"),
        ("%h", "%%h"),
        ('"quoted"', '"quoted"'),
        ("ends with \\", "ends with \\ "),
        (Path("/srv/a b"), "/srv/a b"),
        ("", ""),
    ],
)
def test_a_value_to_the_end_of_the_line(text: str | Path, value: str) -> None:
    assert rest_of_line(text) == value


@given(ANY)
def test_the_next_line_is_never_swallowed(text: str) -> None:
    assert not rest_of_line(text).endswith("\\")
    assert _specifiers(rest_of_line(text)).removesuffix(" ") == text.removesuffix(" ")


PATHS = st.text(st.sampled_from("ab*?[]!\\^-. %é"), min_size=1).map(lambda text: Path("/") / text)
fnmatch = ctypes.CDLL(None).fnmatch


@given(PATHS, PATHS)
def test_a_path_fits_itself_and_no_other_as_a_glob(path: Path, other: Path) -> None:
    pattern = no_glob(path).encode()
    assert fnmatch(pattern, str(path).encode(), 0) == 0
    assume(path != other)
    assert fnmatch(pattern, str(other).encode(), 0) != 0


def test_in_a_unit_a_globbed_path_keeps_its_percent_signs_too() -> None:
    assert glob_free(Path("/etc/50%[a].env")) == "/etc/50%%\\[a\\].env"


# --- Small values -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(), "0s"),
        (timedelta(seconds=90), "90s"),
        (timedelta(days=2), "172800s"),
        (timedelta(seconds=1.5), "1500000us"),
        (timedelta(microseconds=1), "1us"),
        (FOREVER, "infinity"),
    ],
)
def test_a_span_is_in_seconds_as_far_as_it_is_whole(length: timedelta, text: str) -> None:
    assert span(length) == text


@given(st.timedeltas(timedelta(), timedelta(days=100_000)))
def test_a_span_is_read_as_it_was_written(length: timedelta) -> None:
    assert read_span(span(length)) == length


def test_yes_and_no() -> None:
    assert (yes_no(True), yes_no(False)) == ("yes", "no")

"""`${NAME}` comes from `vars`, then from the environment; nothing else in a text is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.loading import agent, loaded, mistakes

AGENT = "agents: {a: {command: x, title: '%s'}}\n"


def title(folder: Path, text: str, variables: str = "{}", **environ: str) -> str | None:
    return loaded(folder, f"vars: {variables}\n{AGENT % text}", environ=environ).agents["a"].title


def test_vars_win_over_the_environment(tmp_path: Path) -> None:
    assert title(tmp_path, "${A} ${B}", "{A: one}", A="two", B="three") == "one three"


def test_a_default_stands_in_for_what_is_unset_or_empty(tmp_path: Path) -> None:
    assert title(tmp_path, "<${A:-a}> <${B:-b}> <${C:-c}> <${D:-}>", "{B: ''}", C="") == "<a> <b> <c> <>"


def test_a_default_may_hold_anything_but_braces(tmp_path: Path) -> None:
    assert title(tmp_path, "${A:-http://h:1/$x:-y}") == "http://h:1/$x:-y"
    assert "wants a name" in mistakes(tmp_path, AGENT % "${A:-${B}}")[0]


def test_an_empty_value_without_a_default_stays_empty(tmp_path: Path) -> None:
    assert title(tmp_path, "<${A}>", A="") == "<>"


def test_vars_may_use_each_other_and_the_environment(tmp_path: Path) -> None:
    assert title(tmp_path, "${A}", '{A: "${B}/x", B: "${C}"}', C="root") == "root/x"


def test_an_expanded_value_is_not_expanded_again(tmp_path: Path) -> None:
    assert title(tmp_path, "${A} ${B}", '{B: "$${C}"}', A="${C}", C="no") == "${C} ${C}"


def test_keys_are_not_expanded(tmp_path: Path) -> None:
    text = 'vars: {A: b}\nagents: {a: {command: x, environment: {"${A}": y}}}'
    assert "'${A}' is not a name of a variable" in mistakes(tmp_path, text)[0]


def test_numbers_and_switches_may_be_variables(tmp_path: Path) -> None:
    written = agent(
        tmp_path, 'instances: ${N}\nenabled: ${E}\nrestart: {burst: "${N}"}', environ={"N": "3", "E": "false"}
    )
    assert (written.instances, written.enabled, written.restart.burst) == (3, False, 3)


def test_a_variable_that_says_null_is_a_text(tmp_path: Path) -> None:
    assert agent(tmp_path, "title: ${A}", environ={"A": "null"}).title == "null"


def test_an_overlay_changes_vars(tmp_path: Path) -> None:
    text = f"vars: {{A: base}}\n{AGENT % '${A}'}"
    assert loaded(tmp_path, text, overlay="vars: {A: over}").agents["a"].title == "over"


def test_what_came_from_the_environment_is_told_by_key_and_name(tmp_path: Path) -> None:
    text = "vars: {A: '${FROM}', B: x}\ndefaults: {url: 'http://${HOST:-h}'}\nagents: {a: {command: [x, '${PORT}']}}"
    config = loaded(tmp_path, text, environ={"FROM": "f", "HOST": "g", "PORT": "1", "B": "unused"})
    assert config.from_environment == (("vars.A", "FROM"), ("defaults.url", "HOST"), ("agents.a.command.1", "PORT"))


def test_an_unset_name_is_told_once_even_where_a_number_is_wanted(tmp_path: Path) -> None:
    found = mistakes(tmp_path, "agents:\n  a:\n    command: x\n    instances: ${N}\n")
    assert found == [
        "agents.yaml:4:16: agents.a.instances: 'N' is neither in 'vars' nor in the environment; "
        "set it, or write ${N:-default}"
    ]


@pytest.mark.parametrize("value", ["a\0b", "\udcff"])
def test_an_environment_that_no_file_could_hold_is_refused(value: str, tmp_path: Path) -> None:
    found = mistakes(tmp_path, AGENT % "${A}", environ={"A": value})
    assert "the environment variable 'A' cannot be used" in found[0]

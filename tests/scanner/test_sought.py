"""Whom the manifests name, read without anything but the standard library."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from supervise.manifest import to_json
from supervise.model import AgentSpec, HiddenPolicy
from supervise.scanner.sought import Sought
from tests.nouns import spec
from tests.reconcile.rig import manifest_of

AGENT = spec(
    "scanner.2",
    instance=2,
    environment={"PAIR": "BTC"},
    hidden=HiddenPolicy.STOP,
    command=("/usr/bin/python3", "-m", "scanner"),
)


@pytest.fixture
def sought(tmp_path: Path) -> Sought:
    return Sought(tmp_path)


def write(folder: Path, project: str, *agents: AgentSpec) -> None:
    (folder / f"{project}.new").write_text(to_json(manifest_of(*agents)))
    (folder / f"{project}.new").rename(folder / f"{project}.json")


def test_what_matters_of_an_agent_is_as_the_manifest_has_it(sought: Sought, tmp_path: Path) -> None:
    write(tmp_path, "trading", AGENT)
    assert sought.changed()
    assert sought.specs == (AGENT,)


def test_what_does_not_matter_is_not_read(sought: Sought, tmp_path: Path) -> None:
    write(tmp_path, "trading", replace(AGENT, tags=("a",), wave=3))
    assert sought.changed()
    assert sought.specs == (AGENT,)


def test_a_change_is_noticed_once(sought: Sought, tmp_path: Path) -> None:
    assert not (sought.changed() and sought.specs)
    write(tmp_path, "trading", AGENT)
    assert (sought.changed(), sought.changed()) == (True, False)
    write(tmp_path, "other", spec())
    assert sought.changed()
    assert {one.name for one in sought.specs} == {"scanner.2", "sma"}
    (tmp_path / "trading.json").unlink()
    assert sought.changed()
    assert [one.name for one in sought.specs] == ["sma"]


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"agents": [{}]}', '{"agents": [1]}', "\udcff"])
def test_a_damaged_manifest_keeps_what_it_said(sought: Sought, tmp_path: Path, damage: str) -> None:
    write(tmp_path, "trading", AGENT)
    sought.changed()
    (tmp_path / "trading.json").write_text(damage, errors="surrogateescape")
    assert sought.changed()
    assert sought.specs == (AGENT,)


def test_where_nothing_was_ever_installed_nobody_is_sought(tmp_path: Path) -> None:
    sought = Sought(tmp_path / "nowhere")
    sought.changed()
    assert sought.specs == ()

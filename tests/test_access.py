"""Who may execute and who may change a file: asked of real files with real modes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervise.access import DYNAMIC, Identity, identity, obstacle, owner, stranger_who_writes

STRANGER = 12_345
"""A uid and gid of nobody on this machine."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may enter; those of pytest are closed."""
    with tempfile.TemporaryDirectory(prefix="supervise-access-") as made:
        path = Path(made)
        path.chmod(0o755)
        if os.getuid() == 0:  # else its owner would be root, whom everybody trusts
            os.chown(path, STRANGER, STRANGER)
        yield path


def program(folder: Path, name: str = "run", mode: int = 0o755) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    if os.getuid() == 0:
        os.chown(path, STRANGER, STRANGER)
    return path


def somebody(uid: int, *groups: int) -> Identity:
    return Identity("ada", uid, groups[0] if groups else -1, frozenset(groups))


def owner_of(path: Path) -> Identity:
    status = path.stat()
    return somebody(status.st_uid, status.st_gid)


def other_than_owner(path: Path, *groups: int) -> Identity:
    return somebody(path.stat().st_uid + 1, *groups)


ROOT = Identity("root", 0, 0, frozenset({0}))

# --- Executing --------------------------------------------------------------------------------------------------------


def test_nothing_stands_in_the_way_of_what_all_may_execute(folder: Path) -> None:
    path = program(folder)
    assert [obstacle(path, who) for who in (ROOT, DYNAMIC, owner_of(path), other_than_owner(path))] == [None] * 4


@pytest.mark.parametrize("mode", [0o700, 0o744])
def test_a_closed_folder_above_is_named(folder: Path, mode: int) -> None:
    path = program(folder, "closed/inner/run")
    (folder / "closed").chmod(mode)
    if os.getuid() == 0:
        os.chown(folder / "closed", STRANGER, STRANGER)
    assert obstacle(path, other_than_owner(path)) == f'ada may not enter folder "{folder}/closed"'
    assert obstacle(path, DYNAMIC) == f'a dynamic user may not enter folder "{folder}/closed"'
    assert obstacle(path, owner_of(path)) is None
    assert obstacle(path, ROOT) is None


def test_a_file_that_may_not_be_executed_is_named(folder: Path) -> None:
    path = program(folder, mode=0o644)
    for who in (owner_of(path), other_than_owner(path), ROOT):
        assert obstacle(path, who) == f'{who.name} may not execute "{path}"'


def test_one_bit_is_enough_for_root(folder: Path) -> None:
    assert obstacle(program(folder, mode=0o001), ROOT) is None


def test_a_group_opens_what_is_closed_to_others(folder: Path) -> None:
    path = program(folder, mode=0o750)
    assert obstacle(path, other_than_owner(path, path.stat().st_gid)) is None
    assert obstacle(path, other_than_owner(path, path.stat().st_gid + 1)) is not None


@pytest.mark.parametrize("mode", [0o075, 0o015])
def test_the_owners_own_bits_count_even_where_others_may_more(folder: Path, mode: int) -> None:
    path = program(folder, mode=mode)
    assert obstacle(path, owner_of(path)) == f'ada may not execute "{path}"'


def test_the_way_of_a_link_is_walked_too(folder: Path) -> None:
    path = program(folder, "closed/run")
    (folder / "closed").chmod(0o700)
    (folder / "link").symlink_to(path)
    who = somebody(STRANGER + 1)
    assert obstacle(folder / "link", who) == f'ada may not enter folder "{folder}/closed"'


def test_a_link_to_nowhere_is_named(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "nowhere")
    assert obstacle(folder / "link", ROOT) == f"{folder}/link: No such file or directory"


# --- Changing ---------------------------------------------------------------------------------------------------------


def test_what_only_its_user_and_root_can_change_is_safe(folder: Path) -> None:
    path = program(folder)
    assert stranger_who_writes(path, owner_of(path)) is None
    assert stranger_who_writes(Path("/bin/sh"), somebody(STRANGER)) is None


def test_a_file_of_somebody_elses_is_not(folder: Path) -> None:
    path = program(folder)
    said = stranger_who_writes(path, other_than_owner(path))
    assert said
    assert "belongs to" in said


@pytest.mark.parametrize(("mode", "who"), [(0o757, "anybody"), (0o777, "anybody"), (0o775, "group")])
def test_a_file_that_others_may_write_is_not(folder: Path, mode: int, who: str) -> None:
    path = program(folder, mode=mode)
    owner_without_the_group = somebody(path.stat().st_uid, path.stat().st_gid + 1)
    said = stranger_who_writes(path, owner_without_the_group)
    if mode == 0o777 or path.stat().st_gid != 0:
        assert said
        assert said.startswith(f'"{path}" may be written by ')
    if who == "anybody" and not mode & 0o020:
        assert said == f'"{path}" may be written by anybody'


def test_ones_own_group_may_write(folder: Path) -> None:
    path = program(folder, mode=0o775)
    assert stranger_who_writes(path, owner_of(path)) is None


def test_a_folder_in_which_others_may_exchange_the_file_is_named_unless_it_is_sticky(folder: Path) -> None:
    path = program(folder, "shared/run")
    if os.getuid() == 0:
        os.chown(folder / "shared", STRANGER, STRANGER)
    (folder / "shared").chmod(0o757)
    assert stranger_who_writes(path, owner_of(path)) == f'"{folder}/shared" may be written by anybody'
    (folder / "shared").chmod(0o1757)
    assert stranger_who_writes(path, owner_of(path)) is None


def test_the_file_behind_a_link_counts(folder: Path) -> None:
    path = program(folder, mode=0o757)
    (folder / "link").symlink_to(path)
    assert stranger_who_writes(folder / "link", owner_of(path)) == f'"{folder}/link" may be written by anybody'


def test_the_folder_of_the_file_behind_a_link_counts(folder: Path) -> None:
    path = program(folder, "shared/run")
    (folder / "shared").chmod(0o757)
    if os.getuid() == 0:
        os.chown(folder / "shared", STRANGER, STRANGER)
    (folder / "link").symlink_to(path)
    assert stranger_who_writes(folder / "link", owner_of(path)) == f'"{folder}/shared" may be written by anybody'


def test_a_file_that_is_not_there_is_nobodys_mistake(folder: Path) -> None:
    assert stranger_who_writes(folder / "nowhere", owner_of(folder)) is None


# --- Names ------------------------------------------------------------------------------------------------------------


def test_a_user_is_found_by_name_and_by_number() -> None:
    assert identity("root") == identity("0")
    assert (identity("root").uid, identity("root").gid) == (0, 0)


def test_a_group_that_is_written_wins_and_counts() -> None:
    found = identity("root", "4242")
    assert found.gid == 4242
    assert {0, 4242} <= found.groups


@pytest.mark.parametrize(("user", "group"), [("no_such_user", None), ("999999", None), ("root", "no_such_group")])
def test_who_does_not_exist_is_an_error(user: str, group: str | None) -> None:
    with pytest.raises(KeyError):
        identity(user, group)


def test_the_owner_of_a_file_has_a_name_or_a_number(folder: Path) -> None:
    assert owner(Path("/")) == "root"
    if os.getuid() == 0:
        assert owner(program(folder)) == str(STRANGER)


def test_a_folder_above_that_anybody_may_write_counts(tmp_path: Path) -> None:
    path = tmp_path / "open" / "own" / "program"
    path.parent.mkdir(parents=True)
    path.touch(mode=0o755)
    assert stranger_who_writes(path, owner_of(path)) is None
    path.parent.parent.chmod(0o777)
    assert stranger_who_writes(path, owner_of(path)) == f'"{tmp_path}/open" may be written by anybody'

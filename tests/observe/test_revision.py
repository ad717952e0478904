"""What is checked out, as git itself says, in every way that git keeps it; and whatever else may stand in its place."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from supervise.model import AgentSpec, FileMark, Secret
from supervise.observe import revision
from supervise.observe.revision import GONE, Disk, Files, Head, file_mark, head, variable
from tests.nouns import NOW, spec
from tests.reconcile.rig import Clock

IDENTITY = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}


def git(folder: Path, *words: str) -> str:
    plain = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", **IDENTITY}
    done = subprocess.run(["git", "-C", folder, *words], env=plain, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder: Path, text: str = "x") -> str:
    (folder / "file").write_text(text)
    git(folder, "add", ".")
    git(folder, "commit", "-qm", text)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A working tree with one commit on `main`."""
    folder = tmp_path / "tree"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    commit(folder)
    return folder


def seen(folder: Path, files: Files | None = None) -> str | None:
    found = head(folder, files or Files())
    return found.commit if found else None


# --- As git keeps it --------------------------------------------------------------------------------------------------


def packed(tree: Path) -> Path:
    git(tree, "pack-refs", "--all")
    assert not (tree / ".git/refs/heads/main").exists()
    return tree


def packed_and_committed(tree: Path) -> Path:
    packed(tree)
    commit(tree, "y")
    return tree


def detached(tree: Path) -> Path:
    git(tree, "checkout", "-q", "--detach")
    return tree


def on_a_branch_with_a_path(tree: Path) -> Path:
    git(tree, "checkout", "-q", "-b", "feature/one")
    commit(tree, "y")
    return tree


def in_a_worktree(tree: Path) -> Path:
    git(tree, "worktree", "add", "-q", "-b", "other", "../worktree")
    commit(tree.parent / "worktree", "y")
    return tree.parent / "worktree"


def in_a_worktree_with_packed_references(tree: Path) -> Path:
    folder = in_a_worktree(tree)
    git(tree, "pack-refs", "--all")
    return folder


def in_a_worktree_by_a_reference_of_its_own(tree: Path) -> Path:
    folder = in_a_worktree(tree)
    git(folder, "update-ref", "refs/worktree/mine", "HEAD")
    git(folder, "symbolic-ref", "HEAD", "refs/worktree/mine")
    return folder


def in_a_submodule(tree: Path) -> Path:
    (tree.parent / "outer").mkdir()
    outer = tree.parent / "outer"
    git(outer, "init", "-q")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(tree), "inner")
    commit(outer)
    return outer / "inner"


def by_a_symbolic_reference(tree: Path) -> Path:
    git(tree, "symbolic-ref", "refs/heads/alias", "refs/heads/main")
    git(tree, "symbolic-ref", "HEAD", "refs/heads/alias")
    return tree


def in_a_folder_below(tree: Path) -> Path:
    (tree / "a/b").mkdir(parents=True)
    return tree / "a/b"


def as_sha256(tree: Path) -> Path:
    folder = tree.parent / "sha256"
    folder.mkdir()
    git(folder, "init", "-q", "--object-format=sha256")
    commit(folder)
    return folder


@pytest.mark.parametrize(
    "kept",
    [
        lambda tree: tree,
        packed,
        packed_and_committed,
        detached,
        on_a_branch_with_a_path,
        in_a_worktree,
        in_a_worktree_with_packed_references,
        in_a_worktree_by_a_reference_of_its_own,
        in_a_submodule,
        by_a_symbolic_reference,
        in_a_folder_below,
        as_sha256,
    ],
    ids=lambda kept: kept.__name__.strip("<>"),
)
def test_the_commit_is_the_one_that_git_says(tree: Path, kept: Callable[[Path], Path]) -> None:
    folder = kept(tree)
    assert seen(folder) == git(folder, "rev-parse", "HEAD")


def test_a_commit_a_checkout_and_a_reset_are_seen_by_who_has_looked_before(tree: Path) -> None:
    files = Files()
    first = seen(tree, files)
    second = commit(tree, "y")
    files.begin()
    assert seen(tree, files) == second != first
    git(tree, "pack-refs", "--all")
    files.begin()
    assert seen(tree, files) == second
    git(tree, "checkout", "-q", "-b", "old", "HEAD~1")
    files.begin()
    assert seen(tree, files) == first
    git(tree, "reset", "-q", "--hard", "main")
    files.begin()
    assert seen(tree, files) == second


def test_it_is_as_old_as_the_newest_of_the_files_that_say_so(tree: Path) -> None:
    reference, on = tree / ".git/refs/heads/main", tree / ".git/HEAD"
    found = head(tree, Files())
    newest = max(reference.stat().st_ctime, on.stat().st_ctime)
    assert found == Head(git(tree, "rev-parse", "HEAD"), datetime.fromtimestamp(newest, UTC))
    on.write_text(on.read_text())
    again = head(tree, Files())
    assert again is not None
    assert again.since == datetime.fromtimestamp(on.stat().st_ctime, UTC)


def test_what_did_not_change_is_not_read_again(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, opened = Files(), []
    really = revision._content

    def noted(path: Path, most: int) -> bytes | None:
        opened.append(path)
        return really(path, most)

    monkeypatch.setattr(revision, "_content", noted)
    for _ in range(3):
        files.begin()
        seen(tree, files)
    assert opened == [tree / ".git/HEAD", tree / ".git/refs/heads/main"]


# --- Whatever else may be there ---------------------------------------------------------------------------------------


def test_outside_of_a_working_tree_there_is_no_commit(tmp_path: Path) -> None:
    assert seen(tmp_path) is None
    assert seen(tmp_path / "nothing/here") is None


def test_before_the_first_commit_there_is_none(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert seen(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "ref: refs/heads/gone\n",
        "ref: refs/../secret\n",
        "ref: refs/../../.git/secret\n",
        "ref: secret\n",
        "ref: /etc/passwd\n",
        "ref: refs/heads/\0\n",
        "0123\n",
        "x" * 40,
        "0" * 5000,
        "0" * 40 + "\n" + "x" * 5000,
        "ref: refs/heads/.invalid\n",
    ],
)
def test_a_head_that_says_nothing_sensible_is_no_commit(tree: Path, text: str) -> None:
    (tree / ".git/secret").write_text("0" * 40)
    (tree / ".git/HEAD").write_text(text)
    assert seen(tree) is None


def test_references_that_lead_in_a_circle_end(tree: Path) -> None:
    (tree / ".git/refs/heads/main").write_text("ref: refs/heads/main\n")
    assert seen(tree) is None


@pytest.mark.parametrize("text", ["gitdir: \0", "gitdir: nowhere", "something else", ""])
def test_a_link_that_leads_nowhere_is_no_commit_and_nobody_looks_further_up(tree: Path, text: str) -> None:
    below = tree / "below"
    below.mkdir()
    (below / ".git").write_text(text)
    assert seen(below) is None


def test_a_pipe_in_the_place_of_a_file_holds_nobody_up(tree: Path) -> None:
    (tree / ".git/HEAD").unlink()
    os.mkfifo(tree / ".git/HEAD")
    assert seen(tree) is None
    assert revision._content(tree / ".git/HEAD", 10) == b""


def test_a_file_that_is_another_one_when_it_is_opened_is_no_answer(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revision, "_content", lambda path, most: None)
    assert seen(tree) is None


def test_what_is_hidden_is_unknown_though_there_is_a_tree_above_it(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tree / "inner"
    inner.mkdir()
    really = Path.stat

    def refused(path: Path, **named: Any) -> os.stat_result:
        if path.parent == inner:
            raise PermissionError(path)
        return really(path, **named)

    monkeypatch.setattr(Path, "stat", refused)
    assert seen(inner) is None
    assert file_mark(inner / "secret") is None


def test_a_time_that_is_none_is_later_than_everything() -> None:
    class Strange:
        st_ctime = 1e30

    assert revision._changed(Strange()).year == 9999  # type: ignore[arg-type]


# --- Files and settings -----------------------------------------------------------------------------------------------


def on_disk(agent: AgentSpec, disk: Disk | None = None) -> Any:
    return (disk or Disk(Clock())).look([agent])[agent.name]


def test_the_files_of_a_start_are_marked_by_what_people_call_them(tmp_path: Path) -> None:
    key, env = tmp_path / "key", tmp_path / "env"
    key.write_text("1")
    agent = spec(
        working_directory=tmp_path,
        secrets=(Secret("API_KEY", key), Secret("OTHER", tmp_path / "none"), Secret("LAST", key / "below")),
        environment_files=(env,),
    )
    first = on_disk(agent)
    assert first.at == NOW.monotonic
    assert (first.revision, first.since) == (None, None)
    assert first.files == {
        "secret API_KEY": file_mark(key),
        "secret OTHER": GONE,
        "secret LAST": GONE,
        f"environment file {env}": GONE,
    }
    assert first.files["secret API_KEY"].changed == datetime.fromtimestamp(key.stat().st_ctime, UTC)


@pytest.mark.parametrize("change", ["write", "replace", "touch"])
def test_a_file_that_was_written_or_replaced_has_another_mark(tmp_path: Path, change: str) -> None:
    file, other = tmp_path / "key", tmp_path / "other"
    file.write_text("1")
    other.write_text("2")
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    before = file_mark(file)
    match change:
        case "write":
            file.write_text("12")
        case "replace":
            other.replace(file)
        case "touch":
            os.utime(file, (1, 1))
    assert file_mark(file) != before


def test_new_rights_are_no_other_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("1")
    before = file_mark(file)
    file.chmod(0o600)
    after = file_mark(file)
    assert isinstance(before, FileMark)
    assert isinstance(after, FileMark)
    assert before.mark == after.mark


def test_an_agent_may_be_told_its_revision(tree: Path) -> None:
    agent = spec(working_directory=tree)
    assert on_disk(agent).revision == seen(tree)
    told = replace(agent, environment={"SUPERVISE_REVISION": "v7"})
    assert (on_disk(told).revision, on_disk(told).since) == ("v7", None)
    assert on_disk(replace(agent, environment={"SUPERVISE_REVISION": ""})).revision == seen(tree)


def test_an_environment_file_is_above_the_settings_and_the_last_one_above_all(tree: Path) -> None:
    files = tuple(tree.parent / name for name in ("one", "two", "three"))
    for file, text in zip(files, ("SUPERVISE_REVISION=v1\n", "SUPERVISE_REVISION=v2\n", "OTHER=1\n"), strict=True):
        file.write_text(text)
    agent = spec(working_directory=tree, environment={"SUPERVISE_REVISION": "v0"}, environment_files=files)
    found = on_disk(agent)
    assert (found.revision, found.since) == ("v2", datetime.fromtimestamp(files[1].stat().st_ctime, UTC))


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ("SUPERVISE_REVISION=v7\n", "v7"),
        (" SUPERVISE_REVISION=v7", "v7"),
        ('SUPERVISE_REVISION="v 7"\n', "v 7"),
        ("SUPERVISE_REVISION='v7'  \n", "v7"),
        ("SUPERVISE_REVISION=v6\nSUPERVISE_REVISION=v7\n", "v7"),
        ("SUPERVISE_REVISION=\n", None),
        ('SUPERVISE_REVISION="', '"'),
        ("# SUPERVISE_REVISION=v7\n", None),
        ("X_SUPERVISE_REVISION=v7\nSUPERVISE_REVISION2=v8\n", None),
        ("\xff", None),
    ],
)
def test_a_variable_is_read_as_systemd_reads_it(content: str, value: str | None) -> None:
    assert variable(content.encode("latin-1")) == value


def test_agents_of_one_folder_are_looked_at_once(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    really = revision.head

    def noted(folder: Path, files: Files) -> Head | None:
        calls.append(folder)
        return really(folder, files)

    monkeypatch.setattr(revision, "head", noted)
    found = Disk(Clock()).look([spec("a", working_directory=tree), spec("b", working_directory=tree)])
    assert found["a"].revision == found["b"].revision == seen(tree)
    assert calls == [tree]

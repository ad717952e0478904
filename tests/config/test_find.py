"""The file is the nearest one, from the current folder upwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervise.config import find
from supervise.errors import UsageError


def write(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("agents: {a: {command: x}}")
    return file


def test_the_file_in_the_folder_or_above_is_found(tmp_path: Path) -> None:
    file = write(tmp_path / "agents.yaml")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert find(tmp_path) == find(below) == file


def test_the_nearest_file_wins(tmp_path: Path) -> None:
    write(tmp_path / "agents.yaml")
    near = write(tmp_path / "a" / "agents.yaml")
    assert find(tmp_path / "a") == near


def test_today_s_layout_wins_over_the_older_one(tmp_path: Path) -> None:
    write(tmp_path / "config" / "environments" / "development.yaml")
    file = write(tmp_path / "agents.yaml")
    assert find(tmp_path) == file


def test_without_a_file_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot find 'agents.yaml' in .* 'supervise init', or name it with -f FILE"):
        find(tmp_path)


def test_of_several_older_files_development_is_taken_or_the_one_named(tmp_path: Path) -> None:
    folder = tmp_path / "config" / "environments"
    production, development = write(folder / "production.yaml"), write(folder / "development.yaml")
    assert find(tmp_path) == development
    assert find(tmp_path, environment="production") == production
    with pytest.raises(UsageError, match=r"cannot choose one of development.yaml, production.yaml"):
        find(tmp_path, environment="staging")


def test_a_single_older_file_is_taken_whatever_its_name(tmp_path: Path) -> None:
    assert find(write(tmp_path / "config" / "environments" / "live.yaml").parent).stem == "live"

"""Files with addresses and keys: read whole or refused in one sentence, and never quoted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervise.alerts.kept import address, kept, secret
from supervise.errors import SuperviseError
from supervise.model import AlertKind, AlertTarget


def test_blanks_around_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "hook").write_text(" https://hooks.example/T/B\r\n\n")
    found = AlertTarget("t", AlertKind.SLACK, url_file=tmp_path / "hook", secret_file=tmp_path / "hook")
    assert address(found) == secret(found) == "https://hooks.example/T/B"


def test_a_changed_file_counts_at_once(tmp_path: Path) -> None:
    (tmp_path / "hook").write_text("old")
    assert kept(tmp_path / "hook") == "old"
    (tmp_path / "hook").write_text("new")
    assert kept(tmp_path / "hook") == "new"


def test_a_plain_address_needs_no_file() -> None:
    target = AlertTarget("t", AlertKind.WEBHOOK, url="http://localhost:8080/x")
    assert (address(target), secret(target)) == ("http://localhost:8080/x", None)


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "it is empty"), (b" \n", "it is empty"), (b"\xff\xfe", "it is not text"), (b"x" * 20000, "it is too large")],
    ids=["nothing", "blanks", "bytes", "much"],
)
def test_a_useless_file_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "hook").write_bytes(content)
    with pytest.raises(SuperviseError) as error:
        kept(tmp_path / "hook")
    assert str(error.value) == f'cannot read "{tmp_path}/hook": {why}'


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, why in (("pipe", "it is not a file"), (".", "Is a directory"), ("nowhere", "No such file or directory")):
        with pytest.raises(SuperviseError, match=why):
            kept(tmp_path / name)


@pytest.mark.parametrize(
    "content",
    ["hunter2", "ftp://h/hunter2", "https:///hunter2", "http://[hunter2", "http://h:x/hunter2", "http://h/ 2"],
)
def test_what_is_no_url_is_refused_and_not_quoted(tmp_path: Path, content: str) -> None:
    (tmp_path / "hook").write_text(content)
    with pytest.raises(SuperviseError) as error:
        address(AlertTarget("t", AlertKind.SLACK, url_file=tmp_path / "hook"))
    assert str(error.value) == f'cannot send: "{tmp_path}/hook" holds no URL'

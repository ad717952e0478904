"""Secrets: where they are looked for, and what is said when they are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervise.agent import Agent, SecretMissing, secret


def test_the_file_wins_over_the_variable(tmp_path: Path) -> None:
    (tmp_path / "API_KEY").write_text("from the file")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "API_KEY": "from the variable"}
    assert secret("API_KEY", environ) == "from the file"
    (tmp_path / "API_KEY").unlink()
    assert secret("API_KEY", environ) == "from the variable"
    assert secret("API_KEY", {"API_KEY": "by hand"}) == "by hand"


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"key\n", "key"),
        (b"key\r\n", "key"),
        (b"key\n\n", "key\n"),
        (b" key ", " key "),
        (b"-----BEGIN\r\nkey\r\n", "-----BEGIN\r\nkey"),
        (b"\n", ""),
        (b"", ""),
        ("zażółć\n".encode(), "zażółć"),
        (b"\xff\n", "\udcff"),
    ],
)
def test_one_newline_at_the_end_is_none_of_it(tmp_path: Path, content: bytes, value: str) -> None:
    (tmp_path / "KEY").write_bytes(content)
    assert secret("KEY", {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == value


def test_a_missing_secret_says_where_it_was_looked_for_and_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(SecretMissing) as missing:
        secret("API_KEY", {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert f"the file {tmp_path}/API_KEY (No such file or directory)" in str(missing.value)
    assert "secrets: {API_KEY: file:PATH}" in str(missing.value)
    with pytest.raises(KeyError, match="CREDENTIALS_DIRECTORY is not set"):
        secret("API_KEY", {})


def test_an_agent_reads_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "known")
    assert Agent.secret("SOME_KEY") == "known"

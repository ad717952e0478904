"""`supervise` as a shell calls it, for every test of a command."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervise.cli import main
from supervise.places import Places
from tests.cli.reconciler import installed
from tests.cli.shell import Answer, Supervise
from tests.nouns import spec


@pytest.fixture
def supervise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Supervise:
    """`supervise WORDS` in an empty folder that is a home too, with nothing installed."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "SUPERVISE_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SUPERVISE_HOST_TAGS", "")

    def called(*words: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["supervise", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Answer(ended.value.code, out, err)

    return called


@pytest.fixture
def there(supervise: Supervise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    """Three agents of the user's own are installed; no reconciler runs."""
    specs = (spec("sma", title="SMA Bot"), spec("sma_slow"), spec("feed"))
    with installed(tmp_path / "home", monkeypatch, *specs) as found:
        yield found

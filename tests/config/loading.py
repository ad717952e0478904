"""Loading a text as if a user had written it to `agents.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from supervise.config import AgentSettings, Config, load
from supervise.errors import ConfigError


def loaded(
    folder: Path,
    text: str,
    *,
    overlay: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """The project that `text` (under `overlay`, as environment `test`) describes."""
    file = folder / "agents.yaml"
    file.write_text(text, encoding="utf-8")
    if overlay is not None:
        (folder / "agents.test.yaml").write_text(overlay, encoding="utf-8")
    return load(file, environment=None if overlay is None else "test", environ=environ or {})


def agent(folder: Path, keys: str, *, environ: Mapping[str, str] | None = None) -> AgentSettings:
    """An agent with a command and these keys, one a line."""
    lines = "".join(f"    {line}\n" for line in keys.splitlines())
    command = "" if keys.startswith("command:") else "    command: [x]\n"
    return loaded(folder, f"agents:\n  a:\n{command}{lines}", environ=environ).agents["a"]


def mistakes(
    folder: Path, text: str, *, overlay: str | None = None, environ: Mapping[str, str] | None = None
) -> list[str]:
    """What is wrong with `text`, as `agents.yaml:2:5: key: sentence`."""
    try:
        loaded(folder, text, overlay=overlay, environ=environ)
    except ConfigError as error:
        return [str(problem).removeprefix(f"{folder}/") for problem in error.problems]
    return []

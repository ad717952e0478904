"""Secrets as systemd hands them over: files that only the agent can read, not variables that its children inherit."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class SecretMissing(KeyError):
    """There is no such secret. Its text says where it was looked for, and what to write."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show it in quotes


def secret(name: str, environ: Mapping[str, str] = os.environ) -> str:
    """The file NAME in $CREDENTIALS_DIRECTORY, else the environment variable NAME, without its last newline.

    Raises SecretMissing. Bytes that are not UTF-8 come as surrogates.
    """
    folder = environ.get("CREDENTIALS_DIRECTORY")
    try:
        found = _content(f"{folder}/{name}") if folder else environ[name]
    except (OSError, KeyError) as error:
        if name not in environ:
            raise SecretMissing(_sentence(name, folder, error)) from None
        found = environ[name]
    return found[: -len(_newline(found))] if _newline(found) else found


def _content(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:  # noqa: PTH123 (no pathlib here)
        return file.read()


def _newline(text: str) -> str:
    return "\r\n" if text.endswith("\r\n") else "\n" if text.endswith("\n") else ""


def _sentence(name: str, folder: str | None, error: Exception) -> str:
    where = f"the file {folder}/{name} ({_why(error)})" if folder else "a file (CREDENTIALS_DIRECTORY is not set)"
    return (
        f'no secret "{name}": looked for {where} and for the environment variable {name}. '
        f"Write `secrets: {{{name}: file:PATH}}` for this agent in agents.yaml and install again, "
        f"or set {name} when you run it by hand"
    )


def _why(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)

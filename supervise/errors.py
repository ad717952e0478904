"""Everything that `supervise` raises on purpose. A message reads "cannot <do X>: <why>" and is shown as it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """What the command line answers to a shell (README, "Exit codes")."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_RUNNING = 3
    NO_SUCH_AGENT = 4
    PARTLY = 5
    UNREACHABLE = 6
    CONFIG_INVALID = 7


class SuperviseError(Exception):
    """Something could not be done. The text is one sentence for people; `exit_code` is for shells."""

    exit_code = ExitCode.FAILED


class UsageError(SuperviseError):
    """The command was asked for something that it does not offer."""

    exit_code = ExitCode.USAGE


class NoSuchAgent(SuperviseError):
    """A name, title, glob or tag that fits no installed agent."""

    exit_code = ExitCode.NO_SUCH_AGENT


class Damaged(SuperviseError):
    """No manifest can be read, so nobody knows which agents are installed."""


class StoreError(SuperviseError):
    """The local store cannot be read or written now. `corrupt`: its file is damaged."""

    def __init__(self, text: str, *, corrupt: bool = False) -> None:
        self.corrupt = corrupt
        super().__init__(text)


class PlatformError(SuperviseError):
    """The service manager could not be reached, or refused."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file. `line` and `column` count from 1."""

    file: Path
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake, or one warning, in a user's file: where, under which key, and what to do about it."""

    mark: Mark
    key: str
    text: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.mark}: {self.key}: {self.text}" if self.key else f"{self.mark}: {self.text}"


class ConfigError(SuperviseError):
    """A file of the user's is not valid. Carries every problem at once, in the order of the file."""

    exit_code = ExitCode.CONFIG_INVALID

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

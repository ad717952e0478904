"""What a call of the command line gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    code: int
    out: str
    err: str


Supervise = Callable[..., Answer]

"""References to files that hold secrets: a secret itself never stands in `agents.yaml`."""

from __future__ import annotations

from dataclasses import dataclass

from supervise.config.nodes import Scalar
from supervise.config.texts import path, url


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where a secret is kept. `kind` is `file` or `encrypted` (by systemd-creds)."""

    kind: str
    path: str


def secret_source(text: Scalar) -> SecretSource:
    kind, _, where = text.partition(":")
    if kind not in ("file", "encrypted"):
        raise ValueError("a secret itself never stands in this file: write file:PATH or encrypted:PATH")
    return SecretSource(kind, path(Scalar(where)))


def secret_only(text: Scalar) -> SecretSource:
    """For addresses that give whoever knows them the right to write there."""
    if not text.startswith(("file:", "encrypted:")):
        raise ValueError("whoever knows this address may use it, so it is a secret: write file:PATH")
    return secret_source(text)


def webhook(text: Scalar) -> str | SecretSource:
    return secret_source(text) if text.startswith(("file:", "encrypted:")) else url(text)

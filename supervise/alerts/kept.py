"""Reads the small files that hold an address or a key, anew for each use, so that a changed one counts at once.

What they hold is secret: it may be returned, and never stand in an error's text.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from urllib.parse import urlsplit

from supervise.errors import SuperviseError
from supervise.model import AlertTarget

LARGEST = 16 * 1024


def address(target: AlertTarget) -> str:
    """The URL of a target. Raises SuperviseError."""
    url = kept(target.url_file) if target.url_file else target.url or ""
    if not _is_url(url):
        raise SuperviseError(f'cannot send: "{target.url_file or target.id}" holds no URL')
    return url


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return good and text.isprintable() and " " not in text


def secret(target: AlertTarget) -> str | None:
    """What a webhook is signed with; None where it is not signed. Raises SuperviseError."""
    return kept(target.secret_file) if target.secret_file else None


def kept(path: Path) -> str:
    """The text of a file, without the blanks around it. A pipe or a device would never end, so it is refused."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            plain = stat.S_ISREG(os.fstat(descriptor).st_mode)
            content = file.read(LARGEST + 1) if plain else b""
        text = content.decode().strip()
    except OSError as error:
        raise SuperviseError(f'cannot read "{path}": {error.strerror}') from error
    except UnicodeDecodeError:
        raise SuperviseError(f'cannot read "{path}": it is not text') from None  # the error would quote its content
    if not plain or len(content) > LARGEST or not text:
        why = "it is empty" if plain and not text else "it is too large" if plain else "it is not a file"
        raise SuperviseError(f'cannot read "{path}": {why}')
    return text

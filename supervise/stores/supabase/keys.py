"""Where Supabase is, and with which key: from the manifest, a credential, a file or the environment, first match wins.

A key is read anew whenever one was refused, and may stand nowhere but in what is returned here.
"""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from supervise.errors import SuperviseError
from supervise.model import Scope, SupabaseTarget

KEYS = ("SUPABASE_HOST_KEY", "SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_KEY")
URL, PUBLISHABLE = "SUPABASE_URL", "SUPABASE_PUBLISHABLE_KEY"
SETTINGS = Path("/etc/supervise/supabase.env")
"""For the system scope: of root, closed to others."""
LARGEST = 64 * 1024
PLAIN_ROLES = ("anon", "service_role")


@dataclass(frozen=True, slots=True)
class Access:
    """`key` says which project, `token` who we are; the same where the key is no host's own."""

    url: str
    key: str = field(repr=False)
    token: str = field(repr=False)

    @property
    def expires(self) -> datetime | None:
        """When the token does, if it is one that says so."""
        moment = claims(self.token).get("exp")
        try:
            return datetime.fromtimestamp(moment, UTC) if isinstance(moment, int | float) else None
        except (ValueError, OverflowError, OSError):
            return None

    @property
    def lacks_publishable(self) -> bool:
        """Whether a host's own key stands alone, which a project's gateway does not know."""
        return self.key == self.token and _is_hosts(self.token)

    def hide(self, text: str) -> str:
        """The text without either key, should anybody have repeated them."""
        for secret in (self.key, self.token):
            for form in (secret, secret[:40] if len(secret) > 80 else secret):
                text = text.replace(form, "•••")
        return text


@dataclass(frozen=True, slots=True)
class Where:
    """What a daemon of this scope may read besides the manifest."""

    scope: Scope
    environ: Mapping[str, str]
    folders: tuple[Path, ...] = ()
    """In user scope: where the projects' `.env` files lie."""
    settings: Path = SETTINGS


def access(target: SupabaseTarget | None, where: Where) -> Access | None:
    """None where no Supabase is configured. Raises SuperviseError, which names where a key was looked for."""
    found = settings(where)
    url = (target.url if target else None) or found.get(URL)
    if not url:
        return None
    key = _kept(target.key_file) if target and target.key_file else _credential(where.environ) or _first(found)
    if not key:
        raise SuperviseError(f"cannot copy to Supabase: there is no key for it; {_advice(where)}")
    if not key.isascii():
        raise SuperviseError("cannot copy to Supabase: its key has characters that none has, such as curly quotes")
    publishable = (target.publishable_key if target else None) or found.get(PUBLISHABLE)
    return Access(_project(url), publishable if publishable and _is_hosts(key) else key, key)


def settings(where: Where) -> Mapping[str, str]:
    """The variables that count in this scope. Raises SuperviseError."""
    if where.scope is Scope.SYSTEM:
        return pairs(_of_root(where.settings))
    found = {name: value for name in (URL, PUBLISHABLE, *KEYS) if (value := where.environ.get(name))}
    for folder in where.folders:
        if not found.get(URL):
            found = {**pairs(_text(folder / ".env")), **found}
    return found


def is_file(path: Path) -> bool:
    """No, too, of what may not be looked at."""
    try:
        return path.is_file()
    except OSError:
        return False


def pairs(text: str) -> dict[str, str]:
    """`NAME=value` lines of ours; quotes and `export` are taken off."""
    found = {}
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        if equals and value and name.strip() in (URL, PUBLISHABLE, *KEYS):
            found[name.strip()] = value
    return found


def claims(token: str) -> Mapping[str, object]:
    """What a JWT says of itself, unproven; nothing for every other key."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        said = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _project(url: str) -> str:
    """The address of the project, where that of its API was copied: the library adds the path itself."""
    return url.rstrip("/").removesuffix("/rest/v1")


def _is_hosts(key: str) -> bool:
    role = claims(key).get("role")
    return role is not None and role not in PLAIN_ROLES


def _first(found: Mapping[str, str]) -> str | None:
    return next((found[name] for name in KEYS if found.get(name)), None)


def _credential(environ: Mapping[str, str]) -> str | None:
    folder = environ.get("CREDENTIALS_DIRECTORY")
    files = (Path(folder, name) for name in KEYS) if folder else ()
    return next((_kept(file) for file in files if is_file(file)), None)


def _kept(file: Path) -> str:
    """The key in a file that holds nothing else, or lines as in a `.env`."""
    text = _read(file).strip()
    key = _first(pairs(text)) or text
    if not key or any(character.isspace() or not character.isprintable() for character in key):
        raise SuperviseError(f'cannot use the key in "{file}": {"it is not one line" if key else "it is empty"}')
    return key


def _of_root(file: Path) -> str:
    """Whoever could write it could have everything that we know sent to them."""
    try:
        status = file.stat()
    except OSError:
        return ""
    if status.st_uid != 0 or status.st_mode & (stat.S_IWGRP | stat.S_IRWXO):
        raise SuperviseError(f'cannot use "{file}": it must be root\'s and closed to others (chmod 640)')
    return _read(file)


def _text(file: Path) -> str:
    return _read(file) if is_file(file) else ""


def _read(file: Path) -> str:
    """Nothing of the content may stand in an error. A pipe would never end."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as opened:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise SuperviseError(f'cannot read "{file}": it is not a file')
            content = opened.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise SuperviseError(f'cannot read "{file}": it is too large')
        return content.decode()
    except OSError as error:
        raise SuperviseError(f'cannot read "{file}": {error.strerror}') from error
    except UnicodeDecodeError:
        raise SuperviseError(f'cannot read "{file}": it is not text') from None


def _advice(where: Where) -> str:
    if where.scope is Scope.SYSTEM:
        return f'write `supabase: {{key: file:PATH}}` and install, or {KEYS[1]}=… into "{where.settings}"'
    return f"write `supabase: {{key: file:PATH}}` and install, or set {KEYS[1]}"


def folders(sources: Iterator[Path]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(source.parent for source in sources))

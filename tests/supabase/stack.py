"""A Supabase small enough for tests: PostgreSQL 15, the real PostgREST, and the gateway that knows the keys.

Each part can be killed and started again under its old address. PostgreSQL refuses to run as root: it runs as the user
`postgres` then. `scripts/supabase-local` starts the same for people.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg
from psycopg.rows import dict_row

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
BINARIES = Path("/usr/lib/postgresql/15/bin")
EXTENSIONS = Path("/usr/share/postgresql/15/extension")
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "wal_level": "logical",
    "max_connections": "60",
}
HASTE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""What tests need not wait for. No Supabase is set so."""
DEADLINE = 20.0
FOR_EVER = 4102444800


def missing() -> str | None:
    """Why it cannot run here, if it cannot."""
    if not BINARIES.is_dir():
        return "Supabase tests need PostgreSQL 15"
    try:
        postgrest()  # which fetches node as well, where it may
    except subprocess.CalledProcessError as error:
        why = error.stderr.strip() or f"scripts/postgrest ended with {error.returncode}"
        return f"Supabase tests need PostgREST: {why}"
    if shutil.which("node") is None:
        return "Supabase tests need node"
    return None


@cache
def postgrest() -> str:
    done = subprocess.run([CHECKOUT / "scripts/postgrest"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def eventually(true: Callable[[], bool], what: str, *, within: float = DEADLINE) -> None:
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end, f"not within {within:g} s: {what}"
        time.sleep(0.02)


class Database:
    """One PostgreSQL with its data in a folder of its own, reached by a socket there and by nothing else."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        words = ("-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C.UTF-8")
        subprocess.run(
            [BINARIES / "initdb", "-D", self.folder / "data", *words],
            check=True, stdout=subprocess.DEVNULL, cwd=self.folder, **_as_postgres(),
        )  # fmt: skip

    def start(self) -> None:
        settings = [f"-c{name}={value}" for name, value in self._settings.items()]
        with (self.folder / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                [BINARIES / "postgres", "-D", self.folder / "data", f"-k{self.folder}", *settings],
                cwd=self.folder, stdout=log, stderr=subprocess.STDOUT, **_as_postgres(),
            )  # fmt: skip
        eventually(self._answers, "PostgreSQL answers")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: in order, though clients are there; SIGQUIT: at once; SIGKILL: as a cut of the power would."""
        if self._process is None:
            return
        if how is signal.SIGKILL:
            _kill_tree(self._process.pid)
        self._process.send_signal(how)
        self._process.wait(DEADLINE)
        self._process = None

    def url(self, name: str = "postgres", user: str = "postgres") -> str:
        return f"postgresql://{user}@/{name}?host={self.folder}"

    def connect(self, name: str = "postgres") -> psycopg.Connection[dict[str, Any]]:
        return psycopg.connect(self.url(name), autocommit=True, row_factory=dict_row)

    def create(self, name: str) -> str:
        """A new database that is as a fresh Supabase project; gives its URL."""
        with self.connect() as db:
            db.execute(f'create database "{name}"')
        with self.connect(name) as db:
            db.execute((HERE / "bootstrap.sql").read_bytes())
        return self.url(name)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "postgres.log").read_text()
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True


class Api:
    """PostgREST over one database, and the gateway before it."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder = folder
        self.database = database
        self.secret = secrets.token_urlsafe(48)
        self.publishable_key = f"sb_publishable_{secrets.token_urlsafe(24)}"
        self.secret_key = f"sb_secret_{secrets.token_urlsafe(24)}"
        self.port = 0
        self._postgrest: subprocess.Popen[bytes] | None = None
        self._gateway: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What SUPABASE_URL would be."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def keys(self) -> tuple[str, str]:
        return self.publishable_key, self.secret_key

    @property
    def socket(self) -> Path:
        return self.folder / "postgrest.sock"

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.start_postgrest()
        self.start_gateway()
        eventually(self.answers, "PostgREST answers")

    def stop(self) -> None:
        self.stop_gateway()
        self.stop_postgrest()

    def start_postgrest(self) -> None:
        self.socket.unlink(missing_ok=True)
        settings = {
            "PGRST_DB_URI": self.database,
            "PGRST_DB_SCHEMAS": "public",
            "PGRST_DB_ANON_ROLE": "anon",
            "PGRST_DB_MAX_ROWS": "1000",
            "PGRST_DB_POOL": "10",
            "PGRST_JWT_SECRET": self.secret,
            "PGRST_SERVER_UNIX_SOCKET": str(self.socket),
            "PGRST_LOG_LEVEL": "error",
        }
        with (self.folder / "postgrest.log").open("ab") as log:
            self._postgrest = subprocess.Popen([postgrest()], env=settings, stdout=log, stderr=log)

    def stop_postgrest(self, how: signal.Signals = signal.SIGTERM) -> None:
        _end(self._postgrest, how)
        self._postgrest = None

    def restart_postgrest(self) -> None:
        self.stop_postgrest()
        self.start_postgrest()
        eventually(self.answers, "PostgREST answers")

    def start_gateway(self) -> None:
        """At the port that it had before, if it had one."""
        self._gateway = subprocess.Popen(
            ["node", HERE / "gateway.mjs", str(self.port), self.socket, self.secret, *self.keys],
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._gateway.stdout is not None
        self.port = int(self._gateway.stdout.readline())

    def stop_gateway(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._gateway is not None and self._gateway.stdout is not None:
            self._gateway.stdout.close()
        _end(self._gateway, how)
        self._gateway = None

    def answers(self) -> bool:
        """Whether requests get through to the database, with a schema that is known."""
        asked = urllib.request.Request(f"{self.url}/rest/v1/", headers={"apikey": self.secret_key})
        try:
            with urllib.request.urlopen(asked, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def token(self, role: str, **claims: Any) -> str:
        """A JWT as the project itself would sign it."""
        return signed({"role": role, "exp": FOR_EVER, **claims}, self.secret)

    def call(
        self,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        token: str | None = None,
        method: str = "",
        prefer: str = "",
    ) -> tuple[int, Any]:
        """Status and parsed answer of one request; with the secret key unless told otherwise."""
        headers = {"apikey": key or (self.publishable_key if token else self.secret_key)}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers |= {"Content-Type": "application/json", "Prefer": f"return=representation,{prefer}".rstrip(",")}
        method = method or ("GET" if data is None else "POST")
        asked = urllib.request.Request(f"{self.url}/rest/v1/{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=DEADLINE) as answer:
                return answer.status, _parsed(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _parsed(error.read())

    def rpc(self, function: str, *, token: str | None = None, **arguments: Any) -> Any:
        """The answer of a function that must not fail."""
        status, answer = self.call(f"rpc/{function}", arguments, token=token)
        assert status == 200, f"{function} → {status} {answer}"
        return answer


class Stack:
    """All three. Use it as a context manager; `prepare` gets the URL of the database before PostgREST looks at it,
    `settings` are those of PostgreSQL beside what it needs here."""

    def __init__(self, prepare: Callable[[str], None] = lambda url: None, settings: Mapping[str, str] = HASTE) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="supervise-sb-"))
        self.base.chmod(0o755)
        self.database = Database(self.base / "pg", {**SETTINGS, **settings})
        self._prepare = prepare
        self._apis: list[Api] = []

    def __enter__(self) -> Stack:
        try:
            self.database.folder.mkdir(mode=0o755)
            if os.geteuid() == 0:
                shutil.chown(self.database.folder, "postgres")
            self.database.make()
            self.database.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def api(self, name: str) -> Api:
        """A new database under this name with all that stands before it."""
        self._prepare(self.database.create(name))
        return self.serve(name)

    def serve(self, name: str) -> Api:
        """PostgREST and a gateway for a database that is there."""
        api = Api(self.base / name, self.database.url(name, user="authenticator"))
        self._apis.append(api)
        api.start()
        return api

    def close(self) -> None:
        for api in self._apis:
            api.stop()
        self.database.stop(signal.SIGQUIT)
        shutil.rmtree(self.base)


def signed(claims: Mapping[str, Any], secret: str) -> str:
    """A JWT, HS256, made here and not by what is tested."""
    head, body = ({"alg": "HS256", "typ": "JWT"}, claims)
    said = f"{_part(head)}.{_part(body)}"
    return f"{said}.{_base64(hmac.new(secret.encode(), said.encode(), hashlib.sha256).digest())}"


def _part(value: Mapping[str, Any]) -> str:
    return _base64(json.dumps(value).encode())


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _parsed(body: bytes) -> Any:
    return json.loads(body) if body else None


def _end(process: subprocess.Popen[bytes] | None, how: signal.Signals) -> None:
    if process is not None:
        process.send_signal(how)
        process.wait(DEADLINE)


def _kill_tree(pid: int) -> None:
    """Backends outlive a killed postmaster for a while: they go with it."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with suppress(ProcessLookupError):  # it has ended by itself
            os.kill(int(child), signal.SIGKILL)


def _as_postgres() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

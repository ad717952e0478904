"""One D-Bus connection to a service manager: calls with a limit on how many are in flight, and its signals.

dbus-daemon allows 128 pending replies per connection, and dbus-fast loses the connection near 300: 64 is safe. Every
reply's type is checked, since an error looks like an answer.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Any

from dbus_fast import BusType, Message, MessageType, unpack_variants
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusFastError

from supervise.errors import PlatformError
from supervise.model import Scope

SYSTEMD = "org.freedesktop.systemd1"
MANAGER = "org.freedesktop.systemd1.Manager"
MANAGER_PATH = "/org/freedesktop/systemd1"
UNIT = "org.freedesktop.systemd1.Unit"
PROPERTIES = "org.freedesktop.DBus.Properties"
IN_FLIGHT = 64
DENIED = frozenset(
    {"org.freedesktop.DBus.Error.AccessDenied", "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"}
)
GONE = frozenset({"org.freedesktop.systemd1.NoSuchUnit", "org.freedesktop.DBus.Error.UnknownObject"})


WORDS = {"StartUnit": "start it", "StopUnit": "stop it", "RestartUnit": "restart it", "KillUnit": "kill it"}
"""What a person calls a method of the manager."""


class CallFailed(PlatformError):
    """The manager answered with an error; `name` is its D-Bus name."""

    def __init__(self, member: str, name: str, text: str) -> None:
        self.name = name
        super().__init__(f"cannot {WORDS.get(member, member)}: {(text or name).rstrip('.')}")

    @property
    def denied(self) -> bool:
        return self.name in DENIED

    @property
    def exists(self) -> bool:
        return self.name == "org.freedesktop.systemd1.UnitExists"

    @property
    def gone(self) -> bool:
        return self.name in GONE


class Bus:
    """An open connection. Made by `connect`; `close` it."""

    def __init__(self, connection: MessageBus) -> None:
        self._connection = connection
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self.disconnected = asyncio.ensure_future(connection.wait_for_disconnect())  # type: ignore[no-untyped-call]

    @classmethod
    async def connect(cls, scope: Scope) -> Bus:
        """Raises PlatformError with what to do about it."""
        try:
            return cls(await _open(scope))
        except (OSError, DBusFastError, EOFError) as error:
            raise PlatformError(
                f"cannot reach systemd ({scope.value} scope) over D-Bus: {_advice(scope, error)}"
            ) from error

    def close(self) -> None:
        self._connection.disconnect()
        self.disconnected.cancel()

    async def call(self, member: str, signature: str = "", *body: Any) -> list[Any]:
        """A method of the Manager."""
        return await self._send(MANAGER_PATH, MANAGER, member, signature, body)

    async def all_properties(self, path: str, interface: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self._send(path, PROPERTIES, "GetAll", "s", (interface,)))[0]
        return found

    async def property(self, path: str, interface: str, name: str) -> Any:
        return (await self._send(path, PROPERTIES, "Get", "ss", (interface, name)))[0]

    async def listen(self, handler: Callable[[Message], None], *rules: str) -> None:
        """Hand every signal that fits one of the match rules to the handler."""
        self._connection.add_message_handler(handler)
        for rule in rules:
            await self._send(
                "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", "s", (rule,), to="org.freedesktop.DBus"
            )

    def deaf(self, handler: Callable[[Message], None]) -> None:
        self._connection.remove_message_handler(handler)

    async def _send(
        self, path: str, interface: str, member: str, signature: str, body: tuple[Any, ...], *, to: str = SYSTEMD
    ) -> list[Any]:
        message = Message(
            destination=to, path=path, interface=interface, member=member, signature=signature, body=list(body)
        )
        async with self._slots:
            try:
                reply = await self._connection.call(message)
            except (EOFError, OSError) as error:
                raise PlatformError(f"cannot {member}: the connection to D-Bus was lost") from error
        if reply is None:
            raise PlatformError(f"cannot {member}: no answer")
        if reply.message_type is MessageType.ERROR:
            raise CallFailed(member, reply.error_name or "", str(reply.body[0]) if reply.body else "")
        unpacked: list[Any] = unpack_variants(reply.body)
        return unpacked


def signal_body(message: Message) -> list[Any]:
    """A signal's arguments, variants unpacked."""
    unpacked: list[Any] = unpack_variants(message.body)
    return unpacked


async def _open(scope: Scope) -> MessageBus:
    if scope is Scope.SYSTEM:
        return await MessageBus(bus_type=BusType.SYSTEM).connect()
    return await MessageBus(bus_address=_session_address(os.environ)).connect()


def _session_address(environ: Mapping[str, str]) -> str:
    """The user's own bus, also from a shell that came by `su` or cron and knows no address."""
    runtime = environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return environ.get("DBUS_SESSION_BUS_ADDRESS") or f"unix:path={runtime}/bus"


def _advice(scope: Scope, error: Exception) -> str:
    if scope is Scope.SYSTEM:
        return f"{error}; is this machine booted with systemd, and is dbus installed?"
    return f"{error}; is somebody logged in as this user? `loginctl enable-linger` keeps a user's systemd running"
